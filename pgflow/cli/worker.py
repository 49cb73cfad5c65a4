"""`pgflow worker` and `pgflow scheduler`."""

from __future__ import annotations

import asyncio

import click

from pgflow import config, logs
from pgflow.db import migrations
from pgflow.runtime.lanes import parse_queues
from pgflow.runtime.supervisor import Plan, Supervisor

log_format = click.option(
    "--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", help="How to log to standard error."
)


def _run(plan: Plan) -> None:
    settings = config.load()
    logs.configure(plan.log_format)
    migrations.check(settings)

    async def run() -> None:
        supervisor = Supervisor(settings, plan)
        supervisor.handle_signals()
        await supervisor.run()

    asyncio.run(run())


@click.command()
@click.argument("targets", nargs=-1, required=True)
@click.option("-q", "--queue", "queues", multiple=True, help="Serve only this queue; mail=3 gives it a weight. Repeat.")
@click.option("-p", "--processes", default=1, show_default=True, type=click.IntRange(1, 256), help="Executors.")
@click.option("-c", "--concurrency", default=32, show_default=True, type=click.IntRange(1, 10000),
              help="Handlers at once in each executor.")  # fmt: skip
@click.option("--no-leader", is_flag=True, help="Do not stand for leader; another worker or a scheduler must.")
@log_format
def worker(
    targets: tuple[str, ...],
    queues: tuple[str, ...],
    processes: int,
    concurrency: int,
    no_leader: bool,
    log_format: str,
) -> None:
    """Run tasks of the apps in TARGETS: modules, files or folders.

    SIGTERM or Ctrl-C drains: running handlers finish, the rest is released. A second one ends at once.
    """
    _run(Plan(targets, parse_queues(queues), processes, concurrency, not no_leader, log_format))


@click.command()
@log_format
def scheduler(log_format: str) -> None:
    """Stand for leader without running tasks: timers, reaping, partitions, retention."""
    _run(Plan((), processes=0, log_format=log_format))
