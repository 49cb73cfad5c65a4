"""pgflow: a task queue and workflow engine on the Postgres you already run.

Example:
    >>> from pgflow import App, RetryPolicy
    >>> app = App()
    >>> @app.task(queue="mail", retry=RetryPolicy(5, base=1, cap=300), timeout="30s")
    ... def send_email(to: str, template: str) -> str:
    ...     return f"{template} to {to}"
    >>> client = app.client()                                                # doctest: +SKIP
    >>> handle = client.enqueue(send_email, "ann@example.com", "welcome")    # doctest: +SKIP
    >>> client.result(handle, timeout=30)                                    # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgflow.backoff import NO_RETRY, RetryPolicy
    from pgflow.engine.limits import Limit
    from pgflow.errors import Fatal, PgflowError, RetryLater, StepFailed, TaskCancelled, TaskFailed
    from pgflow.model import Priority, State
    from pgflow.nodes.publishing import AsyncWorkflows, Workflows
    from pgflow.sdk.app import App
    from pgflow.sdk.async_client import AsyncClient
    from pgflow.sdk.attempt import Attempt, current
    from pgflow.sdk.client import Client
    from pgflow.sdk.context import Child, Context
    from pgflow.sdk.op import Op
    from pgflow.sdk.remote.async_client import AsyncRemoteClient
    from pgflow.sdk.remote.client import RemoteClient
    from pgflow.sdk.secret import secret
    from pgflow.sdk.step import Step, step
    from pgflow.sdk.sync_context import SyncChild, SyncContext
    from pgflow.sdk.task import Key, Task
    from pgflow.sdk.verbs import Handle
    from pgflow.sdk.workflow import Workflow

__version__ = "0.1.0"

__all__ = [
    "NO_RETRY",
    "App",
    "AsyncClient",
    "AsyncRemoteClient",
    "AsyncWorkflows",
    "Attempt",
    "Child",
    "Client",
    "Context",
    "Fatal",
    "Handle",
    "Key",
    "Limit",
    "Op",
    "PgflowError",
    "Priority",
    "RemoteClient",
    "RetryLater",
    "RetryPolicy",
    "State",
    "Step",
    "StepFailed",
    "SyncChild",
    "SyncContext",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "Workflow",
    "Workflows",
    "current",
    "secret",
    "step",
]

# Loaded when first asked for, so that a command such as `pgflow --help` does not wait for what it never uses.
_HOMES = {
    "pgflow.backoff": ("NO_RETRY", "RetryPolicy"),
    "pgflow.engine.limits": ("Limit",),
    "pgflow.errors": ("Fatal", "PgflowError", "RetryLater", "StepFailed", "TaskCancelled", "TaskFailed"),
    "pgflow.model": ("Priority", "State"),
    "pgflow.nodes.publishing": ("AsyncWorkflows", "Workflows"),
    "pgflow.sdk.app": ("App",),
    "pgflow.sdk.async_client": ("AsyncClient",),
    "pgflow.sdk.attempt": ("Attempt", "current"),
    "pgflow.sdk.client": ("Client",),
    "pgflow.sdk.context": ("Child", "Context"),
    "pgflow.sdk.op": ("Op",),
    "pgflow.sdk.remote.async_client": ("AsyncRemoteClient",),
    "pgflow.sdk.remote.client": ("RemoteClient",),
    "pgflow.sdk.secret": ("secret",),
    "pgflow.sdk.step": ("Step", "step"),
    "pgflow.sdk.sync_context": ("SyncChild", "SyncContext"),
    "pgflow.sdk.task": ("Key", "Task"),
    "pgflow.sdk.verbs": ("Handle",),
    "pgflow.sdk.workflow": ("Workflow",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'pgflow' has no attribute {name!r}")
