"""What `pgflow dev` does with definitions that lie in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgflow.cli.dev_definitions import Definitions
from pgflow.config import Settings
from pgflow.errors import AppLoadError
from pgflow.sdk import loading
from tests.fixtures.database import Engine

REPORT = """\
name: report
queue: slow
nodes:
  a: {type: noop, queue: fast}
triggers:
- {cron: 0 6 * * *}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "report.yaml").write_text(REPORT)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "other.yaml").write_text(REPORT)
    return tmp_path


class Said:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, what: str, text: str) -> None:
        self.lines.append((what, text))

    def take(self) -> list[tuple[str, str]]:
        taken, self.lines = self.lines, []
        return taken


def versions(engine: Engine) -> list[tuple[object, ...]]:
    return engine.query("select name, version, actor from pgflow.definition order by 1, 2")


def test_what_changes_is_published_and_what_is_wrong_is_told(database: Settings, engine: Engine, folder: Path) -> None:
    said = Said()
    definitions = Definitions(database, str(folder), said)
    definitions.publish()
    assert said.take() == [("Workflow", "report, version 1"), ("", "report:schedule created")]
    assert definitions.queues == {"default", "slow", "fast"}
    definitions.publish()
    assert said.take() == []

    file = folder / "flows" / "report.yaml"
    file.write_text(REPORT.replace("noop", "nop"))
    definitions.publish()
    ((what, text),) = said.take()
    assert what == "Wrong"
    assert text.startswith(f"{file}:4:7: nodes.a.type: there is no node type 'nop'")
    assert versions(engine) == [("report", 1, "pgflow dev")]

    file.write_text(REPORT.replace("6 *", "7 *"))
    (folder / "second.json").write_text('{"name": "second",\n "nodes": {"a": {"type": "noop"}}}')
    definitions.publish()
    assert said.take() == [
        ("Workflow", "second, version 1"), ("Workflow", "report, version 2"), ("", "report:schedule changed"),
    ]  # fmt: skip

    again = Definitions(database, str(folder), said)
    again.publish()
    assert said.take() == [("Workflow", "second, version 1, unchanged"), ("Workflow", "report, version 2, unchanged")]


def test_two_definitions_of_one_name_are_told(database: Settings, folder: Path) -> None:
    (folder / "flows" / "same.yml").write_text(REPORT)
    said = Said()
    Definitions(database, str(folder), said).publish()
    assert [what for what, _ in said.lines] == ["Workflow", "", "Wrong"]
    assert "has a definition of report, too" in said.lines[-1][1]


def test_a_single_file_will_do(database: Settings, engine: Engine, folder: Path) -> None:
    Definitions(database, str(folder / "flows" / "report.yaml"), Said()).publish()
    assert versions(engine) == [("report", 1, "pgflow dev")]


def test_a_folder_of_definitions_needs_no_app(folder: Path) -> None:
    assert loading.load([str(folder)]) == {}
    assert loading.load([str(folder / "flows" / "report.yaml")]) == {}
    (folder / "flows" / "report.yaml").unlink()
    with pytest.raises(AppLoadError, match="no app found"):
        loading.load([str(folder)])
