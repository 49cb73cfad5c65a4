"""HTTP nodes, against a real server."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import suppress
from typing import Any

import orjson
import pytest

from pgflow.errors import TaskFailed
from tests.nodes.conftest import Make
from tests.outbound.servers import Answer, Request, respond, serving

JSON = "application/json"


def node(url: str, /, **config: Any) -> dict[str, Any]:
    return {"type": "http", "config": {"url": url, **config}, "retry": {"max_attempts": 3, "base": "1ms"}}


def answering(*answers: Answer) -> Answer:
    """One after the other; the last again and again."""
    left = list(answers)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return answer


def json(value: Any, status: int = 200, **headers: str) -> Answer:
    return respond(status, orjson.dumps(value), content_type=JSON, **headers)


async def test_a_call_is_made_as_configured(graphs: Make) -> None:
    async with serving(json({"items": [1, 2]})) as server:
        given = await graphs().one(
            node(
                server.url + "/orders/${input.order}?fixed=1",
                method="post",
                headers={"x-day": "${input.day}"},
                query={"all": True, "state": ["new", "paid & sent"], "none": None, "n": 3},
                body={"json": {"order": "${input.order}"}},
                idempotency_key=True,
            ),
            order=7,
            day="2026-05-01",
        )
        (request,) = server.requests
    assert given == {"items": [1, 2]}
    assert request.method == "POST"
    path, _, query = request.target.partition("?")
    assert path == "/orders/7"
    assert set(query.split("&")) == {"fixed=1", "all=true", "state=new", "state=paid+%26+sent", "n=3"}
    assert orjson.loads(request.body) == {"order": 7}
    assert request.headers["content-type"] == request.headers["accept"] == JSON
    assert request.headers["x-day"] == "2026-05-01"
    assert request.headers["idempotency-key"].startswith("pgflow-")


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ({"form": {"a": "1 2", "b": ["x", "y"]}}, b"a=1+2&b=x&b=y", "application/x-www-form-urlencoded"),
        ({"text": "grüß"}, "grüß".encode(), "text/plain; charset=utf-8"),
        ({"base64": b64encode(b"\0\1").decode()}, b"\0\1", "application/octet-stream"),
        ({"json": None}, b"null", JSON),
    ],
)
async def test_a_body_has_one_of_four_forms(graphs: Make, body: Any, sent: bytes, kind: str) -> None:
    async with serving(json(None)) as server:
        await graphs().one(node(server.url, method="PUT", body=body))
        assert server.requests[0].body == sent
        assert server.requests[0].headers["content-type"] == kind


@pytest.mark.parametrize(
    ("config", "given"),
    [
        ({"returns": "text"}, "hü"),
        ({"returns": "base64"}, b64encode("hü".encode()).decode()),
        (
            {"returns": "nothing", "whole": True},
            {"status": 201, "headers": {"content-length": "3", "x-a": "1"}, "body": None},
        ),
    ],
)
async def test_what_is_made_of_the_answer(graphs: Make, config: Any, given: Any) -> None:
    async with serving(respond(201, "hü".encode(), x_a="1")) as server:
        assert await graphs().one(node(server.url, **config)) == given


async def test_an_answer_that_is_no_json_fails_at_once(graphs: Make) -> None:
    async with serving(respond(200, b"<html>")) as server:
        with pytest.raises(TaskFailed, match="is no JSON"):
            await graphs().one(node(server.url))
        assert len(server.requests) == 1


async def test_server_errors_are_tried_again_with_the_same_key(graphs: Make) -> None:
    async with serving(answering(respond(500), respond(503, b"later"), json(5))) as server:
        assert await graphs().one(node(server.url, method="POST", idempotency_key="X-Once")) == 5
        assert len({request.headers["x-once"] for request in server.requests}) == 1
        assert len(server.requests) == 3


async def test_a_server_that_wants_to_be_left_alone_is(graphs: Make) -> None:
    made = graphs()
    async with serving(answering(respond(429, b"slow down", retry_after="3600"), json(5))) as server:
        before = await made.engine.now()
        assert await made.one(node(server.url)) == 5
        passed = (await made.engine.now() - before).total_seconds()
    assert 3599 < passed < 3700


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_other_statuses_fail_at_once_with_what_was_said(graphs: Make, status: int) -> None:
    async with serving(respond(status, b"no such order")) as server:
        with pytest.raises(TaskFailed, match=f"(?s){status}.*no such order"):
            await graphs().one(node(server.url))
        assert len(server.requests) == 1


async def test_an_expected_status_is_fine(graphs: Make) -> None:
    async with serving(respond(404, b"")) as server:
        given = await graphs().one(node(server.url, expect=["2xx", 404], whole=True))
    assert given["status"] == 404
    assert given["body"] is None


async def test_a_connection_that_fails_is_tried_again(graphs: Make) -> None:
    async def hang_up(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serving(answering(hang_up, json(1))) as server:
        assert await graphs().one(node(server.url)) == 1


async def test_a_slow_server_is_given_up_in_time(graphs: Make) -> None:
    async def never(_: Request, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with serving(never) as server:
        slow = node(server.url, timeout=0.05) | {"retry": {"max_attempts": 1}}
        with pytest.raises(TaskFailed, match=r"within 0\.05 s"):
            await graphs().one(slow)


async def test_too_big_an_answer_is_refused(graphs: Make) -> None:
    async with serving(respond(200, b"x" * 2000)) as server:
        with pytest.raises(TaskFailed, match="more than 1,000 bytes"):
            await graphs().one(node(server.url, returns="text", limit=1000))


async def test_what_the_operator_does_not_allow_is_not_called(graphs: Make) -> None:
    async with serving(json(1)) as server:
        with pytest.raises(TaskFailed, match="PGFLOW_OUTBOUND_ALLOW"):
            await graphs(outbound_allow=[]).one(node(server.url))
        assert server.connections == 0


# ------------------------------------------------------------------------------------------------------- secrets


TOKEN = "tok-5up3r-s3cret"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"bearer": "${secrets.TOKEN}"}, "authorization", f"Bearer {TOKEN}"),
        (
            {"basic": {"user": "ann", "password": "${secrets.TOKEN}"}},
            "authorization",
            f"Basic {b64encode(f'ann:{TOKEN}'.encode()).decode()}",
        ),
        ({"header": {"name": "X-Key", "value": "k=${secrets.TOKEN}"}}, "x-key", f"k={TOKEN}"),
    ],
)
async def test_credentials_are_put_in_by_the_worker_and_stored_nowhere(
    graphs: Make, monkeypatch: pytest.MonkeyPatch, auth: Any, header: str, value: str
) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_TOKEN", TOKEN)
    made = graphs()
    async with serving(json(1)) as server:
        await made.one(node(server.url, auth=auth))
        assert server.requests[0].headers[header] == value
    stored = made.stored()
    assert TOKEN not in stored
    assert b64encode(f"ann:{TOKEN}".encode()).decode() not in stored
    assert "${secrets.TOKEN}" in stored


async def test_an_error_that_quotes_a_secret_does_not_show_it(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_TOKEN", TOKEN)
    made = graphs()
    async with serving(respond(401, f"{TOKEN} has expired".encode())) as server:
        with pytest.raises(TaskFailed, match=r"\*\*\*TOKEN\*\*\* has expired"):
            await made.one(node(server.url, auth={"bearer": "${secrets.TOKEN}"}))
    assert TOKEN not in made.stored()


async def test_who_writes_an_answer_is_not_given_secrets(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came from outside is never looked through for expressions."""
    monkeypatch.setenv("PGFLOW_SECRET_TOKEN", TOKEN)
    evil = "${secrets.TOKEN} $${secrets.TOKEN} $ ${'$'}"
    made = graphs()
    async with serving(json(evil)) as server:
        document = {
            "nodes": {
                "fetch": node(server.url),
                "send": node(
                    server.url,
                    method="POST",
                    headers={"x-mixed": "$${input.x} ${nodes.fetch.output}|${secrets.TOKEN}"},
                    body={"text": "${nodes.fetch.output}"},
                ),
            },
            "edges": [{"from": "fetch", "to": "send"}],
        }
        await made.run(document)
        sent = server.requests[1]
    assert sent.body.decode() == evil
    assert sent.headers["x-mixed"] == "${input.x} " + evil + "|" + TOKEN


