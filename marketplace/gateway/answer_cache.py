"""Answers that stay as they are while what they tell of does: written once for each question, and sent again until the offers change.

Whoever asks is told of the offers as they are after the question came; what is spared is writing it down anew.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from marketplace.domain.book import BookView
from marketplace.gateway.intake import intake_of

MOST_ANSWERS = 200
"""A page of a hundred offers has about a hundred KiB; beyond so many all are forgotten."""

Question = tuple[bytes | str, ...]
"""A query as it was sent, and which kinds of answers are taken."""


class AboutOffers(APIRoute):
    """A route that answers from the offers and its own query only."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, for what is not known."""
        write = super().get_route_handler()
        answers = _Answers()

        async def remembered(request: Request) -> Response:
            question: Question = request.scope["query_string"], *request.headers.getlist("accept")
            known = answers.about(await intake_of(request).offered.ask(None))
            if question in known:
                return Response(known[question], media_type="application/json")
            response = await write(request)
            if response.status_code == 200:
                # It may tell of newer offers than those that were asked about: then it is forgotten with them.
                known[question] = bytes(response.body)
            return response

        return remembered


class _Answers:
    """Those that were written of one view of the offers."""

    def __init__(self) -> None:
        self._view: BookView | None = None
        self._known = dict[Question, bytes]()

    def about(self, view: BookView | None) -> dict[Question, bytes]:
        """What is known of this view, to be added to."""
        if view is not self._view or len(self._known) >= MOST_ANSWERS:
            self._view, self._known = view, {}
        return self._known
