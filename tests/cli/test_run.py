from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pgflow.engine import facts, leases, workflows
from pgflow.model import Claimed, EventType, Parking, State
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine


def test_a_run_starts_without_the_users_code_and_only_its_id_is_printed(cli: Cli, engine: Engine) -> None:
    answer = cli("run", "start", "send_email", '{"to": "ann@example.com", "n": 9007199254740993}')
    assert answer.code == 0
    ((id, name, queue, priority, input, actor),) = engine.query(
        "select id, name, queue, priority, input, actor from pgflow.task"
    )
    assert answer.out == f"{id}\n"
    assert (name, queue, priority) == ("send_email", "default", 2)
    assert input == {"to": "ann@example.com", "n": 9007199254740993}, "exactly: no number may lose digits"
    assert "@" in actor


def test_a_run_starts_with_every_option(cli: Cli, engine: Engine) -> None:
    answer = cli(
        "run", "start", "crunch", "-", "--queue", "mail", "--priority", "critical", "--key", "k", "--delay", "1h30m",
        "--tag", "team=red", "--tag", "why=a=b", "--json", input='{"x": [1, null]}',
    )  # fmt: skip
    assert (answer.code, answer.json["existed"]) == (0, False)
    (row,) = engine.query(
        "select queue, priority, key, tags, input, due_at - created_at, state::text from pgflow.task_state"
    )
    tags = {"team": "red", "why": "a=b"}
    assert row == ("mail", "critical", "k", tags, {"x": [1, None]}, timedelta(minutes=90), "scheduled")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2031-05-01T09:00:00Z", datetime(2031, 5, 1, 9, tzinfo=UTC)),
        ("2031-05-01T09:00+02:00", datetime(2031, 5, 1, 7, tzinfo=UTC)),
        ("2031-05-01T09:00", datetime(2031, 5, 1, 9).astimezone()),
        ("2031-05-01", datetime(2031, 5, 1).astimezone()),
    ],
)
def test_an_instant_without_a_zone_is_local(cli: Cli, engine: Engine, text: str, instant: datetime) -> None:
    assert cli("run", "start", "x", "--at", text).code == 0
    assert engine.query("select due_at from pgflow.task") == [(instant,)]


def test_a_key_starts_at_most_one(cli: Cli, engine: Engine) -> None:
    first = cli("run", "start", "x", '{"a": 1}', "--key", "k")
    again = cli("run", "start", "x", '{"a": 1}', "--key", "k")
    other = cli("run", "start", "x", '{"a": 2}', "--key", "k", "--json")
    assert again.out == first.out
    assert "the key is taken" in again.err
    assert (other.code, other.problem["type"]) == (1, "IdempotencyConflict")
    assert engine.query("select count(*) from pgflow.task") == [(1,)]


def test_starting_what_nobody_will_run_says_so(cli: Cli, engine: Engine) -> None:
    assert "no worker is running" in cli("run", "start", "noop").err
    engine.register(1)
    assert "did you mean noop?" in cli("run", "start", "nop").err
    assert "serves the queue 'mail'; they serve: default" in cli("run", "start", "noop", "--queue", "mail").err
    assert cli("run", "start", "noop").err == ""
    assert "'what'" in cli("run", "start", "what", "--json").json["warning"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["x", "[1]"], "a JSON object, not an array"),
        (["x", "{"], "no JSON"),
        (["x", '{"a": NaN}'], "NaN is no JSON"),
        (["x", '{"a": "\\u0000"}'], "$.a"),
        (["x", "{}", "--delay", "soon"], "no duration"),
        (["x", "{}", "--delay", "1s", "--at", "2030-01-01"], "exclude each other"),
        (["x", "{}", "--at", "tomorrow"], "no instant"),
        (["x", "{}", "--tag", "red"], "not name=value"),
        (["x", "{}", "--priority", "urgent"], "not one of"),
        (["x", "{}", "--queue", "a b"], "no name for a queue"),
        (["x", "{}", "--key", ""], "a key is"),
        (["x", "{}", "--timeout", "1s"], "--wait"),
        (["", "{}"], "a task's name"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    cli: Cli, engine: Engine, args: list[str], said: str
) -> None:
    answer = cli("run", "start", *args)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


def test_too_large_arguments_are_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_PAYLOAD_LIMIT", "1024")
    answer = cli("run", "start", "x", "-", input=json.dumps({"a": "x" * 2000}))
    assert answer.code == 2
    assert "the limit is 1,024" in answer.err


