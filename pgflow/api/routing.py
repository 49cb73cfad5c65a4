"""What a route is: a path, the resource that answers, and who may use which of its methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgflow.access import Role
from pgflow.api.operation import Operation

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Needs:
    """Who may do something.

    Args:
        role: the least one; None: anybody, without a token.
        scoped: also somebody whose scopes leave out something; then the responder sees to it that they get only theirs.
    """

    role: Role | None
    scoped: bool = False


PUBLIC = Needs(None)
VIEWER, VIEWER_IN_SCOPE = Needs(Role.VIEWER), Needs(Role.VIEWER, scoped=True)
OPERATOR, OPERATOR_IN_SCOPE = Needs(Role.OPERATOR), Needs(Role.OPERATOR, scoped=True)
ADMIN = Needs(Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Route:
    """A path.

    Args:
        path: as falcon writes it, such as `/api/v1/runs/{id}`.
        resource: has the responders.
        suffix: of their names, as in `on_post_cancel`.
        get: who may use that method; None: there is none.
        post: the same.
        put: the same.
        patch: the same.
        delete: the same.
        hidden: it is not in the OpenAPI document.
    """

    path: str
    resource: Any
    suffix: str | None = None
    get: Needs | None = None
    post: Needs | None = None
    put: Needs | None = None
    patch: Needs | None = None
    delete: Needs | None = None
    hidden: bool = False

    def methods(self) -> Iterator[tuple[str, Needs, Operation | None]]:
        """Each method that there is, in capitals, who may use it, and what is known of it."""
        for method in METHODS:
            name = f"on_{method}_{self.suffix}" if self.suffix else f"on_{method}"
            responder = getattr(self.resource, name, None)
            needs = getattr(self, method)
            assert (needs is None) == (responder is None), f"{self.path}: {name} and who may use it do not fit"
            if needs is not None:
                yield method.upper(), needs, getattr(responder, "operation", None)
