"""At most one process serves from a directory."""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path

from pgflow.errors import EmbeddedError

LOCKED_BYTE = 1 << 20
_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


class DirectoryLock:
    """The right to serve from a directory.

    The kernel drops the lock with its holder, however that ends; the pid in the file is for messages only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; taking it again is a no-op.

        Raises:
            EmbeddedError: another process, or another object of this one, has it.
        """
        if self._file is not None:
            return
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(file)
        except OSError:
            holder = os.read(file, 32).decode("ascii", "replace").strip()
            os.close(file)
            raise EmbeddedError(
                f"already running (pid {holder or 'unknown'}) for this directory: {self.path.parent}",
                hint="stop that process, or give this one another directory",
            ) from None
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._file = file
        _held.add(self)

    def release(self) -> None:
        """Give the lock back, also when a forked child still shares it."""
        if self._file is not None:
            _unlock(self._file)
            self.forget()

    def forget(self) -> None:
        """Close the file and leave the lock to whoever shares it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            _held.discard(self)


def _forget_in_forked_child() -> None:
    """A forked child shares the lock, and would keep it beyond the death of its holder."""
    for lock in list(_held):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_forked_child)


if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading what is locked, so that is a byte beyond the pid.
    def _lock(file: int) -> None:
        _at_locked_byte(file, msvcrt.LK_NBLCK)

    def _unlock(file: int) -> None:
        _at_locked_byte(file, msvcrt.LK_UNLCK)

    def _at_locked_byte(file: int, mode: int) -> None:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, mode, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
