"""graph: runs of graphs: 1,000 nodes in layers, each below three; 100 of 20 nodes beside each other; 5,000 that begin.

Each with nodes that do nothing, which the run does itself, and with nodes that are tasks, which are children. The time
is the database's: from `created_at` of the run to its `finished_at`, or to the event of a node. Every node's two events
are counted afterwards. What deciding costs is CPU of the worker by node, of many runs of 100 nodes and of one of 5,000.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bench import floors
from bench.apps import QUEUE, chain
from bench.cpu import Meter, Spent
from bench.ground import Ground
from bench.lanes import Options
from bench.result import Result, spread
from bench.worker import Worker
from pgflow import Client
from pgflow.engine import enqueue, workflows
from pgflow.graph import Edge, Fates
from pgflow.graph.document import Definition
from pgflow.model import State

NODES, MANY, RUNS, SMALL, ROUNDS, TIMES = 1_000, 5_000, 100, 20, 5, 3
FEW = 100
"""Nodes of a graph beside which the big one is held."""
KINDS = ("noop", "task")
REST = 0.7
"""Seconds between two, so that the worker is idle again and has to be woken."""
_ENDED = "select count(*) from pgflow.outcome where task_id = any (%s::bigint[]) and root_id = any (%s::bigint[])"
_TOOK = """
    select extract(epoch from max(o.finished_at) - min(t.created_at))::float8
      from pgflow.task t join pgflow.outcome o on o.root_id = t.root_id and o.task_id = t.id
     where t.id = any (%s::bigint[]) and t.root_id = any (%s::bigint[]) and o.state = 'completed'"""
_TOLD = """
    select count(*) filter (where type = 'node.started'), count(*) filter (where type = 'node.completed'),
           extract(epoch from min(at) filter (where type = 'node.started') - (
                   select min(created_at) from pgflow.task
                    where root_id = any (%s::bigint[]) and parent_id is null))::float8,
           extract(epoch from max(at) filter (where type = 'node.started') - (
                   select min(created_at) from pgflow.task
                    where root_id = any (%s::bigint[]) and parent_id is null))::float8
      from pgflow.event where root_id = any (%s::bigint[])"""


def layered(layers: int, width: int, kind: str, above: int = 3) -> dict[str, Any]:
    """A graph of so many layers of so many nodes, each below so many of the layer before."""
    node = {"type": "task", "config": {"task": "bench.noop"}} if kind == "task" else {"type": kind}
    return {
        "name": f"bench.{kind}_{layers}_{width}", "queue": QUEUE,
        "nodes": {f"n{layer}_{place}": node for layer in range(layers) for place in range(width)},
        "edges": [
            {"from": f"n{layer - 1}_{(place + number) % width}", "to": f"n{layer}_{place}"}
            for layer in range(1, layers) for place in range(width) for number in range(min(above, width))
        ],
    }  # fmt: skip


@dataclass(slots=True)
class Went:
    """Some runs of one graph, started at once on a worker that had nothing else to do.

    Args:
        nodes: of all of them.
        seconds: from the first start to the last end.
        first: seconds to the first node that began.
        wave: seconds until the last node had begun.
        spent: CPU and WAL.
    """

    nodes: int
    seconds: float
    first: float
    wave: float
    spent: Spent

    @property
    def rate(self) -> float:
        """Nodes a second."""
        return self.nodes / self.seconds

    @property
    def worker_us(self) -> float:
        """Microseconds of the worker's CPU by node."""
        return self.spent.worker / self.nodes * 1e6


class Bench:
    """A worker, and graphs that it runs.

    Args:
        ground: where.
        worker: it.
        rest: seconds between two runs.
    """

    def __init__(self, ground: Ground, worker: Worker, rest: float) -> None:
        self._ground, self._worker, self._rest = ground, worker, rest

    def go(self, document: dict[str, Any], runs: int = 1) -> Went:
        """Run a graph, so many times at once."""
        ground = self._ground
        text = orjson.dumps(Definition.model_validate(document).model_dump(mode="json", by_alias=True))
        name = document["name"]
        stored = workflows.Definition(name, "graph", hashlib.sha256(text).digest(), text)
        ground.session.run(workflows.define([stored]))
        time.sleep(self._rest)
        meter = Meter(ground.connection, [self._worker.pid])
        ids = ground.session.run(enqueue.enqueue([enqueue.Request(enqueue.Spec(name, QUEUE), b"{}")] * runs)).ids
        deadline = time.monotonic() + 120
        while ground.value(_ENDED, ids, ids) < runs:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} has not ended:\n{self._worker.log()}")
            time.sleep(0.002 if runs == 1 else 0.01)
        spent = meter.spent()
        row = ground.connection.execute(_TOLD.encode(), (ids, ids, ids)).fetchone()
        assert row is not None
        nodes = len(document["nodes"]) * runs
        if row[:2] != (nodes, nodes):
            raise AssertionError(f"{nodes} nodes, {row[0]} told to have begun and {row[1]} to be complete")
        return Went(nodes, ground.value(_TOOK, ids, ids), row[2], row[3], spent)


