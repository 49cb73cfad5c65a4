"""Telling which processes run, and which they are.

A process id alone proves nothing: ids are used again, and the dead linger as zombies. So processes are found by their
command line (which is readable for everyone, unlike the working directory in a container without ptrace rights), or
an id is kept together with the moment its process started.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def commands() -> Iterator[tuple[int, str]]:
    """The id and the command line of every live process; zombies have none and are left out."""
    if sys.platform == "linux":
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    text = Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").strip()
                    if text:
                        yield int(entry.name), os.fsdecode(text)
    elif sys.platform != "win32":
        for line in _ps("-axww", "-o", "pid=,stat=,command=").splitlines():
            pid, state, *command = line.split(None, 2)
            if command and not state.startswith("Z"):
                yield int(pid), command[0]


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same id."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a live process; None when it is gone, a zombie, or cannot be told."""
        if sys.platform == "linux":
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return None
            state, started = fields[0], fields[19]
        elif sys.platform == "win32":
            return None
        else:
            state, _, started = _ps("-o", "stat=,lstart=", "-p", str(pid)).strip().partition(" ")
        return None if not started or state[0] in "ZX" else cls(pid, started.strip())

    @property
    def alive(self) -> bool:
        return Identity.of(self.pid) == self


def _ps(*options: str) -> str:
    return subprocess.run(["ps", *options], capture_output=True, text=True, check=False).stdout
