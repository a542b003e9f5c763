"""What the journals hand out: frozen rows in the domain's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason
from marketplace.domain.rounds import RoundSums
from marketplace.domain.states import ServingState
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime

Role = Literal["provider", "client"]
"""Which side of a lease signed."""

ServingKey = tuple[Bytes32, UnixTime]
"""A lease and the block time of its opening: one serving. A declined order may be served again, as the same lease."""


@dataclass(frozen=True, slots=True)
class JournalOrder:
    """An accepted order, as its client signed it."""

    sequence: int
    """Its place among all accepted orders; never changes. The cursor of ``orders_of``."""
    changed: int
    """The place of its last change (acceptance or withdrawal) among all changes. The cursor of ``orders_since``."""
    signed: SignedOrder
    spec: bytes
    accepted_at: UnixTime
    withdrawn_at: UnixTime | None

    @property
    def id(self) -> Bytes32:
        return self.signed.id


@dataclass(frozen=True, slots=True)
class RememberedAnswer:
    """What a request with an Idempotency-Key was answered."""

    fingerprint: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order that is to be taken, with all that is written down at the same moment."""

    signed: SignedOrder
    spec: bytes
    at: UnixTime
    """The block time at which it is accepted."""
    blobs: frozenset[Sha256]
    """What it stands on, the spec among them."""
    bringers: frozenset[Address]
    """Who may have uploaded that."""
    key: str | None
    """The request's Idempotency-Key."""
    answer: RememberedAnswer


@dataclass(frozen=True, slots=True)
class JournalReceipt:
    """One side's signature under one receipt."""

    role: Role
    receipt: Receipt
    signature: str
    at: UnixTime
    ended: EndedReason | None = None
    """Why the job is over, and by ``ended.by`` whose doing that was, where the result document came with the receipt."""


@dataclass(frozen=True, slots=True)
class JournalRound:
    """A published round: the canonical bytes that hash to its name."""

    hash: Bytes32
    content: bytes
    block_number: int


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A round in a list: what it is called, how large it is, and what it came to."""

    hash: Bytes32
    block_number: int
    """Of its snapshot."""
    bytes: int
    sums: RoundSums | None = None
    """None where nobody wrote them down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One opening of one lease, as its provider serves it. Facts are filled in as they become known."""

    lease: Bytes32
    opened_at: UnixTime
    offer: OfferId
    price: PricePerGpuHour
    order: Order
    opened_in_block: int
    state: ServingState = ServingState.SEEN
    folder: str = ""
    """Where its inputs, outputs and log are on this machine."""
    pid: int | None = None
    """The executor's process, for re-adoption after a restart."""
    exit_code: int | None = None
    """The job's own; None where it did not end by itself, or did not run."""
    ended: EndedReason = EndedReason.NOT_RUN
    """Why it is over, once it is."""
    used_seconds: Seconds | None = None
    """What we meter, in block time (``usedSeconds`` of the receipt); cumulative."""
    lost_seconds: Seconds = Seconds(0)  # noqa: RUF009  a NewType call is the integer itself
    """Block time of its run that its provider lost (crash, restart, pause), or that a run from the beginning repeated: not charged."""
    result: Bytes32 | None = None
    """sha256 of the result document, as the receipt carries it."""
    provider_signature: str = ""
    client_signature: str = ""
    note: str = ""
    """Why it stands where it stands, in words."""
    updated_at: UnixTime
    """Block time of the last change of state."""

    @property
    def key(self) -> ServingKey:
        return (self.lease, self.opened_at)


@dataclass(frozen=True, slots=True)
class OwedHandover:
    """What is still to be handed over of a closed serving: how its job ended, and until when that is tried."""

    key: ServingKey
    ended: EndedReason
    exit_code: int | None
    note: str
    used_seconds: Seconds
    """No less than what was earned: should a reorganisation bring the lease back, nobody can settle it for less."""
    until: UnixTime
    """Block time."""


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One transition of one thing, kept for ever."""

    sequence: int
    subject: str
    from_state: str
    """Empty for the first."""
    to_state: str
    at: UnixTime | None
    """Block time, where the writer knew it."""
    note: str


@dataclass(frozen=True, slots=True)
class Listing:
    """An offer that this agent made, and the machine description that it listed."""

    offer: OfferId
    machine: Sha256
