"""Secrets: stored sealed, handed out in clear to code that runs, rotated beside everything else."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgflow
from pgflow import config, redaction
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import secrets as engine_secrets
from pgflow.errors import ArgumentError, ConfigError, DatabaseUnavailable, NotFound, SealBroken
from pgflow.sdk import secret as vaults
from pgflow.sdk import worker_vault
from pgflow.sdk.app import App
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.registry.secrets import AsyncSecrets, Secrets
from pgflow.sdk.secret import Vault
from pgflow.sdk.worker_vault import WorkerVault
from pgflow.sealing import Keyring, key_id, new_key, read_key
from pgflow.testing import database as databases
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing
from tests.runtime.processes import until
from tests.sdk.test_client import public

OLD, NEW = new_key(), new_key()
OLD_ID, NEW_ID = (key_id(read_key(key)) for key in (OLD, NEW))


def with_keys(settings: Settings, *keys: str) -> Settings:
    return settings.model_copy(update={"secret_keys": list(keys)})


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    redaction.forget()


@pytest.fixture
def client(database: Settings) -> Iterator[Client]:
    with Client(with_keys(database, NEW), actor="ann") as client:
        yield client


@pytest.fixture
def vault(database: Settings) -> Iterator[WorkerVault]:
    vault = WorkerVault(with_keys(database, NEW))
    yield vault
    vault.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of this process on."""
    shift = [0.0]
    for module in (vaults, worker_vault):
        monkeypatch.setattr(module, "clock", lambda: time.monotonic() + shift[0])

    def move(seconds: float) -> None:
        shift[0] += seconds

    return move


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    assert public(Secrets) == public(AsyncSecrets)
    assert set(public(Secrets)) == {"set", "list", "remove", "rotate", "check"}
    assert all(inspect.getdoc(method) for name, method in vars(Secrets).items() if not name.startswith("_"))


def test_a_secret_is_stored_sealed_and_listed_without_its_value(client: Client, engine: Engine) -> None:
    assert client.secrets.set("API_TOKEN", "hunter22") == 1
    assert client.secrets.set("API_TOKEN", "hunter33") == 2
    ((sealed, key),) = engine.query("select sealed, key_id from pgflow.secret")
    assert b"hunter" not in sealed
    assert key == NEW_ID
    (listed,) = client.secrets.list()
    assert (listed.name, listed.source, listed.version, listed.key_id) == ("API_TOKEN", "table", 2, NEW_ID)
    assert listed.actor == "ann"
    assert engine.query("select created_at < changed_at from pgflow.secret") == [(True,)]
    assert listed.changed_at is not None
    assert "hunter" not in repr(client.secrets.list()) + repr(client.secrets.check()) + repr(client.secrets)


