"""A key starts one run, however many ask for it at once, with a Redis or without, and until it is free again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from falcon.testing import ASGIConductor

from pgflow.api.app import create_app
from pgflow.config import Settings
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkey, be_patient

RUNS = "/api/v1/runs"
MANY = 60
BODY = {"name": "orders.ship", "input": {"a": 1}}
KEY = {"Idempotency-Key": "order-17"}

Trouble = Callable[[Valkey], None]


def none(valkey: Valkey) -> None:
    """Nothing happens to it."""


def filled(valkey: Valkey) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory", "1")
        client.config_set("maxmemory-policy", "noeviction")


def flushed(valkey: Valkey) -> None:
    with valkey.client() as client:
        client.flushall()


@pytest.mark.parametrize("trouble", [none, Valkey.stop, Valkey.freeze, filled, flushed], ids=lambda one: one.__name__)
async def test_a_flurry_of_one_key_is_one_run(
    api_settings: Settings,
    askers: Askers,
    engine: Engine,
    valkey: Valkey,
    trouble: Trouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trouble is none:
        be_patient(monkeypatch)
    settings = api_settings.model_copy(update={"redis_url": [valkey.url], "api_connections": 2})
    async with ASGIConductor(create_app(settings)) as conductor:
        api = Api(conductor, askers.token("operator"))
        done = 0

        async def start() -> tuple[int, str]:
            nonlocal done
            answer = await api.post(RUNS, BODY, headers=KEY)
            done += 1
            if done == MANY // 6:
                trouble(valkey)
            return answer.status_code, answer.json["id"]

        answers = await asyncio.wait_for(asyncio.gather(*(start() for _ in range(MANY))), 60)
        other = await api.post(RUNS, BODY | {"input": {"a": 2}}, headers=KEY)
    assert sorted(status for status, _ in answers) == [200] * (MANY - 1) + [201]
    assert {int(id) for _, id in answers} == {id for (id,) in engine.query("select id from pgflow.task")}
    assert engine.query("select count(*) from pgflow.audit_entry") == [(1,)]
    assert (other.status_code, other.json["code"]) == (409, "key_reused")
    if trouble is none:
        with valkey.client() as client:
            assert int(client.info("commandstats")["cmdstat_eval"]["calls"]) >= 1, "duplicates waited for its lock"
            assert client.keys() == []


async def test_a_key_is_free_again_when_its_run_has_ended_or_its_hold_is_over(api: Api, engine: Engine) -> None:
    async def start(**more: object) -> tuple[int, str]:
        answer = await api.post(RUNS, BODY | more, headers=KEY)
        return answer.status_code, answer.json.get("id", answer.json.get("code"))

    status, first = await start()
    assert (status, await start()) == (201, (200, first))
    engine.settle(*engine.claim())
    status, second = await start(input={"a": 2})
    assert (status, second != first) == (201, True), "the first has ended"
    engine.query("delete from pgflow.idempotency returning 1")
    status, held = await start(hold="1h")
    engine.settle(*engine.claim())
    assert await start(hold="1h") == (200, held), "ended, and its key is held"
    assert await start(hold="1h", input={"a": 3}) == (409, "key_reused")
    engine.query("update pgflow.idempotency set expires_at = pgflow.now() - interval '1 s' returning 1")
    status, last = await start(hold="1h", input={"a": 3})
    assert (status, last not in {first, second, held}) == (201, True)


async def test_the_same_key_of_another_workflow_is_another(api: Api) -> None:
    ids = {(await api.post(RUNS, {"name": name}, headers=KEY)).json["id"] for name in ("orders.ship", "orders.bill")}
    assert len(ids) == 2
