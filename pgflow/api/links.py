"""Links of the OpenAPI document: what an answer tells that another operation asks for.

Nobody writes them down. What is answered by a path is looked for below it: the `id` of a run that `POST /api/v1/runs`
has started is the one of `/api/v1/runs/{id}/cancel`. Whatever starts a run, by whichever door, answers with `Started`,
and leads to the runs.
"""

from __future__ import annotations

import re
from typing import Any

RUNS = "/api/v1/runs"
_PARAMETER = re.compile(r"\{(\w+)\}")
_STARTED = "#/components/schemas/Started"
_REF = re.compile(r"#/components/schemas/(\w+)")

Paths = dict[str, dict[str, Any]]


def add_links(paths: Paths, schemas: dict[str, Any]) -> None:
    """Put links into what answers a thing with a name or an id."""
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method not in {"post", "put"}:
                continue
            for status, response in operation["responses"].items():
                found = _of(path, status, response, paths, schemas)
                if found:
                    response["links"] = found


def _of(path: str, status: str, response: dict[str, Any], paths: Paths, schemas: dict[str, Any]) -> dict[str, Any]:
    if not status.startswith("2"):
        return {}
    answer = response.get("content", {}).get("application/json", {}).get("schema", {})
    home = RUNS if answer.get("$ref") == _STARTED else _PARAMETER.sub("", path).rstrip("/") if _is_item(path) else path
    links = {}
    for other, operations in paths.items():
        below = re.fullmatch(re.escape(home) + r"/\{(\w+)\}(?:/\w+)?", other)
        if below is None or below[1] not in _properties(answer, schemas):
            continue
        for target in operations.values():
            links[target["operationId"]] = {
                "operationId": target["operationId"], "parameters": {below[1]: f"$response.body#/{below[1]}"},
            }  # fmt: skip
    return links


def _is_item(path: str) -> bool:
    """Whether it is the path of one thing, which is put there."""
    return path.endswith("}")


def _properties(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    found = _REF.fullmatch(schema.get("$ref", ""))
    return set((schemas[found[1]] if found else schema).get("properties", ()))
