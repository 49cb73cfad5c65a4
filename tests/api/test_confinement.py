"""What operators may not reach: keys of others, the engine's own tasks, events; and what is theirs to the end."""

from __future__ import annotations

from typing import Any

import orjson

from pgflow.config import Settings
from pgflow.graph.document import Definition
from pgflow.model import State
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading

BULK = {"action": "cancel", "which": {"workflow": "payroll.pay"}, "upto": 10**9, "count": 1, "rate": 100}
"""What nobody has looked at a preview of."""
OPTIONS: list[dict[str, Any]] = [{"key": "may"}, {"key": "may", "debounce": 3600}, {"key": "may", "throttle": 3600}]


async def test_a_queue_in_scope_gives_no_way_to_the_keys_of_a_workflow_outside(
    api: Api, askers: Askers, engine: Engine
) -> None:
    paid = {"name": "payroll.pay", "queue": "money", "key": "may", "delay": 3600}
    victim = (await api.post("/api/v1/runs", paid)).json["id"]
    mail = {"name": "payroll.pay", "queue": "mail"}
    limited = askers.token("operator", "queue:mail", "workflow:mail.*")
    for more in OPTIONS:
        for path, body in (("/api/v1/runs", {**mail, **more}), ("/api/v1/tasks", {"items": [mail, {**mail, **more}]})):
            told = await api.post(path, body, token=limited)
            assert (told.status_code, told.json["code"]) == (403, "forbidden"), (path, more)
            assert "keys are a workflow's" in told.json["detail"]
    told = await api.post("/api/v1/runs", mail, token=limited, headers={"Idempotency-Key": "may"})
    assert (told.status_code, "keys are a workflow's" in told.json["detail"]) == (403, True)
    told = await api.post("/api/v1/workflows/payroll.pay/trigger", {"queue": "mail"}, token=limited)
    assert told.status_code == 403
    assert engine.query("select count(*) from pgflow.task") == [(1,)]
    assert engine.state(int(victim)) == "scheduled"
    signals = [
        await api.post("/api/v1/signals", {"workflow": "payroll.pay", "key": key, "name": "go"}, token=limited)
        for key in ("may", "june")
    ]
    assert [one.json["detail"].replace("june", "may") for one in signals] == [signals[0].json["detail"]] * 2
    # Without a key the queue is enough, and with the workflow in scope a key is theirs.
    assert (await api.post("/api/v1/runs", mail, token=limited)).status_code == 201
    assert (await api.post("/api/v1/tasks", {"items": [mail]}, token=limited)).status_code == 201
    for more in OPTIONS:
        told = await api.post("/api/v1/runs", {"name": "mail.send", "queue": "mail", **more}, token=limited)
        assert told.status_code in {200, 201}, told.text


def own_run(engine: Engine, name: str = "pgflow.bulk", queue: str = "pgflow") -> int:
    (id,) = engine.enqueue(name=name, queue=queue, input=orjson.dumps(BULK))
    return id


async def test_nobody_runs_the_engines_own_tasks_again_with_an_input_of_theirs(
    api: Api, askers: Askers, engine: Engine
) -> None:
    id = own_run(engine)
    forged = {"set": {"input.actor": "user:boss"}}
    for token in (askers.token("operator"), askers.token("operator", "queue:pgflow"), askers.token("admin")):
        for verb, body in (("rerun", None), ("rerun", forged), ("fork", {"from_step": "change", **forged})):
            told = await api.post(f"/api/v1/runs/{id}/{verb}", body, token=token)
            assert (told.status_code, told.json["code"]) == (403, "forbidden"), (verb, body)
            assert "pgflow.bulk is the engine's own" in told.json["detail"]
    for name in ("pgflow.emit", "pgflow.deliver"):
        body = {"action": "rerun", "filter": {"workflow": name}}
        told = await api.post("/api/v1/bulk/preview", body)
        assert (told.status_code, "redriven" in told.json["hint"]) == (422, True)
    assert engine.query("select count(*) from pgflow.task") == [(1,)]


async def test_what_the_engine_could_not_do_is_redriven_as_it_was(api: Api, askers: Askers, engine: Engine) -> None:
    id = own_run(engine, "pgflow.deliver", "pgflow.deliveries")
    operator = askers.token("operator")
    for path, body in (
        (f"/api/v1/tasks/{id}/redrive", None),
        ("/api/v1/dead-letters/redrive", {"name": "pgflow.deliver"}),
    ):
        (claimed,) = engine.claim(queue="pgflow.deliveries")
        engine.settle(claimed, state=State.FAILED, error=b'{"type": "E", "message": "m"}')
        assert (await api.post(path, body, token=operator)).json["redriven"] == [str(id)]
    seen = await api.post(
        "/api/v1/bulk/preview", {"action": "redrive", "filter": {"workflow": "pgflow.deliver"}}, token=operator
    )
    assert seen.status_code == 200


NODES: list[dict[str, Any]] = [
    {"type": "task", "config": {"task": "pgflow.bulk", "input": BULK}},
    {"type": "workflow", "config": {"workflow": "pgflow.bulk", "input": BULK}},
    {"type": "map", "config": {"over": [1], "task": "pgflow.bulk", "input": BULK}},
    {"type": "loop", "config": {"task": "pgflow.bulk", "input": BULK, "max_iterations": 1}},
    {"type": "agent", "config": {"prompt": "go", "model": "test", "tools": [{"task": "pgflow.bulk"}]}},
]


