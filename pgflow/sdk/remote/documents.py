"""What verbs are given, as the documents that the API takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any

import orjson

from pgflow import duration
from pgflow.codec import encode
from pgflow.errors import ArgumentError
from pgflow.sdk.task import Task, check_priority

_DURATIONS = ("every", "jitter", "keep", "hold")
_NOT_TAKEN = ("key", "at", "hold", "debounce", "throttle", "delay", "timeout")
UNSIGNED = "none"


def target(task: Task[..., Any] | str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is started, and what else is said of it.

    Args:
        task: registered, with its options; or a name.
        given: the other parameters of the verb.

    Raises:
        ArgumentError: the task has an option that the API has no place for.
    """
    fields = {word: value for word, value in given.items() if value is not None}
    for word in _DURATIONS:
        if word in fields:
            fields[word] = duration.parse(fields[word])
    if "signature" in fields:
        fields["signature"] = _signature(fields["signature"])
    if isinstance(task, str):
        fields["task"] = task
    else:
        fields = _options(task) | fields
    if "priority" in fields:
        fields["priority"] = check_priority(fields["priority"], "the target").name.lower()
    return plain(fields)


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON, without what is None."""
    found: dict[str, Any] = orjson.loads(encode({word: value for word, value in fields.items() if value is not None}))
    return found


def _options(task: Task[..., Any]) -> dict[str, Any]:
    odd = [word for word in _NOT_TAKEN if getattr(task, word) is not None]
    if task.retry_is_own:
        odd.append("retry")
    if odd:
        raise ArgumentError(
            f"{task.name}: the API does not take {odd[0]} here", hint="make it with Client, beside the database"
        )
    return {"task": task.name, "queue": task.queue, "priority": task.priority, "tags": task.tags}


def _signature(given: Any) -> Any:
    if is_dataclass(given) and not isinstance(given, type):
        return {
            word: value.value if isinstance(value, Enum) else value
            for word, value in asdict(given).items()
            if value is not None
        }
    return {"kind": given}
