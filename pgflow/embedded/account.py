"""The account a server runs under: PostgreSQL refuses to be root, and nothing here needs to be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class User:
    """The account a server runs under when pgflow itself runs as root."""

    name: str
    uid: int
    gid: int


def unprivileged_user() -> User | None:
    """The account to drop to: `postgres`, else `nobody`; None when there is nothing to drop."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(name, entry.pw_uid, entry.pw_gid)
    return User("65534", 65534, 65534)


def as_user(user: User | None) -> dict[str, Any]:
    """The keyword arguments that make `subprocess` run a child as `user`."""
    return {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}


def can_enter(directory: Path, user: User | None) -> bool:
    """Whether `user` can reach `directory` through all of its parents."""
    if user is None:
        return os.access(directory, os.X_OK)
    probe = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)]
    return subprocess.run(probe, check=False, cwd="/", stderr=subprocess.DEVNULL, **as_user(user)).returncode == 0
