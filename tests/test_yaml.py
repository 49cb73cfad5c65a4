from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.yaml import YamlError, load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1\nb: [2.5, -3, +4, 1e3]", {"a": 1, "b": [2.5, -3, 4, 1000.0]}),
        ("[true, false, null, ~]", [True, False, None, None]),
        ("[yes, on, No, TRUE, y]", ["yes", "on", "No", "TRUE", "y"]),
        (r'"\ud83d\ude00 \u00e9"', "\U0001f600 \u00e9"),
        ("[2026-05-01, 12:30, 1_000, 0x1f, .inf]", ["2026-05-01", "12:30", "1_000", "0x1f", ".inf"]),
        ("010", 10),
        ("{1: x, true: y, null: z}", {"1": "x", "true": "y", "null": "z"}),
        ("cron: '*/5 * * * *' # a remark", {"cron": "*/5 * * * *"}),
        ("text: |\n  one\n  two\n", {"text": "one\ntwo\n"}),
        ("base: &b {q: 1, r: 2}\nz: {<<: *b, q: 3}", {"base": {"q": 1, "r": 2}, "z": {"q": 3, "r": 2}}),
    ],
)
def test_a_document_is_what_it_looks_like(text: str, value: Any) -> None:
    assert load(text).value == value


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=100), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_json_is_yaml(value: Any) -> None:
    assert load(json.dumps(value)).value == value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\ncron: * * * * *", "f.yaml:2:8", "goes in quotes, as a cron expression does"),
        ("a: 1\ncron: */5 * * * *", "f.yaml:2:8", "goes in quotes, as a cron expression does"),
        ("a: b: c", "f.yaml:1:5", "with a colon and a space in it goes in quotes"),
        ("a:\n\t- b", "f.yaml:2:1", "indent with spaces"),
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1", "the key 'a' is there twice"),
        ("- a\n- {b: 1, b: 2}", "f.yaml:2:10", "the key 'b' is there twice"),
        ("a: [1", "f.yaml:1:6", "expected ',' or ']'"),
        ("? [a]\n: b", "f.yaml:1:3", "a key has to be text"),
        ("a: &x [*x]", "f.yaml:1:4", "it contains itself"),
        ("--- 1\n--- 2", "f.yaml:2:1", "another document"),
        ("a: \0", "f.yaml:1:4", "a character that YAML does not allow"),
        ("a: !!python/object/apply:os.system [ls]", "f.yaml:1:4", "the tag tag:yaml.org,2002:python"),
        ("a: !!binary aGk=", "f.yaml:1:4", "only what JSON has is"),
        ("a: !!timestamp 2026-05-01", "f.yaml:1:4", "only what JSON has is"),
        ("a: !!int x", "f.yaml:1:4", "'x' is no number"),
        (r'a: "\ud83d"', "f.yaml:1:4", "half a character"),
        ("a: 1e400", "f.yaml:1:4", "'1e400' is no number"),
        ("[" * 50_000, "f.yaml:1:1", "nested too deeply"),
        ("{a: " * 50_000, "f.yaml:1:1", "nested too deeply"),
        ("x" * 1_000_001, "f.yaml:1:1", "1,000,001 characters"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text, "f.yaml")
    assert caught.value.message.startswith(f"{place}: ")
    assert message in str(caught.value)


def test_a_few_hundred_brackets_are_read() -> None:
    assert load("[" * 300 + "]" * 300).value == json.loads("[" * 300 + "]" * 300)
    with pytest.raises(YamlError, match="nested too deeply"):
        load("[" * 301 + "]" * 301)


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(YamlError, match="more than 100,000 parts"):
        load("\n".join(lines))


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("a", "b"), 2, 3),
        (("a", "c", 1, "x"), 3, 11),
        (("a", "c", 1), 3, 10),
        (("a", "none"), 1, 1),
        (("d",), 4, 1),
        ((), 1, 1),
    ],
)
def test_an_error_stands_at_the_part_or_at_what_should_hold_it(
    path: tuple[str | int, ...], line: int, column: int
) -> None:
    error = load("a:\n  b: 1\n  c: [1, {x: 2}]\nd: 5\n", "f.yaml").error(path, "wrong", hint="mend it")
    assert (error.line, error.column) == (line, column)
    assert str(error) == f"f.yaml:{line}:{column}: wrong\n  -> mend it"
