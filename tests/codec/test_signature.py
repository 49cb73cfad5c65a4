"""Binding arguments, and the way of each type through JSON and back."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, TypeVar, Unpack
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from pgflow.codec import Signature, decode
from pgflow.errors import ArgumentError, PayloadError, RegistrationError

if TYPE_CHECKING:
    from pgflow.errors import LeaseLost as OnlyForCheckers


class Colour(enum.Enum):
    RED = "red"
    GREEN = 2


class Mood(enum.StrEnum):
    GOOD = "good"


@dataclasses.dataclass
class Card:
    number: str
    raw: bytes
    due: date
    _hidden: int = 1
    computed: int = dataclasses.field(default=7, init=False)
    next: Card | None = None


class User(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    name: str
    joined: datetime
    cards: list[Card] = []


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


class Options(TypedDict, total=False):
    depth: int
    mark: bytes


class Pair(NamedTuple):
    left: int
    right: Decimal


Cents = NewType("Cents", int)
Positive = Annotated[int, Field(gt=0)]
T = TypeVar("T")

CARD = Card("4111", b"\xff\x00\xfb", date(2031, 5, 4), 5, next=Card("5", b"", date(2031, 1, 1)))
USER = User(name="Ann", joined=datetime(2031, 5, 4, 3, 2, 1, 5, tzinfo=UTC), cards=[CARD])

ROUND_TRIPS: list[tuple[Any, Any]] = [
    (User, USER), (User | None, None), (User | None, USER), (list[User], [USER, USER]), (dict[str, User], {"a": USER}),
    (Card, CARD), (list[Card], [CARD]), (Card | User, CARD), (Card | User, USER),
    (Strict, Strict(day=date(2031, 5, 4))),
    (tuple[int, Card], (1, CARD)), (tuple[str, ...], ("a", "b")), (set[int], {1, 2}),
    (frozenset[Colour], frozenset(Colour)),
    (Colour, Colour.GREEN), (Mood, Mood.GOOD), (dict[Colour, int], {Colour.RED: 1}), (dict[int, str], {1: "a"}),
    (dict[UUID, Mood], {UUID(int=3): Mood.GOOD}), (dict[date, bytes], {date(2031, 5, 4): b"\xff"}),
    (bytes, b"\xff\xfb\x00"),
    (bytes | None, None), (Decimal, Decimal("1.50")), (UUID, UUID(int=9)), (datetime, datetime(2031, 5, 4, tzinfo=UTC)),
    (datetime, datetime(2031, 5, 4, 3)),  # noqa: DTZ001 - naive ones come back naive
    (date, date(2031, 5, 4)), (time, time(3, 2, 1)), (time, time(3, tzinfo=UTC)),
    (timedelta, timedelta(days=-3, microseconds=5)), (Pair, Pair(1, Decimal(2))), (Options, {"mark": b"\xff"}),
    (Path, Path("/a/b")), (Positive, 5), (int | timedelta, timedelta(1)),
    (dict[str, list[Card | None]], {"a": [None, CARD]}),
    (list[tuple[Colour, set[UUID]]], [(Colour.RED, {UUID(int=1)})]),
    # plain ones
    (int, 5), (str, "x"), (float, 1.5), (bool, True), (None, None), (Any, [1, None]), (dict[str, Any], {"a": [1]}),
    (list[list[int]], [[1]]), (dict, {"a": 1}), (list, [1]), (int | None, None), (Cents, 5), (Literal["a", "b"], "a"),
    (Mapping[str, int], {"a": 1}), (Sequence[str], ["a"]), (T, 5), (object, 5),
]  # fmt: skip


def annotated(annotation: Any) -> Callable[..., Any]:
    def function(value, other=None):  # type: ignore[no-untyped-def]
        return value

    function.__annotations__ = {"value": annotation, "return": annotation}
    return function


@pytest.mark.parametrize(
    ("annotation", "value"), ROUND_TRIPS, ids=[f"{n}-{str(it)[:40]}" for n, (it, _) in enumerate(ROUND_TRIPS)]
)
def test_each_type_comes_back_by_its_annotation(annotation: Any, value: Any) -> None:
    signature = Signature(annotated(annotation))
    args, kwargs = signature.decode_arguments(decode(signature.encode_arguments((value,), {})))
    assert (args, kwargs) == ([], {"value": value})
    assert type(kwargs["value"]) is type(value)
    result = signature.decode_result(decode(signature.encode_result(value)))
    assert result == value
    assert type(result) is type(value)


@given(st.binary(), st.decimals(allow_nan=False, allow_infinity=False), st.timedeltas(), st.datetimes(), st.dates())
def test_all_values_of_the_extra_types_come_back(
    raw: bytes, price: Decimal, gap: timedelta, at: datetime, day: date
) -> None:
    def function(raw: bytes, price: Decimal, gap: timedelta, at: datetime, cards: dict[date, Card]) -> None: ...

    signature = Signature(function)
    given = (raw, price, gap, at, {day: Card("1", raw, day)})
    _, kwargs = signature.decode_arguments(decode(signature.encode_arguments(given, {})))
    assert tuple(kwargs.values()) == given


def plain(a: int, b: str = "x") -> None: ...
def nothing() -> None: ...
def keyword_only(a: int, *, b: int, c: int = 3) -> None: ...
def positional_only(a: int, b: int = 2, /, c: int = 3) -> None: ...
def rest(a: int, b: int = 2, *more: int) -> None: ...
def options(a: int, **more: int) -> None: ...
def all_kinds(a: int, b: int = 2, /, c: int = 3, *more: int, d: int, e: int = 5, **others: int) -> None: ...
def self_named(self: int, args: int, kwargs: int, value: int = 1) -> None: ...


KINDS = [plain, nothing, keyword_only, positional_only, rest, options, all_kinds, self_named]
names = st.sampled_from(
    ["a", "b", "c", "d", "e", "self", "args", "kwargs", "value", "more", "others", "x", "two words"]
)


@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(0, 9), max_size=5),
    st.dictionaries(names, st.integers(0, 9), max_size=5),
)
def test_arguments_bind_as_python_binds_them(function: Any, args: list[int], kwargs: dict[str, int]) -> None:
    signature = Signature(function)
    try:
        function(*args, **kwargs)
    except TypeError:
        with pytest.raises(ArgumentError) as caught:
            signature.bind(tuple(args), kwargs)
        assert str(caught.value).startswith(f"{function.__name__}() takes (")
        return
    bound = signature.bind(tuple(args), kwargs)
    try:
        expected = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:  # older ones refuse for `**others` what has the name of a positional parameter
        assert bound["others"]["b"] == kwargs["b"]
        return
    assert bound == {name: list(v) if isinstance(v, tuple) else v for name, v in expected.arguments.items()}

    positional, keywords = signature.decode_arguments(decode(signature.encode_arguments(tuple(args), kwargs)))
    called = inspect.signature(function).bind(*positional, **keywords)
    called.apply_defaults()
    expected.apply_defaults()
    assert called.arguments == expected.arguments


@given(
    st.sampled_from(KINDS),
    st.dictionaries(names, st.integers(0, 9) | st.lists(st.integers()) | st.dictionaries(names, st.integers())),
)
def test_any_input_is_either_callable_or_an_argument_error(function: Any, given: dict[str, Any]) -> None:
    try:
        args, kwargs = Signature(function).decode_arguments(given)
    except ArgumentError as error:
        assert str(error).startswith(f"{function.__name__}() takes (")  # noqa: PT017 - either is right
    else:
        inspect.signature(function).bind(*args, **kwargs)


def test_wrong_arguments_are_told_with_the_parameters_as_they_were_written() -> None:
    def send_email(to: str, template: str, *, user: User | None = None) -> str: ...

    signature = Signature(send_email)
    for args, kwargs, problem in [
        (("ann",), {}, "missing 'template'"),
        ((), {}, "missing 'to', 'template'"),
        (("a", "b", "c"), {}, "at most 2 by position, not 3"),
        (("a", "b"), {"cc": 1, "bcc": 2}, "unexpected 'bcc', 'cc'"),
        (("a", "b"), {"to": "c"}, "more than one value for 'to'"),
        (("a", "b"), {"user": 5}, "'user' is no "),
    ]:
        with pytest.raises(ArgumentError) as caught:
            signature.encode_arguments(args, kwargs)
        assert str(caught.value).startswith(
            f"send_email() takes (to: str, template: str, *, user: User | None = ...): {problem}"
        )


def test_wrong_input_is_told_by_name() -> None:
    signature = Signature(all_kinds)
    for wrong, problem in [
        ({"d": 1}, "missing 'a'"),
        ({"a": 1, "d": 1, "z": 1}, "unexpected 'z'"),
        ({"a": 1, "d": 1, "more": 5}, "'more' has to be an array"),
        ({"a": 1, "d": 1, "others": 5}, "'others' has to be an object"),
        ({"a": 1, "d": 1, "others": {"c": 5}}, "more than one value for 'c'"),
        ([1, 2], "the input has to be an object by these names, not a list"),
    ]:
        with pytest.raises(ArgumentError, match=problem):
            signature.decode_arguments(wrong)  # type: ignore[arg-type]


def test_a_value_that_does_not_fit_is_told_with_the_place_but_not_the_value() -> None:
    def pay(user: User, amount: int = 0) -> None: ...

    wrong = {"user": {"name": 5, "joined": "hunter2", "cards": [{"number": "1", "raw": "??", "due": "x"}]}}
    with pytest.raises(ArgumentError) as caught:
        Signature(pay).decode_arguments(wrong)
    text = str(caught.value)
    assert "'user' is no" in text
    assert "User: name: Input should be a valid string; joined: Input should be a valid datetime" in text
    assert "cards[0].due: " in text
    assert "hunter2" not in text


def test_plain_annotations_are_taken_at_their_word() -> None:
    signature = Signature(plain)
    assert signature.decode_arguments({"a": "not an int"}) == ([], {"a": "not an int"})
    given = {"a": 1, "b": "x"}
    assert signature.decode_arguments(given)[1] is given


def test_a_value_that_converts_to_its_annotation_is_taken() -> None:
    def function(price: Decimal, user: User, when: date | None = None, card: Card = None) -> None: ...  # type: ignore[assignment]

    signature = Signature(function)
    data = signature.encode_arguments((5, USER.model_dump()), {"when": "2031-05-04", "card": None})
    _, kwargs = signature.decode_arguments(decode(data))
    assert kwargs == {"price": Decimal(5), "user": USER, "when": date(2031, 5, 4), "card": None}


def test_faults_within_converted_arguments_have_their_path() -> None:
    class Line(BaseModel):
        price: Any

    class Order(BaseModel):
        lines: list[Line]

    def ship(order: Order, ratio: dict[int, float] | None = None, price: Decimal = Decimal(1)) -> Order: ...

    signature = Signature(ship)

    def order(price: Any) -> Order:
        return Order(lines=[Line(price=0)] * 3 + [Line(price=price)])

    for fault in (float("nan"), object(), "\x00", 2**63, "\ud800"):
        with pytest.raises(PayloadError) as caught:
            signature.encode_arguments((order(fault),), {})
        assert caught.value.path == "$.order.lines[3].price"
        with pytest.raises(PayloadError) as caught:
            signature.encode_result(order(fault))
        assert caught.value.path == "$.lines[3].price"
    for kwargs, path in [({"ratio": {7: float("inf")}}, '$.ratio["7"]'), ({"price": Decimal("NaN")}, "$.price")]:
        with pytest.raises(PayloadError) as caught:
            signature.encode_arguments((order(1),), kwargs)
        assert caught.value.path == path
    assert signature.encode_arguments((order("NaN, null, Infinity"),), {"ratio": None})


def test_the_limit_holds_for_arguments_and_results() -> None:
    for signature, value in [(Signature(annotated(str)), "x" * 50), (Signature(annotated(bytes)), b"x" * 50)]:
        for write in (lambda s, v: s.encode_arguments((v,), {}, limit=40), lambda s, v: s.encode_result(v, limit=40)):
            with pytest.raises(PayloadError, match="the limit is 40"):
                write(signature, value)


def test_a_result_that_is_not_what_was_promised_is_refused() -> None:
    def find() -> User: ...

    with pytest.raises(PayloadError, match=r"the result of find\(\) should be .*User") as caught:
        Signature(find).encode_result(5)
    assert caught.value.path == "$"
    with pytest.raises(ArgumentError, match=r"the stored result of find\(\) is no .*User: joined: Field required"):
        Signature(find).decode_result({"name": "Ann"})


def test_leading_parameters_can_be_someone_elses() -> None:
    def workflow(ctx: NoSuchContext, user: str, /, *more: int) -> None: ...  # type: ignore[name-defined] # noqa: F821
    def anything(*args: int) -> None: ...
    def none(*, a: int) -> None: ...

    signature = Signature(workflow, skip=1)
    assert signature.bind(("ann", 1), {}) == {"user": "ann", "more": [1]}
    assert signature.decode_arguments({"user": "ann", "more": [1]}) == (["ann", 1], {})
    assert Signature(anything, skip=1).bind((1,), {}) == {"args": [1]}
    with pytest.raises(RegistrationError, match=r"none\(\) takes too few parameters"):
        Signature(none, skip=1)


def test_variable_arguments_convert_too() -> None:
    def function(*days: date, **marks: bytes) -> None: ...
    def typed(**options: Unpack[Options]) -> None: ...

    signature = Signature(function)
    data = signature.encode_arguments((date(2031, 5, 4),), {"a": b"\xff"})
    assert decode(data) == {"days": ["2031-05-04"], "marks": {"a": "_w=="}}
    assert signature.decode_arguments(decode(data)) == ([date(2031, 5, 4)], {"a": b"\xff"})
    data = Signature(typed).encode_arguments((), {"mark": b"\xff"})
    assert Signature(typed).decode_arguments(decode(data)) == ([], {"mark": b"\xff"})


class Mailer:
    def send(self, user: User) -> User:
        return user

    def __call__(self, day: date) -> date:
        return day


def test_methods_partials_callables_and_decorated_functions_have_a_signature() -> None:
    def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    def charge(card: Card, amount: int) -> Card: ...

    assert (
        Signature(Mailer().send).decode_arguments({"user": json.loads(USER.model_dump_json())})[1]["user"].name == "Ann"
    )
    assert Signature(Mailer()).decode_arguments({"day": "2031-05-04"}) == ([], {"day": date(2031, 5, 4)})
    for wrapped in (doubled(charge), functools.partial(charge, amount=5), doubled(doubled(charge))):
        data = Signature(wrapped).encode_arguments((CARD,), {"amount": 7})
        assert Signature(wrapped).decode_arguments(decode(data))[1]["card"] == CARD


async def test_a_coroutine_functions_result_is_what_it_returns() -> None:
    async def fetch() -> date: ...

    assert Signature(fetch).decode_result("2031-05-04") == date(2031, 5, 4)


def test_names_of_the_defining_function_resolve() -> None:
    class Local(BaseModel):
        a: int

    def outer(value: Local) -> list[Local]: ...

    signature = Signature(outer)
    assert signature.decode_arguments({"value": {"a": 1}}) == ([], {"value": Local(a=1)})
    assert signature.decode_result([{"a": 1}]) == [Local(a=1)]


def test_an_annotation_for_type_checkers_only_counts_as_none() -> None:
    def function(error: OnlyForCheckers | None, other: date) -> OnlyForCheckers: ...

    signature = Signature(function)
    assert signature.decode_arguments({"error": {"a": 1}, "other": "2031-05-04"})[1] == {
        "error": {"a": 1},
        "other": date(2031, 5, 4),
    }
    assert signature.decode_result({"a": 1}) == {"a": 1}


def test_an_annotation_that_names_nothing_is_refused() -> None:
    def typo(user: Usr) -> None: ...  # type: ignore[name-defined] # noqa: F821
    def result() -> list[Usr]: ...  # type: ignore[name-defined] # noqa: F821
    def attribute(user: enum.Nope) -> None: ...  # type: ignore[name-defined]

    with pytest.raises(
        RegistrationError, match=r"typo\(\): parameter 'user' is annotated 'Usr', and 'Usr' names nothing"
    ):
        Signature(typo)
    with pytest.raises(RegistrationError, match=r"result\(\): the result is annotated 'list\[Usr\]'"):
        Signature(result)
    with pytest.raises(RegistrationError, match="makes no sense"):
        Signature(attribute)
    with pytest.raises(RegistrationError, match="makes no sense"):
        Signature(annotated("int["))


def test_an_annotation_without_a_json_form_is_told_at_the_latest_when_needed() -> None:
    class Opaque:
        pass

    def function(value: Opaque) -> Opaque: ...

    for use in (
        lambda s: s.prepare(),
        lambda s: s.encode_arguments((Opaque(),), {}),
        lambda s: s.decode_result(1),
        lambda s: s.json_schema(),
    ):
        with pytest.raises(RegistrationError, match=r"of function\(\) is annotated .*Opaque, which has no JSON form"):
            use(Signature(function))


def test_preparing_builds_what_is_needed_and_no_more() -> None:
    Signature(plain).prepare()
    signature = Signature(annotated(User))
    signature.prepare()
    assert {"_converters", "_result_converter"} <= vars(signature).keys()


def test_the_schema_describes_the_input() -> None:
    def sign_up(
        user: User, n: int, /, colour: Colour = Colour.RED, *days: date, ok: bool = True, note=None, **o: bytes
    ): ...  # type: ignore[no-untyped-def]

    schema = Signature(sign_up).json_schema()
    assert schema["type"] == "object"
    assert schema["required"] == ["user", "n"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert list(properties) == ["user", "n", "colour", "days", "ok", "note", "o"]
    assert properties["user"] == {"$ref": "#/$defs/User"}
    assert properties["n"] == {"type": "integer"}
    assert properties["colour"]["default"] == "red"
    assert properties["days"]["items"] == {"type": "string", "format": "date"}
    assert properties["ok"] == {"type": "boolean", "default": True}
    assert properties["note"] == {"default": None}
    assert properties["o"]["type"] == "object"
    assert {"User", "Card", "Colour"} <= schema["$defs"].keys()
    assert Signature(nothing).json_schema() == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


def test_a_default_that_is_no_json_is_left_out_of_the_schema() -> None:
    def function(a: int = object()) -> None: ...  # type: ignore[assignment]

    assert Signature(function).json_schema()["properties"] == {"a": {"type": "integer"}}


def test_a_plain_app_does_not_load_pydantic() -> None:
    program = """
import sys
from pgflow.codec import Signature, decode, error_json

def task(a: int, b: list[str] | None = None) -> dict[str, float]: ...

signature = Signature(task)
signature.prepare()
signature.decode_arguments(decode(signature.encode_arguments((1,), {"b": None})))
signature.encode_result({"a": 1.5})
error_json(ValueError())
sys.exit("pydantic" in sys.modules or "pydantic_core" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
