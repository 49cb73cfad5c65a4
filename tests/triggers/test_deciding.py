"""What a delivery starts: worked out in workers, once, whatever dies."""

from __future__ import annotations

from typing import Any

import psycopg

from pgflow.config import Settings
from pgflow.model import State
from pgflow.sdk.client import Client
from pgflow.sdk.registry.triggers import trigger_of
from pgflow.sdk.registry.webhooks import decide
from tests.fixtures.database import Engine
from tests.fixtures.hooks import Hooks
from tests.fixtures.workers import eventually, executing
from tests.runtime import apps
from tests.runtime.processes import until, worker

MAPPED = {"a": "${body.a}", "b": "${body.b}"}


def runs(engine: Engine, name: str = "add") -> list[tuple[Any, ...]]:
    return engine.query("select id, key, input, tags from pgflow.task where name = %s order by id", name)


def outcomes(engine: Engine) -> dict[int, tuple[str, Any, Any]]:
    rows = engine.query("select task_id, state::text, output, error from pgflow.outcome")
    return {row[0]: row[1:] for row in rows}


async def done(engine: Engine, count: int) -> None:
    await eventually(lambda: len(outcomes(engine)) == count)


async def test_the_target_is_started_with_what_the_expressions_make(
    shop: Client, hooks: Hooks, database: Settings, engine: Engine
) -> None:
    shop.triggers.create(
        "sums", apps.add, path="sums", secrets=["SHOP"], input=MAPPED, filter='headers["x-event"] == "sum"',
        headers=["X-Event"],
    )  # fmt: skip
    passed = hooks.deliver("sums", b'{"a": 40, "b": 2}', id="one", x_event="sum")
    held = hooks.deliver("sums", b'{"a": 1, "b": 1}', id="two", x_event="difference")
    async with executing(database, apps.app.tasks):
        await done(engine, 3)
    ((run, key, input, tags),) = runs(engine)
    ended = outcomes(engine)
    assert (key, input, tags) == ("hook:sums/one", {"a": 40, "b": 2}, {"trigger": "sums"})
    assert ended[passed.delivery][:2] == ("completed", {"started": run})
    assert ended[held.delivery][:2] == ("completed", {"filtered": True})
    assert ended[run][:2] == ("completed", 42)


def test_now_is_when_the_request_came() -> None:
    """So it is the same whenever it is worked out again."""
    trigger = trigger_of(
        "t",
        "add",
        path="t",
        signature="none",
        input={"at": "${now()}"},
        filter='now() < timestamp("2030-01-01T00:00:00Z")',
    )
    names = {"body": {}, "headers": {}, "delivery": None, "trigger": "t", "received_at": "2029-12-31T23:59:59Z"}
    decided = decide(trigger, names)
    assert decided.start is not None
    assert decided.start["input"] == {"at": "2029-12-31T23:59:59Z"}
    assert decide(trigger, names | {"received_at": "2030-01-01T00:00:00+00:00"}).start is None
    event = trigger_of("e", "add", event="e", input={"at": "${now()}"})
    named = {"event": {"at": "2029-12-31T23:59:59+00:00"}}
    assert decide(event, named).start == event.start | {"input": {"at": "2029-12-31T23:59:59Z"}}


async def test_ids_that_only_an_expression_tells_are_deduped_in_the_worker(
    shop: Client, hooks: Hooks, database: Settings, engine: Engine
) -> None:
    shop.triggers.create(
        "sums", apps.add, path="sums", secrets=["SHOP"], input=MAPPED, delivery='body.repo + "#" + string(body.a)'
    )
    for id in ("one", "two"):
        assert hooks.deliver("sums", b'{"repo": "pg", "a": 1, "b": 2}', id=id).status == 202
    async with executing(database, apps.app.tasks):
        await done(engine, 3)
    ((run, key, _, _),) = runs(engine)
    assert key == "hook:sums/pg#1"
    told = [output for state, output, _ in outcomes(engine).values() if isinstance(output, dict)]
    assert sorted(told, key=len) == [{"started": run}, {"started": run, "duplicate": True}]


FAILING: list[tuple[dict[str, Any], bytes, str]] = [
    ({"filter": "body.missing.deeper"}, b"{}", "the filter"),
    ({"filter": "body.a"}, b'{"a": 3}', "the filter: a condition is true or false"),
    ({"input": {"a": "${body.nothing}", "b": 1}}, b"{}", "the input"),
    (
        {"input": MAPPED, "delivery": "body.a + body.b"},
        b'{"a": [1], "b": [2]}',
        "id is neither text nor a whole number",
    ),
]