def test_runs_are_listed_by_filter_and_page(cli: Cli, engine: Engine) -> None:
    a, b, c = engine.enqueue(3, name="crunch")
    (mail,) = engine.enqueue(name="send", queue="mail")
    (claimed,) = engine.claim(queue="mail")
    engine.settle(claimed, state=State.FAILED, error=b'{"type": "E", "message": "m"}')
    listed = lambda *args: [row["id"] for row in cli("run", "list", "--json", *args).json]  # noqa: E731
    assert listed() == [mail, c, b, a]
    assert listed("--name", "crunch", "--limit", "2") == [c, b]
    assert listed("--before", c) == [b, a]
    assert listed("--state", "failed") == [mail]
    assert listed("--queue", "mail", "--state", "queued") == []
    page = cli("run", "list", "--limit", "2")
    assert page.out.splitlines()[0].split() == [
        "id", "name", "queue", "priority", "state", "attempt", "created_at", "finished_at",
    ]  # fmt: skip
    assert f"--before {c}" in page.err
    assert cli("run", "list", "--name", "none").err == "no runs\n"


def test_a_run_is_shown_with_its_children(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue(input=b'{"a": 1}')
    engine.query("select nextval('pgflow.task_id_seq')")
    engine.connection.execute(
        "insert into pgflow.task (id, root_id, parent_id, name, queue, priority, input, created_at) values"
        " (%(id)s + 1, %(id)s, %(id)s, 'child', 'default', 2, '{}', now())",
        {"id": run},
    )
    engine.connection.execute(
        "insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes) values"
        " ('default', 2, %(id)s + 1, %(id)s, 1, 0)",
        {"id": run},
    )
    shown = cli("run", "show", run, "--json").json
    assert (shown["state"], shown["input"], [c["name"] for c in shown["children"]]) == ("queued", {"a": 1}, ["child"])
    text = cli("run", "show", run).out
    assert 'input       {"a":1}' in text
    assert "child" in text
    child = cli("run", "show", run + 1)
    assert (child.code, f"a task of run {run}" in child.err) == (3, True)
    assert cli("task", "show", run + 1, "--json").json["root_id"] == run


def test_a_history_tells_what_happened_in_order(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    engine.settle(*engine.claim(), state=State.RETRYING, error=b'{"type": "E", "message": "no\\nmore"}', delay=60.0)
    assert cli("run", "cancel", run).code == 0
    events = cli("run", "history", run, "--json").json
    assert [e["type"] for e in events] == ["task.enqueued", "task.started", "task.retried", "task.cancelled"]
    assert events[0]["at"].endswith("Z")
    lines = cli("run", "history", run).out.splitlines()
    assert "E: no" in lines[3]
    assert "more" not in lines[3]
    assert "by " in lines[4]


def test_a_cancelled_run_is_told_from_one_that_had_ended(cli: Cli, engine: Engine) -> None:
    done, waiting = engine.enqueue(2)
    engine.settle(*engine.claim(1))
    answer = cli("run", "cancel", done, waiting)
    assert (answer.code, answer.out) == (0, f"{waiting}\n")
    assert f"{done} had ended before: completed" in answer.err
    assert engine.state(waiting) == "cancelled"
    assert cli("run", "cancel", done, "--json").json == {
        "cancelled": [], "cleaning_up": [], "ended_before": {str(done): "completed"},
    }  # fmt: skip
    assert cli("run", "cancel", done, 987654).code == 3


def test_a_result_is_printed_as_json(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    engine.settle(*engine.claim(), output='{"größe": [1, null]}'.encode())
    assert cli("run", "result", run).json == {"größe": [1, None]}
    answer = cli("run", "result", run, "--json").json
    assert (answer["id"], answer["state"], answer["output"]) == (run, "completed", {"größe": [1, None]})


def test_the_result_of_a_failed_run_fails_the_command(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    engine.settle(*engine.claim(), state=State.FAILED, error=b'{"type": "ValueError", "message": "no such row"}')
    text = cli("run", "result", run)
    assert (text.code, text.out) == (1, "")
    assert "ValueError: no such row" in text.err
    answer = cli("run", "result", run, "--json")
    assert (answer.code, answer.err) == (1, "")
    assert answer.json["error"]["message"] == "no such row"


def test_the_result_of_a_cancelled_run_fails_the_command(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    cli("run", "cancel", run)
    assert cli("run", "result", run).code == 1
    answer = cli("run", "result", run, "--json")
    assert (answer.code, answer.json["state"]) == (1, "cancelled")


def test_waiting_in_vain_has_an_exit_code_of_its_own(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    answer = cli("run", "result", run, "--timeout", "20ms", "--json")
    assert (answer.code, answer.problem["type"]) == (6, "ResultTimeout")
    assert cli("run", "start", "x", "--wait", "--timeout", "20ms").code == 6
    assert cli("run", "result", 987654).code == 3


def test_start_waits_for_the_result_when_asked(cli: Cli, engine: Engine) -> None:
    (held,) = engine.enqueue(name="x", key="k")
    engine.settle(*engine.claim(), output=b'"there"')
    # The key is free again once its task has an outcome, so hold it to get the very run back.
    engine.connection.execute("update pgflow.idempotency set expires_at = now() + interval '1 hour'")
    answer = cli("run", "start", "x", "--key", "k", "--wait")
    assert (answer.code, answer.out) == (0, '"there"\n')
    assert str(held) in answer.err


def workflow(engine: Engine, *, key: str = "charge") -> tuple[int, Claimed]:
    """A running workflow that has recorded a step."""
    (run,) = engine.enqueue(name="order", input=b'{"amount": 5, "lines": [{"price": 1}]}')
    (claimed,) = engine.claim()
    data = b'{"result": {"paid": 5}, "started_at": "2026-01-01T00:00:00Z", "seconds": 0.25}'
    engine.run(facts.record([facts.Fact(run, claimed.epoch, EventType.WORKFLOW_STARTED, "1", b"{}")], 1))
    engine.run(facts.record([facts.Fact(run, claimed.epoch, EventType.STEP_COMPLETED, key, data)], 1))
    return run, claimed


def test_runs_are_paused_and_resumed_and_told_from_those_that_had_nothing_to_be(cli: Cli, engine: Engine) -> None:
    one, two = engine.enqueue(2)
    assert cli("run", "pause", one, two).out == f"{one}\n{two}\n"
    assert engine.state(one) == "paused"
    again = cli("run", "pause", one)
    assert (again.code, again.out, again.err) == (0, "", f"{one} is paused: there was nothing to be paused\n")
    shown = cli("run", "show", one)
    assert "the run is paused by " in shown.out
    assert f"`pgflow run resume {one}`" in shown.out
    assert cli("run", "resume", one, "--json").json == {"resumed": [one], "left": {}}
    assert cli("run", "resume", one, two, "--json").json == {"resumed": [two], "left": {str(one): "queued"}}
    assert cli("run", "pause", 987654).code == 3


def test_a_signal_reaches_a_run_with_its_payload(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    answer = cli("run", "signal", run, "confirmed", '{"by": "ann"}')
    assert (answer.code, answer.out, answer.err) == (0, "", f"confirmed sent to {run}\n")
    assert cli("run", "signal", run, "go", "--json").json == {"id": run, "signal": "go"}
    assert engine.query("select key, data from pgflow.event where type = 'signal.received' order by id") == [
        ("confirmed", {"payload": {"by": "ann"}}), ("go", {"payload": None}),
    ]  # fmt: skip
    assert "a text needs quotes" in cli("run", "signal", run, "go", "yes").err
    cli("run", "cancel", run)
    assert cli("run", "signal", run, "go").code == 3
    assert cli("run", "signal", 987654, "go").code == 3


def test_what_needs_attention_is_shown_with_its_diff_and_what_to_do(cli: Cli, engine: Engine) -> None:
    run, claimed = workflow(engine)
    detail = b'{"type": "HistoryMismatch", "message": "no longer asks\\nmore", "diff": ["- charge", "+ pay"]}'
    engine.run(leases.park([Parking(run, claimed.epoch, State.NEEDS_ATTENTION, detail)], 1))
    lines = cli("run", "show", run).out.splitlines()
    position = next(number for number, line in enumerate(lines) if "HistoryMismatch: no longer asks" in line)
    assert lines[position + 1 : position + 3] == ["    - charge", "    + pay"]
    assert f"pgflow run resume {run}" in lines[position + 3]
    told = cli("run", "history", run).out
    assert "needs_attention: HistoryMismatch: no longer asks" in told
    assert [line.strip() for line in told.splitlines() if line.strip() in {"- charge", "+ pay"}] == [
        "- charge",
        "+ pay",
    ]
    assert cli("run", "resume", run).out == f"{run}\n"
    assert engine.state(run) == "queued"


def test_what_a_run_waits_for_is_shown(cli: Cli, engine: Engine) -> None:
    run, claimed = workflow(engine)
    due = b'{"due_at": "2999-01-01T00:00:00Z"}'
    timers = [
        facts.Fact(run, claimed.epoch, EventType.TIMER_CREATED, key, due) for key in ("$signal:confirmed", "$sleep")
    ]
    engine.run(facts.record(timers, 1))
    engine.settle(claimed, state=State.WAITING, needed=1)
    text = cli("run", "show", run).out
    assert f"waits for signal confirmed until 2999-01-01 00:00:00: `pgflow run signal {run} confirmed`" in text
    assert "sleeps (sleep) until 2999" in text
    told = cli("run", "show", run, "--json").json
    assert {thing["what"] for thing in told["standing"]} == {"arrivals", "timer"}


def test_the_history_of_a_workflow_tells_each_step_with_its_result_and_duration(cli: Cli, engine: Engine) -> None:
    run, claimed = workflow(engine)
    engine.run(
        facts.note_tries(
            [facts.Try(run, claimed.epoch, EventType.STEP_RETRIED, "ship", 1, b'{"type": "E", "message": "m"}', 5.0)], 1
        )
    )
    engine.settle(claimed, output=b"1")
    lines = cli("run", "history", run).out.splitlines()
    assert lines[0].split() == ["at", "after", "task", "what", "detail"]
    (step,) = [line for line in lines if "step.completed" in line]
    assert f"{run} order" in step
    assert 'charge, {"paid":5}, took 250 ms from 00:00:00.000' in step
    (retried,) = [line for line in lines if "step.retried" in line]
    assert "ship, try 1, E: m, due 2" in retried
    assert [line.split()[-1] for line in cli("run", "history", run, "--limit", 1).out.splitlines()[1:]] == ["-"]
    assert "--limit has more" in cli("run", "history", run, "--limit", 1).err
    assert len(cli("run", "history", run, "--task", run, "--json").json) == len(lines) - 1


def test_a_run_is_done_again_whole_or_from_a_step_with_another_input(cli: Cli, engine: Engine) -> None:
    run, claimed = workflow(engine)
    engine.settle(claimed, output=b"1")
    inputs = "select input from pgflow.task where id = %s"
    again = cli("run", "rerun", run)
    assert engine.query(inputs, int(again.out)) == engine.query(inputs, run)
    changed = cli(
        "run", "fork", run, "--from-step", "charge", "--set", "input.amount=6", "--set", "input.lines.0.price=2.5",
        "--set", "input.note=by hand", "--json",
    )  # fmt: skip
    assert changed.json["from"] == run
    assert engine.query(inputs, changed.json["id"]) == [({"amount": 6, "lines": [{"price": 2.5}], "note": "by hand"},)]
    assert f"from {run} at charge" in cli("run", "history", changed.json["id"]).out
    assert cli("run", "fork", run, "--from-step", "ship").code == 3
    assert "it has recorded: charge" in cli("run", "fork", run, "--from-step", "ship").err
    assert cli("run", "rerun", run, "--set", "amount=6").code == 2
    assert cli("run", "fork", run).code == 2


def test_a_guarded_workflow_is_told_to_cancel_itself_unless_forced(cli: Cli, engine: Engine) -> None:
    run, claimed = workflow(engine, key="$cleanup")
    engine.settle(claimed, state=State.WAITING, needed=1)
    answer = cli("run", "cancel", run)
    assert (answer.code, answer.out) == (0, "")
    assert f"{run} was told" in answer.err
    assert engine.state(run) == "queued"
    assert engine.events(run)[-1] == "workflow.cancelling"
    assert cli("run", "cancel", run, "--json").json["cleaning_up"] == [run]
    assert cli("run", "cancel", run, "--force").out == f"{run}\n"
    assert engine.state(run) == "cancelled"


def test_a_workflow_starts_in_its_own_queue_once_its_definition_is_known(cli: Cli, engine: Engine) -> None:
    engine.run(workflows.define([workflows.Definition("order", "code", b"x", b'{"queue": "orders"}')]))
    engine.register(1, queues=("orders",))
    for args in ((), ("--queue", "other")):
        assert cli("run", "start", "order", "{}", *args).code == 0
    assert engine.query("select queue from pgflow.task order by id") == [("orders",), ("other",)]


@pytest.mark.parametrize("id", ["0", "-1", "x", str(2**63)])
def test_what_is_no_id_is_refused(cli: Cli, id: str) -> None:
    for command in ("show", "history", "cancel", "result", "pause", "resume", "rerun", "replay"):
        assert cli("run", command, id).code == 2
