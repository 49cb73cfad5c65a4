"""The client's verbs for runs of workflows, once for both colours, like `pgflow.sdk.verbs`."""

from __future__ import annotations

from typing import Any

from pgflow.codec import encode
from pgflow.engine import workflows
from pgflow.errors import ArgumentError
from pgflow.sdk.environment import check_sent
from pgflow.sdk.verbs import Handle, Steps, find


def id_of(run: int | Handle[Any]) -> int:
    """The id of a run that may be given by its handle."""
    return run if isinstance(run, int) else run.id


def signal(run: int | Handle[Any], name: str, payload: Any, *, actor: str | None) -> Steps[None]:
    """Send a signal."""
    if not 0 < len(name) <= 200 or "\0" in name:
        raise ArgumentError(f"{name!r} is no name for a signal", hint="1 to 200 characters")
    sent = yield workflows.signal([workflows.Signal(id_of(run), name, encode(payload))], actor=actor)
    check_sent(sent)


def told(run: int | Handle[Any]) -> Steps[dict[str, Any] | None]:
    """What the run last told of itself."""
    (found,) = yield from find([id_of(run)])
    told: dict[str, Any] | None = yield workflows.told(found.root_id, found.task_id)
    return told
