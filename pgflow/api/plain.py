"""Which names are no graph's, and in which queue what they start belongs: remembered for a moment.

A name that becomes a graph's is started as something else for that moment at most: its run follows the graph all the
same, but with its input as it came.
"""

from __future__ import annotations

import time
from collections import OrderedDict

KNOWN_SECONDS = 1.0
MOST = 10_000


class PlainNames:
    """What is remembered in this process."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def queue(self, name: str) -> str | None:
        """The queue that a plain task or workflow of this name belongs to; None: it has to be looked up."""
        known = self._known.get(name)
        return known[1] if known is not None and time.monotonic() < known[0] else None

    def remember(self, name: str, queue: str) -> None:
        """It was looked up just now."""
        self._known[name] = (time.monotonic() + KNOWN_SECONDS, queue)
        self._known.move_to_end(name)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
