"""Publishing, drafts and starting, on the real database."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine import workflows as stored
from pgflow.errors import ArgumentError, IdempotencyConflict, NotFound
from pgflow.graph.builder import Graph
from pgflow.graph.inputs import InputError
from pgflow.nodes.publishing import AsyncWorkflows, Conflict, InvalidDefinition, Workflows
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.testing.plugin import Engines
from tests.fixtures.database import Engine

NOOP = {"type": "noop"}
DAY = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]}


def graph(name: str = "report", **fields: Any) -> dict[str, Any]:
    return {"name": name, "nodes": {"a": NOOP}, **fields}


@pytest.fixture
def client(database: Settings) -> Iterator[Client]:
    with Client(database, actor="ann") as client:
        yield client


@pytest.fixture
def workflows(client: Client) -> Workflows:
    return Workflows(client)


def versions(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.query("select name, version, kind, actor from pgflow.definition order by name, version")


def test_a_version_is_made_when_it_says_something_else(workflows: Workflows, engine: Engine) -> None:
    first = workflows.publish(graph(timeout="1m"))
    assert (first.name, first.version, first.done) == ("report", 1, "created")
    same = workflows.publish(graph(timeout=60, priority="normal"))
    assert (same.version, same.done) == (1, "unchanged")
    assert workflows.publish(graph(timeout="2m")).version == 2
    assert workflows.publish(graph(timeout="1m")).version == 3, "back again is a version, too"
    assert versions(engine) == [("report", number, "graph", "ann") for number in (1, 2, 3)]
    assert [one.version for one in workflows.versions("report", limit=2)] == [3, 2]
    assert [one.version for one in workflows.versions("report", before=3)] == [2, 1]
    assert workflows.get("report").version == 3
    assert workflows.get("report", 2).document == graph(timeout="2m")
    assert str(workflows.diff("report", 1, 2)) == "~ timeout: 60.0 -> 120.0"
    assert not workflows.diff("report", 1)
    assert str(workflows.diff("report", 3, graph())) == "~ timeout: - 60.0"


def test_it_is_kept_as_it_was_written(workflows: Workflows) -> None:
    properties = {name: {"type": "string"} for name in ("zeta", "alpha", "m")}
    document = graph(input={"properties": properties}, timeout="90s")
    document["nodes"] = {"z": NOOP, "a": NOOP}
    workflows.publish(document)
    kept = workflows.get("report").document
    assert kept == document
    assert list(kept["input"]["properties"]) == ["zeta", "alpha", "m"], "forms show them in this order"
    assert list(kept["nodes"]) == ["z", "a"]
    text = workflows.export("report")
    assert text.startswith("name: report\nnodes:\n  z:\n    type: noop\n")
    assert "timeout: 90s" in text
    assert workflows.export("report", form="json").startswith('{\n  "name": "report"')


def test_what_is_wrong_is_not_published(workflows: Workflows, engine: Engine) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        workflows.publish({"name": "bad", "nodes": {"a": {"type": "noop", "timeout": "x"}, "b": {"type": "nope"}}})
    assert [one.path for one in caught.value.problems] == ["nodes.a.timeout", "nodes.b.type"]
    assert "the definition bad: 2 things are wrong:" in str(caught.value)
    verdict = workflows.validate({"name": "x"})
    assert verdict.definition is None
    assert [one.path for one in verdict.problems] == ["nodes"]
    assert versions(engine) == []


def test_only_over_the_version_that_is_expected(workflows: Workflows) -> None:
    with pytest.raises(Conflict, match="report is not published, and version 1 was expected"):
        workflows.publish(graph(), expected=1)
    assert workflows.publish(graph(), expected=0).version == 1
    with pytest.raises(Conflict, match="report is at version 1, and version 0 was expected"):
        workflows.publish(graph(title="x"), expected=0)
    assert workflows.publish(graph(title="x"), expected=1).version == 2


def test_positions_are_kept_when_they_are_not_given(workflows: Workflows) -> None:
    at = {"x": 1.0, "y": 2.0}
    workflows.publish(graph(nodes={"a": {"type": "noop", "position": at}, "b": NOOP}))
    assert workflows.publish(graph(nodes={"a": NOOP, "b": NOOP})).done == "unchanged"
    workflows.publish(graph(nodes={"a": {"type": "delay", "config": {"time": 1}}, "b": NOOP}))
    assert workflows.get("report").document["nodes"]["a"]["position"] == at
    moved = graph(nodes={"a": {"type": "delay", "config": {"time": 1}, "position": {"x": 3, "y": 4}}, "b": NOOP})
    assert workflows.publish(moved).version == 3, "moving it on purpose is a version"


def test_two_who_publish_at_once_each_make_a_version_or_find_it_made(database: Settings, engine: Engine) -> None:
    done: list[Any] = []

    def publish(number: int) -> None:
        with Client(database) as client:
            done.append(Workflows(client).publish(graph(title=f"title {number % 4}")))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
    made = [one.version for one in done if one.done == "created"]
    assert sorted(made) == list(range(1, len(made) + 1))
    assert [version for _, version, *_ in versions(engine)] == sorted(made)


def test_a_workflow_in_code_is_not_replaced(workflows: Workflows, engine: Engine) -> None:
    document = b'{"queue": "orders", "input": {"type": "object", "required": ["id"], "properties": {"id": {}}}}'
    engine.run(stored.define([stored.Definition("order", "code", b"x", document)]))
    with pytest.raises(ArgumentError, match="order is a workflow in code"):
        workflows.publish(graph("order"))
    with pytest.raises(ArgumentError, match="it has no definition"):
        workflows.export("order")
    with pytest.raises(InputError, match=r"input.id: this is missing"):
        workflows.start("order")
    run = workflows.start("order", {"id": 1})
    assert engine.query("select queue from pgflow.task where id = %s", run.id) == [("orders",)]


def test_the_list_has_what_is_published_and_what_is_drafted(workflows: Workflows, engine: Engine) -> None:
    for name in ("c", "a", "b"):
        workflows.publish(graph(name, title=f"Title {name}"))
    workflows.publish(graph("b", nodes={"a": NOOP, "x": NOOP}))
    workflows.save_draft("b", graph("b"))
    workflows.save_draft("aa", {"title": "Not yet"})
    found = [(one.name, one.version, one.kind, one.title, one.nodes, one.draft) for one in workflows.list()]
    assert found == [
        ("a", 1, "graph", "Title a", 1, None),
        ("aa", None, None, "Not yet", None, 1),
        ("b", 2, "graph", None, 2, 1),
        ("c", 1, "graph", "Title c", 1, None),
    ]
    assert [one.name for one in workflows.list(limit=2)] == ["a", "aa"]
    assert [one.name for one in workflows.list(limit=2, after="aa")] == ["b", "c"]
    assert workflows.list(after="c") == []


def test_what_is_not_there_is_told_with_what_may_be_meant(workflows: Workflows) -> None:
    workflows.publish(graph())
    for verb in (workflows.get, workflows.versions, workflows.export, workflows.start):
        with pytest.raises(NotFound, match=r"there is no workflow reprot\n  -> did you mean report\?"):
            verb("reprot")
    with pytest.raises(NotFound, match=r"report has no version 7\n  -> the newest is 1"):
        workflows.get("report", 7)
    with pytest.raises(NotFound, match="there is no draft of report"):
        workflows.draft("report")


# Triggers


def outside(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.query(
        "select name, 'schedule', paused_at is not null, source, start from pgflow.schedule"
        " union all select name, kind, paused_at is not null, source, start from pgflow.trigger order by 1"
    )


TRIGGERS = [
    {"cron": "0 6 * * 1-5", "input": {"day": "${trigger.fire_date}"}, "tags": {"by": "clock"}},
    {"every": "1h", "input": {"day": "2026-01-01"}},
    {"webhook": {"signature": "hmac-sha256"}},
    {"event": "closed", "filter": "event.payload.final", "input": {"day": "${event.payload.day}"}, "name": "closed"},
]  # fmt: skip


def test_triggers_come_and_go_with_versions(workflows: Workflows, engine: Engine) -> None:
    document = graph(input=DAY, queue="reports", priority="low", tags={"team": "ops"}, triggers=TRIGGERS)
    done = workflows.publish(document)
    names = ["report:closed", "report:schedule", "report:schedule-2", "report:webhook"]
    assert done.triggers == dict.fromkeys(names, "created")
    start = {"name": "report", "queue": "reports", "priority": 3}
    assert outside(engine) == [
        ("report:closed", "event", False, "definition:report",
         {**start, "tags": {"team": "ops"}, "input": {"day": "${event.payload.day}"}}),
        ("report:schedule", "schedule", False, "definition:report",
         {**start, "tags": {"team": "ops", "by": "clock"}, "input": {"day": "${trigger.fire_date}"}}),
        ("report:schedule-2", "schedule", False, "definition:report",
         {**start, "tags": {"team": "ops"}, "input": {"day": "2026-01-01"}}),
        ("report:webhook", "webhook", False, "definition:report",
         {**start, "tags": {"team": "ops"}, "input": "${body}"}),
    ]  # fmt: skip
    ((path, settings),) = engine.query("select path, settings from pgflow.trigger where kind = 'webhook'")
    assert path == "report"
    assert settings["secrets"] == ["REPORT_WEBHOOK_SECRET"]
    assert settings["signature"]["kind"] == "standard"

    again = workflows.publish(document)
    assert (again.done, again.triggers) == ("unchanged", dict.fromkeys(names, "unchanged"))
    later = workflows.publish(document | {"triggers": [{**TRIGGERS[0], "cron": "0 7 * * *"}]})
    assert later.triggers == {
        "report:closed": "removed", "report:webhook": "removed", "report:schedule-2": "paused",
        "report:schedule": "changed",
    }  # fmt: skip
    assert [(name, paused) for name, _, paused, *_ in outside(engine)] == [
        ("report:schedule", False), ("report:schedule-2", True),
    ]  # fmt: skip
    back = workflows.publish(document)
    assert back.triggers["report:schedule-2"] == "changed"
    assert not any(paused for _, _, paused, *_ in outside(engine)), "what comes back goes on"


def test_a_pause_by_hand_stays(workflows: Workflows, client: Client, engine: Engine) -> None:
    workflows.publish(graph(triggers=[{"every": "1h"}]))
    client.schedules.pause("report:schedule")
    workflows.publish(graph(title="x", triggers=[{"every": "2h"}]))
    assert [paused for _, _, paused, *_ in outside(engine)] == [True]


def test_nothing_happens_when_a_trigger_cannot_be_made(workflows: Workflows, client: Client, engine: Engine) -> None:
    client.triggers.create("mine", "other", path="report", signature="none")
    with pytest.raises(ArgumentError, match="the path report is that of the trigger mine"):
        workflows.publish(graph(triggers=[{"every": "1h"}, {"webhook": {"signature": "none"}}]))
    assert versions(engine) == []
    assert [name for name, *_ in outside(engine)] == ["mine"]
    client.schedules.create("report:schedule", "other", every="1h")
    with pytest.raises(ArgumentError, match="report:schedule is there already, kept up to date by client"):
        workflows.publish(graph(triggers=[{"every": "1h"}]))
    assert versions(engine) == []
    done = workflows.publish(graph(triggers=[{"every": "1h", "name": "hourly"}]))
    assert done.triggers == {"report:hourly": "created"}


@pytest.mark.parametrize(
    ("trigger", "schema", "input"),
    [
        ({"webhook": {"signature": "none"}}, {}, {"body": "${body}", "headers": "${headers}"}),
        ({"webhook": {"signature": "none"}}, DAY, "${body}"),
        ({"webhook": {"signature": "none"}, "input": {"day": "${body.day}"}}, DAY, {"day": "${body.day}"}),
        (
            {"webhook": {"signature": "none"}},
            {"properties": {"body": {}}},
            {"body": "${body}", "headers": "${headers}"},
        ),
        ({"event": "x"}, {}, {"event": "${event}"}),
        ({"event": "x"}, DAY, "${event.payload}"),
        ({"event": "x", "input": "${event.payload.report}"}, DAY, "${event.payload.report}"),
    ],
)
def test_what_a_run_is_given_that_is_started_from_outside(
    workflows: Workflows, engine: Engine, trigger: Mapping[str, Any], schema: Mapping[str, Any], input: Any
) -> None:
    workflows.publish(graph(input=schema, triggers=[trigger]))
    ((*_, start),) = outside(engine)
    assert start["input"] == input


async def test_a_webhook_and_a_schedule_start_the_graph(pgflow_engine: Engines, pgflow_database: Settings) -> None:
    engine = pgflow_engine(App())
    document = graph(
        input=DAY, nodes={"say": {"type": "transform", "config": {"value": "it is ${input.day}"}}},
        output="${nodes.say.output}", triggers=[{"webhook": {"signature": "none"}}],
    )  # fmt: skip
    async with AsyncClient(pgflow_database) as client:
        await AsyncWorkflows(client).publish(document)
        headers = {"content-type": "application/json"}
        received = await client.triggers.receive("report", headers, b'{"day": "2026-05-01"}')
        assert received.status == 202
        await engine.result(received.delivery)
        ((run,),) = await runs(client)
        assert await engine.result(run) == "it is 2026-05-01"
        bad = await client.triggers.receive("report", headers, b'{"day": "tomorrow"}')
        await engine.result(bad.delivery)
        (_, (failed,)) = await runs(client)
        with pytest.raises(Exception, match=r"report does not take this input: input.day: this is no date"):
            await engine.result(failed)


async def runs(client: AsyncClient) -> list[tuple[int]]:
    pool = await client._require_pool()
    async with pool.connection() as connection:
        return await (
            await connection.execute("select id from pgflow.run where name = 'report' order by id")
        ).fetchall()


# Starting


def test_a_run_is_started_with_what_the_definition_says(workflows: Workflows, engine: Engine) -> None:
    schema = {"properties": {"day": {"type": "string"}, "days": {"type": "integer", "default": 7}}, "required": ["day"]}
    workflows.publish(graph(input=schema, queue="reports", priority="high", tags={"team": "ops"}))
    run = workflows.start("report", {"day": "x"}, key="k", tags={"by": "ann"})
    ((queue, priority, input, tags),) = engine.query(
        "select t.queue, t.priority, t.input, t.tags from pgflow.task t where t.id = %s", run.id
    )
    assert (queue, priority, input, tags) == (
        "reports", 1, {"day": "x", "days": 7}, {"team": "ops", "by": "ann"},
    )  # fmt: skip
    assert workflows.start("report", {"day": "x", "days": 7}, key="k") == run.__class__(run.id, True)
    with pytest.raises(IdempotencyConflict):
        workflows.start("report", {"day": "y"}, key="k")
    with pytest.raises(InputError) as caught:
        workflows.start("report", {"days": "many"})
    assert {one.path for one in caught.value.problems} == {"input.day", "input.days"}
    later = workflows.start("report", {"day": "x"}, delay="1h", priority="low", queue="other")
    assert engine.query(
        "select queue, priority from pgflow.task where id = %s", later.id
    ) == [("other", 3)]  # fmt: skip
    assert engine.state(later.id) == "scheduled"


async def test_a_run_follows_the_newest_version_when_it_begins_and_stays_with_it(
    pgflow_engine: Engines, pgflow_database: Settings
) -> None:
    engine = pgflow_engine(App())

    def document(value: int) -> dict[str, Any]:
        nodes = {
            "first": {"type": "transform", "config": {"value": value}},
            "wait": {"type": "signal", "config": {"signal": "go"}},
            "last": {"type": "transform", "config": {"value": value}},
        }
        edges = [{"from": "first", "to": "wait"}, {"from": "wait", "to": "last"}]
        return {
            "name": "report",
            "nodes": nodes,
            "edges": edges,
            "output": "${[nodes.first.output, nodes.last.output]}",
        }

    async with AsyncClient(pgflow_database) as client:
        workflows = AsyncWorkflows(client)
        await workflows.publish(document(1))
        run = await workflows.start("report")
        await engine.drive()
        late = await workflows.start("report")
        await workflows.publish(document(2))
        for one in (run, late):
            await client.signal(one.id, "go")
        assert await engine.result(run.id) == [1, 1]
        assert await engine.result(late.id) == [2, 2]


async def test_a_run_that_starts_later_runs(pgflow_engine: Engines, pgflow_database: Settings) -> None:
    engine = pgflow_engine(App())
    async with AsyncClient(pgflow_database) as client:
        await AsyncWorkflows(client).publish(graph(output="done"))
        run = await AsyncWorkflows(client).start("report", delay="1h")
        assert await engine.result(run.id) == "done"


# Drafts


def test_a_draft_need_not_make_sense_until_it_is_published(workflows: Workflows, engine: Engine) -> None:
    first = workflows.save_draft("report", {"name": "report", "nodes": {"a": {"type": "nope"}}}, revision=0)
    assert (first.revision, first.base, first.actor) == (1, 0, "ann")
    with pytest.raises(InvalidDefinition, match="there is no node type 'nope'"):
        workflows.publish_draft("report")
    second = workflows.save_draft("report", graph(), revision=1)
    assert second.revision == 2
    assert second.changed_at > first.changed_at
    assert workflows.draft("report") == second
    done = workflows.publish_draft("report", revision=2)
    assert (done.version, done.done) == (1, "created")
    with pytest.raises(NotFound):
        workflows.draft("report")
    assert versions(engine) == [("report", 1, "graph", "ann")]


def test_nobody_overwrites_what_somebody_else_saved(workflows: Workflows) -> None:
    with pytest.raises(Conflict, match="there is no draft of report any more, and revision 3 was expected"):
        workflows.save_draft("report", graph(), revision=3)
    workflows.save_draft("report", graph())
    with pytest.raises(Conflict, match="is at revision 1, by ann, and none was expected"):
        workflows.save_draft("report", graph(), revision=0)
    workflows.save_draft("report", graph(title="x"), revision=1)
    for verb in (workflows.discard_draft, workflows.publish_draft):
        with pytest.raises(Conflict, match="is at revision 2, by ann, and 1 was expected"):
            verb("report", revision=1)
    assert workflows.save_draft("report", graph(title="y")).revision == 3, "without a revision it is overwritten"
    workflows.discard_draft("report", revision=3)
    with pytest.raises(NotFound):
        workflows.discard_draft("report")


def test_a_draft_does_not_undo_what_was_published_meanwhile(workflows: Workflows) -> None:
    workflows.publish(graph())
    draft = workflows.save_draft("report", graph(title="mine"))
    assert draft.base == 1
    workflows.publish(graph(title="theirs"))
    with pytest.raises(Conflict, match="report is at version 2, and version 1 was expected"):
        workflows.publish_draft("report")
    assert workflows.draft("report").revision == 1, "it is still there"
    workflows.save_draft("report", graph(title="mine, with theirs"), base=2)
    assert workflows.publish_draft("report").version == 3
    workflows.save_draft("report", graph(title="again"))
    workflows.publish(graph(title="once more"))
    assert workflows.publish_draft("report", force=True).version == 5


def test_a_draft_is_of_the_workflow_it_names(workflows: Workflows) -> None:
    workflows.save_draft("report", graph("other"))
    with pytest.raises(InvalidDefinition, match="this is the draft of report, and says 'other'"):
        workflows.publish_draft("report")
    with pytest.raises(ArgumentError, match="is no name for a workflow"):
        workflows.save_draft("a b", {})
    with pytest.raises(ArgumentError, match="the draft of report is no object"):
        workflows.save_draft("report", [])  # type: ignore[arg-type]


# Both colours, and one's own transaction


def test_in_ones_own_transaction_it_is_published_when_that_commits(client: Client, engine: Engine) -> None:
    connection = engine.connection
    with connection.transaction(force_rollback=True):
        mine = Workflows(client.on(connection))
        assert mine.publish(graph(triggers=[{"every": "1h"}])).version == 1
        run = mine.start("report")
        assert mine.get("report").version == 1
    assert versions(engine) == outside(engine) == engine.query("select 1 from pgflow.task where id = %s", run.id) == []


async def test_the_async_verbs_do_the_same(database: Settings) -> None:
    async with AsyncClient(database, actor="ann") as client:
        workflows = AsyncWorkflows(client)
        built = Graph("report")
        built.node("a", "noop")
        assert (await workflows.publish(built)).version == 1
        draft = await workflows.save_draft("report", graph(title="x"))
        assert await workflows.draft("report") == draft
        assert (await workflows.publish_draft("report", revision=1)).version == 2
        assert [one.version for one in await workflows.versions("report")] == [2, 1]
        assert (await workflows.get("report", 1)).document == built.document()
        assert str(await workflows.diff("report", 1)) == '~ title: + "x"'
        assert (await workflows.export("report", 1)).startswith("name: report")
        assert [one.name for one in await workflows.list()] == ["report"]
        assert (await workflows.start("report", key="k")).id == (await workflows.start("report", key="k")).id
        await workflows.save_draft("report", {})
        await workflows.discard_draft("report")
        assert workflows.validate(graph()).problems == []
        assert workflows.schema()["title"] == "pgflow definition"
        async with (await client._require_pool()).connection() as connection, connection.transaction():
            assert (await AsyncWorkflows(client.on(connection)).publish(graph())).version == 3


def test_the_two_colours_have_the_same_verbs() -> None:
    def verbs(kind: type) -> dict[str, Any]:
        return {
            name: inspect.signature(verb).replace(return_annotation=None)
            for name, verb in vars(kind).items() if not name.startswith("_")
        }  # fmt: skip

    assert verbs(Workflows) == verbs(AsyncWorkflows)
    for name, verb in vars(Workflows).items():
        if not name.startswith("_"):
            assert verb.__doc__, name
            assert inspect.signature(verb).return_annotation == inspect.signature(
                vars(AsyncWorkflows)[name]
            ).return_annotation  # fmt: skip
