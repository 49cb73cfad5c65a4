"""Deliveries to a real receiver on a socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.engine import subscriptions as engine_subscriptions
from pgflow.engine.subscriptions import Delivery
from pgflow.errors import TaskFailed
from pgflow.sdk.async_client import AsyncClient
from pgflow.signature import Kind, Scheme, verify
from pgflow.tasks import deliver
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, eventually, outcome
from tests.outbound.mailbox import mailbox
from tests.outbound.servers import Request, Server, respond, serving
from tests.subscriptions import apps

SECRETS = ["whsec_" + "a" * 32, "whsec_" + "b" * 32]
LASTING = (0.05, *(3.0,) * 6)
"""Pauses: a second attempt soon, and then time enough to do something before the delivery is given up."""


def said(server: Server) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in server.requests]


async def settled(client: AsyncClient, name: str, count: int = 1) -> Sequence[Delivery]:
    """The deliveries, once so many have ended."""
    end = time.monotonic() + 60
    while True:
        found = await client.subscriptions.deliveries(name)
        if sum(1 for delivery in found if delivery.finished_at) >= count:
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.01)


async def test_a_failure_is_told_signed_with_every_secret(client: AsyncClient, flow_workers: Workers) -> None:
    async with serving() as server, flow_workers():
        await client.subscriptions.create("ops", f"{server.url}/hook?a=1", secrets=["HOOK_KEY", "OLD_KEY"])
        await outcome(client, await client.enqueue(apps.add, 1, 2))
        run = await client.enqueue(apps.fatal, "broken")
        await outcome(client, run)
        (delivery,) = await settled(client, "ops")
    (request,) = server.requests
    told = json.loads(request.body)
    at = datetime.fromisoformat(told.pop("timestamp"))
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=30)
    assert told["type"] == "task.failed"
    assert told["data"].pop("event_id") == delivery.event_id
    assert told["data"] == {
        "run_id": run.id, "run_name": "fatal", "task_id": run.id, "name": "fatal", "step": None, "key": None,
        "state": "failed", "attempt": 1, "reason": "fatal", "error": {"type": "Fatal", "message": "broken"},
        "due_at": None, "actor": None, "approval": None, "link": f"https://flows.example/runs/{run.id}",
    }  # fmt: skip
    assert (request.method, request.target) == ("POST", "/hook?a=1")
    assert request.headers["content-type"] == "application/json"
    scheme = Scheme(Kind.STANDARD)
    for secret in SECRETS:
        done = verify(scheme, request.headers, request.body, [secret], now=time.time())
        assert done.id == f"evt_{delivery.event_id}_1"
    assert (delivery.state, delivery.delivered, delivery.status, delivery.attempt) == ("completed", True, 200, 1)
    assert (delivery.type, delivery.run_id, delivery.name) == ("task.failed", run.id, "fatal")


@pytest.mark.parametrize(
    ("wanted", "types"),
    [
        ({"types": ["task.*"]}, ["task.started", "task.completed", "task.started", "task.failed"]),
        ({"types": ["*.completed", "task.failed"]}, ["task.completed", "task.failed"]),
        ({"types": ["*"], "names": ["a*"]}, ["task.started", "task.completed"]),
        ({"types": ["task.failed"], "names": ["add", "fat_l"]}, []),
        ({"types": ["*"], "names": ["f*l", "nothing"]}, ["task.started", "task.failed"]),
    ],
)
async def test_patterns_say_what_is_told(
    client: AsyncClient, flow_workers: Workers, wanted: dict[str, Any], types: list[str]
) -> None:
    async with serving() as server, flow_workers():
        await client.subscriptions.create("some", server.url, **wanted)  # type: ignore[misc]
        await outcome(client, await client.enqueue(apps.add, 1, 2))
        await outcome(client, await client.enqueue(apps.fatal, "broken"))
        await settled(client, "some", len(types))
    assert sorted(event["type"] for event in said(server)) == sorted(types)


async def test_an_event_and_its_delivery_are_in_one_commit(client: AsyncClient, engine: Engine) -> None:
    await client.subscriptions.create("all", "https://example.com/", types=["*"])
    (task,) = engine.enqueue()
    engine.register(1)
    with engine.connection.transaction(force_rollback=True):
        (claimed,) = engine.claim()
        assert len(await client.subscriptions.deliveries("all")) == 0  # nobody else sees it yet
        assert engine.query("select count(*) from pgflow.task where name = 'pgflow.deliver'") == [(1,)]
    assert engine.query("select count(*) from pgflow.task where name = 'pgflow.deliver'") == [(0,)]
    (claimed,) = engine.claim()
    engine.settle(claimed)
    found = await client.subscriptions.deliveries("all")
    assert [(delivery.type, delivery.state) for delivery in found] == [
        ("task.completed", "throttled"), ("task.started", "throttled")
    ]  # fmt: skip
    events = engine.query("select id from pgflow.event where task_id = %s order by id desc", task)
    assert [delivery.event_id for delivery in found] == [id for (id,) in events]


async def test_deliveries_are_not_told_of_themselves(client: AsyncClient, flow_workers: Workers) -> None:
    async with serving() as server, flow_workers():
        await client.subscriptions.create("all", server.url, types=["*"])
        await outcome(client, await client.enqueue(apps.noop))
        await settled(client, "all", 2)
        await client.result(await client.subscriptions.test("all"), timeout=60)
        assert len(await settled(client, "all", 2)) == 2
    assert len(server.requests) == 3


async def test_a_receiver_that_is_down_gets_all_of_it_later_under_the_same_id(
    client: AsyncClient, flow_workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "DELAYS", LASTING)
    async with serving() as server, flow_workers():
        server.answer = respond(503)
        await client.subscriptions.create("ops", server.url, types=["task.completed"], secrets=["HOOK_KEY"])
        for _ in range(3):
            await outcome(client, await client.enqueue(apps.noop))
        await eventually(lambda: len(server.requests) >= 6)
        waiting = (await client.subscriptions.deliveries("ops"))[0]
        assert (waiting.status, waiting.delivered) == (503, False)
        assert (await client.subscriptions.get("ops")).failing_since is not None
        server.answer = respond(202)
        found = await settled(client, "ops", 3)
        assert {delivery.status for delivery in found} == {202}
        await eventually(lambda: True)
        subscription = await client.subscriptions.get("ops")
        assert (subscription.failing_since, subscription.failures, subscription.disabled_at) == (None, 0, None)
    by_id: dict[str, set[bytes]] = {}
    for request in server.requests:
        by_id.setdefault(request.headers["webhook-id"], set()).add(request.body)
    assert len(by_id) == 3
    assert all(len(bodies) == 1 for bodies in by_id.values())


async def test_a_receiver_that_says_when_is_not_asked_before(client: AsyncClient, flow_workers: Workers) -> None:
    times: list[float] = []

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        times.append(time.monotonic())
        busy = respond(429, retry_after="1")
        await (busy if len(times) == 1 else respond(200))(request, writer)

    async with serving(answer) as server, flow_workers():
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        await outcome(client, await client.enqueue(apps.noop))
        await settled(client, "ops")
    assert len(times) == 2
    assert times[1] - times[0] >= 1.0


async def test_gone_disables_at_once(client: AsyncClient, flow_workers: Workers) -> None:
    async with serving(respond(410)) as server, flow_workers():
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        await outcome(client, await client.enqueue(apps.noop))
        (delivery,) = await settled(client, "ops")
        assert (delivery.state, delivery.status, delivery.attempt) == ("failed", 410, 1)
        subscription = await client.subscriptions.get("ops")
        assert subscription.disabled_why == "the receiver answered 410 Gone"
        await outcome(client, await client.enqueue(apps.noop))
        assert len(await client.subscriptions.deliveries("ops")) == 1
    assert len(server.requests) == 1


async def test_a_redirect_is_not_followed(client: AsyncClient, flow_workers: Workers) -> None:
    async with serving() as other, serving(respond(307, location=other.url)) as server, flow_workers():
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        with pytest.raises(TaskFailed, match="answered 307 Temporary Redirect; redirects are not followed"):
            await client.result(await client.subscriptions.test("ops"), timeout=60)
        assert other.connections == 0


async def test_what_must_not_be_called_is_not(client: AsyncClient, local: Settings, flow_workers: Workers) -> None:
    strict = local.model_copy(update={"outbound_allow": []})
    async with serving() as server, flow_workers(settings=strict):  # type: ignore[call-arg]
        await client.subscriptions.create("ops", server.url)
        with pytest.raises(TaskFailed, match=r"127\.0\.0\.1 is this host itself"):
            await client.result(await client.subscriptions.test("ops"), timeout=60)
        assert server.connections == 0


async def test_a_slow_host_does_not_hold_up_another(client: AsyncClient, flow_workers: Workers) -> None:
    release = asyncio.Event()

    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await respond()(request, writer)

    async with serving(hang, host="127.0.0.1") as slow, serving(host="127.0.0.2") as quick, flow_workers(concurrency=4):
        await client.subscriptions.create("slow", slow.url, types=["task.completed"])
        await client.subscriptions.create("quick", f"http://127.0.0.2:{quick.port}", types=["task.completed"])
        for _ in range(10):
            await client.enqueue(apps.noop)
        await settled(client, "quick", 10)
        assert slow.connections == 2  # as many as one host gets at once
        release.set()
        await settled(client, "slow", 10)
    assert (len(slow.requests), len(quick.requests)) == (10, 10)


async def test_many_that_were_given_up_disable_and_can_be_had_again(
    client: AsyncClient, flow_workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_subscriptions, "MOST_FAILURES", 2)
    async with serving(respond(500)) as server, flow_workers():
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        for _ in range(2):
            await outcome(client, await client.enqueue(apps.noop))
        found = await settled(client, "ops", 2)
        assert {(d.state, d.attempt, d.status) for d in found} == {("failed", 8, 500)}
        subscription = await client.subscriptions.get("ops")
        assert subscription.disabled_why == (
            "the last 2 deliveries in a row were given up, the latest: the receiver answered 500 Internal Server Error"
        )
        assert subscription.actor == "pgflow"
        server.answer = respond(204)
        assert await client.subscriptions.enable("ops") == ["ops"]
        since = subscription.created_at
        assert sorted(await client.subscriptions.redeliver("ops", since=since)) == sorted(d.id for d in found)
        found = await settled(client, "ops", 2)
        assert {(d.state, d.status) for d in found} == {("completed", 204)}
        assert await client.subscriptions.redeliver("ops", since=since) == []
        (again,) = await client.subscriptions.redeliver("ops", found[0].id)
        assert await client.result(again, timeout=60) == {
            "delivered": True,
            "status": 204,
            "seconds": pytest.approx(0, abs=60),
        }
        assert len(await client.subscriptions.redeliver("ops", since=since, again=True)) == 2
        await settled(client, "ops", 5)
    ids = [request.headers["webhook-id"] for request in server.requests]
    assert len(set(ids)) == 2


async def test_days_without_success_disable(client: AsyncClient, flow_workers: Workers, engine: Engine) -> None:
    async with serving(respond(500)) as server, flow_workers():
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        engine.query("update pgflow.subscription set failing_since = now() - interval '6 days' returning 1")
        await outcome(client, await client.enqueue(apps.noop))
        (delivery,) = await settled(client, "ops")
        assert (delivery.state, delivery.delivered) == ("completed", False)  # it found the subscription disabled
        assert "nothing has come through since" in str((await client.subscriptions.get("ops")).disabled_why)
        assert len(server.requests) == 1
        server.answer = respond()
        await client.subscriptions.enable("ops")
        await client.subscriptions.redeliver("ops", delivery.id)
        found = await settled(client, "ops", 2)
        assert sorted(d.delivered for d in found) == [False, True]


async def test_a_removed_subscription_is_told_nothing_more(
    client: AsyncClient, flow_workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "DELAYS", LASTING)
    async with serving(respond(500)) as server, flow_workers():
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        await outcome(client, await client.enqueue(apps.noop))
        await eventually(lambda: server.requests)
        (delivery,) = await client.subscriptions.deliveries("ops")
        await client.subscriptions.remove("ops")
        done = await client.result(delivery.id, timeout=60)
        assert done == {"delivered": False, "why": "the subscription was removed"}


async def test_a_secret_that_is_not_there_is_told_and_waited_for(
    client: AsyncClient, flow_workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as server, flow_workers():
        await client.subscriptions.create("ops", "${secrets.HOOK_URL}", secrets=["MISSING_KEY"])
        with pytest.raises(TaskFailed, match="there is no secret"):
            await client.result(await client.subscriptions.test("ops"), timeout=60)
        assert server.requests == []
        monkeypatch.setenv("PGFLOW_SECRET_HOOK_URL", f"{server.url}/hidden-path")
        monkeypatch.setenv("PGFLOW_SECRET_MISSING_KEY", "whsec_" + "c" * 32)
        await client.result(await client.subscriptions.test("ops"), timeout=60)
        assert server.requests[0].target == "/hidden-path"
        server.answer = respond(500)
        test = await client.subscriptions.test("ops")
        with pytest.raises(TaskFailed):
            await client.result(test, timeout=60)
        assert "hidden-path" not in str(await client.show(test.id))
        monkeypatch.setenv("PGFLOW_SECRET_HOOK_URL", "postgresql://root:hidden-word@db.example/shop")
        with pytest.raises(TaskFailed, match="the secret HOOK_URL holds no URL that can be called") as failed:
            await client.result(await client.subscriptions.test("ops"), timeout=60)
        assert "hidden-word" not in str(failed.value.error)


async def test_an_alert_reaches_a_mailbox(client: AsyncClient, local: Settings, flow_workers: Workers) -> None:
    async with mailbox() as box:
        mail = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "flow@example.com"}
        async with flow_workers(settings=local.model_copy(update=mail)):  # type: ignore[call-arg]
            await client.subscriptions.create("ops", "mailto:ann@example.com,bob@example.com")
            run = await client.enqueue(apps.fatal, "broken")
            await outcome(client, run)
            (delivery,) = await settled(client, "ops")
    (letter,) = box.letters
    assert box.recipients == [["ann@example.com", "bob@example.com"]]
    assert letter["Subject"] == f"[pgflow] fatal failed (run {run.id})"
    text = letter.get_content()
    for part in ("Fatal: broken", f"pgflow run show {run.id}", f"https://flows.example/runs/{run.id}"):
        assert part in text
    assert delivery.delivered


async def test_a_letter_that_one_of_them_refuses_is_not_sent_to_the_others_again(
    client: AsyncClient, local: Settings, flow_workers: Workers
) -> None:
    async with mailbox(**{"RCPT TO:<bob": "550 no bob here"}) as box:
        mail = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "flow@example.com"}
        async with flow_workers(settings=local.model_copy(update=mail)):  # type: ignore[call-arg]
            await client.subscriptions.create("ops", "mailto:ann@example.com,bob@example.com")
            await outcome(client, await client.enqueue(apps.fatal, "broken"))
            (delivery,) = await settled(client, "ops")
    assert (delivery.state, delivery.attempt, len(box.letters)) == ("failed", 1, 1)
    assert "bob@example.com" in str(delivery.error)


async def test_mail_that_is_not_set_up_says_what_to_do(client: AsyncClient, flow_workers: Workers) -> None:
    async with flow_workers():
        await client.subscriptions.create("ops", "mailto:ann@example.com")
        with pytest.raises(TaskFailed, match="PGFLOW_SMTP_URL is not set; set PGFLOW_SMTP_URL="):
            await client.result(await client.subscriptions.test("ops"), timeout=60)


async def test_an_alert_reaches_a_chat(client: AsyncClient, flow_workers: Workers) -> None:
    async with serving() as server, flow_workers():
        await client.subscriptions.create("ops", server.url, format="chat")
        run = await client.enqueue(apps.fatal, "broken")
        await outcome(client, run)
        await settled(client, "ops")
    (told,) = said(server)
    assert list(told) == ["text"]
    assert told["text"].startswith(f"fatal failed (run {run.id})\n```\nFatal: broken\n```\nat 20")
    assert f"look: pgflow run show {run.id}" in told["text"]
