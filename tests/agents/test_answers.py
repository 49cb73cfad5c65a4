"""What an agent is asked and answers, against a real server."""

from __future__ import annotations

import pytest

from pgflow.errors import TaskFailed
from tests.agents.model_server import KEY, calls, fails, hangs, modelling, says
from tests.nodes.conftest import Make

SECRET = "sk-secret-11aa22bb33cc"


async def test_an_agent_gives_what_the_model_says_and_what_that_cost(graphs: Make) -> None:
    async with modelling(says("Hi, Ann.", tokens=(1_000, 200))) as model:
        given = await graphs().one(model.node(instructions="Greet.", prompt="I am ${input.name}."), name="Ann")
        (body,) = model.bodies
    assert given == {
        "output": "Hi, Ann.",
        "agent": "agent",
        "tool_calls": 0,
        "usage": {"requests": 1, "input_tokens": 1_000, "output_tokens": 200, "cost": 0.00027},
    }
    assert [message["content"] for message in body["messages"]] == ["Greet.", "I am Ann."]
    assert body["model"] == "gpt-4o-mini"
    assert model.keys == {KEY}


async def test_a_prompt_that_is_no_text_is_sent_as_json(graphs: Make) -> None:
    async with modelling(says("ok")) as model:
        await graphs().one(model.node(prompt={"rows": "${input.rows}"}), rows=[1, 2])
        assert model.bodies[0]["messages"][-1]["content"] == '{"rows":[1,2]}'


async def test_an_answer_can_be_streamed(graphs: Make) -> None:
    async with modelling(calls(("final_result", {"n": 7}))) as model:
        node = model.node(stream=True, output={"type": "object", "properties": {"n": {"type": "integer"}}})
        given = await graphs().one(node)
        assert model.bodies[0]["stream"] is True
    assert given["output"] == {"n": 7}
    assert given["usage"]["input_tokens"] == 100


OUTPUT = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "score": {"type": "integer", "minimum": 0, "maximum": 10}},
    "required": ["title", "score"],
    "additionalProperties": False,
}


async def test_an_answer_that_does_not_fit_its_schema_is_asked_for_again(graphs: Make) -> None:
    script = [
        says("A fine title, 7 points."),
        calls(("final_result", {"title": "A", "score": 11})),
        calls(("final_result", {"title": "A", "score": 7})),
    ]
    async with modelling(*script) as model:
        given = await graphs().one(model.node(output=OUTPUT))
        first, second, third = model.bodies
    assert given["output"] == {"title": "A", "score": 7}
    assert given["usage"]["requests"] == 3
    assert [tool["function"]["name"] for tool in first["tools"]] == ["final_result"]
    assert "it is text, not JSON" in second["messages"][-1]["content"]
    assert "answer.score" in third["messages"][-1]["content"]


async def test_json_in_the_text_counts_as_an_answer(graphs: Make) -> None:
    async with modelling(says('```json\n{"title": "A", "score": 7}\n```')) as model:
        assert (await graphs().one(model.node(output=OUTPUT)))["output"] == {"title": "A", "score": 7}


async def test_a_model_that_never_gives_a_fitting_answer_is_asked_so_often_and_no_more(graphs: Make) -> None:
    async with modelling(calls(("final_result", {"title": 3}))) as model:
        with pytest.raises(TaskFailed, match=r"no answer of the form that is asked for, in 3 times: .*answer.title"):
            await graphs().one(model.node(output=OUTPUT))
        assert model.answered == 3


async def test_an_agent_calls_its_model_so_often_and_no_more(graphs: Make) -> None:
    async with modelling(calls(("nothing", {}))) as model:
        with pytest.raises(TaskFailed, match="4 times without an answer"):
            await graphs().one(model.node(max_requests=4))
        assert model.answered == 4


HOPELESS = [
    (fails(401, f"Incorrect API key provided: {SECRET}", "invalid_api_key"), r"does not let us in \(HTTP 401\)"),
    (fails(404, "The model does not exist", "model_not_found"), r"there is no openai-chat:gpt-4o-mini at .*404"),
    (fails(400, "temperature is too hot"), "refused the request.*temperature is too hot"),
    (fails(429, "You exceeded your current quota", "insufficient_quota"), "asks for money"),
    (says("a long stor", finish="length"), "was cut off"),
    (says(None, finish="content_filter"), "content filter"),
]


