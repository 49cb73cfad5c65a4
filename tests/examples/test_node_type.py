"""The package of node types of one's own: installed as a user would, and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgflow.nodes import kit, library
from pgflow.nodes.base import Flow, Work
from pgflow.tasks import work
from tests.architecture.tree import ROOT
from tests.nodes.conftest import Make, graphs
from tests.outbound.servers import respond, serving

__all__ = ["graphs"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed."""
    folder = tmp_path_factory.mktemp("packages")
    arguments = ["--no-deps", "--no-build-isolation", "--quiet", "--target", folder, ROOT / "examples/node_type"]
    subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=True, capture_output=True)
    return folder


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(folder)
    kit.node_types.cache_clear()
    yield
    kit.node_types.cache_clear()
    sys.modules.pop("pgflow_slug", None)


def test_both_kinds_are_found(installed: None) -> None:
    types = kit.node_types()
    assert isinstance(types["slug"], Flow)
    assert isinstance(types["line_count"], Work)
    for name in ("slug", "line_count"):
        assert types[name].problems(types[name].example["config"]) == []
    (problem,) = types["slug"].problems({"text": "a", "longst": 3})
    assert problem.hint == "did you mean 'longest'?"


async def test_they_run_like_those_that_are_built_in(installed: None, graphs: Make) -> None:
    async with serving(respond(200, b"one\ntwo\n")) as server:
        document = {
            "nodes": {
                "name": {"type": "slug", "config": {"text": "${input.title}", "longest": 12}},
                "lines": {"type": "line_count", "config": {"url": server.url}},
            },
            "output": "${nodes.name.output}: ${nodes.lines.output.lines}",
        }
        assert await graphs().run(document, title="Crème & brûlée, encore") == "creme-brulee: 2"


def test_a_built_in_name_is_not_given_away(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import pgflow_slug

    monkeypatch.setattr(pgflow_slug.Slug, "name", "http")
    kit.node_types.cache_clear()
    assert kit.node_types()["http"] in kit.BUILT_IN
    assert library.node_types is work.node_types is kit.node_types
