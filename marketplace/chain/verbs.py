"""The protocol's verbs as calls, ready to simulate and send. Pure: they build, ``transactions.Sender`` sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from marketplace.chain.contracts import contract_abi
from marketplace.domain.errors import InvalidField
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_BYTES32, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Settlement
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

SIGNATURE_BYTES = 65


@dataclass(frozen=True, slots=True)
class Call:
    """A message to a contract, and the verb that it says. ``to`` is None where it creates one."""

    to: Address | None
    input: bytes
    verb: str


def deposit(market: Address, account: Address, amount: TokenUnits) -> Call:
    """Credit ``account`` with ``amount`` of the sender's tokens, which the sender has approved before."""
    return _market(market, "deposit", account, amount)


def deposit_with_permit(
    market: Address, owner: Address, amount: TokenUnits, deadline: UnixTime, signature: str
) -> Call:
    """Deposit the owner's tokens to its own account with its permit (EIP-2612). Anyone's."""
    return _market(market, "depositWithPermit", owner, amount, deadline, *_split(signature))


def deposit_with_authorization(
    market: Address,
    owner: Address,
    amount: TokenUnits,
    *,
    valid_after: UnixTime,
    valid_before: UnixTime,
    nonce: Bytes32,
    signature: str,
) -> Call:
    """Deposit the owner's tokens to its own account with its authorization (EIP-3009). Anyone's, and for the market only."""
    arguments = owner, amount, valid_after, valid_before, nonce
    return _market(market, "depositWithAuthorization", *arguments, *_split(signature))


def withdraw(market: Address, to: Address, amount: TokenUnits) -> Call:
    """Pay ``amount`` of the sender's free balance to ``to``."""
    return _market(market, "withdraw", to, amount)


def authorize(market: Address, delegate: Address, budget: TokenUnits, until: UnixTime) -> Call:
    """Let ``delegate`` sign orders for the sender, up to ``budget`` and until ``until``; 0 for either takes it back."""
    return _market(market, "authorize", delegate, budget, until)


def list_offer(
    market: Address,
    *,
    gpu_class: ClassNumber,
    gpus: GpuCount,
    bond_bps: Bps,
    price: PricePerGpuHour,
    min_seconds: Seconds,
    expires_at: UnixTime,
    arbiter: Address,
    spec: Bytes32,
) -> Call:
    """List the sender's GPUs; the offer's id stands in OfferListed. ``spec`` names the machine description."""
    return _market(market, "list", gpu_class, gpus, bond_bps, price, min_seconds, expires_at, arbiter, spec)


def reprice(market: Address, offer: OfferId, price: PricePerGpuHour, expires_at: UnixTime) -> Call:
    """Change the sender's offer for later leases; an ``expires_at`` in the past takes it off the market."""
    return _market(market, "reprice", offer, price, expires_at)


def open_fills(market: Address, fills: Sequence[Fill], round_hash: Bytes32 = ZERO_BYTES32) -> Call:
    """Post a batch of fills; those that do not hold are refused one by one (FillRefused), and the rest opens."""
    items = [(fill.signed.order, fill.offer, fill.price, fill.signed.signature) for fill in fills]
    return _market(market, "open", items, round_hash)


def cancel(market: Address, order: Order) -> Call:
    """Make sure that the order is never opened (again). The client's or the acceptor's."""
    return _market(market, "cancel", order)


def settle(market: Address, settlements: Sequence[Settlement]) -> Call:
    """Post receipts; bad ones are refused one by one (SettlementRefused)."""
    return _market(market, "settle", settlements)


def claim(market: Address, order: Order, used_seconds: Seconds, result: Bytes32) -> Call:
    """Say what the sender, the provider, is owed; starts the challenge window."""
    return _market(market, "claim", order, used_seconds, result)


def finalize(market: Address, orders: Sequence[Order]) -> Call:
    """Pay claims whose challenge window is over. Anyone's; bad ones are refused one by one."""
    return _market(market, "finalize", orders)


def terminate(market: Address, order: Order) -> Call:
    """End the lease now and pay what elapsed, at least minSeconds. The client's or the acceptor's."""
    return _market(market, "terminate", order)


def decline(market: Address, order: Order) -> Call:
    """Give the lease back without penalty, soon after it opened. The provider's."""
    return _market(market, "decline", order)


def expire(market: Address, order: Order) -> Call:
    """Make the client of a silent provider whole, out of the bond. Anyone's, from the deadline on."""
    return _market(market, "expire", order)


def dispute(market: Address, order: Order) -> Call:
    """Object to a lease or to the provider's claim, staking as much as the bond. The client's or the acceptor's."""
    return _market(market, "dispute", order)


def rule(market: Address, order: Order, used_seconds: Seconds, *, provider_at_fault: bool) -> Call:
    """Decide a dispute. The arbiter's."""
    return _market(market, "rule", order, used_seconds, provider_at_fault)


def lapse(market: Address, order: Order) -> Call:
    """End a dispute on which nobody ruled in time: stakes go back, the disputed seconds are split. Anyone's."""
    return _market(market, "lapse", order)


def assign(market: Address, order: Order, payee: Address) -> Call:
    """Move the right to a live lease's future income. The current payee's."""
    return _market(market, "assign", order, payee)


def approve(token: Address, spender: Address, amount: TokenUnits) -> Call:
    """Let ``spender`` (the market, before a deposit) take up to ``amount`` of the sender's tokens."""
    return Call(token, contract_abi("TestDollar").call("approve", spender, amount), "approve")


def mint(token: Address, account: Address, amount: TokenUnits) -> Call:
    """Make test dollars out of nothing; local chains only."""
    return Call(token, contract_abi("TestDollar").call("mint", account, amount), "mint")


def _split(signature: str) -> tuple[int, bytes, bytes]:
    """v, r and s of a signature of 65 bytes. Raises InvalidField."""
    content = bytes.fromhex(signature.removeprefix("0x"))
    if len(content) != SIGNATURE_BYTES:
        raise InvalidField("signature", f"has {len(content)} bytes; r, s and v are {SIGNATURE_BYTES}")
    return content[64], content[:32], content[32:64]


def _market(market: Address, verb: str, *arguments: Any) -> Call:
    return Call(market, contract_abi("ComputeMarket").call(verb, *arguments), verb)
