"""Every error as an RFC 9457 problem: one table from domain errors to status codes, one shape for all of them.

A problem always has ``type title status detail reason field rule``. ``reason`` is the domain error's own code (a refusal has the
contract's name), ``field`` the part of the request that is wrong, ``rule`` what holds for it. Nothing that a client sends is a 5xx.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from marketplace.domain import chain_errors
from marketplace.domain import errors as e
from marketplace.domain.errors import OverQuota, TooManyRequests
from marketplace.domain.refusals import Refusal
from marketplace.gateway.methods import allowed_methods
from marketplace.health import TYPE_PREFIX

PROBLEM_JSON = "application/problem+json"
LONGEST_TEXT = 500
"""What strangers sent is quoted up to here."""

STATUS: tuple[tuple[type[e.MarketplaceError], int], ...] = (
    (e.InvalidField, 422),
    (e.HashMismatch, 422),
    (e.ImageUnusable, 422),
    (e.IdempotencyMismatch, 422),
    (e.InsufficientBalance, 402),
    (e.Unauthorized, 401),
    (e.Forbidden, 403),
    (OverQuota, 403),
    (TooManyRequests, 429),
    (e.NotFound, 404),
    (e.Refused, 409),
    (e.MissingBlob, 409),
    (e.InvalidTransition, 409),
    (e.Conflict, 409),
    (e.StoreUnavailable, 503),
    (chain_errors.ChainUnavailable, 503),
    (chain_errors.TransactionReverted, 500),
    (chain_errors.ChainError, 503),
    (e.DeadlinePassed, 503),
    (e.MarketplaceError, 500),
)
"""The first class that fits decides. A 422 is wrong in itself, whatever it was said to; what is well said and does not fit how things stand
with the market, a 409."""

REFUSAL_STATUS: dict[Refusal, int] = {
    Refusal.ClientBalanceTooLow: 402,
    Refusal.ProviderBalanceTooLow: 402,
}
"""Refusals that money mends; all others are 409."""

RETRY_AFTER_SECONDS = "1"


class HttpRefusal(HTTPException):
    """What only HTTP knows to be wrong: a body too large, a content type that is not ours. ``rule`` says what would be right."""

    def __init__(
        self, status: int, reason: str, field: str, rule: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(status, f"{field}: {rule}" if field else rule, headers)
        self.reason, self.field, self.rule, self.more = reason, field, rule, more


@dataclass(frozen=True, slots=True)
class Problem:
    """One error, ready to be written. ``more`` are further members (RFC 9457, extension members)."""

    status: int
    reason: str
    detail: str
    field: str = ""
    rule: str = ""
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """``OrderExpired`` as ``Order expired``."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.reason)
        return words[:1] + words[1:].lower()

    def document(self) -> dict[str, Any]:
        return {
            "type": TYPE_PREFIX + self.reason, "title": self.title, "status": self.status, "detail": _short(self.detail),
            "reason": self.reason, "field": _short(self.field), "rule": _short(self.rule),
        } | dict(self.more)  # fmt: skip

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """The HTTP answer. ASCII only: whatever a client sent, lone surrogates included, can be quoted."""
        more = dict(headers or {})
        if self.status == 401:
            more["WWW-Authenticate"] = "Bourse"
        if self.status == 429:
            more["Retry-After"] = str(dict(self.more).get("retryAfter", RETRY_AFTER_SECONDS))
        if self.status == 503:
            more["Retry-After"] = RETRY_AFTER_SECONDS
        content = json.dumps(self.document(), separators=(",", ":")).encode()
        return Response(content, self.status, more, media_type=PROBLEM_JSON)


def problem_of(error: e.MarketplaceError) -> Problem:
    """The problem that stands for a domain error; the table above says with which status."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    if isinstance(error, e.Refused):
        status = REFUSAL_STATUS.get(error.refusal, status)
        rule = error.refusal.sentence + (f": {error.detail}" if error.detail else "")
        return Problem(status, error.reason, str(error), error.field, rule)
    if status >= 500:
        return Problem(status, error.reason, _first_sentence(type(error)))
    field, rule = _field_of(error), str(getattr(error, "rule", "")) or _first_sentence(type(error))
    more = (("retryAfter", error.wait_seconds),) if isinstance(error, TooManyRequests) else ()
    return Problem(status, error.reason, str(error) or rule, field, rule, more)


def _field_of(error: e.MarketplaceError) -> str:
    match error:
        case e.InvalidField() | e.MissingBlob():
            return error.field
        case e.HashMismatch():
            return error.what.removeprefix("the ")
        case e.NotFound() | e.InvalidTransition() | e.Conflict():
            return error.kind
        case OverQuota():
            return "body"
        case e.InsufficientBalance():
            return "account"
        case e.IdempotencyMismatch():
            return "Idempotency-Key"
        case e.Unauthorized():
            return "Bourse-Signature"
        case _:
            return ""


def _first_sentence(kind: type[e.MarketplaceError]) -> str:
    """The error class's own words: its docstring is its default message."""
    return (kind.__doc__ or "").strip().split("\n")[0]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _validation(error: RequestValidationError) -> Problem:
    """A path, query or header parameter that the declared shape does not allow; the first one is named."""
    first = error.errors()[0]
    field = str(first["loc"][-1]) if first.get("loc") else "request"
    rule = str(first.get("msg", "is not valid"))
    return Problem(422, "InvalidField", f"{field}: {rule}", field, rule)


_HTTP_REASONS = {404: "NotFound", 405: "MethodNotAllowed", 413: "BodyTooLarge", 415: "UnsupportedMediaType"}


def _http(error: HTTPException) -> Problem:
    if isinstance(error, HttpRefusal):
        return Problem(
            error.status_code, error.reason, str(error.detail), error.field, error.rule, tuple(error.more.items())
        )
    reason = _HTTP_REASONS.get(error.status_code, f"Http{error.status_code}")
    return Problem(error.status_code, reason, str(error.detail), "path" if error.status_code == 404 else "")


async def _on_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, e.MarketplaceError)
    problem = problem_of(error)
    if problem.status >= 500:
        structlog.get_logger().warning(
            "gateway.failed", reason=error.reason, error=str(error), method=request.method, path=request.url.path
        )
    return problem.response()


async def answer_refused(refusal: HttpRefusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Give the problem instead of an answer that was about to begin."""
    await _http(refusal).response(dict(refusal.headers or {}))(scope, receive, send)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        return _http(error).response(dict(error.headers or {}))
    allow = {"Allow": allowed_methods(request)}
    return Response(None, 204, allow) if request.method == "OPTIONS" else _http(error).response(allow)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _validation(error).response()


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    """Nobody is left to read this; the body never came whole."""
    return Problem(400, "BodyIncomplete", "the connection ended before the body did", "body").response()


async def _on_anything_else(request: Request, _error: Exception) -> Response:
    """The gateway's one broad catch: a bug of ours. Starlette raises it again behind this answer, so that it is logged whole."""
    structlog.get_logger().error("gateway.crashed", method=request.method, path=request.url.path)
    return Problem(500, "InternalError", "the gateway failed; the log knows why").response()


def render_problems(app: FastAPI) -> None:
    """Make every error of this application a problem."""
    app.add_exception_handler(e.MarketplaceError, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_anything_else)
