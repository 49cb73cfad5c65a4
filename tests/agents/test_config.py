"""What is wrong with an agent before it runs, and where agents cannot run."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pgflow.errors import TaskFailed
from pgflow.nodes.agent import Agent
from tests.agents.model_server import modelling, says
from tests.nodes.conftest import Make

GOOD = {"model": "openai:gpt-5-mini", "prompt": "Hello?"}


@pytest.mark.parametrize(
    ("config", "path", "said"),
    [
        ({"prompt": "x"}, "model", "missing"),
        ({"handover": ["nobody"]}, "", "handover names 'nobody', and `agents` has none"),
        ({"agents": {"a": {"tools": [{"agent": "b"}]}}}, "", "agents.a.tools names 'b', and `agents` has a"),
        ({"tools": [{"task": "a.b"}, {"workflow": "a_b"}]}, "", "two tools are called a_b"),
        ({"tools": [{"task": "a", "workflow": "b"}]}, "tools[0]", "give one of"),
        ({"tools": [{"http": {"url": "https://x/"}}]}, "tools[0]", "give it a `name`"),
        ({"tools": [{"task": "final_result"}]}, "", "two tools are called final_result"),
        ({"output": {"type": "sting"}}, "output", "output.type"),
        ({"budget": {"tokens": 0}}, "budget.tokens", "1"),
        ({"promt": "x"}, "promt", "no such field"),
        (
            {"tools": [{"name": "a", "http": {"url": "https://{host}/"}, "parameters": {"properties": {"host": {}}}}]},
            "tools[0]", "in the path of `http.url` alone",
        ),
        ({"tools": [{"name": "a", "http": {"url": "https://x/{id}"}}]}, "tools[0]", "properties` has no 'id'"),
    ],
    ids=[
        "no model", "handover", "agent", "twice", "two in one", "no name", "taken", "schema", "budget", "typo", "host",
        "parameter",
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(config: dict[str, Any], path: str, said: str) -> None:
    given = config if "prompt" in config else GOOD | config
    (problem,) = Agent().problems(given)
    assert (problem.path, said in problem.message) == (path, True), problem


def test_what_an_expression_will_give_is_not_judged_yet() -> None:
    assert Agent().problems(GOOD | {"output": "${input.schema}", "tools": "${input.tools}"}) == []


def test_nothing_that_only_running_nodes_need_is_imported_before_one_runs() -> None:
    text = (
        "import sys, pgflow.tasks, pgflow.cli\n"
        "needed = ('pydantic_ai', 'openai', 'mcp', 'httpx', 'httpx2', 'genai_prices', 'tiktoken')\n"
        "sys.exit(', '.join(name for name in needed if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


async def test_without_the_extra_an_agent_says_what_to_install(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("pydantic_ai.", "pgflow.nodes.agents."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    async with modelling(says("no")) as model:
        with pytest.raises(TaskFailed, match=r"need the package pydantic_ai, .*pip install 'pgflow-engine\[agents\]'"):
            await graphs().one(model.node())
        assert model.bodies == []
