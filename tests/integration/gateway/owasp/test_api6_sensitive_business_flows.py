"""API6:2023, unrestricted access to sensitive business flows: what is worth money cannot be had again and again for one price."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from marketplace.domain.ids import bytes32_of, sha256_of
from tests.integration.gateway.conftest import CLIENT, OTHER_CLIENT, STRANGER, Gateway
from tests.integration.gateway.owasp.conftest import Private


def test_one_signature_is_one_order(gateway: Gateway, private: Private) -> None:
    """Posted many times at once, with and without keys: one row, one place on the book."""
    signed = gateway.signed()
    with ThreadPoolExecutor(8) as pool:
        told = list(
            pool.map(lambda n: gateway.post_order(signed, **({"Idempotency-Key": f"k{n}"} if n % 2 else {})), range(16))
        )

    assert sorted(answer.status_code for answer in told).count(201) == 1
    assert {answer.json()["id"] for answer in told} == {signed.id}
    assert [row.signed.id for row in gateway.journal.orders_of(CLIENT.address, limit=100)].count(signed.id) == 1


def test_an_order_costs_money_that_is_there(gateway: Gateway, private: Private) -> None:
    """Nobody fills the book for nothing: every order's worst cost must be free, and the signer its client's."""
    poor = gateway.signed(STRANGER)
    forged = gateway.signed(OTHER_CLIENT, client=CLIENT.address)

    assert gateway.post_order(poor).status_code == 402
    assert gateway.post_order(forged).json()["reason"] == "BadSignature"


def test_nobody_beats_for_another(gateway: Gateway, private: Private) -> None:
    """A provider's sign of life is its own: a replay within its time says nothing new, another's signature nothing at all."""
    before = gateway.board.heartbeats().get(private.offer.provider)
    gateway.write(CLIENT, "POST", "/v1/heartbeats", b"{}")
    told = gateway.write(STRANGER, "POST", "/v1/heartbeats", b"{}", headers={"Bourse-Account": private.offer.provider})

    assert told.status_code == 401
    assert gateway.board.heartbeats().get(private.offer.provider) == before


def test_a_name_is_not_taken_by_who_comes_first(gateway: Gateway, private: Private) -> None:
    """An upload by a stranger keeps nobody from uploading, owning and ordering with the same content."""
    content = b"first come"
    for key in (OTHER_CLIENT, CLIENT):
        path = f"/v1/blobs/{sha256_of(content)}"
        assert gateway.write(key, "PUT", path, content, kind="application/octet-stream").status_code == 201
        assert gateway.read(key, path).content == content
    assert bytes32_of(sha256_of(content)) != private.lease.order.spec
