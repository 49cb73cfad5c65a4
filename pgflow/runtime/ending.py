"""What becomes of a workflow's lease when its code has stopped or ended: pure."""

from __future__ import annotations

import orjson

from pgflow.codec import error_json
from pgflow.engine.facts import Fact
from pgflow.errors import HistoryMismatch, StepFailed, SwallowedSuspension, TaskCancelled, TaskFailed
from pgflow.model import Claimed, EventType, Parking, Settlement, State
from pgflow.runtime.batch import Ending
from pgflow.runtime.verdict import judge, policy_of
from pgflow.sdk.checking import Finding, diff
from pgflow.sdk.journal import Wait
from pgflow.sdk.replay import Replay
from pgflow.sdk.task import Task

MOST_LINES = 200
MENDING = "bring the step back, or branch with ctx.version(...); then `pgflow run resume`. Or cancel the run"


def waiting(claimed: Claimed, replay: Replay, wait: Wait) -> Ending:
    """It stopped: its task sleeps or waits; or it is parked, when it did not ask for all that is recorded."""
    if replay.history.unasked():
        return parked(claimed, replay, mismatch(replay))
    if wait.arrivals == 0 and not replay.cleanups:
        return Settlement(claimed.task_id, claimed.epoch, State.SLEEPING, due=wait.due)
    needed = replay.history.arrived + max(1, wait.arrivals)  # one that can be told to cancel itself waits to be told
    return Settlement(claimed.task_id, claimed.epoch, State.WAITING, needed=needed, due=wait.due)


def failed(claimed: Claimed, workflow: Task[..., object], error: Exception) -> Settlement:
    """It raised: it fails when that is recorded, and so would happen again; else its retry policy decides."""
    detail: dict[str, object]
    if isinstance(error, StepFailed):
        detail = error.error | {"reason": "step", "step": error.step}
    elif isinstance(error, TaskFailed):
        detail = error.error | {"reason": "child", "child": error.task_id}
    elif isinstance(error, TaskCancelled):
        detail = orjson.loads(error_json(error)) | {"reason": "child"}
    else:
        return judge(error, claimed, policy_of(claimed, workflow.retry), workflow.function)
    return Settlement(claimed.task_id, claimed.epoch, State.FAILED, error=orjson.dumps(detail))


def parked(claimed: Claimed, replay: Replay, error: Exception) -> Parking:
    """It cannot go on: parked, with the error and, on a mismatch, what is recorded beside what was asked for."""
    detail = orjson.loads(error_json(error))
    history = replay.history
    recorded, asked = list(dict.fromkeys((*history.order, *history.timers))), list(history.asked)
    if isinstance(error, HistoryMismatch) and error.diff:
        detail["diff"] = error.diff
    elif history.unasked():
        detail |= {"recorded": recorded[:MOST_LINES], "asked": asked[:MOST_LINES], "diff": diff(recorded, asked)}
    return Parking(claimed.task_id, claimed.epoch, State.NEEDS_ATTENTION, orjson.dumps(detail))


def check_end(replay: Replay) -> None:
    """That the code may come to its end here, or a WorkflowError."""
    if replay.suspended_at is not None:
        raise SwallowedSuspension(
            f"{replay.suspended_at}: the suspension there was caught, and the code came to its end",
            hint="do not catch BaseException around ctx calls; `pgflow lint` finds where",
        )
    problem = replay.problem()
    if problem is not None:
        raise problem
    if replay.history.unasked():
        raise mismatch(replay)


def check_rehearsal(finding: Finding) -> None:
    """That the code would still ask for all that is recorded, or a HistoryMismatch."""
    if finding.verdict.bad:
        raise HistoryMismatch(
            f"{finding.place}: {finding.message}; nothing that is not recorded was done",
            hint=MENDING,
            diff=finding.diff,
        )


def mismatch(replay: Replay) -> HistoryMismatch:
    """The error of a replay that did not ask for all that is recorded."""
    missing = replay.history.unasked()
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return HistoryMismatch(
        f"the code no longer asks for what is recorded: {', '.join(missing[:3])}{more}",
        hint=MENDING,
    )


def mark(claimed: Claimed, what: EventType, generation: int, data: object) -> Fact:
    """A fact about the workflow itself."""
    return Fact(claimed.task_id, claimed.epoch, what, str(generation), orjson.dumps(data))
