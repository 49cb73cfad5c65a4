"""The verbs about runs and tasks, over HTTP, once for both colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from pgflow.codec import encode
from pgflow.engine.runs import Standing
from pgflow.errors import ResultTimeout, TaskCancelled, TaskFailed
from pgflow.model import State
from pgflow.sdk.remote.exchange import Answer, Ask, Exchange
from pgflow.sdk.remote.rows import Row, row, rows, standing, told
from pgflow.sdk.run_verbs import id_of
from pgflow.sdk.task import Key
from pgflow.sdk.verbs import Handle, Rest

POLL = 20.0
"""Seconds of one long poll."""
PAGE = 500
MOST_REDRIVEN = 1000
"""Tasks that a request revives."""
Run = Handle[Any] | int


class RunPage(NamedTuple):
    """Some runs.

    Args:
        runs: them.
        next: give it as `after` to get the next page; None at the end. A page may be empty and not be the last.
    """

    runs: list[Row]
    next: str | None


def get(path: str, **query: Any) -> Exchange[Any]:
    """What is there."""
    answer: Answer = yield Ask("GET", path, query)
    return answer.json()


def send(method: str, path: str, body: Any = None) -> Exchange[Any]:
    """Do something there, once."""
    answer: Answer = yield Ask(method, path, body=body)
    return answer.json()


def paged(
    path: str, after: Any, limit: int, *, most: int = PAGE, cursor: bool = False, **query: Any
) -> Exchange[list[Row]]:
    """The first so many, page by page of `most`. With `cursor` the last of a page has where the next one begins."""
    found: list[Row] = []
    while len(found) < limit:
        page = yield from get(path, after=after, limit=min(most, limit - len(found)), **query)
        found += rows(page["items"])
        after = page["next"]
        if cursor and found:
            found[-1]["cursor"] = after
        if after is None:
            break
    return found


def result(task: int, timeout: float | None, clock: Callable[[], float]) -> Exchange[Any]:
    """Wait for its result: the API answers as soon as it knows, or that it has to be asked again.

    Raises:
        TaskFailed: it failed for good. TaskCancelled: it was cancelled. ResultTimeout: not done in time.
    """
    end = None if timeout is None else clock() + timeout
    while True:
        begun = clock()
        asked = POLL if end is None else max(0.0, min(POLL, end - begun))
        answer: Answer = yield Ask("GET", f"/runs/{task}/result", {"wait": round(asked, 3)}, patience=asked)
        found = answer.json()
        if answer.status != 202:
            return _value(task, found)
        if end is not None and clock() >= end:
            raise ResultTimeout(f"no outcome of task {task} within {timeout:g} s; it goes on", hint="ask again later")
        if clock() < begun + asked / 2:
            yield Rest(0.2)  # it was sent away early, by a process that ends


def _value(task: int, found: Mapping[str, Any]) -> Any:
    if found["state"] == State.FAILED:
        raise TaskFailed(task, found["error"] or {})
    if found["state"] != State.COMPLETED:
        raise TaskCancelled(f"task {task} was {found['state']}")
    return found["output"]


def signal(run: Run | Key, name: str, payload: Any) -> Exchange[None]:
    """Send a signal."""
    body = {"name": name, "payload": orjson.loads(encode(payload))}
    if isinstance(run, Key):
        yield from send("POST", "/signals", {"workflow": run.name, "key": run.key, **body})
    else:
        yield from send("POST", f"/runs/{id_of(run)}/signal", body)


def cancel(tasks: Sequence[int], force: bool) -> Exchange[list[int]]:
    """Cancel them, one after another."""
    done: list[int] = []
    for task in tasks:
        found = yield from send("POST", f"/runs/{task}/cancel", {"force": force})
        done += map(int, found["cancelled"])
    return done


def steer(runs: Sequence[Run], verb: str) -> Exchange[list[int]]:
    """Pause or resume them."""
    changed = []
    for run in runs:
        found = yield from send("POST", f"/runs/{id_of(run)}/{verb}")
        if found["changed"]:
            changed.append(id_of(run))
    return changed


def redrive(tasks: Sequence[int]) -> Exchange[list[int]]:
    """Revive them."""
    done: list[int] = []
    for task in tasks:
        found = yield from send("POST", f"/tasks/{task}/redrive")
        done += map(int, found["redriven"])
    return done


def redrive_where(name: str | None, queue: str | None, limit: int) -> Exchange[list[int]]:
    """Revive what failed, by filter."""
    done: list[int] = []
    while len(done) < limit:
        size = min(MOST_REDRIVEN, limit - len(done))
        found = yield from send("POST", "/dead-letters/redrive", {"name": name, "queue": queue, "limit": size})
        done += map(int, found["redriven"])
        if len(found["redriven"]) < size:
            break
    return done


def state(run: Run) -> Exchange[Row | None]:
    """What it last told of itself."""
    found = yield from get(f"/runs/{id_of(run)}/standing")
    return told(found["told"])


def stands(run: Run) -> Exchange[list[Standing]]:
    """What keeps it."""
    found = yield from get(f"/runs/{id_of(run)}/standing")
    return [standing(one) for one in found["items"]]


def show(task: int) -> Exchange[Mapping[str, Any]]:
    """Everything about one task."""
    return row((yield from get(f"/tasks/{task}")))


def history(run: int, task: int | None, limit: int | None) -> Exchange[list[Row]]:
    """What happened."""
    found = yield from get(f"/runs/{run}/history", task=task, last=10_000 if limit is None else limit)
    return rows(found["items"])


def tasks(run: int | None, before: int | None, limit: int, **chosen: Any) -> Exchange[list[Row]]:
    """Tasks by filter, newest first."""
    return (yield from paged("/tasks" if run is None else f"/runs/{run}/tasks", before, limit, **chosen))


def runs(
    workflow: str | None, state: State | str | None, queue: str | None, key: str | None,
    tags: Mapping[str, str] | None, since: datetime | None, until: datetime | None, order: str, after: str | None,
    limit: int,
) -> Exchange[RunPage]:  # fmt: skip
    """A page of runs."""
    page = yield from get(
        "/runs", workflow=workflow, state=state, queue=queue, key=key,
        tag=[f"{name}={value}" for name, value in (tags or {}).items()],
        since=since and since.isoformat(), until=until and until.isoformat(), order=order, after=after, limit=limit,
    )  # fmt: skip
    return RunPage(rows(page["items"]), page["next"])


def name_in_path(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")
