"""What is started from outside, as one document: the request that the SQL function `pgflow.enqueue` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pgflow.codec import encode
from pgflow.engine import definitions
from pgflow.engine.definitions import Published
from pgflow.errors import ArgumentError
from pgflow.expression import Template
from pgflow.sdk.task import Task, is_name
from pgflow.sdk.verbs import Steps

Start = dict[str, Any]


def start_of(task: Task[..., Any] | str, input: Mapping[str, Any] | None = None) -> Start:
    """The document for a task or a workflow.

    Args:
        task: registered, with its options; or the name of one that is not known here, with the options of a plain one.
        input: its arguments by name. They may hold `${...}`; then they are checked only when they are known.

    Raises:
        ArgumentError: the arguments do not fit, or the name is none.
        ExpressionError: an expression does not parse.
        PayloadError: an argument cannot be stored.

    Example:
        >>> start_of("reports.daily", {"day": "${trigger.fire_date}"})
        {'name': 'reports.daily', 'input': {'day': '${trigger.fire_date}'}}
    """
    given = orjson.loads(encode(dict(input or {})))
    if isinstance(task, str):
        if not is_name(task):
            raise ArgumentError(f"{task!r} is no name for a task", hint="see `pgflow workers` for what is registered")
        return {"name": task, "input": given}
    if any(option is not None for option in (task.key, task.at, task.debounce, task.throttle, task.slot)):
        raise ArgumentError(
            f"{task.name}: key, at, debounce, throttle and slot are for one start, not for each of many",
            hint="give .options(queue=..., priority=..., retry=..., timeout=..., delay=..., tags=...) only",
        )
    if Template(given).verbatim:
        given = orjson.loads(task.request(**(input or {})).input)
    else:
        task.signature.check_names(given)
    spec = task.spec()
    start: Start = {"name": spec.name, "queue": spec.queue, "priority": spec.priority, "input": given}
    if spec.timeout is not None:
        start["timeout"] = spec.timeout
    if spec.retry != b"null":
        start["retry"] = orjson.loads(spec.retry)
    if task.delay is not None:
        start["delay"] = task.delay
    if task.tags:
        start["tags"] = dict(task.tags)
    return start


def queue_of(name: str) -> Steps[str]:
    """A workflow's own queue, as its stored definition names it. That of a task is known to its code alone."""
    return queue_in((yield definitions.newest(name)))


def queue_in(known: Published | None) -> str:
    """The queue that a stored definition names, if there is one."""
    return str((known.document if known and known.document else {}).get("queue") or "default")
