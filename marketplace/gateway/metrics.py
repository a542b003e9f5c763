"""What is counted: requests by route and status, how long they took, open streams, and how far the projection is behind."""

from __future__ import annotations

from time import perf_counter

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.gateway.methods import method_in
from marketplace.services.answers import Readiness

NO_ROUTE = "none"


class Metrics:
    """One application's numbers, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("bourse_gateway_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "bourse_gateway_request_seconds", "Seconds until the answer began", ("route",), registry=self.registry
        )
        self.running = Gauge(
            "bourse_gateway_requests_running", "Requests being answered, streams included", registry=self.registry
        )
        self.head = Gauge("bourse_gateway_chain_head_block", "The newest block seen", registry=self.registry)
        self.projection = Gauge(
            "bourse_gateway_projection_block", "The block of the projection", registry=self.registry
        )

    def note(self, readiness: Readiness) -> None:
        """Keep what a look at the neighbours told."""
        if readiness.head is not None:
            self.head.set(readiness.head.number)
        if readiness.projection is not None:
            self.projection.set(readiness.projection.number)


class CountRequests:
    """ASGI middleware: counts, and tells browsers never to guess what an answer is."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, metrics = perf_counter(), self._metrics

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = _route_of(scope)
                metrics.requests.labels(_label_of(scope), route, str(message["status"])).inc()
                metrics.seconds.labels(route).observe(perf_counter() - began)
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        with metrics.running.track_inprogress():
            await self._app(scope, receive, counted)


def _route_of(scope: Scope) -> str:
    """The route's template: paths themselves would make a label for every order."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def _label_of(scope: Scope) -> str:
    method = method_in(scope)
    return method if method in _METHODS else "OTHER"


def metrics_of(app: FastAPI) -> Metrics:
    """The numbers of this application."""
    metrics: Metrics = app.state.metrics
    return metrics
