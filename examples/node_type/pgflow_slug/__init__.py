"""Two node types: one that the run does itself, one that a worker does. Copy what you need."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, ClassVar

from pydantic import Field

from pgflow.graph.document import Retry
from pgflow.nodes.base import Config, Desk, Flow, Scene, Work, at_once
from pgflow.nodes.calling import call, check
from pgflow.sdk.operations import Operation


class SlugConfig(Config):
    """What is made a slug of. Each field needs a description: the form and the documentation show it."""

    text: str = Field(description="Any text.")
    longest: int = Field(default=80, ge=1, le=200, description="How many characters it may have.")


class Slug(Flow[SlugConfig]):
    """A node that only computes is done by the run itself: it costs no worker and no wait."""

    name: ClassVar = "slug"
    title: ClassVar = "Slug"
    description: ClassVar = "Makes a name for a URL out of any text."
    group: ClassVar = "Text"
    config: ClassVar = SlugConfig
    example: ClassVar = {"type": "slug", "config": {"text": "${input.title}"}}

    def operation(self, scene: Scene, config: SlugConfig) -> Operation:
        """What it gives is recorded under the node's name, so a replay does not compute it again."""
        return at_once(lambda: scene.replay.decide(scene.name, lambda: _slug(config)))


def _slug(config: SlugConfig) -> str:
    plain = unicodedata.normalize("NFKD", config.text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: config.longest].rstrip("-")


class LineCountConfig(Config):
    """Whose lines are counted."""

    url: str = Field(description="A text on a server.")
    token: str | None = Field(default=None, description="A bearer token, as in ${secrets.TOKEN}.")


class LineCount(Work[LineCountConfig]):
    """A node that talks to the outside is done by a worker: with retries, a time-out, and after a crash again."""

    name: ClassVar = "line_count"
    title: ClassVar = "Line count"
    description: ClassVar = "Counts the lines of a text on a server."
    group: ClassVar = "Text"
    config: ClassVar = LineCountConfig
    retry: ClassVar = Retry(max_attempts=3)
    timeout: ClassVar = 60.0
    example: ClassVar = {"type": "line_count", "config": {"url": "https://example.com/robots.txt"}}

    async def work(self, desk: Desk, config: LineCountConfig) -> dict[str, Any]:
        """What it returns is the node's output. Any error is tried again; `Fatal` is not."""
        headers = {"authorization": f"Bearer {config.token}"} if config.token else {}
        reply = await call(desk, "GET", config.url, headers=headers)
        check(reply)
        return {"lines": len(reply.text.splitlines()), "seconds": round(reply.seconds, 3)}
