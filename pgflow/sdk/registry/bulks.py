"""`client.bulk`: the verbs of `pgflow.sdk.registry.bulk`, for both colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pgflow.sdk.colours import document_like
from pgflow.sdk.registry import bulk as verbs
from pgflow.sdk.registry.bulk import RATE, Preview
from pgflow.sdk.run_verbs import id_of
from pgflow.sdk.verbs import Handle, Steps

Shown = Mapping[str, Any]
"""A bulk: `id`, `action`, `of`, `filter`, `state`, `count`, `met`, `changed`, `failed`, `errors`, `progress`, `actor`,
`created_at`, `finished_at`, `undo_until`."""


class Bulks:
    """`client.bulk`: many runs changed at once, in the background, after a look at what would be changed.

    Example:
        >>> seen = client.bulk.preview("cancel", workflow="orders.ship", tags={"customer": "4"})  # doctest: +SKIP
        >>> seen.count, seen.undo                                            # doctest: +SKIP
        >>> run = client.bulk.start(seen, rate=50)                           # doctest: +SKIP
        >>> client.bulk.get(run)["progress"]                                 # doctest: +SKIP
        >>> client.bulk.undo(run)                                            # doctest: +SKIP
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any], actor: str | None) -> None:
        self._drive, self._actor = drive, actor

    def preview(
        self, action: str, *, workflow: str | None = None, queue: str | None = None,
        states: Sequence[str] | None = None, tags: Mapping[str, str] | None = None, since: datetime | None = None,
        until: datetime | None = None, ids: Sequence[int] | None = None,
    ) -> Preview:  # fmt: skip
        """Look at what would be changed: how many exactly, the first of them, and what an undo would do.

        Args:
            action: `cancel`, `pause`, `resume` (runs), `redrive` (tasks, too), `rerun`.
            workflow: only those of this name.
            queue: only those of this queue.
            states: only those in one of these; unless given those that have not ended, of `redrive` and `rerun` those
                that failed.
            tags: only those with all of these.
            since: only those asked for then or later.
            until: only those asked for before then.
            ids: only these.

        Raises:
            ArgumentError: there is no such action, or it cannot be done in such a state.
        """
        asked = _asked(action, self._actor, verbs.which_of(workflow, queue, states, tags, since, until, ids))
        return self._drive(verbs.preview(asked, datetime.now(UTC)))  # type: ignore[no-any-return]

    def start(self, preview: Preview, *, rate: int = RATE) -> Handle[Any]:
        """Do what was looked at, in the background, page by page. Started twice, it is done once.

        What was asked for since the preview is left alone.

        Args:
            preview: of the last 15 minutes.
            rate: how many a second at most.

        Raises:
            ArgumentError: the preview is too old.
            PgflowError: much more fits by now.
        """
        asked = _asked(preview.action, self._actor, preview.which)
        return self._drive(verbs.start(asked, preview.confirmation, rate, datetime.now(UTC)))  # type: ignore[no-any-return]

    def list(self, *, before: int | None = None, limit: int = 20) -> Sequence[Shown]:
        """Bulks, newest first, without the undoings; `before` takes the last id of the previous page."""
        return self._drive(verbs.shown_all(before, limit))  # type: ignore[no-any-return]

    def get(self, id: Handle[Any] | int) -> Shown:
        """How far a bulk, or an undoing, has come.

        Raises:
            NotFound: there is no such bulk.
        """
        return self._drive(verbs.shown_one(id_of(id)))  # type: ignore[no-any-return]

    def cancel(self, id: Handle[Any] | int) -> Shown:
        """End it after the page that it is at. What it has changed stays changed, unless it is undone."""
        return self._drive(verbs.cancelled(id_of(id), actor=self._actor))  # type: ignore[no-any-return]

    def undo(self, id: Handle[Any] | int) -> Handle[Any]:
        """Take back what it has done, as far as it still is so, within 15 minutes of its end. Asked twice, done once.

        What was cancelled is redriven, what was paused resumed, what was resumed paused. Cancelled runs of graphs
        that had begun stay cancelled: `get` counts them as failed, and says so. Re-run them.

        Raises:
            PgflowError: it goes on, it ended too long ago, or it was another action.
        """
        return self._drive(verbs.undo(id_of(id), datetime.now(UTC), actor=self._actor))  # type: ignore[no-any-return]


class AsyncBulks:
    """`Bulks`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]], actor: str | None) -> None:
        self._drive, self._actor = drive, actor

    async def preview(
        self, action: str, *, workflow: str | None = None, queue: str | None = None,
        states: Sequence[str] | None = None, tags: Mapping[str, str] | None = None, since: datetime | None = None,
        until: datetime | None = None, ids: Sequence[int] | None = None,
    ) -> Preview:  # fmt: skip
        asked = _asked(action, self._actor, verbs.which_of(workflow, queue, states, tags, since, until, ids))
        return await self._drive(verbs.preview(asked, datetime.now(UTC)))  # type: ignore[no-any-return]

    async def start(self, preview: Preview, *, rate: int = RATE) -> Handle[Any]:
        asked = _asked(preview.action, self._actor, preview.which)
        return await self._drive(verbs.start(asked, preview.confirmation, rate, datetime.now(UTC)))  # type: ignore[no-any-return]

    async def list(self, *, before: int | None = None, limit: int = 20) -> Sequence[Shown]:
        return await self._drive(verbs.shown_all(before, limit))  # type: ignore[no-any-return]

    async def get(self, id: Handle[Any] | int) -> Shown:
        return await self._drive(verbs.shown_one(id_of(id)))  # type: ignore[no-any-return]

    async def cancel(self, id: Handle[Any] | int) -> Shown:
        return await self._drive(verbs.cancelled(id_of(id), actor=self._actor))  # type: ignore[no-any-return]

    async def undo(self, id: Handle[Any] | int) -> Handle[Any]:
        return await self._drive(verbs.undo(id_of(id), datetime.now(UTC), actor=self._actor))  # type: ignore[no-any-return]


def _asked(action: str, actor: str | None, which: Mapping[str, Any]) -> verbs.Asked:
    return verbs.Asked(action=action, which=which, actor=actor)


document_like(AsyncBulks, Bulks)
