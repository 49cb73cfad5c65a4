"""A static check of workflow code for what breaks its replay.

    findings  what is said of a place, and the comments that silence it
    rules     the codes with their texts, and against which names they are (`forbidden`)
    scopes    which name is bound where
    names     what a name stands for
    contexts  which expression is a workflow's context
    bodies    which code runs again at every replay
    calls, sets, suspension, state   the checks
    linter    all of it, on a file
    files     which files there are

It knows a module's text and nothing else: no import is followed, so what a function of another module does is not seen.
Where it cannot tell, it keeps silent.
"""

from __future__ import annotations

from pgflow.sdk.lint.files import python_files
from pgflow.sdk.lint.findings import Finding, Level
from pgflow.sdk.lint.linter import lint_file, lint_source
from pgflow.sdk.lint.rules import RULES, Rule

__all__ = ["RULES", "Finding", "Level", "Rule", "lint_file", "lint_source", "python_files"]
