"""What the lanes found, for people: every figure beside its target."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import plot

RESULTS = Path(__file__).parent / "results"
Document = dict[str, Any]
Check = Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be reached.

    Args:
        lane: where it is measured.
        label: what it is.
        path: its place in the lane's document.
        text: the target in words.
        met: whether a value reaches it.
        unit: of the value.
    """

    lane: str
    label: str
    path: str
    text: str
    met: Check
    unit: str = ""


def _least(bound: float) -> Check:
    return lambda value: value >= bound


def _most(bound: float) -> Check:
    return lambda value: value <= bound


TARGETS = (
    Target("drain", "throughput", "figure", "≥ 50,000", _least(50_000), "tasks/s"),
    Target("drain", "ratio to the bare SQL", "ratio", "≥ 0.65", _least(0.65)),
    Target("drain", "CPU, worker and Postgres", "detail.cpu_us_total", "≤ 35", _most(35), "µs a task"),
    Target("enqueue", "many in one call", "figure", "≥ 100,000", _least(100_000), "tasks/s"),
    Target("enqueue", "one at a time, awaited, one client", "detail.one", "≥ 4,000", _least(4_000), "tasks/s"),
    Target("enqueue", "32 clients: lost to wake-ups", "detail.lost_to_wake_ups", "< 0.10", _most(0.0999)),
    Target("latency", "pick-up, idle worker, p50", "detail.from_commit_ms.p50", "≤ 1.5", _most(1.5), "ms"),
    Target("latency", "pick-up, idle worker, p99", "detail.from_commit_ms.p99", "≤ 5", _most(5), "ms"),
    Target("idle", "CPU of worker and server", "figure", "< 2", _most(1.999), "ms a second"),
    Target("held-snapshot", "rate after 500,000 tasks, reader", "detail.ratio_reader", "≥ 0.90", _least(0.9)),
    Target("held-snapshot", "rate after 500,000 tasks, writer", "detail.ratio_writer", "≥ 0.90", _least(0.9)),
    Target("held-snapshot", "pick-up p50, last 5 s to first 5 s, reader", "detail.pick_up.reader.last_to_first",
           "≤ 1.2", _most(1.2)),
    Target("held-snapshot", "pick-up p50, last 5 s to first 5 s, writer", "detail.pick_up.writer.last_to_first",
           "≤ 1.2", _most(1.2)),
    Target("depth", "claim cost at 5,000,000 to 10,000", "ratio", "≤ 1.2", _most(1.2)),
    Target("recovery", "executor killed: tasks run again", "detail.executor_killed_s", "≤ 1", _most(1), "s"),
    Target("recovery", "worker killed: beyond its lease of 30 s", "detail.worker_killed_beyond_lease_s", "≤ 2",
           _most(2), "s"),
    Target("recovery", "clean restarts: handlers run twice", "detail.run_twice", "0", _most(0)),
    Target("recovery", "clean restarts: handlers never run", "detail.never_run", "0", _most(0)),
    Target("keyed", "1,000 keys of limit 1", "figure", "≥ 15,000", _least(15_000), "tasks/s"),
    Target("keyed", "tasks of a key that overlapped", "detail.overlaps", "0", _most(0)),
    Target("steps", "1,000 runs in flight", "figure", "≥ 20,000", _least(20_000), "steps/s"),
    Target("steps", "one run alone", "detail.alone_ms_a_step", "≤ 2", _most(2), "ms a step"),
    Target("fanout", "1,000 children and join", "figure", "≤ 0.3", _most(0.3), "s"),
    Target("fanout", "10,000 children and join", "detail.ten_times_s", "≤ 4", _most(4), "s"),
    Target("sleepers", "100,000 runs asleep: CPU of worker and server", "figure", "< 1", _most(0.999), "% of a core"),
    Target("sleepers", "leases, slots and threads that they hold", "detail.held", "0", _most(0)),
    Target("replay", "1,000 recorded steps", "figure", "≤ 20", _most(20), "ms"),
    Target("timers", "how late beside 10,000, p99", "figure", "≤ 20", _most(20), "ms"),
    Target("timers", "how late beside 1,000,000, p99", "detail.million.steady.begun_ms.p99", "≤ 100", _most(100), "ms"),
    Target("timers", "fired or begun early", "detail.early", "0", _most(0)),
    Target("timers", "looks for due timers while none is due", "detail.looks", "0", _most(0)),
    Target("events", "to a watcher through Redis, 1,000 tasks/s, p99", "figure", "≤ 50", _most(50), "ms"),
    Target("events", "to a watcher without Redis, 1,000 tasks/s, p99", "detail.notify_p99_ms", "≤ 50", _most(50), "ms"),
    Target("graph", "1,000 nodes in 10 layers", "figure", "≤ 0.5", _most(0.5), "s"),
    Target("graph", "the same with tasks as nodes", "detail.tasks_s", "≤ 0.5", _most(0.5), "s"),
    Target("graph", "100 runs of 20 nodes at once", "detail.at_once_nodes_per_s", "≥ 5,000", _least(5_000), "nodes/s"),
    Target("graph", "5,000 nodes begun", "detail.all_begun_s", "≤ 1", _most(1), "s"),
    Target("api", "starts a second, one process", "figure", "≥ 1,500", _least(1_500), "requests/s"),
    Target("api", "the same, 32 connections: p99", "detail.starts.ms.p99", "≤ 100", _most(100), "ms"),
    Target("api", "lists among 5,000,000 runs, the slowest filter's p99", "detail.lists_p99_ms", "≤ 20", _most(20),
           "ms"),
    Target("watchers", "a request's p99 with 500 streams, 80 events/s: to that without", "figure", "≤ 2", _most(2)),
    Target("watchers", "the same, the worst of 5, 20 and 80 events/s", "detail.worst_p99_ratio", "≤ 2", _most(2)),
    Target("watchers", "an event to one of 500 streams, 80 events/s, p50", "detail.most.lag_p50_ms", "≤ 250",
           _most(250), "ms"),
    Target("events", "missed, doubled or out of order", "detail.lost", "0", _most(0)),
)  # fmt: skip


