"""What holds of every expression and of every template."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.expression import Expression, ExpressionError, Template
from pgflow.expression.functions import FUNCTIONS

CHARACTERS = st.characters(codec="utf-8")
TEXT = st.text(CHARACTERS, max_size=20)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
NAMES = st.fixed_dictionaries(dict.fromkeys(("a", "b", "input", "secrets"), JSON))
WORDS = [
    *"()[]{}.,:?<>!+-*/%$'\"`\\ \n", "==", "!=", "<=", ">=", "&&", "||", "${", "$${", "in", "true", "false", "null",
    "a", "b", "input", "secrets.A", "x", "0", "1", "-1", "9223372036854775807", "1.5", "1e308", "''", "'a'", "'%s %d'",
    "b'\\xff'", "[1, 2]", "{'a': 1}", ".map(x, ", ".filter(x, ", ".all(x, ", ".exists(x, ", ".sort_by(x, ", "has(a.b)",
    "default(", "now()", "timestamp('2031-05-04')", "duration('1h')", *(f"{name}(" for name in FUNCTIONS),
    *(f".{name}(" for name in FUNCTIONS),
]  # fmt: skip
SOUP = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)


def expressions() -> st.SearchStrategy[str]:
    """Expressions that can be read, and mostly fail when evaluated."""
    leaves = st.sampled_from(
        [word for word in WORDS if word[0] in "ab0123456789'[{-" and "\\" not in word and word != "b'"]
    )

    def more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        operators = st.sampled_from(["+", "-", "*", "/", "%", "<", "<=", "==", "!=", "&&", "||", "in"])
        macros = st.sampled_from(["map", "filter", "all", "exists", "exists_one", "sort_by"])
        names = st.sampled_from(sorted(FUNCTIONS))
        return st.one_of(
            st.builds("({} {} {})".format, inner, operators, inner),
            st.builds("({} ? {} : {})".format, inner, inner, inner),
            st.builds("{}[{}]".format, inner, inner),
            st.builds("{}.a".format, inner),
            st.builds("[{}, {}]".format, inner, inner),
            st.builds("{{{}: {}}}".format, inner, inner),
            st.builds("default({}, {})".format, inner, inner),
            st.builds("{}.{}(x, {})".format, inner, macros, inner | st.just("x")),
            st.builds("{}({})".format, names, st.lists(inner, min_size=0, max_size=3).map(", ".join)),
        )

    return st.recursive(leaves, more, max_leaves=8)


def outcome(text: str, names: dict[str, Any]) -> Any:
    """What an expression comes to, or what is said of it. Anything else that is raised is a fault of ours."""
    try:
        return Expression(text).evaluate(names)
    except ExpressionError as error:
        said = error
    lines = text.split("\n")
    assert 1 <= said.line <= len(lines)
    assert 1 <= said.column <= len(lines[said.line - 1]) + 1
    assert said.reason
    return str(said)


@given(st.text(max_size=100) | SOUP, NAMES)
@settings(deadline=None)
def test_any_text_is_an_expression_or_an_error(text: str, names: dict[str, Any]) -> None:
    outcome(text, names)


@given(expressions(), NAMES)
@settings(deadline=None, max_examples=300)
def test_every_result_is_json_and_is_the_same_again(text: str, names: dict[str, Any]) -> None:
    before = copy.deepcopy(names)
    first = outcome(text, names)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert outcome(text, names) == first
    assert names == before, "evaluating changes nothing"


@given(expressions() | SOUP, NAMES)
@settings(deadline=None)
def test_only_names_that_are_told_are_read(text: str, names: dict[str, Any]) -> None:
    try:
        expression = Expression(text)
    except ExpressionError:
        return
    told = {name: value for name, value in names.items() if name in expression.names}
    first, second = outcome(text, names), outcome(text, told)
    if not isinstance(first, str) or "there is no name" not in first:  # the hint knows other names
        assert first == second
    assert (not expression.check(names)) == (expression.names <= names.keys())


@given(JSON)
def test_what_has_no_expressions_renders_to_itself(value: Any) -> None:
    if "${" not in json.dumps(value, ensure_ascii=False):
        template = Template(value)
        assert template.render({}) == value
        assert template.verbatim


@given(st.text(st.sampled_from("$${}a'\\ "), max_size=12) | TEXT)
def test_an_escaped_text_renders_to_what_it_was(text: str) -> None:
    assert Template(text.replace("${", "$${")).render({}) == text


@given(JSON, TEXT, TEXT)
def test_a_whole_expression_gives_the_value_and_others_its_text(value: Any, before: str, after: str) -> None:
    names = {"v": value}
    assert Template("${v}").render(names) == value
    assert type(Template("${ v }").render(names)) is type(value)
    if "$" not in before and "${" not in after:
        shown = value if isinstance(value, str) else "" if value is None else json.dumps(
            value, ensure_ascii=False, separators=(",", ":")
        )  # fmt: skip
        text = f"{before}${{v}}{after}"
        assert Template(text).render(names) == (value if text == "${v}" else f"{before}{shown}{after}")


@given(
    st.recursive(
        SOUP | SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    NAMES,
)
@settings(deadline=None)
def test_rendering_is_the_same_each_time_and_any_text_is_a_template_or_an_error(
    value: Any, names: dict[str, Any]
) -> None:
    before = copy.deepcopy(value)
    if problems := Template.problems(value):
        assert all(error.path for error in problems)
        with pytest.raises(ExpressionError):
            Template(value)
        return
    template = Template(value)
    results = []
    for _ in range(2):
        try:
            results.append(template.render(names))
        except ExpressionError as error:
            results.append(str(error))
    assert results[0] == results[1]
    assert value == before


@given(INTEGERS, INTEGERS.filter(bool))
def test_division_and_remainder_fit_each_other(a: int, b: int) -> None:
    names = {"a": a, "b": b}
    if (a, b) != (-(2**63), -1):
        quotient, rest = Expression("[a / b, a % b]").evaluate(names)
        assert quotient * b + rest == a
        assert abs(rest) < abs(b)
        assert rest == 0 or (rest < 0) == (a < 0)


@given(JSON, JSON, JSON)
def test_equality_is_an_equivalence_and_agrees_with_json(a: Any, b: Any, c: Any) -> None:
    same = Expression("[a == a, a == b, b == a, b == c, a == c, a in [b], [a, b].unique().size() == 1]")
    itself, ab, ba, bc, ac, within, unique = same.evaluate({"a": a, "b": b, "c": c})
    assert itself
    assert ab == ba == within == unique
    if ab and bc:
        assert ac
    if json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True):
        assert ab


@given(st.lists(JSON, max_size=8))
def test_functions_of_lists_fit_each_other(values: list[Any]) -> None:
    found = Expression(
        "[v.reverse().reverse() == v, v.filter(x, true) == v, v.map(x, x) == v, v.map(x, [x]).flatten() == v,"
        " v.unique().unique() == v.unique(), v.slice(0, 2) + v.slice(2) == v, v.all(x, x in v), json(to_json(v)) == v,"
        " range(size(v)).map(i, v[i]) == v, v.map(x, {'key': 'k', 'value': x}).map(e, e.value) == v]"
    ).evaluate({"v": values})
    assert found == [True] * 10


@given(st.lists(st.integers(-1000, 1000) | st.floats(-1e3, 1e3), min_size=1, max_size=8))
def test_sorting_and_the_ends_agree(values: list[Any]) -> None:
    expression = Expression("[v.sort(), [min(v), max(v)], v.sort_by(x, x), [v.sort()[0], v.sort().last()]]")
    ordered, ends, by, bounds = expression.evaluate({"v": values})
    assert ordered == by == sorted(values)
    assert ends == bounds
