"""What goes in comes out equal, or is refused with a path to the culprit."""

from __future__ import annotations

import enum
import json
import math
import re
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, field_serializer
from pydantic.dataclasses import dataclass as checked_dataclass

from pgflow.codec import DEFAULT_PAYLOAD_LIMIT, MAX_DEPTH, decode, encode
from pgflow.errors import PayloadError

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["null", "\\u0000", "nullnull", "[[{{", "NaN", "\\", "\\\\u0000"])
)
json_values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)

faulty = st.sampled_from(
    [math.nan, math.inf, -math.inf, "\x00", "a\x00b", "\ud800", "x\udfff", 2**63, -(2**63) - 1, 2**64, 10**30, object(),
     1j, range(3), deque(), {1: 2}, {None: 1}, {(1,): 1}, {"\x00": 1}, {"\ud800": 1}, {b"a": 1}, Decimal("NaN"),
     time(1, tzinfo=UTC), iter([1]), int, lambda: 1],
)  # fmt: skip


class Colour(enum.Enum):
    RED = "red"
    BROKEN = math.nan


class Mood(enum.StrEnum):
    GOOD = "good"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()


class Count(int):
    pass


class Weight(float):
    pass


Point = namedtuple("Point", "x y")


@dataclass
class Line:
    price: Any
    _hidden: int = 1
    computed: int = field(default=2, init=False)


@dataclass(slots=True)
class Slotted:
    inner: Any = None


class Order(BaseModel):
    lines: list[Any] = []
    note: Any = None


class Numbers(BaseModel):
    ratio: float = 1.0
    anything: Any = None


class Names(RootModel[list[Any]]):
    pass


@checked_dataclass
class Checked:
    when: Any


def follow(path: str, value: Any) -> Any:
    """The value at a JSON path: `$`, `.key`, `["key"]` and `[3]`."""
    steps = re.findall(r'\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]', path)
    assert path == "$" + "".join(f".{a}" if a else f"[{b or c}]" for a, b, c in steps)
    for name, position, quoted in steps:
        value = value[int(position)] if position else value[name or json.loads(quoted)]
    return value


def refusal(value: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        encode(value)
    return caught.value


@given(json_values)
def test_every_json_value_comes_back_equal(value: Any) -> None:
    assert decode(encode(value)) == value


@given(json_values)
def test_what_is_written_is_what_the_standard_library_reads(value: Any) -> None:
    assert json.loads(encode(value)) == value


@st.composite
def around(draw: st.DrawFn, inner: Any) -> Any:
    """A list, tuple or dict that has this somewhere among sound values."""
    before, after = draw(st.lists(json_values, max_size=3)), draw(st.lists(json_values, max_size=3))
    match draw(st.sampled_from(["list", "tuple", "dict"])):
        case "list":
            return [*before, inner, *after]
        case "tuple":
            return (*before, inner, *after)
        case _:
            return draw(st.dictionaries(texts, json_values, max_size=3)) | {draw(texts): inner}


@settings(max_examples=60)
@given(faulty, st.integers(0, 6), st.data())
def test_a_fault_anywhere_is_refused_with_a_path_that_leads_to_it(fault: Any, depth: int, data: st.DataObject) -> None:
    value = fault
    for _ in range(depth):
        value = data.draw(around(value))
    error = refusal(value)
    assert follow(error.path, value) is fault
    assert str(error).startswith(error.path)


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ({"order": {"lines": [0, 0, 0, {"price": math.nan}]}}, "$.order.lines[3].price", "nan is no JSON number"),
        ({"two words": {"": [None, -math.inf]}}, '$["two words"][""][1]', "-inf"),
        ({'a"b\\': "\x00"}, '$["a\\"b\\\\"]', r"\u0000"),
        ({"ä": math.nan}, '$["\\u00e4"]', "nan"),
        ("\ud83d", "$", "lone surrogate"),
        ({"a": [{"b": 2**63}]}, "$.a[0].b", "64 bits"),
        ({"a": {1: 2}}, "$.a", "a key is of type int"),
        ({"a": {"b\x00": 2}}, "$.a", r"a key contains the character \u0000"),
        ({"a": object()}, "$.a", "a object has no JSON form"),
        ({"a": {b"x"}, "b": {1: 1}}, "$.b", "key"),
        ([Line(price=[1, math.nan])], "$[0].price[1]", "nan"),
        ([Slotted(Slotted(2**70))], "$[0].inner.inner", "64 bits"),
        ([Order(lines=[1, {"p": object()}])], "$[0].lines[1].p", "no JSON form"),
        ([Order(lines=[1, {"p": math.nan}])], "$[0].lines[1].p", "nan"),
        ([Numbers(ratio=math.nan)], "$[0].ratio", "nan"),
        ([Numbers(anything={1: math.nan})], '$[0].anything["1"]', "nan"),
        ({"n": Names([1, math.inf])}, "$.n[1]", "inf"),
        ({"n": Names([1, object()])}, "$.n[1]", "no JSON form"),
        ({"c": Checked([math.inf])}, "$.c.when[0]", "inf"),
        (Point(1, Point(2, "\x00")), "$[1][1]", r"\u0000"),
        ({"c": Colour.BROKEN}, "$.c", "nan"),
        ([Weight("nan")], "$[0]", "nan"),
        ([Count(2**63)], "$[0]", "64 bits"),
        ([Word("\x00")], "$[0]", r"\u0000"),
        ([defaultdict(int, {"a": 2**63})], "$[0].a", "64 bits"),
    ],
)
def test_the_path_and_the_reason_are_told(value: Any, path: str, words: str) -> None:
    error = refusal(value)
    assert error.path == path
    assert words in str(error)