async def test_no_definition_names_the_engines_own_tasks_or_is_named_like_one(api: Api) -> None:
    definitions = [{"name": "orders.forged", "nodes": {"a": node}} for node in NODES]
    for definition in (*definitions, {"name": "pgflow.bulk", "nodes": {"a": {"type": "noop"}}}):
        told = await api.post("/api/v1/workflows", definition)
        assert (told.status_code, len(told.json["errors"])) == (422, 1), definition
        assert "the engine's own" in told.json["errors"][0]["message"]


async def test_an_expression_does_not_give_the_name_of_one_either(
    api: Api, askers: Askers, engine: Engine, database: Settings
) -> None:
    limited = askers.token("operator", "workflow:orders.*")
    named = {"type": "task", "queue": "pgflow", "config": {"task": "${input.name}", "input": BULK}}
    made = await api.post("/api/v1/workflows", {"name": "orders.any", "nodes": {"a": named}}, token=limited)
    assert made.status_code == 201, made.text
    (victim,) = engine.enqueue(name="payroll.pay", queue="money")
    body = {"name": "orders.any", "input": {"name": "pgflow.bulk"}}
    run = (await api.post("/api/v1/runs", body, token=limited)).json["id"]
    async with leading(database), executing(database, {}, default=1, pgflow=1):
        await eventually(lambda: engine.state(int(run)) == "failed")
    assert engine.query("select count(*) from pgflow.task where name = 'pgflow.bulk'") == [(0,)]
    assert engine.state(victim) == "queued"


async def test_who_began_a_bulk_sees_and_ends_the_undoing_of_it(api: Api, askers: Askers, engine: Engine) -> None:
    limited, other = askers.token("operator", "workflow:orders.*"), askers.token("operator", "workflow:mail.*")
    engine.enqueue(name="orders.ship")
    asked = {"action": "cancel", "filter": {"workflow": "orders.ship"}}
    seen = (await api.post("/api/v1/bulk/preview", asked, token=limited)).json
    began = await api.post("/api/v1/bulk", {**asked, "confirmation": seen["confirmation"]}, token=limited)
    path = f"/api/v1/bulk/{began.json['id']}"
    assert (await api.post(f"{path}/cancel", token=limited)).status_code == 200
    undone = await api.post(f"{path}/undo")  # whoever undoes it: it concerns what is theirs
    path = undone.headers["location"]
    assert (await api.get(path, token=other)).status_code == 404
    assert (await api.get(path, token=limited)).json["action"] == "undo"
    assert (await api.post(f"{path}/cancel", token=limited)).json["state"] == "cancelled"


GRAPH: dict[str, Any] = {"name": "orders.spy", "nodes": {"a": {"type": "noop"}}}
LISTENING: dict[str, Any] = {**GRAPH, "triggers": [{"event": "*", "input": {"e": "${event}"}}]}


async def test_who_is_limited_does_not_listen_to_events_which_have_no_scope(
    api: Api, askers: Askers, engine: Engine
) -> None:
    limited = askers.token("operator", "workflow:orders.*", "queue:orders")
    spy = {"task": "orders.spy", "queue": "orders", "event": "*", "input": {"e": "${event}"}}
    hook = {"task": "orders.spy", "queue": "orders", "path": "orders/spy", "signature": {"kind": "none"}}
    assert (await api.post("/api/v1/triggers", {"name": "hook", **hook}, token=limited)).status_code == 201
    assert (await api("PUT", "/api/v1/workflows/orders.spy/draft", LISTENING, token=limited)).status_code == 200
    for method, path, body in (
        ("POST", "/api/v1/triggers", {"name": "spy", **spy}),
        ("PUT", "/api/v1/triggers/spy", spy),
        ("PUT", "/api/v1/triggers/hook", spy),
        ("POST", "/api/v1/workflows", LISTENING),
        ("POST", "/api/v1/workflows/orders.spy/draft/publish", None),
    ):
        told = await api(method, path, body, token=limited)
        assert (told.status_code, told.json["code"]) == (403, "forbidden"), (method, path)
        assert "application event" in told.json["detail"]
    assert engine.query("select name from pgflow.trigger") == [("hook",)]
    assert engine.query("select count(*) from pgflow.definition where name = 'orders.spy' and kind = 'graph'") == [(0,)]
    whole = askers.token("operator")
    assert (await api.post("/api/v1/triggers", {"name": "spy", **spy}, token=whole)).status_code == 201


async def test_what_a_definition_listens_to_already_may_stay(api: Api, askers: Askers, engine: Engine) -> None:
    limited = askers.token("operator", "workflow:orders.*")
    assert (await api.post("/api/v1/workflows", LISTENING)).status_code == 201
    more = {**LISTENING, "nodes": {"a": {"type": "noop"}, "b": {"type": "noop"}}}
    assert (await api.post("/api/v1/workflows", more, token=limited)).json["version"] == 2
    wider = {**more, "triggers": [{"event": "order/paid", "name": "event"}]}
    assert (await api.post("/api/v1/workflows", wider, token=limited)).status_code == 403
    assert engine.query("select event from pgflow.trigger") == [("*",)]
    hooked = {**more, "triggers": [{"webhook": {"signature": "none"}}]}
    assert (await api.post("/api/v1/workflows", hooked, token=limited)).json["version"] == 3


def test_a_name_that_only_looks_like_the_engines_own_is_anybodys() -> None:
    assert Definition.model_validate({**GRAPH, "name": "pgflows.mine"}).name == "pgflows.mine"
