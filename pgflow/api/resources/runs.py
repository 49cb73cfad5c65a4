"""Runs: started, listed, looked at."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.cursor import packed, unpacked
from pgflow.api.models import Id, Instant, Key, Limit, Many, Model, Name, Page, Query, QueueName, StateWord, row
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.api.start_request import Started, StartRun
from pgflow.api.starting import key_of, start, start_plainly
from pgflow.api.visible import visible
from pgflow.engine import run_list
from pgflow.engine.run_list import Bounds, Position, Wanted
from pgflow.engine.runs import MAX_ID
from pgflow.model import State
from pgflow.sdk import verbs

TagPair = Annotated[str, StringConstraints(pattern=r"^[^=\x00]{1,200}=[^\x00]{0,1000}$")]


class Run(Model):
    """A run: what was asked for, and where it is."""

    id: Id
    name: str = Field(description="The workflow or task.")
    queue: str
    priority: str
    state: StateWord
    attempt: int
    crashes: int | None
    key: str | None
    tags: dict[str, Any] | None
    actor: str | None = Field(description="Who asked.")
    created_at: Instant
    due_at: Instant | None
    claimed_at: Instant | None
    finished_at: Instant | None


class WholeRun(Run):
    """A run with what it was given and what became of it."""

    worker_id: Id | None
    lease_expires_at: Instant | None
    input: Any
    output: Any
    error: Any
    retry: Any = Field(description="Its own retry policy; null: its task's.")
    timeout: float | None = Field(description="Seconds that an attempt may take.")


class RunQuery(Query):
    """Which runs. All filters can be put together."""

    workflow: Name | None = Field(default=None, description="The workflow or task.")
    state: State | None = None
    queue: QueueName | None = None
    key: Key | None = None
    tag: Many[TagPair] = Field(
        default_factory=list, max_length=10, description="As in `customer=17`; given several times: all of them."
    )
    since: Instant | None = Field(default=None, description="Asked for then or later; in the order `finished`: ended.")
    until: Instant | None = Field(default=None, description="Asked for before then; in the order `finished`: ended.")
    order: Literal["newest", "finished"] = Field(
        default="newest", description="The newest first, or of those that have ended the last to end first."
    )
    after: str | None = Field(
        default=None, max_length=100, pattern=r"^[A-Za-z0-9_=-]*$", description="`next` of the page before."
    )
    limit: Limit = 50


class Runs:
    """`/api/v1/runs` and `/api/v1/runs/{id}`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List runs")
    async def on_get(self, asked: Asked, query: RunQuery) -> Page[Run]:
        """A page looks at a thousand runs at most, and may so hold fewer than asked for, even none, while there
        is a next one: what counts is `next`."""
        wanted = Wanted(
            query.workflow, query.state, query.queue, query.key, _tags(query.tag), query.since, query.until,
            asked.who.likes("workflow") if asked.who else None, asked.who.likes("queue") if asked.who else None,
        )  # fmt: skip
        position = _position(query.after)
        if query.order == "finished":
            listing = await self._backend.run(run_list.last_finished(wanted, position, query.limit))
        else:
            within = Bounds(0, MAX_ID)
            if query.since is not None or query.until is not None:
                within = await self._backend.run(run_list.bounds(wanted))
            listing = await self._backend.run(run_list.newest(wanted, position, within, query.limit))
        following = None
        if listing.next is not None:
            following = packed(listing.next.id, listing.next.at)
        return Page(items=[row(Run, one) for one in listing.runs], next=following)

    @operation(
        "Start a run", status=201, statuses={200: "The key was taken: this is the run that has it."},
        changes="run.start", quick="plainly", held="held", problems=("key_reused", "not_found"),
        headers={"Idempotency-Key": "Starts at most one: asking again with the key gives the first one."},
    )  # fmt: skip
    async def on_post(self, change: Change, body: StartRun) -> Reply[Started]:
        """Of a workflow or of a task, by its name."""
        return await start(change, self._backend.tasks, body)

    async def plainly(self, asked: Asked, body: StartRun) -> Reply[Started] | None:
        """Most runs are started with nothing but an input: one round trip."""
        return await start_plainly(asked, self._backend, body)

    def held(self, asked: Asked, body: StartRun) -> AbstractAsyncContextManager[None]:
        """The key, if there is one."""
        return self._backend.held(body.name, key_of(asked, body))

    @operation("Look at a run")
    async def on_get_one(self, asked: Asked, id: Id) -> WholeRun:
        """With its input, and its output or error."""
        await visible(self._backend, asked, id)
        return row(WholeRun, await self._backend.drive(verbs.show(id)))


def _tags(pairs: list[str]) -> dict[str, str] | None:
    return dict(pair.split("=", 1) for pair in pairs) or None


def _position(text: str | None) -> Position:
    if not text:
        return Position()
    try:
        return Position(*unpacked(text))
    except ValueError:
        raise ProblemError("invalid", "query.after: it is not what `next` was", hint="leave it out to begin") from None
