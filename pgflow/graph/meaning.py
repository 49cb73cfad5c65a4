"""What of a definition counts: the same meaning has the same checksum, however it was written down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from pgflow.graph.document import Definition


def meaning(definition: Definition) -> dict[str, Any]:
    """What a definition says, in one form: what is as it is anyway is left out, `30s` and `30` are one.

    Nodes go by name and edges by their ends, for their order means nothing. In what is the author's own, such as the
    cases of a switch and the fields of a form, order does mean something, and stays.
    """
    said: dict[str, Any] = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    said["nodes"] = dict(sorted(said["nodes"].items()))
    if "edges" in said:
        said["edges"].sort(key=lambda edge: (edge["from"], edge["to"]))
    if "tags" in said:
        said["tags"] = dict(sorted(said["tags"].items()))
    return said


def checksum(definition: Definition) -> bytes:
    """The SHA-256 of what a definition says."""
    return hashlib.sha256(orjson.dumps(meaning(definition))).digest()


def placed(document: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """A document whose nodes stand where they stood before, unless it says where.

    So a file without positions, applied again, does not undo what was arranged on the canvas.
    """
    old = (before or {}).get("nodes")
    if not isinstance(old, Mapping):
        return dict(document)
    nodes = {}
    for name, node in document["nodes"].items():
        position = old[name].get("position") if name in old else None
        nodes[name] = node if position is None or node.get("position") else {**node, "position": position}
    return {**document, "nodes": nodes}
