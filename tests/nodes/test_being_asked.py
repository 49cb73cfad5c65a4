"""Who is asked is told: by mail and by webhook, from real servers' point of view."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.nodes.conftest import Graphs, Make
from tests.outbound.mailbox import mailbox
from tests.outbound.servers import serving

ASKING = {
    "nodes": {
        "ask": {
            "type": "approval",
            "config": {
                "title": "Publish ${input.day}?",
                "assignees": ["ann"],
                "escalation": [{"after": "1d", "assignees": ["bob"]}, {"after": "2d", "assignees": ["cy", "dee"]}],
                "timeout": "3d",
            },
        },
    },
    "output": "${nodes.ask.output.by}",
}


def told(made: Graphs, run: int) -> list[tuple[Any, ...]]:
    return made.query(
        "select type::text, key, data->'approval'->'assignees' from pgflow.event"
        " where root_id = %s and type::text like 'approval.%%' order by id",
        run,
    )


async def test_a_question_and_each_escalation_is_an_event(graphs: Make) -> None:
    made = graphs()
    run = await made.start(ASKING, day="May 1")
    await made.engine.settle()
    assert told(made, run) == [("approval.requested", "ask", ["ann"])]
    await made.engine.advance("25h")
    assert told(made, run)[1:] == [("approval.escalated", "ask", ["bob"])]
    await made.engine.advance("25h")
    assert told(made, run)[2:] == [("approval.escalated", "ask", ["cy", "dee"])]
    (question,) = await made.engine.client.approvals.list(run=run)
    assert [set(one) for one in question.escalations] == [{"at", "assignees"}] * 2
    await made.engine.client.approvals.decide(question.id, True, actor="dee")
    assert await made.engine.result(run) == "dee"


async def test_what_is_decided_is_not_escalated(graphs: Make) -> None:
    made = graphs()
    document = {**ASKING, "nodes": {**ASKING["nodes"], "rest": {"type": "delay", "config": {"time": "5d"}}}}  # type: ignore[dict-item]
    run = await made.start(document, day="May 1")
    await made.engine.advance("25h")
    (question,) = await made.engine.client.approvals.list(run=run)
    await made.engine.client.approvals.decide(question.id, False, actor="ann")
    assert await made.engine.result(run) == "ann"
    assert len(told(made, run)) == 2


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_escalation_is_told_once_whenever_the_worker_dies(graphs: Make, moment: str) -> None:
    made = graphs()
    left = 0

    def watch(executor: Any, now: str, entries: Any) -> None:
        nonlocal left
        left -= now == moment and not executor.dead
        if left == 0 and now == moment and not executor.dead:
            raise executor.die(entries, sent=moment == "after")

    made.engine.watch = watch
    for commit in range(1, 30):
        left = commit
        run = await made.start(ASKING, day="May 1")
        await made.engine.advance("25h")
        (question,) = await made.engine.client.approvals.list(run=run)
        await made.engine.client.approvals.decide(question.id, True, actor="bob")
        assert await made.engine.result(run) == "bob"
        assert [kind for kind, *_ in told(made, run)] == ["approval.requested", "approval.escalated"]
        if left > 0:  # there were fewer
            break
    assert 3 < commit < 29


async def test_people_are_told_by_mail_and_programs_by_a_webhook(graphs: Make) -> None:
    async with mailbox() as box, serving() as server:
        made = graphs(smtp_url=f"smtp://127.0.0.1:{box.port}", mail_from="pgflow@example.org")
        subscriptions = made.engine.client.subscriptions
        await subscriptions.create("people", "mailto:desk@example.com", types=["approval.*"])
        await subscriptions.create("programs", server.url, types=["approval.requested"])
        run = await made.start(ASKING, day="May 1")
        await made.engine.settle()
        (question,) = await made.engine.client.approvals.list(run=run)
        (letter,) = box.letters
        assert letter["To"] == "desk@example.com"
        assert letter["Subject"] == f"[pgflow] graph asks for approval (run {run})"
        lines = letter.get_content().splitlines()
        assert "    Publish May 1?" in lines
        assert "asked: ann" in lines
        assert f"decide: pgflow approval approve {question.id}, or reject {question.id}" in lines
        (request,) = server.requests
        data = orjson.loads(request.body)["data"]
        assert data["approval"] == {"id": question.id, "title": "Publish May 1?", "assignees": ["ann"]}
        assert (data["key"], data["state"], data["due_at"] is not None) == ("ask", "waiting", True)
        await made.engine.advance("25h")
        assert "asked: bob" in box.letters[1].get_content().splitlines()
        assert len(server.requests) == 1
