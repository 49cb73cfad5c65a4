"""How the engine's own loops and questions take trouble with the database: they wait, and ask the same again.

An outage may last, and is told once. A statement that was cancelled is told each time: the engine's connections have a
`statement_timeout`, so it either stands behind a lock, which will be gone, or takes too long by itself, and would then
be tried for ever without anybody knowing why. Whatever is asked again must be harmless when its first try was done
after all, because an answer may have been lost. Not for what users ask: they are told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from pgflow.db.failures import first_line, is_cancelled, is_passing

T = TypeVar("T")

log = structlog.get_logger("pgflow")

LONGEST = 1.0
"""Seconds of rest between two tries, at most."""
HINT = (
    "look for who holds a lock (`pg_blocking_pids`, `pg_stat_activity`), as `create index` or `vacuum full` do; with"
    " none, the statement itself takes longer than its `statement_timeout`"
)


def pause(failures: int) -> float:
    """Seconds of rest after so many failures in a row."""
    return min(LONGEST, 0.05 * 2.0 ** min(failures, 6)) * random.uniform(0.5, 1.0)


class Patience:
    """What one of them has met since the database last answered.

    Args:
        service: who asks, for the log.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self.failures = 0

    def rest(self, error: Exception) -> float:
        """Tell of trouble that will pass. Returns for how many seconds to rest before the next try.

        Raises:
            Exception: the error itself, which is of another kind.
        """
        if not is_passing(error):
            raise error
        self.failures += 1
        if is_cancelled(error):
            log.warning(
                "the database cancelled a statement; trying again",
                service=self._service, error=first_line(error), tries=self.failures, hint=HINT,
            )  # fmt: skip
        elif self.failures == 1:
            log.warning("database trouble; waiting", service=self._service, error=first_line(error))
        return pause(self.failures)

    def over(self) -> None:
        """The database has answered."""
        if self.failures:
            log.info("database is back", service=self._service)
            self.failures = 0

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer. Several may ask at once.

        Args:
            question: asks; called anew for each try.
        """
        while True:
            try:
                answer = await question()
            except Exception as error:  # noqa: BLE001 (raised again unless it will pass)
                seconds = self.rest(error)
            else:
                self.over()
                return answer
            await asyncio.sleep(seconds)
