"""What holds for every timetable, whatever it says and wherever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.cron import Cron, CronError, Interval, Once, Timetable, Within, missed
from tests.cron import walk
from tests.cron.walk import HOUR, MINUTE, NAMES, Walk

TICK = timedelta(microseconds=1)

instants = st.datetimes(datetime(1972, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
whole_instants = instants.map(lambda at: at.replace(microsecond=0))


@st.composite
def fields(draw: st.DrawFn, least: int, most: int) -> tuple[str, frozenset[int]]:
    """A field, and the values it takes; `most` may be smaller than what the field has, so that something fires."""
    kind = draw(st.sampled_from(["*", "*", "value", "list", "range", "step", "range step"]))
    one, other = draw(st.integers(least, most)), draw(st.integers(least, most))
    step = draw(st.integers(1, max(most - least, 1)))
    low, high = min(one, other), max(one, other)
    match kind:
        case "*":
            return "*", frozenset(range(least, most + 1))
        case "value":
            return str(one), frozenset([one])
        case "list":
            values = draw(st.lists(st.integers(least, most), min_size=1, max_size=4))
            return ",".join(map(str, values)), frozenset(values)
        case "range":
            return f"{low}-{high}", frozenset(range(low, high + 1))
        case "step":
            return f"*/{step}", frozenset(range(least, most + 1, step))
        case _:
            return f"{low}-{high}/{step}", frozenset(range(low, high + 1, step))


class Drawn:
    """A cron expression, with what it means by construction."""

    def __init__(self, drawn: list[tuple[str, frozenset[int]]]) -> None:
        texts = [text for text, _ in drawn]
        self.text = " ".join(texts)
        *seconds, self.minutes, self.hours, self.days, self.months, self.weekdays = (values for _, values in drawn)
        self.seconds = seconds[0] if seconds else frozenset([0])
        self.both = texts[-3].startswith("*") or texts[-1].startswith("*")
        self.follows = (
            any("*" in text for text in texts[:-3])
            or len(self.seconds) == len(self.minutes) == 60
            or len(self.minutes) == 60
            or len(self.seconds) == 60
            or len(self.hours) == 24
        )

    def __repr__(self) -> str:
        return repr(self.text)

    def matches(self, reading: datetime) -> bool:
        in_month = reading.day in self.days
        in_week = reading.isoweekday() % 7 in {day % 7 for day in self.weekdays}
        return (
            reading.second in self.seconds
            and reading.minute in self.minutes
            and reading.hour in self.hours
            and reading.month in self.months
            and (in_month and in_week if self.both else in_month or in_week)
        )


minutely = [fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), fields(0, 7)]
drawn = st.one_of(st.tuples(*minutely), st.tuples(fields(0, 59), *minutely)).map(list).map(Drawn)


@st.composite
def crons(draw: st.DrawFn) -> Timetable:
    name = draw(st.sampled_from(NAMES))
    try:
        return Cron(draw(drawn).text, name)
    except CronError:  # no such day
        return Cron("0 6 * * MON-FRI", name)


plain = st.one_of(
    crons(),
    crons(),
    st.builds(Interval, st.floats(1, 1e9) | st.integers(1, 100_000), instants),
    st.builds(Once, instants),
)
patiently = settings(deadline=None)  # whoever asks first for a zone's years has them looked through
timetables = st.one_of(plain, st.builds(Within, plain, st.none() | instants, st.none() | instants))


@patiently
@given(timetables, instants)
def test_what_comes_after_is_later_and_what_came_before_is_not(timetable: Timetable, instant: datetime) -> None:
    after, before = timetable.after(instant), timetable.before(instant)
    assert after is None or (after > instant and after.tzinfo is UTC)
    assert before is None or (before <= instant and before.tzinfo is UTC)


@patiently
@given(timetables, instants)
def test_after_and_before_are_each_others_reverse(timetable: Timetable, instant: datetime) -> None:
    after, before = timetable.after(instant), timetable.before(instant)
    if after is not None:
        assert timetable.before(after) == after
        assert timetable.before(after - TICK) == before
    if before is not None:
        assert timetable.after(before) == after
        assert timetable.after(before - TICK) == before


@patiently
@given(timetables, instants)
def test_many_are_one_after_the_other(timetable: Timetable, instant: datetime) -> None:
    found = timetable.next(5, instant)
    at = instant
    for each in found:
        following = timetable.after(at)
        assert following == each
        at = each
    assert len(found) == 5 or timetable.after(at) is None
    if found:
        end = found[-1] + TICK
        assert timetable.between(instant + TICK, end, 9) == found
        assert timetable.between(found[0], end, 9) == found
        assert timetable.between(found[0], found[-1], 9) == found[:-1]
        assert timetable.between(instant + TICK, end, 2) == found[:2]
        assert timetable.count(instant + TICK, end) == len(found)
        assert timetable.count(found[0], found[-1]) == len(found) - 1


@patiently
@given(timetables, instants, instants, instants)
def test_counts_add_up(timetable: Timetable, one: datetime, two: datetime, three: datetime) -> None:
    low, middle, high = sorted((one, two, three))
    assert timetable.count(low, high) == timetable.count(low, middle) + timetable.count(middle, high)
    assert timetable.count(high, low) == 0 or low == high


@patiently
@given(timetables, instants, st.timedeltas(timedelta(0), timedelta(days=9)), st.integers(0, 5))
def test_what_was_missed_is_all_up_to_now(
    timetable: Timetable, since: datetime, gone: timedelta, limit: int
) -> None:  # fmt: skip
    now = since + gone
    found = missed(timetable, since, now, limit)
    assert found.total == timetable.count(since, now + TICK)
    assert len(found.instants) == min(found.total, limit)
    assert found.following == timetable.after(now)
    if found.instants:
        first = found.instants[0]
        assert since <= first
        assert timetable.between(first, now + TICK, limit + 1) == found.instants


@patiently
@given(timetables, whole_instants)
def test_an_instant_given_in_another_zone_is_the_same(timetable: Timetable, instant: datetime) -> None:
    there = instant.astimezone(ZoneInfo("Asia/Kathmandu"))
    assert timetable.after(there) == timetable.after(instant)
    assert timetable.before(there) == timetable.before(instant)
    assert timetable.count(there, there + timedelta(days=3)) == timetable.count(instant, instant + timedelta(days=3))


@st.composite
def around_a_setting(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and an instant near one at which its clock is set, if it ever is in those five years."""
    name = draw(st.sampled_from(NAMES))
    found = walk.settings(name, draw(st.sampled_from([1995, 2010, 2026])), 5)
    at = draw(st.sampled_from(found)).at if found else draw(whole_instants)
    return name, at + MINUTE * draw(st.integers(-120, 120))


@settings(max_examples=150, deadline=None)
@given(drawn, around_a_setting())
def test_what_is_found_is_what_a_walk_finds(expression: Drawn, where: tuple[str, datetime]) -> None:
    name, at = where
    try:
        cron = Cron(expression.text, name)
    except CronError:
        return
    step = MINUTE if expression.seconds == {0} else timedelta(seconds=1)
    reach = 5 * HOUR if step == MINUTE else timedelta(minutes=20)
    at = at.replace(second=0)
    looked_at = Walk(ZoneInfo(name), at - reach, at + reach, step)
    if not any(each.at < looked_at.start < each.at + 27 * HOUR for each in walk.settings(name, at.year, 1)):
        expected = looked_at.fires(expression.matches, follows=expression.follows)
        assert cron.between(looked_at.start, looked_at.end, len(expected) + 1) == expected
        assert cron.count(looked_at.start, looked_at.end) == len(expected)
