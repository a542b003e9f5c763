"""Leases over HTTP: logs as they grow, receipts of both sides, and the outputs that they name."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from marketplace.api.accounts import AccountAnswer
from marketplace.api.leases import LeaseAnswer, OutputsAnswer
from marketplace.api.receipts import ReceiptsAnswer
from marketplace.chain import verbs
from marketplace.chain.devnet import increase_time
from marketplace.chain.transactions import Sender
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, bytes32_of
from marketplace.domain.limits import MAX_LOG_BYTES
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.pricing import deadline_of
from marketplace.domain.wire import receipt_to_wire
from tests.integration.gateway.conftest import (
    ACCEPTOR,
    CLIENT,
    DOLLAR,
    OPENER,
    OTHER_CLIENT,
    OTHER_PROVIDER,
    PROVIDER,
    STRANGER,
    Gateway,
)
from tests.integration.gateway.forms import check_form
from tests.integration.gateway.test_bad_orders import refused

ZEROS = Bytes32("0x" + "00" * 32)


@pytest.fixture
def lease(gateway: Gateway, offer: Offer) -> SignedOrder:
    """An order of the client's that the provider serves since ten seconds."""
    signed = gateway.leased(offer)
    increase_time(gateway.chain, 10)
    gateway.sync()
    return signed


def append(gateway: Gateway, lease: SignedOrder, offset: int, chunk: bytes, key: Any = PROVIDER) -> httpx.Response:
    path = f"/v1/leases/{lease.id}/logs?offset={offset}"
    return gateway.write(key, "POST", path, chunk, kind="application/octet-stream")


def test_a_lease_is_shown_with_its_deadline(gateway: Gateway, lease: SignedOrder, offer: Offer) -> None:
    """As the projection has it; the deadline is the contract's, start + maxSeconds + CLAIM_GRACE."""
    told = gateway.http.get(f"/v1/leases/{lease.id}").json()

    check_form(LeaseAnswer, told)
    word = gateway.market.lease_of(lease.id)
    assert (told["status"], told["offer"], told["provider"]) == ("Open", offer.id, PROVIDER.address)
    assert told["deadline"] == deadline_of(lease.order, word, gateway.market.terms())
    assert told["priceHuman"].startswith("2.00 ")


def test_a_lease_is_shown_while_redis_is_empty(gateway: Gateway, lease: SignedOrder) -> None:
    """The chain knows who serves what; the projection only knows it faster."""
    gateway.board.projection.begin("elsewhere", gateway.board.projection.head())

    told = gateway.http.get(f"/v1/leases/{lease.id}").json()

    check_form(LeaseAnswer, told)
    assert (told["status"], told["provider"]) == ("Open", PROVIDER.address)
    gateway.sync()


def test_an_order_that_was_never_opened_has_no_lease(gateway: Gateway) -> None:
    """Nor log, receipts or outputs of one."""
    signed = gateway.signed()
    gateway.post_order(signed)

    for path in ("", "/logs", "/logs?follow=false", "/outputs"):
        answer = gateway.read(CLIENT, f"/v1/leases/{signed.id}{path}")
        assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound"), path
    assert gateway.http.get(f"/v1/leases/{signed.id}/receipts").json()["receipts"] == []


def test_a_log_grows_where_it_ends_only(gateway: Gateway, lease: SignedOrder) -> None:
    """Twice the same piece, or a piece after a gap, changes nothing and says where the log ends."""
    assert append(gateway, lease, 0, b"one\n").json() == {"length": 4}
    assert append(gateway, lease, 0, b"one\n").json() == {"length": 4}

    gap = refused(gateway, lambda: append(gateway, lease, 9, b"two\n"), 409, "LogOffset", "offset")

    assert gap["length"] == 4
    ages_away = refused(gateway, lambda: append(gateway, lease, 16 << 20, b"two\n"), 409, "LogOffset", "offset")
    assert ages_away["length"] == 4
    assert append(gateway, lease, 4, b"two\n").json() == {"length": 8}
    assert gateway.read(CLIENT, f"/v1/leases/{lease.id}/logs?follow=false").content == b"one\ntwo\n"
    assert gateway.read(CLIENT, f"/v1/leases/{lease.id}/logs?follow=false&offset=4").content == b"two\n"