def test_hints_say_what_to_do() -> None:
    assert "text" in (refusal(2**63).hint or "")
    assert "dict[int, str]" in (refusal({1: 2}).hint or "")
    assert "pydantic" in (refusal(object()).hint or "")


def test_no_value_shows_in_an_error() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    assert "hunter2" not in str(refusal({"a": Secret()}))
    assert "hunter2" not in str(refusal({"a": "hunter2\x00"}))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC), '"2031-05-04T03:02:01+00:00"'),
        (datetime(2031, 5, 4, tzinfo=timezone(timedelta(hours=2))), '"2031-05-04T00:00:00+02:00"'),
        (date(2031, 5, 4), '"2031-05-04"'),
        (time(3, 2), '"03:02:00"'),
        (timedelta(days=1, hours=6), '"P1DT6H"'),
        (Decimal("1.50"), '"1.50"'),
        (UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Colour.RED, '"red"'),
        ({Mood.GOOD: Mood.GOOD, Word("a"): Word("b")}, '{"good":"good","a":"b"}'),
        ([Level.HIGH, Count(5), Weight(1.5)], "[3,5,1.5]"),
        (b"\xff\xfb", '"__s="'),
        (bytearray(b"a"), '"YQ=="'),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset("ba"), '["a","b"]'),
        ({1, "a"}, None),
        ((1, (2,)), "[1,[2]]"),
        (Point(1, 2), "[1,2]"),
        (Line(5), '{"price":5,"_hidden":1,"computed":2}'),
        (
            Slotted(Order(lines=[Line(b"a")])),
            '{"inner":{"lines":[{"price":"a","_hidden":1,"computed":2}],"note":null}}',
        ),
        (Names([1]), "[1]"),
        (Checked(date(2031, 5, 4)), '{"when":"2031-05-04"}'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        ([2**53, -(2**63), 2**63 - 1, None], f"[{2**53},{-(2**63)},{2**63 - 1},null]"),
    ],
)
def test_other_types_are_written_in_a_form_that_pydantic_reads(value: Any, written: str | None) -> None:
    data = encode(value).decode()
    if written is None:
        assert sorted(map(str, decode(data))) == ["1", "a"]
    else:
        assert data == written


def test_equal_sets_are_equal_payloads() -> None:
    one, other = {0, 8}, {8, 0}
    assert list(one) != list(other), "the two no longer differ in order; find others"
    assert encode(one) == encode(other)


def test_a_null_that_is_meant_passes() -> None:
    for value in (None, [None], {"a": None, "t": (1, None)}, Order(note=None), [Line(None)], {"a": b"", "n": None}):
        assert b"null" in encode(value)


def test_a_nan_that_a_models_own_serializer_makes_null_is_refused_too() -> None:
    class Lenient(BaseModel):
        ratio: float

        @field_serializer("ratio")
        def none_for_nan(self, ratio: float) -> float | None:
            return None if math.isnan(ratio) else ratio

    assert refusal([Lenient(ratio=math.nan)]).path == "$[0].ratio"
    assert encode(Lenient(ratio=0.5)) == b'{"ratio":0.5}'


