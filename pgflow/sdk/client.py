"""`Client`: the verbs for sync code. `AsyncClient` has the same; a test holds their signatures together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, ParamSpec, TypeVar

import psycopg

from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Call, Session
from pgflow.db.failures import CONFLICT_TRIES, is_conflict, translated
from pgflow.engine import control, inspection, limits
from pgflow.engine.enqueue import Request
from pgflow.engine.limits import Limit
from pgflow.engine.runs import Standing
from pgflow.model import State
from pgflow.redis.guard import KeyGuard
from pgflow.sdk import event_verbs, run_verbs, verbs
from pgflow.sdk.checking import Recorded
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.foreign import sync_connection
from pgflow.sdk.registries import Registries
from pgflow.sdk.run_control import Runs
from pgflow.sdk.task import Key, Task
from pgflow.sdk.verbs import Handle, Rest, Steps

P = ParamSpec("P")
R = TypeVar("R")
Tasks = Mapping[str, Task[..., Any]]


class Client(Registries, Runs):
    """Talks to the engine from sync code. Thread-safe; one a process is enough.

    Example:
        >>> with app.client() as client:                                     # doctest: +SKIP
        ...     handle = client.enqueue(send_email, "ann@example.com", "welcome")
        ...     client.result(handle, timeout=30)
    """

    def __init__(self, settings: Settings, tasks: Tasks | None = None, *, actor: str | None = None) -> None:
        self._settings, self._tasks, self._actor = settings, tasks or {}, actor
        self._pool = connect.pool_sync(settings) if settings.database_url else None
        self._guard = KeyGuard(settings)
        self._connection: psycopg.Connection[Any] | None = None

    def on(self, connection: Any) -> Client:
        """The same verbs on your own connection and inside your own transaction: what is enqueued exists if and only
        if that transaction commits.

        Args:
            connection: a psycopg connection, or SQLAlchemy's Connection or Session over psycopg.
        """
        client = Client.__new__(Client)
        client._settings, client._tasks, client._actor = self._settings, self._tasks, self._actor
        client._pool, client._guard, client._connection = None, self._guard, sync_connection(connection)
        return client

    def close(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            self._pool.close()
            self._guard.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Call[R]) -> R:
        if self._connection is not None:
            return Session(self._connection, self._settings.schema_name).run(call)
        for left in range(CONFLICT_TRIES - 1, -1, -1):
            try:
                with translated(), self._require_pool().connection() as connection:
                    return Session(connection, self._settings.schema_name).run(call)
            except psycopg.Error as error:  # a deadlock, say: nothing of it happened
                if not left or not is_conflict(error):
                    raise
        raise AssertionError

    def _require_pool(self) -> Any:
        if self._pool is None:
            self._settings.require_url()
        assert self._pool is not None
        self._pool.open()
        return self._pool

    def _drive(self, steps: Steps[R]) -> R:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if isinstance(step, Rest):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._run(step)

    def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Ask for one task. Other options go on the task: `client.enqueue(task.options(delay="1h"), ...)`.

        Raises:
            ArgumentError: the arguments do not fit.
            PayloadError: an argument cannot be stored.
            IdempotencyConflict: its key was used with other arguments.
            DatabaseUnavailable: whether it was written is then unknown; a key makes asking again safe.
        """
        request, own = task.request(*args, **kwargs), self._connection is None
        with self._guard.held(request.spec.name, request.key if own else None):
            if request.supersede:
                return self.enqueue_many([request])[0]
            return self._drive(verbs.enqueue_one(request, actor=self._actor, own_transaction=own))

    def start(self, workflow: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a run of a workflow: `enqueue` by its name for workflows.

        Example:
            >>> run = client.start(signup.options(key="signup-42"), user)    # doctest: +SKIP
        """
        return self.enqueue(workflow, *args, **kwargs)

    def signal(self, run: Handle[Any] | int | Key, name: str, payload: Any = None) -> None:
        """Send a signal to a run: it is told at once if it waits for it, else when it does.

        Args:
            run: its handle or id; or the id of a child workflow; or `signup.by_key("signup-42")`.
            name: what the workflow calls it.
            payload: any JSON, model or dataclass.

        Raises:
            NotFound: there is no such run, or it is finished.
            PayloadError: the payload cannot be stored.
        """
        self._drive(run_verbs.signal(run, name, payload, actor=self._actor))

    def emit(
        self, name: str, payload: Any = None, *, key: EventKey | None = None, id: str | None = None
    ) -> Handle[Any]:
        """Emit an application event: it starts what has a trigger for it, and wakes all workflows that wait for it.

        Args:
            name: as in `order/paid`.
            payload: any JSON, model or dataclass.
            key: whom or what it is about: `ctx.event(name, key=...)` waits for this one only.
            id: one of your own: the same id emits once. With another payload or key it is an IdempotencyConflict.
        """
        asked = event_verbs.Emit(name, payload, key, id, self._actor, self._settings.payload_limit)
        return self._drive(event_verbs.emit(asked, own_transaction=self._connection is None))

    def state(self, run: Handle[Any] | int) -> dict[str, Any] | None:
        """What a run last told of itself with `ctx.set_state` and `ctx.heartbeat`: `state`, `progress`, `note`, `at`.

        Raises:
            NotFound: there is no such run.
        """
        return self._drive(run_verbs.told(run))

    def enqueue_many(self, requests: Iterable[Request], *, wake: bool = True) -> list[Handle[Any]]:
        """Ask for many tasks at once, all or none: `client.enqueue_many(task.request(x) for x in xs)`.

        Args:
            requests: any number; they travel in batches inside one transaction, which lasts as long as they take to
                come: what is slow to make is better collected in a list first.
            wake: False leaves idle workers to their safety poll.
        """
        asked = verbs.asked(requests)
        own = self._connection is None
        parts = asked.parts if own else list(asked.parts)  # making them may use the caller's connection
        calls = verbs.enqueue_all(parts, actor=self._actor, own_transaction=own, short=asked.short, wake=wake)
        if asked.plain:
            return [handle for call in calls for handle in self._run(call)]
        if self._connection is not None:
            return self._write(self._connection, calls)
        with translated(), self._require_pool().connection() as connection:
            return self._write(connection, calls)

    def _write(
        self, connection: psycopg.Connection[Any], calls: Iterable[Call[list[Handle[Any]]]]
    ) -> list[Handle[Any]]:
        session = Session(connection, self._settings.schema_name)
        with connection.transaction() if connection.autocommit else nullcontext():
            return [handle for handles in session.run_all(calls) for handle in handles]

    def result(self, handle: Handle[R] | int, *, timeout: float | None = None) -> R:
        """Wait for the outcome and return the task's result.

        Args:
            handle: the handle, or an id.
            timeout: seconds; for ever if not given.

        Raises:
            TaskFailed: it failed for good. TaskCancelled: it was cancelled. ResultTimeout: not done in time.
        """
        task_id = handle if isinstance(handle, int) else handle.id
        outcome = self._drive(verbs.wait([task_id], timeout, time.monotonic))[task_id]
        shown = self._tasks.get(self.show(task_id)["name"]) if self._tasks else None
        return verbs.value(task_id, outcome, shown)  # type: ignore[no-any-return]

    def cancel(self, *task_ids: int, force: bool = False) -> list[int]:
        """Cancel tasks and, of runs, all that is in them. Returns those this call cancelled.

        A workflow that has registered something with `ctx.compensate` or `ctx.on_cancel` is told to cancel itself: it
        does that first, ends as cancelled by itself, and is neither waited for nor among those returned.

        Args:
            *task_ids: runs or tasks.
            force: cancel even those outright; nothing is undone.
        """
        return self._drive(verbs.cancel(task_ids, force=force, actor=self._actor))

    def pause(self, *runs: Handle[Any] | int) -> list[int]:
        """Pause runs: what is ready in them, and what becomes ready, is parked until they are resumed. What is running
        goes on until it suspends or ends; timers go on counting. Returns those that were not paused before.

        Raises:
            NotFound: there is no such run.
            ArgumentError: it is a task of a run: a run is paused as a whole.
        """
        return self._drive(run_verbs.pause(runs, actor=self._actor))

    def resume(self, *runs: Handle[Any] | int) -> list[int]:
        """Let runs go on: what is parked in them is ready again, be it paused or in need of attention, once its code is
        mended; should it not be, it is parked again. A task of a run may be given if it needs attention. Returns those
        for which there was something to resume.

        Raises:
            NotFound: there is no such run or task.
        """
        return self._drive(run_verbs.resume(runs, actor=self._actor))

    def recorded(self, run: Handle[Any] | int) -> Recorded:
        """All that a rehearsal of a workflow against other code needs: see `pgflow.sdk.checking.Checker`.

        Raises:
            NotFound: there is no such run.
        """
        return self._drive(run_verbs.recorded(run))

    def standing(self, run: Handle[Any] | int) -> list[Standing]:
        """What keeps a run, or a task: that it is paused, what is parked in it, unfinished children, timers.

        Raises:
            NotFound: there is no such run.
        """
        return self._drive(run_verbs.standing(run))

    def redrive(self, *task_ids: int) -> list[int]:
        """Revive failed and cancelled tasks with a full allowance of attempts. Returns those revived."""
        return self._drive(verbs.redrive(task_ids, actor=self._actor))

    def redrive_where(self, *, name: str | None = None, queue: str | None = None, limit: int = 1000) -> list[int]:
        """Revive failed tasks by filter, newest first."""
        return self._drive(verbs.redrive_where(name=name, queue=queue, limit=limit, actor=self._actor))

    def show(self, task_id: int) -> Mapping[str, Any]:
        """Everything about one task."""
        return self._drive(verbs.show(task_id))

    def history(self, task_id: int, *, task: int | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """What happened to a task, or in a run, in order.

        Args:
            task_id: the run or the task.
            task: only what happened to this task of the run.
            limit: only the last so many events.
        """
        return self._drive(verbs.history(task_id, task=task, limit=limit))

    def tasks(
        self, *, roots_only: bool = False, state: State | str | None = None, name: str | None = None,
        queue: str | None = None, run_id: int | None = None, before: int | None = None, limit: int = 50,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Tasks by filter, newest first; `before` takes the last id of the previous page."""
        return self._drive(
            verbs.tasks(
                roots_only=roots_only, state=state, name=name, queue=queue, run_id=run_id, before=before, limit=limit
            )
        )

    def queues(self) -> list[dict[str, Any]]:
        """Every queue with its depth."""
        return self._run(inspection.queues())

    def workers(self) -> list[dict[str, Any]]:
        """Every worker of the last day."""
        return self._run(inspection.workers())

    def pause_queue(self, name: str) -> None:
        """Claim nothing more from this queue until it is resumed; running tasks go on."""
        self._run(control.pause_queue(name, actor=self._actor))

    def resume_queue(self, name: str) -> bool:
        """Claim from this queue again. Returns whether it was paused."""
        return self._run(control.resume_queue(name))

    def limit_queue(self, name: str, limit: Limit) -> None:
        """Limit what a queue may have ready and running, or start a second, in all and per slot; changed at run time.

        Args:
            name: the queue.
            limit: what it is limited to, in the place of an earlier limit.

        Example:
            >>> client.limit_queue("orders", Limit(concurrency=50, slot_concurrency=1))  # doctest: +SKIP
        """
        self._drive(verbs.limit_queue(name, limit, actor=self._actor))

    def lift_limit(self, name: str) -> bool:
        """Limit this queue no more. Returns whether it was limited."""
        return self._drive(verbs.lift_limit(name))

    def limits(self) -> list[dict[str, Any]]:
        """Every limit, with what it holds back and what it counts now."""
        return self._run(limits.limits())

    def age_queue(self, name: str, every: float | None) -> None:
        """Make waiting tasks of a queue one priority more urgent each time this has passed.

        Args:
            name: the queue.
            every: seconds, at most an hour; None: they stay as they are.
        """
        self._run(control.age_queue(name, verbs.check_ageing(every)))
