"""The text of a cron expression, checked and brought into one plain form.

The plain form has six fields, numbers for names, and ranges that do not wrap around (`22-2` is `22-23,0-2`). What it
means is `cronsim`'s business; what is wrong with a text is told here, by field and with what the field takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from pgflow.cron.error import CronError

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_LONGEST = 1000
_TERM = re.compile(r"(\*|[0-9A-Z]+)(?:-([0-9A-Z]+))?(?:/([0-9]+))?")
_NEAREST = re.compile(r"([0-9]+)W")
_LAST = re.compile(r"([0-9A-Z]+)L")
_NTH = re.compile(r"([0-9A-Z]+)#([0-9]+)")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    more: str = ""

    @property
    def size(self) -> int:
        return 7 if self is DAY_OF_WEEK else self.most - self.least + 1

    @property
    def hint(self) -> str:
        named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return (
            f"{self.name} takes {self.least}-{self.most}{named}, * for all, 1,5 lists, 2-4 ranges, */5 steps{self.more}"
        )


SECOND = _Field("second", 0, 59)
MINUTE = _Field("minute", 0, 59)
HOUR = _Field("hour", 0, 23)
DAY = _Field("day of month", 1, 31, more=", L (the last), LW (the last weekday), 15W (the weekday nearest to the 15th)")
MONTH = _Field(
    "month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
)  # fmt: skip
DAY_OF_WEEK = _Field(
    "day of week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"),
    ", 5L (the last Friday), 2#1 (the first Tuesday)",
)  # fmt: skip
_FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, DAY_OF_WEEK)


class Plain(NamedTuple):
    """A cron expression in plain form.

    Args:
        fields: second, minute, hour, day of month, month, day of week.
        nearest: the field day of month stands for the weekday nearest to that day.
    """

    fields: tuple[str, ...]
    nearest: int | None


def plain(text: str) -> Plain:
    """Check a cron expression.

    Raises:
        CronError: it is none; which field is wrong, why, and what it takes.
    """
    if not isinstance(text, str):
        raise CronError(f"a {type(text).__name__} is no cron expression", hint='write it as text: "0 6 * * MON-FRI"')
    if len(text) > _LONGEST:
        raise CronError(f"a cron expression of {len(text)} characters: {_LONGEST} are allowed")
    parts = _expanded(text).upper().split()
    if len(parts) == 5:
        parts.insert(0, "0")
    if len(parts) != 6:
        count = f"{len(parts)} field{'' if len(parts) == 1 else 's'}"
        raise CronError(
            f"cron {text!r} has {count}",
            hint="5 are needed: minute, hour, day of month, month, day of week; or 6, with the second before them",
        )
    if nearest := _NEAREST.fullmatch(parts[3]):
        parts[3] = nearest[1]
    fields = tuple(_field(text, field, part) for field, part in zip(_FIELDS, parts, strict=True))
    return Plain(fields, int(nearest[1]) if nearest else None)


def _expanded(text: str) -> str:
    word = text.strip().lower()
    if word in ALIASES:
        return ALIASES[word]
    if word.startswith("@every"):
        every = word.removeprefix("@every").strip() or "5m"
        raise CronError(f"cron {text!r} is an interval", hint=f"write every={every!r} in the place of cron=")
    if word.startswith("@"):
        raise CronError(f"cron {text!r} is not known", hint=f"there are {', '.join(ALIASES)}")
    if "=" in word:
        raise CronError(f"cron {text!r} holds a setting", hint="the time zone is set beside it: timezone=")
    return text


def _field(text: str, field: _Field, part: str) -> str:
    try:
        return ",".join(_term(field, term) for term in part.split(","))
    except _Wrong as wrong:
        raise CronError(f"cron {text!r}: {field.name}: {wrong.reason}", hint=wrong.hint or field.hint) from None


class _Wrong(Exception):
    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def _term(field: _Field, term: str) -> str:
    if field is DAY and term in {"L", "LW"}:
        return term
    if field is DAY and _NEAREST.fullmatch(term):
        raise _Wrong(f"{term} has to stand alone", "make a schedule of its own for it")
    if field is DAY_OF_WEEK and (last := _LAST.fullmatch(term)):
        return f"{_value(field, last[1])}L"
    if field is DAY_OF_WEEK and (nth := _NTH.fullmatch(term)):
        if not 1 <= int(nth[2]) <= 5:
            raise _Wrong(
                f"{term}: no day of the week comes {nth[2]} times a month",
                "# counts from 1 to 5; 5L is the last Friday",
            )
        return f"{_value(field, nth[1])}#{nth[2]}"
    match = _TERM.fullmatch(term)
    if match is None or (match[1] == "*" and match[2]) or (not field.names and any(map(str.isalpha, term))):
        raise _unreadable(term)
    first, last_word, step_word = match.groups()
    step = None if step_word is None else _step(field, step_word)
    if first == "*":
        return term if step is None else f"*/{step}"
    low = _value(field, first)
    high = None if last_word is None else _value(field, last_word)
    return _range(field, low, high, step)


def _unreadable(term: str) -> _Wrong:
    if term == "":
        return _Wrong("a value is missing")
    if term == "?":
        return _Wrong("? is not known", "write * for any day")
    if term[0] == "H":
        return _Wrong(f"{term} is not known", "jitter= spreads schedules over time")
    return _Wrong(f"{term!r} cannot be read")


def _step(field: _Field, word: str) -> int:
    step = int(word)
    if step == 0:
        raise _Wrong("a step of 0 never moves")
    if step >= field.size and (field, step) != (
        DAY_OF_WEEK,
        7,
    ):  # `1-7 * */7` is an old way to ask for the first Sunday
        unit = {DAY: "day", DAY_OF_WEEK: "day"}.get(field, field.name)
        raise _Wrong(
            f"a step of {step} leads past all {field.size} values there are",
            f"for each {step} {unit}s use an interval: every= in the place of cron=",
        )
    return step


def _value(field: _Field, word: str) -> int:
    if word in field.names:
        return field.names.index(word) + field.least
    if not word.isdigit():
        raise _Wrong(f"{word} is none of {', '.join(field.names)}")
    value = int(word)
    if not field.least <= value <= field.most:
        raise _Wrong(f"{value} is not between {field.least} and {field.most}")
    return value


def _range(field: _Field, low: int, high: int | None, step: int | None) -> str:
    stepped = "" if step is None else f"/{step}"
    if high is None:
        return f"{low}{stepped}"
    if field is DAY_OF_WEEK and low != high:
        low, high = low % 7, high or 7  # Sunday is the first day of a range that it begins, and the last of one it ends
    if low <= high:
        return f"{low}-{high}{stepped}" if low < high else str(low)
    if step is None:
        least = 1 if field is DAY_OF_WEEK else field.least
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ((low, field.most), (least, high)))
    if field is DAY:
        raise _Wrong(f"{low}-{high}/{step} would step over the end of months of unequal length", "write the days out")
    values = range(low, high + field.size + 1, step)
    return ",".join(str((value - field.least) % field.size + field.least) for value in values)
