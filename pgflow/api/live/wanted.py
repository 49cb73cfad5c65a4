"""Which events somebody asks for, and which of those they may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from pgflow.access import Principal
from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.models import Fault, Id, Many, Name, Query
from pgflow.api.problems import ProblemError
from pgflow.api.visible import visible
from pgflow.engine.events import Cursor, Event, Filter, filter_of
from pgflow.errors import ArgumentError

MOST = 50
"""Names of workflows or types in one filter."""


class Wanted(Query):
    """Which events."""

    run: Id | None = Field(default=None, description="Only those of this run.")
    workflow: Many[Name] | None = Field(
        default=None, max_length=MOST, description="Only those of runs of these workflows or tasks."
    )
    type: Many[str] | None = Field(
        default=None, max_length=MOST, description="Only those of these types; `workflow.*` for all that begin so."
    )


@dataclass(frozen=True, slots=True)
class Seen(Filter):
    """A filter that also lets through only what somebody may see.

    Args:
        who: asks.
    """

    who: Principal | None = None

    def fits(self, event: Event) -> bool:
        """Whether it is asked for, and may be seen."""
        return Filter.fits(self, event) and (self.who is None or self.who.reaches(workflow=event.workflow))


async def filter_for(backend: Backend, asked: Asked, wanted: Wanted) -> Filter:
    """The filter.

    Who is limited to workflows sees their events. A queue is not known of an event: who is limited to queues has to
    name a run of theirs.

    Raises:
        ProblemError: no type is called so; a workflow is not theirs to see, or there is no such run.
    """
    for name in wanted.workflow or ():
        asked.require(workflow=name)
    chosen = _chosen(wanted.run, wanted.type, wanted.workflow)
    if wanted.run is not None:
        await visible(backend, asked, wanted.run)
        return chosen
    if not asked.scoped:
        return chosen
    return Seen(chosen.run, chosen.types, chosen.workflows, asked.who)


def _chosen(run: int | None, types: Sequence[str] | None, workflows: Sequence[str] | None) -> Filter:
    try:
        return filter_of(run=run, types=types, workflows=workflows)
    except ArgumentError as error:
        raise _invalid("query.type", error) from None


def cursor_of(text: str, where: str = "query.after") -> Cursor:
    """The cursor that is written so, or the problem with it."""
    try:
        return Cursor.parse(text)
    except ArgumentError as error:
        raise _invalid(where, error) from None


def _invalid(where: str, error: ArgumentError) -> ProblemError:
    fault = Fault(path=where, message=error.message, hint=error.hint)
    return ProblemError("invalid", f"{where}: {error.message}", hint=error.hint, errors=[fault])
