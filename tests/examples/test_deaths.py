"""The examples of workflows while their workers die: what comes out is what comes out when nobody dies."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.errors import NotFound, TaskCancelled, TaskFailed
from pgflow.sdk.client import Client
from pgflow.sdk.task import Task
from tests.examples.conftest import EXAMPLES
from tests.runtime.processes import WorkerProcess, until

Tasks = dict[str, Task[..., Any]]

# Whoever is killed at random by the dozen has to be allowed to survive it by the dozen.
SHORT = {"PGFLOW_LEASE": "2", "PGFLOW_HEARTBEAT": "0.5", "PGFLOW_MAX_CRASHES": "100", "PGFLOW_DRAIN": "2"}
FOLDERS = [str(EXAMPLES / name) for name in ("signup", "order", "crawler")]
TEA = 1000
OUTCOMES = {
    "welcomed": "welcomed",
    "expired": "expired",
    "sold": "Receipt",
    "declined": "CardDeclined: the bank declined the card",
    "nowhere": "NoCourier: no courier goes to the moon",
    "cancelled": "cancelled",
    "crawled": "Report",
}


@pytest.fixture
def client(database: Settings, tasks: Tasks) -> Iterator[Client]:
    """A sync client that knows the examples' tasks."""
    with Client(database, tasks) as client:
        yield client


class Examples:
    """Runs of the examples: started, confirmed or cancelled, and what became of them."""

    def __init__(self, client: Client, tasks: Tasks) -> None:
        self._client, self._tasks = client, tasks
        self.runs: dict[int, str] = {}
        """What kind each is."""

    def start(self, rest: float) -> None:
        """One of each kind, resting that long where they rest."""
        from order import Order

        text, name = f"{int(rest * 1000)}ms", "Ann"
        user = {"email": "ann@example.com", "name": name}
        begun = {
            "welcomed": self._start("signup", user=user, rest=text, patience="10m"),
            "expired": self._start("signup", user=user, rest=text, patience=text),
            "sold": self._start("order", order=Order("tea", 2), packing=text),
            "declined": self._start("order", order=Order("tea", 1, card="0000"), packing=text),
            "nowhere": self._start("order", order=Order("tea", 1, to="the moon"), packing=text),
            "cancelled": self._start("order", order=Order("tea", 1), packing="1h"),
            "crawled": self._start("crawler.crawl", site="demo:60", concurrency=20),
        }
        self.runs |= {id: kind for kind, id in begun.items()}
        self._client.signal(begun["welcomed"], "confirmed", {"by": name})

    def _start(self, name: str, **arguments: Any) -> int:
        return self._client.start(self._tasks[name], **arguments).id

    def cancel(self) -> None:
        """Cancel orders that are being packed."""
        for run, kind in self.runs.items():
            told = self._client.state(run) if kind == "cancelled" else None
            if told is not None and told["state"] and told["state"]["stage"] == "packing":
                with suppress(NotFound):
                    self._client.cancel(run)

    def outcomes(self, within: float) -> Counter[tuple[str, str]]:
        """How often each kind came out how; fails when one has not come out in that many seconds."""
        end = time.monotonic() + within
        while self._open():
            self.cancel()
            assert time.monotonic() < end, "\n".join(self._story(run) for run in self._open())
            time.sleep(0.05)
        return Counter((kind, self._outcome(run)) for run, kind in self.runs.items())

    def _story(self, run: int) -> str:
        events = (f"{event['type']} {event['key'] or ''}" for event in self._client.history(run))
        return f"{self.runs[run]} is {self._client.show(run)['state']}: {', '.join(events)}"

    def _open(self) -> list[int]:
        return [run for run in self.runs if self._client.show(run)["state"] not in {"completed", "failed", "cancelled"}]

    def _outcome(self, run: int) -> str:
        try:
            result = self._client.result(run)
        except TaskFailed as error:
            return f"{error.error['type']}: {error.error['message']}"
        except TaskCancelled:
            return "cancelled"
        return str(result).replace(f"number={run}", "number=N").replace(f"PF{run:08}", "PFN")


