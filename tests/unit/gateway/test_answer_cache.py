"""Answers that are remembered: what many ask for at once is written once, and only what came of it whole is given to others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from marketplace.gateway.answer_cache import AboutOffers
from marketplace.gateway.tags import tag_of

ASKING = 8
Write = Callable[[int], Awaitable[Response]]


class AboutNothing(AboutOffers):
    """Everything stays as it is."""

    async def _state(self, request: Request) -> object:
        return "as it is"

    def _is_same(self, one: object, other: object) -> bool:
        return one == other


def asked_at_once(write: Write) -> list[httpx.Response | BaseException]:
    """What so many are told who ask at the same time. ``write`` is told how often anything was written before."""
    app, written = FastAPI(), count()

    async def answer() -> Response:
        return await write(next(written))

    app.router.add_api_route("/", answer, route_class_override=AboutNothing)

    async def ask() -> list[httpx.Response | BaseException]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            return await asyncio.gather(*(http.get("/") for _ in range(ASKING)), return_exceptions=True)

    return asyncio.run(ask())


async def _others_ask() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


def test_what_many_ask_for_at_once_is_written_once() -> None:
    """Eight ask while nothing is known: one answer is made, with one tag, and all have it."""

    async def write(before: int) -> Response:
        await _others_ask()
        return Response(f"written {before} times before")

    told = asked_at_once(write)

    assert {(one.text, one.headers["etag"]) for one in told if isinstance(one, httpx.Response)} == {
        ("written 0 times before", tag_of(b"written 0 times before"))
    }
    assert len(told) == ASKING


@pytest.mark.parametrize("is_raised", [True, False])
def test_what_comes_to_nothing_is_nobody_elses(is_raised: bool) -> None:
    """The first one's answer fails: the others make their own, and are not told of its failure."""

    async def write(before: int) -> Response:
        await _others_ask()
        if before == 0 and is_raised:
            raise ValueError("the first of all")
        return Response(str(before), 503 if before == 0 else 200)

    told = asked_at_once(write)

    failed = [one for one in told if not isinstance(one, httpx.Response) or one.status_code != 200]
    assert (len(failed), len(told)) == (1, ASKING)
