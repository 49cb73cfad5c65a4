from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgflow.embedded import EmbeddedPostgres, port
from pgflow.embedded.account import as_user, unprivileged_user
from pgflow.embedded.process import wait_until
from pgflow.errors import EmbeddedError
from tests.embedded.conftest import WITHOUT_DEATH_SIGNAL, ends, owner_of


def query(server: EmbeddedPostgres, statement: str) -> Any:
    with psycopg.connect(server.url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None  # type: ignore[index]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A directory with data, for tests that leave it whole: making one takes longer than all else."""
    path = Path(tempfile.mkdtemp(prefix="pgflow-test-"))
    path.chmod(0o755)
    with EmbeddedPostgres(path / "a", durable=False):
        pass
    yield path / "a"
    shutil.rmtree(path)


@pytest.fixture
def server(directory: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(directory, durable=False) as server:
        yield server


@pytest.fixture
def copy(reachable: Path, directory: Path) -> Path:
    """A directory with data, to be damaged."""
    subprocess.run(["cp", "-a", directory, reachable / "copy"], check=True)
    return reachable / "copy"


def test_a_new_directory_gives_a_database_that_answers(server: EmbeddedPostgres) -> None:
    assert server.running
    assert query(server, "select current_database()") == "postgres"
    assert query(server, "show server_encoding") == "UTF8"
    assert query(server, "show timezone") == "UTC"
    assert (server.bindir / "postgres").exists()


def test_a_restart_keeps_the_data_and_the_url(server: EmbeddedPostgres) -> None:
    query(server, "create table restarted as select 42 as answer")
    first_url, first_pid = server.url, server.pid
    server.stop()
    assert not server.running
    server.start()
    assert server.pid != first_pid
    assert server.url == first_url
    assert query(server, "select answer from restarted") == 42


def test_durable_means_that_nothing_is_switched_off(reachable: Path, server: EmbeddedPostgres) -> None:
    names = "('fsync', 'full_page_writes', 'synchronous_commit')"
    switches = f"select string_agg(setting, ' ') from pg_settings where name in {names}"
    assert query(server, switches) == "off off off"
    with EmbeddedPostgres(reachable / "new") as durable:
        assert query(durable, switches) == "on on on"


def test_committed_data_survives_a_kill_of_the_server(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        query(server, "create table killed as select 42 as answer")
        with psycopg.connect(server.url):  # a session that has to notice the death of the server
            server.kill()
            assert not server.running
            server.start()
        assert query(server, "select answer from killed") == 42


def test_settings_win_over_the_defaults(directory: Path) -> None:
    with EmbeddedPostgres(directory, durable=False, settings={"max_connections": "17"}) as server:
        assert query(server, "show max_connections") == "17"
        assert query(server, "show wal_level") == "replica"
        assert query(server, "show shared_preload_libraries") == "pg_stat_statements"


def test_a_server_that_cannot_start_shows_its_log_but_no_password(directory: Path) -> None:
    server = EmbeddedPostgres(directory, durable=False, settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedError, match="invalid value for parameter") as caught:
        server.start()
    assert not server.running
    assert (directory / "password").read_text() not in str(caught.value)


def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres) -> None:
    for host in ("127.0.0.1", str(server.socket_directory)):
        where = {"host": host, "port": server.port, "user": "postgres", "dbname": "postgres"}
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**where, password="guess")  # type: ignore[arg-type]
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(**where, passfile="/dev/null")  # type: ignore[arg-type]


def test_only_the_owner_can_read_the_password(server: EmbeddedPostgres) -> None:
    assert (server.directory / "password").stat().st_mode & 0o077 == 0
    assert server.data_directory.stat().st_mode & 0o077 == 0


def test_the_password_is_on_no_command_line(server: EmbeddedPostgres) -> None:
    password = (server.directory / "password").read_text()
    assert password in server.url
    assert password.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


def test_a_lost_password_file_is_explained(copy: Path) -> None:
    (copy / "password").unlink()
    with pytest.raises(EmbeddedError, match=r"the password of the data in .* is lost"):
        EmbeddedPostgres(copy).start()


def test_the_socket_is_left_out_when_its_path_would_be_too_long(reachable: Path, copy: Path) -> None:
    with EmbeddedPostgres(copy.rename(reachable / ("long" * 25)), durable=False) as server:
        assert server.socket_directory is None
        assert query(server, "show unix_socket_directories") == ""


def test_a_taken_port_is_named(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        server = EmbeddedPostgres(directory, durable=False, port=taken)
        with pytest.raises(EmbeddedError, match=f"port {taken} of 127.0.0.1 is already taken") as caught:
            server.start()
        assert "`port`" in str(caught.value.hint)
    server.start()
    assert server.port == taken
    server.stop()


def test_another_port_is_chosen_when_the_last_one_is_taken(server: EmbeddedPostgres) -> None:
    last = server.port
    server.stop()
    with socket.create_server(("127.0.0.1", last)):
        server.start()
        assert server.port != last
        assert query(server, "select 1") == 1


def test_a_port_lost_in_the_last_moment_is_replaced(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        offers = iter([taken, port.free_port()])
        monkeypatch.setattr("pgflow.embedded.server.free_port", lambda: next(offers))
        with EmbeddedPostgres(directory, durable=False) as server:
            assert server.port != taken
            assert query(server, "select 1") == 1


def test_a_second_start_of_a_directory_is_refused(directory: Path) -> None:
    with owner_of(f"EmbeddedPostgres(Path({str(directory)!r}), durable=False)") as owner:
        with pytest.raises(EmbeddedError, match=rf"already running \(pid {owner.pid}\) for this directory") as caught:
            EmbeddedPostgres(directory).start()
        assert caught.value.hint


def test_a_second_object_for_a_directory_is_refused_and_the_first_goes_on(server: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedError, match="already running"):
        EmbeddedPostgres(server.directory).start()
    assert query(server, "select 1") == 1


def test_starting_a_running_server_changes_nothing(server: EmbeddedPostgres) -> None:
    pid = server.pid
    server.start()
    assert server.pid == pid


def test_the_server_dies_with_its_owner(directory: Path) -> None:
    with owner_of(f"EmbeddedPostgres(Path({str(directory)!r}), durable=False)") as owner:
        owner.kill()
        assert ends(owner.server_pid)


def test_the_server_outlives_the_thread_that_started_it(directory: Path) -> None:
    server = EmbeddedPostgres(directory, durable=False)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            server._process.wait(0.3)  # type: ignore[union-attr]
        assert query(server, "select 1") == 1
    finally:
        server.stop()
    assert not server.running


def test_an_orphan_is_replaced_and_its_data_kept(directory: Path) -> None:
    wanted = f"EmbeddedPostgres(Path({str(directory)!r}))"
    with owner_of(wanted, before=WITHOUT_DEATH_SIGNAL) as owner:
        url = f"postgresql://postgres:{(directory / 'password').read_text()}@127.0.0.1"
        with psycopg.connect(f"{url}:{(directory / 'port').read_text()}/postgres") as connection:
            connection.execute("create table orphaned as select 42 as answer")
        owner.kill()
        os.kill(owner.server_pid, 0)  # it lives on
        with EmbeddedPostgres(directory) as server:
            assert server.pid != owner.server_pid
            assert ends(owner.server_pid)
            assert query(server, "select answer from orphaned") == 42


@pytest.mark.parametrize("command", ["true", "sleep 60"], ids=["a zombie", "a stranger"])
def test_a_process_id_in_the_lock_file_that_means_nothing_is_no_hindrance(
    server: EmbeddedPostgres, command: str
) -> None:
    with subprocess.Popen(command.split(), cwd="/", **as_user(unprivileged_user())) as other:
        if command == "true":
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        try:
            server.kill()
            lock_file = server.data_directory / "postmaster.pid"
            lines = lock_file.read_text().splitlines(keepends=True)
            lock_file.write_text(f"{other.pid}\n" + "".join(lines[1:]))
            server.start()
            assert query(server, "select 1") == 1
        finally:
            other.kill()


def test_a_server_somebody_started_by_hand_is_left_alone(server: EmbeddedPostgres) -> None:
    server.stop()
    by_hand = server._served
    command = [
        str(by_hand.bindir / "postgres"),
        "-D",
        str(by_hand.data),
        f"--port={server.port}",
        "--unix_socket_directories=",
    ]
    with subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **as_user(by_hand.user)) as process:
        try:
            assert wait_until(lambda: by_hand.ready(process.pid), 60)
            with pytest.raises(EmbeddedError, match=r'lock file "postmaster.pid" already exists'):
                server.start()
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)


def test_a_stale_ready_is_not_believed(server: EmbeddedPostgres) -> None:
    assert server._served.ready(server.pid)
    server.kill()
    assert "ready" in (server.data_directory / "postmaster.pid").read_text()
    assert not server._served.ready(server.pid + 1)


def test_a_first_start_killed_midway_leaves_nothing_half_made(reachable: Path) -> None:
    stop_before_the_end = "Path.rename = lambda self, to: print(0, flush=True) or sys.stdin.read()"
    with owner_of(f"EmbeddedPostgres(Path({str(reachable / 'a')!r}), durable=False)", stop_before_the_end) as owner:
        owner.kill()
    assert list((reachable / "a").glob("initdb-*/postgres/PG_VERSION"))
    with EmbeddedPostgres(reachable / "a", durable=False) as server:
        assert query(server, "select 1") == 1
    assert not list((reachable / "a").glob("initdb-*"))


def test_data_of_another_version_is_explained(copy: Path) -> None:
    (copy / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match=r"was made by PostgreSQL 9, but this is PostgreSQL \d+"):
        EmbeddedPostgres(copy).start()


def test_what_was_never_started_says_so(reachable: Path) -> None:
    server = EmbeddedPostgres(reachable / "a")
    server.stop()
    assert not server.running
    for attribute in ("url", "port", "pid", "bindir"):
        with pytest.raises(EmbeddedError, match="was not started"):
            getattr(server, attribute)
