"""Everybody who watches events through this process.

Model: one `Events` reads or hears what happens, once for the process, and puts it into the bounded buffer of each
subscription. A line (an SSE answer or a WebSocket) takes from there as fast as the other side reads, whenever it is
its turn (`pgflow.api.live.turns`), so that a crowd has only its share of the loop. Nothing is lost by dropping
somebody: whoever comes back says where it stood, and is told from the table what it missed.

Four things end a line, and each gives back all that it held:

* its buffer overran: it is told so (`resync`, or close code 1013);
* the other side has taken nothing of what waits for it for `STUCK` seconds: the connection is cut, because whoever does
  not read cannot be told anything;
* it has lasted for `api_stream_lifetime`, or its token is no longer good, which is looked at with each beat;
* the process is about to end. Whoever does not read by then is cut off after `PATIENCE`.

What one process holds for a line is bounded: `BUFFER` events, shared with all others that wait for the same ones, what
the server and the kernel buffer before they stop taking (64 KiB each), and one chunk. What is sent is made once for all
who watch with the same filter.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import falcon.asgi

from pgflow import access
from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.cached import Cached
from pgflow.api.draining import draining
from pgflow.api.gate import Gate
from pgflow.api.live.connection import transport_of
from pgflow.api.live.line import STUCK, Line
from pgflow.api.live.rendering import Packer
from pgflow.api.live.turns import Place, Turns
from pgflow.api.metering import Meter
from pgflow.api.problems import ProblemError
from pgflow.api.routing import VIEWER_IN_SCOPE
from pgflow.engine.events import Cursor, Filter
from pgflow.sdk.live.events import Events
from pgflow.sdk.live.subscription import Subscription

BEAT = 15.0
"""Seconds after which something is sent, if nothing happens."""
PATIENCE = 0.3
"""Seconds that lines have to end by themselves when the process is about to."""
WINK = 0.01
"""Seconds between two looks at whether they have."""
LOOK = 0.5
"""Seconds between two looks at all lines."""
BUFFER = 1000
"""Events that a watcher may be behind."""
CHECKED = 2.0
"""Seconds for which is known whether a token is still good."""
AGAIN = 5
"""Seconds after which to try again when there are too many lines."""
Scopes = tuple[str, ...] | Literal["refused", "unknown"] | None


class Hub:
    """The watchers of one process.

    Args:
        backend: the engine.
        gate: tells whether somebody may still watch.
        meter: counts them.
    """

    def __init__(self, backend: Backend, gate: Gate, meter: Meter) -> None:
        self.backend = backend
        self._meter = meter
        self._gate = gate
        self._settings = backend.settings
        self._events = Events(backend.settings, buffer=BUFFER)
        self._lines: set[Line] = set()
        self._by_actor: Counter[str] = Counter()
        self.packer = Packer()
        self.turns = Turns()
        self._standing: Cached[Scopes] = Cached(CHECKED)
        self._keeper: asyncio.Task[None] | None = None
        backend.at_close(self.close)

    def line(self, asked: Asked, kind: str) -> Line:
        """Another line; the caller lets it `leave`.

        Raises:
            ProblemError: there are too many, of all or of who asks; or the process is about to end.
        """
        if draining.is_set():
            raise ProblemError("unavailable", "this process is about to end", headers={"Retry-After": "1"})
        if len(self._lines) >= self._settings.api_streams:
            raise ProblemError(
                "too_many_streams", f"{len(self._lines)} streams are open, which is as many as there may be",
                hint=f"try again in {AGAIN} s", headers={"Retry-After": str(AGAIN)},
            )  # fmt: skip
        if self._by_actor[asked.actor] >= self._settings.api_streams_each:
            raise ProblemError(
                "too_many_requests", f"{asked.actor} has {self._by_actor[asked.actor]} streams open",
                hint="share one, or close some", headers={"Retry-After": str(AGAIN)},
            )  # fmt: skip
        line = Line(asked, kind, transport_of(asked.req.scope), self._left)
        self._lines.add(line)
        self._by_actor[line.actor] += 1
        self._meter.streams.labels(kind).inc()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        return line

    def _left(self, line: Line) -> None:
        self._lines.discard(line)
        self._by_actor[line.actor] -= 1
        if not self._by_actor[line.actor]:
            del self._by_actor[line.actor]
        self._meter.streams.labels(line.kind).dec()
        self._meter.ended.labels(line.ended or "gone").inc()

    def lifetime(self) -> float:
        """How long a line may last; not the same for all, or all that began together would come back together."""
        return self._settings.api_stream_lifetime * random.uniform(0.9, 1.0)

    async def subscribe(self, line: Line, place: Place, wanted: Filter, after: Cursor | None) -> Subscription:
        """Watch; the place is rung when there is something. It ends with the line."""
        subscription = await self._events.subscribe(wanted, after=after, ring=place.ring)
        place.ring()
        line.subscriptions.add(subscription)
        if line.ended is not None:
            subscription.close()
        return subscription

    def unsubscribe(self, line: Line, subscription: Subscription) -> None:
        """Watch no more."""
        line.subscriptions.discard(subscription)
        subscription.close()

    async def admit(self, line: Line) -> None:
        """Raise the problem that whose line it is would have if they asked now."""
        await self._gate.admit(line.asked, VIEWER_IN_SCOPE, falcon.asgi.Response())

    async def check(self, line: Line) -> None:
        """End the line if whose it is may no longer see what it shows. Found out once for all lines of a token."""
        given = line.asked.req.get_header("Authorization")
        key = access.digest(given) if given is not None else line.asked.session
        scopes = await self._standing.get(key, lambda: self._scopes(line))
        if scopes == "refused":
            line.end("no longer admitted")
        elif scopes not in {"unknown", line.scopes}:
            line.end("scopes changed")

    async def _scopes(self, line: Line) -> Scopes:
        try:
            await self.admit(line)
        except ProblemError as problem:
            return "refused" if problem.status in {401, 403} else "unknown"
        except Exception:  # noqa: BLE001 (an outage: it is looked at again with the next beat)
            return "unknown"
        return None if line.asked.who is None else line.asked.who.scopes

    async def _keep(self) -> None:
        """Look at all lines, until there are none or the process ends."""
        while self._lines:
            if await draining.wait(LOOK):
                await self._drain()
                return
            now = asyncio.get_running_loop().time()
            for line in list(self._lines):
                if line.gone:
                    line.leave()
                elif line.stuck_for() > STUCK:
                    line.end("slow")
                    line.cut()
                elif now >= line.due:
                    line.ring()

    async def _drain(self) -> None:
        lines = list(self._lines)
        for line in lines:
            line.end("draining")
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while loop.time() < end and self._left_of(lines):  # noqa: ASYNC110 (nobody tells when the rest was taken)
            await asyncio.sleep(WINK)
        for line in self._left_of(lines):
            line.cut()
            line.leave()

    def _left_of(self, lines: Sequence[Line]) -> list[Line]:
        """Those that have not ended, or whose end has not been taken."""
        return [line for line in lines if line.clogged or line in self._lines]

    async def close(self) -> None:
        """End all lines and close the connections."""
        for line in list(self._lines):
            line.leave()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.turns.close()
        await self._events.close()
