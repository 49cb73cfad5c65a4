"""Approval nodes, and deciding: in the database, by the clients, with races that are made to happen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pgflow.engine import approvals as engine
from pgflow.engine.approvals import SIGNAL
from pgflow.errors import ArgumentError, NotFound
from pgflow.nodes.approval import Approval
from pgflow.sdk.registry.approvals import AlreadyDecided, FormError, NotYours
from tests.nodes.conftest import Graphs, Make

FORM = {
    "type": "object",
    "properties": {"edition": {"enum": ["morning", "evening"]}, "copies": {"type": "integer", "default": 100}},
    "required": ["edition"],
    "additionalProperties": False,
}


def document(**config: Any) -> Mapping[str, Any]:
    return {
        "nodes": {
            "ask": {"type": "approval", "config": {"title": "Publish ${input.day}?", **config}},
            "yes": {"type": "transform", "config": {"value": "published by ${nodes.ask.output.by}"}},
            "no": {"type": "transform", "config": {"value": "not published"}},
            "late": {"type": "transform", "config": {"value": "nobody cared"}},
        },
        "edges": [
            {"from": "ask", "to": "yes", "branch": "approved"},
            {"from": "ask", "to": "no", "branch": "rejected"},
            {"from": "ask", "to": "late", "branch": "expired"},
        ],
        "output": {
            "ask": "${nodes.ask.output}",
            "done": "${[nodes.yes.output, nodes.no.output, nodes.late.output].filter(o, o != null)}",
        },
    }


async def asked(made: Graphs, **config: Any) -> tuple[int, int]:
    """A run that waits, and its question."""
    run = await made.start(document(**config), day="May 1")
    await made.engine.settle()
    (question,) = await made.engine.client.approvals.list(run=run)
    return run, question.id


async def test_a_question_is_asked_and_approved(graphs: Make) -> None:
    made = graphs()
    run, id = await asked(made, form=FORM, description="All of it.", assignees=["ann", "desk"])
    approvals = made.engine.client.approvals
    question = await approvals.get(id)
    assert (question.title, question.description, question.node, question.workflow) == (
        "Publish May 1?", "All of it.", "ask", "graph",
    )  # fmt: skip
    assert (question.run_id, question.form, question.assignees, question.state) == (
        run,
        FORM,
        ["ann", "desk"],
        "pending",
    )
    done = await approvals.decide(id, True, form={"edition": "morning"}, comment="go", actor="ann")
    assert (done.state, done.decided_by, done.answer, done.comment) == (
        "approved", "ann", {"edition": "morning", "copies": 100}, "go",
    )  # fmt: skip
    output = await made.engine.result(run)
    assert output["done"] == ["published by ann"]
    at = output["ask"].pop("at")
    assert at
    assert output["ask"] == {
        "approved": True, "by": "ann", "form": {"edition": "morning", "copies": 100}, "comment": "go", "expired": False,
    }  # fmt: skip
    assert await approvals.list() == []


async def test_a_question_is_rejected_without_its_form(graphs: Make) -> None:
    made = graphs()
    run, id = await asked(made, form=FORM)
    await made.engine.client.approvals.decide(id, False, actor="bob", comment="not yet")
    output = await made.engine.result(run)
    assert output["done"] == ["not published"]
    assert (output["ask"]["approved"], output["ask"]["form"], output["ask"]["comment"]) == (False, None, "not yet")


async def test_nobody_decides_twice(graphs: Make) -> None:
    made = graphs()
    run, id = await asked(made)
    approvals = made.engine.client.approvals
    answers = await asyncio.gather(
        *(approvals.decide(id, n % 2 == 0, actor=f"p{n}") for n in range(6)), return_exceptions=True
    )
    (done,) = [one for one in answers if not isinstance(one, BaseException)]
    assert all(isinstance(one, AlreadyDecided) for one in answers if isinstance(one, BaseException))
    output = await made.engine.result(run)
    assert output["ask"]["by"] == done.decided_by
    assert made.query("select count(*) from pgflow.event where type = 'signal.received'") == [(1,)]
    with pytest.raises(AlreadyDecided, match=f"{done.state} by {done.decided_by}"):
        await approvals.decide(id, True, actor="late")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (None, "form.edition: this is missing"),
        ({}, "form.edition: this is missing"),
        ({"edition": "noon"}, "form.edition"),
        ({"edition": "morning", "copies": "many"}, "form.copies"),
        ({"edition": "morning", "more": 1}, "form.more"),
    ],
)
async def test_a_form_that_does_not_fit_is_refused_and_can_be_filled_in_again(
    graphs: Make, form: Any, said: str
) -> None:
    made = graphs()
    run, id = await asked(made, form=FORM)
    with pytest.raises(FormError) as refused:
        await made.engine.client.approvals.decide(id, True, form=form, actor="ann")
    assert said in str(refused.value)
    await made.engine.client.approvals.decide(id, True, form={"edition": "evening", "copies": 1}, actor="ann")
    assert (await made.engine.result(run))["ask"]["form"] == {"edition": "evening", "copies": 1}


async def test_a_form_for_a_question_that_has_none_is_refused(graphs: Make) -> None:
    made = graphs()
    _, id = await asked(made)
    with pytest.raises(ArgumentError, match="has no form"):
        await made.engine.client.approvals.decide(id, True, form={"a": 1})


async def test_only_who_is_asked_decides(graphs: Make) -> None:
    made = graphs()
    run, id = await asked(made, assignees=["ann", "group:desk"])
    approvals = made.engine.client.approvals
    for who in ("bob", "", None, "ANN"):
        with pytest.raises(NotYours, match="ann, group:desk"):
            await approvals.decide(id, True, actor=who)
    assert [one.id for one in await approvals.list(assignee="ann")] == [id]
    assert await approvals.list(assignee="bob") == []
    assert [one.id for one in await approvals.list(assignee=["bob", "group:desk"])] == [id]
    await approvals.decide(id, True, actor="bob", groups=["group:desk"])
    assert (await made.engine.result(run))["ask"]["by"] == "bob"


async def test_after_a_time_others_may_decide_too(graphs: Make) -> None:
    made = graphs()
    run, id = await asked(
        made, assignees="ann", escalation=[{"after": "1d", "assignees": "bob"}, {"after": "2d", "assignees": ["cy"]}]
    )
    approvals = made.engine.client.approvals
    with pytest.raises(NotYours):
        await approvals.decide(id, True, actor="bob")
    await made.engine.advance("25h")
    assert (await approvals.get(id)).assignees == ["ann", "bob"]
    assert len(await approvals.list(assignee="bob")) == 1
    with pytest.raises(NotYours):
        await approvals.decide(id, True, actor="cy")
    await made.engine.advance("1d")
    await approvals.decide(id, True, actor="cy")
    assert (await made.engine.result(run))["ask"]["by"] == "cy"


@pytest.mark.parametrize("where", ["config", "node"])
async def test_what_nobody_decides_expires(graphs: Make, where: str) -> None:
    made = graphs()
    asking = dict(document(timeout="2d") if where == "config" else document())
    if where == "node":
        asking["nodes"]["ask"]["timeout"] = "2d"
    run = await made.start(asking, day="")
    await made.engine.settle()
    (question,) = await made.engine.client.approvals.list(run=run)
    output = await made.engine.result(run)
    assert output["done"] == ["nobody cared"]
    assert (output["ask"]["expired"], output["ask"]["approved"]) == (True, False)
    with pytest.raises(AlreadyDecided, match="has expired"):
        await made.engine.client.approvals.decide(question.id, True, actor="ann")
    assert (await made.engine.client.approvals.get(question.id)).state == "expired"


async def test_it_is_too_late_even_before_the_run_has_noticed(graphs: Make) -> None:
    made = graphs()
    _, id = await asked(made, timeout="1d")
    await made.engine.call(engine.expire(engine.Place(*await place(made, id))))
    with pytest.raises(AlreadyDecided, match="has expired"):
        await made.engine.client.approvals.decide(id, True, actor="ann")


async def place(made: Graphs, id: int) -> tuple[int, int, str]:
    question = await made.engine.client.approvals.get(id)
    return question.run_id, question.task_id, question.node


async def test_a_decision_at_the_last_instant_counts(graphs: Make) -> None:
    """It was made in time, and the run looked only after the time: what was decided stands."""
    made = graphs()
    run, id = await asked(made, timeout="1d")
    from pgflow.testing.database import advance

    await made.engine.call(advance(86_399.0))
    decided = await made.engine.client.approvals.decide(id, True, actor="ann")
    await made.engine.call(advance(10.0))
    assert decided.state == "approved"
    assert (await made.engine.result(run))["done"] == ["published by ann"]


async def test_a_question_of_a_run_that_is_over_is_withdrawn(graphs: Make) -> None:
    made = graphs()
    run, id = await asked(made)
    await made.engine.client.cancel(run)
    await made.engine.drive()
    approvals = made.engine.client.approvals
    assert await approvals.list() == []
    assert [one.state for one in await approvals.list(state="withdrawn")] == ["withdrawn"]
    with pytest.raises(AlreadyDecided, match="is over"):
        await approvals.decide(id, True)


async def test_nobody_else_can_send_what_decides(graphs: Make) -> None:
    made = graphs()
    run, _ = await asked(made)
    with pytest.raises(ArgumentError):
        await made.engine.client.signal(run, f"{SIGNAL}ask", {"approved": True})


async def test_an_unknown_question(graphs: Make) -> None:
    with pytest.raises(NotFound, match="no approval 77"):
        await graphs().engine.client.approvals.decide(77, True)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_question_is_asked_once_whenever_the_worker_dies(graphs: Make, moment: str) -> None:
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
        run, id = await asked(made, timeout="1d")
        await made.engine.client.approvals.decide(id, True, actor="ann")
        assert (await made.engine.result(run))["done"] == ["published by ann"]
        assert made.query("select count(*) from pgflow.approval where root_id = %s", run) == [(1,)]
        told = "select count(*) from pgflow.event where root_id = %s and type::text = 'approval.requested'"
        assert made.query(told, run) == [(1,)]
        if left > 0:  # there were fewer
            break
    assert 4 < commit < 29


async def test_a_fork_asks_for_itself(graphs: Make) -> None:
    """Also when it takes over that it was asked."""
    made = graphs()
    asking = dict(document())
    asking["nodes"] |= {
        "rest": {"type": "delay", "config": {"time": "1h"}},
        "mark": {"type": "transform", "config": {"value": 1}},
    }
    asking["edges"] += [{"from": "rest", "to": "mark"}]
    run = await made.start(asking, day="")
    await made.engine.advance("2h")
    assert made.query("select count(*) from pgflow.event where key = 'ask/$asked'") == [(1,)]
    forked = await made.engine.client.fork(run, from_step="mark")
    await made.engine.settle()
    (other,) = await made.engine.client.approvals.list(run=forked.id)
    await made.engine.client.approvals.decide(other.id, False, actor="bob")
    assert (await made.engine.result(forked.id))["done"] == ["not published"]
    (own,) = await made.engine.client.approvals.list(run=run)
    assert own.state == "pending"


async def test_many_questions_come_in_pages(graphs: Make) -> None:
    made = graphs()
    nodes = {f"n{n}": {"type": "approval", "config": {"title": f"{n}?"}} for n in range(7)}
    run = await made.start({"nodes": nodes, "output": 1})
    await made.engine.settle()
    approvals = made.engine.client.approvals
    first = await approvals.list(limit=4)
    rest = await approvals.list(limit=4, before=first[-1].id)
    assert (len(first), len(rest)) == (4, 3)
    for one in (*first, *rest):
        await approvals.decide(one.id, True)
    assert await made.engine.result(run) == 1


def test_both_colours_do_the_same(graphs: Make) -> None:
    from inspect import signature

    from pgflow.sdk.registry.approvals import Approvals, AsyncApprovals

    for name in ("list", "get", "decide"):
        assert signature(getattr(Approvals, name)) == signature(getattr(AsyncApprovals, name))


async def test_a_graph_within_a_graph_may_ask(graphs: Make) -> None:
    made = graphs()
    await made.publish(document(), "inner")
    node = {"type": "workflow", "config": {"workflow": "inner", "input": {"day": "May 2"}}}
    run = await made.start({"nodes": {"it": node}, "output": "${nodes.it.output.done}"})
    await made.engine.settle()
    (question,) = await made.engine.client.approvals.list(run=run)
    assert (question.title, question.workflow, question.run_id) == ("Publish May 2?", "inner", run)
    assert question.task_id != run
    await made.engine.client.approvals.decide(question.id, True, actor="ann")
    assert await made.engine.result(run) == ["published by ann"]


def test_a_form_that_is_no_schema_is_a_problem_of_the_definition() -> None:
    form = {"type": "object", "properties": {"a": {"type": "sting"}, "b": {"minimum": "x"}}}
    found = Approval().problems({"title": "Well?", "form": form, "titel": 1})
    assert {one.path for one in found} == {"titel", "form.properties.a.type", "form.properties.b.minimum"}
    assert [one.path for one in Approval().problems({"title": "Well?", "form": "x"})] == ["form"]


async def test_what_was_decided_is_still_so_when_another_worker_goes_on(graphs: Make) -> None:
    """How it came to the decision is recorded too, and is not demanded of the replay."""
    made = graphs()
    nodes = {"ask": {"type": "approval", "config": {"title": "May we?"}}, "rest": {"type": "signal"}}
    run = await made.start(
        {"nodes": nodes, "edges": [{"from": "ask", "to": "rest"}], "output": "${nodes.ask.output.by}"}
    )
    await made.engine.settle()
    (one,) = await made.engine.client.approvals.list(run=run)
    await made.engine.client.approvals.decide(one.id, True, actor="ann")
    await made.engine.settle()
    await made.engine.kill()
    await made.engine.client.signal(run, "rest")
    assert await made.engine.result(run) == "ann"
