from __future__ import annotations

import json

import pytest

from pgflow.engine import approvals
from pgflow.engine.approvals import Place, Question
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine

FORM = {"type": "object", "properties": {"edition": {"enum": ["morning", "evening"]}}, "required": ["edition"]}


@pytest.fixture
def asked(engine: Engine) -> int:
    (run,) = engine.enqueue()
    question = Question("Publish?", "All of it.", FORM, ["ann", "desk"], [(60.0, ["bob"])], 3600.0)
    return engine.run(approvals.ask(Place(run, run, "ask"), "report", question)).id


def test_a_question_is_listed_shown_and_approved(cli: Cli, asked: int, engine: Engine) -> None:
    header, line = cli("approval", "list").out.splitlines()
    assert header.split() == ["id", "title", "workflow", "run_id", "assignees", "asked_at", "due_at"]
    assert line.split()[:3] == [str(asked), "Publish?", "report"]
    (row,) = cli("approval", "list", "--for", "ann", "--workflow", "report", "--json").json
    assert (row["form"], row["state"], row["assignees"]) == (FORM, "pending", ["ann", "desk"])
    assert cli("approval", "list", "--for", "bob").err == "nobody is asked anything\n"
    assert "All of it." in cli("approval", "show", str(asked)).out
    done = cli("approval", "approve", str(asked), "--by", "ann", "--form", json.dumps({"edition": "morning"}))
    assert (done.code, done.err) == (0, f"approved {asked}; run {row['run_id']} goes on\n")
    (row,) = cli("approval", "list", "--state", "approved", "--json").json
    assert (row["decided_by"], row["answer"]) == ("ann", {"edition": "morning"})
    assert engine.query("select key, actor from pgflow.event where type = 'signal.received'") == [
        ("$approval:ask", "ann")
    ]


def test_a_question_is_rejected_by_a_group(cli: Cli, asked: int) -> None:
    shown = cli("approval", "reject", str(asked), "--by", "cy", "--group", "desk", "--comment", "no", "--json").json
    assert (shown["state"], shown["decided_by"], shown["comment"]) == ("rejected", "cy", "no")


def test_what_cannot_be_decided_says_why(cli: Cli, asked: int) -> None:
    id = str(asked)
    for arguments, code, said in (
        (("approve", id, "--by", "ann"), 2, "form.edition: this is missing"),
        (("approve", id, "--by", "ann", "--form", "{"), 2, "--form is no JSON"),
        (("approve", id, "--by", "ann", "--form", "[1]"), 2, "no JSON object"),
        (("reject", id), 1, "is not for"),
        (("approve", "777"), 3, "no approval 777"),
    ):
        answer = cli("approval", *arguments)
        assert (answer.code, said in answer.err) == (code, True), answer.err
    assert cli("approval", "approve", id, "--by", "desk", "--form", "-", input='{"edition": "evening"}').code == 0
    again = cli("approval", "reject", id, "--by", "ann")
    assert "was approved by desk at" in again.err
    assert again.code == 1
