"""The API under gunicorn, with its own asgi worker: processes and limits. How one ends: `pgflow.api.serving`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication

from pgflow import logs
from pgflow.api.app import create_app
from pgflow.api.metering import SHARED, forget
from pgflow.api.serving import Master, forked, leave
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.engine import access
from pgflow.errors import ConfigError
from pgflow.sdk.loading import load
from pgflow.sdk.task import Task

DEFAULT_PORT = 8484


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and how the API is served.

    Args:
        host: an address to listen at.
        port: the port there.
        processes: how many.
        targets: modules, files or folders with apps, whose tasks' arguments are to be checked here.
        graceful: seconds that requests have to end after SIGTERM.
        most_connections: that one process keeps open.
        idle: seconds that a connection may rest before a request has come.
        log_format: as in `logs.configure`.
        access_log: say a line for each request.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    processes: int = 1
    targets: tuple[str, ...] = ()
    graceful: float = 20.0
    most_connections: int = 1000
    idle: float = 30.0
    log_format: str = "auto"
    access_log: bool = False
    certificate: str | None = None
    key: str | None = None


class Server(BaseApplication):  # type: ignore[misc]
    """The API as gunicorn runs it."""

    def __init__(self, settings: Settings, listening: Listening) -> None:
        self._settings = settings
        self._listening = listening
        super().__init__()

    def run(self) -> None:
        """Serve until told to stop."""
        Master(self).run()

    def load_config(self) -> None:
        """Gunicorn's own settings. Nothing is read from its files or variables."""
        for name, value in _gunicorn(self._listening).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application, in a worker."""
        logs.configure(self._listening.log_format)
        tasks: Mapping[str, Task[..., Any]] = {}
        if self._listening.targets:
            tasks = load(self._listening.targets)
        return create_app(self._settings, tasks, processes=self._listening.processes)


def _gunicorn(listening: Listening) -> dict[str, Any]:
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    chosen: dict[str, Any] = {
        "bind": f"{host}:{listening.port}",
        "workers": listening.processes,
        "worker_class": "pgflow.api.serving.DrainingWorker",
        "worker_connections": listening.most_connections,
        "graceful_timeout": int(listening.graceful),
        "timeout": 60,  # without a beat of the loop
        "keepalive": int(listening.idle),
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        "asgi_lifespan": "on",
        "forwarded_allow_ips": "",  # the application decides for itself whom it believes
        "proc_name": "pgflow api",
        "loglevel": "warning",
        "accesslog": "-" if listening.access_log else None,
        "websocket_max_message_size": 64 * 1024,
        "control_socket_disable": True,
        "post_fork": forked,
        "child_exit": _forget,
        "certfile": listening.certificate,
        "keyfile": listening.key,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _forget(_: Any, worker: Any) -> None:
    """A process has ended: what it counted stays, what it had open does not."""
    folder = os.environ.get(SHARED)
    if folder:
        forget(folder, worker.pid)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(settings: Settings, listening: Listening) -> NoReturn:
    """Serve until told to stop, and end the process.

    Raises:
        ConfigError: others than this machine would reach it, and nobody could be let in.
    """
    if not is_loopback(listening.host):
        with connect.open_sync(settings, "api") as connection:
            if not Session(connection, settings.schema_name).run(access.anybody()):
                raise ConfigError(
                    f"there is neither a user nor a token yet, so the API does not listen at {listening.host}",
                    hint="make the first: pgflow user create NAME --role admin",
                )
    status = 0
    with ExitStack() as stack:
        if listening.processes > 1 and not os.environ.get(SHARED):
            os.environ[SHARED] = stack.enter_context(TemporaryDirectory(prefix="pgflow-api-"))
        master = os.getpid()
        try:
            Server(settings, listening).run()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if os.getpid() != master:  # a process that could not be made ready: what is shared is not its own to remove
            leave(status)
    leave(status)
