"""Starts that come at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from pgflow.api.starts import Starts
from pgflow.config import Settings
from pgflow.db.call import AsyncSession, Call
from pgflow.engine import limits
from pgflow.engine.audit_entries import Entry
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import DatabaseUnavailable
from pgflow.sdk.async_client import AsyncClient
from tests.api.conftest import Api
from tests.fixtures.database import Engine

RUNS = "/api/v1/runs"


async def test_each_gets_its_own_run_and_entry_and_they_share_transactions(api: Api, engine: Engine) -> None:
    assert (await api.post(RUNS, {"name": "first"})).status_code == 201, "its name is known from now on"
    answers = await asyncio.gather(
        *(
            api.post(RUNS, {"name": "first", "input": {"n": n}, "priority": "high"}, headers={"X-Request-Id": f"r{n}"})
            for n in range(40)
        )
    )
    assert {one.status_code for one in answers} == {201}
    ids = [int(one.json["id"]) for one in answers]
    given = engine.query("select id, (input ->> 'n')::int, actor from pgflow.task where id = any (%s)", ids)
    assert sorted(given) == sorted((id, n, "token:tester") for n, id in enumerate(ids))
    told = engine.query(
        "select target, after from pgflow.audit_entry where action = 'run.start' and target = any (%s)",
        [f"run:{id}" for id in ids],
    )
    assert sorted(target for target, _ in told) == sorted(f"run:{id}" for id in ids)
    assert all(after == {"name": "first", "key": None} for _, after in told)
    requests = engine.query("select target, request_id from pgflow.audit_entry where action = 'run.start'")
    by_target = dict(requests)
    assert len({by_target[f"run:{id}"] for id in ids}) == 40, "each entry names its own request"
    assert engine.query("select count(*) from pgflow.ready where task_id = any (%s)", ids) == [(40,)]
    assert engine.query("select count(distinct xmin::text) < 20 from pgflow.task") == [(True,)]


async def test_those_of_a_limited_queue_are_admitted_beside_the_others(api: Api, engine: Engine) -> None:
    engine.run(limits.set_limit("few", limits.Limit(concurrency=1)))
    for queue in ("few", "default"):
        await api.post(RUNS, {"name": "known", "queue": queue})
    answers = await asyncio.gather(
        *(api.post(RUNS, {"name": "known", "queue": "few" if n % 2 else "default"}) for n in range(10))
    )
    assert {one.status_code for one in answers} == {201}
    waiting = engine.query("select (select count(*) from pgflow.ready), (select count(*) from pgflow.throttled)")
    assert waiting == [(6 + 1, 5)], "one of `few` may run at a time"


async def test_what_is_wrong_with_one_is_no_fault_of_the_others(database: Settings, engine: Engine) -> None:
    async with AsyncClient(database) as client:
        starts = Starts(client._run)
        inputs = [b'{"n": 1}', b'{"n": "\\u0000"}', b'{"n": 3}']
        found = await asyncio.gather(
            *(starts.start(Request(Spec("any"), input), Entry("token:t", "run.start")) for input in inputs),
            return_exceptions=True,
        )
    assert isinstance(found[1], Exception)
    written = engine.query("select id from pgflow.task where name = 'any' order by id")
    assert sorted(written) == sorted([(found[0],), (found[2],)])
    assert engine.query("select count(*) from pgflow.audit_entry") == [(2,)]


async def test_all_are_told_when_the_database_is_away(database: Settings) -> None:
    connection = await psycopg.AsyncConnection.connect(database.require_url())
    await connection.close()
    tried: list[Call[Any]] = []

    async def run(call: Call[Any]) -> Any:
        tried.append(call)
        return await AsyncSession(connection).run(call)

    starts = Starts(run)
    found = await asyncio.gather(
        *(starts.start(Request(Spec("any"), b"{}"), Entry("token:t", "run.start")) for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [DatabaseUnavailable] * 3
    assert len(tried) == 1, "it is not asked once more for each of them"