async def test_a_secret_that_is_not_there_is_told(graphs: Make) -> None:
    with pytest.raises(TaskFailed, match="there is no secret LACKING"):
        await graphs().one(node("http://127.0.0.1:1", auth={"bearer": "${secrets.LACKING}"}))


# -------------------------------------------------------------------------------------------------------- paging


def pages(parts: list[Any]) -> Answer:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        query = dict(pair.split("=") for pair in request.target.partition("?")[2].split("&") if pair)
        at = int(query.get("after") or query.get("page", 1)) - 1
        found = parts[at] if at < len(parts) else []
        body = {"rows": found, "next": at + 2 if at + 1 < len(parts) else None}
        here = f"http://127.0.0.1:{writer.get_extra_info('sockname')[1]}"
        link = {"link": f'<{here}/?after={at + 2}>; rel="next"'} if at + 1 < len(parts) else {}
        await json(body, **link)(request, writer)

    return answer


@pytest.mark.parametrize(
    "paging",
    [
        {"by": "link"},
        {"by": "cursor", "cursor": "body.next", "parameter": "after"},
        {"by": "page"},
        {"by": "page", "until": "page == 3"},
    ],
)
async def test_an_answer_in_pages_is_read_to_its_end(graphs: Make, paging: Any) -> None:
    async with serving(pages([[1, 2], [3], [4, 5]])) as server:
        given = await graphs().one(node(server.url, paging={**paging, "elements": "body.rows"}, whole=True))
        assert given["body"] == [1, 2, 3, 4, 5]
        assert given["pages"] == len(server.requests) == (4 if paging == {"by": "page"} else 3)


