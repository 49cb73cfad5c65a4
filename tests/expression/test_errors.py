"""What people are told when an expression is wrong."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pgflow.errors import PgflowError
from pgflow.expression import Expression, ExpressionError

NAMES: dict[str, Any] = {
    "input": {"name": "Ann", "orders": [{"total": 1}], "none": None, "n": 3},
    "nodes": {"fetch": {"output": {"items": [], "total": 2}}},
}


def failure(text: str, names: Any = None, macros: int = 2) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        Expression(text, macros).evaluate(NAMES if names is None else names)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "the traceback shows how it was found out"
    return caught.value


def test_an_error_shows_the_line_with_a_caret_below_the_place() -> None:
    error = failure("input.n > 1 &&\n  nodes.fetch.output.itmes > 2\n  || false")
    assert isinstance(error, PgflowError)
    assert (error.line, error.column, error.path) == (2, 22, None)
    assert str(error) == (
        "there is no key 'itmes' in nodes.fetch.output (line 2, column 22)\n"
        "      nodes.fetch.output.itmes > 2\n"
        "                         ^\n"
        "  -> did you mean items?; it has: items, total"
    )


def test_a_long_line_is_shown_around_the_place() -> None:
    for text in ("1 + " * 200 + "wrong", "wrong + " + "1 + " * 200 + "1", "1 + " * 100 + "wrong" + " + 1" * 100):
        _, shown, caret, *_ = str(failure(text)).splitlines()
        assert len(shown) < 115
        assert shown[caret.index("^") :].startswith("wrong")


def test_tabs_and_the_like_do_not_move_the_caret() -> None:
    _, shown, caret, *_ = str(failure("\t\t\f1 + \twrong")).splitlines()
    assert shown[caret.index("^") :] == "wrong"


@pytest.mark.parametrize(
    ("text", "column", "reason", "hint"),
    [
        ("", 1, "the expression is empty", None), ("  // nothing", 1, "the expression is empty", None),
        ("1 +", 4, "the expression ends where a value should follow", None),
        ("(1", 1, "this ( is not closed", "it has to end with )"), ("[1, 2", 1, "this [ is not closed", "]"),
        ("size(1", 5, "this ( is not closed", ")"), ("a[1", 2, "this [", "]"),
        ("1 2", 3, "an operator or the end should stand here, not '2'", None),
        ("1 )", 3, "an operator or the end", None), ("a = 1", 3, "'=' has no meaning here", "compare with =="),
        ("a & b", 3, "'&' has no meaning here", "write &&"),
        ("a and b", 3, "an operator or the end should stand here, not 'and'", "write &&"),
        ("a or b", 3, "an operator", "write ||"), ("not a", 5, "an operator or the end", "write !"),
        ("1 if a else 2", 3, "an operator", "condition ? yes : no"),
        ("a ?? b", 4, "a value should stand here, not '?'", "default(a.b, fallback)"),
        ("a?.b", 3, "a value", "default(a.b, fallback)"),
        ("2 ** 3", 4, "a value should stand here, not '*'", "no power operator"),
        ("${a}", 1, "'$' has no meaning", "names stand bare"),
        ("\u201ca\u201d", 1, "'\u201c' has no meaning here", "plain quotes"),
        ("a; b", 2, "';' has no meaning here", "one expression"), ("'abc", 1, "this text is not closed", "end with '"),
        ("'''a\nb''", 1, "this text is not closed", "'''"), ("'a\nb'", 1, "this text", "'"),
        (r"'\q'", 2, "no such escape in a text", r"\\ for a backslash"),
        (r"'\ud800'", 2, "there is no such character", None),
        (r"'ab\U00110000'", 4, "there is no such character", None),
        ("12abc", 3, "a number runs into a name", "an operator or a space"),
        ("1e999", 1, "this number is too large", None),
        ("9223372036854775808", 1, "this integer does not fit in 64 bits", "as text"),
        ("a ? b", 6, "the expression ends where ':' and what holds otherwise should follow", None),
        ("a.1", 2, "an operator", None), ("a.", 3, "the expression ends where the name of a field should follow", None),
        ("{1 2}", 4, "a ':' and a value should follow", None),
        ("{'a'}", 5, "a ':' and a value should follow", "keys are texts"),
        ("Foo{a: 1}", 4, "messages of a type cannot be made", "write a map"),
        ("for", 1, "a value should stand here, not 'for'", "list.map(x, ...)"),
        ("a\x00b", 2, "the character U+0000 has no meaning", None), ("'a' \ud800", 5, "this is half a character", None),
        ("a.`b\"c`", 3, "'`' has no meaning here", "m['any key']"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_told_where_and_what_to_write(
    text: str, column: int, reason: str, hint: str | None
) -> None:
    error = failure(text)
    assert (error.line, error.column) == (1, column)
    assert error.reason.startswith(reason)
    assert (hint or "") in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "column", "reason", "hint"),
    [
        ("sise(input)", 1, "there is no function 'sise'", "did you mean size?"),
        ("input.trimm()", 7, "there is no function 'trimm'", "trim"),
        ("'a'.split()", 5, "split() takes 2 or 3 arguments, not 1", "split(text, separator, most)"),
        ("now(1)", 1, "now() takes no arguments, not 1", ""),
        ("min()", 1, "min() takes at least 1 argument, not 0", "min(list)"),
        ("size()", 1, "size() takes 1 argument, not 0", "size("),
        ("map([1], x, x)", 1, "map() is called on a list", "list.map(x, ...)"),
        ("[1].map(x)", 5, "map() takes 2 or 3 arguments", "map(x, ...)"),
        ("[1].filter(1, true)", 12, "this should be a name for the element", "filter(x, ...)"),
        ("has(a)", 1, "has() takes one field", None),
        ("[1].map(secrets, 1)", 9, "this should be a name for the element", None),
        ("has(a[0])", 1, "has() takes one field", None),
        ("default(1)", 1, "default() takes a value and what to take in its place", None),
        ("a.has(b)", 3, "has() takes one field", None),
        ("'a'.matches('(')", 13, "this is no regular expression", "RE2"),
        ("'a'.matches('a(?=b)')", 13, "this is no regular expression", "lookaround"),
        ("'a'.matches('.{1,4000}')", 13, "this regular expression is too large", "repeat fewer times"),
        ("'a'.matches('a{20}{20}{20}')", 13, "this regular expression is too large", "repeat fewer times"),
        ("false && 'a'.matches('[')", 22, "this is no regular expression", None),
        ("'%s'.formt([1])", 6, "there is no function 'formt'", "format"),
    ],
)  # fmt: skip
def test_wrong_calls_are_told_before_anything_is_evaluated(
    text: str, column: int, reason: str, hint: str | None
) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert caught.value.column == column
    assert caught.value.reason.startswith(reason)
    assert (hint or "") in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "column", "reason", "hint"),
    [
        ("imput.name", 1, "there is no name 'imput' here", "did you mean input?"),
        ("xyz", 1, "there is no name 'xyz' here", "there are: input, nodes"),
        ("True", 1, "there is no name 'True' here", "did you mean true?"),
        ("input.nam", 7, "there is no key 'nam' in input", "did you mean name?"),
        ("input['nam']", 6, "there is no key 'nam' in input", "it has: n, name, none, orders"),
        ("input.none.x", 12, "input.none is null", "default("),
        ("input.orders.total", 14, "input.orders is a list and has no key 'total'", "list.map(x, x.field)"),
        ("input.name.x", 12, "input.name is a text", "json(text)"),
        ("input.orders[0].totl", 17, "there is no key 'totl' in input.orders[0]", "did you mean total?"),
        ("input.n.x", 9, "input.n is an integer", None),
        ("input.orders.map(o, o.totl)", 23, "there is no key 'totl' in o", "did you mean total?"),
        ("input.orders[1]", 13, "the index is outside of the list, which has 1 element", "last(list)"),
        ("input.orders[-1]", 13, "the index is outside", "last(list)"),
        ("input.orders['a']", 13, "the index of a list is an integer, not a text", "list[0]"),
        ("[][0]", 3, "the index is outside of the list, which has 0 elements", "default("),
        ("'abc'[0]", 6, "the characters of a text have no index", "substring"),
        ("input[null]", 6, "the key of a map is a text, not null", "string(key)"),
        ("{null: 1}", 2, "the key of a map is a text, not null", None),
        ("{'a': 1, 'a': 2}", 10, "this key is in the map already", None),
        ("{1: 'a'}", 1, "the keys of a map in a result have to be texts, not an integer", "string(key)"),
        ("'a' + 1", 5, "a text + an integer makes no sense", "string(value)"),
        ("1 + input.none", 3, "an integer + null makes no sense", "default(value, 0)"),
        ("now() + 1", 7, "a timestamp + an integer makes no sense", "duration(90) is 90 seconds"),
        ("true + true", 6, "a boolean + a boolean makes no sense", None),
        ("'2' * 2", 5, "a text * an integer makes no sense", "read a number"),
        ("[1] - [1]", 5, "a list - a list makes no sense", None), ("1 / 0", 3, "division by zero", "b == 0 ?"),
        ("1.5 / 0.0", 5, "division by zero", None), ("1 % 0", 3, "division by zero", None),
        ("9223372036854775807 + 1", 21, "the integer does not fit in 64 bits", "double("),
        ("-9223372036854775808 - 1", 22, "the integer does not fit", None),
        ("9223372036854775807 * 2", 21, "the integer does not fit", None),
        ("-9223372036854775808 / -1", 22, "the integer does not fit", None),
        ("-(-9223372036854775808)", 1, "the integer does not fit", None),
        ("abs(-9223372036854775808)", 1, "the integer does not fit", None),
        ("1e308 * 10", 7, "the number is too large", None),
        ("1 < 'a'", 3, "an integer and a text have no order", "int(text)"),
        ("now() < '2031'", 7, "a timestamp and a text have no order", "timestamp(text)"),
        ("null < 1", 6, "null and an integer have no order", "default("),
        ("[1] < [2]", 5, "a list and a list have no order", None),
        ("'a' in 'abc'", 5, "`in` looks into a list or the keys of a map, not into a text", "contains"),
        ("input.n && true", 9, "each side of && has to be true or false, not an integer", "compare it"),
        ("!input.n", 1, "what follows ! has to be", "compare it"),
        ("input.n ? 1 : 2", 9, "what stands before ? has to be true or false", None),
        ("false || 'a'", 7, "each side of ||", None), ("-'a'", 1, "only numbers and durations", None),
        ("input.name.map(x, x)", 12, "map() goes through a list or the keys of a map, not a text", None),
        ("input.none.all(x, x)", 12, "all() goes through", "default(list, [])"),
        ("[1].filter(x, x)", 5, "what filter() asks of each element has to be true or false, not an integer", None),
        ("[1, 'a'].sort_by(x, x)", 10, "an integer and a text have no order", None),
        ("[{}].sort_by(x, x)", 6, "a map and a map have no order", None),
        ("upper(1)", 1, "upper() takes a text here, not an integer", "string(value)"),
        ("sum('a')", 1, "sum() takes a list here, not a text", None),
        ("sum(['1'])", 1, "sum() adds numbers, not a text", "double(x)"),
        ("sum([true])", 1, "sum() adds numbers, not a boolean", None),
        ("round(true)", 1, "round() takes a number here, not a boolean", None),
        ("min([])", 1, "an empty list has no min", "default(min(list), 0)"),
        ("first([])", 1, "the list is empty", "default("), ("max([1, 'a'])", 1, "max() compares", None),
        ("[{}, {}].sort()", 10, "sort() takes values of one type, not a map and a map", "sort_by"),
        ("round(1.5, 99)", 1, "round() keeps 0 to 15 digits", None), ("int('x')", 1, "this text is no integer", None),
        ("int('1.5')", 1, "this text is no integer", "double(text)"),
        ("int(1e19)", 1, "the integer does not fit", None), ("double('1_0')", 1, "this text is no number", None),
        ("double('inf')", 1, "this text is no number", None),
        ("int(null)", 1, "int() makes no integer of null", "default"),
        ("int(true)", 1, "int() makes no integer of a boolean", "flag ? 1 : 0"),
        ("bool('yes')", 1, "bool() reads true or false", None),
        ("uint(-1)", 1, "uint() makes no integer below zero", None),
        ("json('{')", 1, "this text is no JSON at character 2", None), ("json('NaN')", 1, "this text is no JSON", None),
        ("json('[' + '9'.replace('9', '[') + ']')", 1, "this text is no JSON", None),
        ("timestamp('yesterday')", 1, "this text is no timestamp", "2031-05-04T12:30:00Z"),
        ("timestamp('2031-02-30')", 1, "this text is no timestamp", None),
        ("timestamp(1e18)", 1, "the timestamp is outside the years 1 to 9999", None),
        ("timestamp(null)", 1, "timestamp() takes a text", None),
        ("timestamp('2031-05-04', 'Nowhere')", 1, "there is no such time zone", "Europe/Berlin"),
        ("timestamp('9999-12-31') + duration('2d')", 25, "this is outside the years 1 to 9999", None),
        ("duration('soon')", 1, "this is no duration", "1h30m"), ("duration('--1s')", 1, "this is no duration", None),
        ("now().getHours('../etc/passwd')", 7, "there is no such time zone", None),
        ("format_time(now(), '%Q')", 1, "format_time() knows no %Q", "%Y"),
        ("getMonth(duration('1h'))", 1, "getMonth() takes a timestamp here, not a duration", None),
        ("'%d'.format(['a'])", 6, "%d takes a number, not a text", "%s"),
        ("'%d'.format([1.5])", 6, "%d takes an integer", "%.2f"), ("'%q'.format([1])", 6, "format() knows no %q", "%%"),
        ("'%s'.format([])", 6, "format() has no value left for %s", None),
        ("'a'.format([1])", 5, "format() is given more values", None),
        ("base64_decode('*')", 1, "this text is no base64", None),
        ("string(b'\\xff')", 1, "these bytes are no text", "base64_encode"),
        ("[{'k': 1}].from_entries()", 12, "from_entries() takes maps with a key and a value", None),
        ("get([1], 'a', 0)", 1, "the index of a list is an integer", None),
        ("'a'.matches('(' + 'a')", 5, "this is no regular expression", None),
        ("'abc'.substring(2, 1)", 7, "substring() counts from 0", None),
        ("[1].slice(-1)", 5, "slice() counts from 0", None),
        ("['a'].exists_one(x, x)", 7, "what exists_one() asks", None),
        ("1 + 2 * 'a'", 7, "an integer * a text makes no sense", None),
        ("false || 1 / 0 > 1", 12, "division by zero", None),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_told_in_peoples_words(
    text: str, column: int, reason: str, hint: str | None
) -> None:
    error = failure(text, {**NAMES, "now": "2031-05-04T12:00:00Z"})
    assert error.column == column
    assert error.reason.startswith(reason)
    assert (hint or "") in (error.hint or "")


def test_now_needs_a_time() -> None:
    assert failure("now()").reason.startswith("there is no time here")


def test_macros_may_be_forbidden_or_counted() -> None:
    assert failure("input.orders.map(x, x)", macros=0).reason.startswith("map() may not be used here")
    assert failure("[1].map(x, [x].map(y, y))", macros=1).reason == "more than 1 macros within each other"
    assert Expression("[1].map(x, x).filter(x, x > 0).size()", macros=1).evaluate({}) == 1, "one after the other"
    assert Expression("has(a.b) && default(a.c, true) && size(a) == 1", macros=0).evaluate({"a": {"b": 1}}) is True


def test_no_error_tells_a_value() -> None:
    told = "s3cr3t"
    names = {"secrets": {"A": told}, "input": {"password": told, "list": [told], "keys": {told: told}}}
    for text in (
        "int(input.password)", "input.password.x", "{'a': 1}[input.password]", "{input.password: 1}.x",
        "json(input.password)", "input.list.map(x, x.y)", "timestamp(input.password)", "duration(input.password)",
        "input.password + 1", "timestamp('2031-05-04', input.password)", "'%d'.format([input.password])",
        "'a'.matches('(' + input.password)", "input[input.password]", "[{input.password: 1}].map(x, x.y)",
        "default(0, 0)[input.password]", "merge(input.keys).x", "format_time(timestamp(0), '%' + 'Q' + input.password)",
        "{input.password: 1, input.password: 2}", "bool(input.password)", "base64_decode(input.password + '*')",
        "input.password > 1", "!input.password", "input.password.map(x, x)", "double(input.password)", "secrets.A.x",
        "secrets.A + 'x'", "secrets.C", "[json('{\"' + input.password + '\": 1}')].map(x, x.y)",
    ):  # fmt: skip
        with pytest.raises(ExpressionError) as caught:
            Expression(text).evaluate(names)
        assert told not in str(caught.value), text
        assert told not in repr(caught.value.__dict__), text


def test_a_missing_secret_does_not_tell_the_others() -> None:
    error = failure("secrets.C", {"secrets": {"A": "x", "CC": "y"}})
    assert (error.reason, error.hint) == ("there is no key 'C'", None)


def test_a_secret_stands_alone() -> None:
    assert Expression("secrets.TOKEN").evaluate({"secrets": {"TOKEN": "x"}}) == "x"
    assert Expression("secrets.TOKEN").secret == "TOKEN"
    assert Expression("input.secrets.a + x.map(secret, secret)").secret is None
    for text in (
        "secrets", "secrets['TOKEN']", "secrets.TOKEN == ''", "[secrets.TOKEN]", "secrets.TOKEN.x", "has(secrets.A)",
        "a.map(x, secrets.A)", "(secrets.A + '')", "default(secrets.A, '')", "size(secrets)", "a[secrets.A]",
    ):  # fmt: skip
        with pytest.raises(ExpressionError) as caught:
            Expression(text)
        assert caught.value.reason.startswith("a secret has to stand alone")
        assert caught.value.column == text.index("secrets") + 1


def test_an_error_travels() -> None:
    error = failure("input.nam")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.hint, again.line, again.column) == (str(error), error.hint, error.line, error.column)
