"""`pgflow event`, and what `pgflow run` says of waiting for events."""

from __future__ import annotations

import pytest

from pgflow.engine import emissions, facts
from pgflow.model import EventType, State
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine


def test_an_event_is_emitted_and_listed(cli: Cli, engine: Engine) -> None:
    answer = cli("event", "emit", "order/paid", '{"amount": 450}', "--key", "order-42", "--id", "payment-7")
    assert (answer.code, answer.err) == (0, "")
    again = cli("event", "emit", "order/paid", '{"amount": 450}', "--key", "order-42", "--id", "payment-7")
    assert (again.code, again.out) == (0, answer.out)
    assert again.err == "order/paid was emitted before with the id payment-7\n"
    told = cli("event", "emit", "tick", "--json").json
    assert (told["event"], told["existed"]) == ("tick", False)
    assert cli("event", "emit", "tick", "-", "--json").code == 2, "nothing on standard input is no JSON"
    lines = cli("event", "list").out.splitlines()
    assert lines[0].split() == ["id", "name", "key", "at", "task_id", "state", "payload"]
    assert [line.split()[1] for line in lines[1:]] == ["tick", "order/paid"]
    (listed,) = cli("event", "list", "--key", "order-42", "--json").json
    assert (listed["task_id"], listed["state"], listed["payload"]) == (int(answer.out), "queued", {"amount": 450})
    assert listed["actor"]
    assert [one["name"] for one in cli("event", "list", "--name", "tick", "--limit", 1, "--json").json] == ["tick"]
    assert cli("event", "list", "--before", listed["id"]).err == "no events\n"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("order paid",), 2, "no name for an event"),
        (("tick", "yes"), 2, "a text needs quotes"),
        (("tick", "1", "--id", ""), 2, "no id for an event"),
    ],
)
def test_what_cannot_be_emitted_is_told(cli: Cli, args: tuple[str, ...], code: int, said: str) -> None:
    answer = cli("event", "emit", *args)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_an_id_that_was_used_for_something_else_is_told(cli: Cli) -> None:
    first = cli("event", "emit", "tick", "1", "--id", "mine")
    answer = cli("event", "emit", "tick", "2", "--id", "mine")
    assert answer.code not in {0, 2}
    assert f"by task {first.out.strip()}" in answer.err


def test_a_signal_reaches_a_run_by_its_key(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue(key="signup-42", name="signup")
    answer = cli("run", "signal", "signup", "confirmed", '{"by": "ann"}', "--key", "signup-42")
    assert (answer.code, answer.err) == (0, "confirmed sent to signup with the key signup-42\n")
    told = cli("run", "signal", "signup", "go", "--key", "signup-42", "--json").json
    assert told == {"workflow": "signup", "key": "signup-42", "signal": "go"}
    signals = "select task_id, key from pgflow.event where type = 'signal.received' order by id"
    assert engine.query(signals) == [(run, "confirmed"), (run, "go")]
    assert cli("run", "signal", "signup", "go", "--key", "other").code == 3
    nobody = cli("run", "signal", "signup", "go")
    assert nobody.code == 2
    assert "give --key, too" in nobody.err


def test_what_events_a_run_waits_for_is_shown(cli: Cli, engine: Engine) -> None:
    (run,) = engine.enqueue()
    (claimed,) = engine.claim()
    due = b'{"due_at": "2999-01-01T00:00:00Z"}'
    keys = ("2/$event:order/paid", "2/$signal:go", "2/$sleep")
    engine.run(facts.record([facts.Fact(run, claimed.epoch, EventType.TIMER_CREATED, key, due) for key in keys], 1))
    expected = [
        emissions.Expected(run, claimed.epoch, "2/$event:order/paid", "order/paid", "order 42"),
        emissions.Expected(run, claimed.epoch, "2/$event:tick", "tick", None, "event.payload > 1"),
    ]
    engine.run(emissions.expect(expected))
    engine.settle(claimed, state=State.WAITING, needed=1)
    text = cli("run", "show", run).out
    assert "waits for event order/paid with the key order 42 until 2999-01-01 00:00:00: " in text
    assert "`pgflow event emit order/paid JSON --key 'order 42'`" in text
    assert "waits for event tick for which event.payload > 1 holds: `pgflow event emit tick JSON`" in text
    assert f"waits for signal go until 2999-01-01 00:00:00: `pgflow run signal {run} go`" in text
    assert text.count("sleeps (") == 1
    told = cli("run", "show", run, "--json").json["standing"]
    assert sorted(thing["name"] for thing in told if thing["what"] == "event") == ["order/paid", "tick"]
