from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgflow.embedded.lock import DirectoryLock
from pgflow.errors import EmbeddedError


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path / "lock"), DirectoryLock(tmp_path / "lock")
    first.acquire()
    first.acquire()
    with pytest.raises(EmbeddedError, match=rf"already running \(pid {os.getpid()}\) for this directory: {tmp_path}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path / "lock")
    lock.acquire()
    is_there, until_told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(until_told[1])
        os.write(is_there[1], b"!")
        os.read(until_told[0], 1)
        os._exit(0)
    try:
        os.read(is_there[0], 1)
        os.close(lock._file)  # type: ignore[arg-type]  # as the death of the holder would
        lock._file = None
        other = DirectoryLock(tmp_path / "lock")
        other.acquire()
        other.release()
    finally:
        os.close(until_told[1])
        os.waitpid(child, 0)
        for end in (*is_there, until_told[0]):
            os.close(end)
