"""What the contract keeps and checks, as frozen values. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.units import Bps, GpuCount, GpuSeconds, PricePerGpuHour, Seconds, TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block that a whole decision refers to: one block, one truth."""

    number: int
    hash: Bytes32
    timestamp: UnixTime


@dataclass(frozen=True, slots=True)
class Order:
    """A client's signed request (EIP-712 type ``Order``). Its digest is its id, and the id of its lease."""

    client: Address
    classes: int
    offer: OfferId
    gpus: GpuCount
    max_seconds: Seconds
    min_seconds: Seconds
    max_price: PricePerGpuHour
    min_bond_bps: Bps
    starts_at: UnixTime
    expires_at: UnixTime
    tip: TokenUnits
    opener: Address
    acceptor: Address
    arbiter: Address
    spec: Bytes32
    salt: int

    def accepts(self, gpu_class: int) -> bool:
        return bool(self.classes >> gpu_class & 1)

    def is_client_side(self, who: Address) -> bool:
        """Whether ``who`` may act for the client's side: the client or the acceptor."""
        return who == self.client or (self.acceptor != ZERO_ADDRESS and who == self.acceptor)


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order with the signature that makes it binding, and its id."""

    id: Bytes32
    order: Order
    signature: str
    """0x-hex, 65 bytes; ``0x`` where the client itself opens the order on the chain."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider's standing listing, as ``offerOf`` returns it. ``id`` is its number in the contract."""

    id: OfferId
    provider: Address
    gpu_class: ClassNumber
    gpus: GpuCount
    free: GpuCount
    bond_bps: Bps
    expires_at: UnixTime
    arbiter: Address
    price: PricePerGpuHour
    min_seconds: Seconds
    spec: Bytes32

    def is_alive(self, at: UnixTime) -> bool:
        return at < self.expires_at


class LeaseStatus(IntEnum):
    """``ComputeMarket.Status``. Derived from stored facts, never from the clock (P-11)."""

    NONE = 0
    OPEN = 1
    CLAIMED = 2
    DISPUTED = 3
    CLOSED = 4

    @property
    def is_live(self) -> bool:
        return self in LIVE_STATUSES


LIVE_STATUSES = frozenset({LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.DISPUTED})


@dataclass(frozen=True, slots=True)
class Lease:
    """The one word that the contract keeps per order, unpacked (``leaseOf``)."""

    status: LeaseStatus
    tip_paid: bool
    no_reopen: bool
    assigned: bool
    by_acceptor: bool
    charged: bool
    """A delegate's budget was charged for the order, at this opening or an earlier one (I-7)."""
    offer: OfferId
    price: PricePerGpuHour
    opened_at: UnixTime
    paid_seconds: Seconds
    claimed_seconds: Seconds
    changed_at: UnixTime


NO_LEASE = Lease(
    LeaseStatus.NONE,
    False,
    False,
    False,
    False,
    False,
    OfferId(0),
    PricePerGpuHour(0),
    UnixTime(0),
    Seconds(0),
    Seconds(0),
    UnixTime(0),
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What both sides sign about one serving of a lease (EIP-712 type ``Receipt``). ``used_seconds`` is cumulative."""

    lease: Bytes32
    offer: OfferId
    opened_at: UnixTime
    used_seconds: Seconds
    result: Bytes32
    last: bool


class Fill(NamedTuple):
    """A proposal to the contract: this order, on this offer, at this price. A round makes ten thousand of them at once."""

    signed: SignedOrder
    offer: OfferId
    price: PricePerGpuHour


@dataclass(frozen=True, slots=True)
class Settlement:
    """A receipt on its way to the contract, with the signatures of both sides (``0x`` where the sender is that side)."""

    order: Order
    used_seconds: Seconds
    result: Bytes32
    last: bool
    client_signature: str
    provider_signature: str


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """The immutables of one market: what it is, and the windows that decide deadlines."""

    chain_id: int
    market: Address
    token: Address
    token_symbol: str
    token_decimals: int
    deployed_at_block: int
    start_grace: Seconds
    claim_grace: Seconds
    challenge_window: Seconds
    ruling_window: Seconds
    bond_floor: TokenUnits


@dataclass(frozen=True, slots=True)
class Budget:
    """What a delegate may still spend of an account's money, and until when it may sign (``budgetOf``)."""

    left: TokenUnits
    until: UnixTime

    def is_alive(self, at: UnixTime) -> bool:
        """A delegate whose time is over is nobody."""
        return at < self.until


NO_BUDGET = Budget(TokenUnits(0), UnixTime(0))


@dataclass(frozen=True, slots=True)
class GpuClass:
    """A row of the append-only catalogue."""

    number: ClassNumber
    name: str
    vram_mib: int


@dataclass(frozen=True, slots=True)
class Volume:
    """All that was ever paid for GPUs of one class (``volumeOf``); between two blocks, a weighted price (I-11)."""

    paid: TokenUnits
    gpu_seconds: GpuSeconds
