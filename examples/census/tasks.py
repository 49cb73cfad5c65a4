"""The tasks of the census.

`census.survey` lists the modules and asks for all that follows in one transaction; `census.module` counts one;
`census.totals` comes back until every module is counted or given up, then adds up. Modules that do not parse fail by
themselves, are tried three times and end as dead letters: the library has some, to test parsers with.

Each task has a name of its own choosing. It is what the database knows the task by, so it has to stay when the function
moves to another file.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pgflow
from census import counting, results
from pgflow import App, Fatal, RetryLater, RetryPolicy

app = App()


@app.task(name="census.survey")
def survey(root: str | None = None) -> int:
    """Start a census of the Python files below `root`, by default the standard library. Returns how many there are."""
    census = pgflow.current().run_id
    folder = Path(root or sysconfig.get_path("stdlib")).resolve()
    paths = counting.modules(folder)
    if not paths:
        raise Fatal(f"there are no Python files below {folder}")
    with results.pool(app.settings().require_url()).connection() as connection, app.client() as client:
        # All or nothing: the rows and the tasks come into being with this transaction's commit. A worker that dies
        # right after it leaves a survey that is run once more, finds that it had begun, and does nothing twice.
        if results.begin(connection, census, str(folder)):
            mine = client.on(connection)
            handles = mine.enqueue_many(
                # The key tells in every list of tasks which module it is.
                module.options(key=f"{census}/{path}").request(census, str(folder), path)
                for path in paths
            )
            results.expect(connection, census, zip(paths, (handle.id for handle in handles), strict=True))
            mine.enqueue(totals, census)
    return len(paths)


@app.task(name="census.module", queue="census", retry=RetryPolicy(3, base="200ms"))
def module(census: int, root: str, path: str) -> None:
    """Count one module."""
    counts = counting.count(Path(root, path).read_bytes(), path)
    with results.pool(app.settings().require_url()).connection() as connection:
        results.note(connection, census, path, counts)


@app.task(name="census.totals", queue="census", retry=RetryPolicy(10_000, base="200ms", cap="2s", jitter=False))
def totals(census: int) -> results.Totals:
    """Add up, once there is nothing left to wait for."""
    with results.pool(app.settings().require_url()).connection() as connection:
        if left := results.open_modules(connection, census):
            raise RetryLater(f"{left} modules to go")
        found = results.add_up(connection, census)
    print(results.sentence(found), flush=True)
    return found
