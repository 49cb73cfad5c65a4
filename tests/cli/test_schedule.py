from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.tasks import OwnTasks
from tests.cli.conftest import Cli, invoke
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing

DAILY = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin")


def stored(engine: Engine, columns: str = "name, start, source, revision") -> list[tuple[Any, ...]]:
    return engine.query(f"select {columns} from pgflow.schedule order by name")


def fire(engine: Engine, name: str, *instants: str, state: str = "missed") -> None:
    for instant in instants:
        engine.connection.execute(
            "insert into pgflow.firing (schedule_id, fire_at, kind, state, at)"
            " select id, %s, 'scheduled', %s, now() from pgflow.schedule where name = %s",
            (instant, state, name),
        )


def test_a_schedule_is_made_of_its_options(cli: Cli, engine: Engine) -> None:
    answer = cli(
        "schedule", "create", "report", "reports.daily", *DAILY, "--input", '{"day": "${trigger.fire_date}"}',
        "--overlap", "skip", "--catch-up", "3", "--jitter", "30s", "--queue", "reports", "--priority", "low",
        "--tag", "team=finance", "--starts", "2026-01-01", "--ends", "2099-01-01T12:00Z",
    )  # fmt: skip
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith(
        "report created: At 02:30 every day (Europe/Berlin), from 2026-01-01 00:00, until 2099"
    )
    assert "it fires next at " in answer.err
    (row,) = stored(
        engine,
        "name, start, cron, timezone, overlap, catch_up, jitter, starts_at, ends_at, source",
    )
    assert row == (
        "report",
        {"name": "reports.daily", "input": {"day": "${trigger.fire_date}"}, "queue": "reports", "priority": 3,
         "tags": {"team": "finance"}},
        "30 2 * * *", "Europe/Berlin", "skip", 3, 30.0,
        datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2099, 1, 1, 12, tzinfo=UTC), "client",
    )  # fmt: skip


def test_intervals_and_single_instants(cli: Cli, engine: Engine) -> None:
    assert "Every 1 hour 30 minutes" in cli("schedule", "create", "often", "noop", "--every", "1h30m").err
    once = ("--at", "2099-05-01T09:00", "--timezone", "Asia/Tokyo")
    assert "Once, at 2099-05-01 09:00 (Asia/Tokyo)" in cli("schedule", "create", "once", "noop", *once).err
    assert stored(engine, "name, every, at") == [
        ("often", 5400.0, None),
        ("once", None, datetime(2099, 5, 1, 0, tzinfo=UTC)),
    ]
    whens = {row["name"]: row["when"] for row in cli("schedule", "list", "--json").json}
    assert whens == {"often": "every 1h 30m", "once": "once"}


def test_one_of_that_name_is_only_replaced_when_asked(cli: Cli, engine: Engine) -> None:
    assert cli("schedule", "create", "x", "noop", *DAILY).code == 0
    again = cli("schedule", "create", "x", "noop", "--every", "1h")
    assert again.code == 2
    assert "there is a schedule x already" in again.err
    replaced = cli("schedule", "create", "x", "noop", "--every", "1h", "--replace", "--json")
    assert replaced.json["done"] == "changed"
    assert replaced.json["explanation"].startswith("Every hour, counted from ")
    assert len(replaced.json["next"]) == 1
    assert cli("schedule", "create", "x", "noop", "--every", "1h", "--replace", "--json").json["done"] == "unchanged"
    assert stored(engine, "name, revision, cron") == [("x", 2, None)]


def test_a_workflows_runs_wait_in_its_own_queue(cli: Cli, engine: Engine) -> None:
    engine.connection.execute(
        "insert into pgflow.definition (name, version, kind, checksum, document, created_at) values"
        """ ('signup', 1, 'code', '', '{"queue": "signups"}', now())"""
    )
    assert cli("schedule", "create", "x", "signup", *DAILY).code == 0
    assert cli("schedule", "create", "y", "signup", *DAILY, "--queue", "mail").code == 0
    assert cli("schedule", "create", "z", "noop", *DAILY).code == 0
    assert [start["queue"] for (start,) in stored(engine, "start")] == ["signups", "mail", "default"]


