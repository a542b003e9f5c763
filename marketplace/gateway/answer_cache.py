"""Answers that stay as they are while what they tell of does: written once for each question, and sent again until that changes.

Whoever asks is told of things as they are after the question came; what is spared is writing it down anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.ids import Bytes32
from marketplace.gateway.intake import intake_of
from marketplace.gateway.tags import tag_of

MOST_ANSWERS = 200
"""A page of a hundred rows has about a hundred KiB; beyond so many all are forgotten."""

Question = tuple[bytes | str, ...]
"""A path and a query as they were sent, and which kinds of answers are taken."""


class _Remembering(APIRoute):
    """A route that answers from what ``_state`` stands for, and its own path and query, only."""

    async def _state(self, request: Request) -> object:
        """Something that is another one, by ``_is_same``, as soon as an answer may be another one; None where that is not known, and nothing
        is remembered."""
        raise NotImplementedError

    def _is_same(self, one: object, other: object) -> bool:
        return one == other

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, for what is not known."""
        write = super().get_route_handler()
        known = dict[Question, _Known]()

        async def written(request: Request, question: Question, state: object) -> Response:
            if len(known) >= MOST_ANSWERS:
                known.clear()
            # It may tell of a newer state than the one that was asked about: then it is forgotten with that.
            ours = known[question] = _Known(state, asyncio.get_running_loop().create_future())
            kept: Response | None = None
            try:
                response = await write(request)
                if response.status_code == 200:
                    response.headers["ETag"] = tag_of(bytes(response.body))
                    kept = response
                return response
            finally:
                ours.response.set_result(kept)
                if kept is None and known.get(question) is ours:
                    del known[question]

        async def remembered(request: Request) -> Response:
            scope = request.scope
            question: Question = scope["path"], scope["query_string"], *request.headers.getlist("accept")
            state = await self._state(request)
            if state is None:
                return await write(request)
            found = known.get(question)
            if found is not None and self._is_same(found.state, state):
                # It may be being written just now: many ask at once as soon as something has changed.
                kept = await asyncio.shield(found.response)
                if kept is not None:
                    return _again(kept)
            return await written(request, question, state)

        return remembered


class AboutOffers(_Remembering):
    """About the offers, and what is known about their machines and providers."""

    async def _state(self, request: Request) -> object:
        return await intake_of(request).offered.ask(None)

    def _is_same(self, one: object, other: object) -> bool:
        return one is other


class AboutLiving(_Remembering):
    """About the projection, and the signs of life."""

    async def _state(self, request: Request) -> object:
        return await intake_of(request).standing.ask(None)


class AboutAccount(AboutLiving):
    """About what the chain is asked for while the projection is away."""

    async def _state(self, request: Request) -> object:
        try:
            return await super()._state(request)
        except StoreUnavailable:
            return None


class AboutProjection(_Remembering):
    """About the projection alone."""

    async def _state(self, request: Request) -> object:
        standing = await intake_of(request).standing.ask(None)
        return standing and standing.fence


class AboutOrder(_Remembering):
    """About one order: the projection, and what rounds, providers and both sides have said about it."""

    async def _state(self, request: Request) -> object:
        return await intake_of(request).news.ask(Bytes32(request.path_params["order_id"].lower()))


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, and the state that it was written of; None where none came that others can be given."""

    state: object
    response: asyncio.Future[Response | None]


def _again(known: Response) -> Response:
    """The same answer for another request: what middleware does to the one leaves the other alone."""
    fresh = Response(known.body, known.status_code)
    fresh.raw_headers = list(known.raw_headers)
    return fresh
