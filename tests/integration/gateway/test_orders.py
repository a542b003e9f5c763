"""Orders over HTTP: taken once, shown where they stand, withdrawn by their client."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from marketplace.api.orders import OrderAnswer, OrderPage
from marketplace.api.quotes import QuotesAnswer
from marketplace.chain import verbs
from marketplace.chain.devnet import increase_time
from marketplace.chain.signing import order_id
from marketplace.domain.budgets import Budget
from marketplace.domain.classes import class_numbered
from marketplace.domain.ids import Address, ClassNumber, bytes32_of, sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.spec import Constraints
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.wire import order_to_wire
from marketplace.services.order_batches import Submission
from marketplace.services.orders import ORDERS_HINT
from marketplace.services.reconcile import reconcile
from tests.integration.gateway.conftest import (
    ARBITER,
    CLIENT,
    DOLLAR,
    MACHINE,
    OPENER,
    OTHER_CLIENT,
    PROVIDER,
    STRANGER,
    Gateway,
    submission,
)
from tests.integration.gateway.forms import check_form


def test_an_order_is_taken_once(gateway: Gateway) -> None:
    """The first time creates it, the second finds it; the id is the contract's own."""
    signed = gateway.signed()

    first, second = gateway.post_order(signed), gateway.post_order(signed)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["id"] == gateway.market.order_id(signed.order)
    assert len([row for row in gateway.journal.all_orders() if row.id == signed.id]) == 1


def test_a_new_order_wakes_who_waits_for_one(gateway: Gateway) -> None:
    """Indexer and scheduler need not look for it by the clock; an order that is known already wakes nobody. It may be of one second."""
    signed = gateway.signed(max_seconds=Seconds(1))
    gateway.board.wait_nudge(ORDERS_HINT, timeout_seconds=0.01)

    statuses = [gateway.post_order(signed).status_code]
    woken = [gateway.board.wait_nudge(ORDERS_HINT, timeout_seconds=20)]
    statuses.append(gateway.post_order(signed).status_code)
    woken.append(gateway.board.wait_nudge(ORDERS_HINT, timeout_seconds=0.01))

    assert (statuses, woken) == ([201, 200], [True, False])


def test_a_delegates_order_is_taken_within_its_budget(gateway: Gateway, offer: Offer) -> None:
    """And opened and charged; what does not fit, or comes too late, is refused as the contract would (P-20, I-7)."""
    cost, market = DOLLAR // 2, gateway.book.market
    until = UnixTime(gateway.now() + 600)
    gateway.send(CLIENT, verbs.authorize(market, STRANGER.address, TokenUnits(2 * cost - 1), until))
    first, second = (STRANGER.sign_order(gateway.order(), gateway.domain) for _ in range(2))

    assert gateway.post_order(first).status_code == 201
    gateway.open(first, offer)
    over = gateway.post_order(second)
    gateway.send(CLIENT, verbs.authorize(market, STRANGER.address, TokenUnits(0), until))
    nobody = gateway.post_order(second)

    assert gateway.market.lease_of(first.id).status is LeaseStatus.OPEN
    assert (over.status_code, over.json()["reason"], over.json()["field"]) == (409, "OverBudget", "signature")
    assert (nobody.status_code, nobody.json()["reason"]) == (409, "BadSignature")


