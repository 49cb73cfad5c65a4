"""Whether today's code fits what runs have recorded: found by rehearsing it (`pgflow.sdk.rehearsal`), without effect.

A run **breaks** when the code would be parked by the engine, or fail for a reason that the run's own course has not:
what is recorded is not asked for any more; a key is asked for as something else; the stored input or a stored result
does not fit its annotation; there is no code of that name. It **fits** when the code asks for all that is recorded and
stands, in the end, where nothing is recorded yet. In between lies what **cannot be told**: after a step that is not
recorded was put in before recorded ones, the code is without that step's answer, and an exception may be due to that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum
from traceback import walk_tb
from typing import Any, NamedTuple

import orjson

from pgflow.codec import error_json
from pgflow.engine.workflows import HistoryRow
from pgflow.errors import (
    ContinuedAsNew,
    PgflowError,
    StepFailed,
    TaskCancelled,
    TaskFailed,
    WorkflowCancelled,
)
from pgflow.model import FINAL_STATES, State
from pgflow.sdk.history import History
from pgflow.sdk.rehearsal import Endless, NoEffect, Reached, Rehearsal, prepare, rehearse
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow

DIFF_LINES = 200
CONTEXT = 3
"""Lines of a diff around what differs."""


class Verdict(StrEnum):
    """What a rehearsal showed."""

    FITS = "fits"
    PUT_IN = "put in"
    UNTOLD = "cannot be told"
    BREAKS = "breaks"
    NO_CODE = "no code"

    @property
    def bad(self) -> bool:
        """Whether the run could not go on."""
        return self in {Verdict.BREAKS, Verdict.NO_CODE}


class Recorded(NamedTuple):
    """A workflow as the database has it.

    Args:
        task_id: the task.
        root_id: its run.
        name: the workflow.
        state: where it is.
        input: its arguments.
        rows: its history.
        output: its result, if it is completed.
        error: its error, if it failed.
    """

    task_id: int
    root_id: int
    name: str
    state: str
    input: dict[str, Any]
    rows: Sequence[HistoryRow]
    output: Any = None
    error: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Finding:
    """What a rehearsal of one workflow showed.

    Attributes:
        task_id, run_id, name, state: of the workflow.
        verdict: the gist.
        message: what is wrong; None if nothing is.
        place: file and line in the user's code.
        diff: recorded (-) against asked for (+), as in a unified diff.
        put_in: keys that are not recorded, before recorded ones or beside them: as `key at place`.
        reordered: whether things were asked for in another order than they were recorded in. Of no consequence, and the
            rule for what is done beside each other.
        recorded, asked: how many keys are recorded, and were asked for.
        stands: where the code stands, or how it ends.
    """

    task_id: int
    run_id: int
    name: str
    state: str
    verdict: Verdict = Verdict.FITS
    message: str | None = None
    place: str | None = None
    diff: list[str] = field(default_factory=list)
    put_in: list[str] = field(default_factory=list)
    reordered: bool = False
    recorded: int = 0
    asked: int = 0
    stands: str | None = None


class Checker:
    """Rehearses workflows against the code at hand. To be called in a thread without a running loop.

    Args:
        tasks: the tasks and workflows of the apps, by name.

    Example:
        >>> with Checker(app.tasks) as checker:                              # doctest: +SKIP
        ...     finding = checker.check(recorded)
    """

    def __init__(self, tasks: Mapping[str, Task[..., Any]]) -> None:
        self._tasks = tasks
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())  # and one turn for what was cancelled
        self._loop.close()

    def check(self, recorded: Recorded) -> Finding:
        """Rehearse one."""
        finding = Finding(recorded.task_id, recorded.root_id, recorded.name, recorded.state)
        workflow = self._tasks.get(recorded.name)
        if not isinstance(workflow, Workflow):
            what = "is no workflow any more" if workflow is not None else "is not in the code at hand"
            finding.verdict, finding.message = Verdict.NO_CODE, f"{recorded.name} {what}"
            return finding
        history = History(recorded.rows)
        known = list(dict.fromkeys((*history.order, *history.timers)))
        rehearsal = prepare(recorded.task_id, recorded.root_id, history, workflow)
        ended = self._run(rehearsal, workflow, recorded.input if history.input is None else history.input)
        _judge(finding, rehearsal, workflow, recorded, ended)
        _compare(finding, history, known, rehearsal)
        return finding

    def _run(self, rehearsal: Rehearsal, workflow: Workflow[..., Any], input: dict[str, Any]) -> _Ended:
        try:
            return _Ended(result=rehearse(rehearsal, workflow, self._tasks, input, self._loop))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:  # noqa: BLE001 (whatever the code raises is what is to be judged)
            return _Ended(raised=raised)


@dataclass(slots=True)
class _Ended:
    """How the code left its function."""

    result: Any = None
    raised: BaseException | None = None


def _judge(
    finding: Finding, rehearsal: Rehearsal, workflow: Workflow[..., Any], recorded: Recorded, ended: _Ended
) -> None:
    raised = ended.raised
    stopped = isinstance(raised, Reached | WorkflowCancelled | ContinuedAsNew)
    finding.stands = _stands(rehearsal, raised)
    if isinstance(raised, Endless | NoEffect):
        finding.verdict = Verdict.UNTOLD
        finding.message = (
            "with no answer from what was put in, the code does not come to an end"
            if isinstance(raised, Endless)
            else f"the code reaches for {raised} outside of a step"
        )
    elif raised is not None and not stopped and rehearsal.stubbed:
        finding.verdict = Verdict.UNTOLD
        finding.message = f"without the answer of {_first(rehearsal)} the code ends in {_text(raised)}"
    elif isinstance(raised, PgflowError) and not isinstance(raised, StepFailed | TaskFailed | TaskCancelled):
        finding.verdict, finding.message = Verdict.BREAKS, raised.message
    elif (missing := rehearsal.history.unasked()) and not rehearsal.history.cancelling:
        finding.verdict = Verdict.BREAKS
        finding.message = _missing(missing, rehearsal, raised, stopped)
    elif recorded.state in FINAL_STATES:
        _judge_end(finding, workflow, recorded, ended, stopped)
    if finding.verdict is not Verdict.FITS:
        finding.place = rehearsal.suspended_at or _place_of(raised) or _where(workflow)
    elif rehearsal.put_in:
        finding.verdict = Verdict.PUT_IN
        finding.place = next(iter(rehearsal.put_in.values()))


def _judge_end(
    finding: Finding, workflow: Workflow[..., Any], recorded: Recorded, ended: _Ended, stopped: bool
) -> None:
    """Whether a run that is finished ends as it did."""
    then, now = _end_of(recorded), None
    if recorded.state == State.CANCELLED:
        return  # it was cancelled wherever it stood
    if stopped:
        now = f"goes on: {finding.stands}"
    elif ended.raised is not None:
        now = f"fails: {_text(ended.raised)}"
    else:
        try:
            output = orjson.loads(workflow.signature.encode_result(ended.result, limit=workflow.payload_limit))
        except PgflowError as error:
            now = f"fails: {error.message}"
        else:
            now = f"returns {_short(output)}"
            if recorded.state == State.COMPLETED and output == recorded.output:
                return
    if now != then:
        finding.verdict, finding.message = Verdict.BREAKS, f"it {then.replace('fails', 'failed', 1)}; now it {now}"


def _end_of(recorded: Recorded) -> str:
    if recorded.state == State.COMPLETED:
        return f"returned {_short(recorded.output)}"
    error = recorded.error or {}
    return f"fails: {error.get('type')}: {error.get('message')}"


def _compare(finding: Finding, history: History, known: list[str], rehearsal: Rehearsal) -> None:
    asked = [key for key in history.asked if key in set(known) or key in rehearsal.put_in]
    finding.recorded, finding.asked = len(known), len(asked)
    finding.put_in = [f"{key} at {place}" for key, place in rehearsal.put_in.items()]
    both = [key for key in asked if key in set(known)]
    finding.reordered = both != [key for key in known if key in set(both)]
    if finding.verdict is not Verdict.FITS:
        finding.diff = diff([key for key in known if not key.startswith(("$compensate:", "$cleanup"))], asked)


def _missing(missing: list[str], rehearsal: Rehearsal, raised: BaseException | None, stopped: bool) -> str:
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    what = f"the code no longer asks for what is recorded: {', '.join(missing[:3])}{more}"
    if rehearsal.put_in and isinstance(raised, Reached):
        return f"{what}; it would suspend before, after {_first(rehearsal)}, which is not recorded"
    return what if raised is None or stopped else f"{what}; it ends in {_text(raised)}"


def _first(rehearsal: Rehearsal) -> str:
    return next(iter(rehearsal.put_in), "a step that is to be tried again")


def _stands(rehearsal: Rehearsal, raised: BaseException | None) -> str:
    if rehearsal.next is not None:
        return f"about to do {rehearsal.next[0]} at {rehearsal.next[1]}"
    if isinstance(raised, Reached):
        return f"waiting at {rehearsal.suspended_at}"
    if isinstance(raised, WorkflowCancelled):
        return "being cancelled"
    if isinstance(raised, ContinuedAsNew):
        return "continued as new"
    return "at its end" if raised is None else f"failed: {_text(raised)}"


def _text(error: BaseException) -> str:
    """Type and message as they are stored."""
    stored = error.error if isinstance(error, StepFailed | TaskFailed) else orjson.loads(error_json(error))
    return f"{stored.get('type')}: {stored.get('message')}"


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}..."


def _place_of(raised: BaseException | None) -> str | None:
    """The last line of the user's own code in a traceback."""
    place = None
    for frame, line in walk_tb(raised.__traceback__ if raised is not None else None):
        if not str(frame.f_globals.get("__name__", "")).startswith(("pgflow.", "asyncio.")):
            place = f"{frame.f_code.co_filename}:{line}"
    return place


def _where(workflow: Workflow[..., Any]) -> str | None:
    code = getattr(workflow.function, "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def diff(recorded: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Recorded keys (-) against those asked for (+), with a few in common around; `...` stands for more of those."""
    return list(_diff(recorded, asked))[:DIFF_LINES]


def _diff(recorded: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    end = 0
    for group in SequenceMatcher(None, recorded, asked, autojunk=False).get_grouped_opcodes(CONTEXT):
        if group[0][1] > end:
            yield "  ..."
        for tag, a, b, c, d in group:
            if tag == "equal":
                yield from (f"  {key}" for key in recorded[a:b])
            else:
                yield from (f"- {key}" for key in recorded[a:b])
                yield from (f"+ {key}" for key in asked[c:d])
            end = b
    if 0 < end < len(recorded):
        yield "  ..."
