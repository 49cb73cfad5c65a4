"""Where the language is CEL's, it says what another implementation of CEL says.

Expressions are made of parts of known types, since both refuse what does not fit, and leave out what is ours on purpose
(docs/expressions.md, "What differs from CEL").
"""

from __future__ import annotations

import json
import math
from typing import Any

import cel
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pgflow.expression import Expression, ExpressionError

Source = st.SearchStrategy[str]

NAMES = {
    "i": 7, "j": -3, "d": 2.5, "s": "abc", "t": True, "n": None, "li": [3, 1, 2], "ls": ["a", "b", ""], "m": {"a": 1, "b": 2},
    "rows": [{"id": 1, "price": 1.5, "tags": ["x"]}, {"id": 2, "price": 3.0, "tags": []}],
}  # fmt: skip

integers: Source = st.deferred(
    lambda: st.one_of(
        st.integers(-20, 20).map(str).map(lambda n: f"({n})"),
        st.sampled_from(
            ["i", "j", "m.a", "m['b']", "li[0]", "li[9]", "m.zz", "rows[1].id", "9223372036854775807", "0x1f"]
        ),
        st.builds("({} {} {})".format, integers, st.sampled_from("+-*/%"), integers),
        st.builds("size({})".format, lists | texts),
        st.builds("{}.size()".format, lists),
        st.builds("(-{})".format, integers),
        st.builds("({} ? {} : {})".format, booleans, integers, integers),
        st.builds("int({})".format, doubles),
    )
)
doubles: Source = st.deferred(
    lambda: st.one_of(
        st.floats(-10, 10).map(lambda f: f"({f!r})"),
        st.sampled_from(["d", "rows[0].price", "1e3", ".5"]),
        st.builds("({} {} {})".format, doubles, st.sampled_from("+-*"), doubles),
        st.builds("double({})".format, integers),
    )
)
texts: Source = st.deferred(
    lambda: st.one_of(
        st.text("ab '\"\\", max_size=4).map(json.dumps),
        st.sampled_from(["s", "ls[0]", r"'\x41\n'", r"r'\n'", "'''it's'''", "string(i)"]),
        st.builds("({} + {})".format, texts, texts),
        st.builds("({} ? {} : {})".format, booleans, texts, texts),
    )
)
booleans: Source = st.deferred(
    lambda: st.one_of(
        st.sampled_from(
            ["true", "false", "t", "has(m.a)", "has(m.zz)", "'a' in m", "'zz' in m", "n == null", "1 / 0 == 1"]
        ),
        st.builds(
            "({} {} {})".format, integers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), integers | doubles
        ),
        st.builds("({} {} {})".format, doubles, st.sampled_from(["<", "<=", ">", ">="]), integers | doubles),
        st.builds("({} {} {})".format, texts, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), texts),
        st.builds("({} == {})".format, values, values),
        st.builds("({} && {})".format, booleans, booleans),
        st.builds("({} || {} || {})".format, booleans, booleans, booleans),
        st.builds("(!{})".format, booleans),
        st.builds("({} in {})".format, integers | texts, lists),
        st.builds("{}.{}({})".format, texts, st.sampled_from(["contains", "startsWith", "endsWith"]), texts),
        st.builds("{}.matches('{}')".format, texts, st.sampled_from(["^a", "b+$", "[^a]", "(a|b){2}", r"\\s", "^$"])),
        st.builds("{}.{}(x, {})".format, lists, st.sampled_from(["all", "exists", "exists_one"]), conditions),
        st.builds("rows.{}(r, {})".format, st.sampled_from(["all", "exists"]), booleans | st.just("r.price > 2.0")),
    )
)
conditions: Source = st.deferred(lambda: booleans | st.sampled_from(["x == 1", "x != 'a'", "x in [1, 2]", "x == x"]))
lists: Source = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["li", "ls", "[]", "rows.map(r, r.id)", "rows.map(r, r.price > 2.0, r.tags)", "[[1], ['a']]"]),
        st.lists(integers, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.lists(texts | booleans, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.builds("({} + {})".format, lists, lists),
        st.builds("{}.filter(x, {})".format, lists, conditions),
        st.builds("{}.map(x, {})".format, lists, values | st.sampled_from(["x", "[x]", "x == 1"])),
        st.builds("{}.map(x, {}, {})".format, lists, conditions, values),
        st.builds("li.map(x, {}.map(y, {}))".format, lists, values | st.sampled_from(["x", "y", "x * 2", "x == y"])),
    )
)
maps: Source = st.builds("{{'a': {}, 'b': {}}}".format, st.deferred(lambda: values), st.deferred(lambda: values))
values: Source = st.deferred(lambda: integers | doubles | texts | booleans | lists | maps | st.just("null"))


@given(values)
@settings(max_examples=500, deadline=None)
def test_cel_says_the_same(text: str) -> None:
    assume(len(text) <= 1_500)
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