def test_a_task_that_nobody_knows_is_told(cli: Cli, engine: Engine) -> None:
    engine.register(1)
    assert "did you mean noop?" in cli("schedule", "create", "x", "nop", *DAILY).err
    assert cli("schedule", "create", "y", "noop", *DAILY, "--json").json["warning"] is None


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "none was given"),
        (("--cron", "* * *"), "has 3 fields"),
        (("--cron", "61 * * * *"), "minute: 61 is not between 0 and 59"),
        (("--cron", "@daily", "--every", "1h"), "cron and every were given"),
        (("--cron", "@daily", "--timezone", "Berlin"), "did you mean Europe/Berlin?"),
        (("--every", "soon"), "no duration"),
        (("--every", "0.5s"), "1 second to 100 years"),
        (("--at", "tomorrow"), "'tomorrow' is no instant"),
        (("--cron", "@daily", "--starts", "2026-05-02", "--ends", "2026-05-01"), "before it starts"),
        (("--cron", "@daily", "--overlap", "explode"), "is not one of"),
        (("--cron", "@daily", "--catch-up", "1000"), "catch_up=1000"),
        (("--cron", "@daily", "--queue", "a b"), "no name for a queue"),
        (("--cron", "@daily", "--priority", "urgent"), "not one of"),
        (("--cron", "@daily", "--tag", "red"), "not name=value"),
        (("--cron", "@daily", "--input", "{"), "--input is no JSON"),
        (("--cron", "@daily", "--input", "[]"), "--input is no JSON object"),
        (("--cron", "@daily", "--input", '{"a": NaN}'), "NaN is no JSON"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, engine: Engine, args: tuple[str, ...], said: str) -> None:
    answer = cli("schedule", "create", "x", "noop", *args)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert stored(engine) == []


def test_a_schedule_is_shown_with_what_comes_and_what_was(cli: Cli, engine: Engine) -> None:
    cli("schedule", "create", "x", "noop", "--cron", "0 6 * * *", "--timezone", "Asia/Kolkata")
    fire(engine, "x", "2026-01-01T00:30Z", "2026-01-02T00:30Z")
    shown = cli("schedule", "show", "x", "--json").json
    assert shown["says"] == "At 06:00 every day (Asia/Kolkata)"
    assert (shown["state"], shown["task"], shown["cron"]) == ("active", "noop", "0 6 * * *")
    assert len(shown["next"]) == 5
    assert all(at.endswith("T00:30:00Z") for at in shown["next"])
    assert [one["fire_at"] for one in shown["firings"]] == ["2026-01-02T00:30:00Z", "2026-01-01T00:30:00Z"]
    text = cli("schedule", "show", "x").out
    assert "says" in text
    assert text.count("06:00:00+0530") == 5
    assert "missed" in text


def test_the_next_instants_begin_with_the_very_next(cli: Cli, engine: Engine) -> None:
    cli("schedule", "create", "x", "noop", "--cron", "0 * * * *")
    engine.connection.execute("update pgflow.schedule set next_at = date_trunc('hour', now()) + interval '2 hours'")
    ((expected,),) = stored(engine, "next_at")
    answer = cli("schedule", "next", "x", "--count", "3", "--json").json
    assert answer["next"][0] == expected.isoformat().replace("+00:00", "Z")
    assert len(answer["next"]) == 3


def test_schedules_are_paused_resumed_and_removed(cli: Cli, engine: Engine) -> None:
    for name in ("a", "b"):
        cli("schedule", "create", name, "noop", *DAILY)
    assert cli("schedule", "pause", "a", "b").err == "paused a, b\n"
    assert [row["state"] for row in cli("schedule", "list", "--json").json] == ["paused", "paused"]
    assert "it is paused" in cli("schedule", "next", "a").err
    assert "it is paused" in cli("schedule", "create", "a", "noop", "--every", "1h", "--replace").err
    assert cli("schedule", "resume", "a", "--json").json == {"resumed": ["a"], "left": []}
    assert "a was not to be resumed" in cli("schedule", "resume", "a").err
    assert cli("schedule", "remove", "a", "b").err == "removed a, b\n"
    assert "there are no schedules" in cli("schedule", "list").err
    for command in ("show", "next", "history", "pause", "resume", "remove", "trigger"):
        assert cli("schedule", command, "a").code == 3, command


def test_a_run_is_started_by_hand(cli: Cli, engine: Engine) -> None:
    cli("schedule", "create", "x", "noop", "--every", "1h", "--input", '{"kind": "${trigger.kind}"}', "--tag", "a=b")
    run = int(cli("schedule", "trigger", "x").out)
    found = engine.query("select id, name, input, tags from pgflow.task")
    assert found == [(run, "noop", {"kind": "manual"}, {"a": "b", "schedule": "x"})]
    (row,) = cli("schedule", "history", "x", "--json").json
    assert (row["kind"], row["state"], row["run"], row["outcome"]) == ("manual", "started", run, "active")


