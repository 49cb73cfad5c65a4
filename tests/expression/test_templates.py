"""JSON values with expressions in their texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgflow.expression import Expression, ExpressionError, Known, Template

NAMES: dict[str, Any] = {
    "n": 3, "x": 1.5, "t": True, "none": None, "text": "abc", "list": [1, {"a": None}], "map": {"a": "é"},
    "big": 10**15, "at": datetime(2031, 5, 4, 12, tzinfo=UTC), "span": timedelta(minutes=1), "bytes": b"ab",
}  # fmt: skip


def render(value: Any) -> Any:
    return Template(value).render(NAMES)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""), ("plain", "plain"), ("$", "$"), ("$ {n}", "$ {n}"), ("}{", "}{"), ("$$", "$$"), (5, 5), (None, None),
        (True, True), (1.5, 1.5), ("${n}", 3), ("${ n }", 3), ("${\n  n\n}", 3), (" ${n}", " 3"), ("${n} ", "3 "),
        ("${n}${x}", "31.5"), ("a${n}b${x}c", "a3b1.5c"), ("${t}", True), ("is ${t}", "is true"), ("${none}", None),
        ("[${none}]", "[]"), ("${list}", [1, {"a": None}]), ("list: ${list}", 'list: [1,{"a":null}]'),
        ("${map}", {"a": "é"}), ("${map} ", '{"a":"é"} '), ("${at}", "2031-05-04T12:00:00Z"),
        ("at ${at}", "at 2031-05-04T12:00:00Z"), ("${span}", 60), ("in ${span}", "in 60s"), ("${bytes}", "YWI="),
        ("${bytes}!", "ab!"), ("${ {'a': {'b': 1}}.a }", {"b": 1}), ("${'}'}", "}"), ("${\"}\" + '{'}", "}{"),
        ("${'${'}", "${"), ("${r'\\}'}", "\\}"), ("${'''}'''}", "}"), ("${'a\\'}'}", "a'}"),
        ("${list.map(x, {'v': x})}", [{"v": 1}, {"v": {"a": None}}]), ("${1 // a remark }\n + 1}", 2),
        ("$${n}", "${n}"), ("$${", "${"), ("a $${n} ${n}", "a ${n} 3"), ("$$${n}", "$${n}"), ("${n}$${n}", "3${n}"),
        ("$${n}$${n}", "${n}${n}"),
        ({"a": ["${n}", {"b": "${x}", "c": 1}], "d": "${text}"}, {"a": [3, {"b": 1.5, "c": 1}], "d": "abc"}),
        (("${n}", 1), [3, 1]), ("${big}", 10**15), ("${1e300} ${0.1} ${-0.0} ${100.0}", "1e+300 0.1 -0.0 100.0"),
        ("é ${'\u00fc'} ü", "é ü ü"), ({"a": {}, "b": []}, {"a": {}, "b": []}),
    ],
)  # fmt: skip
def test_a_template_becomes_its_value(template: Any, expected: Any) -> None:
    found = render(template)
    assert found == expected
    assert type(found) is type(expected)


def test_times_that_are_whole_values_are_left_when_asked() -> None:
    found = Template({"at": "${at}", "text": "${at} ${span}"}).render(NAMES, times=True)
    assert found == {"at": NAMES["at"], "text": "2031-05-04T12:00:00Z 60s"}


def test_the_clock_is_the_same_for_all_expressions() -> None:
    asked = []

    def clock() -> datetime:
        asked.append(1)
        return datetime(2031, 5, 4, 12, 0, len(asked), tzinfo=UTC)

    assert len(set(Template(["${now()}"] * 5).render({}, clock=clock))) == 1
    assert asked == [1]


def test_it_tells_what_it_reads() -> None:
    template = Template({
        "url": "https://${input.host}/${nodes.fetch.output.id}", "auth": "Bearer ${secrets.TOKEN}",
        "key": "${secrets.KEY}", "rows": ["${nodes.fetch.output.rows}", "plain", "$${no.name}"],
    })  # fmt: skip
    assert template.names == {"input", "nodes", "secrets"}
    assert template.references == {
        ("input", "host"), ("nodes", "fetch", "output", "id"), ("nodes", "fetch", "output", "rows"),
        ("secrets", "TOKEN"), ("secrets", "KEY"),
    }  # fmt: skip
    assert template.secrets == {"TOKEN", "KEY"}
    assert {path: [each.text for each in found] for path, found in template.expressions.items()} == {
        "$.url": ["input.host", "nodes.fetch.output.id"], "$.auth": ["secrets.TOKEN"], "$.key": ["secrets.KEY"],
        "$.rows[0]": ["nodes.fetch.output.rows"],
    }  # fmt: skip
    assert template.expressions["$.key"] == (Expression("secrets.KEY"),)


def test_it_tells_whether_rendering_changes_anything() -> None:
    assert Template({"a": ["plain", 1, "$", "{}"]}).verbatim
    assert not Template({"a": ["${1}"]}).verbatim
    assert not Template({"a": ["$${1}"]}).verbatim


def test_secrets_are_given_by_whoever_renders_and_never_told() -> None:
    template = Template(["${secrets.TOKEN}", "Bearer ${secrets.TOKEN}"])
    assert template.render({"secrets": {"TOKEN": "s3cr3t"}}) == ["s3cr3t", "Bearer s3cr3t"]
    for names in ({}, {"secrets": {"TOKEM": "s3cr3t"}}, {"secrets": None}):
        with pytest.raises(ExpressionError) as caught:
            template.render(names)
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.path == "$[0]"
    with pytest.raises(ExpressionError, match="a secret has to stand alone"):
        Template("${base64_encode(secrets.USER + ':' + secrets.PASSWORD)}")


def test_what_comes_out_is_not_rendered_again() -> None:
    assert Template("${text} ${secrets.A}").render({"text": "${secrets.A}", "secrets": {"A": "s"}}) == "${secrets.A} s"
    assert Template("${text}").render({"text": "${secrets.A}"}) == "${secrets.A}"


def test_it_keeps_no_part_of_what_it_was_made_of() -> None:
    value = {"a": ["${n}"], "b": [1]}
    template = Template(value)
    value["a"].clear()
    rendered = template.render(NAMES)
    rendered["b"].append(2)
    assert template.render(NAMES) == {"a": [3], "b": [1]}


@pytest.mark.parametrize(
    ("template", "path", "line", "column", "text", "reason"),
    [
        ({"url": "a ${n +} b"}, "$.url", 1, 4, "n +", "the expression ends where a value should follow"),
        ({"a": [1, {"b": "x\ny ${n"}]}, "$.a[1].b", 2, 3, "x\ny ${n", "this ${ is not closed"),
        ("${", "$", 1, 1, "${", "this ${ is not closed"),
        ("a ${'b} c", "$", 1, 5, "a ${'b} c", "this text is not closed"),
        ("a ${b # c} d", "$", 1, 7, "a ${b # c} d", "'#' has no meaning here"),
        ("${}", "$", 1, 1, "", "the expression is empty"),
        ("${foo()}", "$", 1, 1, "foo()", "there is no function 'foo'"), ("${a{}", "$", 1, 1, "${a{}", "this ${"),
        ({"${a}": 1}, "$", 1, 1, "${a}", "a key cannot hold an expression"),
        ("${1 // }", "$", 1, 1, "${1 // }", "this ${ is not closed"),
        ("${" + "a" * 2001 + "}", "$", 1, 2001, None, "an expression has at most 2,000 characters"),
        ("${'" + "a" * 9000 + "'}", "$", 1, 1, None, "an expression has at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_path(
    template: Any, path: str, line: int, column: int, text: str | None, reason: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        Template(template)
    error = caught.value
    assert (error.path, error.line, error.column) == (path, line, column)
    assert error.text == text or text is None
    assert error.reason.startswith(reason)
    assert str(error).startswith(f"{path}: {reason}")
    assert Template.problems(template)[0].reason == error.reason


def test_everything_that_is_wrong_is_told_at_once() -> None:
    value = {
        "a": "${1 +}",
        "b": ["${imput.x}", "${input.y}", "${foo()}"],
        "c": "${nodes.big.output}${secrets.X + 'a'}",
        "d": "${other}",
    }
    problems = Template.problems(value, ["input", "nodes.fetch"])
    assert [(error.path, error.reason) for error in problems] == [
        ("$.a", "the expression ends where a value should follow"), ("$.b[2]", "there is no function 'foo'"),
        ("$.c", "a secret has to stand alone: nothing can be done with it"),
        ("$.b[0]", "there is no name 'imput' here"), ("$.d", "there is no name 'other' here"),
    ]  # fmt: skip
    assert Template.problems(value["b"][1]) == []
    assert [error.path for error in Template({"x": ["${a}", "${b}"]}).check(Known(["a"]))] == ["$.x[1]"]


def test_an_evaluation_that_fails_is_told_with_its_path() -> None:
    with pytest.raises(ExpressionError) as caught:
        Template({"mail": {"to": ["${n}", "to ${map.b}"]}}).render(NAMES)
    assert str(caught.value) == (
        "$.mail.to[1]: there is no key 'b' in map (line 1, column 5)\n    map.b\n        ^\n  -> it has: a"
    )


def test_macros_can_be_forbidden_in_templates() -> None:
    assert Template("${n + 1}", macros=0).render(NAMES) == 4
    with pytest.raises(ExpressionError, match="may not be used here"):
        Template("${list.map(x, x)}", macros=0)
    assert len(Template.problems(["${list.map(x, x)}"], macros=0)) == 1


def test_a_value_of_any_depth_is_survived() -> None:
    deep: Any = "${n}"
    for _ in range(200):
        deep = {"a": deep}
    found = Template(deep).render(NAMES)
    for _ in range(200):
        found = found["a"]
    assert found == 3
    with pytest.raises(ExpressionError, match="levels of lists and maps"):
        Template([deep])
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ExpressionError, match="levels of lists and maps"):
        Template(endless)
    assert len(Template.problems(endless)) == 1