def test_a_log_streams_while_it_is_written(gateway: Gateway, lease: SignedOrder) -> None:
    """Each piece arrives before the next is written; characters are never cut in two; the last receipt ends it."""
    text = "epoch 1\n\u00e9p\u00f6que \U0001f680\n"
    content = text.encode()
    result = gateway.result()
    seen: list[dict[str, Any]] = []
    grown = threading.Event()

    def follow() -> list[str]:
        names = []
        path = f"/v1/leases/{lease.id}/logs"
        signed = gateway.reading(CLIENT, path)
        with httpx.stream("GET", gateway.url + path, headers=signed, timeout=20, trust_env=False) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            for event in EventSource(response).iter_sse():
                names.append(event.event)
                if event.event == "log":
                    seen.append(event.json())
                    grown.set()
        return names

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        for position in range(0, len(content), 3):
            grown.clear()
            assert append(gateway, lease, position, content[position : position + 3]).status_code == 200
            if position < 9:
                assert grown.wait(10)
        posted = gateway.post_receipt(
            PROVIDER, gateway.receipt(lease.id, 5, bytes32_of(result.sha256)), "provider", result
        )
        assert posted.status_code == 201, posted.text
        names = following.result(20)

    assert "".join(event["text"] for event in seen) == text
    assert [event["offset"] for event in seen] == [0, *(event["next"] for event in seen[:-1])]
    assert seen[-1]["next"] == len(content)
    assert names[-1] == "end"
    assert names.count("end") == 1


def test_a_broken_stream_is_resumed(gateway: Gateway, lease: SignedOrder) -> None:
    """By ``offset`` or by ``Last-Event-ID``, to the byte."""
    append(gateway, lease, 0, b"0123456789")
    gateway.send(CLIENT, verbs.terminate(gateway.book.market, lease.order))

    for query, headers in (("?offset=4", {}), ("", {"Last-Event-ID": "4"})):
        path = f"/v1/leases/{lease.id}/logs{query}"
        with gateway.http.stream("GET", path, headers=gateway.reading(CLIENT, path) | headers) as response:
            events = list(EventSource(response).iter_sse())
        assert events[0].json() == {"offset": 4, "text": "456789", "next": 10}
        assert (events[0].id, events[-1].event) == ("10", "end")


def test_a_log_survives_redis(gateway: Gateway, lease: SignedOrder) -> None:
    """When Redis has forgotten the live log, the blob that the result names has it."""
    result = gateway.result()
    gateway.post_receipt(PROVIDER, gateway.receipt(lease.id, 5, bytes32_of(result.sha256)), "provider", result)

    assert gateway.read(CLIENT, f"/v1/leases/{lease.id}/logs?follow=false").text == "epoch 1\nepoch 2\n"
    path = f"/v1/leases/{lease.id}/logs?offset=8"
    with gateway.http.stream("GET", path, headers=gateway.reading(CLIENT, path)) as response:
        events = list(EventSource(response).iter_sse())
    assert [event.event for event in events] == ["log", "end"]
    assert events[0].json()["text"] == "epoch 2\n"


@pytest.mark.parametrize("key", [CLIENT, OTHER_PROVIDER, STRANGER], ids=["client", "other provider", "stranger"])
def test_only_the_provider_writes_the_log(gateway: Gateway, lease: SignedOrder, key: Any) -> None:
    """Not even the client, and not the provider of another lease."""
    refused(gateway, lambda: append(gateway, lease, 0, b"x", key), 403, "Forbidden", "")


def test_a_log_grows_to_its_limit_and_no_further(gateway: Gateway, lease: SignedOrder) -> None:
    """A piece that does not fit any more is refused whole, and changes nothing."""
    opened_at = gateway.market.lease_of(lease.id).opened_at
    gateway.board.append_log(lease.id, opened_at, 0, b"x" * (MAX_LOG_BYTES - 1))

    refused(gateway, lambda: append(gateway, lease, MAX_LOG_BYTES - 1, b"yz"), 422, "InvalidField", "offset")

    assert gateway.board.log_length(lease.id) == MAX_LOG_BYTES - 1
    assert append(gateway, lease, MAX_LOG_BYTES - 1, b"y").json() == {"length": MAX_LOG_BYTES}


