"""`pgflow run history`: the events of a run for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click
import orjson

from pgflow import duration
from pgflow.cli import connection, output
from pgflow.cli.parameters import ID, LIMIT

WIDTH = 100


@click.command(cls=output.Command)
@click.argument("run_id", type=ID, metavar="ID")
@click.option("--task", "task_id", type=ID, help="Only what happened to this task of the run.")
@click.option("--limit", type=LIMIT, help="Only the last so many events.")
def history(run_id: int, task_id: int | None, limit: int | None) -> None:
    """Show all that happened in a run, in order.

    What its workflows recorded included. With --json, all that is stored of it.
    """
    with connection.client() as client:
        events = client.history(run_id, task=task_id, limit=limit)
    if output.wants_json():
        output.document(events)
        return
    lines = [line for event in events for line in _lines(event, events[0]["at"])]
    output.rows(lines, ("at", "after", "task", "what", "detail"), empty="no events")
    if limit is not None and len(events) == limit:
        output.note(f"the last {limit} events; --limit has more")


def _lines(event: Mapping[str, Any], begun: datetime) -> Iterator[dict[str, Any]]:
    """A row for the event, and one for each line of a diff."""
    task = f"{event['task_id']} {event['name']}" + (f"/{event['step']}" if event["step"] else "")
    yield {
        "at": event["at"], "after": event["at"] - begun, "task": task, "what": event["type"],
        "detail": detail(event) or None,
    }  # fmt: skip
    data = event["data"] if isinstance(event["data"], dict) else {}
    for line in data.get("diff") or ():
        yield {"at": "", "after": "", "task": "", "what": "", "detail": f"    {line}"}


def detail(event: Mapping[str, Any]) -> str:
    """What an event says beyond its type, in a few words."""
    data = event["data"] if isinstance(event["data"], dict) else {}
    actor = f"by {event['actor']}" if event["actor"] else None
    return ", ".join(str(word) for word in (event["key"], *_words(event["type"], event, data), actor) if word)


def _words(kind: str, event: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str | None]:
    match kind:
        case "step.completed" if "seconds" in data:
            yield _short(data.get("result"))
            yield f"took {duration.text(data['seconds'])} from {_clock(data['started_at'])}"
            yield f"try {event['attempt']}" if (event["attempt"] or 1) > 1 else None
        case "step.completed":
            yield _short(data.get("result") if "result" in data else data)
        case "step.retried" | "step.failed" | "task.retried" | "task.failed":
            yield f"try {event['attempt']}" if kind.startswith("step.") else None
            yield _error(data.get("error"))
            yield data.get("reason")
        case "signal.received":
            yield _short(data.get("payload"))
        case "workflow.parked":
            yield f"{data.get('reason')}: {_error(data) or ''}".rstrip(": ")
        case "workflow.forked":
            yield f"from {data.get('from')}" + (f" at {data['step']}" if data.get("step") else "")
            yield f"nodes: {data['kept']} kept, {data['anew']} anew" if "kept" in data else None
            yield f"with {_short(data['set'])}" if data.get("set") else None
        case "node.started" | "node.completed" | "node.failed" | "node.skipped":
            yield from _of_node(kind, data)
        case "workflow.continued":
            yield f"with {_short(data.get('input'))}"
        case "workflow.finished":
            yield data.get("state")
            yield data.get("reason")
        case "task.resumed" | "task.redriven":
            yield f"was {data['was']}" if data.get("was") else None
        case _:
            yield _error(data.get("error"))
            yield data.get("reason")
    if isinstance(data.get("due_at"), str):
        yield f"due {output.cell('', datetime.fromisoformat(data['due_at']))}"


def _of_node(kind: str, data: Mapping[str, Any]) -> Iterator[str | None]:
    yield data.get("state") if data.get("state") != kind.removeprefix("node.") else None
    yield f"branch {data['branch']}" if data.get("branch") else None
    yield _error(data.get("error"))
    yield f"because of {data['because']}" if data.get("because") else None
    yield f"kept from {data['kept']}" if data.get("kept") else None


def _error(error: Any) -> str | None:
    if not isinstance(error, dict) or not error.get("type"):
        return None
    return f"{error['type']}: {str(error.get('message')).partition(chr(10))[0]}"


def _clock(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().time().isoformat("milliseconds")


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
