"""What is said about an event: to programs as JSON, to people in words.

Pure, so that every case is a fast test. An event is a dictionary as `sql/functions/deliver.sql` makes it. Whatever a
program wrote that failed stands in words only where it can do no harm: names are letters, digits and a few signs, and
the text of an error, which may hold anything, is fenced off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

Event = Mapping[str, Any]

_STATES = {
    "task.started": "running", "task.completed": "completed", "task.failed": "failed", "task.retried": "retrying",
    "task.cancelled": "cancelled", "task.skipped": "skipped", "task.released": "queued", "task.redriven": "queued",
    "task.paused": "paused", "task.resumed": "queued", "timer.fired": "queued", "workflow.started": "running",
    "workflow.continued": "running", "workflow.cancelling": "cancelling",
    "approval.requested": "waiting", "approval.escalated": "waiting",
}  # fmt: skip
_DEEDS = {
    "task.started": "started", "task.completed": "completed", "task.failed": "failed",
    "task.retried": "failed and will be tried again", "task.cancelled": "was cancelled", "task.skipped": "was skipped",
    "task.released": "was given back", "task.redriven": "was revived", "task.paused": "was paused",
    "task.resumed": "was resumed", "lease.expired": "was lost by its worker", "timer.created": "waits for a time",
    "timer.fired": "goes on, its time has come", "step.completed": "has done a step",
    "step.retried": "will try a step again", "step.failed": "has a step that failed",
    "signal.received": "was sent a signal", "workflow.started": "started", "workflow.continued": "started over",
    "workflow.parked": "needs attention", "workflow.cancelling": "is being cancelled",
    "workflow.forked": "was forked",
    "node.started": "has begun a node", "node.completed": "has done a node", "node.failed": "has a node that failed",
    "node.skipped": "has skipped a node",
    "approval.requested": "asks for approval", "approval.escalated": "asks others for approval, too",
}  # fmt: skip
_DISARMED = str.maketrans({"@": "@\u200b", "`": "'", "<": "\u2039", ">": "\u203a"})
_MOST_ERROR = 1500
_MOST_DISCORD = 2000


def state_of(event: Event) -> str | None:
    """Where the event left its task, if that is for the event to say."""
    match event["type"]:
        case "workflow.finished":
            return str(event.get("state"))
        case "workflow.parked":
            return str(event.get("reason", "needs_attention"))
        case _:
            return _STATES.get(event["type"])


def link_of(event: Event, public_url: str | None) -> str | None:
    """Where people can look at the event's run."""
    return f"{public_url.rstrip('/')}/runs/{event['run_id']}" if public_url else None


def payload(event: Event, public_url: str | None = None) -> bytes:
    """The body of a webhook. The same event gives the same bytes.

    Args:
        event: what happened.
        public_url: where people reach this engine's pages.
    """
    error = event.get("error")
    said = None if error is None else {name: error[name] for name in ("type", "message") if name in error}
    data = {
        "event_id": event.get("id"),
        "run_id": event["run_id"],
        "run_name": event.get("run_name"),
        "task_id": event["task_id"],
        "name": event["name"],
        "step": event.get("step"),
        "key": event.get("key"),
        "state": state_of(event),
        "attempt": event.get("attempt"),
        "reason": event.get("reason") or (error or {}).get("reason"),
        "error": said,
        "due_at": None if event.get("due_at") is None else _instant(event["due_at"]),
        "actor": event.get("actor"),
        "approval": event.get("approval"),
        "link": link_of(event, public_url),
    }
    return orjson.dumps({"type": event["type"], "timestamp": _instant(event["at"]), "data": data})


def headline(event: Event) -> str:
    """What happened, on one line.

    Example:
        >>> headline({"type": "task.failed", "name": "charge", "run_id": 42, "task_id": 43, "run_name": "order"})
        'charge failed (task 43 in order, run 42)'
    """
    if event["type"] == "test":
        return "A test: alerts of pgflow arrive here"
    if event["type"] == "workflow.finished":
        deed = _DEEDS.get(f"task.{state_of(event)}", "ended")
    elif event["type"] == "workflow.parked" and event.get("reason") == "paused":
        deed = "was paused"
    else:
        deed = _DEEDS.get(event["type"], str(event["type"]))
    run = f"run {event['run_id']}"
    where = run if event["task_id"] == event["run_id"] else f"task {event['task_id']} in {_of(event)}{run}"
    return f"{event['name']} {deed} ({where})"


def _of(event: Event) -> str:
    return f"{event['run_name']}, " if event.get("run_name") else ""


