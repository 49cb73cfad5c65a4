from __future__ import annotations

import pytest

from tests.sdk.lint.snippets import body, codes, module


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("import time as t", "t.time()"),
        ("from time import time as clock", "clock()"),
        ("clock = time.time", "clock()"),
        ("", "clock = time.time\nclock()"),
        ("", "import time as t\nt.time()"),
        ("from datetime import datetime as dt", "dt.now()"),
        ("try:\n    from time import time as clock\nexcept ImportError:\n    clock = None", "clock()"),
        ("if True:\n    import time as t", "t.time()"),
        ("from time import *", "monotonic()"),
        ("class Clock:\n    time = 5", "time.time()"),
        ("def other(time): ...", "time.time()"),
    ],
)
def test_names_are_followed_to_what_they_stand_for(before: str, text: str) -> None:
    assert codes(body(text, before=before)) == ["PGF101"]


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("class time:\n    time = int", "time.time()"),
        ("def clock(): ...\n", "clock()"),
        ("from mine import time", "time.time()"),
        ("from .time import time", "time()"),
        ("", "for time in given: time.time()"),
        ("", "found = [time.time() for time in given]"),
        ("", "with given as time: time.time()"),
        ("", "order = sorted(given, key=lambda time: time.time())"),
        ("time = given = 5", "time.time()"),
        ("", "match given:\n    case [time, *_]: time.time()"),
        ("", "try: pass\nexcept ValueError as time: time.time()"),
    ],
)
def test_names_with_another_meaning_are_left_alone(before: str, text: str) -> None:
    if before.startswith(("class time", "time =", "from mine")):  # the first import would win otherwise
        text, before = f"{before}\n{text}", ""
    assert "PGF101" not in codes(body(text, before=before))


def test_a_value_is_known_by_its_annotation() -> None:
    found = module("""
        @app.workflow
        async def flow(ctx: Context, place: Path, other: "Path | None", client: httpx.AsyncClient, random: random):
            place.read_text()
            other.exists()
            await client.get("x")
    """)
    assert codes(found) == ["PGF106", "PGF106", "PGF105"]


def test_a_name_defined_by_itself_ends() -> None:
    assert body("a = b\nb = a\na.x()\nc = c.c()\nc = c | c\nfor x in c: pass") == []
