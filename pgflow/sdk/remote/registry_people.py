"""Subscriptions, approvals and secrets over HTTP: the verbs of `Client`, with the documents of the API as answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from pgflow.model import State
from pgflow.sdk.colours import document_like
from pgflow.sdk.registry.subscriptions import Wanted
from pgflow.sdk.remote.control_verbs import listed
from pgflow.sdk.remote.documents import plain
from pgflow.sdk.remote.exchange import Exchange
from pgflow.sdk.remote.exchanges import Documents, changed, each, handle, one, removed
from pgflow.sdk.remote.rows import Row, row
from pgflow.sdk.remote.run_verbs import name_in_path, paged, send
from pgflow.sdk.verbs import Handle


def _deliveries(
    name: str, state: State | str | None, since: datetime | None, limit: int, before: Row | None
) -> Exchange[list[Row]]:
    path = f"/subscriptions/{name_in_path(name)}/deliveries"
    after = None if before is None else before["cursor"]
    if before is not None and after is None:
        return []
    return (yield from paged(path, after, limit, cursor=True, state=state, since=since and since.isoformat()))


def _redeliver(name: str, deliveries: Sequence[int], since: datetime | None, again: bool) -> Exchange[list[int]]:
    body = plain({"deliveries": list(deliveries) or None, "since": since, "again": again or None})
    found = yield from send("POST", f"/subscriptions/{name_in_path(name)}/redeliver", body)
    return [int(id) for id in found["items"]]


def _set(name: str, value: str) -> Exchange[int]:
    found = yield from send("PUT", f"/secrets/{name_in_path(name)}", {"value": value})
    return int(found["version"])


def _approvals(
    state: str | None, assignee: str | Sequence[str] | None, run: int | None, workflow: str | None,
    before: int | None, limit: int,
) -> Exchange[list[Row]]:  # fmt: skip
    who = [assignee] if isinstance(assignee, str) else list(assignee or ())
    return (
        yield from paged(
            "/approvals", before, limit, cursor=True, state=state or "all", assignee=who, run=run, workflow=workflow
        )
    )


def _decide(
    id: int, approved: bool, form: Mapping[str, Any] | None, comment: str | None, actor: str | None,
    groups: Sequence[str],
) -> Exchange[Row]:  # fmt: skip
    names = [name for name in (actor, *groups) if name]
    body = plain({"form": form, "comment": comment, "on_behalf": names or None}) | {"approved": approved}
    return row((yield from send("POST", f"/approvals/{id}/decide", body)))


class RemoteSubscriptions:
    """`client.subscriptions`: who is told of events."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def create(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> Row:
        """Make a new one; or NameTaken."""
        return self._drive(changed("POST", "/subscriptions", {"name": name, "url": url, **plain(wanted)}))  # type: ignore[no-any-return]

    def put(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> Row:
        """Make or change one."""
        return self._drive(changed("PUT", f"/subscriptions/{name_in_path(name)}", {"url": url, **plain(wanted)}))  # type: ignore[no-any-return]

    def list(self) -> Documents:
        """All, by name."""
        return self._drive(listed("/subscriptions"))  # type: ignore[no-any-return]

    def get(self, name: str) -> Row:
        """One, or NotFound."""
        return self._drive(one(f"/subscriptions/{name_in_path(name)}"))  # type: ignore[no-any-return]

    def enable(self, *names: str) -> Sequence[str]:
        """Tell these of what happens again. Returns those that were disabled."""
        return self._drive(each("/subscriptions", names, "enable"))  # type: ignore[no-any-return]

    def disable(self, *names: str, why: str = "disabled by hand") -> Sequence[str]:
        """Tell these of nothing more. Returns those that were enabled."""
        return self._drive(each("/subscriptions", names, "disable", {"why": why}))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these."""
        return self._drive(removed("/subscriptions", names))  # type: ignore[no-any-return]

    def deliveries(
        self,
        name: str,
        *,
        state: State | str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        before: Row | None = None,
    ) -> Documents:
        """What became of each event, the newest first; `before` takes the last of the page before."""
        return self._drive(_deliveries(name, state, since, limit, before))  # type: ignore[no-any-return]

    def redeliver(
        self, name: str, *deliveries: int, since: datetime | None = None, again: bool = False
    ) -> Sequence[int]:
        """Deliver some once more, or all since an instant. Returns the tasks that do it, 500 at most."""
        return self._drive(_redeliver(name, deliveries, since, again))  # type: ignore[no-any-return]

    def test(self, name: str) -> Handle[Any]:
        """Send a made-up event. The task that does it tells in its result what came back."""
        return self._drive(handle(f"/subscriptions/{name_in_path(name)}/test", "delivery"))  # type: ignore[no-any-return]


class AsyncRemoteSubscriptions:
    """`RemoteSubscriptions`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def create(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> Row:
        return await self._drive(changed("POST", "/subscriptions", {"name": name, "url": url, **plain(wanted)}))  # type: ignore[no-any-return]

    async def put(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> Row:
        return await self._drive(changed("PUT", f"/subscriptions/{name_in_path(name)}", {"url": url, **plain(wanted)}))  # type: ignore[no-any-return]

    async def list(self) -> Documents:
        return await self._drive(listed("/subscriptions"))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Row:
        return await self._drive(one(f"/subscriptions/{name_in_path(name)}"))  # type: ignore[no-any-return]

    async def enable(self, *names: str) -> Sequence[str]:
        return await self._drive(each("/subscriptions", names, "enable"))  # type: ignore[no-any-return]

    async def disable(self, *names: str, why: str = "disabled by hand") -> Sequence[str]:
        return await self._drive(each("/subscriptions", names, "disable", {"why": why}))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(removed("/subscriptions", names))  # type: ignore[no-any-return]

    async def deliveries(
        self,
        name: str,
        *,
        state: State | str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        before: Row | None = None,
    ) -> Documents:
        return await self._drive(_deliveries(name, state, since, limit, before))  # type: ignore[no-any-return]

    async def redeliver(
        self, name: str, *deliveries: int, since: datetime | None = None, again: bool = False
    ) -> Sequence[int]:
        return await self._drive(_redeliver(name, deliveries, since, again))  # type: ignore[no-any-return]

    async def test(self, name: str) -> Handle[Any]:
        return await self._drive(handle(f"/subscriptions/{name_in_path(name)}/test", "delivery"))  # type: ignore[no-any-return]


class RemoteSecrets:
    """`client.secrets`: what only tasks may know."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def set(self, name: str, value: str) -> int:
        """Store one. Returns its version."""
        return self._drive(_set(name, value))  # type: ignore[no-any-return]

    def list(self) -> Documents:
        """All that are stored, by name. No verb gives a value."""
        return self._drive(listed("/secrets"))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these."""
        return self._drive(removed("/secrets", names))  # type: ignore[no-any-return]

    def rotate(self) -> Row:
        """Seal all with the newest key that the API process has."""
        return self._drive(changed("POST", "/secrets/rotate"))  # type: ignore[no-any-return]

    def check(self) -> Documents:
        """Which of them the API process can open."""
        return self._drive(listed("/secrets/check"))  # type: ignore[no-any-return]


class AsyncRemoteSecrets:
    """`RemoteSecrets`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def set(self, name: str, value: str) -> int:
        return await self._drive(_set(name, value))  # type: ignore[no-any-return]

    async def list(self) -> Documents:
        return await self._drive(listed("/secrets"))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(removed("/secrets", names))  # type: ignore[no-any-return]

    async def rotate(self) -> Row:
        return await self._drive(changed("POST", "/secrets/rotate"))  # type: ignore[no-any-return]

    async def check(self) -> Documents:
        return await self._drive(listed("/secrets/check"))  # type: ignore[no-any-return]


class RemoteApprovals:
    """`client.approvals`: what people are asked to decide."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def list(
        self,
        *,
        state: str | None = "pending",
        assignee: str | Sequence[str] | None = None,
        run: int | None = None,
        workflow: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Documents:
        """What people are asked to decide, newest first. See `Client.approvals.list`."""
        return self._drive(_approvals(state, assignee, run, workflow, before, limit))  # type: ignore[no-any-return]

    def get(self, id: int) -> Row:
        """One, with its form; or NotFound."""
        return self._drive(one(f"/approvals/{id}"))  # type: ignore[no-any-return]

    def decide(
        self,
        id: int,
        approved: bool,
        *,
        form: Mapping[str, Any] | None = None,
        comment: str | None = None,
        actor: str | None = None,
        groups: Sequence[str] = (),
    ) -> Row:
        """Decide it, in the name of whose token it is.

        Args:
            id: the question.
            approved: approve, or reject.
            form: what was filled in.
            comment: for whoever reads it.
            actor: on whose behalf it is decided. Only an admin may say so, and the audit has both.
            groups: what else they go by, when a group is asked.
        """
        return self._drive(_decide(id, approved, form, comment, actor, groups))  # type: ignore[no-any-return]


class AsyncRemoteApprovals:
    """`RemoteApprovals`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def list(
        self,
        *,
        state: str | None = "pending",
        assignee: str | Sequence[str] | None = None,
        run: int | None = None,
        workflow: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Documents:
        return await self._drive(_approvals(state, assignee, run, workflow, before, limit))  # type: ignore[no-any-return]

    async def get(self, id: int) -> Row:
        return await self._drive(one(f"/approvals/{id}"))  # type: ignore[no-any-return]

    async def decide(
        self,
        id: int,
        approved: bool,
        *,
        form: Mapping[str, Any] | None = None,
        comment: str | None = None,
        actor: str | None = None,
        groups: Sequence[str] = (),
    ) -> Row:
        return await self._drive(_decide(id, approved, form, comment, actor, groups))  # type: ignore[no-any-return]


document_like(AsyncRemoteSubscriptions, RemoteSubscriptions)
document_like(AsyncRemoteSecrets, RemoteSecrets)
document_like(AsyncRemoteApprovals, RemoteApprovals)
