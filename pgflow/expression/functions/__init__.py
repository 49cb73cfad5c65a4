"""The functions that an expression may call, all as `f(x, y)` and as `x.f(y)`."""

from __future__ import annotations

from pgflow.expression.faults import Fault, suggestion
from pgflow.expression.functions import collections, conversions, encodings, numbers, texts, times
from pgflow.expression.functions.declaring import Function

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for library in (
        conversions.LIBRARY,
        texts.LIBRARY,
        numbers.LIBRARY,
        collections.LIBRARY,
        times.LIBRARY,
        encodings.LIBRARY,
    )
    for function in library.functions
}
"""Every function by its name."""

MACROS = ("all", "default", "exists", "exists_one", "filter", "has", "map", "sort_by")
"""What looks like a function and is read by the parser."""


def find(name: str, count: int, at: int) -> Function:
    """The function of a name.

    Args:
        name: what is called.
        count: how many arguments it is given, the target of a method included.
        at: where the call stands.

    Raises:
        Fault: there is none, or it takes another number of arguments.
    """
    function = FUNCTIONS.get(name)
    if function is None:
        if name in MACROS:
            raise Fault(f"{name}() is called on a list", at, hint=f"list.{name}(x, ...)")
        raise Fault(f"there is no function {name!r}", at, hint=suggestion(name, (*FUNCTIONS, *MACROS)))
    if count < function.least or (function.most is not None and count > function.most):
        raise Fault(f"{name}() takes {function.counts()}, not {count}", at, hint=function.usage)
    return function


__all__ = ["FUNCTIONS", "MACROS", "Function", "find"]
