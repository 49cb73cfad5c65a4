"""Two scheduler processes, killed, frozen and cut off: each instant fires once, and another leads soon."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from pgflow.config import Settings
from pgflow.sdk.client import Client
from tests.fixtures.database import Engine
from tests.runtime.processes import until

EVERY = timedelta(seconds=1)
SCHEDULES = 20
MOST = {"kill": 20.0, "terminate": 17.0, "freeze": 32.0}
"""Seconds in which another must lead. A frozen leader is first noticed to be silent."""


class Scheduler:
    """A `pgflow scheduler`."""

    def __init__(self, settings: Settings) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        environment = {
            **os.environ,
            "PGFLOW_DATABASE_URL": settings.require_url(),
            "PGFLOW_LEASE": "2",
            "PGFLOW_HEARTBEAT": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", "scheduler"], env=environment, cwd="/", stdout=subprocess.DEVNULL,
            stderr=self.log,
        )  # fmt: skip

    def end(self) -> None:
        self.process.kill()
        self.process.wait(60)
        self.log.close()


@dataclass
class Chaos:
    """Two schedulers, and what is done to them."""

    settings: Settings
    engine: Engine
    schedulers: list[Scheduler] = field(default_factory=list)
    takeovers: dict[str, list[float]] = field(default_factory=dict)

    def begin(self) -> None:
        self.schedulers = [Scheduler(self.settings), Scheduler(self.settings)]

    def end(self) -> None:
        for scheduler in self.schedulers:
            scheduler.end()

    def leader(self) -> tuple[int, int, int] | None:
        """(term, pid, backend) of who holds the lock now."""
        rows = self.engine.query(
            "select l.term, l.pid, l.backend_pid from pgflow.leader l join pg_locks k on k.pid = l.backend_pid"
            " where k.locktype = 'advisory' and k.granted limit 1"
        )
        return rows[0] if rows else None

    def disturb(self, how: str) -> None:
        """Do this to the leader, and wait until there is another term."""
        term, pid, backend = until(self.leader)
        (leader,) = [one for one in self.schedulers if one.process.pid == pid]
        begun = time.monotonic()
        if how == "kill":
            leader.end()
            self.schedulers.remove(leader)
            self.schedulers.append(Scheduler(self.settings))
        elif how == "terminate":
            self.engine.query(f"select pg_terminate_backend({backend})")
        else:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: (found := self.leader()) is not None and found[0] > term, 60)
        self.takeovers.setdefault(how, []).append(time.monotonic() - begun)
        if how == "freeze":
            os.kill(pid, signal.SIGCONT)


@contextmanager
def chaos(settings: Settings, engine: Engine) -> Iterator[Chaos]:
    made = Chaos(settings, engine)
    made.begin()
    try:
        yield made
    finally:
        made.end()


def check(engine: Engine, moment: datetime) -> int:
    """That each nominal instant up to this moment has its one run. Returns how many there were."""
    expected = 0
    for schedule, created in engine.query("select id, created_at from pgflow.schedule order by id"):
        fired = [at for (at,) in engine.query(
            f"select fire_at from pgflow.firing where schedule_id = {schedule} and state = 'started' order by 1"
        )]  # fmt: skip
        count = int((moment - created) / EVERY)
        nominal = [created + EVERY * (number + 1) for number in range(count)]
        assert fired[: len(nominal)] == nominal, "each instant once, none left out"
        expected += len(fired)
    ((runs,),) = engine.query("select count(*) from pgflow.task where name = 'noop'")
    assert runs == expected, "one run an instant"
    ((bad,),) = engine.query("select count(*) from pgflow.firing where state <> 'started'")
    assert bad == 0
    return expected


def storm(settings: Settings, engine: Engine, plan: list[str], pause: Callable[[], float]) -> Chaos:
    """Run schedules while their schedulers suffer this plan."""
    with Client(settings) as client, chaos(settings, engine) as made:
        until(made.leader)
        for number in range(SCHEDULES):
            client.schedules.create(f"s{number}", "noop", every=EVERY.total_seconds(), catch_up=100)
        for how in plan:
            time.sleep(pause())
            made.disturb(how)
        ((moment,),) = engine.query("select pgflow.now()")
        until(lambda: engine.query("select count(*) from pgflow.schedule where next_at <= %s", moment) == [(0,)])
        with engine.connection.transaction():  # both still fire, and everything is looked at as it is now
            engine.connection.execute("set transaction isolation level repeatable read")
            assert check(engine, moment) > 0
    for how, seconds in made.takeovers.items():
        assert max(seconds) <= MOST[how], f"{how}: {seconds}"
    return made


def test_two_schedulers_under_death_frost_and_cut_connections(database: Settings, engine: Engine) -> None:
    storm(database, engine, ["terminate", "kill", "freeze", "terminate"], lambda: 0.3)


@pytest.mark.torture
def test_two_schedulers_for_long(database: Settings, engine: Engine) -> None:
    seed = int(os.environ.get("PGFLOW_SEED", "1"))
    chance = random.Random(seed)
    plan = chance.choices(["kill", "terminate", "freeze"], [5, 8, 2], k=int(os.environ.get("PGFLOW_ROUNDS", "60")))
    made = storm(database, engine, plan, lambda: chance.uniform(0.0, 2.0))
    shown = {how: {"times": len(s), "longest": round(max(s), 2)} for how, s in made.takeovers.items()}
    print(json.dumps({"seed": seed, "takeovers": shown}))  # noqa: T201 (the long run publishes it)
