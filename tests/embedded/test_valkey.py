from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pgflow.embedded import EmbeddedValkey
from pgflow.errors import EmbeddedError
from tests.embedded.conftest import WITHOUT_DEATH_SIGNAL, alive, ends, owner_of


@pytest.fixture
def server(reachable: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(reachable / "a") as server:
        yield server


def test_it_keeps_what_is_set(server: EmbeddedValkey) -> None:
    with redis.Redis.from_url(server.url) as client:
        assert client.set("key", "value", nx=True, px=60_000)
        assert client.get("key") == b"value"
        assert client.eval("return redis.call('get', KEYS[1])", 1, "key") == b"value"


def test_nobody_gets_in_without_the_password(server: EmbeddedValkey) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET key\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    password = (server.directory / "valkey.password").read_text()
    assert password in server.url
    assert password.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert (server.directory / "valkey.password").stat().st_mode & 0o077 == 0


def test_stop_ends_the_process(server: EmbeddedValkey) -> None:
    pid = server.pid
    server.stop()
    assert not server.running
    assert not alive(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_restart_keeps_the_url_and_nothing_else(server: EmbeddedValkey) -> None:
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    server.kill()
    server.start()
    assert server.url == url
    with redis.Redis.from_url(url) as client:
        assert client.get("key") is None
    assert {path.name for path in server.directory.iterdir()} <= {
        "valkey.lock",
        "valkey.log",
        "valkey.password",
        "valkey.pid",
        "valkey.port",
    }


def test_the_server_dies_with_its_owner(reachable: Path) -> None:
    with owner_of(f"EmbeddedValkey(Path({str(reachable / 'a')!r}))") as owner:
        owner.kill()
        assert ends(owner.server_pid)


def test_an_orphan_is_replaced(reachable: Path) -> None:
    with owner_of(f"EmbeddedValkey(Path({str(reachable / 'a')!r}))", before=WITHOUT_DEATH_SIGNAL) as owner:
        owner.kill()
        os.kill(owner.server_pid, 0)  # it lives on
        with EmbeddedValkey(reachable / "a") as server:
            assert not alive(owner.server_pid)
            assert server.pid != owner.server_pid


def test_a_stranger_with_the_process_id_of_the_last_server_is_left_alone(server: EmbeddedValkey) -> None:
    server.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (server.directory / "valkey.pid").write_text(json.dumps([stranger.pid, "1"]))
        server.start()
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_start_of_a_directory_is_refused(server: EmbeddedValkey) -> None:
    with pytest.raises(EmbeddedError, match=rf"already running \(pid {os.getpid()}\)"):
        EmbeddedValkey(server.directory).start()
    assert server.running


def test_a_taken_port_is_named(reachable: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"port {taken} of 127.0.0.1 is already taken"):
            EmbeddedValkey(reachable / "a", port=taken).start()


def test_a_port_lost_in_the_last_moment_is_replaced(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
        probe.close()
        offers = iter([listener.getsockname()[1], free])
        monkeypatch.setattr("pgflow.embedded.server.free_port", lambda: next(offers))
        with EmbeddedValkey(reachable / "a") as server:
            assert server.port == free
