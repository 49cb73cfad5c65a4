"""What a model is told of its tools and of the form of its answer, and what it answers is held against."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from pgflow.graph.inputs import input_problems
from pgflow.nodes.agents.config import ANSWER
from pgflow.nodes.agents.tools import Entry

MOST_TOLD = 100_000
"""Characters of what a tool gives that the model is told."""
MOST_SHOWN = 18_000
"""Characters of a call's arguments that people see who are to approve of it."""
_ANSWER_TEXT = "Give the final answer, in this form. Call it once, when nothing is left to be done."


def parameters(entries: Sequence[Entry], output: Mapping[str, Any] | None) -> ModelRequestParameters:
    """What a model is told.

    Args:
        entries: its tools.
        output: a JSON Schema of its answer; None: text.
    """
    tools = [
        ToolDefinition(name=entry.name, parameters_json_schema=dict(entry.schema), description=entry.description)
        for entry in entries
    ]
    if output is None:
        return ModelRequestParameters(function_tools=tools)
    said = output.get("description") or _ANSWER_TEXT
    answer = ToolDefinition(name=ANSWER, parameters_json_schema=dict(output), description=said, kind="output")
    return ModelRequestParameters(
        function_tools=tools, output_mode="tool", output_tools=[answer], allow_text_output=False
    )


def judged(call: ToolCallPart, entries: Sequence[Entry], output: Mapping[str, Any] | None) -> dict[str, Any]:
    """Which tool a call means, and what is wrong with the call."""
    try:
        args = call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return {"route": None, "problem": "the arguments are no JSON object"}
    if call.tool_name == ANSWER and output is not None:
        return {"route": None, "problem": _problem(output, args, "answer")}
    for entry in entries:
        if entry.name == call.tool_name:
            return {"route": entry.route, "problem": _problem(entry.schema, args, "arguments")}
    names = ", ".join(entry.name for entry in entries) or "none"
    return {"route": None, "problem": f"there is no tool {call.tool_name}; there are: {names}"}


def _problem(schema: Mapping[str, Any], value: Any, where: str) -> str | None:
    found = input_problems(schema, value, where)
    return "; ".join(f"{one.path}: {one.message}" for one in found[:10]) or None


def answer_of(text: str, schema: Mapping[str, Any]) -> tuple[Any, str | None]:
    """An answer that was given as text: its value, or what is wrong with it."""
    inner = text.removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        value = orjson.loads(inner)
    except orjson.JSONDecodeError:
        return None, "it is text, not JSON" if text else "it is empty"
    return value, _problem(schema, value, "answer")


def shown(call: ToolCallPart) -> str:
    """The arguments of a call as people see them who are to approve of it, in Markdown. The model has written them:
    they do not get out of their frame, and what is left out is told of."""
    text = orjson.dumps(call.args_as_dict(), option=orjson.OPT_INDENT_2).decode()
    frame = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    framed = f"{frame}json\n{text[:MOST_SHOWN]}\n{frame}"
    left = len(text) - MOST_SHOWN
    return framed if left <= 0 else f"{framed}\n\n**{left:,} characters more are not shown here.**"


def cut(value: Any) -> Any:
    """What a tool gave, as long as a model is told of it."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if len(text) <= MOST_TOLD:
        return value
    return f"{text[:MOST_TOLD]}\n... ({len(text) - MOST_TOLD:,} characters more)"


def loaded(stored: Mapping[str, Any]) -> ModelResponse:
    """An answer of a model, from its record."""
    (message,) = ModelMessagesTypeAdapter.validate_python([stored])
    assert isinstance(message, ModelResponse)
    return message