def why(event: Event) -> str | None:
    """Why, as far as it is known, or what is asked; shortened."""
    error, approval = event.get("error"), event.get("approval")
    if approval:
        text = str(approval["title"])
    elif error:
        text = f"{error.get('type') or 'Error'}: {error.get('message') or ''}".strip()
    else:
        return None
    return text if len(text) <= _MOST_ERROR else f"{text[:_MOST_ERROR]} ..."


def details(event: Event, public_url: str | None = None) -> list[str]:
    """When it was, and how to look and what to do, a line each."""
    when = datetime.fromisoformat(event["at"]).astimezone(UTC)
    attempt = f", attempt {event['attempt']}" if event.get("attempt") else ""
    lines = [f"at {when:%Y-%m-%d %H:%M:%S} UTC{attempt}"]
    if event.get("key"):
        lines.append(f"key: {event['key'][:200]}")
    if (approval := event.get("approval")) is not None:
        lines.append(f"asked: {', '.join(approval['assignees']) or 'anybody'}"[:_MOST_ERROR])
        if event.get("due_at") is not None:
            lines.append(f"until {datetime.fromisoformat(event['due_at']).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        lines.append(f"look: pgflow approval show {approval['id']}")
        lines.append(f"decide: pgflow approval approve {approval['id']}, or reject {approval['id']}")
    elif event["type"] != "test":
        lines.append(f"look: pgflow run show {event['run_id']}")
    if event["type"] == "task.failed":
        lines.append(f"try again: pgflow task redrive {event['task_id']}")
    if (link := link_of(event, public_url)) is not None:
        lines.append(link)
    return lines


def letter(event: Event, public_url: str | None = None) -> tuple[str, str]:
    """Subject and text of a mail."""
    problem = why(event)
    parts = [headline(event), *([_indented(problem)] if problem else []), "\n".join(details(event, public_url))]
    return f"[pgflow] {headline(event)}", "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def dialect_of(url: str) -> str:
    """Which chat a URL leads to, by its host: `slack`, `discord` or `teams`; else `chat`, which most understand."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "hooks.slack.com":
        return "slack"
    if host in {"discord.com", "discordapp.com"} or host.endswith((".discord.com", ".discordapp.com")):
        return "discord"
    if host.endswith((".webhook.office.com", ".logic.azure.com", ".api.powerplatform.com")):
        return "teams"
    return "chat"


def chat(event: Event, dialect: str, public_url: str | None = None) -> bytes:
    """The body for a chat's incoming webhook.

    Args:
        event: what happened.
        dialect: `chat` (`{"text": ...}`), `slack`, `discord` or `teams`.
        public_url: where people reach this engine's pages.
    """
    return orjson.dumps(_CHATS[dialect](event, public_url))


def _text(event: Event, public_url: str | None) -> str:
    problem = why(event)
    fenced = [f"```\n{problem.replace('```', '` ` `')}\n```"] if problem else []
    return "\n".join([headline(event), *fenced, *map(_harmless, details(event, public_url))])


def _harmless(line: str) -> str:
    """A key may hold what calls everybody into the channel."""
    return line.translate(_DISARMED)


def _plain(event: Event, public_url: str | None) -> dict[str, Any]:
    return {"text": _text(event, public_url)}


def _slack(event: Event, public_url: str | None) -> dict[str, Any]:
    text = _text(event, public_url)
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _discord(event: Event, public_url: str | None) -> dict[str, Any]:
    text = _text(event, public_url)
    if len(text) > _MOST_DISCORD:
        room = _MOST_DISCORD - 10
        text = f"{text[:room]} ...{chr(10)}```" if text[:room].count("```") % 2 else f"{text[:room]} ..."
    return {"content": text, "allowed_mentions": {"parse": []}}


def _teams(event: Event, public_url: str | None) -> dict[str, Any]:
    def block(text: str, **more: Any) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **more}]}

    problem = why(event)
    body = [block(headline(event), weight="bolder")]
    body += [block(problem, fontType="monospace")] if problem else []
    body += [block(line) for line in details(event)]
    link = link_of(event, public_url)
    actions = [{"type": "Action.OpenUrl", "title": "Open", "url": link}] if link else []
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": body, "actions": actions,
    }  # fmt: skip
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


_CHATS: dict[str, Callable[[Event, str | None], dict[str, Any]]] = {
    "chat": _plain, "slack": _slack, "discord": _discord, "teams": _teams,
}  # fmt: skip


def _instant(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
