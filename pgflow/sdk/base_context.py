"""What both contexts have: all that takes no time, and the operations that their methods ask for."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, ParamSpec

from pgflow import duration
from pgflow.codec import encode
from pgflow.engine.facts import Progress
from pgflow.errors import ArgumentError, ContinuedAsNew, NotRecordable, WorkflowError
from pgflow.sdk import event_verbs, operations
from pgflow.sdk import step as steps
from pgflow.sdk.environment import Environment
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.history import EVENT
from pgflow.sdk.op import GroupOp, OnError, Op
from pgflow.sdk.payload import reader
from pgflow.sdk.replay import CleanUp, Replay, place
from pgflow.sdk.task import Duration, Key, Task
from pgflow.sdk.verbs import Handle

P = ParamSpec("P")


class BaseContext:
    """What both contexts have, and what takes no time in either."""

    def __init__(self, replay: Replay, environment: Environment) -> None:
        self._replay = replay
        self._environment = environment
        self.log = environment.log

    @property
    def task_id(self) -> int:
        """The workflow's task."""
        return self._replay.journal.task_id

    @property
    def run_id(self) -> int:
        """The run that it belongs to; itself unless it is a child."""
        return self._replay.journal.root_id

    @property
    def attempt(self) -> int:
        """1 for the first; suspending and resuming is no new one."""
        return self._replay.attempt

    @property
    def replaying(self) -> bool:
        """Whether the code is still catching up with its history."""
        return self._replay.replaying

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt. Within a step, `pgflow.current().idempotency_key` is the step's own."""
        return f"pgflow-{self.task_id}"

    @property
    def client(self) -> Any:
        """The app's client, of the context's colour; `ctx.client.on(db)` writes within `ctx.tx`."""
        return self._environment.client()

    def now(self) -> datetime:
        """The time, in UTC, the same at every replay."""
        replay = self._replay
        text = replay.decide(replay.key("$now"), lambda: replay.journal.clock().astimezone(UTC).isoformat())
        return datetime.fromisoformat(text)

    def random(self) -> random.Random:
        """Random numbers, the same at every replay. One seed is recorded a run."""
        replay = self._replay
        if replay.draws is None:
            replay.draws = random.Random(replay.decide("$random", lambda: uuid.uuid4().hex))
        return replay.draws

    def uuid(self) -> uuid.UUID:
        """A random UUID, the same at every replay."""
        return uuid.UUID(self._replay.decide(self._replay.key("$uuid"), lambda: str(uuid.uuid4())))

    def version(self, change: str, newest: int, oldest: int = 1) -> int:
        """Which version of a piece of code this run is to follow: to change code on purpose under runs in flight.

        A run that comes here for the first time gets `newest`; one whose history shows that it passed here before the
        change was made gets `oldest`. Either way it keeps its version for ever.

        Args:
            change: a name for the change.
            newest: what new runs follow.
            oldest: what the code before the first `version` call counts as.

        Raises:
            WorkflowError: the run follows a version that the code no longer has.

        Example:
            >>> if ctx.version("new-fx", 2) >= 2:                            # doctest: +SKIP
            ...     rate = await ctx.step(fetch_rate, currency)
        """
        replay = self._replay
        key = f"$version:{change}"
        passed = key not in replay.history.facts and replay.replaying
        version = int(replay.decide(key, lambda: oldest if passed else newest))
        if not oldest <= version <= newest:
            raise WorkflowError(
                f"{place()}: this run follows version {version} of {change!r}; the code has {oldest} to {newest}",
                hint="keep the old branch until no run needs it: `pgflow check` tells",
            )
        return version

    def set_state(self, state: Any) -> None:
        """Show this to whoever asks (`client.state(run)`): any JSON; the last one counts."""
        self._tell(Progress(0, 0, encode(state)))

    def heartbeat(self, progress: float | None = None, note: str | None = None) -> None:
        """Show how far the run is.

        Args:
            progress: from 0 to 1.
            note: a text for people.
        """
        if progress is not None and not 0 <= progress <= 1:
            raise ArgumentError(f"progress={progress} is not between 0 and 1")
        self._tell(Progress(0, 0, b"null", progress, note))

    def _tell(self, progress: Progress) -> None:
        if not self._replay.replaying:
            journal = self._replay.journal
            journal.put(progress._replace(task_id=journal.task_id, epoch=journal.epoch))

    def compensate(self, work: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Have this done if the run fails or is cancelled: as a step, the last one registered first.

        Example:
            >>> receipt = await ctx.step(charge, card)                       # doctest: +SKIP
            ... ctx.compensate(refund, receipt)
        """
        self._clean_up(work, args, kwargs, on_failure=True)

    def on_cancel(self, work: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Have this done if the run is cancelled: as a step, the last one registered first."""
        self._clean_up(work, args, kwargs, on_failure=False)

    def _clean_up(self, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any], on_failure: bool) -> None:
        replay = self._replay
        made = steps.of(work)
        replay.decide("$cleanup", lambda: True)
        key = replay.key(f"$compensate:{made.name}")
        replay.cleanups.append(CleanUp(made, args, kwargs, key, on_failure))

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Start this workflow over with these arguments and an empty history; the run stays the same run.

        For workflows without an end: a history holds 10,000 steps. Signals that nobody has taken are kept.
        """
        workflow = self._environment.workflow
        raise ContinuedAsNew(workflow.signature.encode_arguments(args, kwargs, limit=workflow.payload_limit))

    # What takes time, as operations.

    def _step(self, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_transaction: bool = False) -> Op[Any]:
        replay = self._replay
        made = self._environment.steps.get(work) if isinstance(work, str) else steps.of(work)
        if made is None:
            raise NotRecordable(f"{place()}: no step is registered as {work!r}", hint="@app.step(name=...)")
        key = replay.key(made.name) if made.key is None else replay.explicit_key(made.key)
        name = "tx" if in_transaction else "step"
        return Op(replay, name, operations.step(replay, key, made, args, kwargs, in_transaction))

    def _task(self, work: Any) -> Task[..., Any]:
        found = self._environment.tasks.get(work) if isinstance(work, str) else work
        if not isinstance(found, Task):
            what = repr(work) if isinstance(work, str) else f"a {type(work).__name__}"
            raise NotRecordable(
                f"{place()}: {what} is no task or workflow of this app", hint="ctx.step calls plain functions"
            )
        return found

    def _run(self, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op[Any]:
        replay, task = self._replay, self._task(work)
        return Op(replay, "run", operations.child(replay, replay.key(task.name), task, args, kwargs))

    def _start(self, kind: Any, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op[Any]:
        replay, task = self._replay, self._task(work)
        key = replay.key(task.name)

        def child(id: int) -> Any:
            return kind(self, task, key, id)

        return Op(replay, "start", operations.start(replay, key, task, args, kwargs, child))

    def _result(self, task: Task[..., Any], key: str) -> Op[Any]:
        return Op(self._replay, "result", operations.outcome(self._replay, key, task))

    def _sleep(self, key: str, due: Callable[[], datetime]) -> Op[None]:
        return Op(self._replay, "sleep", operations.sleep(self._replay, self._replay.key(key), due))

    def _sleep_for(self, time: Duration) -> Op[None]:
        seconds = duration.parse(time)
        return self._sleep("$sleep", lambda: self._replay.journal.clock() + timedelta(seconds=seconds))

    def _sleep_until(self, instant: datetime) -> Op[None]:
        if instant.tzinfo is None:
            raise ArgumentError(
                f"{instant.isoformat()} has no time zone", hint="use ctx.now() + ..., or datetime(..., tzinfo=UTC)"
            )
        return self._sleep("$sleep_until", lambda: instant)

    def _signal(self, name: str, kind: Any, timeout: Duration | None) -> Op[Any]:
        replay = self._replay
        seconds = None if timeout is None else duration.parse(timeout)
        key = replay.key(f"$signal:{check_signal(name)}")
        return Op(replay, "signal", operations.signal(replay, key, name, seconds, reader(kind)))

    def _event(
        self, name: str, kind: Any, key: EventKey | None, match: str | None, values: Mapping[str, Any] | None,
        timeout: Duration | None, since: datetime | None,
    ) -> Op[Any]:  # fmt: skip
        replay = self._replay
        seconds = None if timeout is None else duration.parse(timeout)
        wanted = event_verbs.wanted(name, key=key, match=match, values=values, since=since)
        seeker, read = self._environment.event_seeker(), reader(kind, "event")
        drawn = replay.key(f"{EVENT}{name}")
        return Op(replay, "event", operations.event(replay, drawn, wanted, seconds, seeker, read))

    def _send_signal(self, run: int | Handle[Any] | Key, name: str, payload: Any) -> Op[None]:
        replay = self._replay
        target = run.id if isinstance(run, Handle) else run
        work = self._environment.sender
        key = replay.key(f"$send:{check_signal(name)}")
        return Op(replay, "send_signal", operations.step(replay, key, work, (target, name, encode(payload)), {}, True))

    def _map(self, work: Any, items: Iterable[Any], concurrency: int | None, on_error: OnError) -> Op[list[Any]]:
        replay = self._replay
        is_task = isinstance(work, Task) or (isinstance(work, str) and work in self._environment.tasks)
        one = self._run if is_task else self._step
        members = [one(work, (item,), {}).begin(replay) for item in items]
        return GroupOp(replay, "map", members, check_concurrency(concurrency), on_error)

    def _gather(self, ops: Sequence[Any], concurrency: int | None, on_error: OnError) -> Op[list[Any]]:
        replay = self._replay
        for position, op in enumerate(ops):
            if type(op) is not Op:
                if asyncio.iscoroutine(op):
                    op.close()
                what = f"argument {position + 1} of ctx.gather is a {type(op).__name__}"
                raise NotRecordable(
                    f"{place()}: {what}, not something asked of ctx",
                    hint="ctx.gather(ctx.step(...), ctx.run(...), ...); wrap a coroutine's function in ctx.step",
                )
        return GroupOp(replay, "gather", [op.begin(replay) for op in ops], check_concurrency(concurrency), on_error)


def check_concurrency(concurrency: int | None) -> int | None:
    """The number, or an ArgumentError."""
    if concurrency is not None and concurrency < 1:
        raise ArgumentError(f"concurrency={concurrency} lets nothing run", hint="at least 1")
    return concurrency


def check_signal(name: str) -> str:
    """The signal's name, or an ArgumentError."""
    if not 0 < len(name) <= 200 or "\0" in name or name[0] == "$":
        raise ArgumentError(f"{name!r} is no name for a signal", hint="1 to 200 characters, not beginning with $")
    return name


def in_transaction(work: Callable[..., Any]) -> Any:
    """What `ctx.tx` was given, as a step: a lambda is called `tx`."""
    return steps.step(work, name="tx") if getattr(work, "__name__", "") == "<lambda>" else work
