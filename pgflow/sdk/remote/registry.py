"""Schedules, triggers and approvals over HTTP: as the documents that the API has of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pgflow.sdk.remote import control_verbs
from pgflow.sdk.remote.exchange import Exchange
from pgflow.sdk.remote.rows import Row, row, rows
from pgflow.sdk.remote.run_verbs import get, name_in_path, send

Documents = list[Row]


def _get(path: str) -> Exchange[Row]:
    return row((yield from get(path)))


def _put(path: str, fields: Mapping[str, Any]) -> Exchange[Row]:
    return row((yield from send("PUT", path, dict(fields))))


def _each(path: str, names: tuple[str, ...], verb: str) -> Exchange[list[str]]:
    done = []
    for name in names:
        found = yield from send("POST", f"{path}/{name_in_path(name)}/{verb}")
        if found["changed"]:
            done.append(name)
    return done


def _remove(path: str, names: tuple[str, ...]) -> Exchange[list[str]]:
    for name in names:
        yield from send("DELETE", f"{path}/{name_in_path(name)}")
    return list(names)


def _approvals(state: str, run: int | None, workflow: str | None, limit: int) -> Exchange[Documents]:
    found = yield from get("/approvals", state=state, run=run, workflow=workflow, limit=limit)
    return rows(found["items"])


def _decide(id: int, approved: bool, form: Mapping[str, Any] | None, comment: str | None) -> Exchange[Row]:
    body = {"approved": approved, "form": None if form is None else dict(form), "comment": comment}
    return row((yield from send("POST", f"/approvals/{id}/decide", body)))


class RemoteNamed:
    """What is known by its name: `client.schedules`, `client.triggers`."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any], path: str) -> None:
        self._drive, self._path = drive, path

    def put(self, name: str, /, **fields: Any) -> Row:
        """Create or replace one; the fields are those of the API's document, as in `task="report", cron="@daily"`."""
        return self._drive(_put(f"{self._path}/{name_in_path(name)}", fields))  # type: ignore[no-any-return]

    def list(self) -> Documents:
        """All, by name."""
        return self._drive(control_verbs.listed(self._path))  # type: ignore[no-any-return]

    def get(self, name: str) -> Row:
        """One, or NotFound."""
        return self._drive(_get(f"{self._path}/{name_in_path(name)}"))  # type: ignore[no-any-return]

    def pause(self, *names: str) -> list[str]:  # type: ignore[valid-type]
        """Let these start nothing. Returns those that were not paused before."""
        return self._drive(_each(self._path, names, "pause"))  # type: ignore[no-any-return]

    def resume(self, *names: str) -> list[str]:  # type: ignore[valid-type]
        """Let these start again. Returns those that were paused."""
        return self._drive(_each(self._path, names, "resume"))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> list[str]:  # type: ignore[valid-type]
        """Remove these."""
        return self._drive(_remove(self._path, names))  # type: ignore[no-any-return]


class AsyncRemoteNamed:
    """`RemoteNamed`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]], path: str) -> None:
        self._drive, self._path = drive, path

    async def put(self, name: str, /, **fields: Any) -> Row:
        return await self._drive(_put(f"{self._path}/{name_in_path(name)}", fields))  # type: ignore[no-any-return]

    async def list(self) -> Documents:
        return await self._drive(control_verbs.listed(self._path))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Row:
        return await self._drive(_get(f"{self._path}/{name_in_path(name)}"))  # type: ignore[no-any-return]

    async def pause(self, *names: str) -> list[str]:  # type: ignore[valid-type]
        return await self._drive(_each(self._path, names, "pause"))  # type: ignore[no-any-return]

    async def resume(self, *names: str) -> list[str]:  # type: ignore[valid-type]
        return await self._drive(_each(self._path, names, "resume"))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> list[str]:  # type: ignore[valid-type]
        return await self._drive(_remove(self._path, names))  # type: ignore[no-any-return]


class RemoteApprovals:
    """`client.approvals`."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def list(
        self, *, state: str = "pending", run: int | None = None, workflow: str | None = None, limit: int = 50
    ) -> Documents:
        """What people are asked to decide, newest first; `all`: also what was."""
        return self._drive(_approvals(state, run, workflow, limit))  # type: ignore[no-any-return]

    def get(self, id: int) -> Row:
        """One, with its form; or NotFound."""
        return self._drive(_get(f"/approvals/{id}"))  # type: ignore[no-any-return]

    def decide(
        self, id: int, approved: bool, *, form: Mapping[str, Any] | None = None, comment: str | None = None
    ) -> Row:
        """Decide it, in the name of whose token it is."""
        return self._drive(_decide(id, approved, form, comment))  # type: ignore[no-any-return]


class AsyncRemoteApprovals:
    """`RemoteApprovals`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def list(
        self, *, state: str = "pending", run: int | None = None, workflow: str | None = None, limit: int = 50
    ) -> Documents:
        return await self._drive(_approvals(state, run, workflow, limit))  # type: ignore[no-any-return]

    async def get(self, id: int) -> Row:
        return await self._drive(_get(f"/approvals/{id}"))  # type: ignore[no-any-return]

    async def decide(
        self, id: int, approved: bool, *, form: Mapping[str, Any] | None = None, comment: str | None = None
    ) -> Row:
        return await self._drive(_decide(id, approved, form, comment))  # type: ignore[no-any-return]


for _ours, _theirs in ((AsyncRemoteNamed, RemoteNamed), (AsyncRemoteApprovals, RemoteApprovals)):
    for _name, _method in vars(_ours).items():
        if not _name.startswith("_"):
            _method.__doc__ = getattr(_theirs, _name).__doc__
