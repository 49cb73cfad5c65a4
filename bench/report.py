from __future__ import annotations
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1)


def save(where, documents): ...
def write(where): ...
