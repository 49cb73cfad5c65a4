"""The commands that examples/README.md gives are ones that the examples take."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from pgflow.graph.inputs import accepted
from pgflow.sdk.loading import definition_files
from pgflow.sdk.task import Task
from tests.examples.conftest import EXAMPLES
from tests.examples.graphs import opened


def started(what: str) -> list[tuple[str, dict[str, Any]]]:
    """What the README starts: name and arguments."""
    lines = re.findall(rf"^pgflow {what} start .+$", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    found = []
    for line in lines:
        name, *rest = shlex.split(line, comments=True)[3:]
        found.append((name, json.loads(rest[0]) if rest and rest[0].startswith("{") else {}))
    return found


def test_what_the_readme_starts_can_be_started(tasks: dict[str, Task[..., Any]]) -> None:
    names = set()
    for name, arguments in started("run"):
        tasks[name].signature.decode_arguments(arguments)
        assert tasks[name].queue == "default", "the command line does not know of another"
        names.add(name)
    assert {"signup", "order", "crawler.crawl", "census.survey", "hello.greet"} <= names


def test_what_the_readme_starts_of_graphs_fits_them() -> None:
    definitions = {one["name"]: one for one in map(opened, definition_files(str(EXAMPLES)))}
    names = set()
    for name, given in started("workflow"):
        accepted(definitions[name]["input"], given, name)
        names.add(name)
    assert names >= {"daily_report", "expenses", "thumbnails"}
