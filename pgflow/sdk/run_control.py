"""What a new run keeps of an old one, how far a graph is, and what differs between two runs: verbs of the clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pgflow.sdk import run_verbs
from pgflow.sdk.colours import document_like
from pgflow.sdk.run_verbs import Asked, Version
from pgflow.sdk.task import Task
from pgflow.sdk.verbs import Handle, Steps

if TYPE_CHECKING:
    from pgflow.sdk.comparing import Comparison
    from pgflow.sdk.graph_state import GraphState


class Runs:
    """These verbs of `Client`."""

    _tasks: Mapping[str, Task[..., Any]]
    _actor: str | None
    _drive: Callable[[Steps[Any]], Any]

    def rerun(
        self,
        run: Handle[Any] | int,
        *,
        from_node: str | Sequence[str] | None = None,
        whole: bool = False,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        """Start a new run like this one: name, input, queue, priority, retry policy, time-out, slot and tags.

        A graph is begun from the nodes that failed, and all others are kept as they are; if none failed, it is begun as
        a whole.

        Args:
            run: the old one, or a task of one.
            from_node: of a graph: the nodes to begin from, in the place of those that failed.
            whole: of a graph: keep nothing.
            version: of a graph: `same`, `newest` or a number; unless given the same if something is kept, else the
                newest.
            set: changes to its input by path, as in `{"input.order.amount": 5}`. Kept nodes keep what they were made
                with.
            input: another input: all arguments by name.

        Raises:
            NotFound: there is no such run, node or version.
            ArgumentError: a path leads nowhere, the arguments do not fit, or what would be kept is not the same in
                that version.
        """
        asked = Asked(None, from_node, whole, version, set, input)
        return self._drive(run_verbs.fork(run, asked, self._tasks, actor=self._actor))  # type: ignore[no-any-return]

    def fork(
        self,
        run: Handle[Any] | int,
        *,
        from_step: str,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        """Start a new run that takes over what this one had recorded before a step, and does that step anew.

        Children that were spawned before and have ended are taken over with their results; what undid the old run
        (`ctx.compensate`) is not.

        Args:
            run: the old one, whatever state it is in; or a workflow in it.
            from_step: what the step is recorded under, as in `charge` or `charge#2`; or a child's name in it. Of a
                graph: a node, as for `rerun`.
            version: of a graph: as for `rerun`.
            set: changes to its input by path, as in `{"input.order.amount": 5}`.
            input: another input: all arguments by name.

        Raises:
            NotFound: there is no such run, or it has recorded no such step.
            ArgumentError: a path leads nowhere, or the arguments do not fit.
        """
        asked = Asked(from_step, version=version, set=set, input=input)
        return self._drive(run_verbs.fork(run, asked, self._tasks, actor=self._actor))  # type: ignore[no-any-return]

    def graph(self, run: Handle[Any] | int) -> GraphState:
        """How far a run of a graph is: its definition, and what became of each node.

        Raises:
            NotFound: there is no such run.
            ArgumentError: it is no run of a graph.
        """
        from pgflow.sdk import graph_verbs

        return self._drive(graph_verbs.graph(run))  # type: ignore[no-any-return]

    def compare(self, old: Handle[Any] | int, new: Handle[Any] | int) -> Comparison:
        """What differs between two runs: what they were given, what they follow, and what became of each node or step.

        Raises:
            NotFound: there is no such run.
        """
        from pgflow.sdk import comparing_verbs

        return self._drive(comparing_verbs.compare(old, new))  # type: ignore[no-any-return]


class AsyncRuns:
    """These verbs of `AsyncClient`."""

    _tasks: Mapping[str, Task[..., Any]]
    _actor: str | None
    _drive: Callable[[Steps[Any]], Awaitable[Any]]

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
        asked = Asked(None, from_node, whole, version, set, input)
        return await self._drive(run_verbs.fork(run, asked, self._tasks, actor=self._actor))  # type: ignore[no-any-return]

    async def fork(
        self,
        run: Handle[Any] | int,
        *,
        from_step: str,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        asked = Asked(from_step, version=version, set=set, input=input)
        return await self._drive(run_verbs.fork(run, asked, self._tasks, actor=self._actor))  # type: ignore[no-any-return]

    async def graph(self, run: Handle[Any] | int) -> GraphState:
        from pgflow.sdk import graph_verbs

        return await self._drive(graph_verbs.graph(run))  # type: ignore[no-any-return]

    async def compare(self, old: Handle[Any] | int, new: Handle[Any] | int) -> Comparison:
        from pgflow.sdk import comparing_verbs

        return await self._drive(comparing_verbs.compare(old, new))  # type: ignore[no-any-return]


document_like(AsyncRuns, Runs)
