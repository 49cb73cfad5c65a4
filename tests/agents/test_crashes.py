"""Workers die at every commit of an agent's run: what was recorded is never paid for again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg

from pgflow import App, AsyncClient, Context, RetryLater, current
from pgflow.nodes.library import Library
from pgflow.testing.crash import CrashReport, crash_everywhere
from tests.agents.model_server import ModelServer, calls, fails, modelling, says
from tests.agents.tool_server import tooling
from tests.nodes.conftest import Graphs, Make


def normal(value: Any) -> Any:
    """What does not differ from run to run."""
    if isinstance(value, dict):
        passed_over = ("timestamp", "account", "approval", "task", "due_at", "run_id", "at")
        return {key: normal(one) for key, one in value.items() if key not in passed_over}
    return [normal(one) for one in value] if isinstance(value, list) else value


class Witness:
    """Looks into the history at each request that the model server gets: whether the answer is recorded already."""

    def __init__(self, made: Graphs, model: ModelServer) -> None:
        self._made, self._model = made, model
        self._connection = psycopg.connect(made.engine.settings.require_url(), autocommit=True)
        self.keys: Counter[str] = Counter()
        self.repeated: list[str] = []
        model.heard = self._hear

    def _hear(self, key: str) -> None:
        self.keys[key] += 1
        task, _, step = key.removeprefix("pgflow-").partition("-")
        text = "select from pgflow.event where task_id = %s and key = %s and type = 'step.completed'"
        if self._connection.execute(text, [int(task), step]).fetchall():
            self.repeated.append(key)

    async def everywhere(self, node: dict[str, Any]) -> CrashReport:
        """Let a worker die at each commit of a run of an agent, and see that nothing recorded is asked for again."""
        made = self._made
        await made.publish({"nodes": {"it": node}, "output": "${nodes.it.output}"})
        workflow = await Library(made.engine.call, made.engine.client._drive).workflow("graph")
        assert workflow is not None
        with self._connection:
            report = await crash_everywhere(made.engine, workflow, {}, normal=normal)
        assert self.repeated == []
        ((recorded,),) = made.query("select count(*) from pgflow.agent_usage")
        assert recorded == len(self.keys)
        lost = sum(count for key, count in report.reexecuted.items() if key.partition("#")[0] == "model")
        assert recorded + lost <= self._model.answered <= recorded + report.crashes
        assert lost > 0
        return report


async def test_an_agent_with_tools_of_all_kinds_survives_death_at_any_commit(graphs: Make) -> None:
    app = App()

    @app.task(name="look")
    async def look(word: str) -> str:
        return f"{word}!"

    @app.workflow(name="rest")
    async def rest(ctx: Context) -> str:
        await ctx.sleep("1h")
        return "rested"

    def script(body: Any) -> Any:
        results = sum(message["role"] == "tool" for message in body["messages"])
        if results == 0:
            return calls(("look", {"word": "ox"}), ("rest", {}), ("kit_add", {"a": 1, "b": 2}))
        return calls(("final_result", {"done": True}))

    output = {"type": "object", "properties": {"done": {"type": "boolean"}}, "required": ["done"]}
    async with tooling() as server, modelling(by=script) as model:
        tools = [{"task": "look"}, {"workflow": "rest"}, {"name": "kit", "mcp": {"url": server.url, "only": ["add"]}}]
        made = graphs(app)
        report = await Witness(made, model).everywhere(model.node(tools=tools, output=output))
    assert report.crashes > 15


async def test_agents_that_work_together_survive_death_at_any_commit(graphs: Make) -> None:
    """One has another do something, waits for approval, and hands over."""
    app = App()

    @app.task(name="publish")
    async def publish() -> str:
        return "published"

    @app.task(name="approve")
    async def approve() -> None:
        async with AsyncClient(settings) as client:
            questions = await client.approvals.list(state=None, run=current().run_id)
            if not questions:
                raise RetryLater(after=1)
            if questions[0].state == "pending":
                await client.approvals.decide(questions[0].id, True, actor="ann")

    def script(body: Any) -> Any:
        who, results = body["messages"][0]["content"], sum(message["role"] == "tool" for message in body["messages"])
        if who == "check":
            return says("true")
        if who == "end":
            return says("The end.")
        if results == 0:
            return calls(("check", {"task": "is it so?"}), ("publish", {}), ("approve", {}))
        return calls(("transfer_to_end", {}))

    agents = {"check": {"instructions": "check"}, "end": {"instructions": "end"}}
    async with modelling(by=script) as model:
        made = graphs(app)
        settings = made.engine.settings
        node = model.node(
            instructions="begin", agents=agents, handover=["end"], budget={"tokens": 100_000},
            tools=[{"agent": "check"}, {"task": "publish"}, {"task": "approve"}],
            approval={"tools": ["publish"], "timeout": "30d"},
        )  # fmt: skip
        report = await Witness(made, model).everywhere(node)
    assert report.crashes > 20


async def test_a_try_that_failed_is_counted_wherever_a_worker_dies(graphs: Make) -> None:
    seen = 0

    def script(body: Any) -> Any:
        nonlocal seen
        seen += 1
        return says("At last.") if seen % 3 == 0 else fails(429, "busy", retry_after="60")

    async with modelling(by=script) as model:
        made = graphs()
        assert (await made.one(model.node()))["output"] == "At last."
        await made.engine.kill()
        assert (await made.one(model.node()))["output"] == "At last."
    assert made.query("select count(*) from pgflow.event where type = 'step.retried'") == [(4,)]
