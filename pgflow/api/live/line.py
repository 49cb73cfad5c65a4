"""One connection that is kept open: what it subscribes to, and whether it still reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pgflow.api.asked import Asked
from pgflow.sdk.live.subscription import Subscription

STUCK = 15.0
"""Seconds after which a connection is cut whose other side takes nothing of what waits for it."""


def _nobody() -> None:
    """Who does not say how to be rung needs not be."""


class Line:
    """A connection that is kept open.

    Args:
        asked: whose it is.
        kind: `sse` or `websocket`.
        transport: what is written to, if known.
        leave: called once, when it is over.

    Attributes:
        ended: why nothing more is to be sent; None while it goes on.
        over: set when it has ended.
        scopes: what may be seen, as it was when it began.
        due: when to ring although nothing has happened.
    """

    def __init__(
        self, asked: Asked, kind: str, transport: asyncio.WriteTransport | None, leave: Callable[[Line], None]
    ) -> None:
        self.asked, self.kind, self.actor = asked, kind, asked.actor
        self.scopes = None if asked.who is None else asked.who.scopes
        self.ended: str | None = None
        self.over = asyncio.Event()
        self.subscriptions: set[Subscription] = set()
        self.due = float("inf")
        self.ring: Callable[[], None] = _nobody
        self._transport = transport
        self._leave = leave
        self._left = False
        self._pending = 0
        self._progress_at = self._now()

    def end(self, why: str) -> None:
        """Send no more; whoever waits for events is woken to find that out."""
        if self.ended is None:
            self.ended = why
            self.over.set()
        for subscription in list(self.subscriptions):
            subscription.close()

    def leave(self) -> None:
        """It is over."""
        self.end("gone")
        if not self._left:
            self._left = True
            self._leave(self)
            if self.clogged:
                asyncio.get_running_loop().call_later(STUCK, self._cut_if_stuck, self._waiting())

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more."""
        return self._transport is not None and self._transport.is_closing()

    @property
    def clogged(self) -> bool:
        """Whether there is something that the other side has not taken yet."""
        return self._waiting() > 0

    def _waiting(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def stuck_for(self) -> float:
        """For how many seconds the other side has taken nothing of what waits for it."""
        if self._transport is None:
            return 0.0
        pending = self._waiting()
        if pending == 0 or pending < self._pending:
            self._progress_at = self._now()
        self._pending = pending
        return self._now() - self._progress_at

    def cut(self) -> None:
        """Close the connection now, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def _cut_if_stuck(self, waited: int) -> None:
        """What was still to be sent at the end would keep the connection for ever, if nobody takes it."""
        if self._waiting() >= waited:
            self.cut()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
