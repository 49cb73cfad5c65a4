"""What expressions come to, beyond what the guide shows."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from threading import Thread
from typing import Any

import pytest

from pgflow.errors import ArgumentError
from pgflow.expression import Expression, ExpressionError

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


def value(text: str, **names: Any) -> Any:
    return Expression(text).evaluate(names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2 % 3", 5), ("-2 - -3", 1), ("- 2", -2), ("!true == false", True), ("!!true", True),
        ("1 < 2 == true", True), ("true ? 1 : true ? 2 : 3", 1), ("false ? 1 : false ? 2 : 3", 3),
        ("true || false && false", True), ("(true || false) && false", False), ("1 in [1] == true", True),
        ("0x1F + 0XaU", 41), ("1u + 2", 3), (".5 + 1e1 + 1.5E-1", 10.65), ("[1, 2, ]", [1, 2]),
        ("{'a': 1, }", {"a": 1}), ("1 // a remark\n + 1", 2), ("\n\t1\r\n", 1), ("-9223372036854775808", -(2**63)),
        ("7 / -2", -3), ("-7 % -3", -1), ("7.5 % 2", 1.5), ("2 * 1.5", 3.0), ("1.0 / 4", 0.25),
        ("[1] + [2.0]", [1, 2.0]), ("b'a' + b'b' == b'ab'", True), ('"a\\"b" + \'c\\\'d\'', "a\"bc'd"),
        (r"'\x41\101\u0041\U00000041\n\t'", "AAAA\n\t"), (r"r'\n' == '\\n'", True), (r"r'\' + 'a'", "\\a"),
        ("'''a\n'b'''", "a\n'b"), (r"b'\xff\101é' == b'\xffA' + b'é'", True),
        (r"rb'\x' == b'\\x'", True), ("''", ""), ("{'if': 1, 'in': 2, 'true': 3}.in", 2),
        ("1.0 == 1 && 1 == 1.0 && 1 != 2.5", True), ("null == null", True),
        ("null == 0 || null == '' || false == 0", False), ("[true] == [1] || {'a': true} == {'a': 1}", False),
        ("{'a': 1, 'b': 2} == {'b': 2, 'a': 1.0}", True), ("true in [1, 'true']", False), ("1 in {'1': 1}", False),
        ("[1, 'a', [2]].contains([2.0])", True), ("{1: 'a'}[1]", "a"), ("[5, 6][1.0]", 6), ("false < true", True),
        ("{'a': {'b': [1]}}.a['b'][0]", 1), ("'a' == 1", False), ("[] == {}", False),
        ("9007199254740993 == 9007199254740992.0", False),
    ],
)  # fmt: skip
def test_operators_and_literals_come_to_what_cel_says(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration('1h') + duration('30m') == duration('90m')", True), ("duration('1h') > duration(3599)", True),
        ("t + duration('1h')", "2031-05-04T13:00:00Z"), ("duration('1h') + t", "2031-05-04T13:00:00Z"),
        ("t - duration('-1h')", "2031-05-04T13:00:00Z"), ("t - timestamp('2031-05-04')", 43_200),
        ("timestamp('2031-05-04T14:00:00.123456789+02:00')", "2031-05-04T12:00:00.123456Z"),
        ("timestamp('2031-05-04T14:00+02:00') == t", True), ("timestamp('2031-05-04 14:00', '+02:00') == t", True),
        ("timestamp(t) == t && timestamp(int(t)) == t && timestamp(0.5)", None),
        ("[t].map(x, x)", ["2031-05-04T12:00:00Z"]), ("sum([duration('1m'), duration('1s')])", 61),
        ("avg([duration('1m'), duration('1s')])", 30.5), ("max(t, t + duration('1s')) > t", True),
        ("[t + duration(1), t].sort()[0] == t", True), ("duration('1500ms')", 1.5), ("t.getMilliseconds()", 0),
        ("t.getDayOfYear('America/New_York')", 123), ("timestamp('0001-01-01')", "0001-01-01T00:00:00Z"),
        ("string(t) + ' ' + string(duration('1.5s')) + ' ' + string(duration(60))", "2031-05-04T12:00:00Z 1.5s 60s"),
    ],
)  # fmt: skip
def test_times_are_reckoned_with(text: str, expected: Any) -> None:
    if expected is None:
        text, expected = text.rpartition(" && ")[0], True
    assert value(text, t=NOON) == expected


def test_only_what_is_named_is_looked_at() -> None:
    class Asked(Mapping[str, Any]):
        def __init__(self) -> None:
            self.wanted: list[str] = []

        def __getitem__(self, key: str) -> Any:
            self.wanted.append(key)
            return {"n": 1}

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("nobody has to know all names")

        def __len__(self) -> int:
            raise AssertionError("nobody has to know all names")

    names = Asked()
    assert Expression("a.n == 1 || b.n == 1").evaluate(names) is True
    assert names.wanted == ["a"]


def test_maps_may_be_of_any_mapping_type() -> None:
    class Loaded(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"n": 5, "more": (1, 2)}[key]

        def __iter__(self) -> Iterator[str]:
            return iter(("n", "more"))

        def __len__(self) -> int:
            return 2

    names = {"m": Loaded()}
    assert value("m.n + m['n'] + m.more[1] + size(m) + size(keys(m))", **names) == 16
    assert value("m", **names) == {"n": 5, "more": [1, 2]}
    assert value("has(m.n) && !has(m.x) && 'n' in m && m == {'n': 5, 'more': [1, 2]}", **names) is True


def test_values_of_python_types_are_taken_for_what_they_are() -> None:
    class Color(StrEnum):
        RED = "red"

    assert value("c + s", c=Color.RED, s="!") == "red!"
    assert value("d", d=date(2031, 5, 4)) == "2031-05-04"
    assert value("[t, [t], {'a': t}]", t=NOON.astimezone(timezone(timedelta(hours=2)))) == [
        "2031-05-04T12:00:00Z", ["2031-05-04T12:00:00Z"], {"a": "2031-05-04T12:00:00Z"},
    ]  # fmt: skip
    assert value("x", x={"a": (1, Color.RED), "b": timedelta(seconds=1.5), "c": b"\xff"}) == {
        "a": [1, "red"], "b": 1.5, "c": "_w==",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [object(), {1, 2}, 1j, print, NOON.replace(tzinfo=None), 2**63, float("nan"), {3: 1}])
@pytest.mark.parametrize("text", ["x", "[x]", "o.x", "[o]"])
def test_values_that_are_no_json_are_refused(wrong: Any, text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text, x=wrong, o={"x": wrong})


def test_no_attribute_of_a_python_object_can_be_reached() -> None:
    for text in ("''.format", "x.__class__", "x.__init__()", "[].append(1)", "{}.items()"):
        with pytest.raises(ExpressionError):
            value(text, x={"a": 1})


def test_times_are_left_as_they_are_when_asked() -> None:
    found = Expression("{'at': t, 'for': [duration(5)]}").evaluate({"t": NOON}, times=True)
    assert found == {"at": NOON, "for": [timedelta(seconds=5)]}


def test_a_result_shares_nothing_with_what_was_given() -> None:
    given = {"a": [{"b": 1}]}
    found = value("a", **given)
    found[0]["b"] = 2
    assert given == {"a": [{"b": 1}]}


def test_the_clock_is_asked_once_and_only_if_need_be() -> None:
    asked = []

    def clock() -> datetime:
        asked.append(1)
        return NOON

    assert Expression("1").evaluate({}, clock=clock) == 1
    assert asked == []
    assert (
        Expression("now() == now() ? now() : now()").evaluate({"now": "1970-01-01"}, clock=clock)
        == "2031-05-04T12:00:00Z"
    )
    assert asked == [1]


@pytest.mark.parametrize("now", [NOON, "2031-05-04T12:00:00Z"])
def test_without_a_clock_now_is_the_name(now: Any) -> None:
    assert value("now()", now=now) == "2031-05-04T12:00:00Z"


def test_a_condition_holds_or_does_not_and_is_nothing_else() -> None:
    assert Expression("a > 1").holds({"a": 2})
    assert not Expression("a > 1").holds({"a": 1})
    with pytest.raises(ExpressionError, match="a condition is true or false, not an integer"):
        Expression("a").holds({"a": 1})


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("nodes.get.output.rows.map(r, r.price + input.tax)", {("nodes", "get", "output", "rows"), ("input", "tax")}),
        ("nodes['fetch'].output", {("nodes", "fetch", "output")}), ("a.b[0].c", {("a", "b")}),
        ("a[b.c].d", {("a",), ("b", "c")}), ("has(a.b.c) && default(d.e, f)", {("a", "b", "c"), ("d", "e"), ("f",)}),
        ("a.b.size()", {("a", "b")}), ("size(a.b)", {("a", "b")}), ("a.map(a, a.b)", {("a",)}),
        ("[1].map(x, y.map(x, x)).map(z, x)", {("y",), ("x",)}),
        ("{a: b, 'c': !d ? -e : f}", {("a",), ("b",), ("d",), ("e",), ("f",)}),
        ("a.map(x, x.ok, x.b[c]).d", {("a",), ("c",)}), ("type(a) == int", {("a",)}), ("now()", set()),
        ("secrets.TOKEN", {("secrets", "TOKEN")}), ("(a.b).c", {("a", "b", "c")}),
        ("a < b + c * d", {("a",), ("b",), ("c",), ("d",)}), ("[a.b].c", {("a", "b")}),
    ],
)  # fmt: skip
def test_references_are_the_paths_that_are_read(text: str, references: set[tuple[str, ...]]) -> None:
    expression = Expression(text)
    assert expression.references == references
    assert expression.names == {path[0] for path in references}


def test_unknown_names_are_told_with_what_there_is() -> None:
    known = ["input", "nodes.fetch", "nodes.big"]
    assert Expression("nodes.fetch.output + input.a.b + size(nodes)").check(known) == []
    wrong = Expression("imput.a +\n nodes.fetchh.output + other").check(known)
    assert [(error.line, error.column, error.reason, error.hint) for error in wrong] == [
        (1, 1, "there is no name 'imput' here", "did you mean input?; there are: input, nodes"),
        (2, 8, "there is no 'fetchh' in nodes", "did you mean fetch?; there are: big, fetch"),
        (2, 24, "there is no name 'other' here", "there are: input, nodes"),
    ]
    assert Expression("nodes.any.output").check(["nodes", "nodes.fetch"]) == [], "the shorter path allows all"


def test_types_are_told_and_their_names_are_names_elsewhere() -> None:
    assert value("[type(1) == int, string == type(''), type([]) in [list, map], type(null) != null_type]") == [
        True,
        True,
        True,
        False,
    ]
    assert (
        value("type(t) == timestamp && type(t - t) == duration && type(b'') == bytes && type({}) == map", t=NOON)
        is True
    )
    assert value("list.map(string, string + int)", list=[1], int=2) == [3]
    assert Expression("type(list) == list").names == {"list"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0 > 1 || true", True), ("true || 1 / 0 > 1", True), ("1 / 0 > 1 && false", False),
        ("m.x && false", False), ("m.x || m.y || true", True), ("1 || true", True), ("'a' && false", False),
        ("[0, 1].exists(x, 1 / x == 1)", True), ("[0, 1].all(x, 1 / x == 5)", False),
        ("[{}, {'a': 1}].exists(x, x.a == 1)", True), ("[1, 'a'].exists(x, x > 0)", True),
        ("false && nothing.at.all", False), ("true ? 1 : nothing", 1),
    ],
)  # fmt: skip
def test_a_side_that_fails_is_passed_over_when_another_decides(text: str, expected: Any) -> None:
    assert value(text, m={}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0 > 1 || false", "1 / 0 > 1 && true", "1 || false", "[0, 1].exists(x, 1 / x == 5)",
        "[0, 1].all(x, 1 / x == 1)", "[0, 1].exists_one(x, 1 / x == 1)", "[0, 1].filter(x, 1 / x == 1)",
        "[0].map(x, 1 / x)",
    ],
)  # fmt: skip
def test_a_side_that_fails_is_told_when_no_other_decides(text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text)


def test_a_variable_hides_a_name_only_within_its_macro() -> None:
    assert value("a.map(x, x + 1).size() + x", a=[1, 2], x=10) == 12
    assert value("a.map(x, a.map(x, x * 10)[0] + x)", a=[1, 2]) == [11, 12]
    assert value("a.map(x, a.map(y, x * y))", a=[1, 2]) == [[1, 2], [2, 4]]
    assert value("a.map(x, x).map(x, x * 2)", a=[1, 2]) == [2, 4]


def test_expressions_are_equal_by_what_they_say_and_travel() -> None:
    expression = Expression("a + 1", macros=1)
    again = pickle.loads(pickle.dumps(expression))  # noqa: S301 - our own bytes
    assert again == expression
    assert len({again, expression, Expression("a + 1")}) == 2
    assert again.evaluate({"a": 1}) == 2


def test_threads_share_an_expression() -> None:
    expression = Expression("a.map(x, a.map(y, x * y)).flatten().filter(z, z % 2 == 0).sum()")
    found: list[tuple[int, int]] = []

    def work(n: int) -> None:
        found.extend((n, expression.evaluate({"a": list(range(n))})) for _ in range(30))

    threads = [Thread(target=work, args=(n,)) for n in (3, 20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 90
    assert set(found) == {(n, sum(x * y for x in range(n) for y in range(n) if x * y % 2 == 0)) for n in (3, 20, 40)}


@pytest.mark.parametrize("wrong", [None, 5, b"a"])
def test_an_expression_is_a_text(wrong: Any) -> None:
    with pytest.raises(ArgumentError):
        Expression(wrong)


@pytest.mark.parametrize("macros", [-1, 9, True, 1.5])
def test_the_number_of_macros_has_bounds(macros: Any) -> None:
    with pytest.raises(ArgumentError):
        Expression("1", macros)
