"""Accounts that are contracts (EIP-1271) do everything at the gateway that accounts with keys do."""

from __future__ import annotations

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import increase_time
from marketplace.chain.eip1271 import is_approved_by
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.ids import Address, Bytes32, bytes32_of, sha256_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.receipts import Settlement
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.services.uploads import STRANGER_LIMIT_BYTES
from tests.integration.contracts import wallet_of
from tests.integration.gateway.conftest import (
    CLIENT,
    DEPLOYER,
    DOLLAR,
    OTHER_CLIENT,
    OTHER_PROVIDER,
    PROVIDER,
    STRANGER,
    Gateway,
)

OWNER = OTHER_CLIENT


@pytest.fixture(scope="module")
def wallet(gateway: Gateway) -> Address:
    """A wallet that takes its owner's signature for its own, with money in the market."""
    found, units = wallet_of(gateway.chain, OWNER), TokenUnits(20 * DOLLAR)
    for call in (
        verbs.mint(gateway.book.token, DEPLOYER.address, units),
        verbs.approve(gateway.book.token, gateway.book.market, units),
        verbs.deposit(gateway.book.market, found, units),
    ):
        gateway.send(DEPLOYER, call)
    return found


@pytest.fixture
def lease(gateway: Gateway, offer: Offer, wallet: Address) -> SignedOrder:
    """The wallet's order, signed by its owner, and served since ten seconds."""
    signed = gateway.leased(offer, key=OWNER, client=wallet)
    increase_time(gateway.chain, 10)
    gateway.sync()
    return signed


def test_a_wallets_owner_countersigns_and_the_contract_agrees(
    gateway: Gateway, lease: SignedOrder, wallet: Address
) -> None:
    """The receipt that the gateway takes with the owner's signature settles on the chain with that signature."""
    result = gateway.result()
    receipt = gateway.receipt(lease.id, 5, bytes32_of(result.sha256))
    assert gateway.post_receipt(PROVIDER, receipt, "provider", result).status_code == 201

    taken = gateway.post_receipt(OWNER, receipt, "client", account=wallet)
    again = gateway.post_receipt(OWNER, receipt, "client", account=wallet)
    settlement = Settlement(
        lease.order, receipt.used_seconds, receipt.result, True, OWNER.sign_receipt(receipt, gateway.domain), "0x"
    )
    gateway.send(PROVIDER, verbs.settle(gateway.book.market, [settlement]))

    assert (taken.status_code, again.status_code) == (201, 200)
    assert taken.json()["role"] == "client"
    assert gateway.market.lease_of(lease.id).status is LeaseStatus.CLOSED


@pytest.mark.parametrize("who", ["stranger", "owner alone", "stranger's signature"])
def test_nobody_else_countersigns_for_a_wallet(gateway: Gateway, lease: SignedOrder, wallet: Address, who: str) -> None:
    """A stranger is not the wallet, its owner is not it either under its own name, and a stranger's signature is no receipt."""
    receipt = gateway.receipt(lease.id, 5, bytes32_of(gateway.result().sha256))
    forged = {"signature": STRANGER.sign_receipt(receipt, gateway.domain)}

    refused = {
        "stranger": lambda: gateway.post_receipt(STRANGER, receipt, "client", account=wallet),
        "owner alone": lambda: gateway.post_receipt(OWNER, receipt, "client"),
        "stranger's signature": lambda: gateway.post_receipt(OWNER, receipt, "client", account=wallet, **forged),
    }[who]()

    expected = {
        "stranger": (401, "Unauthorized"), "owner alone": (403, "Forbidden"), "stranger's signature": (409, "BadClientSignature"),
    }[who]  # fmt: skip
    assert (refused.status_code, refused.json()["reason"]) == expected