def query(settings: Settings, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.require_url()) as connection:
        return connection.execute(text).fetchall()


def put_to_death(settings: Settings, client: Client, tasks: Tasks, seed: int, deaths: int) -> None:
    """Run the examples undisturbed, then while executors and workers are killed, and compare."""
    rng = random.Random(seed)
    options = (*FOLDERS, "-p", "2", "-c", "16")
    undisturbed, disturbed = Examples(client, tasks), Examples(client, tasks)
    workers = [WorkerProcess(settings, *options, **SHORT)]
    try:
        undisturbed.start(0.05)
        expected = undisturbed.outcomes(30)
        assert {kind: outcome.partition("(")[0] for kind, outcome in expected} == OUTCOMES
        workers.append(WorkerProcess(settings, *options, **SHORT))
        for number in range(deaths):
            disturbed.start(rng.uniform(0, 1))
            time.sleep(rng.uniform(0, 0.6))
            victim = rng.randrange(2)
            if number % 4 == 3:
                workers[victim].kill()
                workers[victim] = WorkerProcess(settings, *options, **SHORT)
            else:
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(until(workers[victim].executors)), signal.SIGKILL)
            disturbed.cancel()
        found = disturbed.outcomes(60)
    finally:
        logs = [worker.stop() for worker in workers]

    assert found == Counter({outcome: count * deaths for outcome, count in expected.items()})
    recorded = query(
        settings, "select task_id, key, count(*) from pgflow.event where type = 'step.completed'"
        " group by task_id, key having count(*) > 1",
    )  # fmt: skip
    assert recorded == [], "a step was recorded twice"
    spawned = query(
        settings, "select parent_id, step from pgflow.task where parent_id is not null"
        " group by parent_id, step having count(*) > 1",
    )  # fmt: skip
    assert spawned == [], "a child was spawned twice"
    assert query(settings, "select count(*) > 0 from pgflow.event where type = 'lease.expired'") == [(True,)], (
        "no death hit a running task: the test proves nothing"
    )
    check_shop(settings, deaths + 1)
    assert not any("Traceback" in log for log in logs), logs


def check_shop(settings: Settings, orders: int) -> None:
    """Each order's money, goods and parcel fit its outcome, of that many orders of each kind."""
    ((available,),) = query(settings, "select available from shop.stock where sku = 'tea'")
    assert available == TEA - 2 * orders
    kinds = Counter(
        query(
            settings,
            """
            select o.state::text, r.released, p.refunded, s.tracking is not null
              from pgflow.run t join pgflow.outcome o on o.root_id = t.id and o.task_id = t.id
              join shop.reservation r on r.number = t.id
              left join shop.payment p on p.number = t.id left join shop.parcel s on s.number = t.id
            """,
        )
    )
    assert kinds == {
        ("completed", False, False, True): orders,
        ("failed", True, None, False): orders,
        ("failed", True, True, False): orders,
        ("cancelled", True, True, False): orders,
    }
    assert query(settings, "select count(*) from pgflow.run where name = 'order.tell'") == [(orders,)]


def seed_from_environment() -> int:
    return int(os.environ.get("PGFLOW_SEED", "4"))


@pytest.mark.xdist_group("processes")
def test_workflows_come_out_the_same_while_their_workers_die(database: Settings, client: Client, tasks: Tasks) -> None:
    put_to_death(database, client, tasks, seed_from_environment(), deaths=8)


@pytest.mark.torture
@pytest.mark.xdist_group("processes")
def test_workflows_come_out_the_same_while_their_workers_die_and_die(
    database: Settings, client: Client, tasks: Tasks
) -> None:
    put_to_death(database, client, tasks, seed_from_environment(), deaths=120)
