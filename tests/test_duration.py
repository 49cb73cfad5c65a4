from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow import duration
from pgflow.errors import ArgumentError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("250ms", 0.25), ("1w", 604_800), ("1.5h", 5400),
        ("1h 30m", 5400), (" 250 ms ", 0.25), ("1w2d3h4m5s6ms", 788_645.006), ("90", 90), ("0.5", 0.5), ("0", 0),
        ("PT5M", 300), ("P1DT2H", 93_600), ("P2W", 1_209_600), ("PT0.25S", 0.25), ("PT1H30M", 5400),
        (30, 30), (0, 0), (1.5, 1.5), (timedelta(minutes=5), 300), (timedelta(microseconds=1), 1e-6),
    ],
)  # fmt: skip
def test_all_the_ways_to_write_a_duration_are_read(written: Any, seconds: float) -> None:
    parsed = duration.parse(written)
    assert type(parsed) is float
    assert math.isclose(parsed, seconds)


@pytest.mark.parametrize(
    "refused",
    [
        "", "s", "5 minutes", "-5s", "5M", "1m1m", "1h-5m", "nan", "inf", "1e3", "P", "PT", "P1Y", "P1M", "P1DT",
        "PT5", "101000w", "5s5", "\u0665s", -1, -0.001, math.nan, math.inf, -math.inf, 10**400, -(10**400), True,
        timedelta(seconds=-1), timedelta.max, duration.LONGEST * 1.001, None, [5], Decimal(5), b"5s", "9" * 400,
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_the_forms_that_are_taken(refused: Any) -> None:
    with pytest.raises(ArgumentError, match="is no duration") as caught:
        duration.parse(refused)
    assert "1h30m" in (caught.value.hint or "")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("seconds", "waited"),
    [
        (30, 30.0), (0.5, 0.5), (-1, 0.0), (-math.inf, 0.0), (-(10**400), 0.0), (1e12, duration.LONGEST),
        (1e300, duration.LONGEST), (math.inf, duration.LONGEST), (10**400, duration.LONGEST), (math.nan, None),
        (None, None), ("soon", None), ([5], None), (Decimal("NaN"), None), (Decimal(5), 5.0),
    ],
)  # fmt: skip
def test_what_is_to_be_waited_is_brought_to_what_can_be(seconds: Any, waited: float | None) -> None:
    assert duration.bounded(seconds) == waited


def test_the_error_quotes_what_was_written() -> None:
    with pytest.raises(ArgumentError, match="'5 minutes' is no duration"):
        duration.parse("5 minutes")


@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.sampled_from(["w", "d", "h", "m", "s", "ms"])),
        min_size=1,
        unique_by=lambda part: part[1],
    )
)
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    total = math.fsum(duration.parse(f"{number}{unit}") for number, unit in parts)
    assert math.isclose(duration.parse("".join(f"{number}{unit}" for number, unit in parts)), total)


@given(st.text(max_size=30))
def test_any_text_is_either_a_duration_or_an_argument_error(text: str) -> None:
    try:
        seconds = duration.parse(text)
    except ArgumentError:
        return
    assert 0 <= seconds <= duration.LONGEST


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"), (0.25, "250 ms"), (0.0004, "0.4 ms"), (0.9996, "1 s"), (1, "1 s"), (2.5, "2.5 s"), (45, "45 s"),
        (59.97, "1m"), (60, "1m"), (90, "1m 30s"), (3599.6, "1h"), (3600, "1h"), (5400, "1h 30m"), (86_399, "1d"),
        (86_400, "1d"), (183_600, "2d 3h"), (604_800, "7d"), (-5, "-5 s"), (math.inf, "inf s"),
    ],
)  # fmt: skip
def test_durations_are_shown_by_their_two_largest_units(seconds: float, shown: str) -> None:
    assert duration.text(seconds) == shown


@given(st.floats(0.001, duration.LONGEST))
def test_what_is_shown_is_read_back_about_the_same(seconds: float) -> None:
    assert math.isclose(duration.parse(duration.text(seconds)), seconds, rel_tol=0.02)


def test_rates_are_read_from_text() -> None:
    assert duration.rate("100/s") == 100.0
    assert duration.rate("30/m") == 0.5
    assert duration.rate("5/10s") == 0.5
    assert duration.rate(7) == 7.0


@pytest.mark.parametrize("bad", ["", "100", "x/s", "-1/s", "0/s", "5/", "5/0s", "5/fortnight"])
def test_what_is_no_rate_is_refused(bad: str) -> None:
    with pytest.raises(ArgumentError):
        duration.rate(bad)
