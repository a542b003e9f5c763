"""API4:2023, unrestricted resource consumption: what somebody may keep here is bounded by what it has at stake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import time

import httpx
import pytest
from fastapi import FastAPI

from marketplace.chain import verbs
from marketplace.chain.devnet import ANVIL_KEYS, increase_time
from marketplace.chain.request_signing import sign_request
from marketplace.chain.signing import Key
from marketplace.domain.errors import OverQuota, TooManyRequests
from marketplace.domain.ids import Sha256, bytes32_of, sha256_of
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import desks_over
from marketplace.gateway.rate_limiting import HELD_SECONDS
from marketplace.services import quotas
from marketplace.services.rate_limits import Cost, Rate, RateLimits
from marketplace.services.receipts import MOST_LAST_RECEIPTS, MOST_PROGRESS_RECEIPTS
from marketplace.services.uploads import Upload
from marketplace.store.journal.answers import MOST_ANSWERS
from tests.integration.gateway.conftest import (
    ACCEPTOR,
    CLIENT,
    PROVIDER,
    STRANGER,
    UPLOAD_LIMIT_BYTES,
    Gateway,
    running,
)
from tests.integration.gateway.owasp.conftest import Private

POOR = ANVIL_KEYS[8]
"""With coin for gas, and nothing in the market."""


def put(gateway: Gateway, key: Key, content: bytes) -> httpx.Response:
    return gateway.write(key, "PUT", f"/v1/blobs/{sha256_of(content)}", content, kind="application/octet-stream")


@contextmanager
def noted(gateway: Gateway, key: Key, size: int, days_ago: int = 0, *, is_strange: bool = False) -> Iterator[None]:
    """As if the account had brought so much, for a while."""
    name = hashlib.sha256(f"{key.address}{size}{days_ago}".encode()).hexdigest()
    at = gateway.now() - days_ago * quotas.DAY_SECONDS
    gateway.journal.uploads.note(name, key.address, size, at, is_strange=is_strange)  # type: ignore[arg-type]
    yield
    assert gateway.journal.uploads.forget(Sha256(name), UnixTime(2**40))


def refused(answer: httpx.Response, reason: str = "OverQuota") -> bool:
    return answer.is_error and (answer.status_code, answer.json()["reason"]) == (403, reason)


def test_one_base_unit_makes_room_for_kilobytes(gateway: Gateway) -> None:
    """Money in the market is needed in proportion: in all, and half of it in a day."""
    gateway.fund(ACCEPTOR, 1)
    large = bytes((4 << 20) - 1)

    assert refused(put(gateway, ACCEPTOR, large))
    assert put(gateway, ACCEPTOR, bytes(1 << 20)).status_code == 201
    with noted(gateway, ACCEPTOR, 1 << 20):
        assert refused(put(gateway, ACCEPTOR, bytes(1 << 17)))
    gateway.fund(ACCEPTOR, 10_000)
    assert put(gateway, ACCEPTOR, large).status_code == 201


def test_less_than_the_least_stake_is_a_strangers(gateway: Gateway) -> None:
    """Small files out of the strangers' pot, and no place of those who have something to lose; from the least stake on, large ones."""
    desks, content = gateway.app.state.desks, bytes(100_000)
    free = gateway.market.balance_of(POOR.address)
    app = create_app(
        desks_over(
            gateway.market, gateway.journal, gateway.board, gateway.blobs, desks.roles, clock=time,
            least_stake=TokenUnits(free + 1_000),
        )
    )  # fmt: skip
    path = f"/v1/blobs/{sha256_of(content)}"

    def put_there(url: str) -> int:
        signed = sign_request(POOR, "PUT", path, sha256_of(content), gateway.now(), gateway.domain)
        return httpx.put(url + path, content=content, headers=signed, trust_env=False).status_code

    with running(app) as url:
        assert put_there(url) == 413
        gateway.fund(POOR, 1_000)
        assert put_there(url) == 201


