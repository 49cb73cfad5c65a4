"""`pgflow queue`."""

from __future__ import annotations

import click

from pgflow import duration
from pgflow.cli import connection, output
from pgflow.engine.limits import Limit
from pgflow.errors import ArgumentError
from pgflow.sdk.task import check_queue


@click.group(cls=output.Group)
def queue() -> None:
    """Look at queues; stop and resume claiming from them."""


@queue.command("list")
def list_() -> None:
    """List the queues.

    All that have a task in motion, a worker or a setting.
    """
    with connection.client() as client:
        found = client.queues()
    columns = ["name", "queued", "running", "delayed", "oldest", "workers"]
    if any(row["paused_at"] for row in found):
        columns += ["paused_at", "paused_by"]
    output.rows(found, columns, empty="no queue has a task or a worker")


@queue.command()
@click.argument("name")
def pause(name: str) -> None:
    """Stop claiming from a queue.

    Until it is resumed. Running tasks go on.
    """
    check_queue(name, "pause")
    with connection.client() as client:
        client.pause_queue(name)
    if output.wants_json():
        output.document({"queue": name, "paused": True})
    output.note(f"paused {name}; `pgflow queue resume {name}` resumes it")


@queue.command()
@click.argument("name")
def resume(name: str) -> None:
    """Claim from a queue again."""
    check_queue(name, "resume")
    with connection.client() as client:
        was_paused = client.resume_queue(name)
    if output.wants_json():
        output.document({"queue": name, "paused": False, "was_paused": was_paused})
    output.note(f"resumed {name}" if was_paused else f"{name} was not paused")


@queue.command()
@click.argument("name")
@click.option("--concurrency", type=int, help="Tasks ready or running at once, in all.")
@click.option("--rate", metavar="N/s", help="Starts in a time, in all: 100/s, 30/m, 5/10s.")
@click.option("--burst", type=float, default=1.0, help="Starts at once after a quiet time.")
@click.option("--slot-concurrency", type=int, help="Tasks ready or running at once of each slot.")
@click.option("--slot-rate", metavar="N/s", help="Starts in a time of each slot.")
@click.option("--slot-burst", type=float, default=1.0, help="Starts of a slot at once after a quiet time.")
@click.option("--lift", is_flag=True, help="Limit the queue no more.")
def limit(
    name: str, concurrency: int | None, rate: str | None, burst: float, slot_concurrency: int | None,
    slot_rate: str | None, slot_burst: float, lift: bool,
) -> None:  # fmt: skip
    """Limit a queue, in the place of an earlier limit.

    Slots are what a task's slot= function names, such as customers: they take fair turns. Works at once, on what
    waits as well.
    """
    check_queue(name, "limit")
    with connection.client() as client:
        if lift:
            was_limited = client.lift_limit(name)
            if output.wants_json():
                output.document({"queue": name, "limited": False, "was_limited": was_limited})
            output.note(f"{name} is limited no more" if was_limited else f"{name} was not limited")
            return
        if not any((concurrency, rate, slot_concurrency, slot_rate)) and concurrency is None:
            raise ArgumentError(f"nothing to limit {name} to", hint="give --concurrency, --rate, --slot-..., or --lift")
        wanted = Limit(concurrency, _rate(rate), burst, slot_concurrency, _rate(slot_rate), slot_burst)
        client.limit_queue(name, wanted)
    if output.wants_json():
        output.document({"queue": name, "limited": True})
    output.note(f"limited {name}; `pgflow queue limits` shows what it holds back")


def _rate(text: str | None) -> float | None:
    return None if text is None else duration.rate(text)


@queue.command()
def limits() -> None:
    """List the limits, with what they hold back."""
    with connection.client() as client:
        found = client.limits()
    columns = [
        "queue",
        "concurrency",
        "rate",
        "slot_concurrency",
        "slot_rate",
        "throttled",
        "ready",
        "running",
        "set_by",
    ]
    output.rows(found, columns, empty="no queue is limited")


@queue.command()
@click.argument("name")
@click.argument("every")
def age(name: str, every: str) -> None:
    """Make waiting tasks more urgent with time.

    One priority each time EVERY (such as 10m, at most 1h) has passed, so that low ones do not starve; `never` ends it.
    """
    check_queue(name, "age")
    with connection.client() as client:
        client.age_queue(name, None if every == "never" else duration.parse(every))
    if output.wants_json():
        output.document({"queue": name, "every": every})
    output.note(f"waiting tasks of {name} grow more urgent: {every}")
