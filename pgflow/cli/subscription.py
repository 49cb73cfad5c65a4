"""`pgflow subscription`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pgflow import duration as durations
from pgflow.cli import connection, output
from pgflow.cli.parameters import ID, LIMIT, STATE, duration, instant
from pgflow.engine.subscriptions import Delivery, Subscription
from pgflow.errors import ArgumentError, PgflowError, ResultTimeout
from pgflow.sdk.registry.subscriptions import FAILURES, FORMATS, subscription_of

_NAME = click.argument("name")
_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@click.group(cls=output.Group)
def subscription() -> None:
    """Tell others of events: by webhook, in a chat, by mail."""


@subscription.command()
@_NAME
@click.argument("url")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE",
    help="Events, as in task.failed or workflow.*; task.failed unless given. Repeat.",
)  # fmt: skip
@click.option("--name", "names", multiple=True, metavar="PATTERN", help="Only tasks called so, as in orders.*. Repeat.")
@click.option("--runs-only", is_flag=True, help="Nothing of tasks within a run.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How it is told; by the URL unless given.")
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A stored secret that signs. Repeat.")
@click.option("--replace", is_flag=True, help="In the place of the one of that name.")
def create(
    name: str, url: str, types: Sequence[str], names: Sequence[str], runs_only: bool, form: str | None,
    secrets: Sequence[str], replace: bool,
) -> None:  # fmt: skip
    """Tell a URL of events, from now on.

    https://... gets signed webhooks, mailto:ann@example.com mail. With --format chat it is told as incoming webhooks
    of chats expect it. ${secrets.NAME} is a stored secret that holds the URL.

    \b
    Example:
      pgflow subscription create alerts https://chat.example.com/hooks/x --format chat
      pgflow subscription create shop https://shop.example.com/flows --type 'workflow.*' --secret SHOP_KEY
    """
    wanted = subscription_of(
        name, url, types=types or FAILURES, names=names or None, runs_only=runs_only, format=form, secrets=secrets
    )
    given: dict[str, Any] = {
        "types": wanted.types, "names": wanted.names, "runs_only": runs_only, "format": wanted.format,
        "secrets": wanted.secrets,
    }  # fmt: skip
    with connection.client() as client:
        if replace:
            done = client.subscriptions.put(name, url, **given)
        else:
            client.subscriptions.create(name, url, **given)
            done = "created"
    if output.wants_json():
        output.document({"name": name, "done": done})
    output.note(f"{done} {name}; `pgflow subscription test {name}` sends a made-up event")
    if wanted.format == "webhook" and not secrets:
        output.note("its deliveries are not signed: nobody can tell them from forged ones; see --secret")
    if url.startswith("http:"):
        output.note("http is not encrypted: others may read and change what is delivered")


@subscription.command("list")
def list_() -> None:
    """List the subscriptions."""
    with connection.client() as client:
        found = [_row(one) for one in client.subscriptions.list()]
    columns = ["name", "state", "types", "names", "format", "url"]
    if any(row["disabled_why"] for row in found):
        columns.append("disabled_why")
    output.rows(found, columns, empty="there are no subscriptions; `pgflow subscription create` makes one")


def _row(one: Subscription) -> dict[str, Any]:
    state = "disabled" if one.disabled_at else "failing" if one.failing_since else "enabled"
    return {"name": one.name, "state": state, **{key: value for key, value in asdict(one).items() if key != "name"}}


@subscription.command()
@_NAME
def show(name: str) -> None:
    """Show all about a subscription."""
    with connection.client() as client:
        output.details(_row(client.subscriptions.get(name)))


@subscription.command()
@_NAMES
def enable(names: tuple[str, ...]) -> None:
    """Tell these of events again, from now on.

    What was missed meanwhile is not made up for; `redeliver --since` delivers what had been on its way.
    """
    with connection.client() as client:
        done = client.subscriptions.enable(*names)
    _say("enabled", names, done)


@subscription.command()
@_NAMES
@click.option("--why", default="disabled by hand", show_default=True, help="For whoever finds it disabled.")
def disable(names: tuple[str, ...], why: str) -> None:
    """Tell these of nothing any more, until they are enabled."""
    with connection.client() as client:
        done = client.subscriptions.disable(*names, why=why)
    _say("disabled", names, done)


@subscription.command()
@_NAMES
def remove(names: tuple[str, ...]) -> None:
    """Remove subscriptions."""
    with connection.client() as client:
        done = client.subscriptions.remove(*names)
    _say("removed", names, done)


def _say(deed: str, names: Sequence[str], done: Sequence[str]) -> None:
    if output.wants_json():
        output.document({deed: list(done)})
    for name in dict.fromkeys(names):
        output.note(f"{deed} {name}" if name in done else f"{name} was {deed} already")


@subscription.command()
@_NAME
@click.option("--state", type=STATE, help="Only those in this state.")
@click.option("--since", metavar="INSTANT | DURATION", help="Only those made since then, as in 2026-05-01 or 2h.")
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="How many.")
def deliveries(name: str, state: str | None, since: str | None, limit: int) -> None:
    """List what became of events, newest first."""
    begun = None if since is None else _since(since)
    with connection.client() as client:
        found = [
            _delivered(one) for one in client.subscriptions.deliveries(name, state=state, since=begun, limit=limit)
        ]
    columns = ["id", "type", "name", "run_id", "state", "attempt", "status", "created_at", "due_at", "error"]
    output.rows(found, columns, empty=f"nothing was delivered to {name}")


def _delivered(one: Delivery) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name not in {"key", "input"}}


def _since(text: str) -> datetime:
    """An instant, or a duration back from now."""
    try:
        return datetime.now(UTC) - timedelta(seconds=durations.parse(text))
    except (ArgumentError, OverflowError):
        return instant(text)


@subscription.command()
@_NAME
@click.argument("ids", nargs=-1, type=ID, metavar="[DELIVERY...]")
@click.option("--since", metavar="INSTANT | DURATION", help="All since then that have not come through.")
@click.option("--again", is_flag=True, help="With --since: also those that have.")
def redeliver(name: str, ids: tuple[int, ...], since: str | None, again: bool) -> None:
    """Deliver once more what was given up, or is wanted again.

    It goes under the same id as before. What is still under way is left alone.
    """
    if again and since is None:
        raise ArgumentError("--again goes with --since")
    begun = None if since is None else _since(since)
    with connection.client() as client:
        started = client.subscriptions.redeliver(name, *ids, since=begun, again=again)
    if output.wants_json():
        output.document({"redelivering": list(started)})
    output.note(f"delivering {len(started)} once more; `pgflow subscription deliveries {name}` shows how it goes")


@subscription.command()
@_NAME
@click.option("--timeout", type=duration, default=30.0, help="How long to wait for what comes back: 30s unless given.")
def test(name: str, timeout: float) -> None:
    """Send a made-up event, and say what came back.

    A worker sends it, as it sends all others. It is sent once, even if the subscription is disabled.
    """
    with connection.client() as client:
        handle = client.subscriptions.test(name)
        try:
            answer = client.result(handle, timeout=timeout)
        except ResultTimeout:
            why = f"nothing came back within {timeout:g} s"
            raise PgflowError(why, hint="is a worker running, and a leader? see `pgflow workers`") from None
    if output.wants_json():
        output.document({"delivery": handle.id, **answer})
    told = f"the answer was {answer['status']}" if "status" in answer else "the mail server took it"
    output.note(f"{name} is told: {told}")
