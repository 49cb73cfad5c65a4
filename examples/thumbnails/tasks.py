"""The two tasks of the graph: one that makes up pictures, one that makes a picture small."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pgflow
from pgflow import App
from thumbnails import pictures

app = App()


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture that was made small.

    Attributes:
        path: where it is.
        bytes: how large its file is.
    """

    path: str
    bytes: int


@app.task(name="thumbnails.paint", timeout="2m")
def paint(count: int, broken: int) -> list[str]:
    """Make up pictures, in a folder for the run; of every so many-th the end is missing. Returns their paths."""
    folder = Path(tempfile.gettempdir(), f"pgflow-thumbnails-{pgflow.current().run_id}")
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"{number}.ppm"
        content = pictures.painted(number)
        _write(path, content[:-100] if number % broken == broken - 1 else content)
        paths.append(str(path))
    return paths


@app.task(name="thumbnails.shrink", queue="thumbnails", retry=1, timeout="10s")
def shrink(path: str) -> Thumbnail:
    """Make a picture small. A broken one fails, and is not tried again: it will not get better."""
    small = Path(path).with_suffix(".png")
    content = pictures.shrunk(Path(path).read_bytes())
    _write(small, content)
    return Thumbnail(str(small), len(content))


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, however often this is done and whenever it is interrupted."""
    staging = path.with_suffix(f".{os.getpid()}")
    staging.write_bytes(content)
    staging.replace(path)
