"""The three agents, with real workers, which are killed; and the model that goes by a script."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterable
from threading import Event
from typing import Any

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.graph.reading import read
from pgflow.nodes.publishing import Workflows
from pgflow.sdk.client import Client
from pgflow.sdk.task import Task
from tests.examples.conftest import EXAMPLES
from tests.runtime.processes import WorkerProcess, until

FOLDER = EXAMPLES / "agents"
SHORT = {
    "PGFLOW_LEASE": "2", "PGFLOW_HEARTBEAT": "0.5", "PGFLOW_MAX_CRASHES": "100", "PGFLOW_DRAIN": "2",
    "PGFLOW_OUTBOUND_ALLOW": "127.0.0.1",
}  # fmt: skip
MADE_UP = "There are more of them on the moon than on earth."


class Witness:
    """Looks into the history at each request: whether what is asked for is recorded already.

    Args:
        settings: where the history is.
        hold: of how many different requests the last is not answered at first: `held` is set, and `go` waited for.
    """

    def __init__(self, settings: Settings, hold: set[int]) -> None:
        self._url = settings.require_url()
        self._hold = hold
        self.held, self.go = Event(), Event()
        self.keys: Counter[str] = Counter()
        self.repeated: list[str] = []

    def __call__(self, key: str) -> None:
        self.keys[key] += 1
        task, _, step = key.removeprefix("pgflow-").partition("-")
        with psycopg.connect(self._url, autocommit=True) as connection:
            text = "select from pgflow.event where task_id = %s and key = %s and type = 'step.completed'"
            found = connection.execute(text, [int(task), step]).fetchall()
        self.repeated += [key] * len(found)
        if len(self.keys) in self._hold and self.keys[key] == 1:
            go = self.go
            self.held.set()
            go.wait(60)

    def release(self) -> None:
        """Answer what is held, and be ready to hold again."""
        self.held.clear()
        go, self.go = self.go, Event()
        go.set()


def recorded(settings: Settings) -> int:
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        return len(connection.execute("select from pgflow.agent_usage").fetchall())


def lost(settings: Settings, keys: Iterable[str]) -> int:
    """How often the leases of those who asked with these keys have expired."""
    tasks = [int(task) for task in {key.split("-")[1] for key in keys}]
    text = "select from pgflow.event where type = 'lease.expired' and task_id = any(%s)"
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        return len(connection.execute(text, [tasks]).fetchall())


def at_work(settings: Settings) -> int:
    """The executor that calls the model just now."""
    text = """select w.pid from pgflow.lease l join pgflow.task t on t.root_id = l.root_id and t.id = l.task_id
                join pgflow.worker w on w.id = l.worker_id where t.name = 'pgflow.node.agent'"""
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        ((pid,),) = until(lambda: connection.execute(text).fetchall())
    return int(pid)


def test_killed_workers_pay_for_no_answer_twice(
    database: Settings, tasks: dict[str, Task[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.model import served

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    witness = Witness(database, hold={1, 4})
    with served(witness) as url, Client(database, tasks) as client:
        workflows = Workflows(client)
        path = FOLDER / "article.yaml"
        workflows.publish(read(path.read_text("utf-8"), str(path)).value)
        worker = WorkerProcess(database, str(FOLDER), "-p", "2", **SHORT)
        try:
            run = workflows.start("article", {"topic": "the bicycle", "base_url": url})
            for _ in range(2):  # each time in the midst of a call; the other executor goes on
                assert witness.held.wait(60)
                os.kill(at_work(database), signal.SIGKILL)
                witness.release()
            given = client.result(run, timeout=120)
        finally:
            log = worker.stop()
    assert given["title"] == "All about the bicycle"
    assert given["wrong"] == [MADE_UP]
    assert MADE_UP not in given["article"]
    assert given["summary"] == "In short: Karl Drais rode a machine with two wheels in 1817."
    assert witness.repeated == []
    assert len(witness.keys) == recorded(database) == 5
    # Each death costs a call, and so does a worker that is too slow to keep its lease; nothing else does.
    assert 5 < witness.keys.total() <= 5 + lost(database, witness.keys), f"{witness.keys}\n{log}"
