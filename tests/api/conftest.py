"""The API on a database of its own, asked without a network; and a token for each kind of asker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from falcon.testing import ASGIConductor, Result
from psycopg_pool import AsyncConnectionPool

from pgflow import access
from pgflow.access import Role
from pgflow.api.app import create_app
from pgflow.config import Settings
from pgflow.engine import access as verbs
from pgflow.sealing import new_key
from tests.fixtures.database import Engine

RATES = {
    "api_rate": "100000/second", "api_address_rate": "100000/second", "api_login_rate": "100000/minute",
    "secret_keys": [new_key()],
}  # fmt: skip


@dataclass
class Askers:
    """Makes tokens."""

    engine: Engine

    def token(self, role: str = "admin", *scopes: str, lifetime: float | None = None, name: str = "") -> str:
        made = access.new_token()
        call = verbs.create_token(
            name or made[4:24].strip("-_"), made[: access.SHOWN], access.digest(made), Role.of(role),
            list(scopes) or None, lifetime,
        )  # fmt: skip
        assert self.engine.run(call) is not None
        return made

    def expired(self) -> str:
        return self.token("admin", lifetime=-1.0)

    def revoked(self) -> str:
        made = self.token("admin")
        self.engine.query(
            "update pgflow.token set revoked_at = now() where hash = %s returning id", access.digest(made)
        )
        return made


@pytest.fixture
def askers(engine: Engine) -> Askers:
    return Askers(engine)


@dataclass
class Api:
    """Asks the API, as an admin unless told otherwise."""

    conductor: ASGIConductor
    admin: str

    async def __call__(
        self, method: str, path: str, json: Any = None, *, token: str | None = "", **more: Any
    ) -> Result:
        headers = dict(more.pop("headers", {}))
        if token is not None and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {token or self.admin}"
        if json is not None:
            more["json"] = json
        more.setdefault("remote_addr", "127.0.0.1")
        result: Result = await self.conductor.simulate_request(method, path, headers=headers, **more)
        return result

    async def get(self, path: str, **more: Any) -> Result:
        return await self("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> Result:
        return await self("POST", path, json, **more)


@pytest.fixture
def api_settings(database: Settings) -> Settings:
    return database.model_copy(update=RATES)


Opened = Callable[..., Awaitable[Api]]


@pytest.fixture
async def api(api_settings: Settings, askers: Askers) -> AsyncIterator[Api]:
    async with ASGIConductor(create_app(api_settings)) as conductor:
        yield Api(conductor, askers.token("admin", name="tester"))


@pytest.fixture
def one_connection_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds a connection of a pool may not wait for a second one: when all do, all wait for ever."""
    holding: set[tuple[object, object]] = set()
    connection = AsyncConnectionPool.connection

    @asynccontextmanager
    async def counted(pool: AsyncConnectionPool[Any], timeout: float | None = None) -> AsyncIterator[Any]:
        mine = (pool, asyncio.current_task())
        assert mine not in holding, "a second connection is taken while one is held"
        holding.add(mine)
        try:
            async with connection(pool, timeout) as taken:
                yield taken
        finally:
            holding.discard(mine)

    monkeypatch.setattr(AsyncConnectionPool, "connection", counted)
