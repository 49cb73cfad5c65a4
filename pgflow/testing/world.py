"""What a workflow without a database lives in: a clock of its own, turns, signals on their way.

One at a time goes on: a workflow runs until it waits or ends, then whoever has been ready the longest does. Only when
nobody can go on does time pass, up to the next instant at which somebody can. So nothing is waited for in fact, and the
same code with the same signals does the same in the same order.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from pgflow import duration
from pgflow.codec import encode
from pgflow.engine.emissions import Emission
from pgflow.errors import NotFound, WorkflowError
from pgflow.sdk.event_verbs import Wanted, check_event, fits
from pgflow.sdk.history import SignalReceived
from pgflow.sdk.task import Duration, Task
from pgflow.testing.stored import stored


class WaitsForEver(WorkflowError):
    """A workflow in a test waits for something that nobody will ever send."""


class NotGiven(WorkflowError):
    """A workflow in a test asks for something that the test did not give its context."""


class After(NamedTuple):
    """A signal or an event that comes only when the run is so old.

    Args:
        time: since the run began: seconds, `timedelta` or text such as "3d".
        payload: what it carries.
    """

    time: Duration
    payload: Any = None


class Emitted(NamedTuple):
    """An application event in a test.

    Args:
        payload: what it carries.
        key: its key. In contexts without a database an event without one is taken by whoever waits for its name.
        id: the sender's own id of it.
    """

    payload: Any = None
    key: str | None = None
    id: str | None = None


def emitted_of(given: Any) -> Emitted:
    """An event that may be given by its payload alone."""
    return given if isinstance(given, Emitted) else Emitted(given)


class Sent(NamedTuple):
    """A signal that was sent.

    Args:
        run: to whom.
        name: its name.
        payload: what it carries, as JSON.
    """

    run: int
    name: str
    payload: Any


@dataclass(slots=True)
class Posted:
    """A signal that has come."""

    received: SignalReceived
    run: int | None
    """To whom; None: to whoever waits for it first."""
    taken: bool = False


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who stands still, until so many have arrived or until something is due."""

    future: asyncio.Future[None]
    lacking: int = 0