async def test_an_expression_that_fails_makes_a_dead_letter_that_can_be_redriven_once_mended(
    shop: Client, hooks: Hooks, database: Settings, engine: Engine
) -> None:
    answers = []
    for number, (when, body, _) in enumerate(FAILING):
        shop.triggers.create(f"sums{number}", "add", path=f"sums{number}", secrets=["SHOP"], **when)
        answers.append(hooks.deliver(f"sums{number}", body))
    async with executing(database, apps.app.tasks):
        await done(engine, len(FAILING))
        ended = outcomes(engine)
        for number, (_, _, expected) in enumerate(FAILING):
            state, _, error = ended[answers[number].delivery]
            assert state == "failed"
            assert expected in error["message"]
            assert f"trigger sums{number}" in error["message"]
        assert engine.query("select distinct attempt from pgflow.outcome") == [(1,)], "none is tried again"
        for number, answer in enumerate(answers):
            shop.triggers.put(f"sums{number}", "add", path=f"sums{number}", secrets=["SHOP"], input={"a": 1, "b": 2})
            assert shop.redrive(answer.delivery) == [answer.delivery]
        await eventually(lambda: len(runs(engine)) == len(FAILING))


async def test_a_trigger_that_is_gone_fails_for_good_and_a_paused_one_starts_what_was_received(
    shop: Client, hooks: Hooks, database: Settings, engine: Engine
) -> None:
    shop.triggers.create("gone", "add", path="gone", secrets=["SHOP"], input=MAPPED)
    shop.triggers.create("paused", "add", path="paused", secrets=["SHOP"], input=MAPPED)
    gone = hooks.deliver("gone", b'{"a": 1, "b": 1}')
    hooks.deliver("paused", b'{"a": 1, "b": 1}')
    shop.triggers.remove("gone")
    shop.triggers.pause("paused")
    async with executing(database, apps.app.tasks):
        await done(engine, 3)
    assert outcomes(engine)[gone.delivery][2]["message"] == "there is no webhook trigger gone"
    assert [row[1] for row in runs(engine)] == ["hook:paused/msg_1"]


async def test_a_delivery_without_an_id_starts_one_run_through_all_retries(
    shop: Client, hooks: Hooks, database: Settings, engine: Engine
) -> None:
    shop.triggers.create("sums", "add", path="sums", signature="none", input=MAPPED)
    answers = [hooks.post("sums", b'{"a": 1, "b": 1}', {}) for _ in range(2)]
    assert answers[0].delivery != answers[1].delivery
    async with executing(database, apps.app.tasks):
        await done(engine, 4)
    assert {row[1] for row in runs(engine)} == {f"hook:sums#{answer.delivery}" for answer in answers}


def test_a_worker_that_is_killed_between_start_and_settlement_starts_one_run(
    shop: Client, hooks: Hooks, database: Settings, engine: Engine
) -> None:
    quick = {"PGFLOW_LEASE": "1", "PGFLOW_HEARTBEAT": "0.3"}
    shop.triggers.create("sums", apps.add, path="sums", secrets=["SHOP"], input=MAPPED, filter="body.a > 0")
    with psycopg.connect(database.require_url()) as blocker:
        # Nothing can be settled, everything can be started.
        blocker.execute("lock table pgflow.outcome in share mode")
        with worker(database, **quick) as first:
            answer = hooks.deliver("sums", b'{"a": 1, "b": 2}')
            until(lambda: runs(engine))
            first.kill()
        # Its sessions wait for the lock, or are about to, and would still settle once they have it.
        engine.query(
            "select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = current_database()"
            " and application_name ~ '^pgflow (claim|settle|heart|leader|history|housekeeping)'"
        )
        blocker.rollback()
    assert answer.delivery not in outcomes(engine)
    with worker(database, **quick):
        until(lambda: len(outcomes(engine)) == 2)
    ((run, _, _, _),) = runs(engine)
    assert outcomes(engine)[answer.delivery][:2] == (State.COMPLETED, {"started": run, "duplicate": True})
    assert engine.query("select attempt from pgflow.outcome where task_id = %s", answer.delivery)[0][0] > 1