def decide(layers: int, width: int) -> float:
    """Microseconds by node of deciding alone what follows, with nothing around it."""
    definition = Definition.model_validate(layered(layers, width, "noop"))
    best = float("inf")
    for _ in range(5):
        fates = Fates(definition)
        began = time.perf_counter()
        todo = fates.begin()
        while todo:
            todo += fates.end(todo.pop(), State.COMPLETED, _always)[0]
        best = min(best, time.perf_counter() - began)
    return best / (layers * width) * 1e6


def _always(_: Edge) -> bool:
    return True


@dataclass(slots=True)
class Round:
    """One of everything, of one kind of node.

    Args:
        single: runs of 1,000 nodes, one after another.
        many: runs of 20 nodes, all at once.
        wide: a run of which all 5,000 nodes begin at once.
        few: runs of 100 nodes.
        big: a run of 5,000 nodes.
    """

    single: list[Went]
    many: list[Went]
    wide: Went
    few: Went
    big: Went


def a_round(ground: Ground, kind: str, nodes: int, runs: int, times: int, rest: float) -> Round:
    """Run one of everything in a fresh worker."""
    ground.clear()
    ground.connection.execute("vacuum (analyze)")  # as on a database that was idle: it takes its tables for empty
    with Worker(ground.settings) as worker, Client(ground.settings) as client:
        worker.wait_registered(ground.connection)
        client.result(client.start(chain, 1), timeout=30)  # opens connections
        bench = Bench(ground, worker, rest)
        bench.go(layered(4, SMALL // 4, kind))
        width, share = max(3, nodes // 10), max(5, MANY * nodes // NODES // FEW)
        few = max(1, share)
        return Round(
            [bench.go(layered(10, width, kind)) for _ in range(times)],
            [bench.go(layered(4, SMALL // 4, kind), runs) for _ in range(times)],
            bench.go(layered(1, share * FEW, kind)),
            bench.go(layered(10, FEW // 10, kind), few),
            bench.go(layered(share, FEW, kind)),
        )


def run(ground: Ground, options: Options) -> Result:
    """Rounds of both kinds and their floors, interleaved."""
    nodes = options.tasks or (50 if options.quick else NODES)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    runs, times = (5, 1) if options.quick else (RUNS, TIMES)
    went: dict[str, list[Round]] = {kind: [] for kind in KINDS}
    bare: dict[str, list[floors.Bare]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            went[kind].append(a_round(ground, kind, nodes, runs, times, options.rest(REST)))
        ground.clear()
        bare["noop"] += [floors.tell(ground.settings, nodes) for _ in range(times)]
        bare["task"] += [floors.fan_out(ground.settings, nodes) for _ in range(times)]
    single = {kind: [one.seconds for made in went[kind] for one in made.single] for kind in KINDS}
    rates = {kind: [one.rate for made in went[kind] for one in made.many] for kind in KINDS}
    floor = {kind: statistics.median(one.seconds for one in bare[kind]) for kind in KINDS}
    costs = [one.spent.per(one.nodes) for made in went["noop"] for one in made.single]
    figure = statistics.median(single["noop"])
    return Result(
        "graph", round(figure, 4), "s", round(floor["noop"], 4), round(figure / floor["noop"], 3),
        {side: statistics.median(cpu[side] for cpu, _ in costs) for side in ("worker", "postgres")},
        statistics.median(wal for _, wal in costs),
        {"per": "node", "nodes": nodes, "upstream": 3, "layers": 10, "rounds": rounds, "runs_at_once": runs,
         "nodes_of_these": SMALL, "worker": "pgflow worker bench/apps.py -p 1 -c 100",
         "measured": "created_at of the run to its finished_at, the worker idle before",
         "floor": f"node.started and node.completed of each node, {floors.ROWS} a statement, on one bare connection",
         "floor_of_tasks": "the same spawn, claim and settle on one bare connection"},
        {"figure": spread(single["noop"], 4), "tasks": spread(single["task"], 4),
         "rate": spread(rates["noop"], 0), "rate_of_tasks": spread(rates["task"], 0),
         "floor": spread([one.seconds for one in bare["noop"]], 4),
         "floor_of_tasks": spread([one.seconds for one in bare["task"]], 4)},
        _detail(went["noop"]) | {f"task_{name}": value for name, value in _detail(went["task"]).items()}
        | {"tasks_s": round(statistics.median(single["task"]), 4),
           "tasks_ratio": round(statistics.median(single["task"]) / floor["task"], 3),
           "decide_us_100": round(decide(10, 10), 2), "decide_us_5000": round(decide(50, 100), 2)},
    )  # fmt: skip


def _detail(rounds: Sequence[Round]) -> dict[str, Any]:
    many = [one.rate for made in rounds for one in made.many]
    few, big = [made.few.worker_us for made in rounds], [made.big.worker_us for made in rounds]
    return {
        "at_once_nodes_per_s": round(statistics.median(many)),
        "begin": rounds[0].wide.nodes,
        "first_begun_s": round(statistics.median(made.wide.first for made in rounds), 4),
        "all_begun_s": round(statistics.median(made.wide.wave for made in rounds), 4),
        "worker_us_of_100": round(statistics.median(few), 1),
        "worker_us_of_5000": round(statistics.median(big), 1),
        "big_s": round(statistics.median(made.big.seconds for made in rounds), 4),
    }
