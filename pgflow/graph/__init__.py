"""Workflows as graphs, with nothing known of databases and workers: what a definition is, what is wrong with one, and
what follows when a node has ended.

`document` is the shape of a definition, the same in JSON, YAML and Python. `fates` is the law: which nodes begin, and
which are skipped. `checks` finds all that is wrong with a definition at once, each with its path.
"""

from __future__ import annotations

from pgflow.graph.document import Definition, Edge, Node, OnFailure, Problem, Retry, Rule, TooBig
from pgflow.graph.fates import Fate, Fates

__all__ = ["Definition", "Edge", "Fate", "Fates", "Node", "OnFailure", "Problem", "Retry", "Rule", "TooBig"]