@pytest.mark.parametrize(
    ("query", "field"),
    [("-1", "offset"), ("1.5", "offset"), ("x", "offset"), ("1e3", "offset"), ("\u0663", "offset"), ("9" * 13, "offset"),
     (" 1", "offset"), ("", "offset")],
)  # fmt: skip
def test_a_bad_offset_is_refused(gateway: Gateway, lease: SignedOrder, query: str, field: str) -> None:
    """ASCII digits, and not too many."""
    path = str(httpx.URL(f"http://x/v1/leases/{lease.id}/logs", params={"offset": query}).raw_path, "ascii")

    refused(gateway, lambda: gateway.write(PROVIDER, "POST", path, b"xy"), 422, "InvalidField", field)


def test_a_large_piece_of_log_is_refused(gateway: Gateway, lease: SignedOrder) -> None:
    """256 KiB at once."""
    refused(gateway, lambda: append(gateway, lease, 0, b"x" * ((1 << 18) + 1)), 413, "BodyTooLarge", "body")


def test_both_sides_leave_receipts(gateway: Gateway, lease: SignedOrder) -> None:
    """The provider's with the result, the client's under the same words; a repetition finds what is there."""
    result = gateway.result()
    receipt = gateway.receipt(lease.id, 5, bytes32_of(result.sha256))

    first = gateway.post_receipt(PROVIDER, receipt, "provider", result)
    again = gateway.post_receipt(PROVIDER, receipt, "provider", result)
    client = gateway.post_receipt(CLIENT, receipt, "client")

    assert (first.status_code, again.status_code, client.status_code) == (201, 200, 201)
    assert first.json() == again.json()
    told = gateway.http.get(f"/v1/leases/{lease.id}/receipts").json()
    check_form(ReceiptsAnswer, told)
    assert [row["role"] for row in told["receipts"]] == ["provider", "client"]
    outputs = gateway.read(CLIENT, f"/v1/leases/{lease.id}/outputs").json()
    check_form(OutputsAnswer, outputs)
    assert outputs["result"] == json.loads(result.canonical())
    assert outputs["resultSha256"] == result.sha256
    assert set(outputs["blobs"].values()) == {True}


def test_the_acceptor_may_sign_for_the_client(gateway: Gateway, offer: Offer) -> None:
    """Whoever the order names may act for the client's side."""
    signed = gateway.leased(offer, acceptor=ACCEPTOR.address)
    increase_time(gateway.chain, 5)
    receipt = gateway.receipt(signed.id, 3, ZEROS, last=False)

    assert gateway.post_receipt(ACCEPTOR, receipt, "client").status_code == 201


def test_progress_needs_no_result(gateway: Gateway, lease: SignedOrder) -> None:
    """A progress receipt pays for seconds, not for outputs."""
    assert (
        gateway.post_receipt(PROVIDER, gateway.receipt(lease.id, 3, ZEROS, last=False), "provider").status_code == 201
    )
    assert gateway.read(CLIENT, f"/v1/leases/{lease.id}/outputs").status_code == 404


@pytest.mark.parametrize(
    ("key", "role"),
    [(OTHER_PROVIDER, "provider"), (CLIENT, "provider"), (OTHER_CLIENT, "client"), (PROVIDER, "client"), (STRANGER, "client")],
    ids=["other provider", "client as provider", "other client", "provider as client", "stranger"],
)  # fmt: skip
def test_nobody_posts_receipts_for_another(gateway: Gateway, lease: SignedOrder, key: Any, role: str) -> None:
    """A receipt is left by the side that it commits."""
    receipt = gateway.receipt(lease.id, 5, ZEROS, last=False)

    refused(gateway, lambda: gateway.post_receipt(key, receipt, role), 403, "Forbidden", "")


def test_a_receipt_is_signed_by_its_side(gateway: Gateway, lease: SignedOrder) -> None:
    """Who sends it does not matter for what it says: the signature does."""
    receipt = gateway.receipt(lease.id, 5, ZEROS, last=False)
    by_other = OTHER_PROVIDER.sign_receipt(receipt, gateway.domain)
    of_other = PROVIDER.sign_receipt(replace(receipt, used_seconds=6), gateway.domain)

    for signature in (by_other, of_other, "0x", "0x" + "11" * 65):
        refused(
            gateway, lambda it=signature: gateway.post_receipt(PROVIDER, receipt, "provider", signature=it),  # type: ignore[misc]
            409, "BadProviderSignature", "signature",
        )  # fmt: skip
    refused(
        gateway, lambda: gateway.post_receipt(CLIENT, receipt, "client", signature=by_other), 409, "BadClientSignature", "signature",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "status", "reason", "field"),
    [
        ({"offer": 1_000}, 422, "InvalidField", "receipt.offer"),
        ({"opened_at": 1}, 422, "InvalidField", "receipt.openedAt"),
        ({"used_seconds": 601}, 409, "SecondsOutOfBounds", "receipt.usedSeconds"),
        ({"used_seconds": 0}, 409, "SecondsOutOfBounds", "receipt.usedSeconds"),
        ({"used_seconds": 2**32 - 1}, 409, "SecondsOutOfBounds", "receipt.usedSeconds"),
    ],
    ids=str,
)  # fmt: skip
def test_a_receipt_is_of_this_serving(
    gateway: Gateway, lease: SignedOrder, changed: dict[str, Any], status: int, reason: str, field: str
) -> None:
    """Offer and opening are the chain's own; the seconds can still be settled."""
    receipt = replace(gateway.receipt(lease.id, 5, ZEROS, last=False), **changed)

    refused(gateway, lambda: gateway.post_receipt(PROVIDER, receipt, "provider"), status, reason, field)


