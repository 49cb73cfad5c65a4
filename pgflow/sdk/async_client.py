"""`AsyncClient`: the verbs of `Client`, awaited. What each means is documented there, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, ParamSpec, TypeVar

import psycopg

from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import AsyncSession, Call
from pgflow.db.failures import CONFLICT_TRIES, is_conflict, translated
from pgflow.engine import control, inspection, limits
from pgflow.engine.enqueue import Request
from pgflow.engine.limits import Limit
from pgflow.engine.runs import Standing
from pgflow.model import State
from pgflow.redis.guard import AsyncKeyGuard
from pgflow.sdk import event_verbs, run_verbs, verbs
from pgflow.sdk.checking import Recorded
from pgflow.sdk.client import Client, Tasks
from pgflow.sdk.colours import document_like
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.foreign import async_connection
from pgflow.sdk.registries import AsyncRegistries
from pgflow.sdk.run_control import AsyncRuns
from pgflow.sdk.task import Key, Task
from pgflow.sdk.verbs import Handle, Rest, Steps

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient(AsyncRegistries, AsyncRuns):
    """Talks to the engine from async code: `Client` with every verb awaited.

    Example:
        >>> async with app.async_client() as client:                         # doctest: +SKIP
        ...     handle = await client.enqueue(send_email, "ann@example.com", "welcome")
        ...     await client.result(handle, timeout=30)
    """

    def __init__(self, settings: Settings, tasks: Tasks | None = None, *, actor: str | None = None) -> None:
        self._settings = settings
        self._tasks = tasks or {}
        self._actor = actor
        self._pool = connect.pool_async(settings) if settings.database_url else None
        self._guard = AsyncKeyGuard(settings)
        self._connection: psycopg.AsyncConnection[Any] | None = None

    def on(self, connection: Any) -> AsyncClient:
        client = AsyncClient.__new__(AsyncClient)
        client._settings, client._tasks, client._actor = self._settings, self._tasks, self._actor
        client._pool, client._guard, client._connection = None, self._guard, async_connection(connection)
        return client

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            await self._guard.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, call: Call[R]) -> R:
        if self._connection is not None:
            return await AsyncSession(self._connection, self._settings.schema_name).run(call)
        pool = await self._require_pool()
        for left in range(CONFLICT_TRIES - 1, -1, -1):
            try:
                with translated():
                    async with pool.connection() as connection:
                        return await AsyncSession(connection, self._settings.schema_name).run(call)
            except psycopg.Error as error:
                if not left or not is_conflict(error):
                    raise
        raise AssertionError

    async def _require_pool(self) -> Any:
        if self._pool is None:
            self._settings.require_url()
        assert self._pool is not None
        await self._pool.open()
        return self._pool

    async def _drive(self, steps: Steps[R]) -> R:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if isinstance(step, Rest):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._run(step)

    async def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        request, own = task.request(*args, **kwargs), self._connection is None
        async with self._guard.held(request.spec.name, request.key if own else None):
            if request.supersede:
                return (await self.enqueue_many([request]))[0]
            return await self._drive(verbs.enqueue_one(request, actor=self._actor, own_transaction=own))

    async def start(self, workflow: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        return await self.enqueue(workflow, *args, **kwargs)

    async def signal(self, run: Handle[Any] | int | Key, name: str, payload: Any = None) -> None:
        await self._drive(run_verbs.signal(run, name, payload, actor=self._actor))

    async def emit(
        self, name: str, payload: Any = None, *, key: EventKey | None = None, id: str | None = None
    ) -> Handle[Any]:
        asked = event_verbs.Emit(name, payload, key, id, self._actor, self._settings.payload_limit)
        return await self._drive(event_verbs.emit(asked, own_transaction=self._connection is None))

    async def state(self, run: Handle[Any] | int) -> dict[str, Any] | None:
        return await self._drive(run_verbs.told(run))

    async def enqueue_many(self, requests: Iterable[Request], *, wake: bool = True) -> list[Handle[Any]]:
        asked = verbs.asked(requests)
        own = self._connection is None
        parts = asked.parts if own else list(asked.parts)  # making them may use the caller's connection
        calls = verbs.enqueue_all(parts, actor=self._actor, own_transaction=own, short=asked.short, wake=wake)
        if asked.plain:
            return [handle for call in calls for handle in await self._run(call)]
        if self._connection is not None:
            return await self._write(self._connection, calls)
        pool = await self._require_pool()
        with translated():
            async with pool.connection() as connection:
                return await self._write(connection, calls)

    async def _write(
        self, connection: psycopg.AsyncConnection[Any], calls: Iterable[Call[list[Handle[Any]]]]
    ) -> list[Handle[Any]]:
        session = AsyncSession(connection, self._settings.schema_name)
        async with connection.transaction() if connection.autocommit else nullcontext():
            return [handle for handles in await session.run_all(calls) for handle in handles]

    async def result(self, handle: Handle[R] | int, *, timeout: float | None = None) -> R:
        task_id = handle if isinstance(handle, int) else handle.id
        outcome = (await self._drive(verbs.wait([task_id], timeout, time.monotonic)))[task_id]
        shown = self._tasks.get((await self.show(task_id))["name"]) if self._tasks else None
        return verbs.value(task_id, outcome, shown)  # type: ignore[no-any-return]

    async def cancel(self, *task_ids: int, force: bool = False) -> list[int]:
        return await self._drive(verbs.cancel(task_ids, force=force, actor=self._actor))

    async def pause(self, *runs: Handle[Any] | int) -> list[int]:
        return await self._drive(run_verbs.pause(runs, actor=self._actor))

    async def resume(self, *runs: Handle[Any] | int) -> list[int]:
        return await self._drive(run_verbs.resume(runs, actor=self._actor))

    async def recorded(self, run: Handle[Any] | int) -> Recorded:
        return await self._drive(run_verbs.recorded(run))

    async def standing(self, run: Handle[Any] | int) -> list[Standing]:
        return await self._drive(run_verbs.standing(run))

    async def redrive(self, *task_ids: int) -> list[int]:
        return await self._drive(verbs.redrive(task_ids, actor=self._actor))

    async def redrive_where(self, *, name: str | None = None, queue: str | None = None, limit: int = 1000) -> list[int]:
        return await self._drive(verbs.redrive_where(name=name, queue=queue, limit=limit, actor=self._actor))

    async def show(self, task_id: int) -> Mapping[str, Any]:
        return await self._drive(verbs.show(task_id))

    async def history(self, task_id: int, *, task: int | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        return await self._drive(verbs.history(task_id, task=task, limit=limit))

    async def tasks(
        self, *, roots_only: bool = False, state: State | str | None = None, name: str | None = None,
        queue: str | None = None, run_id: int | None = None, before: int | None = None, limit: int = 50,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return await self._drive(
            verbs.tasks(
                roots_only=roots_only, state=state, name=name, queue=queue, run_id=run_id, before=before, limit=limit
            )
        )

    async def queues(self) -> list[dict[str, Any]]:
        return await self._run(inspection.queues())

    async def workers(self) -> list[dict[str, Any]]:
        return await self._run(inspection.workers())

    async def pause_queue(self, name: str) -> None:
        await self._run(control.pause_queue(name, actor=self._actor))

    async def resume_queue(self, name: str) -> bool:
        return await self._run(control.resume_queue(name))

    async def limit_queue(self, name: str, limit: Limit) -> None:
        await self._drive(verbs.limit_queue(name, limit, actor=self._actor))

    async def lift_limit(self, name: str) -> bool:
        return await self._drive(verbs.lift_limit(name))

    async def limits(self) -> list[dict[str, Any]]:
        return await self._run(limits.limits())

    async def age_queue(self, name: str, every: float | None) -> None:
        await self._run(control.age_queue(name, verbs.check_ageing(every)))


document_like(AsyncClient, Client)
