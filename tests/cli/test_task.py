from __future__ import annotations

import pytest

from pgflow.cli import output, task
from pgflow.model import State
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine


def dead_letters(engine: Engine, count: int, **asked: str) -> list[int]:
    ids = engine.enqueue(count, **asked)
    error = b'{"type": "E", "message": "m", "reason": "spent", "traceback": "line 1\\nline \\u001b[2Jtwo\\n"}'
    engine.settle(*engine.claim(queue=asked.get("queue", "default")), state=State.FAILED, error=error)
    return ids


def test_tasks_are_listed_by_run_and_state(cli: Cli, engine: Engine) -> None:
    first, second = engine.enqueue(2)
    assert [row["id"] for row in cli("task", "list", "--run", first, "--json").json] == [first]
    assert [row["id"] for row in cli("task", "list", "--state", "queued", "--json").json] == [second, first]
    assert cli("task", "list", "--state", "bogus").code == 2


def test_a_failed_task_is_shown_with_its_traceback_and_no_control_characters(cli: Cli, engine: Engine) -> None:
    (id,) = dead_letters(engine, 1)
    text = cli("task", "show", id).out
    assert "line 1\n" in text
    assert "\\x1b[2Jtwo" in text
    assert "\x1b" not in text
    assert cli("task", "show", id, "--json").json["error"]["reason"] == "spent"
    missing = cli("task", "show", 987654, "--json")
    assert (missing.code, missing.out, missing.problem["exit_code"]) == (3, "", 3)


def test_tasks_are_cancelled(cli: Cli, engine: Engine) -> None:
    ids = engine.enqueue(3)
    answer = cli("task", "cancel", *ids, "--json")
    assert sorted(answer.json["cancelled"]) == ids
    assert {engine.state(id) for id in ids} == {"cancelled"}


def test_a_dead_letter_is_redriven_by_id(cli: Cli, engine: Engine) -> None:
    (id,) = dead_letters(engine, 1)
    answer = cli("task", "redrive", id)
    assert (answer.code, answer.out) == (0, f"{id}\n")
    assert engine.state(id) == "queued"
    assert engine.query("select actor like '%%@%%' from pgflow.event where type = 'task.redriven'") == [(True,)]


def test_redriving_what_has_not_failed_fails(cli: Cli, engine: Engine) -> None:
    (dead,) = dead_letters(engine, 1)
    (alive,) = engine.enqueue()
    answer = cli("task", "redrive", dead, alive)
    assert (answer.code, answer.out) == (1, f"{dead}\n")
    assert f"{alive} is queued" in answer.err
    assert cli("task", "redrive", alive, "--json").json == {"redriven": [], "refused": {str(alive): "queued"}}
    assert cli("task", "redrive", 987654).code == 3


def test_dead_letters_are_redriven_by_filter_up_to_a_limit(
    cli: Cli, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "CHUNK", 3)  # so that few need several pages
    wanted = dead_letters(engine, 8, name="crunch", queue="mail")
    others = dead_letters(engine, 2, name="send", queue="mail")
    dead_letters(engine, 2, name="crunch", queue="other")
    answer = cli("task", "redrive", "--name", "crunch", "--queue", "mail", "--limit", "7", "--json")
    assert sorted(answer.json["redriven"]) == wanted[1:], "the newest first, and not more than the limit"
    assert engine.state(wanted[0]) == "failed"
    assert [engine.state(id) for id in others] == ["failed"] * 2
    assert len(cli("task", "redrive", "--all", "--json").json["redriven"]) == 5
    assert cli("task", "redrive", "--all").err == "redrove 0 tasks\n"


def test_a_person_is_asked_before_many_are_redriven(cli: Cli, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_interactive", lambda: True)
    ids = dead_letters(engine, 3)
    refused = cli("task", "redrive", "--all", input="n\n")
    assert (refused.code, refused.out) == (130, "")
    assert "redrive 3 tasks?" in refused.err
    assert engine.state(ids[0]) == "failed"
    assert cli("task", "redrive", "--queue", "default", input="y\n").code == 0
    assert engine.state(ids[0]) == "queued"


def test_yes_is_not_asked_again(cli: Cli, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_interactive", lambda: True)
    dead_letters(engine, 2)
    answer = cli("task", "redrive", "--all", "--yes")
    assert (answer.code, "?" in answer.err) == (0, False)


@pytest.mark.parametrize("args", [[], ["5", "--name", "x"], ["5", "--all"]])
def test_redrive_wants_ids_or_a_filter(cli: Cli, args: list[str]) -> None:
    answer = cli("task", "redrive", *args)
    assert answer.code == 2
    assert "either by ID" in answer.err
