"""`pgflow dev`: everything on one machine, from nothing, under one process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg

from pgflow import config, logs
from pgflow.cli.dev_definitions import Definitions
from pgflow.cli.keys import listening
from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.db.statements import statement
from pgflow.embedded import EmbeddedPostgres, EmbeddedValkey
from pgflow.engine import inspection
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import EmbeddedError
from pgflow.runtime.child import Child
from pgflow.runtime.supervisor import Plan, Supervisor
from pgflow.sdk import loading
from pgflow.sealing import new_key

STATE = Path(".pgflow")


def _say(what: str, text: str) -> None:
    click.echo(f"  {click.style(f'{what:<10}', bold=True)} {text}")


@contextlib.contextmanager
def _database(settings: Settings, port: int | None) -> Iterator[Settings]:
    """The configured database, else the embedded one for as long as this runs."""
    if settings.database_url:
        _say("Postgres", "as configured")
        yield settings
        return
    started = time.monotonic()
    with EmbeddedPostgres(STATE, port=port) as server:
        _say("Postgres", f"embedded, port {server.port}, data in {server.data_directory}, "
                         f"ready in {time.monotonic() - started:.1f} s")  # fmt: skip
        file = STATE / config.URL_FILE.name
        file.touch(mode=0o600)
        file.write_text(server.url)
        _make_key(STATE / config.KEYS_FILE.name)
        try:
            yield _with_scratch(
                config.with_dev_key(settings.model_copy(update={"database_url": server.url})), server.url
            )
        finally:
            file.unlink(missing_ok=True)


def _with_scratch(settings: Settings, url: str) -> Settings:
    """Have a second database beside the engine's, for `sql` nodes to play with: the connection `scratch`."""
    if "PGFLOW_SQL_SCRATCH" in os.environ or "PGFLOW_SQL_SCRATCH" in config.env_file():
        return settings
    with psycopg.connect(url, autocommit=True) as connection, contextlib.suppress(psycopg.errors.DuplicateDatabase):
        connection.execute(statement("connection/scratch"))
    os.environ["PGFLOW_SQL_SCRATCH"] = f"{url.rpartition('/')[0]}/scratch"
    return settings.model_copy(update={"sql_writable": [*settings.sql_writable, "scratch"]})


