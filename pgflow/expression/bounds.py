"""How much an expression may be, and may do.

Work is counted, not timed, so that the same expression over the same values ends the same way on every machine and at
every replay. One unit is about what it takes to evaluate one operator: some 0.2 microseconds. What runs once per
element pays for each of its operators each time; what makes or searches text pays for its length. Whatever an
expression allocates it has paid for, so `WORK` bounds memory as well: to about 100 MB at the very worst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pgflow.expression.faults import Fault

LENGTH = 2_000
"""Characters in the text of an expression."""
NESTING = 50
"""Brackets within brackets, operators before operators, and fields of fields."""
MACROS = 2
"""Macros within each other: `a.map(x, x.filter(y, ...))` is two."""
MOST_MACROS = 8
"""As many as anybody may allow."""
WORK = 2_000_000
"""Units of work of one evaluation, or of one rendering of a whole template."""
RESULT = 4 * 1024 * 1024
"""How large a result may be: about as many characters as its JSON text."""
DEPTH = 200
"""Levels of lists and maps within each other, as everywhere in pgflow."""


class Frame:
    """What one evaluation goes by: the names it is given, the variables of its macros, and what it may still do."""

    __slots__ = ("_clock", "_now", "left", "names", "room", "slots")

    def __init__(self, names: Mapping[str, Any], clock: Callable[[], datetime] | None) -> None:
        self.names = names
        self.slots: list[Any] = [None] * MOST_MACROS
        self.left = WORK
        self.room = RESULT
        self._clock = clock
        self._now: Any = None

    def spend(self, units: int) -> None:
        """Pay for work that is about to be done."""
        self.left -= units
        if self.left < 0:
            raise exhausted()

    def spend_text(self, length: int) -> None:
        """Pay for reading or making a text of so many characters."""
        self.left -= (length >> 5) + 1
        if self.left < 0:
            raise exhausted()

    def caught(self, fault: Fault, missing: bool = False) -> None:
        """Pay for a fault that is not told; raise it again if it has to be.

        Args:
            fault: what went wrong.
            missing: whether only what is not there may be answered.
        """
        if fault.spent or (missing and not fault.missing):
            raise fault
        self.spend(8)

    def fill(self, size: int) -> None:
        """Take up room in the result."""
        self.room -= size
        if self.room < 0:
            raise Fault(
                f"the result is too large: more than {RESULT >> 20} MiB",
                hint="take only the fields that are needed",
                spent=True,
            )

    def now(self) -> Any:
        """The time, asked for once; None if nobody gave any."""
        if self._now is None:
            if self._clock is not None:
                self._now = self._clock().astimezone(UTC)
            else:
                self._now = self.names.get("now")
        return self._now


def exhausted(at: int | None = None) -> Fault:
    """Too much work."""
    return Fault(
        "this is more work than an expression may do",
        at,
        hint="give it fewer elements or shorter texts, or do it in a task",
        spent=True,
    )
