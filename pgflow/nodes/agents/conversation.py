"""One agent's conversation: the model is asked, tools are called, until there is an answer.

Replay: the loop goes by the records of what the model answered. Everything that may be another tomorrow was decided
when the model was asked, and stands there too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from pgflow.engine import agents as engine
from pgflow.engine.approvals import Asked, Place, Question, ask
from pgflow.errors import Fatal, PayloadError, StepFailed, TaskCancelled, TaskFailed
from pgflow.nodes.agents import ledger, models
from pgflow.nodes.agents.config import ANSWER, AgentConfig, ToolApproval, Voice, read
from pgflow.nodes.agents.judging import answer_of, cut, judged, loaded, parameters, shown
from pgflow.nodes.agents.ledger import Used
from pgflow.nodes.agents.tools import Catalogue, Entry, Route, Toolbox, access, delegated, recordable
from pgflow.nodes.approval import decision
from pgflow.nodes.base import Desk
from pgflow.nodes.secrets import Given
from pgflow.sdk.attempt import current
from pgflow.sdk.context import Context
from pgflow.sdk.op import Op
from pgflow.sdk.operations import Operation
from pgflow.sdk.step import step

MOST_DEPTH = 5
"""How many agents may stand one below the other."""
MAIN = "agent"


class AgentFailed(Fatal):
    """An agent came to no answer."""


class Conversation:
    """One agent that was asked something, and those that it hands over to.

    Args:
        ctx: its workflow.
        desk: what else there is to work with.
        given: the node's config, with its secrets sealed.
        config: the same, read.
    """

    def __init__(self, ctx: Context, desk: Desk, given: Given, config: AgentConfig) -> None:
        self._ctx, self._desk, self._given, self._config = ctx, desk, given, config
        self._account = int(given.more.get("account") or ctx.task_id)
        self._depth = int(given.more.get("depth") or 0)
        self._toolbox = Toolbox(ctx, desk, given)
        self._catalogue = Catalogue(desk, ctx._environment.tasks)
        self._entries: dict[str, list[Entry]] = {}
        self._speaker = str(given.more.get("agent") or MAIN)
        self._handed: str | None = None
        self._messages: list[ModelMessage] = []
        self._requests = self._calls = self._bad = 0
        self._used = engine.Spent(0, 0, 0, 0.0)

    async def come_to_an_answer(self) -> dict[str, Any]:
        """The whole conversation. Returns what the node gives.

        Raises:
            AgentFailed: there is no answer.
            StepFailed: a model was asked in vain, or may not be asked any more.
        """
        prompt = self._config.prompt
        self._say(UserPromptPart(prompt if isinstance(prompt, str) else orjson.dumps(prompt).decode()))
        while True:
            record = await self._asked()
            response = loaded(record["response"])
            self._messages.append(response)
            calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
            done, output = self._answer(response, calls, record["calls"])
            if done:
                return {
                    "output": output,
                    "agent": self._handed or self._speaker,
                    "tool_calls": self._calls,
                    "usage": ledger.told(self._used),
                }
            if calls:
                await self._have_called(calls, record["calls"])

    # ------------------------------------------------------------------------------------------------- asking the model

    def _voice(self) -> Voice:
        return self._config if self._handed is None else self._config.agents[self._handed]

    def _say(self, *parts: Any) -> None:
        self._messages.append(ModelRequest(parts=list(parts), instructions=self._voice().instructions))

    async def _asked(self) -> dict[str, Any]:
        if self._requests >= self._config.max_requests:
            raise AgentFailed(
                f"the agent has called its model {self._requests} times without an answer, and `max_requests` "
                "allows no more"
            )
        self._requests += 1
        record: dict[str, Any] = await self._ctx.step(step(self._request, name="model"))
        used = record["usage"]
        self._add(1, used["input_tokens"], used["output_tokens"], used["cost"])
        self._ctx.heartbeat(note=f"{self._used.requests} model calls, {self._used.tokens:,} tokens")
        return record

    def _add(self, requests: int, input_tokens: int, output_tokens: int, cost: float | None) -> None:
        have = self._used
        self._used = engine.Spent(
            have.requests + requests, have.input_tokens + input_tokens, have.output_tokens + output_tokens,
            round(have.cost + (cost or 0.0), 10),
        )  # fmt: skip

    async def _request(self) -> Any:
        """Done live alone: everything that is looked up here is recorded with the answer as far as anything follows."""
        desk, handed = self._desk, self._handed
        config = read(AgentConfig, await self._given.opened(desk.vault.reveal))
        voice = config if handed is None else config.agents[handed]
        where = self._access(config)
        ledger.priced(config, where.model)
        own, all_of_run = await desk.client._run(engine.spent(self._ctx.run_id, self._account))
        ledger.check("the agent", config.budget, own)
        ledger.check("the run", config.run_budget, all_of_run)
        entries = self._entries.get(handed or "")
        if entries is None:
            entries = self._entries[handed or ""] = await self._catalogue.entries(config, voice)
        response = await models.ask(
            where, self._messages, parameters(entries, config.output), config.settings, desk.outbound(),
            timeout=config.request_timeout, stream=config.stream, key=current().idempotency_key,
        )  # fmt: skip
        usage = response.usage
        used = Used(
            where.model, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens,
            ledger.cost(
                where.model, config.prices.get(where.model), usage.input_tokens, usage.output_tokens,
                usage.cache_read_tokens,
            ),
        )  # fmt: skip
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        record = {
            "response": ModelMessagesTypeAdapter.dump_python([response], mode="json")[0],
            "usage": asdict(used),
            "account": self._account,
            "agent": handed or self._speaker,
            "calls": [judged(call, entries, config.output) for call in calls],
        }
        return recordable(record, "what the model answered", self._ctx._replay.payload_limit)

    def _access(self, config: AgentConfig) -> models.Access:
        if self._handed is None:
            return models.Access(config.model, config.base_url, config.api_key)
        helper = config.agents[self._handed]
        inherited = access(config.model_dump(), {"model": helper.model} if helper.model else {})
        return models.Access(
            helper.model or config.model,
            helper.base_url or (config.base_url if "base_url" in inherited else None),
            helper.api_key or (config.api_key if "api_key" in inherited else None),
        )

    # ------------------------------------------------------------------------------------------------------- the answer

    def _answer(
        self, response: ModelResponse, calls: Sequence[ToolCallPart], judgements: Sequence[Mapping[str, Any]]
    ) -> tuple[bool, Any]:
        """Whether this is the answer, and which. A wrong one is asked for again."""
        text = "".join(part.content for part in response.parts if isinstance(part, TextPart)).strip()
        if response.finish_reason == "length" and not calls:
            raise AgentFailed(
                "the model's answer was cut off: it reached the most tokens that it may give (settings.max_tokens)"
            )
        if response.finish_reason == "content_filter":
            raise AgentFailed("the provider's content filter stood in the way of an answer")
        if self._config.output is None:
            if calls or text:
                return not calls, text
            return self._again("the answer is empty", UserPromptPart("Please answer."))
        for call, one in zip(calls, judgements, strict=True):
            if call.tool_name == ANSWER and one["problem"] is None:
                return True, call.args_as_dict()
        if any(call.tool_name == ANSWER for call in calls):
            self._count(
                next(one["problem"] for call, one in zip(calls, judgements, strict=True) if call.tool_name == ANSWER)
            )
            return False, None  # it is told so like the caller of any other tool
        if calls:
            return False, None
        value, problem = answer_of(text, self._config.output)
        if problem is None:
            return True, value
        return self._again(
            problem, UserPromptPart(f"Give the answer by calling {ANSWER}. This is no answer: {problem}")
        )

    def _again(self, problem: str, part: UserPromptPart) -> tuple[bool, Any]:
        self._count(problem)
        self._say(part)
        return False, None

    def _count(self, problem: str) -> None:
        self._bad += 1
        if self._bad > self._config.output_retries:
            raise AgentFailed(
                f"the model gave no answer of the form that is asked for, in {self._bad} times: {problem[:500]}"
            )

    # -------------------------------------------------------------------------------------------------------- its tools

    async def _have_called(self, calls: Sequence[ToolCallPart], judgements: Sequence[Mapping[str, Any]]) -> None:
        """All calls of one answer, beside each other."""
        ctx, handed = self._ctx, None
        told: dict[int, Any] = {}
        operations: dict[int, Op[Any]] = {}
        for number, (call, one) in enumerate(zip(calls, judgements, strict=True)):
            route: Route | None = one["route"]
            if one["problem"] is not None or route is None:
                told[number] = f"This call was not made: {one['problem']}"
            elif "handover" in route:
                told[number] = "Only one can be handed over to." if handed else f"{route['handover']} goes on."
                handed = handed or route["handover"]
            else:
                self._calls += 1
                operations[number] = Op(ctx._replay, "tool", self._call(call, route))
        given = await ctx._gather(list(operations.values()), None, "return") if operations else []
        for number, value in zip(operations, given, strict=True):
            if isinstance(value, BaseException):
                raise value
            told[number] = value
        self._handed = handed or self._handed
        self._say(*(ToolReturnPart(call.tool_name, cut(told[n]), call.tool_call_id) for n, call in enumerate(calls)))

    def _call(self, call: ToolCallPart, route: Route) -> Operation:
        """One call. Its keys are drawn now, in the order of the calls."""
        replay, name = self._ctx._replay, call.tool_name
        approval = self._config.approval
        asks = approval is not None and approval.covers(name)
        return self._called(
            call, route, replay.key(f"tool:{name}"), replay.key(f"approval:{name}") if asks else None, approval
        )

    def _called(
        self, call: ToolCallPart, route: Route, key: str, approval_key: str | None, approval: ToolApproval | None
    ) -> Operation:
        replay, args = self._ctx._replay, call.args_as_dict()
        if approval_key is not None and approval is not None:
            decided = yield from decision(replay, approval_key, self._asking(call, approval), self._desk.client._run)
            if decided["expired"]:
                return "Nobody has approved of this call in time, so it was not made."
            if not decided["approved"]:
                why = f": {decided['comment']}" if decided["comment"] else ""
                return f"{decided['by'] or 'Somebody'} did not approve of this call, so it was not made{why}"
        number = route["tool"]
        tool = self._voice().tools[number]
        try:
            if tool.agent is not None:
                return (yield from self._delegated(tool.agent, str(args["task"]), key))
            prefix = ("tools", number) if self._handed is None else ("agents", self._handed, "tools", number)
            return (yield from self._toolbox.operation(tool, prefix, route, args, key))
        except (TaskFailed, StepFailed) as error:
            return f"It failed: {error.error.get('message') or error}"
        except TaskCancelled as error:
            if replay.history.cancelling or replay.interrupted:
                raise
            return f"It was not done: {error}"
        except PayloadError as error:
            return f"This call was not made: {error.message}"

    def _delegated(self, name: str, task: str, key: str) -> Operation:
        if self._depth + 1 >= MOST_DEPTH:
            return f"It failed: {MOST_DEPTH} agents stand one below the other, and that is the most"
        more = {"account": self._account, "depth": self._depth + 1, "agent": name}
        found = yield from self._toolbox.agent(delegated(self._given, name, task, more), key)
        used = found["usage"]
        self._add(used["requests"], used["input_tokens"], used["output_tokens"], used["cost"])
        return found["output"]

    def _asking(self, call: ToolCallPart, approval: ToolApproval) -> Any:
        client, speaker = self._desk.client, self._handed or self._speaker

        async def put(place: Place) -> Asked:
            text = f"The agent `{speaker}` wants to call `{call.tool_name}` with\n\n{shown(call)}"
            title = f"Let {speaker} call {call.tool_name}?"
            question = Question(title, text, {}, approval.assignees, (), approval.timeout)
            run = await client.show(place.root_id)
            return await client._run(ask(place, str(run["name"]), question))

        return put