def test_history_goes_by_pages(cli: Cli, engine: Engine) -> None:
    cli("schedule", "create", "x", "noop", *DAILY)
    assert "x has not fired yet" in cli("schedule", "history", "x").err
    fire(engine, "x", "2026-01-01T00:30Z", "2026-01-02T00:30Z", "2026-01-03T00:30Z", state="skipped")
    page = cli("schedule", "history", "x", "--limit", "2")
    assert "--before 2026-01-02T00:30:00+00:00" in page.err
    (last,) = cli("schedule", "history", "x", "--before", "2026-01-02T00:30:00+00:00", "--json").json
    assert last["fire_at"] == "2026-01-01T00:30:00Z"


def test_explaining_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = invoke(
        "schedule",
        "explain",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--after",
        "2026-03-28T12:00",
        "--count",
        "2",
    )
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "At 02:30 every day (Europe/Berlin)",
        "where clocks are set, each of its times still comes once",
        "",
        "next                          utc",
        "Sun 2026-03-29 03:00:00+0200  2026-03-29 01:00:00",
        "Mon 2026-03-30 02:30:00+0200  2026-03-30 00:30:00",
    ]
    assert "it skips what they skip" in invoke("schedule", "explain", "*/5 * * * *").out
    document = invoke("schedule", "explain", "@hourly", "--json", "--count", "3").json
    assert (document["follows_the_clock"], len(document["next"])) == (True, 3)
    assert invoke("schedule", "explain", "* * * *").code == 2


async def test_the_past_is_filled_in(cli: Cli, engine: Engine, database: Settings) -> None:
    await asyncio.to_thread(cli, "schedule", "create", "x", "noop", *DAILY, "--input", '{"d": "${trigger.fire_date}"}')
    fire(engine, "x", "2026-01-02T01:30Z")
    own = OwnTasks(database)
    try:
        async with executing(database, own.tasks, pgflow=1.0):
            answer = await asyncio.to_thread(
                cli, "schedule", "backfill", "x", "--from", "2026-01-01", "--to", "2026-01-08", "--wait", "--json"
            )
            assert answer.json["instants"] == answer.json["started"] == 7
            again = await asyncio.to_thread(
                cli, "schedule", "backfill", "x", "--from", "2026-01-01", "--to", "2026-01-09", "--wait"
            )
    finally:
        await own.close()
    assert again.err.splitlines() == ["8 instants", "started 1 runs; 7 instants had been decided before"]
    days = engine.query("select input ->> 'd' from pgflow.task where name = 'noop' order by 1")
    assert [day for (day,) in days] == [f"2026-01-0{n}" for n in range(1, 9)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--from", "2026-01-01", "--to", "2099-01-01"), "--to is in the future"),
        (("--from", "2026-01-01T03:00", "--to", "2026-01-01T04:00"), "x has no instant between"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "x has no instant between"),
        (("--from", "soon"), "no instant"),
    ],
)
def test_a_past_that_makes_no_sense_is_refused(cli: Cli, engine: Engine, args: tuple[str, ...], said: str) -> None:
    cli("schedule", "create", "x", "noop", *DAILY)
    answer = cli("schedule", "backfill", "x", *args)
    assert answer.code == 2
    assert said in answer.err
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


