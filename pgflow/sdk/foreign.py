"""Callers' own connections: psycopg's, or what SQLAlchemy wraps around them. Nothing of SQLAlchemy is imported."""

from __future__ import annotations

from typing import Any

import psycopg

from pgflow.errors import ConfigError


def _unwrap(connection: Any) -> Any:
    """The driver's connection inside SQLAlchemy's Session, Connection or pool proxy.

    SQLAlchemy does not see what is sent over the driver's connection: a transaction that it has not begun itself, its
    commit would not end, and what we wrote would be rolled back without a word. So it begins one here.
    """
    if callable(getattr(connection, "connection", None)):  # Session
        try:
            connection = connection.connection()
        except Exception as error:
            if type(error).__name__ != "MissingGreenlet":
                raise
            raise ConfigError(
                "this AsyncSession has no connection yet", hint="client.on(await session.connection())"
            ) from None
    elif callable(getattr(connection, "in_transaction", None)) and not connection.in_transaction():
        connection.begin()
    inner = getattr(connection, "connection", connection)  # Connection -> pool proxy
    return getattr(inner, "driver_connection", inner)


def sync_connection(connection: Any) -> psycopg.Connection[Any]:
    """The psycopg connection in `connection`, or a ConfigError."""
    if isinstance(connection, psycopg.Connection):
        return connection
    driver = _unwrap(connection)
    if isinstance(driver, psycopg.Connection):
        return driver
    raise ConfigError(
        f"a {type(driver).__module__}.{type(driver).__name__} is not a sync psycopg connection",
        hint="pgflow speaks psycopg 3: with SQLAlchemy use a postgresql+psycopg:// URL; async ones go to AsyncClient",
    )


def async_connection(connection: Any) -> psycopg.AsyncConnection[Any]:
    """The psycopg async connection in `connection`, or a ConfigError."""
    if isinstance(connection, psycopg.AsyncConnection):
        return connection
    driver = _unwrap(getattr(connection, "sync_connection", None) or getattr(connection, "sync_session", connection))
    if isinstance(driver, psycopg.AsyncConnection):
        return driver
    raise ConfigError(
        f"a {type(driver).__module__}.{type(driver).__name__} is not an async psycopg connection",
        hint="pgflow speaks psycopg 3: with SQLAlchemy use a postgresql+psycopg:// URL; sync ones go to Client",
    )
