"""Starts over HTTP: many in one transaction, with every option there is in code."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest
from falcon.testing import ASGIConductor

from pgflow.api.app import create_app
from pgflow.api.start_request import Retry, StartOptions
from pgflow.backoff import RetryPolicy
from pgflow.config import Settings
from pgflow.db.call import AsyncSession
from pgflow.engine.enqueue import Request
from pgflow.sdk.task import Task
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.runtime import apps

TASKS = "/api/v1/tasks"
RUNS = "/api/v1/runs"
GRAPH = {
    "name": "orders.graph",
    "input": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
    "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}},
}


def item(**more: Any) -> dict[str, Any]:
    return {"name": "orders.ship", **more}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements of transactions."""
    names: list[str] = []
    run = AsyncSession.run

    async def noted(self: AsyncSession, call: Any) -> Any:
        names.append(call.name)
        return await run(self, call)

    monkeypatch.setattr(AsyncSession, "run", noted)
    return names


async def test_a_thousand_are_one_statement(api: Api, engine: Engine, sent: list[str]) -> None:
    items = [item(input={"n": n}, key=f"k{n}" if n % 2 else None) for n in range(999)]
    answer = await api.post(TASKS, {"items": [*items, {"name": "other"}]})
    assert answer.status_code == 201
    assert [name for name in sent if name.startswith("task/")] == ["task/enqueue"]
    assert len(sent) <= 6, "the token, the two names, the tasks, the audit"
    ids = [int(one["id"]) for one in answer.json["items"]]
    assert ids == sorted(set(ids))
    assert engine.query("select input from pgflow.task where id = %s", ids[998]) == [({"n": 998},)]
    again = await api.post(TASKS, {"items": items[1::2]})
    assert [(one["id"], one["existed"]) for one in again.json["items"]] == [(str(id), True) for id in ids[1:999:2]]
    assert engine.query("select count(*) from pgflow.task") == [(1000,)]
    assert engine.query("select action, after ->> 'count' from pgflow.audit_entry") == [("task.enqueue", "1000")]


async def test_what_is_wrong_with_one_is_told_with_its_place_and_none_is_started(
    api_settings: Settings, askers: Askers, engine: Engine
) -> None:
    scoped = askers.token("operator", "workflow:orders.*", "workflow:add")
    admin = askers.token("admin")
    wrong: list[tuple[dict[str, Any], int, str, str]] = [
        (item(delay=-1), 422, "invalid", "$.items[2].delay"),
        (item(delay=1, at="2030-01-01T00:00:00Z"), 422, "invalid", "$.items[2]"),
        (item(throttle=60), 422, "invalid", "$.items[2]"),
        (item(retry={"base": 9, "cap": 1}), 422, "invalid", "$.items[2]"),
        ({"name": "add", "input": {"a": 1}}, 422, "invalid", "$.items[2].input"),
        ({"name": "orders.graph", "input": {"day": 5}}, 422, "invalid", "$.items[2].input.day"),
        ({"name": "orders.graph", "input": {"day": "x"}, "timeout": 5}, 422, "invalid", "$.items[2]"),
        (item(key="taken", input={"b": 2}), 409, "key_reused", "$.items[2]"),
        ({"name": "payroll.pay"}, 403, "forbidden", "$.items[2]"),
        ({"name": "pgflow.bulk"}, 403, "forbidden", "$.items[2]"),
    ]
    async with ASGIConductor(create_app(api_settings, apps.app.tasks)) as conductor:
        api = Api(conductor, admin)
        assert (await api.post("/api/v1/workflows", GRAPH)).status_code == 201
        assert (await api.post(RUNS, item(key="taken", input={"b": 1}))).status_code == 201
        for bad, status, code, path in wrong:
            items = [item(), {"name": "add", "input": {"a": 1, "b": 2}}, bad, item()]
            answer = await api.post(TASKS, {"items": items}, token=scoped)
            assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
            assert [one["path"] for one in answer.json["errors"]] == [path], answer.text
        header = await api.post(TASKS, {"items": [item()]}, headers={"Idempotency-Key": "k"})
        assert (header.status_code, header.json["code"]) == (422, "invalid")
        both = [item(key="k", input={"n": 1}), item(key="k", input={"n": 2})]
        twice = await api.post(TASKS, {"items": both})
        assert (twice.status_code, twice.json["errors"][0]["path"]) == (409, "$.items[1]")
    assert engine.query("select count(*) from pgflow.task") == [(1,)]


