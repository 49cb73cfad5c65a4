"""Starting and ending a server as a child that does not outlive this process.

The child gets its own session: a Ctrl-C in the terminal reaches this process alone, which then shuts down in order.
On Linux the kernel is asked to signal the child when this process dies, be it by `kill -9`. The kernel ties that
promise to the *thread* that forked and forgets it when the child changes its user. So the fork happens on a thread
that lives as long as the child, and the promise is asked for in the child, after `subprocess` has changed the user.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from pgflow.embedded.account import User, as_user

PR_SET_PDEATHSIG = 1
KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows knows one way only


def launch(
    command: Sequence[str | Path],
    *,
    output: IO[bytes],
    cwd: Path,
    user: User | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a server as a child of this process, in its own session.

    Args:
        output: where its standard output and error go.
        user: the account to drop to.
        death_signal: what the child gets when this process dies, however it dies (Linux only).
    """

    def start() -> subprocess.Popen[bytes]:
        with warnings.catch_warnings():
            # Newer Pythons warn of any fork beside threads; the child only makes the two system calls below.
            warnings.simplefilter("ignore", DeprecationWarning)
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=environment,
                umask=0o077 if os.name == "posix" else -1,
                start_new_session=True,
                preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 (see above)
                **as_user(user),
            )

    if sys.platform != "linux" or threading.current_thread() is threading.main_thread():
        return start()
    return _start_on_lasting_thread(start)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a forked child runs (after `subprocess` changed the user) to be signalled when its parent dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask_kernel


def _start_on_lasting_thread(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Fork on a thread that ends no sooner than the child, whichever thread asks."""
    outcome: Future[subprocess.Popen[bytes]] = Future()

    def keep() -> None:
        try:
            child = start()
        except BaseException as error:  # noqa: BLE001 (raised again where the result is read)
            outcome.set_exception(error)
            return
        outcome.set_result(child)
        if sys.platform == "linux":
            with contextlib.suppress(ChildProcessError):  # its owner has reaped it
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    threading.Thread(target=keep, name="pgflow-embedded", daemon=True).start()
    return outcome.result()


def end(process: subprocess.Popen[bytes], request: Callable[[], None], patience: float = 10.0) -> None:
    """Ask a child to stop, wait `patience` seconds, then kill it; it is reaped either way."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            request()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def wait_until(condition: Callable[[], bool], timeout: float, interval: float = 0.01) -> bool:
    """Poll `condition` until it holds; False when it does not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True
