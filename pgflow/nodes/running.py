"""A run of a graph: its nodes beside each other, each begun when its edges say so.

Model: the run is a workflow whose code is the definition. It waits for its children, signals and timers like any other,
and is told in its inbox; when it goes on, what has ended decides what begins (`pgflow.graph.fates`), and that is put
into the journal. After a crash the same definition replays against the history. A node records under its own name, so
the order in which nodes ended does not matter: fates are the same whatever the order, and what was begun before the
crash, with all that led to it, is begun first in the replay, whatever the limit on nodes at once.

A definition never changes within a run: the run's first record is which version it follows.

Failure handling: a node that fails decides its edges like one that completes; when no edge was there for it, the run
fails, after all that still can be done is done, or at once (`on_failure: stop`). What is running is then cancelled, and
nothing more is demanded of the history. Here the order does matter, so what is left undone is recorded before anything
is told of the failure, and never begins in a replay; and a replay looks at failures last, when all that had gone before
them has gone again.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
from pydantic import ValidationError

from pgflow.codec import encode
from pgflow.db.call import Call
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import ArgumentError, Fatal, PgflowError, TaskCancelled, WorkflowError
from pgflow.expression import Expression, Template
from pgflow.graph import Definition, Edge, Fates, Node, OnFailure
from pgflow.model import EventType, Priority, State
from pgflow.nodes.base import Config, Flow, NodeType, Scene, Work
from pgflow.nodes.children import child, detail, state_of
from pgflow.nodes.secrets import named
from pgflow.sdk.driving import Group
from pgflow.sdk.graph_forking import DROPPED, PASSED, STOPPED, kept_of
from pgflow.sdk.journal import Wait
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Replay

Cancel = Callable[[int, int], Awaitable[Any]]
"""Cancels what is unfinished in a run, but for this task of it."""

TIMEOUT = "$timeout"


class NodeFailed(PgflowError):
    """A node of a graph failed, and so did its run.

    Attributes:
        node: the first that failed.
    """

    def __init__(self, node: str, message: str, others: int) -> None:
        more = f" (and {others} more failed)" if others else ""
        super().__init__(f"node {node} failed: {message}{more}")
        self.node = node


class GraphRun(Group):
    """One run, from its first node to its output.

    Args:
        replay: the run's history and journal.
        definition: what it follows.
        input: what it was given.
        types: every node type by name.
        cancel: cancels its children.
        run: runs a verb of the engine.
        queues: where tasks wait whose code has a queue of its own for them.
    """

    def __init__(
        self, replay: Replay, definition: Definition, input: Mapping[str, Any], types: Mapping[str, NodeType[Any]],
        cancel: Cancel, run: Callable[[Call[Any]], Awaitable[Any]], queues: Mapping[str, str] = {},
    ) -> None:  # fmt: skip
        super().__init__(replay, (), definition.concurrency)
        self._definition = definition
        self._input = input
        self._types = types
        self._cancel = cancel
        self._ask = run
        self._queues = queues
        self._fates = Fates(definition)
        self._names: list[str] = []
        self._running: set[str] = set()
        self._nodes: dict[str, dict[str, Any]] = {}
        self._targets: dict[str, list[Edge]] = {}
        for edge in definition.edges:
            self._targets.setdefault(edge.source, []).append(edge)
        self._recorded = self._led({key.partition("/")[0] for key in (*replay.history.left, *replay.history.children)})
        self._kept = kept_of(replay.history)
        self._recorded |= self._kept.keys()
        self._first: deque[tuple[int, Operation]] = deque()
        self._replaying = bool(self._recorded)
        self._put_off: list[int] = []
        self._refused: set[str] = set()
        self._undone: list[str] = []
        self._broken: Exception | None = None
        self._stopped, self._gave_up = False, False
        stopped = replay.history.answer(STOPPED)
        self._barred: set[str] = set() if stopped is None else set(stopped["result"]["undone"])
        if stopped is not None and stopped["result"]["error"] is not None:
            self._broken = Fatal(stopped["result"]["error"])
        self._because = "" if stopped is None else stopped["result"].get("because", "")
        dropped = replay.history.answer(DROPPED)
        if dropped is not None:
            self._barred.update(dropped["result"])
        self._due = None if definition.timeout is None else self._deadline(definition.timeout)

    def _deadline(self, timeout: float) -> Any:
        replay = self._replay
        found = replay.history.timers.get(TIMEOUT)
        replay.history.answer(TIMEOUT)
        return found or replay.timer(TIMEOUT, replay.journal.clock() + timedelta(seconds=timeout))

    def _led(self, names: set[str]) -> set[str]:
        """These nodes, and all that had to end before they could begin."""
        if not names:
            return names
        above: dict[str, list[str]] = {}
        for edge in self._definition.edges:
            above.setdefault(edge.target, []).append(edge.source)
        todo = list(names)
        while todo:
            more = [source for source in above.get(todo.pop(), ()) if source not in names]
            names.update(more)
            todo += more
        return names

    async def conduct(self) -> Any:
        """Run it. Returns the run's output.

        Raises:
            NodeFailed: a node failed for which there was no edge.
        """
        self._begin(self._fates.begin())
        await self.run()
        self._leave()
        if self._broken is not None:
            raise self._broken
        if self._fates.unhandled:
            first, *others = sorted(self._fates.unhandled, key=lambda name: name != self._because)
            raise NodeFailed(first, self._nodes[first]["error"]["message"], len(others))
        if self._definition.output is None:
            return None
        return self._render(self._definition.output, None)

    def _begin(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self._barred:
                continue
            self._names.append(name)
            self._running.add(name)
            self.add(self._node(name))
            if name in self._recorded:
                self._first.append(self._todo.pop())

    def _next(self) -> tuple[int, Operation] | None:
        """What was begun before comes first, and is not counted: it was within the limit when it began."""
        following = self._first.popleft() if self._first else super()._next()
        if following is None and self._replaying and not self._working:
            self._replaying = False
            put_off, self._put_off = self._put_off, []
            for number in put_off:
                self._judge(number)
            if self._broken is not None and not self._stopped:
                self._stop("")
        return following

    def _node(self, name: str) -> Operation:
        node = self._definition.nodes[name]
        kind = self._types.get(node.type)
        if kind is None:
            raise Fatal(f"there is no node type {node.type} here; is the package installed that has it?")
        self._replay.history.answer(f"{name}/{PASSED}")
        self._tell(EventType.NODE_STARTED, name, {"type": node.type})
        request = self._requester(name, node, kind)
        render = partial(self._render, of=name)
        scene = Scene(name, node, self._definition, self._replay, render, request, self._ask)
        if isinstance(kind, Flow):
            return (yield from kind.operation(scene, self._config(kind, name, node)))
        assert isinstance(kind, Work)
        done = self._replay.history.child(name) is not None
        input = {} if done else named(node.config, partial(self._rendered, kind, name, node))
        return (yield from child(scene, name, kind.task, input))

    def _config(self, kind: NodeType[Any], name: str, node: Node) -> Config:
        if name in self._replay.history.facts:  # what it gave is recorded; what it was made of may be gone
            return kind.config.model_construct(**node.config)
        try:
            return kind.config.model_validate(self._rendered(kind, name, node))
        except ValidationError as error:
            raise ArgumentError(problems(error)) from None

    def _rendered(self, kind: NodeType[Any], name: str, node: Node, **more: Any) -> dict[str, Any]:
        return {
            field: value if field in kind.later else self._render(value, name, **more)
            for field, value in node.config.items()
        }

    def _render(self, value: Any, of: str | None, **more: Any) -> Any:
        template = Template(value)
        if template.verbatim:
            return value
        return template.render(self._bound(template.references, of) | more)

    def _bound(self, references: Any, of: str | None) -> dict[str, Any]:
        """The values that these references need, and no more: a big output that is not named costs nothing. What is
        kept of another run reads what it had there."""
        bound: dict[str, Any] = {}
        kept = None if of is None else self._kept.get(of)
        for path in references:
            match path:
                case ("nodes", node, *_) if node in self._nodes:
                    bound.setdefault("nodes", {})[node] = self._nodes[node]
                case ("nodes", *_):
                    bound.setdefault("nodes", {})
                case ("input", *_):
                    bound["input"] = self._input if kept is None or kept.input is None else kept.input
                case ("run", *_):
                    run = self._replay.journal.root_id if kept is None else kept.run
                    bound["run"] = {"id": run, "workflow": self._definition.name}
        return bound

    def _requester(self, name: str, node: Node, kind: NodeType[Any]) -> Callable[[str, Mapping[str, Any]], Request]:
        definition = self._definition
        priority = Priority[(node.priority or definition.priority).upper()]
        own = node.retry or (kind.retry if isinstance(kind, Work) else None)
        retry = b"null" if own is None else orjson.dumps(own.policy().to_json())
        timeout = node.timeout or (kind.timeout if isinstance(kind, Work) else None)

        def request(task: str, input: Mapping[str, Any]) -> Request:
            if self._stopped or STOPPED in self._replay.history.facts:  # which came after all that were asked for
                self._refused.add(name)
                raise TaskCancelled(f"node {name} does nothing more: the run has stopped")
            queue = node.queue or self._queues.get(task) or definition.queue
            return Request(Spec(task, queue, priority, timeout, retry), encode(dict(input)))

        return request

    def _ended(self, number: int) -> None:
        name = self._names[number]
        if number not in self.errors and name in self._refused:  # it made do with what it had
            self.errors[number] = TaskCancelled(f"node {name} was not done to its end: the run has stopped")
        error = self.errors.get(number)
        if isinstance(error, WorkflowError):
            raise error
        if error is not None and self._replaying and self._stops(name, error):
            self._put_off.append(number)
        elif name not in self._fates.fates:  # else it was given up
            self._judge(number)

    def _stops(self, name: str, error: Exception) -> bool:
        """Whether the run stops because this node failed."""
        if self._definition.on_failure is not OnFailure.STOP:
            return False
        self._nodes[name] = {"state": State.FAILED.value, "output": None, "error": detail(error)}
        cancelled = isinstance(error, TaskCancelled)
        return cancelled or not any(e.on_state == "failed" and self._takes(e) for e in self._targets.get(name, ()))

    def _judge(self, number: int) -> None:
        """Note how a node ended, and let begin what follows from that."""
        name, error, broken = self._names[number], self.errors.get(number), self._broken
        self._running.discard(name)
        if self._definition.concurrency is not None and name not in self._kept:
            self._record(f"{name}/{PASSED}", None)
        if error is None:
            state, output = State.COMPLETED, self.results[number]
            self._nodes[name] = {"state": state.value, "output": output}
        else:
            state = state_of(error)
            self._nodes[name] = {"state": state.value, "output": None, "error": detail(error)}
        begin, skipped = self._fates.end(name, state, self._takes)
        if state is State.CANCELLED and not self._replay.history.cancelling:
            self._fates.unhandled.append(name)
        stops = bool(self._fates.unhandled) and self._definition.on_failure is OnFailure.STOP
        if stops and not self._stopped:
            self._stop(name)
        if error is None:
            self._tell(EventType.NODE_COMPLETED, name, {"branch": branch} if (branch := self._branch(name)) else {})
        else:
            handled = state is State.FAILED and name not in self._fates.unhandled
            data = {"error": self._nodes[name]["error"], "state": state.value, "handled": handled}
            self._tell(EventType.NODE_FAILED, name, data)
        for one in skipped:
            self._nodes[one] = {"state": State.SKIPPED.value, "output": None}
            self._tell(EventType.NODE_SKIPPED, one, {"because": name})
        if not stops and not self._stopped and self._broken is broken:
            self._begin(begin)

    def _branch(self, name: str) -> str | None:
        return self._types[self._definition.nodes[name].type].branch(self._nodes[name]["output"])

    def _takes(self, edge: Edge) -> bool:
        if edge.branch is not None and edge.branch != self._branch(edge.source):
            return False
        if edge.when is None:
            return True
        try:
            expression = Expression(edge.when)
            return expression.evaluate(self._bound(expression.references, edge.target)) is True
        except PgflowError as error:
            self._break(Fatal(f"edge {edge.source} -> {edge.target}: {error}"))
            return False

    def _break(self, error: Exception) -> None:
        self._broken = self._broken or error
        if not self._replaying:
            self._stop("")

    def _stop(self, because: str) -> None:
        """Let nothing more begin; nothing more is demanded of the history."""
        self._stopped, self._because = True, self._because or because
        self._running.difference_update(self._names[number] for number, _ in self._todo)
        self._todo.clear()
        self._undone = self._fates.stop(self._running)
        self._nodes |= {one: {"state": State.SKIPPED.value, "output": None} for one in self._undone}
        why = None if self._broken is None else str(self._broken)
        self._record(STOPPED, {"undone": self._undone, "error": why, "because": because})
        self._replay.history.left.clear()

    def _record(self, key: str, value: Any) -> None:
        """Note this once; a run that somebody cancels needs no note: it does not go on."""
        history = self._replay.history
        if key not in history.facts and not history.cancelling:
            self._replay.note(key, {"result": value})

    def _leave(self) -> None:
        """Tell of what is left undone."""
        undone, self._undone = self._undone, []
        for name in undone:
            self._tell(EventType.NODE_SKIPPED, name, {"because": self._because})

    async def _before_waiting(self) -> bool:
        """A run that is over its time breaks; one that has stopped has its children cancelled, and drops what only
        waits. Its children are waited for: they end before it does."""
        replay = self._replay
        if self._due is not None and not self._stopped and replay.journal.clock() >= self._due:
            self._break(Fatal(f"the run took longer than {self._definition.timeout:g} s"))
        if not self._stopped or self._gave_up:
            return False
        self._gave_up = True
        pending = {key.partition("/")[0] for key, child in replay.history.children.items() if child.state is None}
        dropped = [number for number in self._blocked if self._names[number] not in pending]
        for number in dropped:
            self._blocked.pop(number)[0].close()
            self._running.discard(self._names[number])
        names = [self._names[number] for number in dropped]
        if names:
            self._record(DROPPED, names)
        self._undone += names
        self._leave()
        await replay.journal.flush()
        await self._cancel(replay.journal.root_id, replay.journal.task_id)
        return True

    def _tell(self, what: EventType, name: str, data: Mapping[str, Any]) -> None:
        if name in self._kept:
            return  # it is told from where
        replay = self._replay
        replay.journal.put(replay.fact(name, orjson.dumps(data), what))

    def _wait(self) -> Wait:
        """What lacks at least before anything can follow; but every tenth of what runs is looked at, so that what is
        told of nodes does not lag behind by more."""
        wait = super()._wait()
        due = wait.due if self._stopped else min(filter(None, (wait.due, self._due)), default=None)
        arrivals = min(wait.arrivals, self._lacking(), max(1, len(self._blocked) // 10)) if wait.arrivals else 0
        return Wait(arrivals, due)

    def _lacking(self) -> int:
        if self._definition.on_failure is OnFailure.STOP:
            return 1
        least = sys.maxsize
        for number, (_, wait) in self._blocked.items():
            own = max(1, wait.arrivals)
            lefts = [self._fates.left(edge.target) for edge in self._targets.get(self._names[number], ())]
            least = min(least, max(own, min(lefts)) if lefts else least)
        return least


def problems(error: ValidationError) -> str:
    """What is wrong with a config, for a person."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
