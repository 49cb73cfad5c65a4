"""docs/state-machine.md draws the states, verbs and events that the code has."""

from __future__ import annotations

import re

from pgflow.model import FINAL_STATES, EventType, State
from tests.architecture.tree import ROOT

TEXT = (ROOT / "docs/state-machine.md").read_text("utf-8")
ARROW = re.compile(r"^\s+(\S+) --> (\S+?)(?:: (\w+))?$", re.MULTILINE)
VERBS = {"enqueue", "claim", "settle", "record", "arrive", "fire", "reap", "cancel"}


def arrows() -> list[tuple[str, str, str]]:
    """From, to and verb of every arrow in the picture."""
    (picture,) = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    return ARROW.findall(picture)


def section(title: str) -> str:
    """The text below a heading."""
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """What the first column of a section's table has in backticks, or as it stands."""
    rows = [line.split("|")[1].strip() for line in section(title).splitlines() if line.startswith("| ")][1:]
    return [name for cell in rows for name in (re.findall(r"`([^`]+)`", cell) or [cell])]


def test_the_picture_has_every_state_and_no_other() -> None:
    drawn = {end for arrow in arrows() for end in arrow[:2]} - {"[*]"}
    assert drawn == set(State)


def test_every_state_is_explained_once() -> None:
    assert first_cells("States") == list(State)


def test_exactly_the_final_states_end_the_picture() -> None:
    assert {start for start, end, _ in arrows() if end == "[*]"} == FINAL_STATES


def test_every_state_that_is_not_final_can_be_cancelled() -> None:
    assert {start for start, end, verb in arrows() if verb == "cancel"} == set(State) - FINAL_STATES
    assert {end for _, end, verb in arrows() if verb == "cancel"} == {State.CANCELLED}


def test_only_redrive_leaves_a_final_state() -> None:
    assert {verb for start, end, verb in arrows() if start in FINAL_STATES and end != "[*]"} == {"redrive"}


def test_the_picture_knows_only_the_engines_verbs() -> None:
    assert {verb for *_, verb in arrows()} - {"", "redrive"} == VERBS - {"record"}
    assert set(first_cells("Verbs")) == VERBS


def test_the_verbs_are_in_the_files_that_are_named() -> None:
    named = re.findall(r"`(sql/[\w/]+\.sql)`", section("Verbs"))
    assert len(named) > len(VERBS)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_event_is_explained_once() -> None:
    explained = [name for name in first_cells("Events") if "." in name]
    assert sorted(explained) == sorted(EventType)
