"""The OpenAPI 3.1 document, from the table of routes and the very annotations that requests are checked by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from pgflow import __version__
from pgflow.api.links import add_links
from pgflow.api.models import Problem
from pgflow.api.operation import Operation
from pgflow.api.problems import CODES, MEDIA_TYPE
from pgflow.api.revisions import ON_CONDITION
from pgflow.api.routing import Needs, Route

REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_TAG = re.compile(r"^/api/v1/([\w-]+)")
_ETAG = {"schema": {"type": "string"}, "description": "Changes with the answer."}
_ALWAYS = ("too_many_requests", "headers_too_large", "internal", "unavailable")


def document(table: Sequence[Route]) -> dict[str, Any]:
    """The whole document."""
    described = [
        (route, method, needs, operation)
        for route in table
        if not route.hidden
        for method, needs, operation in route.methods()
        if operation is not None
    ]
    adapters: list[tuple[str, Any, TypeAdapter[Any]]] = [("problem", "serialization", TypeAdapter(Problem))]
    for number, (_, _, _, operation) in enumerate(described):
        if operation.body is not None:
            adapters.append((f"{number}.body", "validation", TypeAdapter(operation.body)))
        if operation.answer is not None:
            adapters.append((f"{number}.answer", "serialization", operation.answer))
    schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for number, (route, method, needs, operation) in enumerate(described):
        body = schemas.get((f"{number}.body", "validation"))
        answer = schemas.get((f"{number}.answer", "serialization"))
        paths.setdefault(route.path, {})[method.lower()] = _operation(route, method, needs, operation, body, answer)
    components = definitions.get("$defs", {})
    add_links(paths, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pgflow",
            "version": __version__,
            "description": (
                "Durable workflows and tasks on Postgres. Errors are RFC 9457 problem documents, whose `code` never "
                "changes. Ids are text; instants are RFC 3339 in UTC."
            ),
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token, which begins with pgf_."},
                "session": {"type": "apiKey", "in": "cookie", "name": "pgflow_session"},
            },
        },
    }


def _operation(route: Route, method: str, needs: Needs, operation: Operation, body: Any, answer: Any) -> dict[str, Any]:
    found = _TAG.match(route.path)
    made: dict[str, Any] = {
        "operationId": name_of(route, method),
        "summary": operation.summary,
        "description": operation.description,
        "tags": [found[1] if found else "health"],
        "x-role": needs.role.word if needs.role else None,
        "x-scoped": needs.scoped,
        "parameters": [*_path(route, operation), *_query(operation.query), *_headers(method, operation)],
        "responses": _responses(route, method, needs, operation, answer),
    }
    if needs.role is None:
        made["security"] = []
    if operation.changes:
        made["x-audit"] = operation.changes
    if body is not None:
        made["requestBody"] = {
            "required": not operation.optional_body, "content": {"application/json": {"schema": body}}
        }  # fmt: skip
    return made


def name_of(route: Route, method: str) -> str:
    """An operation's name, such as `post_runs_id_cancel`; of one beside the API, `get_root_metrics`."""
    path = route.path.removeprefix("/api/v1")
    words = re.findall(r"\w+", path)
    return "_".join([method.lower(), *([] if path != route.path else ["root"]), *words])


def _path(route: Route, operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": operation.path[name].json_schema()}
        for name in _PARAMETER.findall(route.path)
    ]


def _query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    _, schema = models_json_schema([(model, "validation")], ref_template=REF)
    (found,) = [one for name, one in schema["$defs"].items() if name == model.__name__]
    required = set(found.get("required", ()))
    parameters = []
    for name, described in found.get("properties", {}).items():
        inlined = _inlined(described, schema["$defs"])
        text = inlined.pop("description", None)
        one = {"name": name, "in": "query", "required": name in required, "schema": _without_null(inlined)}
        parameters.append(one | ({"description": text} if text else {}))
    return parameters


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with what it refers to put in, for a parameter stands by itself."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {name: _inlined(one, definitions) for name, one in schema.items()}
    return [_inlined(one, definitions) for one in schema] if isinstance(schema, list) else schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is not null."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    rest = {name: one for name, one in schema.items() if name not in {"anyOf", "title"} and one is not None}
    if not options:
        return rest
    return rest | (options[0] if len(options) == 1 else {"anyOf": options})


def _headers(method: str, operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in {**operation.headers, **(ON_CONDITION if _is_asked_for(method, operation) else {})}.items()
    ]


def _responses(route: Route, method: str, needs: Needs, operation: Operation, answer: Any) -> dict[str, Any]:
    content = {"content": {operation.media_type: {"schema": answer or {}}}}
    empty = operation.status == 204
    made: dict[str, Any] = {str(operation.status): {"description": operation.summary} | ({} if empty else content)}
    for other, text in operation.statuses.items():
        made[str(other)] = {"description": text} | ({} if other in {204, 304} else content)
    if operation.tagged is not None:
        for good in [status for status in made if status < "300"]:
            made[good]["headers"] = {"ETag": _ETAG}
    if _is_asked_for(method, operation):
        made["304"] = {"description": "It is what If-None-Match names.", "headers": {"ETag": _ETAG}}
    if operation.query is not None:
        made["414"] = {"description": "The address is longer than the server takes."}
    problem = {"schema": {"$ref": REF.format(model="Problem")}}
    for code in _codes(route, needs, operation):
        status = str(CODES[code][0])
        if status in made and MEDIA_TYPE not in made[status].get("content", {}):
            made[status].setdefault("content", {})[MEDIA_TYPE] = problem
            continue
        known = made.get(status)
        text = f"`{code}`: {CODES[code][1]}"
        made[status] = {
            "description": f"{known['description']}; {text}" if known else text, "content": {MEDIA_TYPE: problem}
        }  # fmt: skip
    return dict(sorted(made.items()))


def _is_asked_for(method: str, operation: Operation) -> bool:
    """Whether it is asked for on condition."""
    return method == "GET" and operation.tagged is not None


def _codes(route: Route, needs: Needs, operation: Operation) -> list[str]:
    """Every code that the operation may answer with."""
    codes = list(_ALWAYS)
    codes.append("invalid")
    if needs.role is not None:
        codes += ["unauthenticated", "forbidden"]
        if operation.changes or operation.unaudited:
            codes.append("cross_site")
    if operation.path:
        codes.append("not_found")
    if operation.body is not None:
        codes += ["bad_request", "bad_json", "too_large", "unsupported_media_type"]
    if operation.changes:
        codes.append("conflict")
        if operation.changes.endswith(".create"):
            codes.append("name_taken")
    codes += operation.problems
    del route
    return list(dict.fromkeys(codes))
