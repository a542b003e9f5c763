"""A provider lies to a gateway about its life and its work: beats of times to come, beats again, beats of others, receipts with anything in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec

from marketplace.api.accounts import BeatsAnswer, BeatTold
from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.http import Retries
from marketplace.api.record import BlockTold
from marketplace.chain.devnet import increase_time
from marketplace.chain.request_signing import AHEAD_SECONDS, sign_request
from marketplace.chain.signing import Key, SigningDomain
from marketplace.client.journal import JobJournal
from marketplace.client.liveness import SignsOfLife
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import receipt_to_wire
from tests.hostile.gateway.liar import answer, lying
from tests.integration.gateway.conftest import (
    CLIENT,
    OTHER_PROVIDER,
    PROVIDER,
    STRANGER,
    Gateway,
    gateway,
    gateway_anvil,
    gateway_redis,
    offer,
)

__all__ = ["gateway", "gateway_anvil", "gateway_redis", "offer"]

PATH = "/v1/heartbeats"
TIMES = (
    "-1",
    "0",
    "1",
    "",
    "1e9",
    "1.5",
    "0x10",
    "true",
    "null",
    "9" * 12,
    "9" * 400,
)
BODIES = (
    b"",
    b"null",
    b"[]",
    b"7",
    b'{"at":1}',
    b'{"provider":"0x00"}',
    b"[" * 50_000,
    b'{"":{}}',
    b"\xff",
    b" " * (2 << 20),
)


def beat(gateway: Gateway, key: Key, at: int, **headers: str) -> httpx.Response:
    return gateway.write(key, "POST", PATH, b"{}", at=at, headers=headers)


def told(gateway: Gateway, provider: Address) -> list[int]:
    """The signed beats of the provider that the gateway shows."""
    listed = gateway.http.get(PATH, params={"provider": provider}).json()["heartbeats"]
    return [one["at"] for one in listed if one["provider"] == provider]


def test_a_beat_that_is_early_never_moves(gateway: Gateway) -> None:
    """A time to come counts as what was signed, once: sent again when it is nearer, it says nothing new. One too far ahead is none."""
    gateway.fund(OTHER_PROVIDER, 1)
    who, now = OTHER_PROVIDER.address, gateway.now()
    assert (beat(gateway, OTHER_PROVIDER, now + AHEAD_SECONDS + 1).status_code, told(gateway, who)) == (401, [])
    assert beat(gateway, OTHER_PROVIDER, now + AHEAD_SECONDS).json()["at"] == now + AHEAD_SECONDS
    increase_time(gateway.chain, 5)
    gateway.sync()

    again = [beat(gateway, OTHER_PROVIDER, at).json()["at"] for at in (now, now + AHEAD_SECONDS)]
    assert again == [now + AHEAD_SECONDS] * 2
    assert told(gateway, who) == [now + AHEAD_SECONDS]
    gateway.board.beat(who, UnixTime(now + 60), UnixTime(now + 60), "0x")
    assert told(gateway, who) == []


def test_nothing_but_ones_own_signed_beat_is_one(gateway: Gateway, offer: Offer) -> None:
    """Of another account, market, path or time, with another body: each is refused with a reason, and nobody has been heard."""
    now, before = gateway.now(), gateway.board.heartbeats()
    elsewhere = [SigningDomain(1, gateway.market.address), SigningDomain(gateway.domain.chain_id, STRANGER.address)]
    answers = [beat(gateway, PROVIDER, now, **{"Bourse-Time": text}) for text in TIMES]
    answers += [beat(gateway, key, now, **{"Bourse-Account": PROVIDER.address}) for key in (CLIENT, STRANGER)]
    answers += [
        beat(gateway, PROVIDER, now, **{"Bourse-Account": gateway.market.address}),
        beat(gateway, STRANGER, now),
    ]
    answers += [gateway.write(PROVIDER, "POST", PATH, b"{}", domain=domain) for domain in elsewhere]
    answers += [gateway.write(PROVIDER, "POST", PATH, body) for body in BODIES]
    signed = sign_request(PROVIDER, "POST", PATH + "?a=1", b"{}", now, gateway.domain)
    answers.append(gateway.http.post(PATH, content=b"{}", headers={"Content-Type": "application/json", **signed}))

    assert [one.status_code for one in answers if one.status_code not in (401, 403, 413, 422)] == []
    assert all(one.headers["content-type"] == "application/problem+json" for one in answers)
    assert gateway.board.heartbeats() == before


def test_a_client_hears_no_beat_that_is_early_or_anothers(gateway: Gateway, tmp_path: Path) -> None:
    """Whatever a gateway shows: a beat of a time to come, with another's signature, or with none, is no sign of life."""
    head = gateway.chain.head()
    said: list[bytes] = []
    journal = JobJournal(tmp_path / "jobs.sqlite")

    def shown(at: int, key: Key = PROVIDER) -> bytes:
        signature = sign_request(key, "POST", PATH, b"{}", UnixTime(at), gateway.domain)["Bourse-Signature"]
        told = BeatTold.of(PROVIDER.address, OfferId(1), UnixTime(at), signature)
        return msgspec.json.encode(BeatsAnswer([told], BlockTold.of(head)))

    with lying(lambda connection, _: connection.sendall(answer(said[-1]))) as liar:

        def is_heard(content: bytes) -> bool:
            said.append(content)
            api = GatewayApi(liar.url, retries=Retries(attempts=1))
            signs = SignsOfLife(gateway.market, [api], journal.witnesses)
            heard = signs.is_alive_since(PROVIDER.address, UnixTime(0), head)
            api.close()
            return heard

        assert is_heard(shown(head.timestamp))
        assert is_heard(shown(head.timestamp + AHEAD_SECONDS))
        assert not is_heard(shown(head.timestamp + AHEAD_SECONDS + 1))
        assert not is_heard(shown(head.timestamp, STRANGER))
        assert not is_heard(shown(head.timestamp).replace(b'"at"', b'"at2"'))
    journal.close()


def test_a_gateway_keeps_no_receipt_but_an_honest_one(gateway: Gateway, offer: Offer) -> None:
    """Nothing, less than nothing, too much or another kind in any field, another's role or signature: refused, and nothing is kept."""
    lease = gateway.leased(offer).id
    increase_time(gateway.chain, 10)
    gateway.sync()
    receipt = gateway.receipt(lease, 5, Bytes32("0x" + "00" * 32), last=False)
    signature = PROVIDER.sign_receipt(receipt, gateway.domain)
    honest = {"receipt": receipt_to_wire(receipt), "role": "provider", "signature": signature}
    wrong: tuple[Any, ...] = (None, -1, 2**40, "x" * 60_000, [], 1.5)
    changed = [honest | {"receipt": honest["receipt"] | {name: junk}} for name in honest["receipt"] for junk in wrong]
    changed += [honest | {"role": role} for role in ("client", "", None, ["provider"])]
    changed += [honest | {"signature": CLIENT.sign_receipt(receipt, gateway.domain)}, honest | {"more": 1}]
    path = f"/v1/leases/{lease}/receipts"
    answers = [gateway.write(PROVIDER, "POST", path, json.dumps(body).encode()) for body in changed]
    answers.append(gateway.write(STRANGER, "POST", path, json.dumps(honest).encode()))

    assert [one.text for one in answers if one.status_code not in (401, 403, 409, 422)] == []
    assert gateway.journal.receipts(lease) == []
    assert gateway.write(PROVIDER, "POST", path, json.dumps(honest).encode()).status_code == 201
