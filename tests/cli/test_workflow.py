from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.cli.conftest import Cli, invoke
from tests.fixtures.database import Engine

REPORT = """\
name: report
title: Daily report
input:
  {type: object, properties: {day: {type: string, format: date}, days: {type: integer, default: 7}}, required: [day]}
nodes:
  big: {type: condition, config: {when: "${input.days > 3}"}}
  long: {type: noop}
  short: {type: noop}
  done: {type: noop, trigger_rule: one_success}
edges:
- {from: big, to: long, branch: 'true'}
- {from: big, to: short, branch: 'false'}
- {from: long, to: done}
- {from: short, to: done}
triggers:
- {cron: 0 6 * * *, input: {day: "${trigger.fire_date}"}}
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.yaml"
    path.write_text(REPORT)
    return path


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.query("select name, version from pgflow.definition order by 1, 2")


def test_a_file_that_is_valid_is_told_so_without_a_database(report: Path) -> None:
    answer = invoke("workflow", "validate", report)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"{report}: report is valid: 4 nodes, 4 edges\n"
    assert invoke("workflow", "validate", "-", input=REPORT).code == 0


def test_what_is_wrong_is_told_with_lines_all_at_once(report: Path) -> None:
    report.write_text(
        REPORT.replace("to: long", "to: lang").replace("input.days > 3", "input.days >").replace("cron", "kron")
    )
    answer = invoke("workflow", "validate", report)
    assert answer.code == 1
    places = [line.split(": ")[0] for line in answer.out.splitlines() if line.startswith(str(report))]
    assert places == [f"{report}:6:35", f"{report}:11:15", f"{report}:16:3"]
    assert "-> did you mean 'long'?" in answer.out
    assert "-> did you mean 'cron'?" in answer.out
    (found,) = json.loads(invoke("workflow", "validate", report, "--json").out)
    assert found["valid"] is False
    assert [(one["path"], one["line"]) for one in found["problems"]] == [
        ("nodes.big.config.when", 6), ("edges[0].to", 11), ("triggers[0]", 16),
    ]  # fmt: skip


def test_what_is_probably_not_meant_is_noted(report: Path) -> None:
    report.write_text(REPORT.replace("input.days > 3", "input.dais > 3") + "output: ${input.day}\n")
    answer = invoke("workflow", "validate", report)
    assert answer.code == 0
    assert answer.err.splitlines()[1:] == [
        f"note: {report}:6: nodes.big.config.when: the input's schema does not have 'dais'",
        "  -> did you mean 'days'?",
    ]
    (found,) = json.loads(invoke("workflow", "validate", report, "--json").out)
    assert [one["path"] for one in found["advice"]] == ["nodes.big.config.when"]


def test_files_that_cannot_be_read_are_problems_like_others(report: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice.json"
    twice.write_text('{"name": "x",\n "name": "y"}')
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xff")
    answer = invoke("workflow", "validate", report, twice, tmp_path / "nowhere.yaml", tmp_path / "latin")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == f"{twice}:2:2: the key 'name' is there twice"
    assert "nowhere.yaml cannot be read: No such file" in lines[1]
    assert "latin is no UTF-8 text" in lines[2]
    same = tmp_path / "same.yaml"
    same.write_text(REPORT)
    assert f"{same}: {report} has a definition of report, too" in invoke("workflow", "validate", report, same).out


def test_applying_makes_a_version_when_it_says_something_else(cli: Cli, report: Path, engine: Engine) -> None:
    dry = cli("workflow", "apply", report, "--dry-run")
    assert (dry.code, stored(engine)) == (0, [])
    assert dry.out.split() == ["name", "version", "done", "file", "report", "1", "created", str(report)]
    assert dry.err == "report:schedule created\nnothing was changed\n"
    assert cli("workflow", "apply", report).code == 0
    (again,) = cli("workflow", "apply", report, "--json").json
    assert again == {
        "name": "report", "version": 1, "done": "unchanged", "file": str(report),
        "triggers": {"report:schedule": "unchanged"},
    }  # fmt: skip
    report.write_text(REPORT.replace("Daily", "Nightly"))
    assert cli("workflow", "apply", report, "--json").json[0]["version"] == 2
    assert stored(engine) == [("report", 1), ("report", 2)]
    ((actor,),) = engine.query("select distinct actor from pgflow.definition")
    assert "@" in actor


def test_all_files_are_applied_or_none(cli: Cli, report: Path, tmp_path: Path, engine: Engine) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nnodes: {a: {type: nope}}\n")
    answer = cli("workflow", "apply", report, bad)
    assert answer.code == 2
    assert answer.err.startswith(f"error: something is wrong:\n{bad}:2:13: nodes.a.type: there is no node type 'nope'")
    bad.write_text("name: bad\nnodes: {a: {type: noop}}\ntriggers: [{webhook: {path: taken, signature: none}}]\n")
    assert cli("trigger", "webhook", "mine", "--path", "taken", "--task", "t", "--signature", "none").code == 0
    answer = cli("workflow", "apply", report, bad)
    assert (answer.code, stored(engine)) == (2, [])
    assert "the path taken is that of the trigger mine" in answer.err


def test_what_is_there_is_listed_and_shown(cli: Cli, report: Path) -> None:
    assert "there are no workflows" in cli("workflow", "list").err
    cli("workflow", "apply", report)
    (listed,) = cli("workflow", "list", "--json").json
    assert (listed["name"], listed["version"], listed["nodes"], listed["draft"]) == ("report", 1, 4, None)
    assert cli("workflow", "list").out.splitlines()[0].split() == [
        "name", "version", "kind", "nodes", "created_at", "actor", "draft",
    ]  # fmt: skip
    shown = cli("workflow", "show", "report")
    assert "started_by  report:schedule" in shown.out
    assert "big (true)" in shown.out
    assert "one_success" in shown.out
    as_json = cli("workflow", "show", "report", "--version", 1, "--json").json
    assert as_json["document"]["title"] == "Daily report"
    assert as_json["started_by"] == ["report:schedule"]
    (version,) = cli("workflow", "versions", "report", "--json").json
    assert as_json["checksum"].startswith(version["checksum"])
    missing = cli("workflow", "show", "reprot")
    assert (missing.code, missing.err) == (3, "error: there is no workflow reprot\n  -> did you mean report?\n")


def test_versions_and_files_and_drafts_are_compared(cli: Cli, report: Path) -> None:
    cli("workflow", "apply", report)
    report.write_text(REPORT.replace("Daily", "Nightly"))
    change = '~ title: "Daily report" -> "Nightly report"\n'
    assert cli("workflow", "diff", report).out == change
    cli("workflow", "apply", report)
    assert cli("workflow", "diff", "report").out == cli("workflow", "diff", "report", 1, 2).out == change
    assert cli("workflow", "diff", report).out == "no difference\n"
    assert cli("workflow", "diff", report, 1).out == change
    assert cli("workflow", "diff", "report", 1, 2, "--json").json["fields"] == [
        {"path": "title", "old": "Daily report", "new": "Nightly report"}
    ]
    report.write_text(REPORT)
    assert cli("workflow", "draft", "save", report).code == 0
    assert cli("workflow", "diff", "report", "--draft").out == '~ title: "Nightly report" -> "Daily report"\n'
    assert cli("workflow", "diff", report, 1, 2).code == 2


def test_what_is_exported_applies_again_as_it_was(cli: Cli, report: Path, tmp_path: Path) -> None:
    cli("workflow", "apply", report)
    for form in ("yaml", "json"):
        copy = tmp_path / f"copy.{form}"
        copy.write_text(cli("workflow", "export", "report", "--format", form).out)
        assert cli("workflow", "apply", copy, "--json").json[0]["done"] == "unchanged"
    assert cli("workflow", "export", "report", "--json").json["name"] == "report"
    assert cli("workflow", "export", "report", "--version", 9).code == 3


def test_a_run_is_started_with_an_input_that_fits(cli: Cli, report: Path, engine: Engine) -> None:
    cli("workflow", "apply", report)
    refused = cli("workflow", "start", "report", '{"day": "today", "days": "x"}')
    assert refused.code == 2
    assert "input.day: this is no date; input.days: this has to be a whole number" in refused.err
    run = int(cli("workflow", "start", "report", "-", "--key", "k", "--tag", "a=b", input='{"day": "2026-05-01"}').out)
    assert engine.query("select input, tags from pgflow.task where id = %s", run) == [
        ({"day": "2026-05-01", "days": 7}, {"a": "b"})
    ]
    again = cli("workflow", "start", "report", '{"day": "2026-05-01"}', "--key", "k", "--json").json
    assert again == {"id": run, "existed": True}
    assert cli("workflow", "start", "report", "[]").code == 2
    assert cli("workflow", "start", "report", "--timeout", "1s").code == 2


def test_a_draft_is_kept_and_published(cli: Cli, report: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.yaml"
    half.write_text("name: report\nnodes: {a: {type: nope}}\n")
    assert cli("workflow", "draft", "save", half, "--json").json["revision"] == 1
    assert cli("workflow", "list", "--json").json[0]["draft"] == 1
    wrong = cli("workflow", "draft", "publish", "report")
    assert wrong.code == 2
    assert "there is no node type 'nope'" in wrong.err
    assert "revision 1 was" not in wrong.err
    stale = cli("workflow", "draft", "save", report, "--revision", 7)
    assert stale.code == 2
    assert "is at revision 1" in stale.err
    assert cli("workflow", "draft", "save", report, "--revision", 1).code == 0
    shown = cli("workflow", "draft", "show", "report")
    assert shown.out.startswith("name: report\ntitle: Daily report\n")
    assert shown.err.startswith("revision 2, ")
    assert cli("workflow", "draft", "publish", "report").err == "report version 1 created\n"
    assert cli("workflow", "draft", "discard", "report").code == 3
    cli("workflow", "draft", "save", half)
    assert cli("workflow", "draft", "discard", "report", "--json").json == {"name": "report", "discarded": True}
    nameless = tmp_path / "nameless.yaml"
    nameless.write_text("nodes: {}")
    assert "does not say whose draft it is" in cli("workflow", "draft", "save", nameless).err


def test_the_schema_is_printed_without_a_database() -> None:
    schema = json.loads(invoke("workflow", "schema").out)
    Draft202012Validator.check_schema(schema)
    assert "node.task" in schema["$defs"]
