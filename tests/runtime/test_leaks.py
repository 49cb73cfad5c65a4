"""A canary: a secret that an app leaks in every way that it can, and that is found nowhere afterwards.

A real worker runs the app. Then all that is left is searched for the canary in whatever encoding: every value of every
table, all that the worker printed, and all that commands show of the runs.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import pgflow
from pgflow import App, redaction
from pgflow.config import Settings
from pgflow.model import State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sealing import new_key
from tests.cli.conftest import invoke
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading
from tests.runtime import leaky
from tests.runtime.processes import until

APP = Path(leaky.__file__)
MARK = "***CANARY***"

FAILED, COMPLETED, ATTENTION = State.FAILED, State.COMPLETED, State.NEEDS_ATTENTION
ENDS = {
    leaky.message: FAILED, leaky.as_key: FAILED, leaky.noted: FAILED, leaky.caused: FAILED, leaky.grouped: FAILED,
    leaky.encoded: FAILED, leaky.retried: FAILED, leaky.fatal: FAILED, leaky.exits: FAILED,
    leaky.cancels_itself: FAILED, leaky.own_type: FAILED, leaky.step_error: FAILED, leaky.step_fatal: FAILED,
    leaky.child_error: FAILED, leaky.raises: FAILED,
}  # fmt: skip
"""What tells of it, and has the secret's name in its place."""
REFUSED = {
    leaky.returned: FAILED, leaky.returned_within: FAILED, leaky.enqueues: FAILED, leaky.enqueues_key: FAILED,
    leaky.enqueues_tag: FAILED, leaky.step_result: ATTENTION, leaky.tx_result: ATTENTION,
    leaky.child_argument: ATTENTION, leaky.state: ATTENTION, leaky.sends: ATTENTION, leaky.result: ATTENTION,
    leaky.starts_over: ATTENTION,
}  # fmt: skip
"""What would store it, and is told which secret it is."""


class Canary:
    """A secret, and how to find it: its core stands in every form of text, and its bytes in base64 and hexadecimals."""

    def __init__(self) -> None:
        self.core = secrets.token_hex(16)
        self.value = f"a'b\"c\\d é+/={self.core}\tß%"
        data = self.core.encode()
        self.traces = [self.core, data.hex(), self.core.upper()]
        for offset in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                self.traces.append(encode(b"x" * offset + data)[4:-4].decode())

    def found_in(self, text: str) -> list[str]:
        return [text[max(0, (at := text.index(trace)) - 80) : at + 80] for trace in self.traces if trace in text]


