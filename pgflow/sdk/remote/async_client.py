"""`AsyncRemoteClient`: the verbs of `RemoteClient`, awaited. What each means is documented there, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import httpx

from pgflow.backoff import RetryPolicy
from pgflow.config import Settings
from pgflow.engine.enqueue import Request
from pgflow.engine.events import Cursor, Event
from pgflow.engine.limits import Limit
from pgflow.engine.runs import Standing
from pgflow.model import State
from pgflow.sdk.colours import document_like
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.remote import control_verbs, run_verbs, starting
from pgflow.sdk.remote.bulks import AsyncRemoteBulks
from pgflow.sdk.remote.client import RemoteClient
from pgflow.sdk.remote.connection import Place, answered, lost, options, streamed_async
from pgflow.sdk.remote.exchange import Answer, Ask, Exchange, Lost, performed
from pgflow.sdk.remote.registry import AsyncRemoteSchedules, AsyncRemoteTableTriggers, AsyncRemoteTriggers
from pgflow.sdk.remote.registry_people import AsyncRemoteApprovals, AsyncRemoteSecrets, AsyncRemoteSubscriptions
from pgflow.sdk.remote.run_verbs import RunPage
from pgflow.sdk.remote.stream import Following
from pgflow.sdk.run_verbs import Version, id_of
from pgflow.sdk.task import Duration, Key, Task
from pgflow.sdk.verbs import Handle, Rest

P = ParamSpec("P")
R = TypeVar("R")


class AsyncRemoteClient:
    """Talks to the engine over its REST API, from async code: `RemoteClient` with every verb awaited.

    Example:
        >>> async with AsyncRemoteClient("https://flows.example.com", token) as client:    # doctest: +SKIP
        ...     run = await client.start(signup, "ann@example.com")
        ...     await client.result(run, timeout=60)
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, tasks: Mapping[str, Task[..., Any]] | None = None,
        timeout: float = 30.0, retries: int = 4, settings: Settings | None = None,
    ) -> None:  # fmt: skip
        self._place = Place(url, token, timeout, retries, settings)
        self._tasks = tasks or {}
        self._http = httpx.AsyncClient()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place.url!r})"

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncRemoteClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _send(self, ask: Ask) -> Answer | Lost:
        try:
            return answered(await self._http.request(**options(self._place, ask)))
        except httpx.TransportError as error:
            return lost(self._place, error)

    async def _drive(self, verb: Exchange[R]) -> R:
        attempts = performed(verb, self._place.retries, self._place.rng)
        answer: Answer | Lost | None = None
        while True:
            try:
                step = attempts.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if isinstance(step, Rest):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._send(step)

    async def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        return await self._drive(starting.start(starting.document(task.request(*args, **kwargs))))

    async def start(self, workflow: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        return await self.enqueue(workflow, *args, **kwargs)

    async def start_named(
        self, name: str, input: Mapping[str, Any] | None = None, *, key: str | None = None, queue: str | None = None,
        priority: str | None = None, delay: Duration | None = None, at: datetime | None = None,
        tags: Mapping[str, str] | None = None, hold: Duration | None = None, debounce: Duration | None = None,
        throttle: Duration | None = None, timeout: Duration | None = None, retry: RetryPolicy | None = None,
        slot: str | None = None,
    ) -> Handle[Any]:  # fmt: skip
        options = starting.Options(
            key=key, queue=queue, priority=priority, delay=delay, at=at, tags=tags, hold=hold, debounce=debounce,
            throttle=throttle, timeout=timeout, retry=retry, slot=slot,
        )  # fmt: skip
        return await self._drive(starting.start(starting.named(name, input, options)))

    async def enqueue_many(self, requests: Iterable[Request], *, wake: bool = True) -> list[Handle[Any]]:
        return await self._drive(starting.start_many(requests, wake))

    async def emit(
        self, name: str, payload: Any = None, *, key: EventKey | None = None, id: str | None = None
    ) -> Handle[Any]:
        return await self._drive(starting.emit(name, payload, key, id))

    async def signal(self, run: Handle[Any] | int | Key, name: str, payload: Any = None) -> None:
        await self._drive(run_verbs.signal(run, name, payload))

    async def result(self, handle: Handle[R] | int, *, timeout: float | None = None) -> R:
        task_id = id_of(handle)
        found = await self._drive(run_verbs.result(task_id, timeout, time.monotonic))
        known = self._tasks.get((await self.show(task_id))["name"]) if self._tasks else None
        return found if known is None else known.signature.decode_result(found)  # type: ignore[no-any-return]

    async def cancel(self, *task_ids: int, force: bool = False) -> list[int]:
        return await self._drive(run_verbs.cancel(task_ids, force))

    async def pause(self, *runs: Handle[Any] | int) -> list[int]:
        return await self._drive(run_verbs.steer(runs, "pause"))

    async def resume(self, *runs: Handle[Any] | int) -> list[int]:
        return await self._drive(run_verbs.steer(runs, "resume"))

    async def redrive(self, *task_ids: int) -> list[int]:
        return await self._drive(run_verbs.redrive(task_ids))

    async def redrive_where(self, *, name: str | None = None, queue: str | None = None, limit: int = 1000) -> list[int]:
        return await self._drive(run_verbs.redrive_where(name, queue, limit))

    async def rerun(
        self,
        run: Handle[Any] | int,
        *,
        from_node: str | Sequence[str] | None = None,
        whole: bool = False,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        nodes = [from_node] if isinstance(from_node, str) else None if from_node is None else list(from_node)
        asked = {"from_node": nodes, "whole": whole, "version": version, "set": set, "input": input}
        return await self._drive(starting.again(id_of(run), "rerun", asked))

    async def fork(
        self,
        run: Handle[Any] | int,
        *,
        from_step: str,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        asked = {"from_step": from_step, "version": version, "set": set, "input": input}
        return await self._drive(starting.again(id_of(run), "fork", asked))

    async def state(self, run: Handle[Any] | int) -> dict[str, Any] | None:
        return await self._drive(run_verbs.state(run))

    async def standing(self, run: Handle[Any] | int) -> list[Standing]:
        return await self._drive(run_verbs.stands(run))

    async def graph(self, run: Handle[Any] | int) -> dict[str, Any]:
        return await self._drive(run_verbs.get(f"/runs/{id_of(run)}/graph"))

    async def compare(self, old: Handle[Any] | int, new: Handle[Any] | int) -> dict[str, Any]:
        return await self._drive(run_verbs.get(f"/runs/{id_of(old)}/diff", **{"with": id_of(new)}))

    async def show(self, task_id: int) -> Mapping[str, Any]:
        return await self._drive(run_verbs.show(task_id))

    async def history(self, task_id: int, *, task: int | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        return await self._drive(run_verbs.history(task_id, task, limit))

    async def runs(
        self, *, workflow: str | None = None, state: State | str | None = None, queue: str | None = None,
        key: str | None = None, tags: Mapping[str, str] | None = None, since: datetime | None = None,
        until: datetime | None = None, order: str = "newest", after: str | None = None, limit: int = 50,
    ) -> RunPage:  # fmt: skip
        return await self._drive(
            run_verbs.runs(workflow, state, queue, key, tags, since, until, order, after, limit)
        )  # fmt: skip

    async def tasks(
        self, *, roots_only: bool = False, state: State | str | None = None, name: str | None = None,
        queue: str | None = None, run_id: int | None = None, before: int | None = None, limit: int = 50,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return await self._drive(
            run_verbs.tasks(run_id, before, limit, state=state, name=name, queue=queue, roots_only=roots_only or None)
        )

    async def events(
        self, *, run: Handle[Any] | int | None = None, types: Sequence[str] | None = None,
        workflows: Sequence[str] | None = None, after: Cursor | str | None = None,
    ) -> AsyncIterator[Event]:  # fmt: skip
        following = Following(None if run is None else id_of(run), types, workflows, after)
        while True:
            ended: Lost | Answer | None = None
            async with streamed_async(self._http, self._place, following.headers, following.params) as response:
                if isinstance(response, (Lost, Answer)):
                    ended = response
                else:
                    with suppress(httpx.TransportError):
                        async for line in response.aiter_lines():
                            event = following.line(line)
                            if event is not None:
                                yield event
            await asyncio.sleep(following.lost(ended))

    async def queues(self) -> list[dict[str, Any]]:
        return await self._drive(control_verbs.listed("/queues"))

    async def workers(self) -> list[dict[str, Any]]:
        return await self._drive(control_verbs.listed("/workers", ended=True))

    async def pause_queue(self, name: str) -> None:
        await self._drive(control_verbs.queue(name, "pause"))

    async def resume_queue(self, name: str) -> bool:
        return await self._drive(control_verbs.resume_queue(name))

    async def limit_queue(self, name: str, limit: Limit) -> None:
        await self._drive(control_verbs.limit(name, limit))

    async def lift_limit(self, name: str) -> bool:
        return await self._drive(control_verbs.lift_limit(name))

    async def limits(self) -> list[dict[str, Any]]:
        return await self._drive(control_verbs.listed("/limits"))

    async def age_queue(self, name: str, every: float | None) -> None:
        await self._drive(control_verbs.age(name, every))

    @property
    def schedules(self) -> AsyncRemoteSchedules:
        """What the clock starts."""
        return AsyncRemoteSchedules(self._drive)

    @property
    def triggers(self) -> AsyncRemoteTriggers:
        """What HTTP requests and application events start."""
        return AsyncRemoteTriggers(self._drive)

    @property
    def subscriptions(self) -> AsyncRemoteSubscriptions:
        """Who is told of events."""
        return AsyncRemoteSubscriptions(self._drive)

    @property
    def secrets(self) -> AsyncRemoteSecrets:
        """What only tasks may know."""
        return AsyncRemoteSecrets(self._drive)

    @property
    def approvals(self) -> AsyncRemoteApprovals:
        """What people are asked to decide."""
        return AsyncRemoteApprovals(self._drive)

    @property
    def table_triggers(self) -> AsyncRemoteTableTriggers:
        """What changes of tables start."""
        return AsyncRemoteTableTriggers(self._drive)

    @property
    def bulk(self) -> AsyncRemoteBulks:
        """Many runs changed at once."""
        return AsyncRemoteBulks(self._drive)


document_like(AsyncRemoteClient, RemoteClient)
