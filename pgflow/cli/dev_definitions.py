"""What `pgflow dev` does with definitions that lie beside the code: it publishes them, again when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pgflow.cli.workflow_file import Looked, look_at_all
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.errors import PgflowError
from pgflow.graph.document import Definition
from pgflow.nodes.publishing import Workflows
from pgflow.sdk import loading
from pgflow.sdk.client import Client

Say = Callable[[str, str], None]
INDENT = " " * 11
"""Brings further lines below the first."""


class Definitions:
    """The definitions of a project.

    Args:
        settings: where they are published.
        path: the folder, or the file.
        say: prints a line: what it is about, and what there is to be said.

    Attributes:
        queues: where their runs and nodes wait.
    """

    def __init__(self, settings: Settings, path: str, say: Say) -> None:
        self._settings, self._path, self._say = settings, path, say
        self._seen: dict[Path, bytes] = {}
        self.queues = {"default"}

    def publish(self) -> None:
        """Publish those that are new or have changed; of those with something wrong, say what."""
        files = loading.definition_files(self._path)
        now = {file: file.read_bytes() for file in files}
        changed = [file for file in files if self._seen.get(file) != now[file]]
        self._seen = now
        if not changed:
            return
        for one in look_at_all([str(file) for file in files]):
            if Path(one.file) in changed:
                self._publish_one(one)

    def _publish_one(self, one: Looked) -> None:
        if one.problems or one.definition is None or one.source is None:
            for problem in one.problems:
                self._say("Wrong", str(problem).replace("\n", f"\n{INDENT}"))
            return
        try:
            with connect.open_sync(self._settings, "dev") as connection, connection.transaction():
                client = Client(self._settings, actor="pgflow dev").on(connection)
                done = Workflows(client).publish(one.source.value)
        except PgflowError as error:
            self._say("Wrong", f"{one.file}: {error}".replace("\n", f"\n{INDENT}"))
            return
        self.queues |= set(queues_of(one.definition))
        self._say(
            "Workflow", f"{done.name}, version {done.version}" + ("" if done.done == "created" else ", unchanged")
        )
        for name, what in done.triggers.items():
            if what != "unchanged":
                self._say("", f"{name} {what}")


def queues_of(definition: Definition) -> Iterable[str]:
    """Where its runs and its nodes wait."""
    yield definition.queue
    yield from (node.queue for node in definition.nodes.values() if node.queue)