def find(document: Document, path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def text(document: Document) -> str:
    """One lane for a terminal."""
    lines = [f"{document['lane']}: {number(document['figure'])} {document['unit']}"]
    if document["floor"] is not None:
        lines.append(f"  floor {number(document['floor'])}, ratio {document['ratio']}")
    for name, row in document["spread"].items():
        lines.append(f"  {name}: {number(row['min'])} .. {number(row['median'])} .. {number(row['max'])}")
    lines += [
        f"  {_verdict(target, document):>6}  {target.label}: {_shown(target, document)} ({target.text})"
        for target in TARGETS
        if target.lane == document["lane"]
    ]
    lines.append(f"  {json.dumps(document['detail'])}")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """A number for people."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _verdict(target: Target, document: Document | None) -> str:
    value = None if document is None else find(document, target.path)
    return "-" if value is None else "yes" if target.met(value) else "no"


def _shown(target: Target, document: Document | None) -> str:
    value = None if document is None else find(document, target.path)
    return "not measured" if value is None else f"{number(value)} {target.unit}".strip()


def save(folder: Path, documents: dict[str, Document]) -> None:
    """Put these lanes' results in place of their earlier ones, and render."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = load(folder) | documents
    (folder / "latest.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write(folder)


def load(folder: Path) -> dict[str, Document]:
    """The results kept there, by lane."""
    path = folder / "latest.json"
    documents: dict[str, Document] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return documents


def write(folder: Path) -> None:
    """Render what is kept: latest.md and its plots."""
    documents = load(folder)
    drawn = plot.draw(folder, documents)
    lines = [
        "# Latest figures",
        "",
        "Made by `python -m bench all`; the raw results, with every setting, are in `latest.json`. What a lane does is",
        "told in `bench/README.md`; where the time goes, in `docs/performance.md`.",
        "",
        "| lane | figure | measured | target | met |",
        "|---|---|---|---|---|",
    ]
    for target in TARGETS:
        found = documents.get(target.lane)
        lines.append(
            f"| {target.lane} | {target.label} | {_shown(target, found)} | {target.text} | {_verdict(target, found)} |"
        )
    for lane, document in documents.items():
        lines += ["", f"## {lane}", "", *_section(document)]
        lines += [line for name in drawn.get(lane, []) for line in ("", f"![{lane}]({name})")]
    (folder / "latest.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _section(document: Document) -> list[str]:
    server, machine = document["settings"].get("server", {}), document["settings"].get("machine", {})
    cpu = document["cpu_us_per_task"]
    per = document["settings"].get("per", "task")
    lines = [f"**{number(document['figure'])} {document['unit']}**"]
    if document["floor"] is not None:
        ratio = "" if document["ratio"] is None else f", ratio {document['ratio']:g}"
        lines[0] += f" (floor {number(document['floor'])}{ratio})"
    if cpu["postgres"] is not None:
        lines[0] += f"; CPU a {per}: worker {number(cpu['worker'])} µs, Postgres {number(cpu['postgres'])} µs"
    if document["wal_bytes_per_task"] is not None:
        lines[0] += f"; WAL a {per}: {number(document['wal_bytes_per_task'])} B"
    if document["spread"]:
        lines += ["", "| rounds | least | median | greatest |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {number(row['min'])} | {number(row['median'])} | {number(row['max'])} |"
            for name, row in document["spread"].items()
        ]
    lines += ["", "```json", json.dumps(document["detail"], indent=1), "```"]
    how = {k: v for k, v in document["settings"].items() if k not in {"server", "machine"}}
    lines += ["", "How: " + "; ".join(f"{name}: {value}" for name, value in how.items()) + "."]
    lines.append(
        f"On {machine.get('cores')} cores, Python {machine.get('python')}, PostgreSQL {server.get('server_version')} "
        f"(fsync {server.get('fsync')}, synchronous_commit {server.get('synchronous_commit')}), "
        f"load {machine.get('load_before')} before, {machine.get('at')}."
    )
    return lines
