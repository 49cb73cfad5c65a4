"""Agents: models that are asked again and again, and may have tools called, until they have an answer.

An agent is a workflow of its own, `pgflow.node.agent`, a child of the graph's run. Each call of a model is a step of
it (`model`, `model#2`, ...), and what a model answered is recorded before anything follows from it. A tool is called as
a child (a task, a workflow, an HTTP call, another agent) or as a step (MCP), under `tool:<its name>`. So what was paid
for and recorded is never asked for again: after a crash the conversation is put together from the records.

Who speaks to models is pydantic-ai; the loop is here, because it has to be replayed. What the loop does next depends on
the config, which is the task's input, and on what is recorded, and on nothing else: not on what tools a server lists
just now, nor on prices. All such things are looked at in the step that calls the model, and what was concluded from
them (which tool is meant by a call, what is wrong with its arguments, what the call cost) is recorded with its answer.
"""

from __future__ import annotations
