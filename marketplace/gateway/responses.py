"""Answers on their way out: JSON, and answers that were given before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from marketplace.api.record import Record, to_json
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.gateway.auth import path_as_sent
from marketplace.gateway.desks import Desks
from marketplace.services.answers import Stored
from marketplace.services.idempotency import fingerprint_of


def answer(document: Record | dict[str, Any], status: int = 200) -> Response:
    return Response(to_json(document), status, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: its answer, and the block time at which it was given."""

    document: Record
    is_new: bool
    at: UnixTime


def once(
    request: Request, desks: Desks, account: Address, key: str | None, body: bytes, write: Callable[[], Written]
) -> Response:
    """Do a write, or repeat the answer that this account got for the same request under the same Idempotency-Key."""
    fingerprint = fingerprint_of(request.method, path_as_sent(request), body)
    given = desks.answers.recall(key, account, fingerprint)
    if given is not None:
        return Response(given.body, given.status, {"Idempotent-Replayed": "true"}, media_type="application/json")
    written = write()
    told = Stored(201 if written.is_new else 200, to_json(written.document))
    desks.answers.remember(key, account, fingerprint, told, written.at)
    return Response(told.body, told.status, media_type="application/json")
