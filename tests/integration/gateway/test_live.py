"""The market as it goes: blocks, book, offers and signs of life, for who follows them, and only what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from httpx_sse import EventSource
from msgspec import Struct

from marketplace.api.live import BookChanges, HeadTold, OfferChanges, SignOfLifeTold
from marketplace.chain.devnet import mine
from marketplace.domain.offers import Offer
from tests.integration.gateway.conftest import CLIENT, OTHER_CLIENT, PROVIDER, Gateway
from tests.integration.gateway.forms import check_form

FORMS: dict[str, type[Struct]] = {
    "head": HeadTold, "book": BookChanges, "offer": OfferChanges, "heartbeat": SignOfLifeTold,
}  # fmt: skip


@contextmanager
def followed(gateway: Gateway, query: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """What somebody is told who follows the market: what happens from the head of the answer on."""
    with httpx.stream("GET", f"{gateway.url}/v1/events?live=true{query}", timeout=20, trust_env=False) as response:
        events = EventSource(response).iter_sse()
        told = ((event.event, event.json()) for event in events)
        mine(gateway.chain)
        gateway.sync()
        yield told


def until_block(gateway: Gateway, told: Iterator[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """What is told up to the chain's newest block."""
    newest, found = gateway.chain.head().number, list[tuple[str, Any]]()
    for name, content in told:
        if name in FORMS:
            check_form(FORMS[name], content)
        found.append((name, content))
        if name == "head" and content["number"] >= newest:
            return found
    return found


def test_the_market_is_followed_as_it_goes(gateway: Gateway, offer: Offer) -> None:
    """An order comes onto the book and leaves it, an offer has fewer GPUs free, a provider is alive, and every block is told of."""
    with followed(gateway, "") as told:
        until_block(gateway, told)
        gateway.write(PROVIDER, "POST", "/v1/heartbeats", b"{}")
        signed = gateway.signed(gpus=2)
        assert gateway.post_order(signed).status_code == 201
        gateway.sync()
        gateway.open(signed, offer)
        found = until_block(gateway, told)

    changes = [change for name, content in found if name == "book" for change in content["changes"]]
    assert [(change["order"], change["bid"] is not None) for change in changes] == [
        (signed.id, True),
        (signed.id, False),
    ]
    assert (changes[0]["client"], changes[0]["classes"]) == (CLIENT.address, [1])
    rows = [row for name, content in found if name == "offer" for row in content["offers"]]
    assert rows[-1]["id"] == offer.id
    assert rows[-1]["free"] == gateway.market.offer_of(offer.id).free
    assert PROVIDER.address in [content["provider"] for name, content in found if name == "heartbeat"]
    head = found[-1][1]
    assert (head["hash"], head["lag"]) == (gateway.chain.head().hash, 0)


def test_who_follows_one_thing_is_told_of_that(gateway: Gateway, offer: Offer) -> None:
    """An order, an account or a class; blocks are told to everybody."""
    mine_, theirs = gateway.signed(gpus=1), gateway.signed(OTHER_CLIENT, gpus=1)
    gateway.fund(OTHER_CLIENT, 100_000_000)
    for query in (f"&order={mine_.id}", f"&account={CLIENT.address}&order={mine_.id}", "&class=H100-SXM-80GB"):
        with followed(gateway, query) as told:
            until_block(gateway, told)
            for signed in (mine_, theirs):
                assert gateway.post_order(signed).status_code in (200, 201)
            gateway.sync()
            if gateway.market.lease_of(mine_.id).offer == 0:
                gateway.open(mine_, offer)
            mine(gateway.chain)
            gateway.sync()
            found = until_block(gateway, told)
        about = [content["about"]["order"] for name, content in found if name == "LeaseOpened"]
        names = {name for name, _ in found}
        assert set(about) <= {mine_.id}
        assert names <= ({"head"} if "class" in query else {"head", "book", "LeaseOpened"}), query
        assert "head" in names
