"""What is measured of the API itself. Each process counts for itself; where there are several, all of them leave what
they count in files of one folder (prometheus-client's way), and whichever is asked adds it up."""

from __future__ import annotations

import os
import time
from typing import Any

import falcon.asgi
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Counted by their names. Any word may be sent as a method, and each would be a series that is kept for ever."""
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with that folder."""
BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.5)


class Meter:
    """Counts what this process does.

    Attributes:
        requests: that were answered.
        seconds: from a request to the beginning of its answer.
        streams: that are open.
        ended: streams that are no longer, by why.
    """

    def __init__(self) -> None:
        self._folder = os.environ.get(SHARED)
        if self._folder:
            values.ValueClass = values.MultiProcessValue(os.getpid)  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "pgflow_api_requests", "Requests that were answered.", ["method", "route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "pgflow_api_request_seconds", "From a request to the beginning of its answer.", ["route"], buckets=BUCKETS,
            registry=self._registry,
        )  # fmt: skip
        self.streams = Gauge(
            "pgflow_api_streams", "Streams of events that are open.", ["kind"], multiprocess_mode="livesum",
            registry=self._registry,
        )  # fmt: skip
        self.ended = Counter(
            "pgflow_api_streams_ended", "Streams of events that ended.", ["why"], registry=self._registry
        )

    def text(self) -> bytes:
        """Everything, of all processes, as Prometheus reads it."""
        if not self._folder:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget(folder: str, pid: int) -> None:
    """A process has ended: what it had open is no longer."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


class Metering:
    """Counts each request, as falcon's middleware."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """It begins."""
        req.context.began = time.perf_counter()

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: Any, req_succeeded: bool
    ) -> None:
        """It was answered; a stream, as far as its beginning."""
        route = req.uri_template or "none"
        method = "any" if route == "none" else req.method if req.method in METHODS else "other"
        self._meter.requests.labels(method, route, str(resp.status_code)).inc()
        began = getattr(req.context, "began", None)
        if began is not None:
            self._meter.seconds.labels(route).observe(time.perf_counter() - began)
