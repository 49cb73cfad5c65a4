"""Subscriptions: who is told of lifecycle events, and what has become of it.

The deliveries themselves are made by `sql/functions/deliver.sql`, in the transaction of the event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows

TASK = "pgflow.deliver"
"""The task that delivers."""
QUEUE = "pgflow.deliveries"
"""Where deliveries wait: a queue of their own, limited per host, so that a slow one holds up nobody else."""
CONCURRENCY = 16
"""Deliveries at once in all."""
SLOT_CONCURRENCY = 2
"""Deliveries at once to one host."""

MOST_FAILURES = 20
"""Deliveries in a row that were given up, after which a subscription is disabled."""
MOST_SECONDS = 5 * 86400.0
"""Or seconds without any that came through."""

SECRET_URL = re.compile(r"\$\{secrets\.([^}]*)\}")
"""A URL that is a secret. Only as a whole: as a part of one, a secret could be sent to wherever the rest leads."""

_STATUS = re.compile(r"\banswered (\d{3})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Who is told of which events.

    Attributes:
        name: its own.
        types: patterns of event types, as in `workflow.*`.
        names: patterns of the names of workflows and tasks; None: all.
        runs_only: nothing of tasks within a run.
        url: where to; or `${secrets.NAME}`, a secret that holds it.
        format: `webhook`, `chat` (`slack`, `discord`, `teams`) or `email`.
        secrets: names of secrets that deliveries are signed with, each with all of them.
        failures: deliveries in a row that were given up.
        failing_since: nothing has come through since.
        disabled_at: since when it is told of nothing.
        disabled_why: why.
        revision: one more at each change.
        created_at: when it was made.
        changed_at: when it was last changed.
        actor: who changed it.
    """

    id: int | None = None
    name: str
    types: Sequence[str]
    names: Sequence[str] | None = None
    runs_only: bool = False
    url: str
    format: str = "webhook"
    secrets: Sequence[str] = ()
    failures: int = 0
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_why: str | None = None
    revision: int = 1
    created_at: datetime | None = None
    changed_at: datetime | None = None
    actor: str | None = None


_COLUMNS = (
    "id", "name", "types", "names", "runs_only", "url", "format", "secrets", "failures", "failing_since",
    "disabled_at", "disabled_why", "revision", "created_at", "changed_at", "actor",
)  # fmt: skip


def put(subscription: Subscription, slot: str, *, create: bool = False, actor: str | None = None) -> Call[str]:
    """Create or change a subscription. Returns `created`, `changed` or `unchanged`.

    Args:
        subscription: as it shall be.
        slot: whose deliveries take turns.
        create: leave one of that name alone, if there is one.
        actor: who asks.
    """
    params = {
        "name": subscription.name,
        "types": list(subscription.types),
        "names": None if subscription.names is None else list(subscription.names),
        "runs_only": subscription.runs_only,
        "url": subscription.url,
        "slot": slot,
        "format": subscription.format,
        "secrets": list(subscription.secrets),
        "queue": QUEUE,
        "concurrency": CONCURRENCY,
        "slot_concurrency": SLOT_CONCURRENCY,
        "create": create,
        "actor": actor,
    }
    return Call("subscription/put", params, lambda rows: str(rows[0][0]))


