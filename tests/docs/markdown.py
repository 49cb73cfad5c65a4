"""The documents of the repository as their tests read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"(?:^<!-- needs: (?P<needs>\w+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FILE = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    line: int
    needs: str | None

    @property
    def file(self) -> str | None:
        """The file that the block is a part of, if its first line says so."""
        match = _FILE.match(self.text)
        return match[1] if match else None


def documents() -> list[Path]:
    """Every document that is written for people."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return sorted(path for path in found if ".venv" not in path.parts)


def blocks(path: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a document that are in one of these languages."""
    text = path.read_text("utf-8")
    return [
        Block(m["language"], m["text"], text.count("\n", 0, m.start()) + 1, m["needs"])
        for m in _FENCE.finditer(text)
        if m["language"] in languages
    ]


def links(path: Path) -> list[str]:
    """The targets of a document's links, as they are written."""
    return _LINK.findall(re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL))


def anchors(path: Path) -> set[str]:
    """What a link to this document may have after `#`."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = (re.sub(r"[^\w\- ]", "", heading.replace("`", "")) for heading in _HEADING.findall(text))
    return {heading.strip().lower().replace(" ", "-") for heading in headings}