class Printed:
    """A worker whose every word is kept."""

    def __init__(self, settings: Settings, log_format: str, file: Path, **environment: str) -> None:
        self.file = file
        self._opened = file.open("wb")
        given = {"PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_DRAIN": "5", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", "worker", str(APP), "--log-format", log_format],
            env={**os.environ, **given}, stdout=self._opened, stderr=self._opened, cwd=file.parent,
        )  # fmt: skip

    def stop(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._opened.close()
        return self.file.read_text("utf-8", "replace")


@contextmanager
def printing(*args: Any, **environment: str) -> Iterator[Printed]:
    worker = Printed(*args, **environment)
    try:
        yield worker
    finally:
        worker.stop()


@pytest.mark.parametrize(("log_format", "from_table"), [("json", True), ("console", False)])
def test_a_secret_that_is_leaked_in_every_way_is_found_nowhere(
    database: Settings,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log_format: str,
    from_table: bool,
) -> None:
    canary = Canary()
    settings = database.model_copy(update={"secret_keys": [new_key()]})
    environment = {} if from_table else {"PGFLOW_SECRET_CANARY": canary.value}
    with (
        Client(settings, leaky.app.tasks) as client,
        printing(
            database, log_format, tmp_path / "log", PGFLOW_SECRET_KEYS=settings.secret_keys[0], **environment
        ) as worker,
    ):
        if from_table:
            client.secrets.set("CANARY", canary.value)
        runs = {task: client.enqueue(task).id for task in (*ENDS, *REFUSED)}
        waiting = client.start(leaky.waits).id
        runs[leaky.signals] = client.enqueue(leaky.signals, waiting).id
        others = {task: client.enqueue(task).id for task in (leaky.prints, leaky.note, leaky.logs, leaky.undoes)}

        def states() -> dict[str, str]:
            return {task.name: str(client.show(id)["state"]) for task, id in {**runs, **others}.items()}

        wanted = {task.name: str(end) for task, end in {**ENDS, **REFUSED}.items()}
        wanted |= {
            "signals": "failed",
            "prints": "completed",
            "note": "completed",
            "logs": "completed",
            "undoes": "failed",
        }
        until(lambda: all(state in {"completed", "failed", "needs_attention"} for state in states().values()), 60)
        assert states() == wanted
        told = client.state(others[leaky.note])
        shown = {task.name: client.show(id) for task, id in runs.items()}
        parked = {row[0]: row[1] for row in engine.query("select task_id, detail::text from pgflow.parked")}
        printed = worker.stop()

    # It was leaked: its name stands where it would have stood.
    assert {task.name for task in ENDS if MARK not in repr(shown[task.name])} == set()
    said = {task.name: repr(shown[task.name]) + parked.get(id, "") for task, id in runs.items() if task not in ENDS}
    assert {name for name, text in said.items() if "holds the secret CANARY" not in text} == set()
    assert told is not None
    assert told["note"] == f"calling with {MARK}"
    for where in (
        "printed",
        "written",
        "structlog",
        "logging",
        "warned",
        "in a thread",
        "from a workflow",
        "not undone",
    ):
        assert [line for line in printed.splitlines() if where in line and MARK in line], where

    # And it is nowhere.
    assert canary.found_in(printed) == []
    assert {name: found for name, text in everything(engine) if (found := canary.found_in(text))} == {}
    monkeypatch.setenv("PGFLOW_DATABASE_URL", database.require_url())
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", settings.secret_keys[0])
    for command in commands([*runs.values(), *others.values()]):
        answer = invoke(*command)
        assert canary.found_in(answer.out + answer.err) == [], command


def everything(engine: Engine) -> Iterator[tuple[str, str]]:
    """Every text in every row of every table, unescaped."""
    tables = engine.query("select oid::regclass::text from pg_class where relnamespace = 'pgflow'::regnamespace"
                          " and relkind in ('r', 'v', 'm') order by 1")  # fmt: skip
    assert len(tables) > 30
    for (table,) in tables:
        yield (
            table,
            "\n".join(text for (row,) in engine.query(f"select to_jsonb(t) from {table} t") for text in texts(row)),
        )


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    else:
        yield str(value)


def commands(runs: list[int]) -> Iterator[tuple[str, ...]]:
    for run in runs:
        yield ("run", "show", str(run))
        yield ("run", "history", str(run), "--json")
        yield ("task", "show", str(run), "--json")
    yield from [("run", "list"), ("task", "list", "--limit", "1000"), ("secret", "list"), ("secret", "check")]
    for audit in (Path(__file__).parents[2] / "sql" / "audit").glob("*.sql"):
        yield ("audit", audit.stem)


def test_the_search_finds_what_it_should_find(engine: Engine) -> None:
    """Else nothing found would mean nothing."""
    canary = Canary()
    for form in (canary.value, repr(canary.value), base64.b64encode(b"user:" + canary.value.encode()).decode()):
        assert canary.found_in(f"xx {form} xx")
    assert canary.found_in(canary.value.encode().hex())
    engine.enqueue(key=canary.value)
    assert "pgflow.idempotency" in {name for name, text in everything(engine) if canary.found_in(text)}


KEYS = App()


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    redaction.forget()


@KEYS.workflow(name="step_key")
async def step_key(ctx: pgflow.Context) -> None:
    await ctx.step(pgflow.step(leaky.sink.function, name="sink").options(key=f"k-{pgflow.secret('CANARY')}"))


@KEYS.workflow(name="signal_name")
async def signal_name(ctx: pgflow.Context) -> None:
    await ctx.signal(pgflow.secret("CANARY"), timeout=0.01)


@pytest.mark.parametrize("workflow", [step_key, signal_name], ids=lambda workflow: workflow.name)
async def test_what_a_workflow_asks_for_cannot_be_called_by_a_secret(
    database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, workflow: Any
) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_CANARY", "hunter22")
    async with AsyncClient(database, KEYS.tasks) as client, executing(database, KEYS.tasks), leading(database):
        run = await client.start(workflow)
        states = {"completed", "needs_attention"}
        await eventually(lambda: engine.state(run.id) in states)
    assert engine.state(run.id) == "needs_attention"
    assert {name for name, text in everything(engine) if "hunter22" in text} == set()
