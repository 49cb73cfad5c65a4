"""What the documents show is what happens: their Python, SQL and command lines are run or looked up."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shlex
import sys
from pathlib import Path
from urllib.parse import urlencode

import click
import psycopg
import pytest

from pgflow.cli import SECTIONS, main
from pgflow.config import Settings
from pgflow.runtime.supervisor import Plan, Supervisor
from tests.docs.markdown import ROOT, blocks, documents

# Runs a script whose `await` may stand at the top level, as in the documents.
RUN = """
import ast, asyncio, sys
code = compile(open(sys.argv[1]).read(), sys.argv[1], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def run():
    answer = eval(code, {"__name__": "__main__"})
    if answer is not None:
        await answer
asyncio.run(run())
"""
PRINTED = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)

WITH_PYTHON = [path for path in documents() if blocks(path, "python")]
WITH_SQL = [path for path in documents() if blocks(path, "sql")]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", WITH_PYTHON, ids=shown)
async def test_python_does_what_its_document_says(path: Path, database: Settings, tmp_path: Path) -> None:
    script, modules = write(path, tmp_path)
    found_in = os.pathsep.join([str(ROOT), str(modules), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PGFLOW_DATABASE_URL": as_url(database), "PYTHONPATH": found_in}
    supervisor = Supervisor(database.model_copy(update={"drain": 1.0}), Plan((str(modules),), concurrency=8))
    working = asyncio.create_task(supervisor.run())
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, str(script), env=environment, cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complained = await asyncio.wait_for(process.communicate(), 60)
    finally:
        supervisor.stop()
        await working
    assert process.returncode == 0, complained.decode()
    assert said.decode().splitlines() == PRINTED.findall(script.read_text("utf-8"))


def as_url(database: Settings) -> str:
    """The database's address as people write it, for those who read no other form."""
    parts = psycopg.conninfo.conninfo_to_dict(database.require_url())
    name, options = parts.pop("dbname"), urlencode({name: value for name, value in parts.items() if value is not None})
    return f"postgresql:///{name}?{options}"


def write(path: Path, folder: Path) -> tuple[Path, Path]:
    """Put a document's Python into files. Returns the script, of all that names no file, and the others' folder."""
    modules = folder / "modules"
    modules.mkdir()
    script: list[str] = []
    parts: dict[str, list[str]] = {}
    for block in blocks(path, "python"):
        if block.needs is None or importlib.util.find_spec(block.needs):
            (parts.setdefault(block.file, []) if block.file else script).append(block.text)
    for name, texts in parts.items():
        (modules / name).write_text("\n\n".join(texts), "utf-8")
    (folder / "script.py").write_text("\n\n".join(script), "utf-8")
    return folder / "script.py", modules


@pytest.mark.parametrize("path", WITH_SQL, ids=shown)
def test_sql_runs(path: Path, database: Settings) -> None:
    with psycopg.connect(database.require_url()) as connection:
        for block in blocks(path, "sql"):
            try:
                connection.execute(block.text.encode())
            except psycopg.Error as error:
                pytest.fail(f"{shown(path)}:{block.line}: {error}", pytrace=False)
        connection.rollback()


def command_lines() -> list[tuple[str, list[str]]]:
    """Every `pgflow ...` of a shell block, or in backticks, with where it stands."""
    found = []
    for path in documents():
        for block in blocks(path, "sh"):
            lines = block.text.replace("\\\n", " ").splitlines()
            found += [(f"{shown(path)}:{block.line}", line) for line in lines]
        prose = re.findall(r"`(pgflow [^`\n]+)`", path.read_text("utf-8"))
        found += [(shown(path), line) for line in prose]
    return [(where, words(line)) for where, line in found if re.match(r"(\$ )?pgflow [a-z]", line)]


def words(line: str) -> list[str]:
    split = shlex.split(line.removeprefix("$ "), comments=True)
    end = next((i for i, word in enumerate(split) if word in {"|", ">", "&", "&&", ";"}), len(split))
    return split[1:end]


def test_every_command_line_is_one_the_command_takes() -> None:
    lines = command_lines()
    assert {line[0] for _, line in lines} > {"dev", "worker", "audit"}
    assert [(where, line, problem) for where, line in lines if (problem := wrong(line))] == []


def wrong(line: list[str]) -> str | None:
    """What is wrong with a command line, if anything."""
    known = {name for commands in SECTIONS.values() for name in commands}
    if line[0] not in known:
        return "no such command"
    context = click.Context(main)
    command, rest = main.get_command(context, line[0]), line[1:]
    while isinstance(command, click.Group) and rest:
        command, rest = command.get_command(context, rest[0]), rest[1:]
    if command is None:
        return "no such subcommand"
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in rest if word.startswith("-") and word != "-" and word.split("=")[0] not in options]
    if unknown:
        return f"no option {unknown[0]}"
    if line[0] == "audit" and rest and rest[0] != "NAME" and not (ROOT / f"sql/audit/{rest[0]}.sql").exists():
        return "no such audit"
    return None


def test_a_wrong_command_line_is_seen() -> None:
    assert wrong(["teleport"])
    assert wrong(["task", "teleport"])
    assert wrong(["worker", "shop", "--fast"])
    assert wrong(["audit", "nothing"])
    assert wrong(["worker", "shop", "-p", "2"]) is None
