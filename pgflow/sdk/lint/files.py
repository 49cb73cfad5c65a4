"""Which files to look through."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_SKIPPED = {"node_modules", "site-packages", "__pycache__"}


def python_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among these paths and the Python files in the folders among them, each once.

    Folders that are hidden, or hold what others wrote (virtual environments, `node_modules`), are passed over unless
    they are named.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _below(path) if path.is_dir() else [path]:
            if (known := file.absolute()) not in seen:
                seen.add(known)
                yield file


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(root, name)))
        yield from (Path(root, name) for name in sorted(files) if name.endswith(".py"))


def _is_skipped(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists()
