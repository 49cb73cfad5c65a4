"""`GET /api/v1/events`: pages and streams, from any cursor, filtered, within scopes."""

from __future__ import annotations

import asyncio
from typing import Any

import falcon
import pytest

from pgflow.api.live import conversation, hub, rendering, stream
from pgflow.config import Settings
from tests.api.conftest import Api, Askers
from tests.api.live.conftest import Pipe, opened, talking, watching
from tests.engine.crowd import write
from tests.fixtures.database import Engine


@pytest.fixture
def root(engine: Engine) -> int:
    return engine.enqueue(name="orders.ship")[0]


def ids(events: list[dict[str, Any]]) -> list[int]:
    return [int(event["id"]) for event in events]


async def pages(api: Api, **query: Any) -> list[dict[str, Any]]:
    """Everything, page by page."""
    found: list[dict[str, Any]] = []
    after = "0-0"
    for _ in range(100):
        answer = await api.get("/api/v1/events", params={"after": after, **query})
        assert answer.status_code == 200, answer.text
        found += answer.json["items"]
        after = answer.json["next"]
        if not answer.json["more"]:
            return found
    raise AssertionError("no end")


async def settled(api: Api, count: int = 1) -> None:
    """Wait until so many events are final; another database's transaction may put that off for some of them."""
    async with asyncio.timeout(60):
        while True:
            answer = await api.get("/api/v1/events", params={"after": "0-0"})
            assert answer.status_code == 200, answer.text
            if len(answer.json["items"]) >= count:
                return
            await asyncio.sleep(0.02)


async def test_a_page_goes_on_where_the_one_before_ended(api: Api, engine: Engine, root: int) -> None:
    written = [write(engine.connection, root, 3) for _ in range(5)]
    await settled(api, 15)
    found = await pages(api, limit=4)
    assert ids(found) == [id for batch in written for id in batch]
    one = found[0]
    assert (one["run"], one["workflow"], one["type"]) == (str(root), "orders.ship", "task.started")
    assert one["at"].endswith("Z")
    later = await api.get("/api/v1/events", params={"after": found[9]["cursor"]})
    assert ids(later.json["items"]) == ids(found)[10:]
    assert (await api.get("/api/v1/events", params={"after": later.json["next"]})).json["items"] == []


