"""What tests of workflows, and of the engine itself, are written with.

* `Inline` and `SyncInline`: contexts without a database, for unit tests of a workflow's own logic.
* `LocalEngine`, in pytest the fixture `pgflow_engine`: the engine itself, in the test's process and on a database of
  the test's own, whose clock skips whatever would be waited for.
* `crash_everywhere` runs a workflow once a checkpoint, dying right before and right after each.
* `pgflow.testing.interleaving` runs several connections in every order, or in orders drawn from a seed, and reports an
  order in which what the test demands does not hold.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgflow.testing.crash import CrashReport, CrashTestFailed, crash_everywhere
    from pgflow.testing.engine import LocalEngine, Stalled
    from pgflow.testing.inline import Inline, SyncInline
    from pgflow.testing.inline_journal import Happening
    from pgflow.testing.world import After, Emitted, NotGiven, Sent, WaitsForEver

__all__ = [
    "After",
    "CrashReport",
    "CrashTestFailed",
    "Emitted",
    "Happening",
    "Inline",
    "LocalEngine",
    "NotGiven",
    "Sent",
    "Stalled",
    "SyncInline",
    "WaitsForEver",
    "crash_everywhere",
]

# Loaded when first asked for: pytest imports this package in every session, whether it tests workflows or not.
_HOMES = {
    "pgflow.testing.crash": ("CrashReport", "CrashTestFailed", "crash_everywhere"),
    "pgflow.testing.engine": ("LocalEngine", "Stalled"),
    "pgflow.testing.inline": ("Inline", "SyncInline"),
    "pgflow.testing.inline_journal": ("Happening",),
    "pgflow.testing.world": ("After", "Emitted", "NotGiven", "Sent", "WaitsForEver"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'pgflow.testing' has no attribute {name!r}")
