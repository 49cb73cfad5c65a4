"""What becomes of an attempt that raised: pure, so that every case is a fast test."""

from __future__ import annotations

from collections.abc import Callable
from random import random as default_random
from typing import Any

import orjson

from pgflow import duration
from pgflow.backoff import RetryPolicy
from pgflow.codec import error_json
from pgflow.errors import ArgumentError, Fatal, PayloadError, RetryLater
from pgflow.model import Claimed, Settlement, State

# These would fail the same way again.
_HOPELESS = {Fatal: "fatal", ArgumentError: "arguments", PayloadError: "payload"}


class TimedOut(Exception):
    """The attempt took longer than the task's time-out."""


def tries(claimed: Claimed) -> int:
    """The attempt's number among those that the retry policy counts: worker deaths are counted apart, as crashes."""
    return claimed.attempt - (claimed.crashes - 1)


def _with_reason(error: BaseException, reason: str, handler: Callable[..., Any] | None = None) -> bytes:
    return error_json(error, keep_frames_from=handler)[:-1] + b',"reason":' + orjson.dumps(reason) + b"}"


def judge(
    error: BaseException, claimed: Claimed, policy: RetryPolicy, handler: Callable[..., Any] | None = None,
    random: Callable[[], float] = default_random,
) -> Settlement:  # fmt: skip
    """Retry, or fail with the reason: `fatal`, `arguments`, `payload` or `spent`.

    Args:
        error: what the attempt raised.
        claimed: the attempt.
        policy: its retry policy.
        handler: the function that ran, from whose frame on the traceback is kept.
        random: for the jitter.
    """
    for kind, reason in _HOPELESS.items():
        if isinstance(error, kind):
            return Settlement(claimed.task_id, claimed.epoch, State.FAILED, error=_with_reason(error, reason, handler))
    attempt = tries(claimed)
    if not policy.allows(attempt):
        return Settlement(claimed.task_id, claimed.epoch, State.FAILED, error=_with_reason(error, "spent", handler))
    after = duration.bounded(error.after) if isinstance(error, RetryLater) else None
    delay = policy.delay(attempt, random) if after is None else after
    text = error_json(error, keep_frames_from=handler)
    return Settlement(claimed.task_id, claimed.epoch, State.RETRYING, error=text, delay=delay)


def refusal(error: BaseException) -> bytes:
    """The error of a task whose result the database refused."""
    return _with_reason(error, "refused")


def policy_of(claimed: Claimed, default: RetryPolicy) -> RetryPolicy:
    """The retry policy that travelled with the task, else the registered one."""
    return default if claimed.retry is None else RetryPolicy.from_json(claimed.retry)
