"""The application: routes, problems, numbers. Everything it needs is handed in; it holds no state of its own."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import Depends, FastAPI

from marketplace.gateway.cors import AllowOrigins
from marketplace.gateway.desks import Desks
from marketplace.gateway.intake import Intake
from marketplace.gateway.methods import AnswerHead
from marketplace.gateway.metrics import CountRequests, Metrics
from marketplace.gateway.negotiation import require_fit
from marketplace.gateway.openapi import PROBLEM, document_of
from marketplace.gateway.problems import render_problems
from marketplace.gateway.rate_limiting import LimitRequests
from marketplace.gateway.routes import (
    accounts,
    blobs,
    companies,
    declines,
    docs,
    gpu_use,
    health,
    host_keys,
    job_keys,
    job_use,
    leases,
    market,
    measurements,
    orders,
    past,
    quotes,
    rounds,
    sessions,
    static,
    streams,
    vaults,
    warm_images,
)
from marketplace.gateway.static_files import Folder
from marketplace.gateway.streams import Lines
from marketplace.gateway.tags import TagAnswers

API_VERSION = "1"


def create_app(desks: Desks, *, origins: Collection[str] = (), page: Folder | None = None) -> FastAPI:
    """The gateway over these services. ``origins``: those of pages that may use it from browsers; ``page``: what it serves at ``/``."""
    app = described()
    app.state.desks = desks
    app.state.metrics = Metrics()
    app.state.lines = Lines()
    app.state.intake = Intake(desks)
    app.state.is_stopping = lambda: False
    app.add_middleware(TagAnswers)
    app.add_middleware(LimitRequests, limits=desks.limits)
    app.add_middleware(CountRequests, metrics=app.state.metrics)
    app.add_middleware(AnswerHead)
    if origins:
        app.add_middleware(AllowOrigins, origins=origins)
    if page is not None:
        app.include_router(static.router_of(page))
    return app


def described() -> FastAPI:
    """All routes and what OpenAPI says of them, over no services yet."""
    app = FastAPI(
        title="Compute Bourse", version=API_VERSION, docs_url=None, redoc_url=None, redirect_slashes=False,
        responses={"default": PROBLEM}, generate_unique_id_function=lambda route: route.name, dependencies=[Depends(require_fit)],
    )  # fmt: skip
    render_problems(app)
    for often_asked in (orders, market):  # routes are tried one after the other, and those of routers at some expense
        often_asked.add_often_asked(app)
    for router in (market.living, accounts.living, past.router, leases.past, orders.timelines):
        app.include_router(router)
    for noun in (
        blobs,
        market,
        quotes,
        orders,
        rounds,
        leases,
        declines,
        host_keys,
        measurements,
        gpu_use,
        job_use,
        warm_images,
        job_keys,
        streams,
        accounts,
        vaults,
        companies,
        sessions,
        health,
        docs,
    ):
        app.include_router(noun.router)
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]  # FastAPI's own way of extending the document
    return app
