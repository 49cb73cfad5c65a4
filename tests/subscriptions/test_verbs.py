"""`client.subscriptions` in both colours, and the statements below it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fnmatch import fnmatchcase

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.engine import enqueue as enqueueing
from pgflow.engine import leases, subscriptions, workers
from pgflow.engine.limits import Limit
from pgflow.engine.subscriptions import QUEUE, Subscription
from pgflow.errors import ArgumentError, NotFound
from pgflow.model import EventType, Lane, Settlement, State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.registry.subscriptions import AsyncSubscriptions, Subscriptions, slot_of, subscription_of
from tests.engine.test_plans import HOT, explained, explaining, fill, nodes  # noqa: F401 (a fixture)
from tests.fixtures.database import Engine

URL = "https://example.com/hook"


def public(cls: type) -> dict[str, list[str]]:
    return {
        name: [f"{p.name}:{p.kind}:{p.annotation}:{p.default}" for p in inspect.signature(method).parameters.values()]
        for name, method in vars(cls).items()
        if not name.startswith("_") and callable(method)
    }


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    assert public(Subscriptions) == public(AsyncSubscriptions)


def finished(engine: Engine, count: int = 1, **given: object) -> None:
    """Tasks that were completed just now."""
    engine.register(1)
    engine.enqueue(count, **given)  # type: ignore[arg-type]
    engine.settle(*engine.claim(count))


def test_the_verbs_work_in_sync_code(database: Settings, engine: Engine) -> None:
    with Client(database, actor="ann") as client:
        made = client.subscriptions.create("a", URL, types=["task.completed"])
        assert (made.name, made.actor, made.types, made.revision) == ("a", "ann", ["task.completed"], 1)
        assert client.subscriptions.put("a", URL, types=["task.completed"]) == "unchanged"
        assert client.subscriptions.put("a", URL) == "changed"
        assert client.subscriptions.put("b", "mailto:ann@example.com") == "created"
        assert [one.name for one in client.subscriptions.list()] == ["a", "b"]
        assert client.subscriptions.disable("a", "b", why="holidays") == ["a", "b"]
        assert client.subscriptions.put("a", URL, types=["*"]) == "changed"
        assert client.subscriptions.get("a").disabled_why == "holidays"
        finished(engine)
        assert client.subscriptions.deliveries("a") == []
        assert client.subscriptions.enable("a") == ["a"]
        assert client.subscriptions.enable("a") == []
        assert client.subscriptions.remove("a") == ["a"]
        with pytest.raises(NotFound):
            client.subscriptions.get("a")
        with pytest.raises(ArgumentError):
            client.subscriptions.disable("b", why=" ")


async def test_deliveries_come_in_pages_newest_first(client: AsyncClient, engine: Engine) -> None:
    await client.subscriptions.create("a", URL, types=["task.completed"])
    await client.subscriptions.create("b", URL, types=["task.completed"])
    finished(engine, 25)
    whole = await client.subscriptions.deliveries("a")
    assert len(whole) == 25
    first = await client.subscriptions.deliveries("a", limit=10)
    second = await client.subscriptions.deliveries("a", limit=100, before=first[-1])
    assert [*first, *second] == list(whole)
    ids = [delivery.event_id for delivery in whole]
    assert ids == sorted(ids, reverse=True)  # type: ignore[type-var]
    assert await client.subscriptions.deliveries("a", state="completed") == []
    with pytest.raises(ArgumentError, match="no state"):
        await client.subscriptions.deliveries("a", state="lost")
    assert await client.subscriptions.redeliver("a", whole[0].id) == []  # still on its way


async def test_the_queue_of_deliveries_is_limited_per_host_unless_somebody_says_otherwise(client: AsyncClient) -> None:
    await client.subscriptions.create("a", URL)
    (limit,) = await client.limits()
    assert (limit["queue"], limit["concurrency"], limit["slot_concurrency"]) == (QUEUE, 16, 2)
    await client.limit_queue(QUEUE, Limit(slot_concurrency=7))
    await client.subscriptions.create("b", URL)
    assert [limit["slot_concurrency"] for limit in await client.limits()] == [7]
    await client.lift_limit(QUEUE)
    await client.subscriptions.put("b", URL, runs_only=True)
    assert await client.limits() == []


async def test_deliveries_go_without_a_limit_too(client: AsyncClient, engine: Engine) -> None:
    await client.subscriptions.create("a", URL, types=["task.completed"])
    await client.lift_limit(QUEUE)
    finished(engine)
    (delivery,) = await client.subscriptions.deliveries("a")
    assert delivery.state == "queued"
    assert [claimed.name for claimed in engine.claim(queue=QUEUE)] == ["pgflow.deliver"]


@pytest.mark.parametrize(
    ("url", "slot"),
    [
        ("https://Example.com:8443/x", "example.com"),
        ("https://example.com./x", "example.com"),
        ("http://[2606:4700::1111]/", "2606:4700::1111"),
        ("${secrets.CHAT_URL}", "subscription:a"),
        ("mailto:ann@example.com", "mail"),
    ],
)
def test_deliveries_take_turns_by_host(url: str, slot: str) -> None:
    assert slot_of(subscription_of("a", url)) == slot


@pytest.mark.parametrize(
    "patterns", [["*"], ["task.*"], ["*.failed"], ["workflow.parked", "step.*"], ["*e*"], ["node.started"]]
)
def test_the_database_matches_types_as_people_would(engine: Engine, patterns: list[str]) -> None:
    engine.run(subscriptions.put(Subscription(name="a", types=patterns, url=URL), "x"))
    ((kinds,),) = engine.query("select kinds::text[] from pgflow.subscription")
    assert kinds == [kind for kind in EventType if any(fnmatchcase(kind, pattern) for pattern in patterns)]


async def test_of_what_happened_goes_out_only_what_is_meant_to(client: AsyncClient, engine: Engine) -> None:
    """Neither results of steps nor payloads of signals nor tracebacks."""
    await client.subscriptions.create("all", URL, types=["*"])
    engine.register(1)
    (task,) = engine.enqueue()
    for kind, data in {
        "step.completed": {"result": "hidden-1"},
        "signal.received": {"payload": "hidden-2"},
        "timer.created": {"due_at": "2030-01-01T00:00:00Z", "x": "hidden-3"},
        "task.failed": {"error": {"type": "E", "message": "shown-1", "traceback": "hidden-4", "kinds": ["hidden-5"]}},
        "workflow.parked": {
            "type": "HistoryMismatch",
            "message": "shown-2",
            "recorded": "hidden-6",
            "reason": "paused",
        },
        "node.completed": {"output": "hidden-7"},
    }.items():
        engine.query(
            "insert into pgflow.event (root_id, task_id, type, key, at, data) values (%s, %s, %s, 'k', now(), %s)"
            " returning id",
            task, task, kind, psycopg.types.json.Jsonb(data),
        )  # fmt: skip
    ((inputs,),) = engine.query("select string_agg(input::text, ' ') from pgflow.task where name = 'pgflow.deliver'")
    assert "hidden" not in inputs
    assert "shown-1" in inputs
    assert "shown-2" in inputs


async def test_of_the_engine_s_own_tasks_only_those_of_nodes_are_told(client: AsyncClient, engine: Engine) -> None:
    await client.subscriptions.create("all", URL, types=["*"])
    engine.register(1)
    for name in ("pgflow.emit", "pgflow.deliver", "pgflow.node.http", "pgflows"):
        engine.enqueue(name=name)
    engine.claim()
    assert {d.name for d in await client.subscriptions.deliveries("all")} == {"pgflow.node.http", "pgflows"}


async def test_only_runs_are_told_when_only_they_are_asked_for(client: AsyncClient, engine: Engine) -> None:
    from pgflow.engine import children
    from pgflow.engine.enqueue import Request, Spec

    await client.subscriptions.create("runs", URL, types=["task.completed"], runs_only=True)
    await client.subscriptions.create("all", URL, types=["task.completed"])
    engine.register(1)
    engine.enqueue()
    (parent,) = engine.claim()
    engine.run(children.spawn([children.Child(parent.task_id, parent.epoch, "c", Request(Spec("noop"), b"{}"))], 1))
    (child,) = engine.claim()
    engine.settle(child)
    engine.settle(parent)
    assert [d.task_id for d in await client.subscriptions.deliveries("all")] == [parent.task_id, child.task_id]
    assert [d.task_id for d in await client.subscriptions.deliveries("runs")] == [parent.task_id]


def test_workers_may_do_all_that_subscriptions_need(engine: Engine) -> None:
    engine.connection.execute("set role pgflow_worker")
    assert engine.run(subscriptions.put(Subscription(name="a", types=["task.*"], url=URL), "x")) == "created"
    finished(engine)
    (one,) = engine.run(subscriptions.subscriptions())
    assert len(engine.run(subscriptions.deliveries(one.id))) == 2
    assert engine.run(subscriptions.address(one.id, 1, 1)).run_name == "noop"
    assert engine.run(subscriptions.failed(one.id, "e", given_up=True)) is None
    assert engine.run(subscriptions.subscriptions(["a"]))[0].failures == 1
    engine.run(subscriptions.delivered(one.id))
    assert engine.run(subscriptions.subscriptions(["a"]))[0].failing_since is None
    assert engine.run(subscriptions.failed(one.id, "e", given_up=False, gone="gone")) == "gone"
    assert engine.run(subscriptions.failed(one.id, "e", given_up=True)) is None  # it is disabled already
    assert engine.run(subscriptions.enable(["a"])) == ["a"]
    assert engine.run(subscriptions.disable(["a"], "why")) == ["a"]
    assert engine.run(subscriptions.remove(["a"])) == ["a"]
    assert engine.run(subscriptions.address(one.id, 1, 1)) is None


@pytest.mark.parametrize("statistics", ["never analyzed", "analyzed empty", "analyzed full"])
def test_telling_reaches_its_rows_by_index(
    explaining: Engine,  # noqa: F811 (the fixture)
    engines: Callable[..., Engine],
    statistics: str,
) -> None:
    filler = engines()
    filler.register(9)
    if statistics == "analyzed empty":
        filler.connection.execute("analyze")
    fill(filler)
    filler.run(subscriptions.put(Subscription(name="a", types=["*"], url=URL, names=["n*"]), "x"))
    filler.enqueue(500)
    claimed = filler.claim(500, worker=9)
    if statistics == "analyzed full":
        filler.connection.execute("analyze")
    (one,) = filler.run(subscriptions.subscriptions())
    done = [Settlement(c.task_id, c.epoch, State.COMPLETED) for c in claimed[:50]]
    calls = {
        "settle": (leases.settle(done, 9), {"subscription_enabled"}),
        "deliveries": (subscriptions.deliveries(one.id, since=one.created_at), set()),
    }
    for name, (call, indexes) in calls.items():
        seen = [node for plan in explained(explaining, call) for node in nodes(plan)]
        for node in seen:
            relation = node.get("Relation Name", "").rstrip("0123456789").rstrip("_")
            slow = node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"}
            assert not (slow and relation in HOT), f"{name}: {node['Node Type']} on {relation}"
        used = {node["Index Name"] for node in seen if "Index Name" in node}
        assert indexes <= used, f"{name} uses {sorted(used)}"
        if name == "deliveries":
            assert any(index.endswith("_key_id_idx") for index in used)
            assert not any("Sort" in node["Node Type"] for node in seen if node["Node Type"] != "Incremental Sort")


def test_another_schema_has_subscriptions_of_its_own(empty_database: Settings) -> None:
    settings = empty_database.model_copy(update={"schema_name": "other"})
    migrations.migrate(settings)
    with connect.open_sync(settings, "test") as connection:
        session = Session(connection, "other")
        session.run(subscriptions.put(Subscription(name="a", types=["task.completed"], url=URL), "x"))
        session.run(
            workers.register(1, host="h", pid=1, version="0", queues=["default"], tasks=[], concurrency=1, lease=30)
        )
        session.run(enqueueing.enqueue([enqueueing.Request(enqueueing.Spec("noop"), b"{}")]))
        (claimed,) = session.run(leases.claim([Lane("default", 2)], [0], 10, 1))
        session.run(leases.settle([Settlement(claimed.task_id, claimed.epoch, State.COMPLETED)], 1))
        (delivery,) = session.run(subscriptions.deliveries(1))
        assert (delivery.type, delivery.state) == ("task.completed", "throttled")
        row = connection.execute("select name, queue from other.task where id = %s", (delivery.id,)).fetchone()
        assert row == ("pgflow.deliver", "pgflow.deliveries")


async def test_a_test_event_does_not_count(client: AsyncClient, engine: Engine) -> None:
    await client.subscriptions.create("a", URL)
    handle = await client.subscriptions.test("a")
    shown = await client.show(handle.id)
    assert (shown["name"], shown["retry"]["max_attempts"]) == ("pgflow.deliver", 1)
    assert await client.subscriptions.deliveries("a") == []