def subscriptions(names: Sequence[str] | None = None) -> Call[list[Subscription]]:
    """These subscriptions, or all, by name."""

    def parse(rows: Rows) -> list[Subscription]:
        return [Subscription(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    return Call("subscription/list", {"names": None if names is None else list(names)}, parse)


def lock(name: str) -> Call[int | None]:
    """Keep others from changing it until the transaction ends. Returns its revision; None: there is none."""
    return Call("subscription/lock", {"name": name}, lambda rows: int(rows[0][0]) if rows else None)


def enable(names: Sequence[str], *, actor: str | None = None) -> Call[list[str]]:
    """Tell these of events again. Returns those that were disabled."""
    return Call("subscription/enable", {"names": list(names), "actor": actor}, _names)


def disable(names: Sequence[str], why: str, *, actor: str | None = None) -> Call[list[str]]:
    """Tell these of nothing any more. Returns those that were enabled."""
    return Call("subscription/disable", {"names": list(names), "why": why, "actor": actor}, _names)


def remove(names: Sequence[str]) -> Call[list[str]]:
    """Remove these. Returns those there were."""
    return Call("subscription/remove", {"names": list(names)}, _names)


class Address(NamedTuple):
    """Where an event is to be delivered, and what it does not say by itself.

    Attributes:
        name: the subscription's.
        url: where to.
        format: in which form.
        secrets: names of secrets to sign with.
        disabled_why: why the subscription is told of nothing; None when it is enabled.
        failing: deliveries have failed since the last one that came through.
        run_name: the name of the event's run.
        error: what the event's task ended with, if it failed.
    """

    name: str
    url: str
    format: str
    secrets: list[str]
    disabled_why: str | None
    failing: bool
    run_name: str | None
    error: dict[str, Any] | None


def address(subscription: int, run_id: int, task_id: int) -> Call[Address | None]:
    """Where to; None when the subscription is gone."""
    params = {"subscription": subscription, "run": run_id, "task": task_id}
    return Call("subscription/address", params, lambda rows: Address._make(rows[0]) if rows else None)


def delivered(subscription: int) -> Call[None]:
    """A delivery has come through."""
    return Call("subscription/delivered", {"subscription": subscription}, lambda _: None)


def failed(subscription: int, error: str, *, given_up: bool, gone: str | None = None) -> Call[str | None]:
    """A delivery has not come through. Returns why, if that disabled the subscription.

    Args:
        subscription: its id.
        error: what went wrong.
        given_up: it will not be tried again.
        gone: why the subscription is to be disabled at once.
    """
    params = {
        "subscription": subscription, "error": error[:500], "given_up": given_up, "gone": gone, "most": MOST_FAILURES,
        "seconds": MOST_SECONDS,
    }  # fmt: skip
    return Call("subscription/failed", params, lambda rows: rows[0][0] if rows else None)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of one event to one subscription.

    Attributes:
        id: the task that delivers.
        event_id: the event; None of a test.
        type: what happened.
        run_id: in which run.
        task_id: to which task.
        name: its name.
        state: where the delivery is; None while it is just moving.
        delivered: it has come through.
        attempt: how often it was tried, the attempt that is due included.
        status: the receiver's last HTTP status, if it ever answered.
        error: why it has not come through so far.
        created_at: when the event happened.
        due_at: when it is tried again.
        finished_at: when it came through, or was given up.
        key: where it stands among the subscription's.
        input: what it was asked to deliver.
    """

    id: int
    event_id: int | None
    type: str
    run_id: int
    task_id: int
    name: str
    state: str | None
    delivered: bool
    attempt: int | None
    status: int | None
    error: str | None
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    key: str
    input: Mapping[str, Any]


def _delivery(row: tuple[Any, ...]) -> Delivery:
    id, _, key, created_at, input, state, attempt, due_at, finished_at, output, error = row
    event, said = input["event"], output or {}
    problem = error["message"] if error else said.get("why")
    status = said.get("status")
    if status is None and problem and (found := _STATUS.search(problem)):
        status = int(found[1])
    done = bool(said.get("delivered"))
    return Delivery(
        id, event.get("id"), event["type"], event["run_id"], event["task_id"], event["name"], state, done, attempt,
        status, None if done else problem, created_at, due_at, finished_at, key, input,
    )  # fmt: skip


def deliveries(
    subscription: int, *, before: str | None = None, state: str | None = None, since: datetime | None = None,
    undelivered: bool = False, ids: Sequence[int] | None = None, limit: int = 50,
) -> Call[list[Delivery]]:  # fmt: skip
    """Deliveries of a subscription, the newest event first.

    Args:
        subscription: its id.
        before: only those before this key: the last one of the page before.
        state: only those in this state.
        since: only those made at or after this instant.
        undelivered: only those that have not come through.
        ids: only these.
        limit: how many at most.
    """
    params = {
        "task": TASK, "lower": f"delivery/{subscription}/", "upper": before or f"delivery/{subscription}0",
        "state": state, "since": since, "undelivered": undelivered, "ids": None if ids is None else list(ids),
        "limit": limit,
    }  # fmt: skip
    return Call("subscription/deliveries", params, lambda rows: [_delivery(row) for row in rows])


def _names(rows: Rows) -> list[str]:
    return sorted(row[0] for row in rows)