async def test_what_is_asked_for_wrongly_is_said_before_a_stream_begins(api: Api, engine: Engine) -> None:
    for accept in ("application/json", "text/event-stream"):
        for query, path in (
            ({"after": "x"}, "query.after"),
            ({"type": "nothing"}, "query.type"),
            ({"run": "x"}, "query.run"),
            ({"color": "red"}, "query.color"),
            ({"after": f"{2**62}-0"}, None),
        ):
            answer = await api.get("/api/v1/events", params=query, headers={"Accept": accept})
            assert (answer.status_code, answer.json["code"]) == (422, "invalid"), query
            assert path is None or answer.json["errors"][0]["path"] == path
    answer = await api.get("/api/v1/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "7"})
    assert answer.json["errors"][0]["path"] == "header.Last-Event-ID"
    answer = await api.get("/api/v1/events/ws")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


async def test_a_stream_shows_what_happens_from_now_on_and_goes_on_after_a_cursor(
    api: Api, engine: Engine, root: int
) -> None:
    before = write(engine.connection, root)
    await settled(api)
    async with watching(api) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        first = write(engine.connection, root, 3)
        assert ids(await answer.take(3)) == first
        seen = answer.place
    second = write(engine.connection, root, 2)
    async with watching(api, last=seen, after="0-0") as answer:
        third = write(engine.connection, root, 1)
        assert ids(await answer.take(3)) == second + third
    async with watching(api, after="0-0") as answer:
        assert ids(await answer.take(7)) == before + first + second + third


async def test_filters_choose_and_the_cursor_moves_on_past_what_did_not_fit(
    api: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT", 0.1)
    mail, post = engine.enqueue(name="mail")[0], engine.enqueue(name="post")[0]
    async with (
        watching(api, workflow="mail", after="0-0") as mails,
        watching(api, type=["task.completed", "task.failed"], after="0-0") as ends,
        watching(api, run=post, after="0-0") as one,
        watching(api, type="signal.*") as none,
    ):
        begun = none.place
        engine.settle(*engine.claim())
        assert {(event["run"], event["type"]) for event in await mails.take(2)} == {
            (str(mail), "task.started"), (str(mail), "task.completed")
        }  # fmt: skip
        assert {event["run"] for event in await ends.take(2)} == {str(mail), str(post)}
        assert [event["type"] for event in await one.take(2)] == ["task.started", "task.completed"]
        async with asyncio.timeout(60):
            while none.place == begun or "beat" not in none.said:
                await asyncio.sleep(0.02)
        for answer in (mails, ends, one, none):
            assert answer.waiting() == []
    for query, count in (({"workflow": "mail"}, 2), ({"workflow": ["mail", "post"]}, 4), ({"run": post}, 2),
                         ({"type": "task.*", "limit": 1}, 4), ({"type": "signal.received"}, 0)):  # fmt: skip
        assert len(await pages(api, **query)) == count, query


async def test_who_is_limited_sees_only_theirs(api: Api, askers: Askers, engine: Engine) -> None:
    ours, theirs = engine.enqueue(name="orders.ship", queue="orders")[0], engine.enqueue(name="mail")[0]
    token = askers.token("viewer", "workflow:orders.*")
    queue = askers.token("viewer", "queue:orders")
    written = write(engine.connection, ours, 2)
    write(engine.connection, theirs, 2)
    await settled(api, 4)
    page = await api.get("/api/v1/events", token=token)
    assert ids(page.json["items"]) == written
    assert (await api.get("/api/v1/events", token=queue)).json["items"] == []
    assert ids((await api.get("/api/v1/events", token=queue, params={"run": ours})).json["items"]) == written
    for accept in ("application/json", "text/event-stream"):
        for query, status in (({"run": theirs}, 404), ({"workflow": "mail"}, 403)):
            answer = await api.get("/api/v1/events", token=token, params=query, headers={"Accept": accept})
            assert answer.status_code == status
    async with watching(api, token=token, after="0-0") as stream_of, talking(api, token=token) as talk:
        await talk.say(op="subscribe", id="no", run=str(theirs))
        assert (await talk.hear("error"))["code"] == "not_found"
        await talk.say(op="subscribe", id="a", after="0-0")
        assert ids(await stream_of.take(2)) == written
        assert ids(await talk.take(2)) == written
        write(engine.connection, theirs, 2)
        more = write(engine.connection, ours, 1)
        assert ids(await stream_of.take(1)) == more
        assert ids(await talk.take(1)) == more


async def test_who_is_too_slow_is_dropped_and_goes_on_later_and_others_notice_nothing(
    api: Api, api_settings: Settings, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "BUFFER", 20)
    async with opened(api, api_settings) as served, watching(served) as quick, watching(served) as slow:
        write(engine.connection, root)
        await slow.take(1)
        slow.pipe.room.clear()
        written: list[int] = []
        for _ in range(10):
            written += write(engine.connection, root, 8)
            await quick.take(8)
        slow.pipe.room.set()
        await slow.end()
        assert slow.said[-2:] == ["resync", "slow"]
        had = ids(slow.waiting())[-len(written) :]
        async with watching(served, last=slow.place) as again:
            rest = ids(await again.take(len(written) - len([id for id in had if id in written])))
        assert [id for id in had if id in written] + rest == written


async def test_what_comes_while_much_is_written_is_not_left_behind(
    api: Api, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much is written in several turns, of which each may be one that was rung for by what has come meanwhile."""
    monkeypatch.setattr(stream, "BEAT", 600.0)  # which would bring it, too
    monkeypatch.setattr(conversation, "BEAT", 600.0)
    monkeypatch.setattr(rendering, "PIECE", 2)
    room = asyncio.Event()
    room.set()
    sends = conversation.Conversation._send

    async def send(self: conversation.Conversation, text: bytes) -> None:
        await room.wait()
        await sends(self, text)

    monkeypatch.setattr(conversation.Conversation, "_send", send)
    async with watching(api) as other, watching(api) as answer, talking(api) as talk:
        await talk.say(op="subscribe", id="a")
        await talk.hear("subscribed")
        answer.pipe.room.clear()
        room.clear()
        written = write(engine.connection, root, 5)
        assert ids(await other.take(5)) == written
        await answer.take(2)
        late = write(engine.connection, root)
        assert ids(await other.take(1)) == late
        answer.pipe.room.set()
        room.set()
        assert ids(await answer.take(4)) == [*written[2:], *late]
        assert ids(await talk.take(6)) == [*written, *late]


async def test_who_takes_nothing_at_all_is_cut(
    api: Api, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "STUCK", 0.3)
    pipe = Pipe()
    async with watching(api, pipe=pipe), watching(api) as other:
        pipe.room.clear()
        pipe.pending = 1000
        async with asyncio.timeout(60):
            while not pipe.closed:
                await asyncio.sleep(0.02)
        written = write(engine.connection, root)
        assert ids(await other.take(1)) == written


async def test_only_so_many_streams_are_kept_open(api: Api, askers: Askers, api_settings: Settings) -> None:
    settings = api_settings.model_copy(update={"api_streams": 3, "api_streams_each": 2})
    accept = {"Accept": "text/event-stream"}
    other = askers.token("viewer")
    async with opened(api, settings) as served:
        async with watching(served), talking(served) as talk:
            await talk.hear("hello")
            refused = await served.get("/api/v1/events", headers=accept)
            assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
            assert refused.headers["retry-after"] == "5"
            async with watching(served, token=other):
                refused = await served.get("/api/v1/events", headers=accept, token=askers.token("viewer"))
                assert (refused.status_code, refused.json["code"]) == (503, "too_many_streams")
                assert refused.headers["retry-after"] == "5"
                with pytest.raises(falcon.WebSocketDisconnected):
                    async with talking(served, token=other) as late:
                        await late.hear("hello")
        async with watching(served), watching(served):
            pass


async def test_a_stream_ends_when_it_has_lasted_or_its_token_is_no_longer_good(
    api: Api, askers: Askers, api_settings: Settings, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT", 0.1)
    token = askers.token("viewer")
    async with watching(api, token=token) as answer:
        await asyncio.sleep(0.2)
        assert not answer.over.is_set()
        engine.query("update pgflow.token set revoked_at = now() where name = %s returning 1", token[4:24].strip("-_"))
        await answer.end()
        assert answer.said[-1] == "no longer admitted"
    settings = api_settings.model_copy(update={"api_stream_lifetime": 1.0})
    async with opened(api, settings) as served, watching(served) as answer:
        await answer.end()
        assert answer.said[-1] == "lifetime"
        place = answer.place
        written = write(engine.connection, root, 2)
        async with watching(api, last=place) as again:  # which lasts for as long as it takes
            assert ids(await again.take(2)) == written
