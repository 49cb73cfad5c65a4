"""`python -m bench LANE`: measure one lane, or `all` of them. See bench/README.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import report
from bench.ground import Ground
from bench.lanes import LANES, Options, run
from bench.result import machine
from bench.server import database, server, shown


def measure(lanes: list[str], options: Options) -> dict[str, dict[str, Any]]:
    """The results of these lanes, each on a database of its own."""
    documents = {}
    with server() as url:
        for lane in lanes:
            where = machine()
            with database(url) as settings:
                ground = Ground(settings)
                try:
                    result = run(lane, ground, options)
                    result.settings |= {"server": shown(ground.connection), "machine": where}
                finally:
                    ground.close()
            documents[lane] = result.document()
            print(f"{lane}: {result.figure:g} {result.unit}", file=sys.stderr)
    return documents


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the engine.")
    parser.add_argument("lane", choices=[*LANES, "all", "report"], help="what to measure; `report` renders again")
    parser.add_argument("--tasks", type=int, help="how many tasks a round; of api: runs to list")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--quick", action="store_true", help="a taste of each: shows that it works, nothing more")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--save", action="store_true", help="put the result into bench/results (`all` always does)")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="where results are kept")
    given = parser.parse_args()
    if given.lane == "report":
        report.write(given.results)
        return
    lanes = list(LANES) if given.lane == "all" else [given.lane]
    documents = measure(lanes, Options(given.tasks, given.rounds, given.quick))
    if given.lane == "all" or given.save:
        report.save(given.results, documents)
    for document in documents.values():
        print(json.dumps(document) if given.json else report.text(document))


if __name__ == "__main__":
    main()
