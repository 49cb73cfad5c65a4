"""Definitions as YAML for people. What is written here reads back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml as pyyaml

from pgflow import yaml

_SHORT = 100


def to_yaml(document: Mapping[str, Any]) -> str:
    """A definition as YAML.

    Args:
        document: as JSON.

    Example:
        >>> print(to_yaml({"name": "tidy", "edges": [{"from": "a", "to": "b", "branch": "true"}]}), end="")
        name: tidy
        edges:
        - {from: a, to: b, branch: 'true'}
    """
    text: str = pyyaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(pyyaml.SafeDumper):
    """Quotes whatever `pgflow.yaml`, or others, would take for something else than text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as yaml declares it)
        first: [*pyyaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *yaml.resolvers().get(first, [])]
        for first in {*pyyaml.SafeDumper.yaml_implicit_resolvers, *yaml.resolvers()}
    }

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (yaml asks so)
        """What stands in two places is written twice."""
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> pyyaml.SequenceNode:
        """A list of short objects, such as edges, has each on one line; a short list of words is one line itself."""
        node = super().represent_sequence(tag, sequence, flow_style)
        for part in node.value:
            if isinstance(part, pyyaml.MappingNode) and _is_short(part):
                part.flow_style = True
        node.flow_style = bool(node.value) and _is_short(node)
        return node


def _is_short(node: pyyaml.MappingNode | pyyaml.SequenceNode) -> bool:
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    scalars = all(isinstance(part, pyyaml.ScalarNode) and "\n" not in part.value for part in parts)
    return scalars and sum(len(part.value) + 2 for part in parts) < _SHORT


def _text(dumper: pyyaml.SafeDumper, text: str) -> pyyaml.ScalarNode:
    if any(character in text for character in "\r\x85\u2028\u2029\ufeff"):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    style = "|" if "\n" in text.strip("\n") and all(line == line.strip("\n\r") for line in text.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
