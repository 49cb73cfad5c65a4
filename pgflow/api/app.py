"""`create_app` puts the API together: where a request comes from, the gate, its responder, what answers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon
import falcon.asgi
import structlog

from pgflow.api import answers
from pgflow.api.address import Addresses
from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.document import document
from pgflow.api.gate import Gate, check_origin
from pgflow.api.metering import Metering
from pgflow.api.problems import MEDIA_TYPE, ProblemError, problem_of
from pgflow.api.rates import Rates
from pgflow.api.resources.reference import Reference
from pgflow.api.routes import Kit, routes
from pgflow.api.routing import Needs, Route
from pgflow.config import Settings
from pgflow.sdk.task import Task

log = structlog.get_logger("pgflow.api")

SWALLOWED = 32 * 1024
"""Bytes of a body that have come by the time it is refused, mostly."""


def create_app(
    settings: Settings, tasks: Mapping[str, Task[..., Any]] | None = None, *, processes: int = 1
) -> falcon.asgi.App[Any, Any]:
    """The API as an ASGI application.

    Args:
        settings: where the engine is, and what the API may do.
        tasks: those whose code is at hand, by name: their arguments are checked when they are started, and their
            options count. Any other is started by its name.
        processes: how many processes like this one share what may be asked.

    Example:
        >>> app = create_app(config.load())                                  # doctest: +SKIP
    """
    backend = Backend(settings, tasks or {})
    rates = Rates(settings, processes)
    gate = Gate(backend, rates)
    reference = Reference()
    kit = Kit(backend, gate, rates, reference)
    table = routes(kit)
    reference.make = lambda: document(table)
    needs = {(route.path, method): who for route in table for method, who, _ in route.methods()}
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App(
        middleware=[Metering(kit.meter), _Common(backend, gate, Addresses(settings.api_proxies), needs)]
    )
    app.req_options.strip_url_path_trailing_slash = False
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False
    app.ws_options.max_receive_queue = 4
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _handle)
    app.add_error_handler(falcon.HTTPError, _handle)
    app.add_error_handler(ProblemError, _handle)
    for route in table:
        _add(app, route)
    return app


def _add(app: falcon.asgi.App[Any, Any], route: Route) -> None:
    if route.suffix:
        app.add_route(route.path, route.resource, suffix=route.suffix)
    else:
        app.add_route(route.path, route.resource)


class _Common:
    """What is done with every request."""

    def __init__(
        self, backend: Backend, gate: Gate, addresses: Addresses, needs: Mapping[tuple[str, str], Needs]
    ) -> None:
        self._backend = backend
        self._gate = gate
        self._addresses = addresses
        self._needs = needs

    async def process_startup(self, scope: Any, event: Any) -> None:
        await self._backend.open()

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        await self._backend.close()

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        self._greet(req)
        await self._gate.count(req.context.asked)  # also what has no route, or no such method

    async def process_resource(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: Any, params: Any
    ) -> None:  # fmt: skip
        needs = self._needs.get((req.uri_template or "", req.method))
        if needs is not None:  # else falcon answers: the method is not there, or OPTIONS
            await self._gate.admit(req.context.asked, needs, resp)

    async def process_request_ws(self, req: falcon.asgi.Request, ws: Any) -> None:
        self._greet(req)
        await self._gate.count(req.context.asked)

    async def process_resource_ws(self, req: falcon.asgi.Request, ws: Any, resource: Any, params: Any) -> None:
        asked: Asked = req.context.asked
        needs = self._needs.get((req.uri_template or "", "GET"))
        if needs is None:
            raise ProblemError("not_found", "no socket is opened here")
        await self._gate.admit(asked, needs, falcon.asgi.Response())
        if asked.session is not None:
            check_origin(asked, self._backend.settings.public_url, always=True)

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: Any, req_succeeded: bool
    ) -> None:  # fmt: skip
        asked = getattr(req.context, "asked", None)
        answers.condition(req, resp)
        answers.dress(resp, asked.request_id if asked else None)
        await answers.compress(req, resp)

    def _greet(self, req: falcon.asgi.Request) -> None:
        id = answers.request_id(req)
        client = req.scope.get("client")
        peer = next(iter(client)) if client else None
        address = self._addresses.of(peer, req.get_header("X-Forwarded-For"))
        asked = Asked(self._backend, req, id, address)
        asked.forwarded_https = (
            req.get_header("X-Forwarded-Proto") == "https" and self._addresses.proxied(peer)
        )  # fmt: skip
        req.context.asked = asked


async def _handle(
    req: falcon.asgi.Request, resp: falcon.asgi.Response | None, error: Exception, params: Any, ws: Any = None  # noqa: ARG001
) -> None:  # fmt: skip
    problem = problem_of(error)
    asked: Asked | None = getattr(req.context, "asked", None)
    id = asked.request_id if asked else None
    if problem.code in {"internal", "unavailable"}:
        log.error(
            "request_failed", request_id=id, method=req.method, path=req.path, code=problem.code,
            error=f"{type(error).__name__}: {error}", exc_info=error if problem.code == "internal" else None,
        )  # fmt: skip
    if ws is not None:
        await ws.close(4000 + problem.status)
        return
    assert resp is not None
    resp.status = falcon.code_to_http_status(problem.status)
    for name, value in problem.headers.items():
        resp.set_header(name, value)
    if (req.content_length or 0) > SWALLOWED or req.get_header("Transfer-Encoding"):
        # What was not read of the body still comes, so the server closes the connection, and the client has to know.
        resp.set_header("Connection", "close")
    resp.content_type = MEDIA_TYPE
    resp.data = problem.document(id).model_dump_json(exclude_none=True).encode()


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """For what falcon answers without asking a handler."""
    asked: Asked | None = getattr(req.context, "asked", None)
    resp.content_type = MEDIA_TYPE
    document = problem_of(error).document(asked.request_id if asked else None)
    resp.data = document.model_dump_json(exclude_none=True).encode()