async def test_what_cannot_succeed_fails_at_once_and_says_why(graphs: Make) -> None:
    made = graphs()
    for reply, said in HOPELESS:
        async with modelling(reply) as model:
            with pytest.raises(TaskFailed, match=said):
                await made.one(model.node(api_key="${secrets.MODEL_KEY}"))
            assert len(model.bodies) == 1
            assert model.keys == {SECRET}
    assert SECRET not in made.stored()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_MODEL_KEY", SECRET)


async def test_a_model_that_is_busy_is_asked_again_when_it_says(graphs: Make) -> None:
    async with modelling(fails(429, "slow down", retry_after="90"), fails(503, "later"), says("Here.")) as model:
        made = graphs()
        begun = await made.engine.now()
        assert (await made.one(model.node()))["output"] == "Here."
        assert 90 < (await made.engine.now() - begun).total_seconds() < 120
    retried = made.query(
        "select key, data->'error'->>'message' from pgflow.event where type = 'step.retried' order by id"
    )
    assert [key for key, _ in retried] == ["model", "model"]
    assert "asked too often (HTTP 429): slow down" in retried[0][1]


async def test_a_model_that_does_not_answer_in_time_is_asked_again_and_given_up(graphs: Make) -> None:
    made = graphs()
    async with modelling(hangs()) as model:
        with pytest.raises(TaskFailed, match=r"did not answer within 0.2 s"):
            await made.one(model.node(request_timeout=0.2))
    # Of a slow machine not every request has come to the model within that time.
    assert made.query("select count(*) from pgflow.event where type = 'step.retried'") == [(2,)]


async def test_only_allowed_addresses_are_called(graphs: Make) -> None:
    async with modelling(says("no")) as model:
        with pytest.raises(TaskFailed, match=r"(?s)may not be called: .*127\.0\.0\.1.*PGFLOW_OUTBOUND_ALLOW"):
            await graphs(None, outbound_allow=[]).one(model.node())
        assert model.bodies == []


async def test_a_model_that_cannot_be_asked_is_told_of(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = graphs()
    async with modelling(says("no")) as model:
        for config, said in (
            ({"model": "gpt-4o"}, "write provider:model"),
            ({"model": "nonesuch:x", "base_url": None}, "no provider 'nonesuch'"),
            ({"model": "groq:x"}, "`base_url` is for"),
            ({"model": "groq:x", "base_url": None}, r"package for groq is not installed .*pydantic-ai-slim\[groq\]"),
            ({"model": "openai:gpt-5", "base_url": None, "api_key": None}, "OPENAI_API_KEY"),
        ):
            with pytest.raises(TaskFailed, match=said):
                await made.one(model.node(**config))
        assert model.bodies == []


async def test_a_key_of_the_environment_is_not_sent_to_another_server(
    graphs: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-operators-own")
    async with modelling(says("Hi.")) as model:
        await graphs().one(model.node(api_key=None))
        assert model.keys == {"none"}


async def test_what_a_database_cannot_hold_does_not_cost_the_answer(graphs: Make) -> None:
    async with modelling(says("a\0b \ud83d c")) as model:
        given = await graphs().one(model.node())
        assert model.answered == 1
    assert given["output"] == "a\ufffdb \ufffd c"


async def test_an_answer_that_is_too_big_to_be_recorded_fails_the_node(graphs: Make) -> None:
    async with modelling(says("x" * 2_000_000)) as model:
        with pytest.raises(TaskFailed, match="what the model answered cannot be recorded"):
            await graphs().one(model.node())
        assert model.answered == 1


async def test_an_agent_that_waits_is_cancelled_with_its_run(graphs: Make) -> None:
    async with modelling(calls(("gone", {"to": "bed"}))) as model:
        made = graphs()
        inner = {"nodes": {"rest": {"type": "delay", "config": {"time": "30d"}}}}
        await made.publish(inner, "gone")
        run = await made.start({"nodes": {"it": model.node(tools=[{"workflow": "gone"}])}})
        await made.engine.settle()
        await (await made.engine.own_client()).cancel(run)
        await made.engine.drive()
        assert model.answered == 1
    assert made.query("select distinct state::text from pgflow.task_state") == [("cancelled",)]
