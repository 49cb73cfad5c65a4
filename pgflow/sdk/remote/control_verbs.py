"""The verbs about queues, workers and limits, over HTTP, once for both colours."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pgflow.engine.limits import Limit
from pgflow.errors import NotFound
from pgflow.sdk.remote.exchange import Exchange
from pgflow.sdk.remote.rows import Row, rows
from pgflow.sdk.remote.run_verbs import get, name_in_path, send


def listed(path: str, **query: Any) -> Exchange[list[Row]]:
    """All that is there."""
    found = yield from get(path, **query)
    return rows(found["items"])


def queue(name: str, verb: str) -> Exchange[Any]:
    """Pause or resume a queue."""
    return (yield from send("POST", f"/queues/{name_in_path(name)}/{verb}"))


def resume_queue(name: str) -> Exchange[bool]:
    """Resume it, and tell whether it was paused."""
    found = yield from listed("/queues")
    yield from queue(name, "resume")
    return any(one["name"] == name and one["paused_at"] is not None for one in found)


def limit(name: str, limit: Limit) -> Exchange[None]:
    """Limit it."""
    yield from send("PUT", f"/queues/{name_in_path(name)}/limit", asdict(limit))


def lift_limit(name: str) -> Exchange[bool]:
    """Lift its limit, if it has one."""
    try:
        yield from send("DELETE", f"/queues/{name_in_path(name)}/limit")
    except NotFound:
        return False
    return True


def age(name: str, every: float | None) -> Exchange[None]:
    """Make its tasks more urgent with time, or no more."""
    path = f"/queues/{name_in_path(name)}/ageing"
    if every is None:
        yield from send("DELETE", path)
    else:
        yield from send("PUT", path, {"every": every})