async def test_an_async_client_has_the_same(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_OTHER", "of the environment")
    async with AsyncClient(with_keys(database, OLD)) as client:
        assert await client.secrets.set("API_TOKEN", "hunter22") == 1
    async with AsyncClient(with_keys(database, NEW, OLD)) as client:
        assert [(one.name, one.state) for one in await client.secrets.check()] == [
            ("API_TOKEN", "old key"), ("OTHER", "fine"),
        ]  # fmt: skip
        done = await client.secrets.rotate()
        assert (done.key_id, done.resealed, done.failed) == (NEW_ID, ["API_TOKEN"], [])
        assert [(one.name, one.source) for one in await client.secrets.list()] == [
            ("API_TOKEN", "table"), ("OTHER", "environment"),
        ]  # fmt: skip
        assert await client.secrets.remove("API_TOKEN") == ["API_TOKEN"]


@pytest.mark.parametrize("name", ["", "token", "2FA", "A-B", "A" * 101, "KEYS", "KEYS_FILE", "TÖKEN"])
def test_what_is_no_name_is_refused(client: Client, name: str) -> None:
    with pytest.raises(ArgumentError):
        client.secrets.set(name, "hunter22")
    with pytest.raises(ArgumentError):
        pgflow.secret(name)


@pytest.mark.parametrize("value", ["", "12345", "  123  \n", "x" * (64 * 1024 + 1), "half \udc80 a character"])
def test_what_cannot_be_kept_or_redacted_is_refused_without_being_shown(client: Client, value: str) -> None:
    with pytest.raises(ArgumentError, match="value of API_TOKEN") as caught:
        client.secrets.set("API_TOKEN", value)
    assert not value.strip() or value.strip() not in str(caught.value)
    client.secrets.set("API_TOKEN", "x" * 64 * 1024)


def test_without_a_key_nothing_is_stored_and_one_is_told_how(database: Settings, engine: Engine) -> None:
    with Client(database) as client, pytest.raises(ConfigError, match="pgflow secret key"):
        client.secrets.set("API_TOKEN", "hunter22")
    with Client(database) as client, pytest.raises(ConfigError, match="pgflow secret key"):
        client.secrets.rotate()
    assert engine.query("select count(*) from pgflow.secret") == [(0,)]


def test_removing_what_is_not_there_says_where_it_may_be(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    with pytest.raises(NotFound, match="no secret OTHER is stored"):
        client.secrets.remove("API_TOKEN", "OTHER")
    assert client.secrets.list() == []
    monkeypatch.setenv("PGFLOW_SECRET_API_TOKEN", "hunter22")
    with pytest.raises(NotFound, match="PGFLOW_SECRET_API_TOKEN is set"):
        client.secrets.remove("API_TOKEN")


# Rotation.


def test_rotation_seals_everything_with_the_newest_key(database: Settings, engine: Engine) -> None:
    with Client(with_keys(database, OLD)) as client:
        for number in range(250):
            client.secrets.set(f"S{number}", f"value of {number}")
    before = engine.query("select name, version, changed_at from pgflow.secret order by name")
    with Client(with_keys(database, NEW, OLD)) as client:
        assert len(client.secrets.rotate().resealed) == 250
        assert client.secrets.rotate().resealed == []
    assert engine.query("select name, version, changed_at from pgflow.secret order by name") == before
    with Client(with_keys(database, NEW)) as client:
        assert {one.state for one in client.secrets.check()} == {"fine"}
    vault = WorkerVault(with_keys(database, NEW))
    assert vault.secret("S42") == "value of 42"
    vault.close()


def test_rotation_leaves_what_it_cannot_open_and_says_so(database: Settings, engine: Engine) -> None:
    lost = new_key()
    with Client(with_keys(database, lost)) as client:
        client.secrets.set("LOST", "hunter22")
    with Client(with_keys(database, OLD)) as client:
        client.secrets.set("KEPT", "hunter22")
    with Client(with_keys(database, NEW, OLD)) as client:
        done = client.secrets.rotate()
        assert (done.resealed, [(one.name, one.state) for one in done.failed]) == (["KEPT"], [("LOST", "no key")])
        assert {one.name: one.state for one in client.secrets.check()} == {"LOST": "no key", "KEPT": "fine"}


def test_a_secret_that_is_set_while_keys_are_rotated_keeps_its_new_value(
    database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and resealing: set, removed, removed and set again so that its version is the same."""
    with Client(with_keys(database, OLD)) as client:
        for name in ("CHANGED", "REMOVED", "REPLACED", "LEFT"):
            client.secrets.set(name, "old value")
    meddled = []
    reseal = engine_secrets.reseal

    def meddle(batch: Any) -> Call[list[str]]:
        if not meddled:
            meddled.append(True)
            with Client(with_keys(database, OLD)) as other:
                other.secrets.set("CHANGED", "new value")
                other.secrets.remove("REMOVED", "REPLACED")
                other.secrets.set("REPLACED", "new value")
        return reseal(batch)

    monkeypatch.setattr(engine_secrets, "reseal", meddle)
    with Client(with_keys(database, NEW, OLD)) as client:
        assert client.secrets.rotate().resealed == ["CHANGED", "LEFT", "REPLACED"]
    vault = WorkerVault(with_keys(database, NEW))
    assert [vault.secret(name) for name in ("CHANGED", "REPLACED", "LEFT")] == ["new value", "new value", "old value"]
    vault.close()
    assert engine.query("select name, version from pgflow.secret order by name") == [
        ("CHANGED", 2), ("LEFT", 1), ("REPLACED", 1),
    ]  # fmt: skip


def test_rotations_beside_each_other_and_beside_settings_lose_nothing(database: Settings) -> None:
    keys = [new_key() for _ in range(3)]
    with Client(with_keys(database, OLD)) as client:
        for number in range(120):
            client.secrets.set(f"S{number}", f"{number}: 0 times")
    stop = threading.Event()
    wrong: list[BaseException] = []

    def rotate(first: str) -> None:
        try:
            with Client(with_keys(database, first, *keys, OLD)) as client:
                while not stop.is_set():
                    client.secrets.rotate()
        except BaseException as error:  # noqa: BLE001 (told below)
            wrong.append(error)

    threads = [threading.Thread(target=rotate, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    with Client(with_keys(database, OLD)) as client:
        for times in range(1, 6):
            for number in range(0, 120, 7):
                client.secrets.set(f"S{number}", f"{number}: {times} times")
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    vault = WorkerVault(with_keys(database, *keys, OLD))
    for number in range(120):
        assert vault.secret(f"S{number}") == f"{number}: {0 if number % 7 else 5} times"
    vault.close()


# Rows that somebody has tampered with.


def test_rows_cannot_be_put_in_each_others_place(client: Client, engine: Engine, vault: WorkerVault) -> None:
    client.secrets.set("MINE", "hunter22")
    client.secrets.set("THEIRS", "hunter33")
    engine.query(
        "update pgflow.secret s set sealed = o.sealed from pgflow.secret o where s.name <> o.name returning s.name"
    )
    with pytest.raises(SealBroken, match=r"the seal of the secret MINE is broken.*\n.*pgflow.secret"):
        vault.secret("MINE")
    assert {one.name: one.state for one in client.secrets.check()} == {"MINE": "broken", "THEIRS": "broken"}
    assert redaction.known == ()


def test_a_sealed_row_of_another_engine_does_not_open(client: Client, engine: Engine, vault: WorkerVault) -> None:
    sealed = Keyring([NEW]).seal("hunter22", "other_schema", "MINE")
    engine.run(engine_secrets.put("MINE", sealed))
    with pytest.raises(SealBroken):
        vault.secret("MINE")


# What code gets.


async def vault_of(settings: Settings, engine: Engine) -> Vault:
    async def run(call: Call[Any]) -> Any:
        return engine.run(call)

    return Vault(settings, run)


async def test_the_environment_wins_over_the_table(
    client: Client, engine: Engine, vault: WorkerVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.secrets.set("API_TOKEN", "of the table")
    own = await vault_of(client._settings, engine)
    assert vault.secret("API_TOKEN") == "of the table"
    assert await own.reveal(["API_TOKEN", "API_TOKEN"]) == {"API_TOKEN": "of the table"}
    monkeypatch.setenv("PGFLOW_SECRET_API_TOKEN", "of the environment")
    assert vault.secret("API_TOKEN") == "of the environment"
    assert await own.reveal(["API_TOKEN"]) == {"API_TOKEN": "of the environment"}
    assert redaction.redact("of the environment, of the table") == "***API_TOKEN***, ***API_TOKEN***"
    (listed,) = client.secrets.list()
    assert listed.source == "environment, table"
    monkeypatch.setenv("PGFLOW_SECRET_API_TOKEN", "")
    assert vault.secret("API_TOKEN") == "of the table"


def test_a_file_named_env_is_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PGFLOW_SECRET_A='of $the ${file}'\nPGFLOW_SECRET_B=file b\nPGFLOW_SECRET_KEYS=x\n")
    monkeypatch.setenv("PGFLOW_SECRET_B", "of the environment")
    assert (pgflow.secret("A"), pgflow.secret("B")) == ("of $the ${file}", "of the environment")
    assert vaults.in_environment() == ["A", "B"]
    (tmp_path / ".env").unlink()
    assert vaults.in_environment() == ["B"]


async def test_what_is_missing_is_named_with_both_places(database: Settings, engine: Engine) -> None:
    vault = WorkerVault(database)
    own = await vault_of(database, engine)
    for ask in (lambda: vault.secret("API_TOKEN"), lambda: vault.secret("API_TOKEN")):
        with pytest.raises(NotFound, match=r"API_TOKEN: .*PGFLOW_SECRET_API_TOKEN.*pgflow\.secret.*\n.*secret set"):
            ask()
    with pytest.raises(NotFound, match="OTHER"):
        await own.reveal(["OTHER"])
    vault.close()
    with pytest.raises(NotFound, match="in workers only"):
        pgflow.secret("API_TOKEN")


def test_a_worker_without_the_key_says_which_it_needs(client: Client, database: Settings) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    vault = WorkerVault(with_keys(database, OLD))
    with pytest.raises(SealBroken, match=f"{NEW_ID}.*\n.*PGFLOW_SECRET_KEYS"):
        vault.secret("API_TOKEN")
    vault.close()


def test_keys_in_a_file_are_read_anew_so_that_a_running_worker_gets_a_new_one(
    database: Settings, tmp_path: Path, later: Callable[[float], None]
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the old one\n{OLD}\n\n")
    settings = database.model_copy(update={"secret_keys_file": file})
    with Client(settings) as client:
        client.secrets.set("API_TOKEN", "hunter22")
    vault = WorkerVault(settings)
    assert vault.secret("API_TOKEN") == "hunter22"
    file.write_text(f"{NEW}\n{OLD}\n")
    with Client(settings) as client:
        assert client.secrets.rotate().resealed == ["API_TOKEN"]
    later(vaults.FRESH)
    assert vault.secret("API_TOKEN") == "hunter22"
    vault.close()
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read: FileNotFoundError"):
        vaults.keyring(settings)


def test_a_secret_that_is_set_anew_is_seen_within_thirty_seconds(
    client: Client, vault: WorkerVault, later: Callable[[float], None]
) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    assert vault.secret("API_TOKEN") == "hunter22"
    client.secrets.set("API_TOKEN", "hunter33")
    assert vault.secret("API_TOKEN") == "hunter22"
    later(vaults.FRESH)
    assert vault.secret("API_TOKEN") == "hunter33"


def test_one_that_grows_old_is_handed_out_while_the_table_is_read_again(
    client: Client, vault: WorkerVault, later: Callable[[float], None]
) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    vault.secret("API_TOKEN")
    client.secrets.set("API_TOKEN", "hunter33")
    later(worker_vault.EARLY)
    assert vault.secret("API_TOKEN") == "hunter22"
    until(lambda: vault.secret("API_TOKEN") == "hunter33")


def test_one_that_was_missing_is_there_a_second_after_it_was_set(
    client: Client, vault: WorkerVault, later: Callable[[float], None]
) -> None:
    with pytest.raises(NotFound):
        vault.secret("API_TOKEN")
    client.secrets.set("API_TOKEN", "hunter22")
    later(vaults.RECHECK)
    assert vault.secret("API_TOKEN") == "hunter22"


def test_one_that_was_removed_is_gone(client: Client, vault: WorkerVault, later: Callable[[float], None]) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    vault.secret("API_TOKEN")
    client.secrets.remove("API_TOKEN")
    later(vaults.FRESH)
    with pytest.raises(NotFound):
        vault.secret("API_TOKEN")


def test_while_the_database_is_away_the_old_one_is_handed_out_and_nobody_waits_twice(
    client: Client, vault: WorkerVault, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    vault.secret("API_TOKEN")
    asked = []

    def away(*_: object, **__: object) -> None:
        asked.append(True)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(worker_vault.connect, "open_sync", away)
    vault._drop()
    later(3600)
    assert [vault.secret("API_TOKEN") for _ in range(3)] == ["hunter22"] * 3
    with pytest.raises(DatabaseUnavailable):
        vault.secret("OTHER")
    assert len(asked) == 1
    later(worker_vault.REST)
    with pytest.raises(DatabaseUnavailable):
        vault.secret("OTHER")
    assert len(asked) == 2
    monkeypatch.undo()


def test_a_database_that_hangs_is_not_waited_for_long(
    client: Client, vault: WorkerVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    monkeypatch.setattr(worker_vault.connect, "open_sync", lambda *_, **__: hang.wait(20))
    monkeypatch.setattr(worker_vault, "PATIENCE", 0.1)
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match=r"within 0\.1 s"):
        vault.secret("API_TOKEN")
    with pytest.raises(DatabaseUnavailable, match="just now"):
        vault.secret("API_TOKEN")
    assert time.monotonic() - began < 15
    hang.set()
    vault._connection = None


def test_a_connection_that_was_cut_is_opened_again(
    client: Client, vault: WorkerVault, engine: Engine, later: Callable[[float], None]
) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    vault.secret("API_TOKEN")
    engine.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgflow secrets %%'"
        " and datname = current_database()"
    )
    client.secrets.set("API_TOKEN", "hunter33")
    later(vaults.FRESH)
    assert vault.secret("API_TOKEN") == "hunter22"  # this look found the connection cut
    later(worker_vault.REST)
    assert vault.secret("API_TOKEN") == "hunter33"


def test_many_threads_ask_at_once_and_one_look_serves_them_all(client: Client, vault: WorkerVault) -> None:
    for number in range(8):
        client.secrets.set(f"S{number}", f"value of {number}")
    got: list[str] = []
    threads = [threading.Thread(target=lambda n=n: got.append(vault.secret(f"S{n % 8}"))) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(f"value of {n % 8}" for n in range(64))


# In workers.

app = App()
SEEN: list[str] = []


@app.task(name="async_one")
async def async_one() -> int:
    return len(pgflow.secret("API_TOKEN"))


@app.task(name="plain_one")
def plain_one() -> int:
    return len(pgflow.secret("API_TOKEN"))


@app.task(name="threaded")
def threaded() -> int:
    """In a thread of its own, which inherits no context."""
    thread = threading.Thread(target=lambda: SEEN.append(pgflow.secret("API_TOKEN")))
    thread.start()
    thread.join()
    return len(SEEN[-1])


@app.workflow(name="flow")
async def flow(ctx: pgflow.Context) -> list[int]:
    return [await ctx.step(async_one.function), await ctx.step(plain_one.function)]


@app.workflow(name="plain_flow")
def plain_flow(ctx: pgflow.SyncContext) -> int:
    return ctx.step(plain_one.function)


async def test_every_kind_of_handler_gets_it(database: Settings) -> None:
    settings = with_keys(database, NEW)
    async with AsyncClient(settings, app.tasks) as client, executing(settings, app.tasks):
        await client.secrets.set("API_TOKEN", "hunter22")
        for task in (async_one, plain_one, threaded, plain_flow):
            assert await client.result(await client.enqueue(task), timeout=60) == 8
        assert await client.result(await client.start(flow), timeout=60) == [8, 8]


async def test_workers_of_several_engines_in_one_process_have_each_their_own(
    database: Settings, server_url: str, template: str
) -> None:
    with databases.database(server_url, template) as second:
        for settings, value in ((database, "hunter-22"), (second, "hunter-3333")):
            with Client(with_keys(settings, NEW)) as client:
                await asyncio.to_thread(client.secrets.set, "API_TOKEN", value)
        one, two = with_keys(database, NEW), with_keys(second, NEW)
        async with executing(one, app.tasks), executing(two, app.tasks):
            for settings, length in ((one, 9), (two, 11)):
                async with AsyncClient(settings, app.tasks) as client:
                    assert await client.result(await client.enqueue(plain_one), timeout=60) == length


def test_settings_do_not_show_the_keys_and_take_them_from_one_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", f"{NEW}, {OLD},")
    settings = config.load()
    assert settings.secret_keys == [NEW, OLD]
    assert NEW not in repr(settings)
    monkeypatch.setenv("PGFLOW_SECRET_KEYS_FILE", str(tmp_path / "keys"))
    with pytest.raises(ConfigError, match="exclude each other") as caught:
        config.load()
    assert NEW not in str(caught.value)


def test_the_key_of_pgflow_dev_serves_its_own_database_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGFLOW_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".pgflow").mkdir()
    (tmp_path / ".pgflow" / "url").write_text("postgresql://dev/db")
    assert config.load().secret_keys_file is None
    (tmp_path / ".pgflow" / "secret-keys").write_text(NEW)
    assert vaults.keyring(config.load()).newest == NEW_ID
    assert config.load(database_url="postgresql://production/db").secret_keys_file is None
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", OLD)
    assert vaults.keyring(config.load()).newest == OLD_ID


def test_what_is_stored_cannot_be_read_without_the_key_even_by_its_owner(client: Client, database: Settings) -> None:
    client.secrets.set("API_TOKEN", "hunter22")
    with psycopg.connect(database.require_url()) as connection:
        (row,) = connection.execute("select s::text, encode(sealed, 'escape') from pgflow.secret s").fetchall()
    assert "hunter" not in repr(row)
