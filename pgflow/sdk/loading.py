"""Finding the apps in a user's code: in a module, a file or a folder; and the definitions that lie beside it."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pgflow.errors import AppLoadError, RegistrationError
from pgflow.sdk.app import App
from pgflow.sdk.task import Task

_SKIPPED = {"__pycache__", "node_modules", "site-packages", "tests", "test", "venv", "env", "build", "dist"}
_MENTIONS = re.compile(rb"^\s*(?:from|import)\s+pgflow\b", re.MULTILINE)
_DEFINITION = re.compile(rb"""^\s*["']?nodes["']?\s*:""", re.MULTILINE)
WRITTEN = {".yaml", ".yml", ".json"}
"""Endings of files that may hold the definition of a workflow."""
_MAX_FILES = 5000


def load(targets: Iterable[str]) -> dict[str, Task[..., Any]]:
    """Import the targets and return all tasks of the apps in them, by name.

    Args:
        targets: `package.module`, `package.module:app`, a file, or a folder that is searched for files which import
            pgflow. One that holds definitions of workflows needs no app.

    Raises:
        AppLoadError: a target cannot be imported (with the traceback from the user's own file on) or holds no app.
        RegistrationError: two tasks have one name.
    """
    tasks: dict[str, Task[..., Any]] = {}
    for target in targets:
        apps = list(_apps(target))
        if not apps and not definition_files(target):
            raise AppLoadError(f"no app found in {target}", hint="an app is a module-level `app = pgflow.App()`")
        for app in apps:
            for name, task in app.tasks.items():
                if name in tasks and tasks[name] is not task:
                    raise RegistrationError(f"two tasks are named {name}", hint="give one of them another name=")
                tasks[name] = task
    return tasks


def definition_files(target: str) -> list[Path]:
    """The files in a folder, or the file, that look like definitions of workflows: YAML or JSON with `nodes`."""
    path = _path(target)
    files: Iterable[Path] = [path] if path.is_file() else _files(path, WRITTEN)
    return [file for file in files if file.suffix in WRITTEN and _DEFINITION.search(file.read_bytes())]


def _path(target: str) -> Path:
    path = Path(target)
    try:
        path.exists()
    except OSError as error:  # its name is too long, say
        raise AppLoadError(f"{target[:100]} cannot be looked at: {error.strerror}") from None
    return path


def _apps(target: str) -> Iterator[App]:
    path = _path(target)
    if path.is_dir():
        modules: list[ModuleType] = [_import(_module_name(file), file) for file in _candidates(path)]
    elif path.suffix in WRITTEN and path.exists():
        return
    elif path.suffix == ".py":
        if not path.exists():
            raise AppLoadError(f"there is no file {target}")
        modules = [_import(_module_name(path), path)]
    else:
        name, _, attribute = target.partition(":")
        _importable(Path.cwd())
        module = _import(name, None)
        if attribute:
            app = getattr(module, attribute, None)
            if not isinstance(app, App):
                raise AppLoadError(f"{attribute!r} in module {name} is not an App")
            yield app
            return
        modules = [module]
    seen: set[int] = set()
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, App) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _candidates(folder: Path) -> list[Path]:
    found = []
    for file in _files(folder, {".py"}):
        if _MENTIONS.search(file.read_bytes()):
            found.append(file)
        if len(found) > _MAX_FILES:
            raise AppLoadError(f"{folder} holds more than {_MAX_FILES} files that import pgflow", hint="name a module")
    return found


def _files(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
        yield from (Path(root, file) for file in sorted(files) if Path(file).suffix in suffixes)


def _module_name(file: Path) -> str:
    """The dotted name under which other modules would import this file; its import root goes onto sys.path."""
    file = file.resolve()
    parts = [] if file.name == "__init__.py" else [file.stem]
    root = file.parent
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    _importable(root)
    return ".".join(parts)


def _importable(root: Path) -> None:
    if str(root.resolve()) not in sys.path:
        sys.path.insert(0, str(root.resolve()))


def _import(name: str, file: Path | None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (RegistrationError, AppLoadError):
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = str(file) if file else name
        raise AppLoadError(
            f"{where} could not be imported:\n{_trimmed(error)}", hint="mend the file, then again"
        ) from None


def _trimmed(error: BaseException) -> str:
    """The traceback without our own and importlib's frames at its top."""
    ours = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    while frames and (frames[0].filename.startswith(ours) or "importlib" in frames[0].filename):
        frames.pop(0)
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()
