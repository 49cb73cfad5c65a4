"""A server that speaks OpenAI's chat completions, on a real socket: it answers as a test says, and counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.outbound.servers import Request, respond, serving

KEY = "sk-test-9f8e7d6c5b4a"
Reply = Mapping[str, Any]
"""What is answered: see `says`, `calls`, `fails`."""
Script = Callable[[Mapping[str, Any]], Reply]
"""Makes an answer of the body of a request."""


def says(text: str | None, *, tokens: tuple[int, int] = (100, 10), finish: str = "stop") -> Reply:
    """An answer in words."""
    return {"message": {"role": "assistant", "content": text}, "tokens": tokens, "finish": finish}


def calls(*wanted: tuple[str, Mapping[str, Any] | str], tokens: tuple[int, int] = (100, 10)) -> Reply:
    """An answer that wants tools called: name and arguments."""
    made = [
        {
            "id": f"call_{name}_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": given if isinstance(given, str) else orjson.dumps(given).decode(),
            },
        }
        for number, (name, given) in enumerate(wanted)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    return {"message": message, "tokens": tokens, "finish": "tool_calls"}


def fails(status: int, message: str = "no", /, code: str | None = None, **headers: str) -> Reply:
    """A refusal."""
    return {"status": status, "error": {"message": message, "type": "error", "code": code}, "headers": headers}


def hangs() -> Reply:
    """No answer at all."""
    return {"hangs": True}


@dataclass
class ModelServer:
    """A running server.

    Attributes:
        url: what `base_url` is set to.
        bodies: what it was asked, in order.
        answered: how often it gave an answer that has to be paid for.
        keys: with which keys it was asked.
        heard: told of the Idempotency-Key of each request.
    """

    url: str = ""
    script: Script | Sequence[Reply] = ()
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: int = 0
    keys: set[str] = field(default_factory=set)
    heard: Callable[[str], None] = lambda _: None

    def config(self, **more: Any) -> dict[str, Any]:
        """Of an agent node that asks it."""
        return {"model": "openai-chat:gpt-4o-mini", "base_url": self.url, "api_key": KEY, "prompt": "Hello?", **more}

    def node(self, **more: Any) -> dict[str, Any]:
        """An agent node that asks it."""
        retry = {"max_attempts": 3, "base": 0.5, "jitter": False}
        return {"type": "agent", "config": self.config(**more), "retry": retry}

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        body = orjson.loads(request.body)
        self.bodies.append(body)
        self.heard(request.headers["idempotency-key"])
        self.keys.add(request.headers.get("authorization", "").removeprefix("Bearer "))
        reply = self.script(body) if callable(self.script) else self.script[min(len(self.bodies), len(self.script)) - 1]
        if "hangs" in reply:
            await asyncio.sleep(60)
        if "error" in reply:
            said = orjson.dumps({"error": reply["error"]})
            await respond(reply["status"], said, content_type="application/json", **reply["headers"])(request, writer)
            return
        self.answered += 1
        if body.get("stream"):
            await respond(200, _streamed(body, reply), content_type="text/event-stream")(request, writer)
            return
        made = _response if request.target.endswith("/responses") else _whole
        said = json.dumps(made(body, reply)).encode()
        await respond(200, said, content_type="application/json")(request, writer)


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


def _whole(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    choice = {"index": 0, "message": reply["message"], "finish_reason": reply["finish"]}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": body["model"],
        "choices": [choice], "usage": _usage(reply["tokens"]),
    }  # fmt: skip


def _response(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """The same as the responses API has it."""
    message, (sent, answered) = reply["message"], reply["tokens"]
    output: list[dict[str, Any]] = [
        {"type": "function_call", "id": f"fc_{n}", "call_id": call["id"], "status": "completed", **call["function"]}
        for n, call in enumerate(message.get("tool_calls", ()))
    ]
    if message["content"]:
        text = {"type": "output_text", "text": message["content"], "annotations": []}
        output.append({"type": "message", "id": "m_1", "role": "assistant", "status": "completed", "content": [text]})
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "model": body["model"],
        "status": "completed", "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": sent, "output_tokens": answered, "total_tokens": sent + answered, **details},
    }  # fmt: skip


def _streamed(body: Mapping[str, Any], reply: Reply) -> bytes:
    """The same in pieces: text word by word, the arguments of calls in two halves."""
    message, deltas = reply["message"], []
    words = (message.get("content") or "").split(" ")
    deltas += [{"role": "assistant", "content": word + " "} if word else {} for word in words]
    for number, call in enumerate(message.get("tool_calls", ())):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        first = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": arguments[:half]}}
        deltas += [
            {"tool_calls": [first]},
            {"tool_calls": [{"index": number, "function": {"arguments": arguments[half:]}}]},
        ]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": body["model"]}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reply["finish"]}]})
    chunks.append({**base, "choices": [], "usage": _usage(reply["tokens"])})
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@asynccontextmanager
async def modelling(*script: Reply, by: Script | None = None) -> AsyncIterator[ModelServer]:
    """A model server that gives these answers, one after the other (the last for ever), or those of a function."""
    model = ModelServer(script=by or script)
    async with serving(model.answer) as server:
        model.url = f"{server.url}/v1"
        yield model


def told(body: Mapping[str, Any]) -> list[str]:
    """What the tools gave, as the model was told in a request."""
    return [str(message["content"]) for message in body["messages"] if message["role"] == "tool"]
