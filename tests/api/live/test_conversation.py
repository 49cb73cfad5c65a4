"""`/api/v1/events/ws`: several subscriptions over one WebSocket."""

from __future__ import annotations

import asyncio

import falcon
import orjson
import pytest

from pgflow import access
from pgflow.access import Role
from pgflow.api.draining import Draining
from pgflow.api.live import conversation, hub
from pgflow.config import Settings
from pgflow.engine import access as verbs
from tests.api.conftest import Api, Askers
from tests.api.live.conftest import Talk, opened, talking, watching
from tests.engine.crowd import write
from tests.fixtures.database import Engine


@pytest.fixture
def root(engine: Engine) -> int:
    return engine.enqueue(name="orders.ship")[0]


def ids(events: list[dict[str, object]]) -> list[int]:
    return [int(str(event["id"])) for event in events]


async def test_subscriptions_come_and_go_each_from_its_cursor(api: Api, engine: Engine, root: int) -> None:
    other = engine.enqueue(name="mail")[0]
    async with talking(api) as talk:
        assert (await talk.hear("hello"))["beat"] == hub.BEAT
        await talk.say(op="subscribe", id="a", workflow=["orders.ship"])
        begun = (await talk.hear("subscribed"))["cursor"]
        await talk.say(op="subscribe", id="b", run=str(other))
        await talk.hear("subscribed")
        first, second = write(engine.connection, root, 2), write(engine.connection, other, 1)
        heard = {(await talk.hear("events"))["id"] for _ in range(2)}
        assert heard == {"a", "b"}
        await talk.say(op="unsubscribe", id="a")
        place = (await talk.hear("unsubscribed"))["cursor"]
        third = write(engine.connection, root, 2)
        await talk.say(op="subscribe", id="a", workflow="orders.ship", after=place)
        assert ids(await talk.take(2)) == third
        await talk.say(op="subscribe", id="c", after=begun, type=["task.*"])
        assert ids(await talk.take(5, "c")) == first + second + third
        await talk.say(op="ping")
        assert await talk.hear("pong") == {"op": "pong"}


async def test_what_makes_no_sense_is_answered_and_harms_nobody(
    api: Api, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MOST", 1)
    async with talking(api) as talk:
        for text, code in (
            ("", "invalid"),
            ("[" * 10_000, "invalid"),
            ('{"op": "dance"}', "invalid"),
            ('{"op": "subscribe"}', "invalid"),
            ('{"op": "subscribe", "id": "a", "color": "red"}', "invalid"),
            ('{"op": "subscribe", "id": "a", "run": "0"}', "invalid"),
            ('{"op": "subscribe", "id": "a", "type": ["x"]}', "invalid"),
            ('{"op": "subscribe", "id": "a", "after": "x"}', "invalid"),
            ('{"op": "subscribe", "id": "a", "after": "4611686018427387904-0"}', "invalid"),
            ('{"op": "unsubscribe", "id": "a"}', "not_found"),
        ):
            await talk.ws.send_text(text)
            assert (await talk.hear("error"))["code"] == code, text
        await talk.ws.send_data(b"bytes")
        assert (await talk.hear("error"))["code"] == "invalid"
        await talk.say(op="subscribe", id="a")
        await talk.hear("subscribed")
        await talk.say(op="subscribe", id="a")
        assert (await talk.hear("error"))["detail"] == "'a' is taken"
        await talk.say(op="subscribe", id="b")
        assert (await talk.hear("error"))["code"] == "conflict"
        written = write(engine.connection, root)
        assert ids(await talk.take(1)) == written
        await talk.ws.send_text(" " * 20_000)
        assert await closed(talk) == 1009


async def closed(talk: Talk) -> int:
    """Wait for the end. Returns its code."""
    async with asyncio.timeout(60):
        try:
            while True:
                await talk.ws.receive_text()
        except falcon.WebSocketDisconnected as end:
            return int(end.code)


async def test_only_our_own_pages_may_open_one_with_a_cookie(api: Api, engine: Engine) -> None:
    user = engine.run(verbs.create_user("ann", Role.VIEWER, None, None))
    secret = access.new_token()
    engine.run(verbs.begin_session(access.digest(secret), user.id, 60.0, "127.0.0.1"))
    cookie = f"pgflow_session={secret}"
    for origin in ("https://evil.example", "null", None):
        headers = {"Cookie": cookie} | ({} if origin is None else {"Origin": origin})
        with pytest.raises(falcon.WebSocketDisconnected):
            async with talking(api, **headers) as talk:
                await talk.hear("hello")
    async with talking(api, Cookie=cookie, Origin="http://falconframework.org") as talk:
        await talk.hear("hello")


async def test_nobody_without_a_token_gets_in(api: Api, askers: Askers) -> None:
    for token in (access.new_token(), askers.expired(), askers.revoked()):
        with pytest.raises(falcon.WebSocketDisconnected):
            async with talking(api, token=token) as talk:
                await talk.hear("hello")


async def test_it_says_how_far_it_is_and_ends_when_it_has_lasted_or_is_no_longer_admitted(
    api: Api, askers: Askers, api_settings: Settings, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "BEAT", 0.1)
    token = askers.token("viewer")
    async with talking(api, token=token) as talk:
        await talk.say(op="subscribe", id="a", type="signal.*")
        begun = (await talk.hear("subscribed"))["cursor"]
        write(engine.connection, root)
        async with asyncio.timeout(60):
            while (await talk.hear("beat"))["cursors"].get("a", begun) == begun:
                pass
        engine.query("update pgflow.token set revoked_at = now() where name = %s returning 1", token[4:24].strip("-_"))
        assert await closed(talk) == 1008
    settings = api_settings.model_copy(update={"api_stream_lifetime": 1.0})
    async with opened(api, settings) as served, talking(served) as talk:
        assert await closed(talk) == 1001


async def test_all_lines_end_when_the_process_is_about_to(
    api: Api, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    ending = Draining()
    monkeypatch.setattr(hub, "draining", ending)
    async with talking(api) as talk, watching(api) as answer:
        await talk.say(op="subscribe", id="a")
        await talk.hear("subscribed")
        ending.start()
        assert await closed(talk) == 1012
        await answer.end()
        assert answer.said[-1] == "draining"
        refused = await api.get("/api/v1/events", headers={"Accept": "text/event-stream"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


async def test_who_is_too_slow_is_told_to_come_back(
    api: Api, api_settings: Settings, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "BUFFER", 10)
    async with opened(api, api_settings) as served, talking(served) as talk, talking(served) as other:
        for one in (talk, other):
            await one.say(op="subscribe", id="a")
            await one.hear("subscribed")
        write(engine.connection, root, 11)
        assert await closed(talk) == 1013
        assert await closed(other) == 1013
        async with talking(served) as again:
            await again.say(op="subscribe", id="a", after="0-0")
            seen = await again.take(11)
            assert orjson.dumps(seen[-1]).startswith(b'{"cursor"')
