"""What the API answers is what its OpenAPI document says: schemathesis asks every operation, with all of its checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgflow.api.document import document
from pgflow.config import Settings
from pgflow.sealing import new_key
from tests.api import matrix, matrix_registries
from tests.api.conftest import Askers
from tests.api.matrix import World
from tests.api.test_matrix import table
from tests.api.test_server import ready, served

UNLIMITED = {
    "PGFLOW_API_RATE": "100000/second", "PGFLOW_API_ADDRESS_RATE": "100000/second",
    "PGFLOW_SECRET_KEYS": new_key(),
}  # fmt: skip

MEANT = ("2xx", "3xx", "400", "401", "403", "404", "409", "412", "422")
"""What may be answered to a request that a schema lets pass, by an operation that looks at more than a schema says."""

SAY_MORE = {
    "what excludes each other, a name that is taken, a definition, an expression": (
        "post_workflows", "post_runs", "post_tasks", "post_workflows_name_trigger", "post_runs_id_rerun",
        "post_runs_id_fork", "post_schedules", "put_schedules_name", "post_triggers", "put_triggers_name",
        "post_triggers_name_rotate", "put_table_triggers_name", "post_subscriptions", "put_subscriptions_name",
        "post_subscriptions_name_redeliver", "put_queues_name_limit", "post_users", "post_tokens", "patch_users_name",
        "post_schedules_name_backfill", "post_bulk", "post_bulk_preview", "get_cron_explain",
        "post_approvals_id_decide", "post_triggers_name_test",
    ),
    "durations in words, and their bounds": ("put_queues_name_ageing", "get_stats"),
    "secrets too short to be hidden": ("put_secrets_name",),
    "places in a list, which only the list can read": (
        "get_runs", "get_timers", "get_events", "get_subscriptions_name_deliveries",
    ),
    "values that Postgres cannot store": ("post_events", "post_runs_id_signal", "post_signals"),
    "a run that is no graph": ("get_runs_id_graph",),
    "989.0, which a schema takes for a whole number": ("post_dead_letters_redrive",),
}  # fmt: skip
"""Operations that refuse what their schemas let pass, by what those cannot say; beside all that look at ETags."""


def config(folder: Path) -> Path:
    """How schemathesis is to ask: nothing of this can be said on its command line."""
    meant = ", ".join(f'"{one}"' for one in MEANT)
    lines = [
        "request-timeout = 60", "[generation]", "allow-x00 = false",
        "[checks.negative_data_rejection]", 'expected-statuses = ["4xx", "5xx"]',
        "[[operations]]", 'include-operation-id = "get_runs_id_result"', "parameters = { wait = 0 }",
    ]  # fmt: skip
    for name in {name for names in SAY_MORE.values() for name in names} | versioned():
        lines += ["[[operations]]", f'include-operation-id = "{name}"']
        lines += [f"checks.positive_data_acceptance.expected-statuses = [{meant}]"]
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def versioned() -> set[str]:
    """Operations on the version that is meant, which may be another, or known already."""
    return {
        operation["operationId"]
        for methods in document(table())["paths"].values()
        for operation in methods.values()
        if any(one["name"] in {"If-Match", "If-None-Match"} for one in operation["parameters"])
    }


@pytest.fixture
def world(askers: Askers) -> World:
    """One of everything that is looked at, so that something is found."""
    world = World(askers.engine)
    for name, entry in {**matrix.ENTRIES, **matrix_registries.ENTRIES}.items():
        if name.startswith("GET ") and entry.ok < 300:
            entry.make(world)
    return world


@pytest.fixture
def token(askers: Askers) -> str:
    """An admin's, that cannot be revoked: the list of tokens tells its id, and ids are tried."""
    token = askers.token("admin", name="tester")
    askers.engine.connection.execute(
        """create function public.stay() returns trigger language plpgsql as 'begin return null; end';
           create trigger stay before update on pgflow.token for each row when (old.name = 'tester')
           execute function public.stay()"""
    )
    return token


@pytest.fixture
def port(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name, value in UNLIMITED.items():
        monkeypatch.setenv(name, value)
    with served(database) as (process, port):
        ready(process, port)
        yield port


def ask(port: int, token: str, folder: Path, *options: str) -> None:
    """Have schemathesis ask, and find nothing. One request after another: it parses code while it makes them, which
    threads of Python 3.11 may not do beside each other."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config(folder)), "--no-color", "run",
        f"http://127.0.0.1:{port}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}",
        "--checks", "all", "--warnings", "off", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_answers_as_the_document_says(port: int, token: str, world: World, tmp_path: Path) -> None:
    ask(
        port, token, tmp_path, "--phases", "examples,fuzzing,stateful", "--max-examples", "3", "--seed", "7",
        "--no-shrink", "--suppress-health-check", "all",
    )  # fmt: skip


@pytest.mark.torture
@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing", "stateful"])
def test_every_operation_answers_so_whatever_is_sent(
    port: int, token: str, world: World, tmp_path: Path, phases: str
) -> None:
    ask(
        port, token, tmp_path, "--phases", phases, "--max-examples", "50", "--suppress-health-check",
        "all", "--continue-on-failure",
    )  # fmt: skip
