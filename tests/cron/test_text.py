from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.cron import Cron, CronError
from pgflow.cron.text import ALIASES

START = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=1)


def fires(text: str, n: int = 400) -> list[datetime]:
    return Cron(text).next(n, START)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        *ALIASES.items(),
        ("  0 6\t* *  * ", "0 6 * * *"),
        ("0 0 6 * * *", "0 6 * * *"),
        ("0 6 * jan,Mar MON-fri", "0 6 * 1,3 1-5"),
        ("0 6 * * 7", "0 6 * * SUN"),
        ("0 6 * * FRIL", "0 6 * * 5L"),
        ("0 6 * * tue#2", "0 6 * * 2#2"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-5/2 * * *", "0 22,0,2,4 * * *"),
        ("58-2 * * * *", "58,59,0,1,2 * * * *"),
        ("50-10/5 * * * *", "50,55,0,5,10 * * * *"),
        ("0 0 * NOV-FEB *", "0 0 * 11,12,1,2 *"),
        ("0 0 * 11-3/2 *", "0 0 * 11,1,3 *"),
        ("0 0 28-3 * *", "0 0 28,29,30,31,1,2,3 * *"),
        ("0 0 * * FRI-MON", "0 0 * * 5,6,0,1"),
        ("0 0 * * SAT-SUN", "0 0 * * 6,0"),
        ("0 0 * * SUN-TUE", "0 0 * * 0,1,2"),
        ("0 0 * * 7-2", "0 0 * * 0,1,2"),
        ("0 0 * * FRI-TUE/2", "0 0 * * 5,0,2"),
        ("0 0 * * 5-7", "0 0 * * 5,6,0"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("0 0 1-7 * */7", "0 0 * * SUN#1"),
        ("0 0 1,15 * *", "0 0 15,1,15 * *"),
    ],
)
def test_two_ways_to_say_the_same(text: str, same: str) -> None:
    assert fires(text) == fires(same)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 0 L * *", "2026-01-31 2026-02-28 2026-03-31"),
        ("0 0 LW * *", "2026-01-30 2026-02-27 2026-03-31"),
        ("0 0 * * 5L", "2026-01-30 2026-02-27 2026-03-27"),
        ("0 0 * * MON#5", "2026-03-30 2026-06-29 2026-08-31"),
        ("0 0 29 2 *", "2028-02-29 2032-02-29 2036-02-29"),
        ("0 0 13 * FRI", "2026-01-02 2026-01-09 2026-01-13"),  # the 13th, or a Friday
        ("0 0 */13 * FRI", "2026-02-27 2026-03-27 2026-05-01"),  # a star: both
        ("0 0 15W * *", "2026-01-15 2026-02-16 2026-03-16"),  # a Thursday; two Sundays
        ("0 0 1W * *", "2026-01-01 2026-02-02 2026-03-02"),
        ("0 0 1W 8 *", "2026-08-03 2027-08-02 2028-08-01"),  # a Saturday: not into July
        ("0 0 31W 5 *", "2026-05-29 2027-05-31 2028-05-31"),  # a Sunday: not into June
        ("0 0 30W * *", "2026-01-30 2026-03-30 2026-04-30"),  # February has none
        ("0 0 15W * SAT", "2026-01-03 2026-01-10 2026-01-15"),
    ],
)
def test_days(text: str, days: str) -> None:
    assert [str(at.date()) for at in fires(text, 3)] == days.split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 fields"),
        ("*", "has 1 field\n"),
        ("* * * *", "has 4 fields"),
        ("0 0 0 1 1 * 2026", "has 7 fields"),
        ("60 * * * *", "minute: 60 is not between 0 and 59"),
        ("* 24 * * *", "hour: 24 is not between 0 and 23"),
        ("* * 0 * *", "day of month: 0 is not between 1 and 31"),
        ("* * * 13 *", "month: 13 is not between 1 and 12"),
        ("* * * * 8", "day of week: 8 is not between 0 and 7"),
        ("60 * * * * *", "second: 60 is not between 0 and 59"),
        ("-1 * * * *", "minute: '-1' cannot be read"),
        ("1.5 * * * *", "minute: '1.5' cannot be read"),
        ("1,,2 * * * *", "minute: a value is missing"),
        ("5/ * * * *", "minute: '5/' cannot be read"),
        ("1-2-3 * * * *", "minute: '1-2-3' cannot be read"),
        ("*-5 * * * *", r"minute: '\*-5' cannot be read"),
        ("²  * * * *", "minute: '²' cannot be read"),
        ("MON * * * *", "minute: 'MON' cannot be read"),
        ("*/0 * * * *", "minute: a step of 0 never moves"),
        ("*/90 * * * *", "for each 90 minutes use an interval"),
        ("0 */24 * * *", "for each 24 hours use an interval"),
        ("0 0 * JANUARY *", "month: JANUARY is none of JAN"),
        ("0 0 * * MONDAY", "day of week: MONDAY is none of SUN"),
        ("0 0 L-3 * *", "day of month: 'L-3' cannot be read"),
        ("0 0 15W,20 * *", "day of month: 15W has to stand alone"),
        ("0 0 32W * *", "day of month: 32 is not between"),
        ("0 0 28-3/2 * *", "would step over the end of months"),
        ("0 0 * * 1#6", "1#6: no day of the week comes 6 times"),
        ("0 0 * * 1#0", "1#0: no day of the week comes 0 times"),
        ("0 0 ? * *", r"\? is not known\n  -> write \* for any day"),
        ("H 0 * * *", "jitter= spreads schedules"),
        ("@every 5m", "write every='5m'"),
        ("@reboot", "is not known\n  -> there are @yearly"),
        ("TZ=Europe/Berlin 0 6 * * *", "the time zone is set beside it"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 31W 2 *", "never fires"),
        ("0 0 */30 2 MON#2", "never fires"),  # the 1st: never a second Monday
        ("0 " * 600, "a cron expression of 1200 characters"),
    ],
)
def test_what_is_wrong_is_told_by_field(text: str, message: str) -> None:
    with pytest.raises(CronError, match=message):
        Cron(text)


def test_what_is_no_text_is_no_expression() -> None:
    with pytest.raises(CronError, match="a float is no cron expression"):
        Cron(5.0)  # type: ignore[arg-type]


@given(st.text("0123456789*,-/#LWMONFRI? @", max_size=24) | st.text(max_size=20))
def test_any_text_is_an_expression_or_told_to_be_none(text: str) -> None:
    try:
        cron = Cron(text)
    except CronError:
        return
    assert cron.after(START) is not None
    assert cron.explain()


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("0 6 * * MON-FRI", "At 06:00 on Monday through Friday (UTC)"),
        ("*/5 * * * *", "Every fifth minute of every hour (UTC)"),
        ("@monthly", "At 00:00 on the first day of every month (UTC)"),
        ("30 0 6 * * *", "At 06:00:30 every day (UTC)"),
        ("0 9 1,15 * MON", "At 09:00 on the first and the 15th day of month or on Monday (UTC)"),
        ("0 9 15W * *", "At 09:00 on the 15th day of every month, or on the weekday nearest to it in that month (UTC)"),
        ("0 9 * * FRI-MON", "At 09:00 on Friday through Sunday and Monday (UTC)"),
    ],
)
def test_english(text: str, english: str) -> None:
    assert Cron(text).explain() == english
