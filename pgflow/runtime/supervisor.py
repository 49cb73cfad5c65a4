"""The supervisor: starts executors, beats for them, replaces those that die, and is a candidate for leader.

It never imports a user's code, so nothing a handler does can take it down with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from pgflow.config import Settings
from pgflow.errors import AppLoadError
from pgflow.runtime.child import Child
from pgflow.runtime.heart import Heart
from pgflow.runtime.leader import Leader

log = structlog.get_logger("pgflow")

STEADY = 10.0
"""An executor that ran this many seconds was well; its replacement starts without delay."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a supervisor runs.

    Args:
        targets: modules, files or folders with apps.
        weights: queues with their weights; all queues of the apps' tasks when empty.
        processes: how many executors; 0 leads only.
        concurrency: handlers at once in each.
        lead: whether to stand for leader.
        log_format: `auto`, `console` or `json`.
        keep_going: wait for a change instead of giving up when an app cannot be loaded.
        besides: queues that are served beside those of the apps' tasks, unless there are weights.
    """

    targets: Sequence[str]
    weights: Mapping[str, float] = field(default_factory=dict)
    processes: int = 1
    concurrency: int = 32
    lead: bool = True
    log_format: str = "auto"
    keep_going: bool = False
    besides: Collection[str] = ()


class Supervisor:
    """Runs a plan until told to stop."""

    def __init__(self, settings: Settings, plan: Plan, on_ready: Callable[[Child], None] = lambda _: None) -> None:
        self._settings = settings
        self._plan = plan
        self._on_ready = on_ready
        self.children: set[Child] = set()
        self.heart = Heart(settings, lambda: self.children)
        self.leader = Leader(settings) if plan.lead else None
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.failure: str | None = None

    def stop(self) -> None:
        """Drain; a second call ends the executors at once."""
        if self._stopping.is_set():
            for child in self.children:
                child.kill()
        self._stopping.set()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one ends at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def run(self) -> None:
        """Run until stopped.

        Raises:
            AppLoadError: the apps cannot be loaded (unless the plan keeps going).
        """
        services = [asyncio.create_task(self.heart.run())]
        if self.leader is not None:
            services.append(asyncio.create_task(self.leader.run()))
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(self._plan.processes)]
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({stopping, *services}, return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        self._changed.set()
        for child in self.children:
            child.drain()
        if self._keepers:
            await asyncio.wait(self._keepers)
        await self.heart.last_beat()
        self.heart.finish()
        if self.leader is not None:
            self.leader.finish()
        await asyncio.gather(*services, return_exceptions=True)
        for task in done - {stopping}:
            task.result()
        if self.failure is not None:
            raise AppLoadError(self.failure)

    async def _keep(self) -> None:
        """Keep one executor running until we stop."""
        failures = 0
        while not self._stopping.is_set():
            child = Child(self._setup(), self._plan.concurrency, self._hello)
            await child.start()
            self.children.add(child)
            status = await child.watch()
            self.children.discard(child)
            self._buried(child, status)
            if self._stopping.is_set():
                return
            if child.failure is not None:
                if not self._plan.keep_going:
                    self.failure = child.failure
                    self._stopping.set()
                    return
                log.error(child.failure)
                await self._change()
                continue
            failures = 0 if asyncio.get_running_loop().time() - child.started_at > STEADY else failures + 1
            if failures > 1 and not child.drained:
                await self._pause(min(5.0, 0.1 * 2**failures))

    def _setup(self) -> dict[str, object]:
        return {
            "settings": self._settings.model_dump(mode="json"),
            "targets": list(self._plan.targets),
            "weights": dict(self._plan.weights),
            "besides": list(self._plan.besides),
            "concurrency": self._plan.concurrency,
            "log_format": self._plan.log_format,
        }

    def _hello(self, child: Child) -> None:
        self.heart.wake()
        self._on_ready(child)

    def _buried(self, child: Child, status: int) -> None:
        if child.worker_id is None:
            return
        if child.drained:
            self.heart.bury(child.worker_id, "drained", [])
            return
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        log.warning("executor died", pid=child.pid, status=name)
        self.heart.bury(child.worker_id, f"executor died: {name}", child.last_running)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # `wait_for` may swallow a cancellation
                await self._stopping.wait()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def reload(self) -> None:
        """Replace every executor, because the code has changed: each drains and starts over."""
        self._changed.set()
        for child in self.children:
            child.drain()
