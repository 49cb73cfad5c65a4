"""What an embedded server keeps on disk beside its data: a password, a log, and where the data is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import IO

from pgflow.embedded.account import User, can_enter
from pgflow.errors import EmbeddedError

PUBLIC = Path("/var/tmp")  # every account can go there, and it outlives a reboot
LOG_LIMIT = 16 * 1024 * 1024


def make_home(directory: Path, user: User | None) -> None:
    """Create `directory`, enterable for `user`; one that exists is left as it is."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            directory.chmod(0o700 if user is None else 0o711)
    except OSError as error:
        raise EmbeddedError(f"cannot create {directory}: {error}", hint="choose another directory") from error


def reachable_home(directory: Path, user: User | None) -> Path:
    """Where the data is kept: `directory`, or a stand-in when `user` cannot get there.

    The stand-in is remembered in `directory/location`, so that the data is found again even when the
    directory has become reachable in the meantime.
    """
    pointer = directory / "location"
    with contextlib.suppress(FileNotFoundError):
        remembered = Path(pointer.read_text().strip())
        if remembered.is_absolute():
            own_directory(remembered)
            return remembered
    if (directory / "postgres" / "PG_VERSION").exists() or can_enter(directory, user):
        return directory
    wanted = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    stand_in = public_directory(f"pgflow-{os.geteuid()}-{wanted}")
    write_privately(pointer, str(stand_in))
    return stand_in


def public_directory(name: str) -> Path:
    """A directory of ours where every account can go; see `own_directory`."""
    own_directory(PUBLIC / name)
    return PUBLIC / name


def own_directory(path: Path) -> None:
    """Make `path`, or make sure that it is ours: anybody can take a name in a temporary directory first.

    Raises:
        EmbeddedError: it belongs to somebody else, or others may write to it.
    """
    try:
        path.mkdir(mode=0o711)
        path.chmod(0o711)
    except FileExistsError:
        stat = path.lstat()
        if path.is_symlink() or stat.st_uid != os.geteuid() or stat.st_mode & 0o022:
            raise EmbeddedError(
                f"{path} is not exclusively ours", hint="remove it, after a look at who put it there"
            ) from None
    except OSError as error:
        raise EmbeddedError(f"cannot create {path}: {error}") from error


def write_privately(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, in one step."""
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        staging.unlink()
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    staging.replace(path)


def kept_password(path: Path) -> str:
    """The password in `path`, made up at the first call."""
    with contextlib.suppress(FileNotFoundError):
        if password := path.read_text().strip():
            return password
    password = secrets.token_hex(24)
    write_privately(path, password)
    return password


def open_log(path: Path) -> IO[bytes]:
    """Open a server's log for appending; one that has grown large is put aside first."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def read_log(path: Path, start: int) -> str:
    """What was written to a log since it was `start` bytes long."""
    with path.open("rb") as log:
        log.seek(start)
        return log.read().decode("utf-8", "replace")
