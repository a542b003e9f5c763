"""The values of the model, after docs/reference/specification.md, "Shapes": what goes into the market, what it keeps, what it says no with."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

Address = str
"""0x and 40 lower-case hex digits."""
Word = str
"""0x and 64 lower-case hex digits."""

NOBODY: Address = "0x" + "0" * 40


class Status(IntEnum):
    NONE = 0
    OPEN = 1
    CLAIMED = 2
    DISPUTED = 3
    CLOSED = 4


LIVE = (Status.OPEN, Status.CLAIMED, Status.DISPUTED)


class Refusal(IntEnum):
    """Why an item of a batch is refused: 1 to 20 a fill, from 32 on a settlement or a finalization."""

    BadSignature = 1
    OverBudget = 2
    OrderLive = 3
    OrderClosed = 4
    OrderExpired = 5
    OpenerNotAllowed = 6
    TipWithoutOpener = 7
    BadAmounts = 8
    ClassNotAccepted = 9
    WrongOffer = 10
    OfferNotAlive = 11
    WrongArbiter = 12
    NotEnoughGpus = 13
    PriceOutOfBounds = 14
    BondTooSmall = 15
    MinSecondsTooSmall = 16
    TermLeaseNotByProvider = 17
    ClientBalanceTooLow = 18
    ProviderBalanceTooLow = 19
    TooSoon = 20
    NotLive = 32
    SecondsOutOfBounds = 33
    BadClientSignature = 34
    BadProviderSignature = 35
    NotClaimed = 36
    WindowOpen = 37


@dataclass(frozen=True, slots=True)
class Constants:
    """The immutables of one market."""

    start_grace: int
    claim_grace: int
    challenge_window: int
    ruling_window: int
    bond_floor: int


@dataclass(frozen=True, slots=True)
class Order:
    client: Address
    classes: int
    offer: int
    gpus: int
    max_seconds: int
    min_seconds: int
    max_price: int
    min_bond_bps: int
    starts_at: int
    expires_at: int
    tip: int
    opener: Address
    acceptor: Address
    arbiter: Address
    spec: Word
    salt: int


@dataclass(slots=True)
class Offer:
    provider: Address = NOBODY
    gpu_class: int = 0
    gpus: int = 0
    free: int = 0
    bond_bps: int = 0
    expires_at: int = 0
    arbiter: Address = NOBODY
    price: int = 0
    min_seconds: int = 0
    spec: Word = "0x" + "0" * 64


@dataclass(slots=True)
class Lease:
    """The one word that is kept of an order."""

    status: Status = Status.NONE
    tip_paid: bool = False
    no_reopen: bool = False
    assigned: bool = False
    by_acceptor: bool = False
    charged: bool = False
    offer: int = 0
    price: int = 0
    opened_at: int = 0
    paid_seconds: int = 0
    claimed_seconds: int = 0
    changed_at: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    lease: Word
    offer: int
    opened_at: int
    used_seconds: int
    result: Word
    last: bool


@dataclass(frozen=True, slots=True)
class Permit:
    """EIP-2612."""

    owner: Address
    spender: Address
    value: int
    nonce: int
    deadline: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """EIP-3009, ReceiveWithAuthorization."""

    owner: Address
    to: Address
    value: int
    valid_after: int
    valid_before: int
    nonce: Word


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed what, and how the bytes look: only "plain" ones, 65 bytes with a low s, name a signer (P-25)."""

    signer: Address
    message: Hashable
    form: str = "plain"

    def names(self, message: Hashable) -> Address | None:
        """The key that signed this message, as far as the bytes say it."""
        return self.signer if self.form == "plain" and self.message == message else None


UNSIGNED = Signature(NOBODY, None, "empty")


@dataclass(frozen=True, slots=True)
class Wallet:
    """An EIP-1271 contract of one owner. It looks at the first 65 bytes only, and does not mind a high s."""

    owner: Address

    def approves(self, message: Hashable, signature: Signature) -> bool:
        readable = signature.form in ("plain", "long", "high_s")
        return readable and signature.signer == self.owner and signature.message == message


@dataclass(frozen=True, slots=True)
class Fill:
    order: Order
    offer: int
    price: int
    signature: Signature


@dataclass(frozen=True, slots=True)
class Settlement:
    order: Order
    used_seconds: int
    result: Word
    last: bool
    client_signature: Signature
    provider_signature: Signature


@dataclass(frozen=True, slots=True)
class Event:
    """An event by name, its arguments in the order of the ABI. A refusal's reason is the set of all that hold."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Objection:
    """A custom error by name, with its arguments in the order of the ABI. ``TOKEN_SAYS_NO`` stands for any of the token's."""

    name: str
    values: tuple[Any, ...] = ()


TOKEN_SAYS_NO = Objection("(the token's)")


class Reverted(Exception):
    """The whole call changes nothing. ``objections`` are all that hold: the contract names one of them."""

    def __init__(self, objections: frozenset[Objection]) -> None:
        super().__init__(", ".join(sorted(str(each) for each in objections)))
        self.objections = objections


def require(*objections: Objection | None) -> None:
    """Go on only if nothing speaks against it."""
    found = frozenset(each for each in objections if each is not None)
    if found:
        raise Reverted(found)


def unless(holds: bool, name: str, *values: Any) -> Objection | None:
    """An objection, unless the rule holds."""
    return None if holds else Objection(name, values)