FILE = """\
timezone: Europe/Berlin
schedules:
  report:
    task: reports.daily
    cron: "0 6 * * MON-FRI"
    input: {day: "${trigger.fire_date}"}
    overlap: skip
    priority: low
    tags: {team: finance, level: 3}
  ping:
    task: noop
    every: 5m
    timezone: UTC
    queue: pings
  once:
    task: noop
    at: 2099-05-01T09:00
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "schedules.yaml"
    path.write_text(FILE)
    return path


def test_a_file_is_applied(cli: Cli, engine: Engine, file: Path) -> None:
    answer = cli("schedule", "apply", file, "--json")
    assert answer.json == [{"name": name, "done": "created"} for name in ("once", "ping", "report")]
    assert stored(engine, "name, cron, every, timezone, overlap, source") == [
        ("once", None, None, "Europe/Berlin", "allow", "file:schedules.yaml"),
        ("ping", None, 300.0, "UTC", "allow", "file:schedules.yaml"),
        ("report", "0 6 * * MON-FRI", None, "Europe/Berlin", "skip", "file:schedules.yaml"),
    ]
    _, ping, report = (start for (start,) in stored(engine, "start"))
    assert ping["queue"] == "pings"
    assert (report["priority"], report["tags"]) == (3, {"team": "finance", "level": 3})
    ((at,),) = engine.query("select at from pgflow.schedule where name = 'once'")
    assert at == datetime(2099, 5, 1, 7, tzinfo=UTC)
    assert {row["done"] for row in cli("schedule", "apply", file, "--json").json} == {"unchanged"}
    file.write_text(FILE.replace("every: 5m", "every: 6m"))
    done = {row["name"]: row["done"] for row in cli("schedule", "apply", file, "--json").json}
    assert done == {"once": "unchanged", "ping": "changed", "report": "unchanged"}


def test_what_a_file_has_no_more_is_only_pruned_when_asked(cli: Cli, engine: Engine, file: Path) -> None:
    cli("schedule", "create", "other", "noop", *DAILY)
    cli("schedule", "apply", file)
    file.write_text(FILE[: FILE.index("  once:")])
    assert "once" not in cli("schedule", "apply", file).out
    dry = cli("schedule", "apply", file, "--prune", "--dry-run")
    assert "removed" in dry.out
    assert "nothing was changed" in dry.err
    assert len(stored(engine)) == 4
    pruned = {row["name"]: row["done"] for row in cli("schedule", "apply", file, "--prune", "--json").json}
    assert pruned == {"once": "removed", "ping": "unchanged", "report": "unchanged"}
    assert [name for (name,) in stored(engine, "name")] == ["other", "ping", "report"]


def test_a_file_comes_from_standard_input_too(cli: Cli, engine: Engine) -> None:
    assert cli("schedule", "apply", "-", input=FILE).code == 0
    assert {source for (source,) in stored(engine, "source")} == {"file:-"}
    assert cli("schedule", "apply", "-", "--prune", input=FILE).code == 2


def test_what_code_declares_is_not_taken_over(cli: Cli, engine: Engine, file: Path) -> None:
    cli("schedule", "create", "ping", "noop", *DAILY)
    engine.connection.execute("update pgflow.schedule set source = 'code:shop.flows'")
    answer = cli("schedule", "apply", file)
    assert answer.code == 2
    assert "the schedule ping is declared in code, in shop.flows" in answer.err
    assert len(stored(engine)) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"0 6 * * MON-FRI"', "*/5 * * * *", "schedules.yaml:5:"),
        ('"0 6 * * MON-FRI"', '"0 25 * * *"', "schedules.yaml:5:5: cron '0 25 * * *': hour: 25 is not"),
        ("timezone: Europe/Berlin", "timezone: Berlin", "did you mean Europe/Berlin?"),
        ("timezone: UTC", "timezone: UTCC", "schedules.yaml:13:5: 'UTCC' is no time zone"),
        ("overlap: skip", "overlap: jump", "schedules.yaml:7:5: schedule report: there is no overlap 'jump'"),
        (
            "overlap: skip",
            "overlop: skip",
            "schedules.yaml:7:5: there is no 'overlop' here\n  -> did you mean overlap?",
        ),
        ("every: 5m", "every: [5]", "schedules.yaml:12:5: "),
        ("every: 5m", "every: soon", "schedules.yaml:12:5: 'soon' is no duration"),
        ("    task: reports.daily\n", "", "schedules.yaml:3:3: task is missing"),
        ("priority: low", "priority: urgent", "schedules.yaml:8:5: schedule report: no priority 'urgent'"),
        ("${trigger.fire_date}", "${trigger.", "schedules.yaml:6:5: "),
        ("  ping:", "  report:", "schedules.yaml:10:3: the key 'report' is there twice"),
        ("schedules:", "schedule:", "there is no 'schedule' here\n  -> did you mean schedules?"),
        ("at: 2099", "at: x2099", "schedules.yaml:17:5: 'x2099-05-01T09:00' is no instant"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_by_line(
    cli: Cli, engine: Engine, file: Path, old: str, new: str, said: str
) -> None:
    file.write_text(FILE.replace(old, new))
    answer = cli("schedule", "apply", file)
    assert answer.code == 2
    assert said in answer.err
    assert stored(engine) == []


def test_all_that_is_wrong_in_a_file_is_told_at_once(cli: Cli, file: Path) -> None:
    file.write_text(FILE.replace("0 6 *", "0 66 *").replace("5m", "-5m").replace("noop", "no op"))
    answer = cli("schedule", "apply", file, "--json")
    assert answer.code == 2
    assert answer.problem["message"].startswith("3 things are wrong:")


def test_a_file_that_is_none(cli: Cli, tmp_path: Path) -> None:
    assert cli("schedule", "apply", tmp_path / "none.yaml").code == 2
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    assert "no UTF-8" in cli("schedule", "apply", tmp_path / "bytes.yaml").err
    (tmp_path / "empty.yaml").write_text("")
    assert cli("schedule", "apply", tmp_path / "empty.yaml").code == 2
