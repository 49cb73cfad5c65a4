"""The node type `agent`."""

from __future__ import annotations

from typing import Any, ClassVar

from pgflow.nodes.agents.config import AgentConfig, read
from pgflow.nodes.agents.extra import brought
from pgflow.nodes.base import Desk, Durable
from pgflow.nodes.secrets import Given
from pgflow.sdk.context import Context


class Agent(Durable[AgentConfig]):
    """Has a model do something."""

    name: ClassVar = "agent"
    title: ClassVar = "Agent"
    description: ClassVar = (
        "Asks a model, has the tools called that it wants called, and gives {output, agent, tool_calls, usage}. Each "
        "answer of the model and each result of a tool is recorded, so that nothing which was paid for is asked for "
        "twice. Workers need the extra: pip install 'pgflow-engine[agents]'."
    )
    config: ClassVar = AgentConfig
    timeout: ClassVar = 3600.0
    example: ClassVar = {
        "type": "agent",
        "config": {
            "model": "openai:gpt-5-mini",
            "api_key": "${secrets.OPENAI_API_KEY}",
            "instructions": "You answer customers. Look up their order before you say anything of it.",
            "prompt": "${input.question}",
            "tools": [
                {"task": "orders.find"},
                {"task": "orders.refund", "description": "Pays money back."},
                {"mcp": {"url": "https://tools.example.com/mcp"}, "name": "shop"},
            ],
            "approval": {"tools": ["orders_refund"], "assignees": ["desk@example.com"], "timeout": "1d"},
            "output": {
                "type": "object",
                "properties": {"answer": {"type": "string"}, "refunded": {"type": "boolean"}},
                "required": ["answer", "refunded"],
            },
            "budget": {"tokens": 50_000, "cost": 0.2},
        },
    }

    async def conduct(self, ctx: Context, desk: Desk, given: Given) -> Any:
        """Ask, and have tools called, until there is an answer."""
        config = read(AgentConfig, given.config)
        conversation = await brought("conversation")
        return await conversation.Conversation(ctx, desk, given, config).come_to_an_answer()
