"""`pgflow api`."""

from __future__ import annotations

import click

from pgflow import config
from pgflow.cli.worker import log_format
from pgflow.db import migrations


@click.command()
@click.argument("targets", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8484, show_default=True, type=click.IntRange(0, 65535), help="The port there.")
@click.option("-p", "--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="How many.")
@click.option("--connections", default=1000, show_default=True, type=click.IntRange(1, 100_000),
              help="Most that each process keeps open.")  # fmt: skip
@click.option("--graceful", default=20.0, show_default=True, type=click.FloatRange(0, 3600),
              help="Seconds that requests have to end after SIGTERM.")  # fmt: skip
@click.option("--idle", default=30, show_default=True, type=click.IntRange(1, 3600),
              help="Seconds that a connection may rest before a request has come.")  # fmt: skip
@click.option("--cert", type=click.Path(exists=True, dir_okay=False), help="A TLS certificate (PEM).")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="Its key.")
@click.option("--access-log", is_flag=True, help="Say a line for each request, on standard output.")
@log_format
def api(
    targets: tuple[str, ...], host: str, port: int, processes: int, connections: int, graceful: float, idle: int,
    cert: str | None, key: str | None, access_log: bool, log_format: str,
) -> None:  # fmt: skip
    """Serve the REST API.

    With TARGETS (modules, files or folders with apps), what is started of their tasks is checked against the code;
    without, it is started by its name.

    Who asks needs a token or has to sign in: `pgflow token create`, `pgflow user create`. SIGTERM ends it when what is
    under way has been answered.
    """
    from pgflow.api.server import Listening, serve

    settings = config.load()
    migrations.check(settings)
    listening = Listening(host, port, processes, targets, graceful, connections, idle, log_format=log_format,
                          access_log=access_log, certificate=cert, key=key)  # fmt: skip
    serve(settings, listening)
