from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.errors import ArgumentError
from pgflow.sdk.registry.row_templates import compiled, parts_of


def test_a_string_that_is_one_reference_stands_for_its_value_others_are_put_together() -> None:
    value = {"id": "${new.id}", "deep": [1, {"at": "${ at }", "text": "${row.a}-${op}!"}], "plain": "$5 {x}", "n": None}
    found = compiled(value, "x")
    assert found.constant == {"id": None, "deep": [1, {"at": None, "text": None}], "plain": "$5 {x}", "n": None}
    assert found.places == [
        {"path": ["id"], "reference": ["new", "id"]},
        {"path": ["deep", "1", "at"], "reference": ["at"]},
        {"path": ["deep", "1", "text"], "parts": [["row", "a"], "-", ["op"], "!"]},
    ]
    assert found.columns == {"id", "a"}


COLUMN = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=10)


@given(COLUMN, st.sampled_from(["new", "old", "row"]))
def test_any_column_can_be_referred_to_in_quotes(column: str, row: str) -> None:
    import json

    for text in (json.dumps(column), json.dumps(column, ensure_ascii=False)):
        (place,) = compiled([f"${{{row}[{text}]}}"], "x").places
        assert place == {"path": ["0"], "reference": [row, column]}


@given(COLUMN.filter(lambda text: "${" not in text))
def test_a_text_without_references_is_left_alone(text: str) -> None:
    assert compiled({"a": text}, "x").constant == {"a": text}
    assert compiled({"a": text}, "x").places == []


@pytest.mark.parametrize(
    "text",
    ["${", "${}", "${new", "${new.}", "${nothing}", "${new.a.b}", "${table.id}", "${new.1}", "${new + old}",
     '${new[""]}', '${new["a]}', "${new['a']}", "${secrets.TOKEN}", "a ${new.id} ${", '${new["\\q"]}'],
)  # fmt: skip
def test_what_is_no_reference_to_a_row_is_refused(text: str) -> None:
    for value in (text, {"deep": [text]}, f"before {text} after"):
        with pytest.raises(ArgumentError, match=r"^the input: .*\n  -> \$\{new\.id\}"):
            compiled(value, "the input")


def test_a_key_refers_to_the_row() -> None:
    assert parts_of("order-${row.id}", "the key") == (["order-", ["row", "id"]], frozenset({"id"}))
    for text in ("order", "", "$"):
        with pytest.raises(ArgumentError, match="the key is the same for every row"):
            parts_of(text, "the key")
