"""Engine connections: how they are opened, and the planner settings no hot statement may go without.

The places are empty one second and full the next, and a generic plan cached while they were empty stays. So engine
connections refuse the scans whose cost depends on how full a table is, never start the JIT, and plan once. Users'
own SQL must never run under these settings.
"""

from __future__ import annotations

import os
import select
import socket
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgflow.config import Settings
from pgflow.db.failures import translated
from pgflow.errors import ConfigError

PLANNER = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
# Instants come back in UTC wherever the server stands: in another zone those at the ends of the calendar cannot be
# read, and JSON has offsets with seconds for those before there were time zones.
_ZONE = {"TimeZone": "UTC"}
# A peer that vanished without a word is noticed within seconds, on both ends.
_KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}
_SERVER_KEEPALIVE = {"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"}


def _url(settings: Settings, direct: bool = False) -> str:
    """Where to. Of one that cannot be read nothing is repeated: it has a password."""
    own = direct and settings.direct_url
    url = own or settings.require_url()
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise ConfigError(
            f"the database's URL ({'PGFLOW_DIRECT_URL' if own else 'PGFLOW_DATABASE_URL'}) cannot be read",
            hint="write it like postgresql://user:password@host:5432/database, with %25 for % in a password, %40 for @,"
            " %2F for / and %20 for a space",
        ) from None
    return url


def _options(settings: Settings, direct: bool, extra: dict[str, str]) -> str:
    if settings.pooled and not direct:
        return ""  # poolers refuse start-up options: there the role or database carries them (see doctor)
    given = {**PLANNER, **_ZONE, **_SERVER_KEEPALIVE, **extra}
    return " ".join(f"-c {name}={value}" for name, value in given.items())


def _prepare_threshold(settings: Settings, direct: bool) -> int | None:
    return None if settings.pooled and not direct else 1


def _arguments(settings: Settings, purpose: str, direct: bool, extra: dict[str, str]) -> dict[str, Any]:
    return {
        "autocommit": True,
        "application_name": f"pgflow {purpose} {socket.gethostname()}:{os.getpid()}"[:63],
        "options": _options(settings, direct, extra),
        "prepare_threshold": _prepare_threshold(settings, direct),
        **_KEEPALIVE,
    }


def _configure(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    set_json_loads(orjson.loads, connection)


async def _configure_async(connection: psycopg.AsyncConnection[Any]) -> None:
    _configure(connection)


async def open_async(
    settings: Settings, purpose: str, *, direct: bool = False, **server_settings: str
) -> psycopg.AsyncConnection[Any]:
    """An autocommit engine connection.

    Args:
        settings: where to.
        purpose: shown in pg_stat_activity, as in `claim` or `leader`.
        direct: go around a pooler, for LISTEN and session locks.
        server_settings: more `SET`s, such as `statement_timeout="30s"`.
    """
    url = _url(settings, direct)
    with translated():
        connection = await psycopg.AsyncConnection.connect(
            url, **_arguments(settings, purpose, direct, server_settings)
        )
    _configure(connection)
    return connection


def open_sync(
    settings: Settings, purpose: str, *, direct: bool = False, **server_settings: str
) -> psycopg.Connection[Any]:
    """An autocommit engine connection for sync code."""
    url = _url(settings, direct)
    with translated():
        connection = psycopg.Connection.connect(url, **_arguments(settings, purpose, direct, server_settings))
    _configure(connection)
    return connection


def _dead(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether a resting connection has something to say: nearly always that it was closed. Costs no round trip."""
    look = select.poll()  # unlike select.select() it takes any descriptor, also in a process that has thousands
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))


def _check(connection: psycopg.Connection[Any]) -> None:
    if _dead(connection):
        ConnectionPool.check_connection(connection)


async def _check_async(connection: psycopg.AsyncConnection[Any]) -> None:
    if _dead(connection):
        await AsyncConnectionPool.check_connection(connection)


def pool_sync(settings: Settings, size: int = 4, *, users: bool = False) -> ConnectionPool[psycopg.Connection[Any]]:
    """A pool of engine connections, opened at first use; or, for users' own SQL, of plain ones in transactions."""
    return ConnectionPool(
        _url(settings), min_size=0, max_size=size, open=False, timeout=15, configure=_configure,
        kwargs=_users(settings) if users else _arguments(settings, "client", False, {}), check=_check, name="pgflow",
    )  # fmt: skip


def pool_async(
    settings: Settings, size: int = 4, *, users: bool = False
) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """A pool of async engine connections, opened at first use; or, for users' SQL, of plain ones in transactions."""
    return AsyncConnectionPool(
        _url(settings), min_size=0, max_size=size, open=False, timeout=15, configure=_configure_async,
        kwargs=_users(settings) if users else _arguments(settings, "client", False, {}), check=_check_async,
        name="pgflow",
    )  # fmt: skip


def _users(settings: Settings) -> dict[str, Any]:
    return _arguments(settings, "tx", False, {}) | {"autocommit": False, "options": ""}
