"""Which tasks were running when an executor died: a page of memory shared with its supervisor.

A dead executor's tasks are taken back with the crash counted, and a task that was counted three times is dead-lettered
as poison. To count only what ran, each slot writes its task's id into its own cell before it calls the handler; the
supervisor reads the cells after the death. What was merely prefetched is innocent and keeps its attempt.

Tasks that ran beside the culprit are counted too, wrongly, twice at most: a task whose next crash would be its last
runs as the only such suspect of its executor (see Runner), so the third count is its own.
"""

from __future__ import annotations

import mmap
import os
import tempfile


class Cells:
    """One cell a slot, holding the id of the task that runs there, or 0.

    Args:
        descriptor: of the shared file.
        count: how many slots there are.
    """

    def __init__(self, descriptor: int, count: int) -> None:
        self._map = mmap.mmap(descriptor, 8 * count)
        self.running = memoryview(self._map).cast("q")

    def tasks(self) -> list[int]:
        """The tasks that run, or ran when their process died."""
        return [task_id for task_id in self.running if task_id]

    def close(self) -> None:
        """Give the memory back."""
        self.running.release()
        self._map.close()


def shared_file(count: int) -> int:
    """A descriptor for the cells of `count` slots, to be inherited by the executor."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pgflow-cells", 0)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
            os.set_inheritable(descriptor, True)
    os.ftruncate(descriptor, 8 * count)
    return descriptor
