from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.cron import CronError, zone
from pgflow.cron.zones import first_instant, stretches, stretches_back


def naive(text: str) -> datetime:
    return datetime.fromisoformat(text)


def set_once(at: datetime, before: timedelta, after: timedelta) -> ZoneInfo:
    """A zone whose clock is set once, as a compiled file of the tz database tells it."""
    header = struct.pack(">5s15x6l", b"TZif\0", 0, 0, 0, 1, 2, 8)
    moment = struct.pack(">lB", int(at.replace(tzinfo=UTC).timestamp()), 1)
    kinds = b"".join(
        struct.pack(">lBB", int(offset.total_seconds()), 0, name) for offset, name in ((before, 0), (after, 4))
    )
    return ZoneInfo.from_file(BytesIO(header + moment + kinds + b"ONE\0TWO\0"), key="Test/Once")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europa/Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
        ("Asia/Calcuta", "Asia/Calcutta"),
    ],
)
def test_an_unknown_zone_is_told_with_the_nearest_name(written: str, meant: str) -> None:
    with pytest.raises(CronError) as caught:
        zone(written)
    assert caught.value.message == f"{written!r} is no time zone"
    assert caught.value.hint == f"did you mean {meant}?"


@pytest.mark.parametrize("name", ["", "+02:00", "Europe", "../../etc/passwd", "/etc/localtime", "\0", "localtime"])
def test_what_is_no_zone_at_all_is_told_what_one_looks_like(name: str) -> None:
    with pytest.raises(CronError, match="write an IANA name"):
        zone(name)


def test_a_year_is_cut_where_the_clock_is_set() -> None:
    found = list(islice(stretches(zone("Europe/Berlin"), naive("2026-01-01")), 4))
    assert [str(each.start) for each in found] == [
        "2026-01-01 00:00:00", "2026-03-29 01:00:00", "2026-10-25 01:00:00", "2027-01-01 00:00:00",
    ]  # fmt: skip
    assert [str(each.seen) for each in found] == [
        "2026-01-01 01:00:00", "2026-03-29 02:00:00", "2026-10-25 03:00:00", "2027-01-01 01:00:00",
    ]  # fmt: skip
    assert [each.offset.total_seconds() / 3600 for each in found] == [1, 2, 1, 1]


@given(st.sampled_from(["Europe/Berlin", "Pacific/Apia", "Africa/Casablanca", "UTC"]), st.integers(1970, 2100))
def test_stretches_cover_time_without_a_hole_in_both_directions(name: str, year: int) -> None:
    forth = list(islice(stretches(zone(name), datetime.fromisoformat(f"{year}-01-01")), 9))
    assert all(one.end == other.start for one, other in pairwise(forth))
    back = list(islice(stretches_back(zone(name), forth[-1].start), 9))
    assert back[::-1] == forth


def test_what_a_clock_has_seen_is_remembered_through_a_new_year() -> None:
    where = set_once(naive("2020-12-31T23:30"), timedelta(0), timedelta(hours=-1))
    old, rest, new = islice(stretches(where, naive("2020-01-01")), 3)
    assert (old.end, rest.end, new.start) == (rest.start, new.start, naive("2021-01-01"))
    assert rest.seen == new.seen == naive("2020-12-31T23:30")
    assert new.start + new.offset == naive("2020-12-31T23:00")
    assert next(stretches(where, naive("2022-01-01"))).seen == naive("2021-12-31T23:00")


@pytest.mark.parametrize(
    ("name", "reading", "instant"),
    [
        ("Europe/Berlin", "2026-05-01T09:00", "2026-05-01T07:00"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00"),  # skipped: when the clock is set
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30"),  # repeated: the first time
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00"),  # a day that never was
        ("America/Havana", "2026-03-08T00:00", "2026-03-08T05:00"),  # no midnight
    ],
)
def test_a_reading_is_an_instant_once(name: str, reading: str, instant: str) -> None:
    assert first_instant(zone(name), naive(reading)) == naive(instant)
