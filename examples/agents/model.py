"""A model to try the example with, that costs nothing: it speaks OpenAI's chat completions and goes by a script.

    python examples/agents/model.py

As the writer it looks the topic up, writes down what it finds, and makes one thing up. As the checker it looks the
topic up too, and finds that. It ends with Ctrl-C.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

PORT = 8791
MADE_UP = "There are more of them on the moon than on earth."

Body = dict[str, Any]
Heard = Callable[[str], None]


def answer(messages: list[Body]) -> tuple[str | None, list[tuple[str, Body]]]:
    """What a model says to this conversation: text, or tools that it wants called."""
    who, asked = messages[0]["content"], messages[1]["content"]
    found = [json.loads(message["content"]) for message in messages if message["role"] == "tool"]
    if who.startswith("You summarise"):
        return f"In short: {asked.split('. ')[0].rstrip('.')}.", []
    if who.startswith("You check"):
        given = json.loads(asked)
        if not found:
            return None, [("agents_look_up", {"topic": given["topic"]})]
        return None, [("final_result", {"wrong": [claim for claim in given["claims"] if claim not in found[0]]})]
    topic = asked.removeprefix("Write three to six sentences about ").rstrip(".")
    if not found:
        return None, [("agents_look_up", {"topic": topic})]
    return None, [("final_result", {"title": f"All about {topic}", "claims": [*found[0], MADE_UP]})]


def completion(body: Body) -> Body:
    """The same as chat completions have it. A token is four characters here."""
    text, wanted = answer(body["messages"])
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(wanted)
    ]
    message: Body = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    sent, said = len(json.dumps(body["messages"])) // 4, len(json.dumps(message)) // 4
    return {
        "id": "chatcmpl-demo",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said},
    }


@contextmanager
def served(heard: Heard, port: int = 0, seconds: float = 0.0) -> Iterator[str]:
    """Serve it from the loopback interface. Gives the URL that a model's `base_url` is set to.

    Args:
        heard: told of each request, by its Idempotency-Key: who calls, and for which step.
        port: where; any that is free unless given.
        seconds: how long it takes to think.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard(self.headers.get("idempotency-key", ""))
            time.sleep(seconds)
            said = json.dumps(completion(body)).encode()
            with suppress(ConnectionError):  # a worker that died does not listen any more
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with served(lambda key: print("asked by", key, flush=True), PORT, seconds=1.0) as url:
        print("a model that goes by a script:", url, flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()
