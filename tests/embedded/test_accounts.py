"""Running as root, as a normal user, and where the one cannot go where the other can."""

from __future__ import annotations

import encodings.idna  # noqa: F401 (user nobody may not be able to read it when a socket asks for it)
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pgflow.embedded import EmbeddedPostgres, EmbeddedValkey, find_binaries, find_valkey
from pgflow.embedded.account import unprivileged_user
from pgflow.embedded.binaries import runnable_postgres, runnable_program
from pgflow.embedded.directory import own_directory
from pgflow.errors import EmbeddedError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def as_nobody(action: Callable[[], object]) -> str:
    """Do something in a child that has become user nobody; what went wrong, if anything."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "it did not end"
        try:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            action()
            said = ""
        except BaseException as error:  # noqa: BLE001 (it is what the parent asks for)
            said = repr(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@as_root
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_normal_user_needs_nothing_else(reachable: Path) -> None:
    bindir, _ = runnable_postgres(find_binaries(), unprivileged_user())
    valkey = runnable_program(find_valkey(), unprivileged_user())
    reachable.chmod(0o777)

    def serve() -> None:
        with (
            EmbeddedPostgres(reachable / "a", durable=False, binaries=bindir) as server,
            EmbeddedValkey(reachable / "a", program=valkey),
        ):
            with psycopg.connect(server.url) as connection:
                connection.execute("select 1")
            assert server.data_directory.stat().st_uid == os.geteuid() != 0

    assert as_nobody(serve) == ""


@as_root
def test_root_is_dropped(reachable: Path) -> None:
    with EmbeddedPostgres(reachable / "a", durable=False) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert server.data_directory == reachable / "a" / "postgres"
    with EmbeddedValkey(reachable / "a") as cache:
        assert Path(f"/proc/{cache.pid}").stat().st_uid != 0


@as_root
def test_data_goes_elsewhere_when_the_account_cannot_get_there(reachable: Path, public: Path) -> None:
    private = reachable / "private"
    private.mkdir(mode=0o700)
    wanted = private / "a"
    with EmbeddedPostgres(wanted, durable=False) as server, psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 42 as answer")
        elsewhere = server.data_directory
    assert elsewhere.is_relative_to(public)
    assert private.stat().st_mode & 0o777 == 0o700
    private.chmod(0o755)  # it could now be reached, but the data is where it is
    with EmbeddedPostgres(wanted, durable=False) as server, psycopg.connect(server.url) as connection:
        assert server.data_directory == elsewhere
        assert connection.execute("select answer from kept").fetchone() == (42,)


@as_root
def test_programs_are_copied_when_the_account_cannot_run_them(tmp_path: Path, public: Path) -> None:
    found = find_binaries()
    if found.parent.name != "pginstall":
        pytest.skip("only those of a package are ever copied")
    package = found.parent.parent
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copytree(package, hidden / package.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, hidden / libraries.name)
    (hidden / package.name).chmod(0o700)
    original = hidden / package.name / "pginstall" / "bin"
    with EmbeddedPostgres(public.parent / "a", durable=False, binaries=original) as server:
        assert server.bindir.is_relative_to(public)
        with psycopg.connect(server.url) as connection:
            connection.execute("create extension pg_stat_statements")
    assert runnable_postgres(original, unprivileged_user())[0] == server.bindir
    assert len(list((public / "pgflow-postgres").iterdir())) == 1
    assert hidden.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_single_program_is_copied_too(tmp_path: Path, public: Path) -> None:
    tmp_path.chmod(0o700)
    hidden = tmp_path / "valkey-server"
    shutil.copy2(find_valkey(), hidden)
    with EmbeddedValkey(public.parent / "a", program=hidden) as cache:
        assert str(public) in Path(f"/proc/{cache.pid}/cmdline").read_text()


@as_root
def test_data_of_another_account_is_explained(reachable: Path) -> None:
    server = EmbeddedPostgres(reachable / "a", durable=False)
    server.start()
    server.stop()
    os.chown(server.data_directory, 0, 0)
    with pytest.raises(EmbeddedError, match="belongs to user id 0, but PostgreSQL would run as user id"):
        server.start()


@as_root
def test_a_place_that_somebody_took_first_is_not_used(reachable: Path) -> None:
    foreign, writable, link = reachable / "foreign", reachable / "writable", reachable / "link"
    foreign.mkdir()
    os.chown(foreign, 65534, 65534)
    writable.mkdir()
    writable.chmod(0o777)
    link.symlink_to(foreign)
    for path in (foreign, writable, link):
        with pytest.raises(EmbeddedError, match="not exclusively ours"):
            own_directory(path)
    own_directory(reachable / "new")
    own_directory(reachable / "new")
