"""Watchers of the API's stream of events, from a process of their own: many that read, and some that never do.

`python -m bench.watching` reads what to do as JSON from the first line of its standard input, and says `open` when all
watch. A second line tells how many events were written; it waits until every reader has them, and prints what came.

The readers are read from in turn, four times a second, and of what came only the events are counted: a client that
wakes for each event would take the cores from what is measured. One more, `timed`, is read at once, and how old its
events are is what tells how soon they come.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from bench.result import percentiles
from bench.worker import HOME

ROUND = 0.25
"""Seconds between two looks at the readers."""
PATIENCE = 60.0
"""Seconds to wait for what was written."""
_MARK = b"\ndata: "
_AT = re.compile(rb'"at":"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who watches.

    Args:
        port: on this machine.
        token: theirs.
        readers: how many read.
        deaf: how many never do.
    """

    port: int
    token: str
    readers: int
    deaf: int


@dataclass(slots=True)
class Seen:
    """What the watchers saw.

    Args:
        least: events that the reader with the fewest got.
        most: events that the reader with the most got.
        lag_ms: from an event's instant to its reader.
    """

    least: int
    most: int
    lag_ms: dict[str, float]


class Watchers:
    """A crowd in a process of its own, for a `with` block.

    Args:
        crowd: who watches.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def __enter__(self) -> Watchers:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.watching"], text=True, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._tell(asdict(self._crowd))
        if self._output.readline() != "open\n":
            raise RuntimeError("the watchers could not be opened")
        return self

    def seen(self, written: int) -> Seen:
        """Wait until everybody who reads has so many events."""
        self._tell(written)
        return Seen(**json.loads(self._output.readline()))

    def _tell(self, what: Any) -> None:
        self._input.write(json.dumps(what) + "\n")
        self._input.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


class _Reader:
    """One that reads."""

    def __init__(self, crowd: Crowd) -> None:
        self.socket = _opened(crowd)
        self.socket.setblocking(False)
        self.events = 0
        self._rest = b""

    def take(self) -> bytes:
        """What has come."""
        try:
            came = self.socket.recv(1 << 20)
        except BlockingIOError:
            return b""
        text = self._rest + came
        self.events += text.count(_MARK)
        self._rest = text[-len(_MARK) + 1 :]
        return came


def _opened(crowd: Crowd, *, small: bool = False) -> socket.socket:
    made = socket.socket()
    if small:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    made.connect(("127.0.0.1", crowd.port))
    made.sendall(
        f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {crowd.token}\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    if not small:
        assert made.recv(4096).startswith(b"HTTP/1.1 200")
    return made


def main() -> None:
    """Entry point."""
    crowd = Crowd(**json.loads(sys.stdin.readline()))
    deaf = [_opened(crowd, small=True) for _ in range(crowd.deaf)]
    readers = [_Reader(crowd) for _ in range(crowd.readers)]
    timed, *others = readers
    print("open", flush=True)
    lags: list[float] = []
    written, end, due = -1, float("inf"), time.monotonic()
    while time.monotonic() < end and not min(one.events for one in readers) >= written >= 0:
        ready, _, _ = select.select([timed.socket, sys.stdin], [], [], max(0.0, due - time.monotonic()))
        if timed.socket in ready:
            came = timed.take()
            now = time.time()
            lags += [now - datetime.fromisoformat(at.decode()).timestamp() for at in _AT.findall(came)]
        if sys.stdin in ready and written < 0:
            written, end = int(sys.stdin.readline()), time.monotonic() + PATIENCE
        if time.monotonic() >= due:
            due = time.monotonic() + ROUND
            for one in others:
                one.take()
    counts = [one.events for one in readers]
    print(json.dumps(asdict(Seen(min(counts), max(counts), percentiles(lags)))), flush=True)
    sys.stdin.readline()
    for silent in deaf:
        silent.close()


if __name__ == "__main__":
    main()
