"""The layers of the package, as [tool.importlinter] in pyproject.toml draws them."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.architecture.tree import PACKAGE, ROOT, modules, shown

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]

# What `from pgflow import ...` may take below the package's own __init__: what is there before any layer is loaded.
BARE_NAMES = {"__version__"}


def _layer(name: str) -> int:
    """How deep a subpackage lies: 0 is the top."""
    (layers,) = (contract["layers"] for contract in CONTRACTS if contract["id"] == "layers")
    (depth,) = (i for i, layer in enumerate(layers) if f"({name})" in layer)
    return depth


def test_the_contract_draws_the_layers_of_the_design() -> None:
    design = [
        "cli",
        "api runtime",
        "tasks",
        "nodes",
        "sdk",
        "engine",
        "db redis embedded",
        "model errors config codec backoff",
    ]
    depths = [{_layer(name) for name in layer.split()} for layer in design]
    assert all(len(depth) == 1 for depth in depths), "one layer, several depths"
    assert [min(depth) for depth in depths] == sorted({min(depth) for depth in depths})


def test_every_import_points_down_the_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in answer.stdout


def test_no_module_below_the_public_names_takes_one_from_them() -> None:
    taken = []
    for path in modules():
        if path == PACKAGE / "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "pgflow" and node.level == 0:
                names = {alias.name for alias in node.names} - BARE_NAMES
                taken += [f"{shown(path)}:{node.lineno} {name}" for name in names if not _is_module(name)]
    assert taken == [], "import it from the module that has it"


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()


def test_a_process_that_only_enqueues_loads_no_worker_loop() -> None:
    look = "import sys, pgflow; print(*sorted(m for m in sys.modules if m.startswith('pgflow.')))"
    answer = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[1] for name in answer.stdout.split()}
    assert not loaded & {"runtime", "nodes", "api", "cli", "embedded"}