class World:
    """One run with all its children.

    Args:
        now: the instant at which it begins.
        tasks: what may be run as children by name; those that are seen are added.
    """

    def __init__(self, now: datetime, tasks: Mapping[str, Task[..., Any]]) -> None:
        self.began = self.now = now
        self.tasks = dict(tasks)
        self.signals: list[Posted] = []
        self.events: list[Emission] = []
        self.sent: list[Sent] = []
        self.running: set[asyncio.Task[None]] = set()
        self.describe: Callable[[], str] = lambda: "the workflow waits for ever"
        self._ids = 0
        self._ready: deque[Callable[[], bool]] = deque()
        self._timers: list[tuple[datetime, int, Callable[[], bool], Callable[[], bool]]] = []
        self._waiters: dict[int, Waiter] = {}
        self._over: asyncio.Future[None] | None = None

    def next_id(self) -> int:
        """A number for a task, a signal or a timer."""
        self._ids += 1
        return self._ids

    def at(self, due: datetime, begin: Callable[[], bool], matters: Callable[[], bool] = lambda: True) -> None:
        """Have this done when it is due, if it still matters then; it says whether somebody goes on by it."""
        heapq.heappush(self._timers, (due, self.next_id(), begin, matters))

    def anybody_waits(self) -> bool:
        """Whether there is anybody to whom something could happen."""
        return bool(self._waiters)

    def soon(self, begin: Callable[[], bool]) -> None:
        """Have this done when its turn comes."""
        self._ready.append(begin)

    async def stand_still(self, task_id: int, arrivals: int = 0, due: datetime | None = None) -> None:
        """Let others go on until so many have arrived here, or until then."""
        waiter = self._waiters[task_id] = Waiter(asyncio.get_running_loop().create_future(), arrivals)
        if due is not None:
            self.at(due, partial(_go_on, waiter), lambda: not waiter.future.done())
        self.pass_on()
        try:
            await waiter.future
        finally:
            if self._waiters.get(task_id) is waiter:
                del self._waiters[task_id]

    def arrive(self, task_id: int) -> None:
        """Tell a task that there is something new for it."""
        waiter = self._waiters.get(task_id)
        if waiter is not None and waiter.lacking:
            waiter.lacking -= 1
            if not waiter.lacking:
                self.soon(partial(_go_on, waiter))

    def wake(self, task_id: int) -> None:
        """Make a task look, whatever it waits for."""
        waiter = self._waiters.get(task_id)
        if waiter is not None:
            self.soon(partial(_go_on, waiter))

    def pass_on(self) -> None:
        """Let the next one go on; when nobody can, let time pass until somebody can."""
        while True:
            while self._ready:
                if self._ready.popleft()():
                    return
            if not self._timers:
                break
            due, _, begin, matters = heapq.heappop(self._timers)
            if matters():
                self.now = max(self.now, due)
                self.soon(begin)
        if self._over is None:
            hint = 'give Inline(signals={"name": [payload]}) or events=, or the wait a timeout='
            self.fail(WaitsForEver(self.describe(), hint=hint))
        elif not self._over.done():
            self._over.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End the run with this error."""
        waiting = [self._over] if self._over is not None else []
        waiting += [self._waiters[task_id].future for task_id in sorted(self._waiters)]  # the root is the first
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                return

    async def until_over(self) -> None:
        """After the root has ended: let its children come as far as they can."""
        self._over = asyncio.get_running_loop().create_future()
        self.pass_on()
        try:
            await self._over
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """End what is left of the children."""
        left = [task for task in self.running if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def post(self, name: str, payload: Any, run: int | None = None) -> bool:
        """Let a signal arrive, at whoever is meant or, if nobody is, at everybody."""
        received = SignalReceived(self.next_id(), name, payload, self.now)
        self.signals.append(Posted(received, run))
        for task_id in list(self._waiters):
            if run is None or run == task_id:
                self.arrive(task_id)
        return False

    def emit(self, name: str, event: Emitted) -> bool:
        """Let an event happen, for whoever waits for it."""
        payload = stored(encode(event.payload))
        self.events.append(Emission(self.next_id(), name, event.key, payload, event.id, self.now))
        for task_id in list(self._waiters):
            self.arrive(task_id)
        return False

    def event(self, wanted: Wanted) -> Emission | None:
        """The oldest event that is wanted."""
        for event in self.events:
            timely = (wanted.since or self.began) <= event.at <= (wanted.until or self.now)
            meant = event.name == wanted.name and (None in (event.key, wanted.key) or event.key == wanted.key)
            if meant and timely and event.id not in wanted.taken and fits(event, wanted.match, wanted.bound):
                return event
        return None

    def given(self, signals: Mapping[str, Any], events: Mapping[str, Any]) -> None:
        """Take over the signals and events that the test gives."""
        for name, payloads in signals.items():
            for payload in payloads if isinstance(payloads, list) else [payloads]:
                self._when(payload, partial(self._given_signal, name))
        for name, happened in events.items():
            for event in happened if isinstance(happened, list) else [happened]:
                self._when(event, partial(self._given_event, check_event(name)))

    def _given_signal(self, name: str, payload: Any) -> bool:
        return self.post(name, stored(encode(payload)))

    def _given_event(self, name: str, event: Any) -> bool:
        return self.emit(name, emitted_of(event))

    def _when(self, given: Any, happens: Callable[[Any], bool]) -> None:
        if isinstance(given, After):
            due = self.now + timedelta(seconds=duration.parse(given.time))
            self.at(due, partial(happens, given.payload), self.anybody_waits)
        else:
            happens(given)

    def send(self, run: int, name: str, payload: bytes, known: Callable[[int], bool | None]) -> None:
        """Send a signal from a workflow. One to a run outside of this world is only noted."""
        living = known(run)
        if living is False:
            raise NotFound(f"run {run} is finished; nobody would hear the signal")
        content = stored(payload)
        self.sent.append(Sent(run, name, content))
        if living:
            self.post(name, content, run)


def _go_on(waiter: Waiter) -> bool:
    if waiter.future.done():
        return False
    waiter.future.set_result(None)
    return True
