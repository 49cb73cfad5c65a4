from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pgflow import errors
from pgflow.cli import connection
from pgflow.cli.failures import EXIT_CODES, ExitCode, report
from tests.cli.conftest import Cli, invoke

NOWHERE = "postgresql://ann:secret-word@127.0.0.1:1/nowhere"
ASKING = [
    ["run", "list"],
    ["run", "start", "x"],
    ["task", "show", "1"],
    ["queue", "list"],
    ["workers"],
    ["audit", "timers"],
    ["migrate"],
    ["migrate", "--status"],
]


@pytest.mark.parametrize("command", ASKING)
def test_an_unreachable_database_is_one_clear_message(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", NOWHERE)
    answer = invoke(*command)
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith("error: the database cannot be reached")
    assert "secret-word" not in answer.err
    assert invoke(*command, "--json").problem["type"] == "DatabaseUnavailable"


@pytest.mark.parametrize("command", [*ASKING, ["doctor"]])
def test_no_database_at_all_is_told_with_what_to_do(command: list[str]) -> None:
    answer = invoke(*command)
    assert (answer.code, answer.out) == (2, "")
    assert "PGFLOW_DATABASE_URL" in answer.err


@pytest.mark.parametrize(
    "url", ["postgresql://u:ge%zzheim@127.0.0.1/x", "postgresql://u:ge heim@127.0.0.1/x", "ge=heim=", "geheim"]
)
@pytest.mark.parametrize(
    "command", [*ASKING, ["worker", str(Path(__file__))], ["scheduler"], ["api"], ["secret", "list"]]
)
def test_a_url_that_cannot_be_read_is_no_bug_and_not_repeated(
    command: list[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
    answer = invoke(*command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: the database's URL (PGFLOW_DATABASE_URL) cannot be read")
    assert "heim" not in answer.err


def test_a_target_of_an_impossible_name_and_a_tag_of_other_bytes_are_wrong_usage(cli: Cli) -> None:
    for command in (["check", "a" * 5000], ["run", "replay", "1", "a" * 5000]):
        answer = cli(*command)
        assert answer.code == 1
        assert "cannot be looked at: File name too long" in answer.err
    answer = cli("schedule", "create", "s", "x", "--every", "1h", "--tag", "a=\udcff")
    assert (answer.code, answer.err.splitlines()[0]) == (2, "error: Invalid value for '--tag': it is no valid UTF-8")


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SCHEMA", "No Such")
    answer = invoke("run", "list")
    assert answer.code == 2
    assert "PGFLOW_SCHEMA" in answer.err or "schema" in answer.err


def test_a_user_without_grants_gets_no_traceback(
    cli: Cli, user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", user())
    for command in (["run", "list"], ["run", "start", "x"], ["audit", "timers"], ["queue", "pause", "mail"]):
        answer = cli(*command)
        assert (answer.code, answer.out) == (5, ""), command
        assert "permission denied" in answer.err
        assert "pgflow_worker" in answer.err


def test_a_reader_may_look_but_not_touch(cli: Cli, user: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    cli("run", "start", "x")
    monkeypatch.setenv("PGFLOW_DATABASE_URL", user("pgflow_reader"))
    assert len(cli("run", "list", "--json").json) == 1
    assert cli("queue", "list").code == 0
    assert cli("audit", "queue_depth").code == 0
    for command in (["run", "start", "x"], ["run", "cancel", "1"], ["queue", "pause", "mail"]):
        assert cli(*command).code == 5, command


def test_a_worker_role_may_act(cli: Cli, user: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", user("pgflow_worker"))
    started = cli("run", "start", "x")
    assert (started.code, cli("run", "cancel", started.out.strip()).code) == (0, 0)
    assert cli("task", "redrive", started.out.strip()).code == 0
    assert cli("queue", "pause", "mail").code == 0


def test_an_unforeseen_error_is_one_line_and_its_traceback_on_demand(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(connection, "actor", broken)
    answer = cli("run", "start", "x")
    assert answer.code == 70
    assert answer.err.splitlines() == [
        "error: ZeroDivisionError: first line",
        "  -> this is a bug; run with PGFLOW_DEBUG=1 for the traceback",
    ]
    assert cli("run", "start", "x", "--json").problem["type"] == "ZeroDivisionError"
    monkeypatch.setenv("PGFLOW_DEBUG", "1")
    assert "Traceback" in cli("run", "start", "x").err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["run", "nope"], "No such command 'nope'"),
        (["run", "list", "--nope"], "--nope"),
        (["run", "show"], "Missing argument"),
        (["run", "list", "--limit", "0"], "--limit"),
        (["task", "list", "--state", "bogus"], "'bogus' is not one of 'queued'"),
    ],
)
def test_wrong_usage_is_told_as_text_and_as_json(args: list[str], said: str) -> None:
    answer = invoke(*args)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert said in answer.err
    problem = invoke(*args, "--json").problem
    assert (problem["exit_code"], said in problem["message"]) == (2, True)
    assert "--help" in problem["hint"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("m"), 3),
        (errors.DatabaseUnavailable("m"), 4),
        (errors.SchemaError("m"), 4),
        (errors.PermissionDenied("m"), 5),
        (errors.ResultTimeout("m"), 6),
        (errors.ConfigError("m"), 2),
        (errors.ArgumentError("m"), 2),
        (errors.PayloadError("m"), 2),
        (errors.RegistrationError("m"), 2),
        (errors.UnknownTask("m"), 2),
        (errors.TaskFailed(1, {}), 1),
        (errors.TaskCancelled("m"), 1),
        (errors.AppLoadError("m"), 1),
        (errors.EmbeddedError("m"), 1),
        (errors.PgflowError("m"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("m"), 70),
    ],
)
def test_every_kind_of_error_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, as_json=False) == code
    assert capsys.readouterr().err.strip()


def test_every_exit_code_is_documented() -> None:
    assert all(f"\n  {code.value} " in EXIT_CODES for code in ExitCode)
    assert EXIT_CODES.splitlines()[1] in invoke("--help").out
