"""The command as the shell runs it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pgflow import __version__
from pgflow.cli import SECTIONS, main
from pgflow.config import Settings
from tests.architecture.tree import ROOT
from tests.cli.conftest import invoke


def shell(*args: str, url: str | None = None, input: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"PGFLOW_DATABASE_URL": url} if url else {})}
    command = [sys.executable, "-m", "pgflow.cli", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, input=input, check=False)


def test_help_is_quick_and_loads_no_module_of_commands() -> None:
    look = (
        "import sys, contextlib, io\n"
        "from pgflow.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print(*sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.split())
    assert not loaded & {"psycopg", "pydantic", "rich", "structlog", "asyncio", "pgflow.sdk", "pgflow.engine"}
    assert not {name for name in loaded if name.startswith(("pgflow.cli.run", "pgflow.cli.dev", "pgflow.runtime"))}


def test_every_command_of_the_help_exists_and_explains_itself() -> None:
    listed = [name for commands in SECTIONS.values() for name in commands]
    with click.Context(main) as context:
        assert main.list_commands(context) == listed
        for name in listed:
            command = main.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert command.help
    assert all(name in invoke("--help").out for name in listed)
    assert __version__ in invoke("--version").out


def leaves(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    with click.Context(command) as context:
        found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [leaf for name, child in found if child for leaf in leaves(child, (*path, name))]


@pytest.mark.parametrize("path", leaves(main, ()), ids=" ".join)
def test_every_command_has_help_and_all_but_the_servers_have_json(path: tuple[str, ...]) -> None:
    answer = invoke(*path, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert ("--json" in answer.out) == (path[0] not in {"api", "dev", "worker", "scheduler"})


def test_a_module_that_cannot_be_loaded_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pgflow.cli.workers", None)
    answer = invoke("workers")
    assert (answer.code, "Traceback" in answer.err) == (1, False)
    assert "`pgflow workers` cannot be loaded" in answer.err


def test_the_command_works_from_a_shell(database: Settings, tmp_path: Path) -> None:
    url = database.require_url()
    started = shell("run", "start", "x", "-", url=url, input='{"a": 1}')
    assert (started.returncode, started.stderr.splitlines()[0]) == (
        0, "note: no worker is running; start one with `pgflow worker`",
    )  # fmt: skip
    shown = shell("run", "show", started.stdout.strip(), url=url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout, "no colours in a pipe"
    assert shell("run", "show", "987654", url=url).returncode == 3
    assert shell("run", "list", url="postgresql://127.0.0.1:1/x").returncode == 4
    assert shell("audit", "misplaced_tasks", url=url).stderr == "nothing\n"


def test_an_interrupt_while_waiting_leaves_the_run_alone(database: Settings) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PGFLOW_DATABASE_URL": database.require_url()}
    command = [sys.executable, "-m", "pgflow.cli", "run", "start", "x", "--wait"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        try:
            assert "no worker is running" in running.stderr.readline()
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=60) == 130
        finally:
            running.kill()
        assert running.stderr.read().strip() == "interrupted"
    assert '"state":"queued"' in shell("run", "list", "--json", url=database.require_url()).stdout


def test_a_setting_of_a_dotenv_file_counts(database: Settings, tmp_path: Path) -> None:
    Path(".env").write_text(f"PGFLOW_DATABASE_URL={database.require_url()}\n")
    assert shell("run", "list").returncode == 0


def test_a_terminal_gets_a_table_and_nothing_but_text_gets_through(database: Settings) -> None:
    url = database.require_url()
    shell("run", "start", "evil\x1b]0;title\x07", url=url)
    controller, terminal = pty.openpty()
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "PGFLOW_DATABASE_URL": url, "COLUMNS": "120", "TERM": "xterm",
    }  # fmt: skip
    command = [sys.executable, "-m", "pgflow.cli", "run", "list"]
    running = subprocess.Popen(command, env=environment, stdout=terminal, stderr=terminal)
    os.close(terminal)
    said = b""
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(controller)
    assert running.wait() == 0
    assert b"\x1b[1m" in said, "a heading in bold"
    assert b"evil\\x1b]0;title\\x07" in said
    assert b"\x07" not in said
