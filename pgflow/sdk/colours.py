"""Classes that there are in two colours, and what is said of them once."""

from __future__ import annotations


def document_like(ours: type, theirs: type) -> None:
    """Give the public methods of a class the docstrings that those of its twin have.

    Args:
        ours: the class whose methods say nothing of themselves.
        theirs: the one of the other colour.
    """
    for name, method in vars(ours).items():
        if not name.startswith("_") and callable(method):
            method.__doc__ = getattr(theirs, name).__doc__
