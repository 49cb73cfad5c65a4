"""The API as people run it: gunicorn, its worker, real sockets and signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from pgflow.config import Settings
from pgflow.embedded.port import free_port
from tests.api.conftest import Askers


@contextmanager
def served(settings: Settings, *options: str, host: str = "127.0.0.1") -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", "api", "--host", host, "--port", str(port), "--graceful", "30", *options],
        env={**os.environ, "PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_API_LOGIN_RATE": "1000/minute"},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, port
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=40)


def ready(process: subprocess.Popen[str], port: int) -> None:
    """Wait until a worker answers: one that is told to end while it starts is waited for the whole graceful time."""
    end = time.monotonic() + 40
    while True:
        assert process.poll() is None, process.communicate()
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz").is_success:
                return
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(port: int, raw: bytes, *, wait: float = 5.0) -> bytes:
    """Send these very bytes, and read until the other side closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), wait) as connection:
        connection.settimeout(wait)
        connection.sendall(raw)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            pass
        return answer


def test_it_serves_takes_no_smuggled_request_and_ends_in_order(database: Settings, askers: Askers) -> None:
    token = askers.token("operator")
    with served(database, "--processes", "2") as (process, port):
        ready(process, port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as http:
            assert http.get("/healthz").json() == {"status": "ok"}
            assert http.get("/readyz").json()["database"] == "ok"
            started = http.post("/api/v1/runs", json={"name": "noop"})
            assert started.status_code == 201
            assert started.headers["Location"] == f"/api/v1/runs/{started.json()['id']}"
            big = http.post("/api/v1/runs", content=b"[" * 2_000_000, headers={"Content-Type": "application/json"})
            assert (big.status_code, big.json()["code"]) == (413, "too_large")
            openapi = http.get("/api/v1/openapi.json")
            assert openapi.headers["Content-Encoding"] == "gzip"
        both = (
            b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert ask(port, both, wait=2).count(b"HTTP/1.1 200") == 0
        assert (
            b" 400 "
            in ask(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", wait=2).split(b"\r\n")[0]
        )
        assert b" 200 " not in ask(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", wait=2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == 0
        assert time.monotonic() - began < 20


def test_it_listens_to_others_only_when_somebody_can_be_let_in(database: Settings, askers: Askers) -> None:
    with served(database, host="0.0.0.0") as (process, _):
        _, said = process.communicate(timeout=40)
        assert process.returncode == 2
        assert "there is neither a user nor a token" in said
        assert "Traceback" not in said
    askers.token("viewer")
    with served(database, host="0.0.0.0") as (process, port):
        ready(process, port)


def test_a_request_that_comes_byte_by_byte_holds_up_nobody_and_is_cut_off(database: Settings, askers: Askers) -> None:
    token = askers.token("viewer")
    with served(database, "--idle", "3", "--connections", "60") as (process, port):
        ready(process, port)
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        for one in slow:
            one.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Len")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in range(20):
                assert http.get("/api/v1/runs", headers={"Authorization": f"Bearer {token}"}, timeout=2).is_success
        more = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for one in slow:
            one.settimeout(10)
            one.sendall(b"g")
            assert one.recv(100) == b""  # closed
            one.close()
        refused = 0
        for one in more:
            one.settimeout(10)
            try:
                refused += one.recv(100) == b""
            except ConnectionResetError:
                refused += 1
            one.close()
        assert refused == 20  # those over the limit at once, the others for want of a request
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