def test_a_receipt_of_another_lease_is_refused(gateway: Gateway, lease: SignedOrder, offer: Offer) -> None:
    """The path says which lease is meant, and the receipt must agree."""
    other = gateway.leased(offer)
    receipt = gateway.receipt(other.id, 0, ZEROS)
    body = {
        "receipt": receipt_to_wire(receipt),
        "role": "provider",
        "signature": PROVIDER.sign_receipt(receipt, gateway.domain),
    }

    def post() -> httpx.Response:
        return gateway.write(PROVIDER, "POST", f"/v1/leases/{lease.id}/receipts", json.dumps(body).encode())

    refused(gateway, post, 422, "InvalidField", "receipt.lease")


def test_no_receipt_for_what_is_over(gateway: Gateway, lease: SignedOrder) -> None:
    """After the exit nothing is left to sign."""
    receipt = gateway.receipt(lease.id, 5, ZEROS, last=False)
    gateway.send(CLIENT, verbs.terminate(gateway.book.market, lease.order))

    refused(gateway, lambda: gateway.post_receipt(PROVIDER, receipt, "provider"), 409, "NotLive", "receipt.lease")


def test_a_side_does_not_contradict_itself(gateway: Gateway, lease: SignedOrder) -> None:
    """A second receipt about the same seconds with another result does not replace, or join, the first."""
    first, second = gateway.result(), gateway.result(exit_code=1)
    gateway.post_receipt(PROVIDER, gateway.receipt(lease.id, 5, bytes32_of(first.sha256)), "provider", first)
    other = gateway.receipt(lease.id, 5, bytes32_of(second.sha256))

    refused(
        gateway, lambda: gateway.post_receipt(PROVIDER, other, "provider", second), 422, "InvalidField", "receipt.result"
    )  # fmt: skip


def test_the_result_is_what_its_hash_says(gateway: Gateway, lease: SignedOrder) -> None:
    """A last receipt brings its result document, canonical, valid, and with that very hash."""
    result = gateway.result(exit_code=7)
    receipt = gateway.receipt(lease.id, 5, bytes32_of(result.sha256))
    document = json.loads(result.canonical())
    wrong: tuple[tuple[Any, str, str], ...] = (
        (None, "InvalidField", "resultDocument"),
        ({**document, "exit_code": 1}, "HashMismatch", "resultDocument"),
        ({**document, "exit_code": 256}, "InvalidField", "resultDocument.exit_code"),
        ({**document, "exit_code": -1}, "InvalidField", "resultDocument.exit_code"),
        ({**document, "exit_code": True}, "InvalidField", "resultDocument.exit_code"),
        ({**document, "exit_code": 2**60}, "InvalidField", "resultDocument.exit_code"),
        ({**document, "verdict": "good"}, "InvalidField", "resultDocument.verdict"),
        ({**document, "outputs": [{**document["outputs"][0], "path": "/job/../x"}]}, "InvalidField", "resultDocument.outputs[0].path"),
        ([], "InvalidField", "resultDocument"),
        ("x", "InvalidField", "resultDocument"),
    )  # fmt: skip

    for body, reason, field in wrong:
        refused(
            gateway, lambda it=body: gateway.post_receipt(PROVIDER, receipt, "provider", resultDocument=it),  # type: ignore[misc]
            422, reason, field,
        )  # fmt: skip


