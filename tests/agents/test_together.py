"""Several agents, people who approve of what they do, and what they may spend together."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow import App
from pgflow.engine.audit import audit
from pgflow.errors import TaskFailed
from tests.agents.model_server import calls, modelling, says, told
from tests.nodes.conftest import Graphs, Make


def publisher() -> tuple[App, list[str]]:
    app, published = App(), []

    @app.task(name="publish")
    async def publish(text: str) -> str:
        """Publish a text."""
        published.append(text)
        return "published"

    return app, published


def approving(model: Any, **approval: Any) -> dict[str, Any]:
    return model.node(tools=[{"task": "publish"}], approval={"tools": ["pub*"], **approval})  # type: ignore[no-any-return]


async def asked(made: Graphs) -> Any:
    await made.engine.settle()
    (question,) = await made.engine.client.approvals.list(state="pending")
    return question


async def test_a_tool_is_called_only_when_somebody_has_approved_of_the_call(graphs: Make) -> None:
    app, published = publisher()
    async with modelling(calls(("publish", {"text": "News!"})), says("It is out.")) as model:
        made = graphs(app)
        run = await made.start(
            {"nodes": {"it": approving(model, assignees="ann")}, "output": "${nodes.it.output.output}"}
        )
        question = await asked(made)
        assert published == []
        assert made.query("select count(*) from pgflow.lease") == [(0,)]
        assert (question.title, question.workflow) == ("Let agent call publish?", "graph")
        assert '"text": "News!"' in question.description
        await made.engine.client.approvals.decide(question.id, True, actor="ann")
        assert await made.engine.result(run) == "It is out."
    assert published == ["News!"]
    assert told(model.bodies[1]) == ["published"]


async def test_a_model_is_told_when_nobody_approves(graphs: Make) -> None:
    app, published = publisher()
    script = [calls(("publish", {"text": "News!"})), calls(("publish", {"text": "Olds."})), says("Then not.")]
    async with modelling(*script) as model:
        made = graphs(app)
        document = {"nodes": {"it": approving(model, timeout="1h")}, "output": "${nodes.it.output.output}"}
        run = await made.start(document)
        question = await asked(made)
        await made.engine.client.approvals.decide(question.id, False, actor="bob", comment="too loud")
        assert await made.engine.result(run) == "Then not."  # the second expires
    assert published == []
    assert told(model.bodies[2]) == [
        "bob did not approve of this call, so it was not made: too loud",
        "Nobody has approved of this call in time, so it was not made.",
    ]


async def test_an_agent_hands_over_to_another_which_goes_on(graphs: Make) -> None:
    def script(body: Any) -> Any:
        if body["messages"][0]["content"] == "You sell.":
            return calls(("transfer_to_support", {}))
        return says("Try turning it off.")

    agents = {
        "support": {"instructions": "You help.", "description": "Helps with trouble.", "model": "openai-chat:gpt-4o"}
    }
    async with modelling(by=script) as model:
        given = await graphs().one(
            model.node(instructions="You sell.", agents=agents, handover=["support"], prompt="It is broken.")
        )
        first, second = model.bodies
    assert given["output"] == "Try turning it off."
    assert given["agent"] == "support"
    assert given["usage"]["requests"] == 2
    assert "Helps with trouble." in first["tools"][0]["function"]["description"]
    assert (first["model"], second["model"]) == ("gpt-4o-mini", "gpt-4o")
    assert second["messages"][0]["content"] == "You help."
    assert second["messages"][1]["content"] == "It is broken."
    assert model.keys == {"sk-test-9f8e7d6c5b4a"}


async def test_agents_are_tools_of_others_and_all_is_on_one_account(graphs: Make) -> None:
    def script(body: Any) -> Any:
        said = [message["content"] for message in body["messages"]]
        if said[0] == "You check.":
            return calls(("final_result", {"true": said[1] == "the sky is blue"}), tokens=(50, 5))
        if len(said) == 1:
            return calls(("checker", {"task": "the sky is blue"}), ("checker", {"task": "the sky is green"}))
        return says("One of two.")

    checks = {"type": "object", "properties": {"true": {"type": "boolean"}}, "required": ["true"]}
    agents = {"checker": {"instructions": "You check.", "description": "Checks a fact.", "output": checks}}
    async with modelling(by=script) as model:
        made = graphs()
        given = await made.one(model.node(agents=agents, tools=[{"agent": "checker"}]))
        assert sorted(told(model.bodies[-1])) == ['{"true":false}', '{"true":true}']
    assert given["output"] == "One of two."
    assert (given["usage"]["requests"], given["usage"]["input_tokens"]) == (4, 300)
    rows = made.query(
        "select agent, call, model, input_tokens, output_tokens, cost > 0, account = min(task_id) over ()"
        "  from pgflow.agent_usage order by agent, call, at"
    )
    mini = "openai-chat:gpt-4o-mini"
    assert rows == [
        ("agent", "model", mini, 100, 10, True, True), ("agent", "model#2", mini, 100, 10, True, True),
        ("checker", "model", mini, 50, 5, True, True), ("checker", "model", mini, 50, 5, True, True),
    ]  # fmt: skip
    audited, *_ = await made.engine.call(audit("agent_usage").call({"name": "gr%"}))
    assert (audited["workflow"], audited["calls"], audited["input_tokens"], audited["unpriced"]) == ("graph", 2, 200, 0)


async def test_a_budget_stops_an_agent_before_the_next_call(graphs: Make) -> None:
    made = graphs()
    for budget, answered, said in (
        (
            {"tokens": 220},
            2,
            "the agent is spent: 220 of 220 tokens; it has used 220 tokens in 2 model calls",
        ),
        ({"requests": 3}, 3, "3 of 3 model calls"),
        ({"cost": 0.00003}, 2, r"\$0\.000042 of \$0\.00003;"),
    ):
        async with modelling(calls(("nothing", {}))) as model:
            with pytest.raises(TaskFailed, match=said):
                await made.one(model.node(budget=budget))
            assert model.answered == answered


async def test_the_budget_of_a_run_counts_all_its_agents(graphs: Make) -> None:
    async with modelling(says("Well.")) as model:
        made = graphs()
        nodes = {
            "one": model.node(), "two": model.node(run_budget={"tokens": 200}),
            "three": model.node(run_budget={"tokens": 200}),
        }  # fmt: skip
        document = {"nodes": nodes, "edges": [{"from": "one", "to": "two"}, {"from": "two", "to": "three"}]}
        with pytest.raises(TaskFailed, match="node three failed: the budget of the run is spent: 220 of 200 tokens"):
            await made.run(document)
        assert model.answered == 2


async def test_a_budget_in_dollars_needs_a_price(graphs: Make) -> None:
    async with modelling(says("Well.", tokens=(1_000_000, 500_000))) as model:
        made = graphs()
        unknown = {"model": "openai-chat:our-own", "budget": {"cost": 5}}
        with pytest.raises(TaskFailed, match="the price of openai-chat:our-own is not known"):
            await made.one(model.node(**unknown))
        assert model.answered == 0
        prices = {"openai-chat:our-own": {"input": 0.5, "output": 3}}
        given = await made.one(model.node(**unknown, prices=prices))
        assert given["usage"]["cost"] == 2.0


async def test_what_people_approve_of_is_shown_as_it_is(graphs: Make) -> None:
    app, _ = publisher()
    text = "x```\n\n# Nothing to see here\n" + "y" * 30_000
    async with modelling(calls(("publish", {"text": text}))) as model:
        made = graphs(app)
        await made.start({"nodes": {"it": approving(model)}})
        description = (await asked(made)).description
    assert "````json\n" in description
    assert "x```\\n\\n# Nothing" in description
    assert "characters more are not shown here" in description