def test_a_wallets_owner_takes_its_order_off_the_book(gateway: Gateway, wallet: Address) -> None:
    """In the wallet's name; nobody else can, and a wallet is no one else's client."""
    signed, other = gateway.signed(OWNER, client=wallet), gateway.signed(CLIENT)
    assert gateway.post_order(signed).status_code == gateway.post_order(other).status_code == 201
    path = f"/v1/orders/{signed.id}"

    stranger = gateway.write(STRANGER, "DELETE", path, account=wallet)
    another = gateway.write(OWNER, "DELETE", f"/v1/orders/{other.id}", account=wallet)
    done = gateway.write(OWNER, "DELETE", path, account=wallet)

    assert (stranger.status_code, another.status_code, done.status_code) == (401, 403, 200)
    assert done.json()["state"] == "withdrawn"


def test_an_acceptor_takes_an_order_off_the_book(gateway: Gateway) -> None:
    """It may cancel it on the chain, too."""
    signed = gateway.signed(CLIENT, acceptor=STRANGER.address)
    assert gateway.post_order(signed).status_code == 201

    assert gateway.write(STRANGER, "DELETE", f"/v1/orders/{signed.id}").json()["state"] == "withdrawn"


def test_a_wallet_that_is_an_acceptor_or_a_provider_signs_too(gateway: Gateway, offer: Offer, wallet: Address) -> None:
    """Whoever the contract would ask is asked: here the acceptor."""
    signed = gateway.leased(offer, acceptor=wallet)
    increase_time(gateway.chain, 10)
    gateway.sync()
    receipt = gateway.receipt(signed.id, 5, bytes32_of(gateway.result().sha256))

    assert gateway.post_receipt(OWNER, receipt, "client", account=wallet).status_code == 201


def test_large_files_are_taken_from_wallets_and_from_delegates(gateway: Gateway, wallet: Address) -> None:
    """A wallet with money takes part in the market; who uploads for somebody as its delegate may send as much."""
    content = b"x" * (STRANGER_LIMIT_BYTES + 1)
    path, kind = f"/v1/blobs/{sha256_of(content)}", "application/octet-stream"
    represents = {"Bourse-For": CLIENT.address}

    def put(**more: object) -> int:
        return gateway.write(OTHER_PROVIDER, "PUT", path, content, kind=kind, **more).status_code  # type: ignore[arg-type]

    assert put() == put(headers=represents) == 413
    assert put(headers={"Bourse-For": "nobody"}) == 422
    until = UnixTime(gateway.now() + 600)
    gateway.send(CLIENT, verbs.authorize(gateway.book.market, OTHER_PROVIDER.address, TokenUnits(1), until))
    assert put(headers=represents) == 201
    other = content + b"y"
    as_wallet = gateway.write(OWNER, "PUT", f"/v1/blobs/{sha256_of(other)}", other, kind=kind, account=wallet)
    assert as_wallet.status_code == 201


@pytest.mark.parametrize(("rounds", "is_heard"), [(1_000, True), (8_000, False)])
def test_a_wallet_gets_no_more_gas_than_from_the_market(gateway: Gateway, rounds: int, is_heard: bool) -> None:
    """What it could say with more than 100,000 gas the contract would never hear: here nobody hears it either."""
    slow = Address("0x" + "e6" * 20)
    counting = f"61{rounds:04x}" + "5b6001900380600357"  # 26 gas a round
    yes = "7f1626ba7e" + "00" * 28 + "5f5260205ff3"
    gateway.chain.rpc("anvil_setCode", slow, "0x" + counting + yes)

    digest, head = Bytes32("0x" + "12" * 32), gateway.chain.head()

    assert is_approved_by(gateway.chain, slow, digest, "0x1234", head) is is_heard


def test_a_node_that_is_away_approves_nothing(gateway: Gateway, wallet: Address) -> None:
    """Not to be able to ask is an error that can be tried again."""
    digest, block = Bytes32("0x" + "12" * 32), gateway.chain.head()
    gone = Chain(["http://127.0.0.1:9"])

    with pytest.raises(ChainUnavailable):
        is_approved_by(gone, wallet, digest, "0x1234", block)
