"""The connection behind a command: opened, checked, and given to whoever asks the engine something."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgflow import config
from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.errors import SchemaError
from pgflow.sdk.client import Client


def actor() -> str:
    """Who acts, for the history."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"cli@{socket.gethostname()}"


@contextmanager
def session(purpose: str, **server_settings: str) -> Iterator[Session]:
    """Calls on a connection to an engine of exactly this version.

    Raises:
        DatabaseUnavailable, PermissionDenied: it cannot be opened or looked at.
        SchemaError: the schema is missing, old or newer.
    """
    settings = config.load()
    with connect.open_sync(settings, purpose, direct=False, **server_settings) as connection:
        require_schema(connection, settings)
        yield Session(connection, settings.schema_name)


@contextmanager
def client() -> Iterator[Client]:
    """The client's verbs on such a connection, in the name of who runs the command."""
    with session("cli") as opened:
        yield Client(config.load(), actor=actor()).on(opened.connection)


def require_schema(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """Raise a SchemaError unless the schema is there and of this version."""
    found = migrations.plan(connection, settings.schema_name)
    if found.current == 0:
        raise SchemaError(
            f"there is no pgflow in the schema {settings.schema_name!r} of this database",
            hint="run `pgflow migrate`, or set PGFLOW_SCHEMA if it has another name",
        )
    if found.current < found.latest:
        raise SchemaError(
            f"schema {settings.schema_name!r} is at version {found.current}, this pgflow needs {found.latest}",
            hint="run `pgflow migrate`",
        )
