"""`crash_everywhere`: one run for each instant at which a worker could die, and the same story every time.

A checkpoint is a commit in which a run, or one of its children, writes: a step's result, a failed try, children, how a
lease ends, a transaction of `ctx.tx`. What a worker does between two of them leaves no trace, so it is enough to die
right before and right after each:

* *before*: the commit never reaches the database. The dead worker's leases are taken back, another worker claims its
  tasks, and only then what it wanted to write does arrive, late, as from a process that had merely been frozen: it
  must be refused. Whatever had been done for it is done again.
* *after*: it is committed, and nobody heard of it.

Each such run must come to the same outcome as the one that nobody disturbed, with the same keys and results recorded,
none of them twice, and no task misplaced. What differs by nature is passed over: ids, instants, random numbers.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgflow.db.call import Call, Rows
from pgflow.engine.children import Child
from pgflow.engine.facts import Fact
from pgflow.errors import PgflowError
from pgflow.model import EventType, Parking, Settlement
from pgflow.runtime.batch import Batch, Item
from pgflow.sdk.history import EVENT
from pgflow.sdk.task import Task
from pgflow.testing.engine import LocalEngine
from pgflow.testing.mortal import Items, Mortal
from pgflow.testing.world import Emitted, emitted_of

Normal = Callable[[Any], Any]
_GENERATION = re.compile(r"^\d+/")
BY_NATURE = ("$now", "$random", "$uuid")
"""What differs from run to run."""


class CrashTestFailed(AssertionError):
    """A run in which a worker died did not come to what an undisturbed one comes to."""


@dataclass(slots=True)
class CrashReport:
    """What `crash_everywhere` did.

    Attributes:
        workflow: its name.
        checkpoints: commits at which a worker could die.
        crashes: how many workers died.
        reexecuted: how often each step ran again, because its result had not been committed.
        refused: writes of dead workers that arrived late, and were refused.
        seconds: how long it all took.
    """

    workflow: str
    checkpoints: int = 0
    crashes: int = 0
    reexecuted: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    seconds: float = 0.0


async def crash_everywhere(
    engine: LocalEngine, workflow: Task[..., Any], /, *args: Any, signals: Mapping[str, Any] | None = None,
    events: Mapping[str, Any] | None = None, normal: Normal = lambda value: value, **kwargs: Any,
) -> CrashReport:  # fmt: skip
    """Run a workflow once for each instant at which its worker could die.

    Args:
        engine: what to run it in; nothing else may be under way there.
        workflow: what to run.
        *args: its arguments.
        signals: what each run is sent, by name: a list of payloads. Each is sent when nothing else can go on.
        events: what is emitted after that, by name: a list of payloads, or of `Emitted(payload, key=...)`, likewise.
        normal: makes of a result, or of the outcome, what must be the same in every run; the value itself unless given.
        **kwargs: its arguments.

    Raises:
        CrashTestFailed: a run came to something else; its text says where the worker died, and what differs.

    Example:
        >>> report = await crash_everywhere(pgflow_engine(app), signup, user, signals={"confirmed": [answer]})
        ... # doctest: +SKIP
        >>> assert report.crashes > 10                                       # doctest: +SKIP
    """
    began = time.perf_counter()
    report = CrashReport(workflow.name)
    sent = [(name, payload) for name, given in (signals or {}).items() for payload in _each(given)]
    emitted = [(name, emitted_of(one)) for name, given in (events or {}).items() for one in _each(given)]
    test = _Test(engine, workflow, args, kwargs, sent, emitted, normal, report)
    try:
        await engine.drive()
        undisturbed, count = await test.undisturbed()
        checkpoint = 0
        reached = True
        while reached or checkpoint < count:
            checkpoint += 1
            reached = any([await test.crash(checkpoint, moment, undisturbed) for moment in ("before", "after")])
            report.checkpoints += reached
        await test.audit()
    finally:
        engine.forget_watch()
    report.seconds = time.perf_counter() - began
    return report


def _each(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list) else [given]


Story = dict[str, dict[str, Any]]
"""What a run came to: by task its outcome, and by key what it recorded."""


class _Death:
    """Ends an executor at one checkpoint.

    Args:
        checkpoint: which, from 1.
        moment: `before` or `after` it; None: never.
    """

    def __init__(self, checkpoint: int, moment: str | None) -> None:
        self._checkpoint, self._moment = checkpoint, moment
        self._first: Item | Fact | None = None
        self.commits = 0
        self.what: str | None = None
        self.again: Counter[str] = Counter()

    def __call__(self, executor: Mortal, moment: str, items: Items) -> None:
        if self.what is not None:
            return
        if moment == "before":
            self.commits += 1
            if self.commits == self._checkpoint:
                self._first = items[0]
        if moment == self._moment and items[0] is self._first:
            self.what = f"right {moment} commit {self._checkpoint} ({described(items)})"
            sent = moment == "after"
            self.again.update(_steps(executor.waiting if sent else [*items, *executor.waiting]))
            raise executor.die(items, sent=sent)


def _steps(items: Sequence[Item | Fact]) -> Iterable[str]:
    entries = [item if isinstance(item, Fact) else getattr(item, "entry", None) for item in items]
    return [
        entry.key
        for entry in entries
        if isinstance(entry, Fact) and entry.type is EventType.STEP_COMPLETED and not entry.key.startswith("$")
    ]


def described(items: Items) -> str:
    """What a commit carries, for a person."""
    words: Counter[str] = Counter()
    for item in items:
        entry = item if isinstance(item, Fact) else getattr(item, "entry", item)
        if isinstance(entry, Settlement):
            words[f"{entry.state}"] += 1
        elif isinstance(entry, Parking):
            words[f"parked: {entry.reason}"] += 1
        elif isinstance(entry, Child):
            words[f"child {entry.step}"] += 1
        else:
            words[f"{getattr(entry, 'type', 'progress')} {getattr(entry, 'key', '')}".strip()] += 1
    shown = [word if count == 1 else f"{count} x {word}" for word, count in words.items()]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")


@dataclass(slots=True)
class _Test:
    engine: LocalEngine
    workflow: Task[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    signals: Sequence[tuple[str, Any]]
    events: Sequence[tuple[str, Emitted]]
    normal: Normal
    report: CrashReport
    deaths: dict[int, _Death] = field(default_factory=dict)

    async def undisturbed(self) -> tuple[Story, int]:
        """What must come of it, and how many commits it takes."""
        death = _Death(0, None)
        self.engine.watch = death
        return await self._run(death), death.commits

    async def crash(self, checkpoint: int, moment: str, expected: Story) -> bool:
        """Have a worker die there. Returns whether it came so far."""
        death = _Death(checkpoint, moment)
        self.engine.watch, self.engine.haunt = death, self._come_late
        try:
            story = await self._run(death)
        except PgflowError as error:
            if death.what is None:
                raise
            raise CrashTestFailed(f"{self.workflow.name}, its worker dead {death.what}: {error}") from error
        if death.what is None:
            return False
        self.report.crashes += 1
        self.report.reexecuted += death.again
        differences = [line for task in expected.keys() | story.keys() for line in _compared(task, expected, story)]
        if differences:
            raise self._failed(death, sorted(differences))
        return True

    def _failed(self, death: _Death, lines: Sequence[str]) -> CrashTestFailed:
        where = "undisturbed" if death.what is None else f"its worker dead {death.what}"
        said = "\n".join(f"  {line}" for line in lines[:20])
        return CrashTestFailed(f"{self.workflow.name}, {where}:\n{said}")

    async def _run(self, death: _Death) -> Story:
        engine = self.engine
        run = await engine.start(self.workflow, *self.args, **self.kwargs)
        client = await engine.own_client()
        for name, payload in self.signals:
            await engine.settle()
            await client.signal(run, name, payload)
        for name, event in self.events:
            await engine.settle()
            await client.emit(name, event.payload, key=event.key, id=event.id)
        await engine.outcome(run)
        await engine.drive()
        self.deaths[run.id] = death
        return await self._story(run.id, death)

    async def audit(self) -> None:
        """Demand that no task is misplaced; once for all runs, for it looks at the whole database."""
        misplaced = await self.engine.call(Call("audit/misplaced_tasks", {}, _as_they_are))
        for problem, task, root, detail in misplaced:
            death = self.deaths.get(root, _Death(0, None))
            raise self._failed(death, [f"task {task} of run {root}: {problem}: {detail}"])

    async def _story(self, run_id: int, death: _Death) -> Story:
        tasks = await self.engine.call(Call("testing/family", {"run": run_id}, _as_they_are))
        paths: dict[int, str] = {}
        story: Story = {}
        for id, parent, step, name, state, output, error in tasks:
            path = paths[id] = f"{paths[parent]} / {step}" if parent is not None else name
            failure = {key: error.get(key) for key in ("type", "message")} if error else None
            story[path] = {"the outcome": (state, self.normal(output), failure)}
        twice = []
        rows = await self.engine.call(Call("testing/recorded", {"run": run_id}, _as_they_are))
        for task_id, kind, key, data in rows:
            path, name = paths[task_id], f"{kind} {key}"
            if name in story[path]:
                twice.append(f"{path}: {name} is recorded twice")
            story[path][name] = self._value(kind, key, data)
        if twice:
            raise self._failed(death, twice)
        return story

    def _value(self, kind: str, key: str, data: Any) -> Any:
        name = _GENERATION.sub("", key)
        if kind == EventType.TIMER_CREATED or name.startswith(BY_NATURE):
            return None
        if name.startswith(("$signal:", EVENT)):
            return data.get("payload")
        return self.normal(data.get("result", data.get("input", data.get("state"))))

    async def _come_late(self, dead: Mortal) -> None:
        self.report.refused += await come_late(self.engine, dead, self.workflow.name)


async def come_late(engine: LocalEngine, dead: Mortal, name: str) -> int:
    """Send what a dead worker wanted written, now that another has its tasks: nobody may take it. Returns how much.

    Args:
        engine: where it had been.
        dead: the worker.
        name: what runs, for a person.

    Raises:
        CrashTestFailed: some of it was taken.
    """
    if dead.unsent:
        batch = Batch(dead.unsent, dead.worker_id)
        answers = await engine.call_together(batch.calls)
        lost = len(batch.answer(answers))
        endings = len(batch.settlements) + len(batch.parkings)
        if lost < endings or any(isinstance(answer, dict | set) and answer for answer in answers):
            late = described(dead.unsent)
            raise CrashTestFailed(
                f"{name}: what a dead worker wrote late was taken, though its leases were gone: {late}"
            )
    return len(dead.unsent)


def _compared(task: str, expected: Story, story: Story) -> Iterable[str]:
    """What differs of one task."""
    if task not in story or task not in expected:
        yield f"{task} is {'missing' if task in expected else 'one too many'}"
        return
    for key in expected[task].keys() | story[task].keys():
        if key not in story[task] or key not in expected[task]:
            yield f"{task}: {key} is {'missing' if key in expected[task] else 'one too many'}"
        elif story[task][key] != expected[task][key]:
            yield f"{task}: {key} is {story[task][key]!r}, undisturbed {expected[task][key]!r}"


def _as_they_are(rows: Rows) -> Rows:
    return rows