def test_what_code_can_say_of_a_start_a_body_can() -> None:
    in_code = inspect.signature(Task.options).parameters.keys() - {"self"} | {field.name for field in fields(Request)}
    other = {"spec", "supersede", "due"}  # name and the rest; what debounce is made of; `at`
    assert in_code - other - StartOptions.model_fields.keys() == set()
    assert Retry.model_fields.keys() == {field.name for field in fields(RetryPolicy)}


async def test_every_option_of_code_can_be_given(api: Api, engine: Engine) -> None:
    retry = {"max_attempts": 3, "backoff": "fixed", "base": "2s", "cap": 5, "jitter": False}
    body = item(retry=retry, timeout="1m", slot="a", queue="orders", priority="low", tags={"c": "1"})
    engine.query("insert into pgflow.definition (name, version, kind, checksum, document, created_at) "
                 "values ('orders.ship', 1, 'code', 'x', '{}', now()) returning 1")  # fmt: skip
    options = {name: value for name, value in body.items() if name != "name"}
    trigger = "/api/v1/workflows/orders.ship/trigger"
    for path, asked in ((RUNS, body), (TASKS, {"items": [body]}), (trigger, options)):
        answer = await api.post(path, asked)
        assert answer.status_code == 201, answer.text
        id = answer.json["items"][0]["id"] if path == TASKS else answer.json["id"]
        shown = (await api.get(f"{RUNS}/{id}")).json
        assert shown["retry"] == {"max_attempts": 3, "backoff": "fixed", "base": 2.0, "cap": 5.0, "jitter": False}
        assert (shown["timeout"], shown["queue"], shown["priority"]) == (60.0, "orders", "low")
        assert engine.query("select slot from pgflow.task where id = %s", int(id)) == [("a",)]
    plain = await api.post(RUNS, item())
    again = await api.post(RUNS, item(retry={"max_attempts": 1}))  # by now the name is known, and one statement will do
    assert (await api.get(f"{RUNS}/{plain.json['id']}")).json["retry"] is None
    assert (await api.get(f"{RUNS}/{again.json['id']}")).json["retry"]["max_attempts"] == 1


@pytest.mark.parametrize("name", ["orders.ship", "orders.graph"])
async def test_starts_are_debounced_and_throttled_by_their_key(api: Api, engine: Engine, name: str) -> None:
    await api.post("/api/v1/workflows", GRAPH)

    async def start(day: str, **more: Any) -> tuple[str, bool]:
        answer = await api.post(RUNS, {"name": name, "input": {"day": day}, **more})
        assert answer.status_code in {200, 201}, answer.text
        return answer.json["id"], answer.json["existed"]

    first, last = [await start(day, key="d", debounce="1h") for day in "ab"]
    assert first[0] != last[0]
    assert [(await api.get(f"{RUNS}/{id}")).json["state"] for id, _ in (first, last)] == ["skipped", "scheduled"]
    once, twice = [await start(day, key="t", throttle="1h") for day in "ab"]
    assert (twice[0], once[1], twice[1]) == (once[0], False, True)
    assert (await api.get(f"{RUNS}/{once[0]}")).json["input"] == {"day": "a"}
    many = [{"name": name, "input": {"day": day}, "key": "m", "throttle": "1h"} for day in "abc"]
    assert len({one["id"] for one in (await api.post(TASKS, {"items": many})).json["items"]}) == 1
    for wrong in ({"debounce": 1}, {"throttle": 1}, {"key": "x", "debounce": 1, "delay": 1},
                  {"key": "x", "debounce": 1, "throttle": 1}, {"key": "x", "throttle": 1, "hold": 1}):  # fmt: skip
        refused = await api.post(RUNS, {"name": name, "input": {"day": "a"}, **wrong})
        assert (refused.status_code, refused.json["code"]) == (422, "invalid"), wrong
