"""Answers on their way out: JSON, pages, and answers that were given before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.gateway.auth import path_as_sent
from marketplace.gateway.desks import Desks
from marketplace.gateway.render import Document, to_json
from marketplace.services.answers import Stored
from marketplace.services.idempotency import fingerprint_of


def answer(document: Document, status: int = 200) -> Response:
    return Response(to_json(document), status, media_type="application/json")


def created(document: Document, where: str) -> Response:
    """A 201, and the path under which what was made is found."""
    return Response(to_json(document), 201, {"Location": where}, media_type="application/json")


def page(items: Sequence[Document], after: object | None, **more: Any) -> Response:
    """One page of a list, and the cursor of the next one; None at the end."""
    return answer({"items": list(items), "next": None if after is None else str(after), **more})


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: its answer, and the block time at which it was given."""

    document: Document
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
        return stored(given, where, **{"Idempotent-Replayed": "true"})
    written = write()
    told = Stored(201 if written.is_new else 200, to_json(written.document))
    desks.answers.remember(key, account, fingerprint, told, written.at)
    return stored(told, where)


def stored(told: Stored, where: str, **headers: str) -> Response:
    """An answer that is kept, or was given without having to be; ``where`` is the path of what was made."""
    place = {"Location": where} if told.status == 201 else {}
    return Response(told.body, told.status, headers | place, media_type="application/json")
