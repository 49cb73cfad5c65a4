"""Bytes that nobody means well with, on real sockets: bodies without an end, requests within requests, odd headers."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator

import httpx
import pytest

from pgflow.config import Settings
from tests.api.conftest import Askers
from tests.api.test_server import ready, served
from tests.fixtures.database import Engine

HIDDEN = b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PLAIN = b'{"name": "hidden"}'


@pytest.fixture
def port(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name in ("PGFLOW_API_RATE", "PGFLOW_API_ADDRESS_RATE"):
        monkeypatch.setenv(name, "100000/second")
    with served(database, "--idle", "3") as (process, port):
        ready(process, port)
        yield port


def told(port: int, raw: bytes, *, wait: float = 60.0) -> bytes:
    """What comes back, until the other side has closed, which it has to."""
    with socket.create_connection(("127.0.0.1", port), wait) as connection:
        connection.settimeout(wait)
        answer = b""
        try:
            connection.sendall(raw)
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def test_no_request_hides_in_another(port: int, askers: Askers, engine: Engine) -> None:
    token = f"Authorization: Bearer {askers.token('operator')}\r\n".encode()
    hidden = HIDDEN + token + b"Content-Length: %d\r\n\r\n" % len(PLAIN) + PLAIN
    start = b"POST /api/v1/cron HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + token
    length = b"Content-Length: %d\r\n" % (len(hidden) + 5)
    for odd in (
        b"Transfer-Encoding: chunked\r\n" + length,
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding : chunked\r\n" + length,
        b"Transfer-Encoding: xchunked\r\n" + length,
        b"Transfer-Encoding:\x0bchunked\r\n" + length,
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + length,
        b"Transfer-Encoding: identity, chunked, identity\r\n",
        b"Content-Length: 5\r\n" + length,
        b"Content-Length: +5\r\n",
        b"Content-Length: 5, 500\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5\r\n folded: 1\r\n",
        b"X-Odd: a\rContent-Length: 0\r\n",
        b"X-Odd: a\x00b\r\n",
        b"X Odd: a\r\n",
        b": a\r\n",
    ):
        answer = told(port, start + odd + b"\r\n0\r\n\r\n" + hidden)
        assert 201 not in statuses(answer), odd
        assert not any(200 <= status < 300 for status in statuses(answer)), odd
    assert engine.query("select name from pgflow.task") == [], "nothing that was hidden was done"
    assert statuses(told(port, hidden.replace(b"Host: x", b"Host: x\r\nConnection: close"))) == [201], "it would work"


def test_ten_megabytes_are_refused_however_they_come(port: int, askers: Askers, engine: Engine) -> None:
    token, big = askers.token("operator"), b'{"name": "noop", "input": {"a": "' + b"x" * 10_000_000 + b'"}}'
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(big), 65536):
            yield big[at : at + 65536]

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        for path in ("/api/v1/runs", "/api/v1/tasks", "/api/v1/events", "/api/v1/workflows/validate", "/hooks/none"):
            for body in (big, chunks()):
                try:
                    answer = http.post(path, content=body)
                except (httpx.WriteError, httpx.ReadError):  # it was cut off before it had sent all
                    continue
                assert (answer.status_code, answer.json()["code"]) == (413, "too_large"), path
        packed = http.post("/api/v1/runs", content=gzip.compress(big), headers={"Content-Encoding": "gzip"})
        assert (packed.status_code, packed.json()["code"]) == (400, "bad_json"), "nothing is unpacked"
        assert http.get("/healthz").is_success
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


def test_a_body_that_does_not_come_holds_up_nobody(port: int, askers: Askers) -> None:
    token = askers.token("operator")
    begun = HIDDEN + f"Authorization: Bearer {token}\r\n".encode() + b"Content-Length: 1000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        for one in slow:
            one.sendall(begun)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as http:
            for _ in range(20):
                assert http.post("/api/v1/runs", json={"name": "noop"}, timeout=20).status_code == 201
                for one in slow:
                    one.sendall(b" ")
    finally:
        for one in slow:
            one.close()


def test_what_is_sent_back_ends_no_header(port: int, askers: Askers) -> None:
    token = f"Authorization: Bearer {askers.token('operator')}\r\n".encode()
    end = b"Host: x\r\nConnection: close\r\n" + token + b"\r\n"
    for line in (
        b"GET /api/v1/runs/1%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\n",
        b"GET /api/v1/workflows/a%0d%0aX-Evil:1 HTTP/1.1\r\n",
        b"GET /api/v1/session/oidc?next=%0d%0aX-Evil:1 HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Request-Id: a%0d%0aX-Evil: 1\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Request-Id: a\x0dX-Evil: 1\r\n",
    ):
        head = told(port, line + end).split(b"\r\n\r\n")[0].lower()
        assert head.startswith(b"http/1.1 "), line
        assert b"\r\nx-evil" not in head, line
        assert b"\r\nset-cookie" not in head, line