def _make_key(file: Path) -> None:
    """Make the key for secrets, once: what it has sealed is as lasting as the data."""
    with contextlib.suppress(FileExistsError), open(file, "x", opener=_private) as opened:
        opened.write(f"{new_key()}\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _redis(settings: Settings) -> Iterator[Settings]:
    """The configured Redis, else an embedded Valkey; else none, which works too."""
    if settings.redis_url:
        _say("Redis", "as configured")
        yield settings
        return
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(EmbeddedValkey(STATE))
        except EmbeddedError as error:
            _say("Valkey", f"not started ({error.message}); Postgres does its work too")
            yield settings
            return
        _say("Valkey", f"embedded, port {server.port}")
        yield settings.model_copy(update={"redis_url": [server.url]})


def _api(settings: Settings, port: int) -> contextlib.AbstractContextManager[None]:
    """The REST API; imported only when it is wanted."""
    from pgflow.cli import dev_api

    return dev_api.serving(settings, STATE, port, _say)


def _start_demo(settings: Settings, name: str) -> None:
    """Start the demo run if this database has never seen a task."""
    with connect.open_sync(settings, "dev") as connection:
        session = Session(connection, settings.schema_name)
        if not session.run(inspection.task_page(limit=1)).tasks:
            (run,) = session.run(enqueue([Request(Spec(name), b"{}")], actor="pgflow dev")).ids
            _say("Demo", f"run {run}: {name}   (watch: pgflow task list; pgflow queue list)")


class _Screen:
    """What is printed as executors come up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._shown: list[str] | None = None

    def ready(self, child: Child) -> None:
        """Say which tasks there are, once and when they changed."""
        if child.tasks == self._shown:
            return
        self._shown = child.tasks
        _say("Tasks", ", ".join(child.tasks) or "none yet")
        _say("Worker", f"{self._plan.processes} x {self._plan.concurrency}, queues: {', '.join(child.queues)}")
        if child.plain:
            _say("Try", f"pgflow run start {child.plain[0]} --wait   (in another terminal, in this folder)")


async def _serve(settings: Settings, plan: Plan, path: str, definitions: Definitions | None) -> None:
    screen = _Screen(plan)
    supervisor = Supervisor(settings, plan, screen.ready)
    supervisor.handle_signals()

    def kill() -> None:
        if supervisor.children:
            child = random.choice(list(supervisor.children))
            click.echo(f"  killing executor {child.pid}; its tasks run again on the next one")
            child.kill()

    actions = {"k": kill, "r": supervisor.reload, "q": supervisor.stop}
    watcher = asyncio.create_task(_watch(path, supervisor, definitions)) if definitions is not None else None
    with listening(actions) as keys:
        if keys:
            _say("Keys", "k kill an executor and watch recovery · r reload · q or Ctrl-C quit")
        try:
            await supervisor.run()
        finally:
            if watcher is not None:
                watcher.cancel()


async def _watch(path: str, supervisor: Supervisor, definitions: Definitions) -> None:
    try:
        from watchfiles import Change, DefaultFilter, awatch
    except ImportError:
        _say("Reload", "off: the package watchfiles is not installed")
        return
    usual, endings = DefaultFilter(), {".py", *loading.WRITTEN}

    def wanted(change: Change, file: str) -> bool:
        return Path(file).suffix in endings and usual(change, file)

    async for changes in awatch(path, watch_filter=wanted, stop_event=None):
        suffixes = {Path(file).suffix for _, file in changes}
        served = set(definitions.queues)
        if suffixes & loading.WRITTEN:
            await asyncio.to_thread(definitions.publish)
        if ".py" in suffixes or served != definitions.queues:
            click.echo("  code changed; reloading" if ".py" in suffixes else "  another queue to serve; reloading")
            supervisor.reload()


@click.command()
@click.argument("path", default=".", type=click.Path(exists=True))
@click.option("-p", "--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Executors.")
@click.option("-c", "--concurrency", default=32, show_default=True, type=click.IntRange(1, 10000),
              help="Handlers at once in each.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the embedded Postgres; a free one unless given.")
@click.option("--demo", metavar="TASK", help="Start this task when the database is fresh.")
@click.option("--no-demo", is_flag=True, help="Start nothing, whatever --demo says.")
@click.option("--no-reload", is_flag=True, help="Do not watch the files.")
@click.option("--api-port", default=8484, show_default=True, type=click.IntRange(1, 65535),
              help="Port of the REST API; another one if it is taken.")  # fmt: skip
@click.option("--no-api", is_flag=True, help="Serve no REST API.")
def dev(
    path: str, processes: int, concurrency: int, port: int | None, demo: str | None, no_demo: bool, no_reload: bool,
    api_port: int, no_api: bool,
) -> None:  # fmt: skip
    """Run everything for the apps found under PATH, and nothing needs to be set up.

    Definitions of workflows that lie there, in YAML or JSON files, are published, and again whenever they change.

    Uses PGFLOW_DATABASE_URL (or DATABASE_URL) if set, else an embedded Postgres that keeps its data in .pgflow/. That
    has a second database, which `sql` nodes may read and write as the connection `scratch`.
    """
    # The leftovers of a `pgflow dev` that was killed must not be taken for a running one's.
    (STATE / config.URL_FILE.name).unlink(missing_ok=True)
    logs.configure("console", level="warning")
    settings = config.load()
    if "PGFLOW_DRAIN" not in os.environ:
        settings = settings.model_copy(update={"drain": 3.0})
    if not settings.outbound_allow:  # who tries something calls what runs beside it
        settings = settings.model_copy(update={"outbound_allow": ["127.0.0.0/8", "::1"]})
    click.echo(click.style("pgflow dev", bold=True))
    with _database(settings, port) as settings, _redis(settings) as settings:
        applied = migrations.migrate(settings)
        _say("Schema", f"{settings.schema_name}, version {migrations.latest_version()}"
                       + (f" ({len(applied)} steps applied)" if applied else ""))  # fmt: skip
        if demo and not no_demo:
            _start_demo(settings, demo)
        definitions = Definitions(settings, path, _say)
        definitions.publish()
        plan = Plan((path,), processes=processes, concurrency=concurrency, log_format="console", keep_going=True,
                    besides=definitions.queues)  # fmt: skip
        with contextlib.nullcontext() if no_api else _api(settings, api_port):
            asyncio.run(_serve(settings, plan, path, None if no_reload else definitions))
    click.echo("  stopped; your data is kept")
