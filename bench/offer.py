"""A steady offer: so many probes a second, in small batches at fixed instants, from a process of its own.

`python -m bench.offer URL RATE SECONDS`. It does not wait for the system: when an enqueue is late, the next ones follow
at once, and what they carry is the instant at which they should have been asked for, so that a stall counts in full.
"""

from __future__ import annotations

import subprocess
import sys
import time

from bench.clients import PROBE
from bench.ground import NOOP
from bench.server import settings_of
from bench.worker import HOME
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.engine.enqueue import Request, enqueue

EVERY = 0.005


def offer(settings: Settings, rate: int, seconds: float) -> None:
    """Offer `rate` probes a second."""
    batch = max(1, round(rate * EVERY))
    with connect.open_sync(settings, "bench-offer") as connection:
        session = Session(connection, settings.schema_name, True)
        session.run(enqueue([Request(NOOP, b"{}")]))  # the first has to be planned
        begun = time.time()
        for number in range(round(seconds / EVERY)):
            due = begun + number * EVERY
            if (early := due - time.time()) > 0:
                time.sleep(early)
            session.run(enqueue([Request(PROBE, b'{"sent":%.6f}' % due)] * batch))


def offered(settings: Settings, rate: int, seconds: float) -> None:
    """Offer from another process, and wait for its end."""
    command = [sys.executable, "-m", "bench.offer", settings.require_url(), str(rate), str(seconds)]
    subprocess.run(command, check=True, cwd=HOME)


if __name__ == "__main__":
    offer(settings_of(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
