"""What a responder is handed: who asks for what (`Asked`), and the transaction of one that changes something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import falcon.asgi
import orjson
import psycopg

from pgflow.access import Principal
from pgflow.api.plain import PlainNames
from pgflow.api.problems import ProblemError
from pgflow.db.call import AsyncSession, Call
from pgflow.db.failures import CONFLICT_TRIES, is_conflict, translated
from pgflow.engine import audit_entries
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.verbs import Steps

if TYPE_CHECKING:
    from pgflow.api.backend import Backend

R = TypeVar("R")

MOST_BYTES = 64 * 1024
"""Of what an audit entry tells of before and after."""


class Asked:
    """A request, as responders see it.

    Attributes:
        req: falcon's request.
        who: who asks; None where anybody may.
        address: from where.
        request_id: what the log has it under.
    """

    def __init__(self, backend: Backend, req: falcon.asgi.Request, request_id: str, address: str) -> None:
        self._backend = backend
        self.req = req
        self.request_id = request_id
        self.address = address
        self.who: Principal | None = None
        self.session: bytes | None = None
        """The hash of the session, of who came with a cookie."""
        self.forwarded_https = False
        """A proxy of ours says that it was asked over TLS."""

    @property
    def actor(self) -> str:
        """Who asks, as history and audit name them."""
        return "anonymous" if self.who is None else self.who.actor

    @property
    def body_limit(self) -> int:
        """How many bytes a body may have."""
        return self._backend.settings.api_body_limit

    @property
    def payload_limit(self) -> int:
        """How many bytes arguments may have."""
        return self._backend.settings.payload_limit

    @property
    def plain(self) -> PlainNames:
        """Which names are no graph's."""
        return self._backend.plain

    @property
    def scoped(self) -> bool:
        """Whether who asks may only see some of it all."""
        return self.who is not None and self.who.scopes is not None

    def reaches(self, *, workflow: str | None = None, queue: str | None = None) -> bool:
        """Whether what has this name or queue is theirs to see."""
        return self.who is None or self.who.reaches(workflow=workflow, queue=queue)

    def require(self, *, workflow: str | None = None, queue: str | None = None) -> None:
        """Raise `forbidden` unless what has this name or queue is theirs."""
        if not self.reaches(workflow=workflow, queue=queue):
            of = f"workflow {workflow}" if workflow is not None else f"queue {queue}"
            raise ProblemError("forbidden", f"{of} is not in your scopes")


class Change(Asked):
    """A request that changes something, in the transaction that changes it and tells of it.

    All of it happens, with its entry in the audit, or nothing. It may be begun anew when it met another's transaction,
    so a responder keeps nothing outside of it.

    Attributes:
        client: the verbs, in this transaction and in the name of who asks.
    """

    client: AsyncClient

    def __init__(self, asked: Asked, action: str, client: AsyncClient, session: AsyncSession) -> None:
        super().__init__(asked._backend, asked.req, asked.request_id, asked.address)
        self.who, self.session, self.forwarded_https = asked.who, asked.session, asked.forwarded_https
        self.client = client
        self._session = session
        self._action = action
        self._target: str | None = None
        self._before: Any = None
        self._after: Any = None
        self._silent = False

    async def run(self, call: Call[R]) -> R:
        """Run a call in this transaction."""
        return await self._session.run(call)

    async def drive(self, steps: Steps[R]) -> R:
        """Run a verb of several calls in this transaction."""
        return await self.client._drive(steps)

    def tell(self, target: str, *, before: Any = None, after: Any = None, action: str | None = None) -> None:
        """What the audit is to tell.

        Args:
            target: what was changed, as in `run:17`.
            before: what it was.
            after: what it is now.
            action: what was done, when it is not what the operation is called.
        """
        self._target, self._before, self._after = target, before, after
        self._action = action or self._action

    def nothing_changed(self) -> None:
        """There is nothing to be told."""
        self._silent = True

    async def _write(self) -> None:
        if self._silent:
            return
        entry = audit_entries.Entry(
            self.actor, self._action, self._target, _json(self._before), _json(self._after), self.address,
            self.request_id,
        )  # fmt: skip
        await self._session.run(audit_entries.write(entry))


def _json(value: Any) -> bytes | None:
    if value is None:
        return None
    text = orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
    return text if len(text) <= MOST_BYTES else orjson.dumps({"too_large": len(text)})


async def change(asked: Asked, action: str, work: Callable[[Change], Awaitable[R]]) -> R:
    """Do something in a transaction of its own, with its entry in the audit; anew when it met another's."""
    backend = asked._backend
    for left in range(CONFLICT_TRIES - 1, -1, -1):
        try:
            with translated():
                async with backend.connection() as connection, connection.transaction():
                    session = AsyncSession(connection, backend.settings.schema_name)
                    client = backend.client.on(connection)
                    client._actor = asked.actor
                    made = Change(asked, action, client, session)
                    result = await work(made)
                    await made._write()
                return result
        except psycopg.Error as error:
            if not left or not is_conflict(error):
                raise
    raise AssertionError
