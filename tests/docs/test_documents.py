"""The documents fit each other and the code: links lead somewhere, settings and files that are named exist."""

from __future__ import annotations

import re

from pydantic import AliasChoices, TypeAdapter

from pgflow.config import Settings
from tests.docs.markdown import ROOT, anchors, documents, links

PATH = re.compile(r"`((?:pgflow|sql|migrations|docs|examples|tests)/[\w./-]+)`")


def test_every_link_leads_somewhere() -> None:
    broken = []
    for document in documents():
        for link in links(document):
            target, _, anchor = link.partition("#")
            if ":" in target:
                continue
            path = (document.parent / target).resolve() if target else document
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append((document.relative_to(ROOT).as_posix(), link))
    assert broken == []


def test_every_file_that_a_document_names_is_there() -> None:
    missing = [
        (document.relative_to(ROOT).as_posix(), name)
        for document in documents()
        for name in PATH.findall(document.read_text("utf-8"))
        if not list(ROOT.glob(name.removesuffix("/"))) and not list(ROOT.glob(f"{name}.*"))
    ]
    assert missing == []


def test_the_configuration_page_has_every_setting_with_its_default() -> None:
    text = (ROOT / "docs/configuration.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", text, re.MULTILINE))
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"PGFLOW_{name.upper()}"
        assert variable in rows
        if isinstance(field.default, bool | int | float):
            assert TypeAdapter(type(field.default)).validate_strings(rows[variable]) == field.default, variable


def test_every_decision_is_in_the_index() -> None:
    decisions = sorted(path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert decisions
    assert [name for name in links(ROOT / "docs/decisions/README.md") if name[0].isdigit()] == decisions
    assert [name[:4] for name in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
