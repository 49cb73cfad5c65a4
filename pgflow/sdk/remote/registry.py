"""Schedules, triggers and table triggers over HTTP: the verbs of `Client`, with the documents of the API as answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Unpack

from pgflow.sdk.colours import document_like
from pgflow.sdk.registry.schedules import Timing
from pgflow.sdk.registry.table_triggers import Change
from pgflow.sdk.registry.triggers import When
from pgflow.sdk.remote.control_verbs import listed
from pgflow.sdk.remote.documents import target
from pgflow.sdk.remote.exchange import Exchange
from pgflow.sdk.remote.exchanges import Documents, changed, each, handle, one, removed
from pgflow.sdk.remote.rows import Row, instant, rows
from pgflow.sdk.remote.run_verbs import get, name_in_path, send
from pgflow.sdk.task import Task
from pgflow.sdk.verbs import Handle


def _next(name: str, count: int) -> Exchange[list[datetime]]:
    found = yield from get(f"/schedules/{name_in_path(name)}/next", count=count)
    return [at for text in found["items"] if (at := instant(text)) is not None]


def _firings(name: str, limit: int, before: datetime | None) -> Exchange[list[Row]]:
    after = None if before is None else before.isoformat()
    found = yield from get(f"/schedules/{name_in_path(name)}/firings", limit=limit, after=after)
    return rows(found["items"])


def _backfill(name: str, start: datetime, end: datetime) -> Exchange[Handle[Any]]:
    return (yield from handle(f"/schedules/{name_in_path(name)}/backfill", "id", {"start": start, "end": end}))


def _rotate(name: str, secret: str, keep: int) -> Exchange[list[str]]:
    found = yield from send("POST", f"/triggers/{name_in_path(name)}/rotate", {"secret": secret, "keep": keep})
    return list(found["secrets"])


class RemoteSchedules:
    """`client.schedules`: what the clock starts."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def create(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> Row:
        """Make a new one, which fires from now on; or NameTaken."""
        return self._drive(changed("POST", "/schedules", {"name": name, **target(task, timing)}))  # type: ignore[no-any-return]

    def put(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> Row:
        """Make or change one."""
        return self._drive(changed("PUT", f"/schedules/{name_in_path(name)}", target(task, timing)))  # type: ignore[no-any-return]

    def list(self) -> Documents:
        """All, by name."""
        return self._drive(listed("/schedules"))  # type: ignore[no-any-return]

    def get(self, name: str) -> Row:
        """One, or NotFound."""
        return self._drive(one(f"/schedules/{name_in_path(name)}"))  # type: ignore[no-any-return]

    def next(self, name: str, count: int = 5) -> Sequence[datetime]:
        """The next instants that it fires at."""
        return self._drive(_next(name, count))  # type: ignore[no-any-return]

    def pause(self, *names: str) -> Sequence[str]:
        """Let these fire no more. Returns those that were not paused before."""
        return self._drive(each("/schedules", names, "pause"))  # type: ignore[no-any-return]

    def resume(self, *names: str) -> Sequence[str]:
        """Let these fire again, from now on. Returns those that were paused."""
        return self._drive(each("/schedules", names, "resume"))  # type: ignore[no-any-return]

    def trigger(self, name: str) -> Handle[Any]:
        """Start its run now."""
        return self._drive(handle(f"/schedules/{name_in_path(name)}/trigger", "run"))  # type: ignore[no-any-return]

    def backfill(self, name: str, start: datetime, end: datetime) -> Handle[Any]:
        """Start the run of each instant in between that never had one. Returns the run that does it."""
        return self._drive(_backfill(name, start, end))  # type: ignore[no-any-return]

    def firings(self, name: str, *, limit: int = 20, before: datetime | None = None) -> Documents:
        """What became of its instants, the newest first."""
        return self._drive(_firings(name, limit, before))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these. What they have started goes on."""
        return self._drive(removed("/schedules", names))  # type: ignore[no-any-return]


class AsyncRemoteSchedules:
    """`RemoteSchedules`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def create(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> Row:
        return await self._drive(changed("POST", "/schedules", {"name": name, **target(task, timing)}))  # type: ignore[no-any-return]

    async def put(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> Row:
        return await self._drive(changed("PUT", f"/schedules/{name_in_path(name)}", target(task, timing)))  # type: ignore[no-any-return]

    async def list(self) -> Documents:
        return await self._drive(listed("/schedules"))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Row:
        return await self._drive(one(f"/schedules/{name_in_path(name)}"))  # type: ignore[no-any-return]

    async def next(self, name: str, count: int = 5) -> Sequence[datetime]:
        return await self._drive(_next(name, count))  # type: ignore[no-any-return]

    async def pause(self, *names: str) -> Sequence[str]:
        return await self._drive(each("/schedules", names, "pause"))  # type: ignore[no-any-return]

    async def resume(self, *names: str) -> Sequence[str]:
        return await self._drive(each("/schedules", names, "resume"))  # type: ignore[no-any-return]

    async def trigger(self, name: str) -> Handle[Any]:
        return await self._drive(handle(f"/schedules/{name_in_path(name)}/trigger", "run"))  # type: ignore[no-any-return]

    async def backfill(self, name: str, start: datetime, end: datetime) -> Handle[Any]:
        return await self._drive(_backfill(name, start, end))  # type: ignore[no-any-return]

    async def firings(self, name: str, *, limit: int = 20, before: datetime | None = None) -> Documents:
        return await self._drive(_firings(name, limit, before))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(removed("/schedules", names))  # type: ignore[no-any-return]


class RemoteTriggers:
    """`client.triggers`: what HTTP requests and application events start."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def create(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> Row:
        """Make a new one; or NameTaken."""
        return self._drive(changed("POST", "/triggers", {"name": name, **target(task, when)}))  # type: ignore[no-any-return]

    def put(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> Row:
        """Make or change one."""
        return self._drive(changed("PUT", f"/triggers/{name_in_path(name)}", target(task, when)))  # type: ignore[no-any-return]

    def list(self, kind: str | None = None) -> Documents:
        """All, by name; of a kind: `webhook` or `event`."""
        return self._drive(listed("/triggers", kind=kind))  # type: ignore[no-any-return]

    def get(self, name: str) -> Row:
        """One, or NotFound."""
        return self._drive(one(f"/triggers/{name_in_path(name)}"))  # type: ignore[no-any-return]

    def pause(self, *names: str) -> Sequence[str]:
        """Let these start nothing. Returns those that were not paused before."""
        return self._drive(each("/triggers", names, "pause"))  # type: ignore[no-any-return]

    def resume(self, *names: str) -> Sequence[str]:
        """Let these start runs again. Returns those that were paused."""
        return self._drive(each("/triggers", names, "resume"))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these."""
        return self._drive(removed("/triggers", names))  # type: ignore[no-any-return]

    def rotate(self, name: str, secret: str, *, keep: int = 1) -> Sequence[str]:
        """Let another secret sign, beside so many of those before. Returns the names of all that may."""
        return self._drive(_rotate(name, secret, keep))  # type: ignore[no-any-return]


class AsyncRemoteTriggers:
    """`RemoteTriggers`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def create(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> Row:
        return await self._drive(changed("POST", "/triggers", {"name": name, **target(task, when)}))  # type: ignore[no-any-return]

    async def put(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> Row:
        return await self._drive(changed("PUT", f"/triggers/{name_in_path(name)}", target(task, when)))  # type: ignore[no-any-return]

    async def list(self, kind: str | None = None) -> Documents:
        return await self._drive(listed("/triggers", kind=kind))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Row:
        return await self._drive(one(f"/triggers/{name_in_path(name)}"))  # type: ignore[no-any-return]

    async def pause(self, *names: str) -> Sequence[str]:
        return await self._drive(each("/triggers", names, "pause"))  # type: ignore[no-any-return]

    async def resume(self, *names: str) -> Sequence[str]:
        return await self._drive(each("/triggers", names, "resume"))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(removed("/triggers", names))  # type: ignore[no-any-return]

    async def rotate(self, name: str, secret: str, *, keep: int = 1) -> Sequence[str]:
        return await self._drive(_rotate(name, secret, keep))  # type: ignore[no-any-return]


class RemoteTableTriggers:
    """`client.table_triggers`: what changes of tables start."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def install(self, name: str, task: Task[..., Any] | str, /, **change: Unpack[Change]) -> Row:
        """Install one, or change it. The API process needs the right TRIGGER on the table."""
        return self._drive(changed("PUT", f"/table-triggers/{name_in_path(name)}", target(task, change)))  # type: ignore[no-any-return]

    def list(self) -> Documents:
        """All, by name."""
        return self._drive(listed("/table-triggers"))  # type: ignore[no-any-return]

    def get(self, name: str) -> Row:
        """One, or NotFound."""
        return self._drive(one(f"/table-triggers/{name_in_path(name)}"))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these."""
        return self._drive(removed("/table-triggers", names))  # type: ignore[no-any-return]


class AsyncRemoteTableTriggers:
    """`RemoteTableTriggers`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def install(self, name: str, task: Task[..., Any] | str, /, **change: Unpack[Change]) -> Row:
        return await self._drive(changed("PUT", f"/table-triggers/{name_in_path(name)}", target(task, change)))  # type: ignore[no-any-return]

    async def list(self) -> Documents:
        return await self._drive(listed("/table-triggers"))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Row:
        return await self._drive(one(f"/table-triggers/{name_in_path(name)}"))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(removed("/table-triggers", names))  # type: ignore[no-any-return]


document_like(AsyncRemoteSchedules, RemoteSchedules)
document_like(AsyncRemoteTriggers, RemoteTriggers)
document_like(AsyncRemoteTableTriggers, RemoteTableTriggers)
