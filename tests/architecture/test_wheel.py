"""What is installed is what is here: every SQL file, the types' mark, the command, and no tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, shown, sql_files

pytestmark = pytest.mark.xdist_group("wheel")  # built once


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel made from the sdist, so that both must be whole."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.fail(f"the wheel cannot be built:\n{answer.stdout}{answer.stderr}", pytrace=False)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_sql_file_and_no_other(wheel: zipfile.ZipFile) -> None:
    shipped = {name: wheel.read(name) for name in wheel.namelist() if name.endswith(".sql")}
    here = {f"pgflow/{shown(path)}": path.read_bytes() for path in sql_files("sql") + sql_files("migrations")}
    assert here
    assert sorted(shipped) == sorted(here)
    assert shipped == here


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "pgflow/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"pgflow"}
    modules = {shown(path) for path in (ROOT / "pgflow").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (information,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = wheel.read(f"{information}/METADATA").decode()
    assert "\nName: pgflow-engine\n" in metadata
    assert f"\nVersion: {_version()}\n" in metadata
    assert "pgflow = pgflow.cli:main" in wheel.read(f"{information}/entry_points.txt").decode()
    assert f"{information}/licenses/LICENSE" in wheel.namelist()


def test_the_sdist_holds_the_sql_but_no_tests(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {shown(path) for path in sql_files("sql") + sql_files("migrations")} <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def _version() -> str:
    scope: dict[str, object] = {}
    lines = (ROOT / "pgflow/__init__.py").read_text("utf-8").splitlines()
    exec(next(line for line in lines if line.startswith("__version__")), scope)  # noqa: S102 (our own line)
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dynamic"]
    return str(scope["__version__"])
