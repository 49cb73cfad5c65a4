"""Whoever writes an expression can stop nothing with it."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from pgflow.expression import Expression, ExpressionError, Template, bounds
from pgflow.expression.bounds import DEPTH, LENGTH, NESTING

ROWS = [{"id": n, "name": f"n{n}", "price": n * 1.5, "tags": ["a", "b"]} for n in range(20_000)]
NAMES: dict[str, Any] = {
    "s": "x" * 1_000_000, "u": "é" * 500_000, "csv": "a," * 500_000, "js": "[" * 100 + "]" * 100,
    "a": list(range(10_000)), "b": list(range(100_000)), "h": list(range(100)), "l": list(range(300)),
    "rows": ROWS, "same": [dict(row) for row in ROWS], "t": [f"x{n % 977}" for n in range(50_000)],
    "m": {str(n): n for n in range(50_000)}, "now": "2031-05-04T12:30:00Z",
}  # fmt: skip

MUCH = [
    "a.map(x, h.map(y, x*y))", "b.map(x, b.map(y, 1))", "+".join(["s"] * 900) + " == ''",
    "+".join(["a.map(x,x)"] * 150), "a.map(x, s + 'a')", "a.map(x, u.upper())", "s.replace('', s)",
    "h.map(x, csv.split(','))", "a.map(x, b + b)", "a.map(x, same == rows)", "a.map(x, x in b)",
    "a.map(x, rows.unique())", "a.map(x, to_json(rows))", "h.map(x, rows)", f"[{','.join(['rows'] * 300)}]",
    "a.map(x, s.matches('(((a{17}){17}){17})'))", "s.matches('(((x{17}){17}){17})')",
    "a.map(x, 'a'.matches('[a-z]{1,100}' + string(x)))", "a.map(x, sha256(s))", "url_encode(u)", "range(99999999999)",
    "range(-9223372036854775807, 9223372036854775807)", "a.map(x, timestamp(now).getHours('Europe/Berlin'))",
    "a.map(x, '%999s%999s'.format([x, x]))", "a.map(x, flatten([b, b], 2))", "a.map(x, merge(m, m))",
    "a.map(x, json(js))", "b.sort_by(x, -x)", "b.map(x, default(m.zz, x))", "a.exists(x, m.zzz == 1)",
    "a.map(x, t.join(s))", "b.map(x, {'a': x, 'b': [x]})", "h.map(x, s)",
    f"b.map(y, b.map(x, {'!' * 40}true))",
]  # fmt: skip


@pytest.mark.parametrize("text", MUCH, ids=lambda text: text[:50])
def test_the_most_that_is_allowed_ends_soon(text: str) -> None:
    expression, begun, reason = Expression(text), time.process_time(), "more work"
    try:
        expression.evaluate(NAMES)
    except ExpressionError as error:
        reason = error.reason
    assert any(word in reason for word in ("more work", "too large", "division by zero", "no key"))
    # Half a second on a machine that does nothing else; the bound is loose since others may run beside.
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    "text", ["a.map(x, s + string(x))", "a.map(x, b + b)", "h.map(x, s.replace('x', 'xx'))", "a.map(x, t.join(s))"]
)
def test_the_most_that_is_allowed_takes_little_memory(text: str) -> None:
    expression = Expression(text)
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError):
            expression.evaluate(NAMES)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_work_is_counted_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = Expression("a.map(x, x + 1).size()")
    monkeypatch.setattr(bounds, "WORK", 2_000)
    fits = [count for count in range(2_000) if _fits(expression, count)]
    assert fits == list(range(len(fits)))
    assert len(fits) > 200
    assert fits == [count for count in range(2_000) if _fits(expression, count)]


def _fits(expression: Expression, count: int) -> bool:
    try:
        return bool(expression.evaluate({"a": [0] * count}) == count)
    except ExpressionError:
        return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b.filter(x, x % 2 == 0).map(x, x + 1).sum()", 2_500_000_000),
        ("l.map(x, l.filter(y, x * y > 100).size()).sum()", sum(x * y > 100 for x in range(300) for y in range(300))),
        (
            "rows.filter(r, r.price > 10.0 && 'a' in r.tags && r.name.startsWith('n1')).size()",
            sum(n > 6 and f"{n}"[0] == "1" for n in range(20_000)),
        ),
        ("same == rows", True), ("rows.map(r, r.price).sum()", 299_985_000.0),
        ("to_json(rows).size()", len(json.dumps(ROWS, separators=(",", ":")))),
        ("b.map(x, x + x + x + x + x + x).size()", 100_000),
        ("csv.split(',').size()", 500_001),
        ("rows.sort_by(r, -r.id)[0].id", 19_999), ("rows.map(r, r.name).unique().size()", 20_000),
        ("json(to_json(rows)).size()", 20_000), ("rows.filter(r, r.name.matches('^n[0-9]{3}$')).size()", 900),
    ],
)  # fmt: skip
def test_what_people_do_with_large_outputs_is_far_from_the_bounds(text: str, expected: Any) -> None:
    found = Expression(text).evaluate(NAMES)
    assert found == expected


def test_a_bound_is_not_answered_by_default_or_or() -> None:
    for text in (
        "default(a.map(x, a.map(y, 1)), 0)",
        "a.all(x, a.all(y, true)) || true",
        "has(a.map(x, a.map(y, 1))[0].x)",
        "a.exists(x, a.all(y, true) && false)",
        "string([s, s, s, s, s]) == '' || true",
        "default(json(to_json([s, s, s, s, s])), 0)",
    ):
        with pytest.raises(ExpressionError, match=r"more work|too large"):
            Expression(text).evaluate(NAMES)


def test_an_expression_has_a_length() -> None:
    assert Expression(f"'{'a' * (LENGTH - 2)}'").evaluate({}) == "a" * (LENGTH - 2)
    with pytest.raises(ExpressionError, match="at most 2,000 characters, not 2,001"):
        Expression(f"'{'a' * (LENGTH - 1)}'")
    with pytest.raises(ExpressionError, match="at most 2,000 characters"):
        Expression("1" * 10_000_000)


@pytest.mark.parametrize(
    ("before", "middle", "after"),
    [
        ("(", "1", ")"), ("[", "1", "]"), ("{'a': ", "1", "}"), ("!", "true", ""), ("- ", "x", ""), ("a[", "0", "]"),
        ("true ? ", "1", " : 2"), ("false ? 1 : ", "2", ""), ("size([", "1", "])"), ("", "x", ".a"), ("", "x", "[0]"),
        ("", "x", ".size()"), ("", "1", " < 1"), ("[1].map(x, ", "x", ")"),
    ],
)  # fmt: skip
def test_nesting_has_a_depth(before: str, middle: str, after: str) -> None:
    def nested(levels: int) -> str:
        return before * levels + middle + after * levels

    limit = 8 if "map" in before else (NESTING // 2 if "size([" in before else NESTING)
    Expression(nested(limit), macros=8)
    for levels in (limit + 1, (LENGTH - 5) // (len(before) + len(after))):
        with pytest.raises(ExpressionError, match=r"within each other|of each other|cannot be chained"):
            Expression(nested(levels), macros=8)


def test_chains_of_operators_may_be_long() -> None:
    assert Expression("+".join(["1"] * 1000)).evaluate({}) == 1000
    assert Expression("||".join(["a == 1"] * 249)).evaluate({"a": 2}) is False
    assert Expression("*".join(["1"] * 1000)).evaluate({}) == 1


def test_values_of_any_depth_are_survived() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    other, refused = [deep[0]], []
    for text in (
        "d",
        "d == e",
        "to_json(d)",
        "unique([d])",
        "d.flatten(200)",
        "d.flatten(199) == e",
        "string(d)",
        "[d] == [e]",
    ):
        try:
            Expression(text).evaluate({"d": deep, "e": other})
        except ExpressionError as error:
            refused.append(error)
    assert refused
    assert all("levels" in error.reason for error in refused)
    just: Any = 1
    for _ in range(DEPTH):
        just = {"a": [just]} if isinstance(just, int) else [just]
    assert Expression("d").evaluate({"d": just}) == just
    while deep:  # or its end would recurse as deep
        deep = deep[0]


def test_all_expressions_of_a_template_share_one_bound() -> None:
    once = "${b.map(x, x + 1).size()}"
    assert Template([once] * 2).render(NAMES) == [100_000] * 2
    with pytest.raises(ExpressionError, match="more work") as caught:
        Template([once] * 1_000).render(NAMES)
    assert caught.value.path is not None
    with pytest.raises(ExpressionError, match="too large"):
        Template(["${s}"] * 10).render(NAMES)
    with pytest.raises(ExpressionError, match="too large"):
        Template(["${b}"] * 10).render(NAMES)
    with pytest.raises(ExpressionError, match="too large"):
        Template(["a ${s}"] * 10).render(NAMES)


def test_what_is_not_named_costs_nothing() -> None:
    expression, large = Expression("x + 1 > n.y"), {"n": {"y": 0, "rows": ROWS}, **{f"n{n}": ROWS for n in range(1000)}}

    def cost(names: Any) -> float:
        best = 1.0
        for _ in range(5):
            begun = time.process_time()
            for _ in range(500):
                expression.evaluate(names)
            best = min(best, time.process_time() - begun)
        return best

    assert cost({**large, "x": 1}) < 5 * cost({"x": 1, "n": {"y": 0}}) + 0.01