def test_an_order_that_was_charged_is_taken_whatever_is_left_of_the_budget(gateway: Gateway, offer: Offer) -> None:
    """Declined after it was charged: the projection says so as the word does (I-12), a lowered budget does not stop it, a cleared one does (P-20)."""
    market, until = gateway.book.market, UnixTime(gateway.now() + 600)

    def authorize(budget: int) -> None:
        gateway.send(CLIENT, verbs.authorize(market, STRANGER.address, TokenUnits(budget), until))

    authorize(DOLLAR // 2)
    signed = STRANGER.sign_order(gateway.order(), gateway.domain)
    gateway.open(signed, offer)
    gateway.send(PROVIDER, verbs.decline(market, signed.order))
    record = gateway.board.projection.lease(signed.id)

    assert record is not None
    assert record.lease == gateway.market.lease_of(signed.id)
    assert (record.lease.status, record.lease.charged) == (LeaseStatus.NONE, True)

    increase_time(gateway.chain, 1)  # in the second of its declining it cannot be opened again
    authorize(0)
    assert gateway.post_order(signed).json()["reason"] == "BadSignature"
    authorize(1)
    told = gateway.post_order(signed)
    assert told.status_code == 201, told.text


def test_the_projection_keeps_budgets_as_the_contract_does(gateway: Gateway, offer: Offer) -> None:
    """From events alone: given, spent, given anew (I-12)."""
    market, domain = gateway.book.market, gateway.domain
    until = UnixTime(gateway.now() + 600)
    delegation = CLIENT.address, STRANGER.address
    gateway.send(CLIENT, verbs.authorize(market, STRANGER.address, TokenUnits(DOLLAR), until))
    assert gateway.board.projection.budget(delegation) == Budget(TokenUnits(DOLLAR), until)

    gateway.open(STRANGER.sign_order(gateway.order(), domain), offer)
    assert gateway.board.projection.budget(delegation) == Budget(TokenUnits(DOLLAR // 2), until)

    gateway.send(CLIENT, verbs.authorize(market, STRANGER.address, TokenUnits(7), UnixTime(until + 1)))
    assert gateway.board.projection.budget(delegation) == Budget(TokenUnits(7), UnixTime(until + 1))
    assert reconcile(gateway.board.projection, gateway.market) == ()


def test_a_wallets_order_is_taken_when_the_wallet_says_so(gateway: Gateway, offer: Offer) -> None:
    """EIP-1271: asked of the contract at the client's address, whatever the signature looks like."""
    wallet = Address("0x" + "e5" * 20)
    word = "1626ba7e".ljust(64, "0")
    gateway.send(CLIENT, verbs.mint(gateway.book.token, CLIENT.address, TokenUnits(DOLLAR)))
    gateway.send(CLIENT, verbs.approve(gateway.book.token, gateway.book.market, TokenUnits(DOLLAR)))
    gateway.send(CLIENT, verbs.deposit(gateway.book.market, wallet, TokenUnits(DOLLAR)))
    gateway.uploaders += (wallet,)
    order = replace(gateway.order(), client=wallet)
    signed = SignedOrder(order_id(order, gateway.domain), order, "0x1234")

    refused = gateway.post_order(signed)
    gateway.chain.rpc("anvil_setCode", wallet, f"0x7f{word}5f5260205ff3")
    taken = gateway.post_order(signed)
    gateway.open(signed, offer)

    assert (refused.status_code, refused.json()["reason"]) == (409, "BadSignature")
    assert taken.status_code == 201
    assert gateway.market.lease_of(signed.id).status is LeaseStatus.OPEN


def test_an_order_is_shown_with_money_for_people(gateway: Gateway) -> None:
    """Base units for machines, an amount with the token's symbol for people, ISO times."""
    signed = gateway.signed()
    gateway.post_order(signed)

    told = gateway.http.get(f"/v1/orders/{signed.id.upper().replace('0X', '0x')}").json()

    check_form(OrderAnswer, told)
    symbol = gateway.market.terms().token_symbol
    assert told["order"] == order_to_wire(signed.order)
    assert told["state"] == "book"
    assert told["worstCost"] == str(DOLLAR // 2)
    assert told["worstCostHuman"] == f"0.50 {symbol}"
    assert told["maxPriceHuman"] == f"3.00 {symbol}/GPU-h"
    assert told["acceptedTime"].endswith("Z")


def test_concurrent_posts_make_one_order(gateway: Gateway) -> None:
    """Sixteen at once: exactly one is told that it was new."""
    signed = gateway.signed()
    gate = threading.Barrier(16)

    def post(_: int) -> int:
        gate.wait()
        return gateway.post_order(signed).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(post, range(16)))

    assert statuses == [200] * 15 + [201]


def test_an_order_whose_file_the_disk_does_not_give_keeps_no_other_out(gateway: Gateway) -> None:
    """They came in the same moment: the one is looked at by itself, the other is taken."""
    work = gateway.work(salt="0b" * 32)
    lost, sound = gateway.signed(spec=bytes32_of(gateway.spec(work=work.name).sha256)), gateway.signed()
    for name in (work.name.sha256, sha256_in(lost.order.spec)):
        gateway.blobs.remove(name)
        (gateway.blobs.path / name[:2] / name[2:4] / name).mkdir()
    submissions = [Submission(one.order, one.signature, None, "f" * 64) for one in (lost, sound)]
    taken = gateway.app.state.desks.batches.take(submissions, lambda _: b"taken")

    assert [one and one.id for one in taken] == [None, sound.id]


def test_who_is_told_of_a_new_order_is_who_brought_it(gateway: Gateway) -> None:
    """An order comes twice in one moment, first under a key that another one has: that request is not the one that is answered."""
    other, order = gateway.signed(), gateway.signed()
    assert gateway.post_order(other, **{"Idempotency-Key": "another's"}).status_code == 201
    submissions = [Submission(order.order, order.signature, key, "f" * 64) for key in ("another's", "its own")]
    taken = gateway.app.state.desks.batches.take(submissions, lambda _: b"taken")

    assert [one and one.id for one in taken] == [None, order.id]
    assert gateway.journal.recall("its own", CLIENT.address)


def test_an_idempotency_key_replays_the_first_answer(gateway: Gateway) -> None:
    """The same request gets the same answer and status; another request under the key is refused."""
    signed, other = gateway.signed(), gateway.signed()
    first = gateway.post_order(signed, **{"Idempotency-Key": "one"})
    again = gateway.post_order(signed, **{"Idempotency-Key": "one"})
    before = gateway.everything()
    mismatch = gateway.post_order(other, **{"Idempotency-Key": "one"})

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert mismatch.status_code == 422
    assert mismatch.json()["reason"] == "IdempotencyMismatch"
    assert mismatch.json()["field"] == "Idempotency-Key"
    assert before == gateway.everything()


def test_a_key_is_the_accounts_own(gateway: Gateway) -> None:
    """Two clients may use the same key."""
    gateway.fund(OTHER_CLIENT, 10 * DOLLAR)
    mine, theirs = gateway.signed(), gateway.signed(OTHER_CLIENT)

    assert gateway.post_order(mine, **{"Idempotency-Key": "shared"}).status_code == 201
    assert gateway.post_order(theirs, **{"Idempotency-Key": "shared"}).status_code == 201


def test_a_clients_orders_come_in_pages(gateway: Gateway) -> None:
    """Newest first, each once, until there is no next page."""
    gateway.fund(STRANGER, 10 * DOLLAR)
    posted = [gateway.signed(STRANGER) for _ in range(5)]
    for signed in posted:
        assert gateway.post_order(signed).status_code == 201

    found, after = [], ""
    while after is not None:
        answer = gateway.http.get(f"/v1/orders?client={STRANGER.address}&limit=2{after and f'&after={after}'}").json()
        check_form(OrderPage, answer)
        found += [item["id"] for item in answer["items"]]
        after = answer["next"]

    assert found == [signed.id for signed in reversed(posted)]


def test_an_order_is_withdrawn_by_its_client_only(gateway: Gateway) -> None:
    """Another account's signature is known and forbidden; the client's takes it off the book."""
    signed = gateway.signed()
    gateway.post_order(signed)
    path = f"/v1/orders/{signed.id}"

    refused = gateway.write(OTHER_CLIENT, "DELETE", path)
    withdrawn = gateway.write(CLIENT, "DELETE", path)
    again = gateway.write(CLIENT, "DELETE", path)

    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "withdrawn")
    assert again.json()["withdrawnAt"] == withdrawn.json()["withdrawnAt"]
    gateway.sync()
    assert signed.id not in gateway.waiting()
    assert gateway.post_order(signed).json()["state"] == "withdrawn"


def test_an_order_that_is_served_is_not_withdrawn(gateway: Gateway, offer: Offer) -> None:
    """Off the book it is already; what is left is ``terminate`` on the chain."""
    signed = gateway.leased(offer)
    before = gateway.everything()

    refused = gateway.write(CLIENT, "DELETE", f"/v1/orders/{signed.id}")

    assert (refused.status_code, refused.json()["reason"]) == (409, "OrderLive")
    assert before == gateway.everything()
    told = gateway.http.get(f"/v1/orders/{signed.id}").json()
    assert told["state"] == "open"
    assert told["lease"]["offer"] == offer.id


def test_a_pinned_offer_that_is_only_busy_is_no_reason(gateway: Gateway) -> None:
    """An order stands until it expires: GPUs that are taken now may be free before that."""
    busy = gateway.list(gpus=1)
    gateway.leased(busy, offer=busy.id)

    assert gateway.post_order(gateway.signed(offer=busy.id)).status_code == 201
    refused = gateway.post_order(gateway.signed(offer=busy.id, gpus=2))
    assert (refused.status_code, refused.json()["reason"]) == (409, "NotEnoughGpus")
    assert refused.json()["field"] == "order.gpus"


def test_several_orders_need_not_be_covered_together(gateway: Gateway) -> None:
    """One order's worst cost must be covered; of several the contract will judge."""
    most = PricePerGpuHour(900 * DOLLAR)

    for _ in range(3):
        assert gateway.post_order(gateway.signed(max_seconds=3600, max_price=most)).status_code == 201


def test_every_class_is_a_class_that_is_known(gateway: Gateway) -> None:
    """An order may accept classes that nobody has thought of yet, as long as it accepts one that exists."""
    assert gateway.post_order(gateway.signed(classes=2**256 - 1)).status_code == 201


def test_quotes_name_price_lock_bond_and_reasons(gateway: Gateway, offer: Offer) -> None:
    """The offers that can serve come first, cheapest first; the others say why not, in the contract's words."""
    gateway.board.beat(offer.provider, gateway.now())
    dear = gateway.list(price=PricePerGpuHour(5 * DOLLAR))
    asked = {"gpu": "rtx4090", "gpus": 2, "maxSeconds": 1800, "maxPrice": str(3 * DOLLAR)}

    told = gateway.http.post("/v1/quotes", json=asked).json()

    check_form(QuotesAnswer, told)
    by_offer = {row["offer"]["id"]: row for row in told["quotes"]}
    assert by_offer[offer.id]["reason"] == ""
    assert by_offer[offer.id]["locked"] == str(2 * DOLLAR)
    assert by_offer[offer.id]["bond"] == str(2 * DOLLAR // 10)
    assert by_offer[dear.id]["reason"] == "PriceOutOfBounds"
    reasons = [row["reason"] for row in told["quotes"]]
    assert reasons == sorted(reasons, key=bool)


def test_a_preferred_region_is_quoted_first_where_it_is_hardly_dearer(gateway: Gateway) -> None:
    """2 % above the cheapest that can serve, and not a unit more; a spec says it as well as a draft."""
    there = replace(MACHINE, region="us-east")
    gateway.keep(there.canonical(), public=True)
    gateway.board.beat(PROVIDER.address, gateway.now())
    cheapest = gateway.list(price=PricePerGpuHour(DOLLAR), gpu_class=ClassNumber(3)).id
    near, far = (
        gateway.list(price=PricePerGpuHour(price), gpu_class=ClassNumber(3), spec=bytes32_of(there.sha256)).id
        for price in (1_020_000, 1_020_001)
    )
    spec = gateway.spec(constraints=Constraints(prefer_regions=("us-east",)))
    asked = {"gpu": class_numbered(3).name, "maxSeconds": 60}

    def ids(**more: object) -> list[int]:
        quotes = gateway.http.post("/v1/quotes", json=asked | more).json()["quotes"]
        return [row["offer"]["id"] for row in quotes if not row["reason"]]

    assert ids() == [cheapest, near, far]
    assert ids(preferRegions=["us-east"]) == ids(spec=spec.sha256) == [near, cheapest, far]
    assert ids(preferRegions=["mars"]) == [cheapest, near, far]


def test_an_order_is_quoted_as_it_would_be_filled(gateway: Gateway, offer: Offer) -> None:
    """A whole order is compared with the offer's own terms, arbiter and all."""
    gateway.board.beat(offer.provider, gateway.now())
    order = gateway.order()
    wire = {"order": order_to_wire(order)}
    elsewhere = {"order": order_to_wire(replace(order, arbiter=OPENER.address))}

    good, bad = (gateway.http.post("/v1/quotes", json=body).json()["quotes"] for body in (wire, elsewhere))

    assert next(row for row in good if row["offer"]["id"] == offer.id)["reason"] == ""
    assert {row["reason"] for row in bad} == {"WrongArbiter"}
    assert ARBITER.address == offer.arbiter
    assert submission(gateway.signed())["order"].keys() == wire["order"].keys()
