from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pgflow import redaction
from pgflow.cli import dev
from pgflow.config import Settings
from pgflow.sealing import Keyring, key_id, new_key, read_key
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine

OLD, NEW = new_key(), new_key()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", OLD)
    monkeypatch.delenv("PGFLOW_SECRET_KEYS_FILE", raising=False)


def test_a_secret_is_set_listed_and_removed_and_never_shown(cli: Cli, engine: Engine) -> None:
    said = cli("secret", "set", "API_TOKEN", input="hunter22\n")
    assert (said.code, said.out) == (0, "")
    assert "set API_TOKEN, version 1" in said.err
    assert cli("secret", "set", "API_TOKEN", "--json", input="hunter33").json == {"name": "API_TOKEN", "version": 2}
    (row,) = cli("secret", "list", "--json").json
    assert (row["name"], row["source"], row["version"]) == ("API_TOKEN", "table", 2)
    assert "@" in row["actor"]
    header, line = cli("secret", "list").out.splitlines()
    assert header.split() == ["name", "source", "version", "key_id", "changed_at", "actor"]
    assert line.split()[:2] == ["API_TOKEN", "table"]
    assert "hunter" not in cli("secret", "list").out + cli("secret", "check").out
    assert "removed API_TOKEN" in cli("secret", "remove", "API_TOKEN").err
    assert cli("secret", "remove", "API_TOKEN").code == 3
    assert "there are no secrets" in cli("secret", "list").err


@pytest.mark.parametrize(
    ("given", "kept"),
    [("hunter22", 8), ("hunter22\n", 8), ("hunter22\r\n", 8), ("hunter22\n\n", 9), (" hunter\n22 ", 11)],
)
def test_one_line_break_at_the_end_is_taken_off(cli: Cli, engine: Engine, given: str, kept: int) -> None:
    cli("secret", "set", "API_TOKEN", input=given)
    assert engine.query("select length(sealed) - 29 from pgflow.secret") == [(kept,)]


def test_the_value_is_no_argument(cli: Cli) -> None:
    assert cli("secret", "set", "API_TOKEN", "hunter22").code == 2


@pytest.mark.parametrize("value", ["h22", "", "x" * 70000])
def test_a_value_that_makes_no_sense_is_refused(cli: Cli, value: str) -> None:
    said = cli("secret", "set", "API_TOKEN", input=value)
    assert said.code == 2
    assert not value or value not in said.err
    assert cli("secret", "set", "api-token", input="hunter22").code == 2


def test_the_value_is_asked_for_and_not_echoed_on_a_terminal(cli: Cli, engine: Engine, database: Settings) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", "secret", "set", "API_TOKEN"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    for _ in range(2):
        while not said.endswith(b": "):
            said += os.read(ours, 1000)
        os.write(ours, b"hunter22\n")
        said += b"\n"
    while True:
        try:
            part = os.read(ours, 1000)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert process.wait(20) == 0, said
    assert b"value of API_TOKEN" in said
    assert b"hunter" not in said
    assert engine.query("select name, version from pgflow.secret") == [("API_TOKEN", 1)]


def test_keys_are_made_rotated_and_checked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cli("secret", "key")
    key = made.out.strip()
    assert key_id(read_key(key)) in made.err
    assert key not in made.err
    assert cli("secret", "key").out != made.out
    described = cli("secret", "key", "--json").json
    assert key_id(read_key(described["key"])) == described["key_id"]

    cli("secret", "set", "API_TOKEN", input="hunter22")
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", f"{key},{OLD}")
    assert [row["state"] for row in cli("secret", "check", "--json").json] == ["old key"]
    assert f"sealed 1 with the key {key_id(read_key(key))}" in cli("secret", "rotate").err
    assert cli("secret", "rotate", "--json").json == {"key_id": key_id(read_key(key)), "resealed": [], "failed": []}
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", key)
    assert "1 fine" in cli("secret", "check").err

    monkeypatch.setenv("PGFLOW_SECRET_KEYS", NEW)
    checked = cli("secret", "check")
    assert checked.code == 1
    assert "API_TOKEN" in checked.out
    assert "no key" in checked.out
    rotated = cli("secret", "rotate")
    assert rotated.code == 1
    assert "API_TOKEN is sealed with the key" in rotated.err


def test_a_bad_key_is_not_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", NEW[:-4])
    said = cli("secret", "set", "API_TOKEN", input="hunter22")
    assert said.code == 2
    assert "key 1 for secrets is not 32 bytes" in said.err
    assert NEW[:-4] not in said.err
    monkeypatch.delenv("PGFLOW_SECRET_KEYS")
    assert "pgflow secret key" in cli("secret", "set", "API_TOKEN", input="hunter22").err


def test_what_the_environment_has_is_listed_and_checked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_API_TOKEN", "of the environment")
    monkeypatch.setenv("PGFLOW_SECRET_PIN", "1234")
    assert "would win" in cli("secret", "set", "API_TOKEN", input="hunter22").err
    assert {row["name"]: row["source"] for row in cli("secret", "list", "--json").json} == {
        "API_TOKEN": "environment, table", "PIN": "environment",
    }  # fmt: skip
    checked = cli("secret", "check", "--json")
    assert checked.code == 0
    assert [(row["name"], row["state"]) for row in checked.json] == [
        ("API_TOKEN", "fine"), ("API_TOKEN", "fine"), ("PIN", "short"),
    ]  # fmt: skip


def test_an_error_of_a_command_shows_no_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.reveal("TOKEN", "NO_SUCH_NAME")
    try:
        for options in ((), ("--json",)):
            said = cli("secret", "remove", "NO_SUCH_NAME", *options)
            assert said.code == 3
            assert "***TOKEN***" in said.err
            assert "NO_SUCH_NAME" not in said.err
    finally:
        redaction.forget()


def test_pgflow_dev_makes_a_key_once_that_only_its_user_can_read(tmp_path: Path) -> None:
    file = tmp_path / "secret-keys"
    dev._make_key(file)
    made = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert Keyring([made]).newest is not None
    dev._make_key(file)
    assert file.read_text() == made
