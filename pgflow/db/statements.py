"""Every statement pgflow sends lives in sql/<noun>/<verb>.sql and is loaded here.

The files write `pgflow.` literally. For an engine in another schema that prefix is replaced, which is safe as text
because a schema's name is a plain lower-case identifier (see config) and because the prefix is used for nothing but
our own objects, settings, channels and locks: all of which must differ between engines anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)
_INDENT = re.compile(r"\n\s+")
_PREFIX = re.compile(r"\bpgflow\.(?=[a-z_%])")
_SCHEMA = re.compile(r"\b(schema (?:if not exists )?)pgflow\b")


def home(name: str) -> Path:
    """The folder `sql` or `migrations`: inside the package when installed, beside it in a checkout."""
    packaged = Path(str(files("pgflow"))) / name
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / name


def in_schema(text: str, schema: str) -> str:
    """`text` with our schema's name put in for `pgflow`."""
    if schema == "pgflow":
        return text
    return _SCHEMA.sub(rf"\1{schema}", _PREFIX.sub(f"{schema}.", text))


@cache
def statement(name: str, schema: str = "pgflow") -> str:
    """The text of sql/<name>.sql for `schema`, without comments and indentation.

    psycopg remembers how it reads a text's placeholders only up to 4,096 characters; reading them anew would cost a
    single enqueue more than its statement (a test holds every statement below that).
    """
    text = (home("sql") / f"{name}.sql").read_text(encoding="utf-8")
    return in_schema(_INDENT.sub("\n", _COMMENT.sub("", text)).strip().rstrip(";"), schema)


@cache
def source(folder: str, stem: str) -> str:
    """The raw text of a file, comments included, for checksums and for people."""
    return (home(folder) / f"{stem}.sql").read_text(encoding="utf-8")


def stems(folder: str, under: str = "") -> Iterator[str]:
    """The names of the SQL files directly in `folder/under`, sorted."""
    yield from sorted(path.stem for path in (home(folder) / under).glob("*.sql"))