def test_a_malformed_receipt_is_refused(gateway: Gateway, lease: SignedOrder) -> None:
    """Roles, numbers and flags as the wire form has them."""
    good = gateway.receipt(lease.id, 5, ZEROS, last=False)
    wire = receipt_to_wire(good)
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"role": "arbiter"}, "role"),
        ({"role": ["client"]}, "role"),
        ({"receipt": {**wire, "last": 1}}, "receipt.last"),
        ({"receipt": {**wire, "usedSeconds": 5}}, "receipt.usedSeconds"),
        ({"receipt": {**wire, "usedSeconds": str(2**32)}}, "receipt.usedSeconds"),
        ({"receipt": {**wire, "result": "0x00"}}, "receipt.result"),
        ({"receipt": {**wire, "owner": "me"}}, "receipt"),
        ({"receipt": None}, "receipt"),
        ({"signature": 5}, "signature"),
        ({"signature": "0x1"}, "signature"),
        ({"note": "hello"}, "note"),
    )

    for other, field in wrong:
        refused(
            gateway, lambda it=other: gateway.post_receipt(PROVIDER, good, "provider", **it), 422, "InvalidField", field,  # type: ignore[misc]
        )  # fmt: skip


def test_a_claimed_result_is_found_without_receipts(gateway: Gateway, lease: SignedOrder) -> None:
    """A provider whose client stayed silent claims with the result's hash; the document is a blob like any other."""
    result = gateway.result()
    gateway.keep(result.canonical(), PROVIDER)
    gateway.send(PROVIDER, verbs.claim(gateway.book.market, lease.order, 5, bytes32_of(result.sha256)))  # type: ignore[arg-type]

    told = gateway.read(CLIENT, f"/v1/leases/{lease.id}/outputs").json()

    assert told["resultSha256"] == result.sha256
    assert gateway.http.get(f"/v1/leases/{lease.id}").json()["status"] == "Claimed"


def test_an_account_sees_its_money(gateway: Gateway, lease: SignedOrder) -> None:
    """Free is the chain's own number; locked is the sum over its live leases, bonds included."""
    for key in (CLIENT, PROVIDER):
        told = gateway.http.get(f"/v1/accounts/{key.address}").json()
        check_form(AccountAnswer, told)
        assert told["free"] == str(gateway.market.balance_of(key.address))
        assert lease.id in told["liveLeases"]
    client, provider = (gateway.http.get(f"/v1/accounts/{key.address}").json() for key in (CLIENT, PROVIDER))
    outside = gateway.http.get(f"/v1/accounts/{ACCEPTOR.address}").json()
    assert (outside["free"], outside["locked"], outside["freeHuman"][:5]) == ("0", "0", "0.00 ")
    others = [OTHER_CLIENT, STRANGER, ACCEPTOR]
    locked = sum(int(gateway.http.get(f"/v1/accounts/{key.address}").json()["locked"]) for key in others)
    free = sum(gateway.market.balance_of(key.address) for key in (CLIENT, PROVIDER, *others))
    total = free + locked + int(client["locked"]) + int(provider["locked"])
    assert total == 2_000 * DOLLAR  # nothing left the market, and nobody else has anything


def test_an_account_is_of_one_block(gateway: Gateway, offer: Offer) -> None:
    """While the chain is ahead of the projection, a lock that it has taken is neither missing nor counted twice."""
    signed = gateway.signed()
    assert gateway.post_order(signed).status_code == 201
    gateway.sync()
    before = gateway.http.get(f"/v1/accounts/{CLIENT.address}").json()
    opening = verbs.open_fills(gateway.book.market, [Fill(signed, offer.id, offer.price)])
    Sender(gateway.chain, OPENER).send(opening)
    ahead = gateway.http.get(f"/v1/accounts/{CLIENT.address}").json()
    gateway.sync()
    after = gateway.http.get(f"/v1/accounts/{CLIENT.address}").json()

    assert ahead == before
    assert after["block"]["number"] > before["block"]["number"]
    assert int(after["locked"]) > int(before["locked"])
    assert int(after["free"]) + int(after["locked"]) == int(before["free"]) + int(before["locked"])


def test_the_name_of_a_log_is_no_path(gateway: Gateway) -> None:
    """What is no id is no lease."""
    for name in ("x", "0x12", "..%2f..", "0x" + "g" * 64, "0x" + "1" * 65):
        answer = gateway.http.get(f"/v1/leases/{name}/logs")
        assert answer.status_code in (404, 422), name
        assert answer.headers["content-type"] == "application/problem+json"
