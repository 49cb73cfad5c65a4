"""Ports of 127.0.0.1."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def port_is_free(port: int) -> bool:
    """Whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket() as probe:
        if os.name == "posix":  # there it only skips connections that linger after a restart
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on; somebody may take it before its user does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def kept_port(path: Path) -> int | None:
    """The port in `path`, if there is one."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
