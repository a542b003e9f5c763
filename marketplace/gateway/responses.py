"""Answers on their way out: JSON, and answers that were given before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
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


def created(told: Record, where: str) -> Response:
    """A 201, and the path under which what was made is found."""
    return Response(to_json(told), 201, {"Location": where}, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: its answer, and the block time at which it was given."""

    document: Record
    is_new: bool
    at: UnixTime


def once(
    request: Request,
    desks: Desks,
    account: Address,
    key: str | None,
    body: bytes,
    where: str,
    write: Callable[[], Written],
) -> Response:
    """Do a write, or repeat the answer that this account got for the same request under the same Idempotency-Key.

    ``where`` is the path of what it makes, for ``Location``.
    """
    fingerprint = fingerprint_of(request.method, path_as_sent(request), body)
    given = desks.answers.recall(key, account, fingerprint)
    if given is not None:
        return stored_answer(given, where, {"Idempotent-Replayed": "true"})
    written = write()
    told = Stored(201 if written.is_new else 200, to_json(written.document))
    desks.answers.remember(key, account, fingerprint, told, written.at)
    return stored_answer(told, where)


def stored_answer(stored: Stored, where: str, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    """An answer as it is kept; ``where`` is the path of what it tells of."""
    place = {"Location": where} if stored.status == 201 else {}
    return Response(stored.body, stored.status, {**headers, **place}, media_type="application/json")
