"""Bars as SVG, written by hand so that drawing needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

WIDTH, LABEL, ROW, BAR = 720, 250, 30, 18
INK, FIGURE, GOAL = "#1f2937", "#2563eb", "#dc2626"

Bar = tuple[str, float]


def bars(title: str, rows: Sequence[Bar], goal: float | None = None) -> str:
    """Horizontal bars, one a row, with a line at the goal."""
    greatest = max([value for _, value in rows] + ([goal] if goal else [])) or 1.0
    room = WIDTH - LABEL - 90
    height = 44 + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f'<g font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (label, value) in enumerate(rows):
        top = 38 + ROW * number
        length = max(1.0, value / greatest * room)
        shown = f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
        parts += [
            f'<text x="{LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{FIGURE}"/>',
            f'<text x="{LABEL + length + 6:.1f}" y="{top + 14}">{shown}</text>',
        ]
    if goal:
        at = LABEL + goal / greatest * room
        parts.append(
            f'<line x1="{at:.1f}" y1="32" x2="{at:.1f}" y2="{height - 6}" stroke="{GOAL}" stroke-dasharray="4 3"/>'
        )
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _plots(documents: dict[str, dict[str, Any]]) -> dict[str, str]:
    drawn = {}
    if drain := documents.get("drain"):
        rows = [(f"worker, round {n}", v) for n, v in enumerate(drain["detail"]["rounds"], 1)]
        rows += [(f"bare SQL, round {n}", v) for n, v in enumerate(drain["detail"]["floor_rounds"], 1)]
        drawn["drain"] = bars("drain: tasks a second (line: the target)", rows, 50_000)
    if enqueue := documents.get("enqueue"):
        rows = [
            (name.replace("_", " "), row["median"]) for name, row in enqueue["spread"].items() if "lost" not in name
        ]
        drawn["enqueue"] = bars("enqueue: tasks a second", rows)
    if latency := documents.get("latency"):
        rows = [
            (f"{name.removesuffix('_ms').replace('_', ' ')}, {point}", latency["detail"][name][point])
            for name in ("from_commit_ms", "from_call_ms", "busy_ms")
            for point in ("p50", "p99")
        ]
        drawn["latency"] = bars("latency: milliseconds to the handler", rows)
    if held := documents.get("held-snapshot"):
        rows = [(kind, row["median"]) for kind, row in held["spread"].items()]
        drawn["held-snapshot"] = bars("held snapshot: tasks a second in the last stretch", rows)
    if depth := documents.get("depth"):
        rows = [(f"{int(at):,} ready", row["cpu_us"]) for at, row in depth["detail"]["by_depth"].items()]
        drawn["depth"] = bars("depth: microseconds of Postgres a claimed task", rows)
    if steps := documents.get("steps"):
        rows = [(f"worker, round {n}", v) for n, v in enumerate(steps["detail"]["rounds"], 1)]
        rows += [(f"bare SQL, round {n}", v) for n, v in enumerate(steps["detail"]["floor_rounds"], 1)]
        drawn["steps"] = bars("steps: steps a second, 1,000 runs in flight (line: the target)", rows, 20_000)
    if fanout := documents.get("fanout"):
        rows = [(name.replace("_", " "), row["median"]) for name, row in fanout["spread"].items()]
        drawn["fanout"] = bars("fanout: seconds from start to outcome", rows)
    return drawn


def draw(folder: Path, documents: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Write the plots; their file names by lane."""
    names = {}
    for lane, drawing in _plots(documents).items():
        (folder / f"{lane}.svg").write_text(drawing, encoding="utf-8")
        names[lane] = [f"{lane}.svg"]
    return names
