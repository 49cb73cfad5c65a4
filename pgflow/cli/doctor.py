"""`pgflow doctor`: asks the database what `checks` then judges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TypeVar

import click

from pgflow import config, duration
from pgflow.cli import checks, output
from pgflow.cli.checks import Check, Level
from pgflow.cli.failures import ExitCode
from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Call, Session
from pgflow.engine import diagnosis, workers
from pgflow.engine.diagnosis import Server
from pgflow.errors import DatabaseUnavailable, PgflowError

T = TypeVar("T")

PROBES = 3
HEARING_TIME = 2.0
_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command(cls=output.Command)
def doctor() -> ExitCode | None:
    """Examine the database and the engine: what is well, what is not, and what to do about it.

    Exits with 1 when a check fails; a warning is no failure. It changes nothing, and the engine may be busy meanwhile.
    Whether any task is lost or doubled is told by `pgflow audit misplaced_tasks`.
    """
    settings = config.load()
    settings.require_url()
    found: list[Check] = []

    def tell(check: Check) -> None:
        found.append(check)
        if not output.wants_json():
            _print(check)

    Examination(settings, tell).run()
    failed = any(check.level is Level.FAIL for check in found)
    if output.wants_json():
        listed = [{"check": c.name, "level": c.level, "found": c.found, "do": c.do} for c in found]
        output.document({"ok": not failed, "checks": listed})
    return ExitCode.FAILED if failed else None


def _print(check: Check) -> None:
    level = click.style(f"{check.level:<4}", _COLOURS[check.level], bold=check.level is Level.FAIL or None)
    click.echo(f"{level}  {check.name:<12}  {output.cell('', check.found)}")
    if check.do is not None:
        click.echo(f"{'':<20}-> {check.do}")


class Examination:
    """One visit: opens its connections and tells check after check. One that cannot be made says why."""

    def __init__(self, settings: Settings, tell: Callable[[Check], None]) -> None:
        self._settings = settings
        self._tell = tell

    def run(self) -> None:
        """Everything, as far as the database lets us get."""
        with ExitStack() as stack:
            try:
                begun = time.monotonic()
                connection = stack.enter_context(connect.open_sync(self._settings, "doctor"))
                session = Session(connection, self._settings.schema_name)
                server = session.run(diagnosis.server())
                took = duration.text(time.monotonic() - begun)
                self._tell(
                    Check("database", Level.OK, f"reached in {took}: database {server.database}, user {server.user}")
                )
                for check in checks.server(server, connection.info.server_version):
                    self._tell(check)
                self._look_around(session)
                if self._look_inside(session, server):
                    self._look_at_work(session)
                self._look_at_ways(stack, session, server)
            except PgflowError as error:
                self._tell(_unreachable("database", error))

    def _look(self, name: str, ask: Callable[[], T], judge: Callable[[T], Check | Iterable[Check]]) -> T | None:
        """Ask, and tell the verdict. Returns the answer; None when there was none, which is told too."""
        try:
            answer = ask()
        except DatabaseUnavailable:
            raise
        except PgflowError as error:
            self._tell(Check(name, Level.FAIL, error.message, error.hint))
            return None
        verdict = judge(answer)
        for check in [verdict] if isinstance(verdict, Check) else verdict:
            self._tell(check)
        return answer

    def _look_around(self, session: Session) -> None:
        """The clocks, and who holds vacuum back."""
        run = session.run
        self._look("clock", lambda: _skew(session), lambda skew: checks.clock(*skew))
        self._look("test clock", lambda: run(diagnosis.clock_offsets()), checks.clock_offset)
        rights = run(diagnosis.rights())
        may_monitor = rights is None or rights.may_monitor
        self._look(
            "vacuum", lambda: run(diagnosis.snapshots()), lambda found: checks.snapshots(found, may_monitor=may_monitor)
        )

    def _look_inside(self, session: Session, server: Server) -> bool:
        """The schema and its roles. Returns whether it can be read."""
        run, schema = session.run, self._settings.schema_name
        plan = self._look(
            "schema", lambda: migrations.plan(session.connection, schema), lambda plan: checks.schema(plan, schema)
        )
        self._look("roles", lambda: run(diagnosis.roles()), checks.roles)
        if plan is None or plan.current == 0:
            return False
        rights = self._look("rights", lambda: run(diagnosis.rights()), lambda found: checks.rights(found, server.user))
        return plan.current == plan.latest and rights is not None and rights.may_read

    def _look_at_work(self, session: Session) -> None:
        """The tables that churn, the partitions, the workers and their leader."""
        run = session.run
        self._look("dead rows", lambda: run(diagnosis.tables()), checks.tables)
        self._look("partitions", lambda: run(diagnosis.supply()), checks.supply)
        crew = self._look("workers", lambda: run(diagnosis.crew()), checks.crew)
        alive = crew.alive if crew else 0
        self._look("leader", lambda: run(diagnosis.leader()), lambda found: checks.leader(found, alive))

    def _look_at_ways(self, stack: ExitStack, session: Session, server: Server) -> None:
        """The ways to the database: planner settings, poolers, notifications."""
        settings = self._settings
        names = list(connect.PLANNER)
        self._look(
            "planner", lambda: session.run(diagnosis.planner(names)),
            lambda found: checks.planner(found, pooled=settings.pooled),
        )  # fmt: skip
        try:
            direct = stack.enter_context(connect.open_sync(settings, "doctor", direct=True))
        except PgflowError as error:
            self._tell(_unreachable("direct", error))
            return
        listener = Session(direct, settings.schema_name)
        there = listener.run(diagnosis.server())
        if (there.database, there.started_at) != (server.database, server.started_at):
            elsewhere = f"PGFLOW_DIRECT_URL leads elsewhere: database {there.database}, up since {there.started_at}"
            self._tell(Check("direct", Level.FAIL, elsewhere, "let both URLs lead to the same database"))
            return
        pooler = checks.pooler(
            found=_is_pooled(session, server), pooled=settings.pooled, has_direct=settings.direct_url is not None,
            direct_found=_is_pooled(listener, there),
        )  # fmt: skip
        self._tell(pooler)
        self._look("notify", lambda: (_echo(listener, session),), lambda heard: checks.notify(heard[0]))


def _unreachable(name: str, error: PgflowError) -> Check:
    hint = error.hint
    if isinstance(error, DatabaseUnavailable) and "startup parameter" in error.message:
        hint = "that is a pooler: set PGFLOW_POOLED=true, and PGFLOW_DIRECT_URL to a connection without it"
    return Check(name, Level.FAIL, error.message, hint)


def _is_pooled(session: Session, server: Server) -> bool:
    """Whether another process answers than the connection was told of when it began."""
    return bool(session.connection.info.backend_pid != server.backend_pid)


def _skew(session: Session) -> tuple[float, float]:
    """Seconds that the database's clock is ahead of ours, and half the shortest round trip."""
    call: Call[Server] = diagnosis.server()
    probes = []
    for _ in range(PROBES):
        begun, started = time.monotonic(), time.time()
        clock = session.run(call).clock
        took = time.monotonic() - begun
        probes.append((took / 2, clock - (started + took / 2)))
    uncertainty, skew = min(probes)
    return skew, uncertainty


def _echo(listener: Session, sender: Session) -> float | None:
    """Seconds until the one hears what the other sends; None when it does not."""
    listener.run(diagnosis.listen())
    begun = time.monotonic()
    sender.run(workers.notify(diagnosis.channel(sender.schema)))
    for _ in listener.connection.notifies(timeout=HEARING_TIME, stop_after=1):
        return time.monotonic() - begun
    return None