def test_files_under_way_take_room(gateway: Gateway) -> None:
    """Many at once are no way around a quota: each holds its room until it is here or given up."""
    uploads = gateway.app.state.desks.uploads
    gateway.fund(POOR, 1_000)
    upload = Upload(Sha256("ab" * 32), POOR.address, False, gateway.now())
    stake, brought = gateway.market.balance_of(POOR.address), gateway.journal.uploads.bytes_of(POOR.address)
    many = (quotas.kept_bytes_for(stake, 6) // 2 - brought) // UPLOAD_LIMIT_BYTES
    with ExitStack() as under_way:
        for _ in range(many):
            held = under_way.enter_context(uploads.reservation())
            assert uploads.admit(upload, None, UPLOAD_LIMIT_BYTES, held)[1] == UPLOAD_LIMIT_BYTES
        one_more = under_way.enter_context(uploads.reservation())
        with pytest.raises(OverQuota):
            uploads.admit(upload, None, UPLOAD_LIMIT_BYTES, one_more)
    with uploads.reservation() as held:
        assert uploads.admit(upload, None, UPLOAD_LIMIT_BYTES, held)[1] == UPLOAD_LIMIT_BYTES


def test_a_delegates_files_are_its_accounts(gateway: Gateway) -> None:
    """They take the room of the account whose stake they go by, however many delegates it has; both may read them."""
    content = b"a delegate's"
    name, path = sha256_of(content), f"/v1/blobs/{sha256_of(content)}"
    gateway.send(CLIENT, verbs.authorize(gateway.book.market, STRANGER.address, TokenUnits(1), UnixTime(2**40 - 1)))
    before = gateway.journal.uploads.bytes_of(CLIENT.address)
    told = gateway.write(STRANGER, "PUT", path, content, headers={"Bourse-For": CLIENT.address})
    gateway.send(CLIENT, verbs.authorize(gateway.book.market, STRANGER.address, TokenUnits(0), UnixTime(0)))

    assert told.status_code == 201
    assert gateway.journal.uploads.bytes_of(CLIENT.address) == before + len(content)
    assert gateway.journal.uploads.has(name, (STRANGER.address,))
    assert gateway.read(CLIENT, path).content == gateway.read(STRANGER, path).content == content


def test_strangers_share_one_pot(gateway: Gateway) -> None:
    """Keys cost nothing: many of them have no more room than one; who has a stake does not notice."""
    with noted(gateway, PROVIDER, quotas.STRANGERS_BYTES, days_ago=2, is_strange=True):
        assert refused(put(gateway, STRANGER, b"a stranger's"))
        assert put(gateway, CLIENT, b"a client's").status_code == 201


def test_the_same_again_needs_no_room(gateway: Gateway) -> None:
    """What an account has here already, it may bring again."""
    assert put(gateway, CLIENT, b"once").status_code == 201
    with noted(gateway, CLIENT, quotas.MOST_BYTES, days_ago=2):
        assert put(gateway, CLIENT, b"once").status_code == 200
        assert refused(put(gateway, CLIENT, b"twice"))


def test_one_order_under_many_keys_is_few_rows(gateway: Gateway, private: Private) -> None:
    """Answers are kept for repetitions of requests, and the oldest of an account make room."""
    body = {"order": None}
    for number in range(3):
        told = gateway.post_order(private.lease, **{"Idempotency-Key": f"key-{number}"})
        assert told.status_code == 200, body
    for number in range(MOST_ANSWERS + 5):
        gateway.journal.remember(f"more-{number:03}", CLIENT.address, "0" * 64, 200, b"{}", gateway.now())

    kept = [gateway.journal.recall(f"more-{number:03}", CLIENT.address) for number in range(MOST_ANSWERS + 5)]
    assert sum(row is not None for row in kept) <= MOST_ANSWERS


def test_progress_receipts_are_bounded(gateway: Gateway, private: Private) -> None:
    """Each is a row for good; the newest one says what all others said."""
    lease = gateway.leased(private.offer)
    increase_time(gateway.chain, 10)
    gateway.sync()
    opened = gateway.market.lease_of(lease.id).opened_at
    for used in range(MOST_PROGRESS_RECEIPTS):
        row = gateway.receipt(lease.id, 1_000 + used, "0x" + "00" * 32, last=False)  # type: ignore[arg-type]
        gateway.journal.add_receipt(row, "provider", "0x", opened)

    one_more = gateway.receipt(lease.id, 5, "0x" + "11" * 32, last=False)  # type: ignore[arg-type]
    told = gateway.post_receipt(PROVIDER, one_more, "provider")
    assert (told.status_code, told.json()["field"]) == (422, "receipt.last")


def test_last_receipts_are_bounded(gateway: Gateway, private: Private) -> None:
    """A provider that signs another end for every second leaves a few of them, and the client finds them."""
    lease = gateway.leased(private.offer)
    increase_time(gateway.chain, 10)
    gateway.sync()
    opened = gateway.market.lease_of(lease.id).opened_at
    for used in range(MOST_LAST_RECEIPTS):
        row = gateway.receipt(lease.id, 20 + used, "0x" + "00" * 32)  # type: ignore[arg-type]
        gateway.journal.add_receipt(row, "provider", "0x", opened)

    result = gateway.result()
    one_more = gateway.receipt(lease.id, 5, bytes32_of(result.sha256))
    told = gateway.post_receipt(PROVIDER, one_more, "provider", result)
    assert (told.status_code, told.json()["field"]) == (422, "receipt.usedSeconds")


SLOW = dict.fromkeys(Cost, Rate(0.01, 5))
LOOSE = dict.fromkeys(Cost, Rate(1_000, 1_000))


def limited(gateway: Gateway, limits: RateLimits) -> FastAPI:
    """Another gateway of the same market with these limits."""
    roles = gateway.app.state.desks.roles
    return create_app(
        desks_over(gateway.market, gateway.journal, gateway.board, gateway.blobs, roles, clock=time, limits=limits)
    )


def test_who_asks_too_often_is_told_how_long_to_wait(gateway: Gateway) -> None:
    """429 with a typed reason and Retry-After, and not at once: asking on is slower than that; health is asked without limits."""
    with running(limited(gateway, RateLimits(None, time, SLOW, SLOW))) as url:
        told = [httpx.get(f"{url}/v1/classes", trust_env=False) for _ in range(6)]
        alive = httpx.get(f"{url}/live", trust_env=False)

    assert [answer.status_code for answer in told] == [200] * 5 + [429]
    assert told[-1].json()["reason"] == "TooManyRequests"
    assert 1 <= int(told[-1].headers["Retry-After"]) == told[-1].json()["retryAfter"] <= 100
    assert told[-1].headers["x-content-type-options"] == "nosniff"
    assert told[-1].elapsed.total_seconds() >= HELD_SECONDS
    assert alive.status_code == 200


def test_an_account_is_limited_wherever_it_comes_from(gateway: Gateway, private: Private) -> None:
    """By the key that signed: a stranger that names the account without its key uses up nothing."""
    path = f"/v1/leases/{private.lease.id}/outputs"
    with running(limited(gateway, RateLimits(None, time, LOOSE, SLOW))) as url:
        forged = gateway.reading(STRANGER, path) | {"Bourse-Account": CLIENT.address}
        assert {httpx.get(url + path, headers=forged, trust_env=False).status_code for _ in range(7)} == {401}
        told = [httpx.get(url + path, headers=gateway.reading(CLIENT, path), trust_env=False) for _ in range(6)]

    assert [answer.status_code for answer in told] == [200] * 5 + [429]


def test_gateways_count_together(gateway: Gateway) -> None:
    """What one let through is taken out of the other's bucket, as soon as they have told each other through Redis."""
    one, other = (RateLimits(gateway.board, lambda: 1_000_000.0, SLOW, SLOW) for _ in range(2))
    for limits in (one, other):
        for _ in range(2):
            limits.admit_address("192.0.2.7", Cost.READ)
    one.share()
    other.share()

    other.admit_address("192.0.2.7", Cost.READ)
    with pytest.raises(TooManyRequests):
        other.admit_address("192.0.2.7", Cost.READ)
    one.admit_address("192.0.2.7", Cost.READ)
