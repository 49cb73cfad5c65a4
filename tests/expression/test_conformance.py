"""Where the language is CEL's, it says what another implementation of CEL says.

Expressions are made of parts of known types, since both refuse what does not fit, and leave out what is ours on purpose
(docs/expressions.md, "What differs from CEL").
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import cel
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pgflow.expression import Expression, ExpressionError
from pgflow.expression.bounds import LENGTH

Source = st.SearchStrategy[str]

DEPTH = 3
NAMES = {
    "i": 7, "j": -3, "d": 2.5, "s": "abc", "t": True, "n": None, "li": [3, 1, 2], "ls": ["a", "b", ""],
    "m": {"a": 1, "b": 2}, "rows": [{"id": 1, "price": 1.5, "tags": ["x"]}, {"id": 2, "price": 3.0, "tags": []}],
}  # fmt: skip
ORDERS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
PATTERNS = st.sampled_from(["^a", "b+$", "[^a]", "(a|b){2}", r"\\s", "^$"])


def made(form: str, *parts: Source) -> Source:
    return st.builds(form.format, *parts)


@cache
def integers(depth: int = DEPTH) -> Source:
    names = ["i", "j", "m.a", "m['b']", "li[0]", "li[9]", "m.zz", "rows[1].id", "9223372036854775807", "0x1f"]
    leaves = st.integers(-20, 20).map("({})".format) | st.sampled_from(names)
    if not depth:
        return leaves
    below = integers(depth - 1)
    return st.one_of(
        leaves,
        made("({} {} {})", below, st.sampled_from("+-*/%"), below),
        made("size({})", lists(depth - 1) | texts(depth - 1)),
        made("{}.size()", lists(depth - 1)),
        made("(-{})", below),
        made("({} ? {} : {})", booleans(depth - 1), below, below),
        made("int({})", doubles(0)),
    )


@cache
def doubles(depth: int = DEPTH) -> Source:
    leaves = st.floats(-10, 10).map("({!r})".format) | st.sampled_from(["d", "rows[0].price", "1e3", ".5"])
    if not depth:
        return leaves
    below = doubles(depth - 1)
    return st.one_of(leaves, made("({} {} {})", below, st.sampled_from("+-*"), below), made("double({})", integers(0)))


@cache
def texts(depth: int = DEPTH) -> Source:
    names = ["s", "ls[0]", r"'\x41\n'", r"r'\n'", "'''it's'''", "string(i)"]
    leaves = st.text("ab '\"\\", max_size=4).map(json.dumps) | st.sampled_from(names)
    if not depth:
        return leaves
    below = texts(depth - 1)
    return st.one_of(leaves, made("({} + {})", below, below), made("({} ? {} : {})", booleans(depth - 1), below, below))


@cache
def booleans(depth: int = DEPTH) -> Source:
    names = ["true", "false", "t", "has(m.a)", "has(m.zz)", "'a' in m", "'zz' in m", "n == null", "1 / 0 == 1"]
    if not depth:
        return st.sampled_from(names)
    below, numbers, strings = booleans(depth - 1), integers(depth - 1) | doubles(depth - 1), texts(depth - 1)
    return st.one_of(
        st.sampled_from(names),
        made("({} {} {})", numbers, ORDERS, numbers),
        made("({} {} {})", strings, ORDERS, strings),
        made("({} == {})", values(depth - 1), values(depth - 1)),
        made("({} && {})", below, below),
        made("({} || {} || {})", below, below, below),
        made("(!{})", below),
        made("({} in {})", numbers | strings, lists(depth - 1)),
        made("{}.{}({})", strings, st.sampled_from(["contains", "startsWith", "endsWith"]), strings),
        made("{}.matches('{}')", strings, PATTERNS),
        made("{}.{}(x, {})", lists(depth - 1), st.sampled_from(["all", "exists", "exists_one"]), conditions(depth - 1)),
        made("rows.{}(r, {})", st.sampled_from(["all", "exists"]), below | st.just("r.price > 2.0")),
    )


def conditions(depth: int) -> Source:
    return booleans(depth) | st.sampled_from(["x == 1", "x != 'a'", "x in [1, 2]", "x == x"])


@cache
def lists(depth: int = DEPTH) -> Source:
    names = ["li", "ls", "[]", "rows.map(r, r.id)", "rows.map(r, r.price > 2.0, r.tags)", "[[1], ['a']]"]
    if not depth:
        return st.sampled_from(names)
    below, inner = lists(depth - 1), values(depth - 1)
    return st.one_of(
        st.sampled_from(names),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        made("({} + {})", below, below),
        made("{}.filter(x, {})", below, conditions(depth - 1)),
        made("{}.map(x, {})", below, inner | st.sampled_from(["x", "[x]", "x == 1"])),
        made("{}.map(x, {}, {})", below, conditions(depth - 1), inner),
        made("li.map(x, {}.map(y, {}))", below, inner | st.sampled_from(["x", "y", "x * 2", "x == y"])),
    )


@cache
def values(depth: int = DEPTH) -> Source:
    of_types = [kind(depth) for kind in (integers, doubles, texts, booleans, lists)]
    if not depth:
        return st.one_of(*of_types, st.just("null"))
    return st.one_of(*of_types, made("{{'a': {}, 'b': {}}}", values(depth - 1), values(depth - 1)))


@given(values())
@settings(max_examples=200, deadline=None)
def test_cel_says_the_same(text: str) -> None:
    assume(len(text) <= LENGTH)
    assert agreement(text)


def agreement(text: str) -> bool:
    """Whether both say the same of an expression, or both refuse it."""
    try:
        theirs: Any = cel.compile(text).execute(NAMES)
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, ArithmeticError):
        theirs = None
        refused = True
    else:
        refused = False
    try:
        ours = Expression(text, macros=8).evaluate(NAMES)
    except ExpressionError:
        return refused
    return not refused and same(ours, theirs)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or math.isclose(a, b, rel_tol=1e-12)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b)
