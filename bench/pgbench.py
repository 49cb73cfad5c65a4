"""Clients that cost next to nothing: pgbench, which drives many connections from one thread without Python.

Beside clients in Python, which on a small machine use as much of it as the database does, a statement's own cost would
hardly show.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from bench.server import BINARIES
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.connect import PLANNER
from pgflow.db.statements import statement
from pgflow.embedded import find_binaries
from pgflow.errors import PgflowError

_RATE = re.compile(r"tps = ([0-9.]+) \(without")


def program() -> str | None:
    """Where pgbench is: beside the server's other programs, or on the path; else None."""
    try:
        beside = Path(os.environ[BINARIES]) if BINARIES in os.environ else find_binaries()
    except PgflowError:
        return shutil.which("pgbench")
    return shutil.which("pgbench", path=str(beside)) or shutil.which("pgbench")


def rate(settings: Settings, call: Call[Any], clients: int, seconds: float) -> float:
    """How often a second that many clients get this call done, one transaction each."""
    found = program()
    assert found is not None
    with psycopg.connect(settings.require_url()) as connection, tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        text = psycopg.ClientCursor(connection).mogrify(statement(call.name, settings.schema_name), call.params)
        file.write(" ".join(text.split()) + ";\n")
        file.flush()
        options = " ".join(f"-c {name}={value}" for name, value in PLANNER.items())
        command = [found, "-n", "-M", "prepared", "-c", f"{clients}", "-j", "1", "-T", f"{max(1, round(seconds))}"]
        answer = subprocess.run(
            [*command, "-f", file.name, settings.require_url()],
            check=True, capture_output=True, text=True, env={**os.environ, "PGOPTIONS": options},
        )  # fmt: skip
    figure = _RATE.search(answer.stdout)
    assert figure is not None, answer.stdout
    return float(figure[1])
