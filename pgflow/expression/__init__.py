"""Expressions: small questions about data, in CEL (the Common Expression Language).

An `Expression` is read once, and then evaluated as often as need be. A `Template` is any JSON value whose texts hold
expressions as `${...}`. What can be written, with every function: docs/expressions.md.

Whoever writes an expression need not be trusted: it reads what it is given and nothing else, it always ends, and both
its work and its result are bounded (`bounds`). Why it is read and evaluated here, and not by a library: decision 0024.
"""

from __future__ import annotations

from pgflow.expression.expression import Expression
from pgflow.expression.faults import ExpressionError
from pgflow.expression.references import Known
from pgflow.expression.template import Template

__all__ = ["Expression", "ExpressionError", "Known", "Template"]
