"""What the gateway says of the past: leases by whose they are, statements, prices over time, scores, delegates, solvency, timelines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.api.history import HistoryAnswer, ScorePage
from marketplace.api.leases import LeasePage
from marketplace.api.offers import BookAnswer
from marketplace.api.reservations import ReservationPage
from marketplace.api.statements import DelegatePage, SolvencyAnswer, StatementPage
from marketplace.api.timelines import OrderEventPage
from marketplace.chain import verbs
from marketplace.chain.devnet import increase_time
from marketplace.chain.token import TokenContract
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.units import TokenUnits, UnixTime
from tests.integration.gateway.conftest import (
    CLIENT,
    DOLLAR,
    FAR,
    OTHER_CLIENT,
    OTHER_PROVIDER,
    PROVIDER,
    STRANGER,
    Gateway,
)
from tests.integration.gateway.forms import check_form


@pytest.fixture(scope="module")
def leases(gateway: Gateway, offer: Offer) -> dict[str, SignedOrder]:
    """Three that opened on one offer: one is given back, one ended by its client, one goes on."""
    found = {"declined": gateway.leased(offer, gpus=2)}
    gateway.send(PROVIDER, verbs.decline(gateway.book.market, found["declined"].order))
    found |= {name: gateway.leased(offer, gpus=2) for name in ("ended", "open")}
    increase_time(gateway.chain, 20)
    gateway.send(CLIENT, verbs.terminate(gateway.book.market, found["ended"].order))
    return found


def pages(gateway: Gateway, path: str, kind: Any, items: str = "items") -> Iterator[dict[str, Any]]:
    """All rows of a list, page by page."""
    after = ""
    while True:
        told = gateway.http.get(f"{path}{after}").json()
        check_form(kind, told)
        yield from told[items]
        if told["next"] is None:
            return
        after = f"&after={told['next']}"


def test_leases_are_found_by_whose_they_are(gateway: Gateway, offer: Offer, leases: dict[str, SignedOrder]) -> None:
    """By offer, provider, client and payee, newest first, by status where asked; one that was given back is no lease of the offer."""
    ids = {name: signed.id for name, signed in leases.items()}
    for query in (f"provider={PROVIDER.address}", f"client={CLIENT.address}", f"payee={PROVIDER.address}"):
        rows = list(pages(gateway, f"/v1/leases?{query}&limit=2", LeasePage))
        assert [row["id"] for row in rows] == [ids["open"], ids["ended"], ids["declined"]], query
    (live,) = pages(gateway, f"/v1/leases?offer={offer.id}&status=Open", LeasePage)
    assert (live["id"], live["endsBy"]) == (ids["open"], live["deadline"])
    (closed,) = pages(gateway, f"/v1/leases?client={CLIENT.address}&status=Closed", LeasePage)
    assert (closed["id"], closed["endsBy"], closed["exit"]) == (ids["ended"], None, "LeaseTerminated")
    assert list(pages(gateway, f"/v1/leases?client={OTHER_CLIENT.address}", LeasePage)) == []
    assert [row["id"] for row in pages(gateway, "/v1/leases?limit=2", LeasePage)] == [
        ids["open"],
        ids["ended"],
        ids["declined"],
    ]
    both = f"/v1/leases?client={CLIENT.address}&provider={PROVIDER.address}&offer={offer.id}"
    assert [row["id"] for row in pages(gateway, both, LeasePage)] == [ids["open"], ids["ended"]]
    other = f"/v1/leases?client={CLIENT.address}&provider={OTHER_PROVIDER.address}"
    assert list(pages(gateway, other, LeasePage)) == []


def test_a_statement_adds_up(gateway: Gateway, leases: dict[str, SignedOrder]) -> None:
    """From nothing to what the chain says is free, entry by entry; the file for sheets says the same."""
    assert leases
    for key in (CLIENT, PROVIDER):
        rows = list(pages(gateway, f"/v1/accounts/{key.address}/statement?limit=3", StatementPage))
        balance = 0
        for row in reversed(rows):
            balance += int(row["received"]) - int(row["spent"])
            assert int(row["balance"]) == balance, row
        assert balance == gateway.market.balance_of(key.address)
        told = gateway.http.get(f"/v1/accounts/{key.address}/statement.csv")
        sheet = list(csv.DictReader(io.StringIO(told.text)))
        assert [row["tx"] for row in sheet] == [row["tx"] for row in rows]
        assert sheet[0]["balance"] == f"{balance // DOLLAR}.{balance % DOLLAR:06d}".rstrip("0").ljust(
            len(str(balance // DOLLAR)) + 3, "0"
        )


def test_the_market_holds_what_it_owes(gateway: Gateway, leases: dict[str, SignedOrder]) -> None:
    """To the unit, at the block that is told; what somebody just sends it is a surplus."""
    assert leases
    told = gateway.http.get("/v1/solvency").json()

    check_form(SolvencyAnswer, told)
    held = TokenContract(gateway.chain, gateway.book.token).balance_of(gateway.book.market)
    assert (int(told["held"]), told["surplus"], told["missing"]) == (held, "0", "0")
    assert int(told["accounts"]) + int(told["locked"]) == held
    assert int(told["locked"]) > 0

    gateway.send(STRANGER, verbs.mint(gateway.book.token, gateway.book.market, TokenUnits(5)))
    assert gateway.http.get("/v1/solvency").json()["surplus"] == "5"


def test_a_class_has_a_history(gateway: Gateway, offer: Offer, leases: dict[str, SignedOrder]) -> None:
    """What its GPUs cost when they were let, and how many are let and listed: in minutes, hours and days alike."""
    assert leases
    for seconds in (60, 3600, 86400):
        told = gateway.http.get(f"/v1/history/RTX4090?bucket={seconds}").json()
        check_form(HistoryAnswer, told)
        last, opened = told["items"][-1], [row for row in told["items"] if row["opened"]]
        assert [row["start"] % seconds for row in told["items"]] == [0] * len(told["items"])
        assert last["start"] <= told["block"]["timestamp"] < last["start"] + seconds
        assert (last["let"], last["listed"]) == (2, offer.gpus)
        assert sum(row["opened"] for row in opened) == len(leases)
        assert sum(row["gpusOpened"] for row in opened) == 2 * len(leases)
        assert {row["mean"] for row in opened} == {str(offer.price)}
    assert {row["listed"] for row in gateway.http.get("/v1/history/H100-SXM-80GB").json()["items"]} == {0}


def test_a_history_is_asked_for_in_bounds(gateway: Gateway) -> None:
    """At most a hundred spans, the last ones of those that are asked for; none to come, and lengths that there are."""
    now = gateway.now()
    assert gateway.http.get("/v1/history/RTX4090?bucket=61").status_code == 422
    long = gateway.http.get(f"/v1/history/RTX4090?bucket=60&from={now - 70_000}").json()["items"]
    assert (len(long), long[-1]["start"]) == (100, long[0]["start"] + 99 * 60)
    assert gateway.http.get(f"/v1/history/RTX4090?from={now}&to={now - 90_000}").json()["items"] == []
    ages_ahead = gateway.http.get(f"/v1/history/RTX4090?from={10**12 - 1}")
    assert (ages_ahead.status_code, ages_ahead.json()["items"]) == (200, [])
    later = gateway.http.get(f"/v1/history/RTX4090?to={now + 10**6}").json()
    assert later["items"][-1]["start"] <= later["block"]["timestamp"]


def test_a_score_has_a_history(gateway: Gateway, leases: dict[str, SignedOrder]) -> None:
    """With the lease and the outcome that moved it; the newest is the score that the offers show."""
    rows = list(pages(gateway, f"/v1/providers/{PROVIDER.address}/scores?limit=1", ScorePage))

    assert [(row["lease"], row["outcome"]) for row in rows] == [
        (leases["ended"].id, "terminated"), (leases["declined"].id, "declined"),
    ]  # fmt: skip
    shown = gateway.http.get(f"/v1/providers/{PROVIDER.address}").json()["reputation"]["reliabilityBps"]
    assert rows[0]["scoreBps"] == shown


def test_delegates_are_told_with_what_they_spent(gateway: Gateway, offer: Offer) -> None:
    """What is left of the budget, until when, and the orders that were charged to it; of nobody else."""
    budget, until = TokenUnits(10 * DOLLAR), UnixTime(gateway.now() + 10_000)
    gateway.send(CLIENT, verbs.authorize(gateway.book.market, STRANGER.address, budget, until))
    order = gateway.order(CLIENT)
    signed = STRANGER.sign_order(order, gateway.domain)
    gateway.open(signed, offer)

    (told,) = pages(gateway, f"/v1/accounts/{CLIENT.address}/delegates?limit=1", DelegatePage)

    left = gateway.market.budget_of(CLIENT.address, STRANGER.address).left
    assert (told["delegate"], int(told["left"]), told["until"]) == (STRANGER.address, left, until)
    assert [(row["order"], int(row["amount"])) for row in told["charges"]] == [(signed.id, budget - left)]
    assert list(pages(gateway, f"/v1/accounts/{STRANGER.address}/delegates?limit=1", DelegatePage)) == []


def test_an_order_has_a_timeline(gateway: Gateway, leases: dict[str, SignedOrder]) -> None:
    """From its acceptance to the end of its lease, in order of time, with the transactions."""
    told = gateway.http.get(f"/v1/orders/{leases['ended'].id}/events").json()

    check_form(OrderEventPage, told)
    assert [row["name"] for row in told["items"]] == ["accepted", "LeaseOpened", "LeaseTerminated"]
    assert [row["tx"] is None for row in told["items"]] == [True, False, False]
    assert told["items"][2]["fields"]["by"] == CLIENT.address
    assert gateway.http.get(f"/v1/orders/0x{'9f' * 32}/events").status_code == 404


def test_a_deep_book_comes_in_pages(gateway: Gateway, offer: Offer) -> None:
    """Each order once, the best limit first, with who wants it and since when; and how many there are in all."""
    assert offer
    prices = (5, 4, 4, 4, 3)
    posted = [gateway.signed(max_price=price * DOLLAR, expires_at=FAR, gpus=2) for price in prices]
    for signed in posted:
        assert gateway.post_order(signed).status_code == 201
    gateway.sync()

    first = gateway.http.get("/v1/book/RTX4090?depth=2").json()
    rows = list(pages(gateway, "/v1/book/RTX4090?depth=2", BookAnswer, "bids"))

    mine = [row for row in rows if row["id"] in {signed.id for signed in posted}]
    assert [int(row["maxPrice"]) for row in mine] == [price * DOLLAR for price in prices]
    assert {row["client"] for row in mine} == {CLIENT.address}
    assert all(row["acceptedAt"] for row in mine)
    assert (first["bidsInAll"], first["gpusWanted"]) == (len(rows), sum(row["gpus"] for row in rows))
    assert len(first["asks"]) == min(2, first["asksInAll"])


def test_reservations_are_apart_from_the_spot_book(gateway: Gateway, offer: Offer) -> None:
    """Orders for term leases are listed by themselves, oldest first and in pages, and with what their providers need to open them."""
    assert offer
    begins = gateway.now() + 5_000
    terms: dict[str, Any] = {"starts_at": begins, "expires_at": begins, "opener": ZERO_ADDRESS}
    posted = [gateway.signed(**terms, min_seconds=seconds) for seconds in (10, 20, 30)]
    for signed in posted:
        assert gateway.post_order(signed).status_code == 201
    gateway.sync()

    told = list(pages(gateway, "/v1/reservations?class=RTX4090&limit=2", ReservationPage))
    bids = [row["id"] for row in pages(gateway, "/v1/book/RTX4090", BookAnswer, "bids")]

    assert {row["id"]: row["signature"] for row in told} == {signed.id: signed.signature for signed in posted}
    assert [row["acceptedAt"] for row in told] == sorted(row["acceptedAt"] for row in told)
    assert not {signed.id for signed in posted} & set(bids)
    assert list(pages(gateway, "/v1/reservations?class=H100-SXM-80GB", ReservationPage)) == []


def test_a_new_block_is_told_at_once(gateway: Gateway) -> None:
    """What is remembered of an answer is forgotten with the state that it was of."""
    before = gateway.http.get(f"/v1/accounts/{OTHER_PROVIDER.address}/statement").json()
    again = gateway.http.get(f"/v1/accounts/{OTHER_PROVIDER.address}/statement").json()
    gateway.fund(OTHER_PROVIDER, 7 * DOLLAR)
    after = gateway.http.get(f"/v1/accounts/{OTHER_PROVIDER.address}/statement").json()

    assert again == before
    assert after["block"]["number"] > before["block"]["number"]
    assert [row["received"] for row in after["items"]] == [str(7 * DOLLAR)]
