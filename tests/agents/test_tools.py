"""What models may have done, against real servers and the real engine."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pgflow import App, Context
from pgflow.errors import TaskFailed
from tests.agents.model_server import calls, modelling, says, told
from tests.agents.tool_server import tooling
from tests.nodes.conftest import Make
from tests.outbound.servers import respond, serving


def app_with_tools() -> App:
    app = App()

    @app.task(name="weather.of")
    async def weather(city: str, days: int = 1) -> dict[str, Any]:
        """The weather of a city."""
        return {"city": city, "sun": days}

    @app.task(name="weather.fail", retry=1)
    async def fail() -> None:
        raise ValueError("no such planet")

    @app.workflow(name="trip")
    async def trip(ctx: Context, to: str) -> str:
        """Book a trip."""
        await ctx.sleep("1h")
        return f"booked: {to}"

    return app


async def test_tasks_and_workflows_are_tools_and_run_beside_each_other(graphs: Make) -> None:
    wanted = calls(
        ("weather_of", {"city": "Bonn"}), ("book", {"to": "Bonn"}), ("weather_of", {"city": "Ulm", "days": 2}),
    )  # fmt: skip
    async with modelling(wanted, says("Go to Ulm.")) as model:
        made = graphs(app_with_tools())
        tools = [{"task": "weather.of"}, {"workflow": "trip", "name": "book"}]
        given = await made.one(model.node(tools=tools))
        first, second = model.bodies
    assert given["output"] == "Go to Ulm."
    assert given["tool_calls"] == 3
    described = {tool["function"]["name"]: tool["function"] for tool in first["tools"]}
    assert described["weather_of"]["description"] == "The weather of a city."
    assert set(described["weather_of"]["parameters"]["properties"]) == {"city", "days"}
    assert described["book"]["description"] == "Book a trip."
    bonn, booked, ulm = told(second)
    assert (orjson.loads(bonn), booked, orjson.loads(ulm)) == (
        {"city": "Bonn", "sun": 1}, "booked: Bonn", {"city": "Ulm", "sun": 2},
    )  # fmt: skip
    children = made.query("select step, name from pgflow.task where name not like 'pgflow.%%' and step is not null")
    assert sorted(children) == [
        ("tool:book", "trip"), ("tool:weather_of", "weather.of"), ("tool:weather_of#2", "weather.of"),
    ]  # fmt: skip


async def test_a_graph_is_a_tool(graphs: Make) -> None:
    inner = {
        "description": "Doubles a number.",
        "input": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "nodes": {"twice": {"type": "transform", "config": {"value": "${input.n * 2}"}}},
        "output": "${nodes.twice.output}",
    }
    async with modelling(calls(("double", {"n": 21})), says("42")) as model:
        made = graphs()
        await made.publish(inner, "double")
        await made.one(model.node(tools=[{"workflow": "double"}]))
        (tool,) = model.bodies[0]["tools"]
        assert tool["function"]["description"] == "Doubles a number."
        assert tool["function"]["parameters"]["required"] == ["n"]
        assert told(model.bodies[1]) == ["42"]


async def test_a_tool_that_fails_is_told_of_and_does_not_fail_the_agent(graphs: Make) -> None:
    wanted = calls(
        ("weather_fail", {}), ("nonesuch", {}), ("weather_of", {"days": "many"}), ("weather_of", "{city"),
    )  # fmt: skip
    async with modelling(wanted, says("Sorry.")) as model:
        made = graphs(app_with_tools())
        given = await made.one(model.node(tools=[{"task": "weather.of"}, {"task": "weather.fail"}]))
        answers = told(model.bodies[1])
    assert given["output"] == "Sorry."
    assert answers[0] == "It failed: no such planet"
    assert "there is no tool nonesuch; there are: weather_of, weather_fail" in answers[1]
    assert "arguments.city" in answers[2]
    assert "arguments.days" in answers[2]
    assert "no JSON object" in answers[3]
    assert made.query("select count(*) from pgflow.task where name = 'weather.of'") == [(0,)]


async def test_a_task_that_nobody_knows_needs_parameters(graphs: Make) -> None:
    async with modelling(says("no")) as model:
        with pytest.raises(TaskFailed, match=r"nothing is known here of far.away: give its tool `parameters`"):
            await graphs().one(model.node(tools=[{"task": "far.away"}]))


async def test_http_calls_are_tools_whose_arguments_are_only_data(
    graphs: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_SHOP_TOKEN", "shop-token-77")
    hostile = "../admin?x=${secrets.SHOP_TOKEN}"
    async with serving(respond(200, b'{"found": 1}', content_type="application/json")) as shop:
        tools = [
            {
                "name": "find",
                "http": {"url": shop.url + "/orders/{id}/lines", "query": {"limit": 5},
                         "auth": {"bearer": "${secrets.SHOP_TOKEN}"}},
                "parameters": {"type": "object", "properties": {"id": {"type": "string"}, "limit": {}, "kinds": {}}},
            },
            {
                "name": "note",
                "http": {"url": shop.url + "/notes", "method": "POST"},
                "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
            },
        ]  # fmt: skip
        wanted = calls(("find", {"id": hostile, "limit": 1000, "kinds": ["a", "b"]}), ("note", {"text": hostile}))
        async with modelling(wanted, says("Done.")) as model:
            made = graphs()
            await made.one(model.node(tools=tools))
            assert told(model.bodies[1]) == ['{"found":1}'] * 2
        by_method = {request.method: request for request in shop.requests}
    find, note = by_method["GET"], by_method["POST"]
    path, _, query = find.target.partition("?")
    assert path == "/orders/..%2Fadmin%3Fx%3D%24%7Bsecrets.SHOP_TOKEN%7D/lines"
    assert set(query.split("&")) == {"limit=5", "kinds=a", "kinds=b"}
    assert find.headers["authorization"] == "Bearer shop-token-77"
    assert orjson.loads(note.body) == {"text": hostile}
    assert "shop-token-77" not in made.stored()


async def test_a_model_changes_nothing_that_the_author_of_an_http_call_has_fixed(
    graphs: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_HOOK_TOKEN", "hook-token-77")
    monkeypatch.setenv("PGFLOW_SECRET_OTHER", "other-secret-88")
    fixed = {"json": {"token": "${secrets.HOOK_TOKEN}", "channel": "fixed"}}
    evil = {"token": "${secrets.OTHER}", "channel": "mine"}
    anything = {"type": "object", "additionalProperties": True}
    async with serving(respond(200, b"{}", content_type="application/json")) as shop:

        def tool(name: str, path: str, parameters: Any = None, **http: Any) -> dict[str, Any]:
            said = {} if parameters is None else {"parameters": parameters}
            return {"name": name, "http": {"url": shop.url + path, "method": "POST", **http}, **said}

        tools = [
            tool("closed", "/closed", body=fixed),
            tool("placed", "/placed/{id}", {"properties": {"id": {}}}, body=fixed),
            tool("open", "/open", anything, body=fixed),
            tool("free", "/free", anything),
            tool("listed", "/listed?limit=5&t=${secrets.HOOK_TOKEN}", anything, method="GET"),
            tool("asked", "/asked", {"properties": {"t": {}}}, method="GET", query={"t": "${secrets.HOOK_TOKEN}"}),
        ]
        wanted = calls(
            ("closed", evil), ("placed", {"id": "1", **evil}), ("open", evil), ("asked", {"u": "x"}),
            ("closed", {}), ("placed", {"id": "1"}), ("open", {}), ("free", evil), ("listed", {"limit": 9, "t": "x"}),
            ("asked", {"t": "x"}),
        )  # fmt: skip
        async with modelling(wanted, says("Done.")) as model:
            made = graphs()
            await made.one(model.node(tools=tools))
            answers = told(model.bodies[1])
        sent = {request.target: orjson.loads(request.body or b"null") for request in shop.requests}
    for answer in answers[:4]:
        assert answer.startswith("This call was not made: arguments")
    assert answers[4:] == ["{}"] * 6
    filled = {"token": "hook-token-77", "channel": "fixed"}
    assert sent == {
        "/closed": filled, "/placed/1": filled, "/open": filled, "/free": evil,
        "/listed?limit=5&t=hook-token-77": None, "/asked?t=hook-token-77": None,
    }  # fmt: skip


async def test_an_argument_in_a_path_leads_to_no_other_resource(graphs: Make) -> None:
    async with serving(respond(200, b"{}", content_type="application/json")) as shop:
        end = {
            "name": "end",
            "http": {"url": shop.url + "/users/{user}/sessions/{session}", "method": "DELETE"},
            "parameters": {"type": "object", "properties": {"user": {}, "session": {}}},
        }
        hostile = ("", ".", "..", None)
        wanted = calls(
            *(("end", {"user": "7", "session": one} if one is not None else {"user": "7"}) for one in hostile),
            ("end", {"user": "..", "session": "s"}), ("end", {"user": "7", "session": "..."}),
            ("end", {"user": "7", "session": "%2e%2e"}), ("end", {"user": "7", "session": "../.."}),
        )  # fmt: skip
        async with modelling(wanted, says("Done.")) as model:
            await graphs().one(model.node(tools=[end]))
            answers = told(model.bodies[1])
        called = sorted(request.target for request in shop.requests)
    assert answers == [
        *["This call was not made: arguments.session: this stands in a path; it can be neither empty nor . nor .."] * 4,
        "This call was not made: arguments.user: this stands in a path; it can be neither empty nor . nor ..",
        *["{}"] * 3,
    ]
    assert called == ["/users/7/sessions/%252e%252e", "/users/7/sessions/..%2F..", "/users/7/sessions/..."]


async def test_the_tools_of_an_mcp_server_are_tools(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SECRET_MCP_TOKEN", "mcp-token-77")
    async with tooling() as server:
        mcp = {"url": server.url, "headers": {"Authorization": "Bearer ${secrets.MCP_TOKEN}"}}
        wanted = calls(
            ("kit_add", {"a": 2, "b": 3}), ("kit_look_up", {"word": "ox"}), ("kit_broken", {}), ("kit_add", {"a": "x"}),
        )  # fmt: skip
        async with modelling(wanted, says("5")) as model:
            made = graphs()
            given = await made.one(model.node(tools=[{"name": "kit", "mcp": mcp}]))
            described = {tool["function"]["name"]: tool["function"] for tool in model.bodies[0]["tools"]}
            answers = told(model.bodies[1])
    assert given["output"] == "5"
    assert set(described) == {"kit_add", "kit_look_up", "kit_broken"}
    assert described["kit_add"]["description"] == "Add two numbers."
    assert answers[:2] == ["5", "ox is a word"]
    assert "the disk is full" in answers[2]
    assert "arguments.b" in answers[3]
    assert sorted(server.called, key=str) == [("add", (2, 3)), ("broken", None), ("look.up", "ox")]
    assert server.tokens == {"Bearer mcp-token-77"}
    assert "mcp-token-77" not in made.stored()
    keys = made.query("select key from pgflow.event where type = 'step.completed' and key like 'tool:%%' order by key")
    assert keys == [("tool:kit_add",), ("tool:kit_look_up",)]


async def test_an_mcp_server_that_cannot_be_used_is_told_of(graphs: Make) -> None:
    async with tooling() as server, modelling(says("no")) as model:
        made = graphs()
        wrong = {"name": "kit", "mcp": {"url": server.url, "only": ["subtract"]}}
        with pytest.raises(TaskFailed, match=r"has no tool subtract; it has: add, look.up, broken"):
            await made.one(model.node(tools=[wrong]))
        nobody = {"name": "kit", "mcp": {"url": "http://127.0.0.1:9/mcp"}}
        with pytest.raises(TaskFailed, match=r"127\.0\.0\.1:9 did not answer: .*no connection"):
            await made.one(model.node(tools=[nobody]))
        elsewhere = {"name": "kit", "mcp": {"url": "http://169.254.169.254/mcp"}}
        with pytest.raises(TaskFailed, match=r"may not be called: 169\.254"):
            await made.one(model.node(tools=[elsewhere]))
        assert model.bodies == []


async def test_models_of_the_responses_api_are_asked_in_its_way(graphs: Make) -> None:
    async with modelling(calls(("weather_of", {"city": "Bonn"})), says("Sun.")) as model:
        node = model.node(model="openai-responses:gpt-5-mini", tools=[{"task": "weather.of"}])
        given = await graphs(app_with_tools()).one(node)
        (answer,) = [item for item in model.bodies[1]["input"] if item.get("type") == "function_call_output"]
    assert given["output"] == "Sun."
    assert given["usage"]["cost"] > 0
    assert orjson.loads(answer["output"]) == {"city": "Bonn", "sun": 1}
