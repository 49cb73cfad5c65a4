"""The client's verbs, once for both colours.

A verb that is one statement is a `Call`. One that takes several is a generator: it yields calls (and rests), is sent
their results, and returns its own. `Client` and `AsyncClient` differ only in how they drive these.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from pgflow.db.call import Call, Rows
from pgflow.engine import control, inspection, limits, workflows
from pgflow.engine import runs as engine_runs
from pgflow.engine.enqueue import Enqueued, Request, batches, enqueue, enqueue_plain, is_plain, supersede
from pgflow.errors import ArgumentError, NotFound, PgflowError, ResultTimeout, TaskCancelled, TaskFailed
from pgflow.model import Outcome, State
from pgflow.sdk.task import Task, check_queue

R = TypeVar("R")

MAX_ROUNDS = 200
"""How often a verb that must meet every task where it stands goes round: about a minute and a half."""
MOST_LOOKED_AT = 16_000
"""Tasks that a statement of a list looks at, at most."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait this many seconds before going on."""

    seconds: float


Steps = Generator[Call[Any] | Rest, Any, R]


@dataclass(frozen=True, slots=True)
class Handle(Generic[R]):
    """A task that was enqueued.

    Attributes:
        id: its id.
        existed: its key was taken, so this is the task that holds it.
    """

    id: int
    existed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        parts: a batch a statement, the third and later ones made only as they are taken.
        short: it is a single batch.
        plain: it is a single statement, which needs no transaction around it.
    """

    parts: Iterable[Sequence[Request]]
    short: bool
    plain: bool


def asked(requests: Iterable[Request]) -> Asked:
    """Cut into batches."""
    parts = batches(requests)
    head = list(islice(parts, 2))
    short = len(head) < 2
    return Asked(chain(head, parts), short, short and not any(request.supersede for part in head for request in part))


def enqueue_one(request: Request, *, actor: str | None, own_transaction: bool) -> Steps[Handle[Any]]:
    """Write one task, which does not supersede."""
    if is_plain(request):
        id: int | None = yield enqueue_plain(request, actor=actor, own_transaction=own_transaction)
        if id is not None:
            return Handle(id)
    done: Enqueued = yield enqueue([request], actor=actor, own_transaction=own_transaction)
    return Handle(done.ids[0], bool(done.existing))


def enqueue_all(
    parts: Iterable[Sequence[Request]], *, actor: str | None, own_transaction: bool, short: bool, wake: bool
) -> Iterator[Call[list[Handle[Any]]]]:
    """The calls that write all of these tasks, each made when it is about to be sent; the handles come in order.

    Even a transaction of our own may last, unless it is short. Limited queues are then admitted from at its end:
    nobody else's task of such a queue can end while its limit is locked.
    """
    queues: set[str] = set()
    for part in parts:
        if any(request.supersede for request in part):
            yield _nothing(supersede(part, actor=actor))
        yield _handles(enqueue(part, actor=actor, own_transaction=own_transaction and short, wake=wake))
        queues.update({request.spec.queue for request in part})
    if own_transaction and not short:
        yield _nothing(limits.admit(sorted(queues)))


def _nothing(call: Call[int]) -> Call[list[Handle[Any]]]:
    return Call(call.name, call.params, lambda _: [])


def _handles(call: Call[Enqueued]) -> Call[list[Handle[Any]]]:
    def parse(rows: Rows) -> list[Handle[Any]]:
        done = call.parse(rows)
        return [Handle(id, position in done.existing) for position, id in enumerate(done.ids)]

    return Call(call.name, call.params, parse)


def find(task_ids: Sequence[int], *, guards: bool = False) -> Steps[list[control.Located]]:
    """Where these tasks are to be found and, when asked, which are guarded; or NotFound."""
    found: list[control.Located] = yield control.locate(task_ids, guards=guards)
    missing = sorted(set(task_ids) - {task.task_id for task in found})
    if missing:
        raise NotFound(
            f"there is no task {', '.join(map(str, missing[:5]))}{' ...' if len(missing) > 5 else ''}",
            hint="see `pgflow task list`; history older than the retention is gone",
        )
    return found


def cancel(task_ids: Sequence[int], *, force: bool = False, actor: str | None) -> Steps[list[int]]:
    """Cancel these tasks and, of runs, everything in them. Returns those that this call cancelled.

    A guarded workflow, which has registered something to be undone, is only told: it undoes that and ends by itself,
    and is not waited for. Nor is what it spawns from then on touched. With `force` it is cancelled like any other.
    """
    found = yield from find(list(dict.fromkeys(task_ids)), guards=not force)
    runs = [task.root_id for task in found if task.task_id == task.root_id]
    if runs:
        yield engine_runs.resume(runs, actor=actor)  # a run that is paused could not clean up
    told: set[int] = set()
    cancelled = yield from _cancel_those(found, told, force, actor)
    for run in runs:
        upto = None
        family = partial(engine_runs.unfinished, run)
        if not force:
            yield from _cancel_family(run, family, told, None, False, actor)
            upto = yield engine_runs.newest()
        cancelled += yield from _cancel_family(run, family, told, upto, True, actor, force)
    return cancelled


def cancel_below(root_id: int, task_id: int) -> Steps[None]:
    """Cancel everything unfinished below a task, which itself goes on. Guarded workflows are only told."""
    told: set[int] = set()
    family = partial(engine_runs.below, root_id, task_id)
    yield from _cancel_family(task_id, family, told, None, False, None)
    upto: int = yield engine_runs.newest()
    yield from _cancel_family(task_id, family, told, upto, True, None)


def _cancel_family(
    of: int, family: Callable[..., Call[list[int]]], told: set[int], upto: int | None, outright: bool,
    actor: str | None, force: bool = False,
) -> Steps[list[int]]:  # fmt: skip
    """Go through what is unfinished, until only guarded ones are left; or once, to tell those."""
    cancelled: list[int] = []
    for _ in range(MAX_ROUNDS):
        before, met = engine_runs.MAX_ID, 0
        while True:
            page: list[int] = yield family(before=before, upto=upto)
            if not page:
                break
            before = page[-1]
            found: list[control.Located] = yield control.locate([id for id in page if id not in told], guards=not force)
            if not outright:
                yield from _tell(found, told, actor)
            else:
                met += sum(1 for task in found if not task.final)
                cancelled += yield from _cancel_those(found, told, force, actor)
        if not (outright and met):
            return cancelled
    raise _restless(of)


def _cancel_those(found: list[control.Located], told: set[int], force: bool, actor: str | None) -> Steps[list[int]]:
    """Tell those that are guarded, and cancel the others.

    One pass misses a task that is just moving from one place to another, so it repeats with a new snapshot until each
    id was moved or has an outcome.
    """
    cancelled: list[int] = []
    left: list[int] = []
    rest = 0.0
    for _ in range(MAX_ROUNDS):
        yield from _tell(found, told, actor)
        left = [task.task_id for task in found if not task.final and task.task_id not in told]
        if not left:
            return cancelled
        moved: list[int] = yield control.cancel(left, actor=actor)
        cancelled += moved
        if len(moved) == len(left):
            return cancelled
        if not moved and rest:
            yield Rest(rest)
        rest = min(0.5, rest * 2 or 0.005)
        found = yield control.locate([task_id for task_id in left if task_id not in moved], guards=not force)
    raise _restless(left[0])


def _tell(found: list[control.Located], told: set[int], actor: str | None) -> Steps[None]:
    guarded = [task for task in found if task.guarded and not task.final and task.task_id not in told]
    if guarded:
        yield workflows.interrupt([(task.root_id, task.task_id) for task in guarded], actor=actor)
        told.update(task.task_id for task in guarded)


def _restless(task_id: int) -> PgflowError:
    return PgflowError(
        f"task {task_id} could not be cancelled: it never stood still in {MAX_ROUNDS} rounds",
        hint="try again; `pgflow task show` says where it is",
    )


def redrive(task_ids: Sequence[int], *, actor: str | None) -> Steps[list[int]]:
    """Revive failed and cancelled tasks. Returns those revived; an ArgumentError for what is of a graph."""
    found = yield from find(task_ids)
    graphs: dict[int, int] = yield engine_runs.of_graphs([(task.root_id, task.task_id) for task in found])
    for task, run in graphs.items():
        what = "is a run of a graph" if task == run else f"does a node of {run}, a run of a graph"
        raise ArgumentError(
            f"{task} {what}, which cannot be redriven: what became of its nodes is told once",
            hint=f"`pgflow run rerun {run}` begins a new run from what failed, and keeps the rest",
        )
    revived: list[int] = yield control.redrive(found, actor=actor)
    return revived


def redrive_where(
    *, name: str | None, queue: str | None, limit: int, actor: str | None, within: inspection.Within | None = None
) -> Steps[list[int]]:
    """Revive up to `limit` failed tasks that fit the filter, newest first; or of these only those of some runs."""
    revived: list[int] = []
    before: int | None = None
    for _ in range(MAX_ROUNDS):
        size = min(500, limit - len(revived))
        failed = yield from _failed(name, queue, before, size, within)
        before = failed.before
        found = [control.Located(row["id"], row["root_id"], True) for row in failed.tasks]
        if found:
            revived += yield control.redrive(found, actor=actor)
        if before is None or len(revived) >= limit:
            break
    return revived


def _failed(
    name: str | None, queue: str | None, before: int | None, size: int, within: inspection.Within | None
) -> Steps[inspection.TaskPage]:
    page: inspection.TaskPage = yield inspection.task_page(
        within=within, state=State.FAILED, name=name, queue=queue, before=before, limit=size
    )
    return page


def limit_queue(queue: str, limit: limits.Limit, *, actor: str | None) -> Steps[None]:
    """Limit the queue, and throttle what was ready before."""
    yield limits.set_limit(check_queue(queue, "limit"), limit, actor=actor)
    while (yield limits.impose(queue)):
        pass
    yield limits.admit([queue])


def check_ageing(every: float | None) -> float | None:
    """The seconds, or an ArgumentError."""
    if every is not None and not 0 < every <= 3600:
        raise ArgumentError(f"tasks cannot age every {every} s", hint="at most an hour, more than nothing")
    return every


def lift_limit(queue: str) -> Steps[bool]:
    """Limit the queue no more, and let go what it had throttled."""
    lifted: bool = yield limits.lift_limit(queue)
    while (yield limits.admit([queue])):
        pass
    return lifted


def wait(task_ids: Sequence[int], timeout: float | None, clock: Any) -> Steps[dict[int, Outcome]]:
    """Wait until each of these tasks has its outcome, looking ever less often, at most twice a second."""
    located = yield from find(list(dict.fromkeys(task_ids)))
    missing = {task.task_id: task for task in located}
    outcomes: dict[int, Outcome] = {}
    end = None if timeout is None else clock() + timeout
    rest = 0.002
    while True:
        found = yield control.outcomes(list(missing.values()))
        outcomes |= found
        for task_id in found:
            del missing[task_id]
        if not missing:
            return outcomes
        left = rest if end is None else end - clock()
        if left <= 0:
            raise ResultTimeout(
                f"no outcome of task {next(iter(missing))} within {timeout:g} s; it goes on",
                hint="`pgflow task show` says where it is",
            )
        yield Rest(min(rest, left))
        rest = min(rest * 1.5, 0.5)


def value(task_id: int, outcome: Outcome, task: Task[..., Any] | None) -> Any:
    """The result, or the failure raised."""
    if outcome.state is State.FAILED:
        raise TaskFailed(task_id, outcome.error or {})
    if outcome.state in {State.CANCELLED, State.SKIPPED}:
        raise TaskCancelled(f"task {task_id} was {outcome.state}")
    return outcome.output if task is None else task.signature.decode_result(outcome.output)


def show(task_id: int) -> Steps[Mapping[str, Any]]:
    """Everything about one task."""
    (found,) = yield from find([task_id])
    row = yield inspection.task(found.root_id, found.task_id)
    if row is None:  # just moving from one place to another
        row = yield inspection.task(found.root_id, found.task_id)
    if row is None:
        raise NotFound(f"task {task_id} is moving; look again")
    return row  # type: ignore[no-any-return]


def history(task_id: int, *, task: int | None = None, limit: int | None = None) -> Steps[list[dict[str, Any]]]:
    """What happened: to the whole run when it is a run, else to this task."""
    (found,) = yield from find([task_id])
    only = task_id if found.root_id != task_id else task
    events = yield inspection.events(found.root_id, only, limit)
    return events  # type: ignore[no-any-return]


def tasks(
    *, roots_only: bool, state: str | None, name: str | None, queue: str | None, run_id: int | None,
    before: int | None, limit: int,
) -> Steps[list[dict[str, Any]]]:  # fmt: skip
    """Tasks by filter, newest first. Of all runs they are looked for in windows that grow as long as little is found:
    no statement takes long, however rare what is asked for is."""
    found: list[dict[str, Any]] = []
    if run_id is not None:
        found = yield inspection.tasks_of(
            run_id, roots_only=roots_only, state=state, name=name, queue=queue, before=before, limit=limit
        )
        return found
    window = inspection.WINDOW
    while len(found) < limit:
        page = yield inspection.task_page(
            roots_only=roots_only, state=state, name=name, queue=queue, before=before, limit=limit - len(found),
            window=window,
        )  # fmt: skip
        found += page.tasks
        if page.before is None:
            break
        before, window = page.before, min(2 * window, MOST_LOOKED_AT)
    return found
