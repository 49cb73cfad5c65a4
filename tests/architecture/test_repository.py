"""What may not be committed: registry addresses, paths of one machine; and that pins and settings are written down."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import AliasChoices, TypeAdapter

from pgflow.config import Settings
from tests.architecture.tree import ROOT

# Spelled in halves, for this file is searched as well.
HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "yarn" + "pkg.com",
    "crates" + ".io",
    "ruby" + "gems.org",
    "proxy.go" + "lang.org",
    "deb.deb" + "ian.org",
    "security.deb" + "ian.org",
    "archive.ubu" + "ntu.com",
]
FORBIDDEN = re.compile("|".join(map(re.escape, HOSTS)) + r"|(?<![\w.~-])/" + "work/")
LOCK_FILES = re.compile(r"(uv|poetry|pdm|yarn|Pipfile)\.lock|pylock.*\.toml|package-lock\.json|pnpm-lock\.yaml")
PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+")


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Every text file that is committed, or that the next `git add` would."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = sorted(set(filter(None, listed.stdout.decode().split("\0"))))
    return {name: text for name in names if (text := _text(ROOT / name)) is not None}


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return None


def test_no_file_names_a_registry_or_a_path_of_one_machine(files: dict[str, str]) -> None:
    assert "pyproject.toml" in files
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in files.items()
        if FORBIDDEN.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_no_lock_file_holds_addresses(files: dict[str, str]) -> None:
    locks = {name: text for name, text in files.items() if LOCK_FILES.fullmatch(Path(name).name)}
    assert [name for name, text in locks.items() if "://" in text] == []


def test_the_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [
        line for line in lines if not line.startswith("#") and not PIN.fullmatch(line.partition(";")[0].strip())
    ] == []


def test_everything_required_is_pinned_to_a_version_that_fits() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared += extra
    pins = dict(_pin(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line)
    required = [r for r in map(Requirement, declared) if r.name != project["project"]["name"]]
    unpinned = [str(r) for r in required if canonicalize_name(r.name) not in pins]
    assert unpinned == []
    assert [str(r) for r in required if not r.specifier.contains(pins[canonicalize_name(r.name)])] == []


def _pin(line: str) -> tuple[str, str]:
    name, version = line.partition(";")[0].strip().split("==")
    return canonicalize_name(name), version


def test_the_example_file_shows_every_setting_with_its_default() -> None:
    shown = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else f"PGFLOW_{name.upper()}"
        assert variable in shown
        if isinstance(field.default, bool | int | float):
            assert TypeAdapter(type(field.default)).validate_strings(shown[str(variable)]) == field.default, variable
