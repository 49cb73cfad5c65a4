from __future__ import annotations

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.engine.audit import Parameter, audit, audits
from pgflow.errors import ArgumentError, NotFound
from pgflow.model import State
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine


def test_every_audit_is_listed_with_its_purpose_and_parameters(cli: Cli) -> None:
    listed = {row["name"]: row for row in cli("audit", "--json").json}
    assert {"misplaced_tasks", "run_timeline", "dead_letters", "stuck_tasks", "queue_depth"} <= listed.keys()
    assert listed["dead_letters"]["purpose"] == "tasks that failed for good, newest first, with the error"
    assert listed["run_timeline"]["parameters"] == [{"name": "run", "type": "bigint", "default": None}]
    text = cli("audit").out
    assert "since='7 days' name=% queue=% limit=50" in text
    assert "run=..." in text


def test_an_audit_answers_as_text_and_as_json(cli: Cli, engine: Engine) -> None:
    engine.enqueue(3, name="crunch")
    failed = engine.claim(2)
    engine.settle(*failed, state=State.FAILED, error=b'{"type": "E", "message": "a\\nb", "reason": "spent"}')
    rows = cli("audit", "dead_letters", "--json").json
    assert [row["message"] for row in rows] == ["a", "a"]
    assert rows[0]["finished_at"].endswith("Z")
    assert len(cli("audit", "dead_letters", "limit=1", "--json").json) == 1
    assert cli("audit", "dead_letters", "name=other%", "--json").json == []
    assert cli("audit", "dead_letters", "since=0 s").err == "nothing\n"
    header, *lines = cli("audit", "dead_letters").out.splitlines()
    assert header.split()[:3] == ["task_id", "run_id", "name"]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["dead_leters"], 3, "did you mean dead_letters?"),
        (["zzz"], 3, "`pgflow audit` lists them"),
        (["../task/claim"], 3, "no audit"),
        (["dead_letters", "limit=x"], 2, "limit=x is no integer"),
        (["dead_letters", "limit=99999999999"], 2, "no integer"),
        (["dead_letters", "limit=-1"], 2, "cannot use a value"),
        (["dead_letters", "since=bogus"], 2, 'invalid input syntax for type interval: "bogus"'),
        (["throughput", "every=0 s"], 2, "cannot use a value"),
        (["dead_letters", "nope=1"], 2, "it takes: since, name, queue, limit"),
        (["misplaced_tasks", "nope=1"], 2, "it takes: nothing"),
        (["dead_letters", "limit"], 2, "not name=value"),
        (["run_timeline"], 2, "needs a run (bigint)"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, args: list[str], code: int, said: str) -> None:
    answer = cli("audit", *args)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_a_value_is_never_taken_for_sql(cli: Cli, engine: Engine) -> None:
    engine.enqueue()
    answer = cli("audit", "dead_letters", "name=x'; delete from pgflow.ready; --", "--json")
    assert (answer.code, answer.json) == (0, [])
    assert engine.query("select count(*) from pgflow.ready") == [(1,)]


def test_an_audit_runs_without_the_engines_planner_settings_and_cannot_write(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pgflow.db.call import Session

    seen: list[tuple[str, ...]] = []
    run = Session.run

    def spy(self: Session, call: object) -> object:
        names = ("enable_seqscan", "enable_bitmapscan", "plan_cache_mode", "transaction_read_only")
        seen.append(tuple(self.connection.execute(f"show {name}").fetchone()[0] for name in names))  # type: ignore[index]
        return run(self, call)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "run", spy)
    assert cli("audit", "timers").code == 0
    assert seen == [("on", "on", "auto", "on")]


def test_sql_is_printed_for_use_elsewhere_without_any_database(database: Settings) -> None:
    for each in audits():
        given = {parameter.name: "17" for parameter in each.parameters if parameter.default is None}
        with psycopg.connect(database.require_url()) as connection:
            found = connection.execute(each.text(given, "pgflow"))
            assert tuple(column.name for column in found.description or ()) == each.columns
    odd = audit("dead_letters").text({"name": "it's 100%"}, "tenant")
    assert "tenant.outcome" in odd
    assert "'it''s 100%'" in odd


def test_sql_is_printed_by_the_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGFLOW_DATABASE_URL")
    answer = cli("audit", "run_timeline", "run=5", "--sql")
    assert answer.code == 0
    assert "t.root_id = '5'::bigint" in answer.out
    assert answer.out.rstrip().endswith(";")


def test_numbers_are_checked_and_all_else_left_to_the_database() -> None:
    assert Parameter("n", "integer", None).check("-5") == "-5"
    assert Parameter("n", "interval", None).check("anything") == "anything"
    for bad in ("", "1.5", "1e3", "\u0663", "2147483648", " 1"):
        with pytest.raises(ArgumentError):
            Parameter("n", "integer", None).check(bad)
    with pytest.raises(NotFound):
        audit("../audit/timers")
