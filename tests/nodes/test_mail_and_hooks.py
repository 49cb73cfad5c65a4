"""Nodes that tell somebody: mail to a real server, signed calls to a real receiver."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from typing import Any

import orjson
import pytest

from pgflow.errors import TaskFailed
from pgflow.signature import Kind, Scheme, verify
from tests.nodes.conftest import Make
from tests.outbound.mailbox import Mailbox, mailbox
from tests.outbound.servers import Request, respond, serving

SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzaG9wLi4uLi4="


def letter(**config: Any) -> dict[str, Any]:
    config = {"to": "ann@example.com", "subject": "Sales of ${input.day}", "text": "All in all.", **config}
    return {"type": "email", "config": config, "retry": {"max_attempts": 3, "base": "1ms"}}


def sender(box: Mailbox) -> dict[str, Any]:
    return {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "pgflow@example.org"}


async def test_a_letter_is_sent_as_configured(graphs: Make) -> None:
    async with mailbox() as box:
        given = await graphs(**sender(box)).one(
            letter(
                to=["Ann <ann@example.com>", "bob@example.com"],
                cc="cy@example.com",
                bcc=["dee@example.com", "ann@example.com"],
                reply_to="desk@example.com",
                html="<b>All</b>",
                attachments=[{"name": "sales.csv", "content": b64encode(b"a,b\n").decode(), "type": "text/csv"}],
            ),
            day="2026-05-01",
        )
        (made,) = box.letters
        assert box.recipients == [["ann@example.com", "bob@example.com", "cy@example.com", "dee@example.com"]]
    assert made["To"] == "Ann <ann@example.com>, bob@example.com"
    assert made["Cc"] == "cy@example.com"
    assert made["Bcc"] is None
    assert b"dee@" not in made.as_bytes()
    assert made["Reply-To"] == "desk@example.com"
    assert made["Subject"] == "Sales of 2026-05-01"
    assert made["Message-ID"] == f"<{given['id']}@example.org>"
    plain, html = made.get_body(("plain",)), made.get_body(("html",))
    assert [part.get_content().strip() for part in (plain, html) if part is not None] == ["All in all.", "<b>All</b>"]
    (file,) = made.iter_attachments()
    assert (file.get_filename(), file.get_content_type(), file.get_content().encode()) == (
        "sales.csv",
        "text/csv",
        b"a,b\n",
    )


async def test_a_text_cannot_add_headers(graphs: Make) -> None:
    async with mailbox() as box:
        made = graphs(**sender(box))
        await made.one(letter(subject="${input.evil}"), evil="Hello\r\nBcc: eve@example.com")
        assert box.letters[0]["Subject"] == "Hello Bcc: eve@example.com"
        with pytest.raises(TaskFailed, match="is no mail address"):
            await made.one(letter(to="${input.evil}"), evil="ann@example.com\r\nBcc: eve@example.com", day="")
    assert [one for some in box.recipients for one in some] == ["ann@example.com"]


async def test_a_server_that_is_busy_is_asked_again(graphs: Make) -> None:
    async with mailbox(DATA="451 come back later") as box:
        made = graphs(**sender(box))
        with pytest.raises(TaskFailed, match="451"):
            await made.one(letter(), day="")
        assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(3,)]


async def test_one_that_refuses_is_not(graphs: Make) -> None:
    async with mailbox(**{"RCPT TO:<ann": "550 nobody here"}) as box:
        made = graphs(**sender(box))
        with pytest.raises(TaskFailed, match=r"ann@example.com: 550 nobody here"):
            await made.one(letter(), day="")
        with pytest.raises(TaskFailed, match=r"takes no mail for ann@example.com"):
            await made.one(letter(to=["ann@example.com", "bob@example.com"]), day="")
        assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(1,), (1,)]
        assert box.recipients == [["bob@example.com"]], "once"


async def test_without_a_server_the_node_says_what_to_set(graphs: Make) -> None:
    with pytest.raises(TaskFailed, match="PGFLOW_SMTP_URL"):
        await graphs(smtp_url=None).one(letter(), day="")


async def test_a_letter_sent_twice_has_one_id(graphs: Make) -> None:
    """A worker that dies after the server took the letter sends it again; a reader can tell."""
    async with mailbox() as box:
        made = graphs(**sender(box))

        def watch(executor: Any, moment: str, entries: Any) -> None:
            if moment == "before" and len(box.letters) == 1 and not executor.dead:
                raise executor.die(entries, sent=False)

        made.engine.watch = watch
        await made.one(letter(), day="")
        assert len(box.letters) == 2
        assert len({one["Message-ID"] for one in box.letters}) == 1


# ------------------------------------------------------------------------------------------------------- webhooks


def hook(url: str, **config: Any) -> dict[str, Any]:
    config = {"url": url, "payload": {"order": "${input.order}"}, "secret": "${secrets.SHOP}", **config}
    return {"type": "webhook", "config": config, "retry": {"max_attempts": 3, "base": "1ms"}}


async def test_a_delivery_is_signed(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_SHOP", SECRET)
    monkeypatch.setenv("PGFLOW_SECRET_NEXT", "another secret")
    made = graphs()
    async with serving(respond(202, b'{"taken": true}', content_type="application/json")) as server:
        both = ["${secrets.NEXT}", "${secrets.SHOP}"]
        assert await made.one(hook(server.url, secret=both, headers={"x-from": "us"}), order=7) == {
            "status": 202,
            "body": {"taken": True},
        }
        (request,) = server.requests
    for secret in (SECRET, "another secret"):
        assert verify(Scheme(Kind.STANDARD), request.headers, request.body, [secret], now=time.time()).id
    assert orjson.loads(request.body) == {"order": 7}
    assert request.headers["x-from"] == "us"
    assert SECRET not in made.stored()


async def test_each_attempt_has_the_same_id(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_SHOP", SECRET)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(503 if len(server.requests) < 3 else 200)(request, writer)

    async with serving(answer) as server:
        await graphs().one(hook(server.url), order=7)
        assert len({request.headers["webhook-id"] for request in server.requests}) == 1
        assert len(server.requests) == 3


async def test_a_receiver_that_wants_nothing_more_fails_the_node(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_SHOP", SECRET)
    async with serving(respond(410)) as server:
        with pytest.raises(TaskFailed, match="410"):
            await graphs().one(hook(server.url), order=7)
        assert len(server.requests) == 1


async def test_a_secret_that_signs_nothing_is_told(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_SHOP", "whsec_not base64!")
    with pytest.raises(TaskFailed, match="not base64"):
        await graphs().one(hook("http://127.0.0.1:1"), order=7)