async def test_pages_without_an_end_are_an_error(graphs: Make) -> None:
    async with serving(pages([[n] for n in range(50)])) as server:
        with pytest.raises(TaskFailed, match="more than 5 pages"):
            await graphs().one(node(server.url, paging={"by": "page", "elements": "body.rows", "most": 5}))
        assert len(server.requests) == 5


async def test_a_cursor_that_turns_in_a_circle_is_an_error(graphs: Make) -> None:
    async with serving(json({"rows": [1], "next": "again"})) as server:
        paging = {"by": "cursor", "cursor": "body.next", "parameter": "after", "elements": "body.rows"}
        with pytest.raises(TaskFailed, match="the same cursor came twice"):
            await graphs().one(node(server.url, paging=paging))


async def test_a_next_page_on_another_server_is_not_called(graphs: Make) -> None:
    """Its credentials would go along."""
    async with serving(json([])) as other, serving(json([1], link=f'<{other.url}/>; rel="next"')) as server:
        with pytest.raises(TaskFailed, match="another server"):
            await graphs().one(node(server.url, paging={"by": "link"}, headers={"x-key": "mine"}))
        assert other.connections == 0


# ------------------------------------------------------------------------------------------------- death, cancelling


async def test_a_call_is_made_again_when_its_worker_dies(graphs: Make) -> None:
    made = graphs()
    called = asyncio.Event()
    answers = 0

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        answers += 1
        if answers == 1:
            called.set()
            await asyncio.sleep(30)
        await json("done")(request, writer)

    async with serving(answer) as server:
        run = await made.start(
            {"nodes": {"it": node(server.url, idempotency_key=True)}, "output": "${nodes.it.output}"}
        )
        working = asyncio.create_task(made.engine.outcome(run))
        await called.wait()
        made.kill()
        assert (await working).output == "done"
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
        assert len(server.requests) == 2


async def test_cancelling_the_run_hangs_up(graphs: Make) -> None:
    made = graphs()
    called, left = asyncio.Event(), asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        called.set()
        with suppress(ConnectionError):
            await asyncio.wait_for(writer.wait_closed(), 60)
        left.set()

    async with serving(answer) as server:
        run = await made.start({"nodes": {"it": node(server.url)}})
        working = asyncio.create_task(made.engine.outcome(run))
        await called.wait()
        await made.engine.client.cancel(run)
        assert (await working).state == "cancelled"
    assert len(server.requests) == 1


async def test_an_attempt_that_takes_longer_than_its_node_may_is_given_up(graphs: Make) -> None:
    async def never(_: Request, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    made = graphs()
    async with serving(never) as server:
        slow = node(server.url) | {"timeout": "50ms", "retry": {"max_attempts": 2, "base": "1ms"}}
        with pytest.raises(TaskFailed, match=r"longer than 0\.05 s"):
            await made.one(slow)
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(2,)]


async def test_a_node_tells_how_far_it_is(graphs: Make) -> None:
    made = graphs()
    async with serving(pages([[1, 2], [3], [4, 5]])) as server:
        await made.one(node(server.url, paging={"by": "page", "elements": "body.rows"}))
    assert made.query("select note from pgflow.progress") == [("3 pages, 5 elements",)]