def nested(depth: int, *, in_dicts: bool = False) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if in_dicts else [value]
    return value


@pytest.mark.parametrize("in_dicts", [False, True])
def test_nesting_ends_at_the_deepest_level_allowed(in_dicts: bool) -> None:
    deepest = nested(MAX_DEPTH, in_dicts=in_dicts)
    assert decode(encode(deepest)) == deepest
    for depth in (MAX_DEPTH + 1, 253, 300, 900):
        error = refusal({"in": nested(depth - 1, in_dicts=in_dicts)})
        assert error.message.endswith("nested more than 200 deep") or "200 deep" in str(error)
        assert error.path.startswith("$.in")


@settings(max_examples=30)
@given(st.integers(150, 250), st.lists(st.sampled_from(["[", "{", "]", "}", "[]"]), max_size=500))
def test_brackets_in_texts_and_many_siblings_do_not_count_as_depth(depth: int, noise: list[str]) -> None:
    value = [noise, "".join(noise), [[] for _ in noise], nested(depth - 1)]
    if depth <= MAX_DEPTH:
        assert decode(encode(value)) == value
    else:
        assert refusal(value).path.startswith("$[3]")


def test_wide_values_are_not_deep() -> None:
    rows = [{"id": i, "tags": [i]} for i in range(2_000)]
    assert decode(encode(rows)) == rows


def test_a_value_within_itself_is_refused_where_the_circle_closes() -> None:
    a: dict[str, Any] = {"x": 1}
    a["list"] = [1, a]
    assert refusal(a).path == "$.list[1]"
    assert "contains itself" in str(refusal(a))
    slotted = Slotted()
    slotted.inner = [slotted]
    assert refusal(slotted).path == "$.inner[0]"
    order = Order()
    order.note = {"order": order}
    assert refusal({"o": order}).path == "$.o.note.order"


def test_the_same_value_twice_is_no_circle() -> None:
    shared = {"a": (1, 2)}
    assert encode({"x": shared, "y": [shared, shared], "big": 2**60}).count(b"[1,2]") == 3


def test_payloads_end_at_the_limit() -> None:
    assert len(encode("x" * (DEFAULT_PAYLOAD_LIMIT - 2))) == DEFAULT_PAYLOAD_LIMIT
    assert refusal("x" * (DEFAULT_PAYLOAD_LIMIT - 1)).path == "$"
    assert encode([1, 2], limit=5) == b"[1,2]"
    with pytest.raises(PayloadError, match="5 bytes of JSON, and the limit is 4"):
        encode([1, 2], limit=4)


def test_an_oversized_payload_names_the_innermost_part_that_is_too_large_by_itself() -> None:
    with pytest.raises(PayloadError) as caught:
        encode({"name": "ann", "photos": [b"a", {"raw": b"x" * 300}, b"b"]}, limit=200)
    assert caught.value.path == "$.photos[1].raw"
    with pytest.raises(PayloadError) as caught:
        encode({"many": ["x" * 50] * 10}, limit=200)
    assert caught.value.path == "$.many"


def test_a_serializer_that_raises_is_told_with_its_path() -> None:
    class Broken(BaseModel):
        name: str

        @field_serializer("name")
        def fail(self, name: str) -> str:
            raise RuntimeError("not today")

    error = refusal({"a": [Broken(name="x")]})
    assert error.path == "$.a[0]"
    assert "not today" in str(error)


def test_bytes_that_a_models_own_configuration_cannot_write_are_told_with_a_hint() -> None:
    class Photo(BaseModel):
        raw: bytes

    assert encode(Photo(raw=b"abc")) == b'{"raw":"abc"}'
    error = refusal({"photo": Photo(raw=b"\xff")})
    assert error.path == "$.photo"
    assert "ser_json_bytes" in (error.hint or "")


@given(st.text() | st.binary())
def test_decoding_any_text_gives_a_value_or_a_payload_error(data: str | bytes) -> None:
    try:
        value = decode(data)
    except PayloadError:
        return
    assert json.loads(data, parse_int=rounded) == value


def rounded(digits: str) -> int | float:
    """What becomes of integers that were not written by `encode`: those past 64 bits are no longer exact."""
    return int(digits) if -(2**63) <= float(digits) < 2**64 else float(digits)
