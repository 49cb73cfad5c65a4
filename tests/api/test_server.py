"""The API as people run it: gunicorn, its worker, real sockets and signals."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from pgflow.config import Settings
from tests.api.conftest import Askers
from tests.fixtures.ports import own_port

GRACEFUL = "600"
"""Seconds that are waited for nobody: a server that uses them up fails the test."""
END = 60
"""Seconds after which a test gives up on a server that does not end."""


@contextmanager
def served(settings: Settings, *options: str, host: str = "127.0.0.1") -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = own_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", "api", "--host", host, "--port", str(port), "--graceful", GRACEFUL, *options],
        env={**os.environ, "PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_API_LOGIN_RATE": "1000/minute"},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, port
    finally:
        ended(process)


def ended(process: subprocess.Popen[str]) -> None:
    """Tell it to end, and wait for that."""
    if process.poll() is None:
        process.terminate()
    try:
        process.communicate(timeout=END)
    except subprocess.TimeoutExpired:
        for pid in (*children(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        raise


def children(pid: int) -> list[int]:
    """The processes that serve."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ready(process: subprocess.Popen[str], port: int) -> None:
    """Wait until it answers."""
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, process.communicate()
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz").is_success:
                return
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(port: int, raw: bytes) -> bytes:
    """Send these very bytes, and read until the other side closes, however much of them it has taken."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), END) as connection, suppress(ConnectionError):
        connection.sendall(raw)
        while part := connection.recv(65536):
            answer += part
    return answer


def test_it_serves_takes_no_smuggled_request_and_ends_in_order(database: Settings, askers: Askers) -> None:
    token = askers.token("operator")
    with served(database, "--processes", "2", "--idle", "3600") as (process, port):
        ready(process, port)
        admitted = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=admitted, timeout=END) as http:
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
        assert ask(port, both).count(b"HTTP/1.1 200") == 0
        assert b" 400 " in ask(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n").split(b"\r\n")[0]
        assert b" 200 " not in ask(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n")
        what_a_process_counted_outlives_it(process, port, token)
        what_is_under_way_is_answered_and_what_rests_is_closed(process, port, token)


def what_a_process_counted_outlives_it(process: subprocess.Popen[str], port: int, token: str) -> None:
    """Also for the others: it does not take away what they share."""
    before = set(children(process.pid))
    gone = min(before)
    os.kill(gone, signal.SIGTERM)
    while len(now := set(children(process.pid))) < 2 or gone in now:
        time.sleep(0.02)
    ready(process, port)
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=END)
    assert 'pgflow_api_requests_total{method="POST",route="/api/v1/runs",status="201"} 1.0' in metrics.text


def test_it_may_be_told_to_end_as_soon_as_it_has_begun(database: Settings) -> None:
    """Right after the fork a process has the handlers of the one that it comes from, which heed nothing there."""
    with served(database, "--processes", "2") as (process, _):
        while not children(process.pid):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGTERM)
        assert process.wait(END) == 0


def what_is_under_way_is_answered_and_what_rests_is_closed(
    process: subprocess.Popen[str], port: int, token: str
) -> None:
    """At SIGTERM."""
    body = b'{"name": "noop"}'
    head = (
        f"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with ExitStack() as opened:

        def connected() -> socket.socket:
            return opened.enter_context(socket.create_connection(("127.0.0.1", port), END))

        asking, resting, silent, begun = (connected() for _ in range(4))
        asking.sendall(head)
        assert asking.recv(1000).startswith(b"HTTP/1.1 100 ")
        resting.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert resting.recv(10_000).startswith(b"HTTP/1.1 200 ")
        begun.sendall(b"GET /healthz HTTP/1.1\r\nHost")
        process.send_signal(signal.SIGTERM)
        for one in (resting, silent, begun):
            assert one.recv(1000) == b""
        assert process.poll() is None
        asking.sendall(body)
        answer = b""
        while part := asking.recv(10_000):
            answer += part
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert process.wait(END) == 0


def test_a_second_signal_ends_it_without_waiting_for_anybody(database: Settings, askers: Askers) -> None:
    token = askers.token("operator")
    with served(database) as (process, port), ExitStack() as opened:
        ready(process, port)
        asking = opened.enter_context(socket.create_connection(("127.0.0.1", port), END))
        asking.sendall(
            f"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n"
            "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n".encode()
        )
        assert asking.recv(1000).startswith(b"HTTP/1.1 100 ")
        process.send_signal(signal.SIGTERM)
        while not refused(port):
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(END) == 0


def refused(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), END).close()
    except ConnectionError:
        return True
    return False


def test_it_listens_to_others_only_when_somebody_can_be_let_in(database: Settings, askers: Askers) -> None:
    with served(database, host="0.0.0.0") as (process, _):
        _, said = process.communicate(timeout=END)
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
        end = time.monotonic() + END
        while True:
            slow = [socket.create_connection(("127.0.0.1", port), END) for _ in range(50)]
            for one in slow:
                one.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Len")
            if answered_beside(slow, port, token):
                break
            for one in slow:
                one.close()
            assert time.monotonic() < end, "nothing is answered as long as a request is on its way"
        more = [socket.create_connection(("127.0.0.1", port), END) for _ in range(20)]
        for one in slow:
            with suppress(ConnectionError):
                one.sendall(b"g")
            assert closed(one)
        for one in more:
            assert closed(one), "over the limit at once, or for want of a request"
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=END).is_success


def answered_beside(slow: list[socket.socket], port: int, token: str) -> int:
    """Ask twenty times. How many answers came while all these were still waited for?"""
    admitted = {"Authorization": f"Bearer {token}"}
    beside = 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=admitted, timeout=END) as http:
        for _ in range(20):
            assert http.get("/api/v1/runs").is_success
            beside += not select.select(slow, [], [], 0)[0]
    return beside


def closed(connection: socket.socket) -> bool:
    """Whether the other side closes it without a word."""
    with connection, suppress(ConnectionResetError):
        return connection.recv(100) == b""
    return True
