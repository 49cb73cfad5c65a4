from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from pgflow.config import Settings
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing, leading
from tests.outbound.servers import Server, respond, serving

URL = "https://example.com/hook"


def test_a_subscription_is_made_shown_changed_and_removed(cli: Cli, engine: Engine) -> None:
    assert "there are no subscriptions" in cli("subscription", "list").err
    made = cli("subscription", "create", "ops", URL, "--type", "workflow.*", "--type", "task.failed", "--name", "a.*")
    assert made.code == 0
    assert "created ops" in made.err
    assert "not signed" in made.err
    shown = cli("subscription", "show", "ops", "--json").json
    assert (shown["state"], shown["types"], shown["names"]) == ("enabled", ["workflow.*", "task.failed"], ["a.*"])
    assert (shown["url"], shown["format"], shown["runs_only"], shown["failures"]) == (URL, "webhook", False, 0)
    assert "@" in shown["actor"]
    again = cli("subscription", "create", "ops", URL)
    assert again.code == 2
    assert "there is a subscription ops already" in again.err
    changed = cli("subscription", "create", "ops", "mailto:ann@example.com", "--runs-only", "--replace", "--json").json
    assert changed == {"name": "ops", "done": "changed"}
    (row,) = cli("subscription", "list", "--json").json
    assert (row["format"], row["runs_only"], row["types"], row["revision"]) == ("email", True, ["task.failed"], 2)
    assert cli("subscription", "list").out.splitlines()[1].split()[:3] == ["ops", "enabled", "task.failed"]
    assert cli("subscription", "remove", "ops", "--json").json == {"removed": ["ops"]}
    assert engine.query("select count(*) from pgflow.subscription") == [(0,)]


def test_it_is_disabled_with_a_reason_and_enabled(cli: Cli) -> None:
    cli("subscription", "create", "ops", URL, "--secret", "HOOK_KEY")
    assert "disabled ops" in cli("subscription", "disable", "ops", "--why", "moving house").err
    assert "disabled already" in cli("subscription", "disable", "ops").err
    assert "moving house" in cli("subscription", "list").out
    assert cli("subscription", "show", "ops", "--json").json["disabled_why"] == "moving house"
    assert cli("subscription", "enable", "ops", "--json").json == {"enabled": ["ops"]}
    assert cli("subscription", "show", "ops", "--json").json["disabled_why"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["ops", "ftp://example.com"], "begin with https://"),
        (["ops", "https://user:pass@example.com/"], "user or password"),
        (["ops", "http://2130706433/"], "unusual way"),
        (["ops", URL, "--type", "task.fialed"], "did you mean task.failed"),
        (["ops", URL, "--type", "run.*"], "no event has the type"),
        (["ops", URL, "--name", "a b"], "no pattern of names"),
        (["ops", URL, "--secret", "lower"], "no name for a secret"),
        (["ops", "${secrets.lower}"], "no name for a secret"),
        (["ops", URL + "/${secrets.TOKEN}"], "only as a whole"),
        (["ops", "https://${secrets.TOKEN}/"], "only as a whole"),
        (["ops", "${trigger.x}"], "only as a whole"),
        (["ops", "mailto:ann"], "does not lead to a mailbox"),
        (["ops", "mailto:ann@example.com?bcc=eve@example.com"], "does not lead to a mailbox"),
        (["ops", "ann@example.com", "--format", "email"], "does not lead to a mailbox"),
        (["a b", URL], "no name for a subscription"),
    ],
)
def test_what_makes_no_sense_is_refused_and_said(cli: Cli, engine: Engine, options: list[str], said: str) -> None:
    answer = cli("subscription", "create", *options)
    assert answer.code == 2
    assert said in answer.err
    assert engine.query("select count(*) from pgflow.subscription") == [(0,)]


def test_what_is_not_there_is_said(cli: Cli) -> None:
    for command in (("show",), ("enable",), ("disable",), ("remove",), ("deliveries",), ("redeliver", "1"), ("test",)):
        answer = cli("subscription", command[0], "nobody", *command[1:])
        assert "there is no subscription nobody" in answer.err, command
    cli("subscription", "create", "ops", URL)
    assert "nothing was delivered" in cli("subscription", "deliveries", "ops").err
    assert "has no delivery 99" in cli("subscription", "redeliver", "ops", "99").err
    for wrong in ([], ["1", "--since", "1h"], ["1", "--again"]):
        assert cli("subscription", "redeliver", "ops", *wrong).code == 2


@pytest.fixture
async def receiver(database: Settings) -> AsyncIterator[Server]:
    """A receiver, and a worker that may call it."""
    settings = database.model_copy(update={"outbound_allow": ["127.0.0.1"]})
    async with serving() as server, executing(settings, {}), leading(settings):
        yield server


@pytest.fixture
def _quiet() -> Iterator[None]:
    """What the worker in this process logs is not to be taken for the answers of the command line."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("_quiet")
async def test_deliveries_are_tried_listed_and_repeated(cli: Cli, engine: Engine, receiver: Server) -> None:
    async def ask(*args: object) -> object:
        return await asyncio.to_thread(cli, "subscription", *args)

    await ask("create", "ops", receiver.url, "--type", "task.completed")
    answer = await ask("test", "ops")
    assert (answer.code, "the answer was 200" in answer.err) == (0, True)  # type: ignore[attr-defined]
    receiver.answer = respond(410)
    engine.register(1)
    engine.enqueue()
    engine.settle(*engine.claim())
    while not (rows := (await ask("deliveries", "ops", "--state", "failed", "--since", "1h", "--json")).json):  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
    (row,) = rows
    assert (row["type"], row["name"], row["status"], row["attempt"]) == ("task.completed", "noop", 410, 1)
    assert row["error"] == "the receiver answered 410 Gone"
    refused = await ask("test", "ops", "--json")
    assert refused.code == 1  # type: ignore[attr-defined]
    assert "410 Gone" in refused.problem["message"]  # type: ignore[attr-defined]
    receiver.answer = respond(204)
    await ask("enable", "ops")
    again = await ask("redeliver", "ops", "--since", "1h", "--json")
    assert again.json == {"redelivering": [row["id"]]}  # type: ignore[attr-defined]
    while not (await ask("deliveries", "ops", "--state", "completed", "--json")).json:  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
    listed = await ask("deliveries", "ops")
    assert listed.out.splitlines()[1].split()[1:7] == [
        "task.completed",
        "noop",
        str(row["run_id"]),
        "completed",
        "1",
        "204",
    ]  # type: ignore[attr-defined]


def test_a_test_without_a_worker_says_what_to_look_at(cli: Cli) -> None:
    cli("subscription", "create", "ops", URL)
    answer = cli("subscription", "test", "ops", "--timeout", "0.2s")
    assert answer.code == 1
    assert "pgflow workers" in answer.err
