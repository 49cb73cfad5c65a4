"""A circuit breaker: who does not answer is left alone for a while, instead of being waited for by everybody.

Closed, it lets requests pass. A failure opens it for `OPEN` seconds, in which nothing is asked at all; then a single
request is let through, and its answer closes the breaker, or its failure opens it again.

A server that hangs fails nobody before the time-out. So that only those wait for it who asked before anybody could
know, a request is refused as well while another has been without an answer for longer than `SUSPICIOUS`.

There is one for each node and process, whatever number of clients the process has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from pgflow import logs

OPEN = 10.0
"""Seconds for which a node that failed is not asked."""
SUSPICIOUS = 0.1
"""Seconds without any answer after which no further request is sent."""
CROWD = 50
"""Requests at once; more go without, because a queue at Redis helps nobody."""


class Breaker:
    """Thread-safe. Whoever was let pass calls exactly one of `answered`, `failed` and `gave_up`.

    Args:
        name: what logs call the node.
        clock: seconds that only grow.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._open_until: float | None = None
        self._asked = 0
        self._waiting_since = 0.0

    def passes(self) -> bool:
        """Whether a request may be sent now."""
        with self._lock:
            now = self._clock()
            if self._open_until is not None:
                if now < self._open_until or self._asked:
                    return False
            elif self._asked and (now - self._waiting_since > SUSPICIOUS or self._asked >= CROWD):
                return False
            if not self._asked:
                self._waiting_since = now
            self._asked += 1
            return True

    def answered(self) -> None:
        """The request was answered."""
        with self._lock:
            self._asked -= 1
            self._waiting_since = self._clock()
            was_open, self._open_until = self._open_until is not None, None
        if was_open:
            logs.tell(logging.INFO, "redis is back", node=self._name)

    def failed(self, error: BaseException) -> None:
        """It was not, or with an error."""
        with self._lock:
            self._asked -= 1
            was_open, self._open_until = self._open_until is not None, self._clock() + OPEN
        if not was_open:
            reason = str(error) or type(error).__name__
            logs.tell(logging.WARNING, "redis trouble; going on without it", node=self._name, error=reason)

    def gave_up(self) -> None:
        """Whoever asked did not wait for the answer."""
        with self._lock:
            self._asked -= 1


_breakers: dict[str, Breaker] = {}
_making = threading.Lock()


def breaker_of(url: str) -> Breaker:
    """This process's breaker for a node."""
    parts = urlsplit(url)
    name = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    with _making:
        return _breakers.setdefault(url, Breaker(name))
