"""The shapes of requests and answers, for OpenAPI and for tests; they decide nothing. Requests are read by ``domain.wire``.

Unknown fields are forbidden everywhere, in what we take and in what we give.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Decimal = Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,77})$", examples=["400000"])]
AddressText = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]
WordText = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{64}$")]
HexText = Annotated[str, Field(pattern="^0x([0-9a-fA-F]{2})*$", max_length=8194)]
BlobText = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Problem(Shape):
    """RFC 9457, with the domain error's reason code, the field that is wrong and the rule that holds for it."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    reason: str
    field: str
    rule: str


class Block(Shape):
    number: int
    hash: WordText
    timestamp: int
    time: str


class Order(Shape):
    """EIP-712 type ``Order``: the ABI's field names, integers as decimal strings."""

    client: AddressText
    classes: Decimal
    offer: Decimal
    gpus: Decimal
    maxSeconds: Decimal
    minSeconds: Decimal
    maxPrice: Decimal
    minBondBps: Decimal
    startsAt: Decimal
    expiresAt: Decimal
    tip: Decimal
    opener: AddressText
    acceptor: AddressText
    arbiter: AddressText
    spec: WordText
    salt: Decimal


class Receipt(Shape):
    """EIP-712 type ``Receipt``."""

    lease: WordText
    offer: Decimal
    openedAt: Decimal
    usedSeconds: Decimal
    result: WordText
    last: bool


class OrderSubmission(Shape):
    order: Order
    signature: HexText


class DraftQuoteRequest(Shape):
    """What is known before an order is signed."""

    gpu: str | list[str] = Field(description="a GPU class by name, or several")
    gpus: int = Field(1, ge=1, le=65535)
    maxSeconds: int = Field(ge=1, le=2**32 - 1)
    maxPrice: Decimal | None = None
    spec: BlobText | None = Field(None, description="sha256 of an uploaded job spec")
    preferRegions: list[str] | None = Field(None, description="offers there come first where they are hardly dearer")
    minReliabilityBps: int = Field(0, ge=0, le=10_000)


class OrderQuoteRequest(Shape):
    order: Order


class Heartbeat(Shape):
    """An empty object."""


class LeaseWord(Shape):
    status: str
    offer: int
    price: Decimal
    priceHuman: str
    openedAt: int
    paidSeconds: int


class Explanation(Shape):
    order: WordText
    placedOn: int | None
    reasons: dict[str, int]
    nearestMiss: str
    block: Block


class OrderAnswer(Shape):
    id: WordText
    state: Literal["book", "withdrawn", "expired", "open", "claimed", "disputed", "closed"]
    order: Order
    spec: BlobText
    acceptedAt: int
    acceptedTime: str | None
    withdrawnAt: int | None
    withdrawnTime: str | None
    worstCost: Decimal
    worstCostHuman: str
    maxPriceHuman: str
    lease: LeaseWord | None
    explanation: Explanation | None
    block: Block


class OrderPage(Shape):
    items: list[OrderAnswer]
    next: str | None


class Gpu(Shape):
    model: str
    vram_mib: int
    count: int


class Machine(Shape):
    """What the provider says about it; ``measured`` false means that nobody looked."""

    version: int
    region: str
    gpu: Gpu
    cpus: int
    memory_mib: int
    disk_mib: int
    measured: bool
    recipient: str | None = None


class Offer(Shape):
    id: int
    provider: AddressText
    gpu_class: int = Field(alias="class")
    className: str
    gpus: int
    free: int
    bondBps: int
    expiresAt: int
    expiresTime: str | None
    alive: bool
    arbiter: AddressText
    price: Decimal
    priceHuman: str
    minSeconds: int
    spec: WordText
    machine: Machine | None
    lastHeartbeat: int | None
    lastHeartbeatTime: str | None
    reliabilityBps: int


class OfferAnswer(Offer):
    block: Block


class OfferPage(Shape):
    items: list[Offer]
    next: str | None
    block: Block


class Quote(Shape):
    offer: Offer
    className: str
    locked: Decimal
    lockedHuman: str
    bond: Decimal
    bondHuman: str
    reason: str = Field(description="empty where the offer can serve; else a refusal or rejection by name")
    detail: str


class Quotes(Shape):
    quotes: list[Quote]
    limits: dict[str, int] = Field(description="what inputs, outputs, logs and documents may hold")
    block: Block


class GpuClass(Shape):
    gpu_class: int = Field(alias="class")
    name: str
    vramMib: int


class ClassPage(Shape):
    items: list[GpuClass]
    next: str | None


class Bid(Shape):
    id: WordText
    gpus: int
    maxSeconds: int
    maxPrice: Decimal
    maxPriceHuman: str
    expiresAt: int
    expiresTime: str | None


class Book(Shape):
    gpu_class: int = Field(alias="class")
    className: str
    asks: list[Offer]
    bids: list[Bid]
    block: Block


class ClassPrice(Shape):
    gpu_class: int = Field(alias="class")
    className: str
    paid: Decimal
    paidHuman: str
    gpuSeconds: int
    average: Decimal | None
    averageHuman: str | None
    lowestAsk: Decimal | None
    lowestAskHuman: str | None
    gpusFree: int
    block: Block


class TokenAnswer(Shape):
    address: AddressText
    symbol: str
    decimals: int


class MarketAnswer(Shape):
    chainId: int
    market: AddressText
    token: TokenAnswer
    catalogue: AddressText
    deployedAtBlock: int
    startGrace: int
    claimGrace: int
    challengeWindow: int
    rulingWindow: int
    bondFloor: Decimal
    bondFloorHuman: str
    opener: AddressText
    arbiter: AddressText
    block: Block


class LeaseAnswer(Shape):
    id: WordText
    status: Literal["None", "Open", "Claimed", "Disputed", "Closed"]
    offer: int
    provider: AddressText
    payee: AddressText
    price: Decimal
    priceHuman: str
    openedAt: int
    openedTime: str | None
    paidSeconds: int
    claimedSeconds: int
    changedAt: int
    tipPaid: bool
    noReopen: bool
    assigned: bool
    byAcceptor: bool
    charged: bool
    exit: str
    paid: Decimal
    paidHuman: str
    refund: Decimal
    refundHuman: str
    compensation: Decimal
    compensationHuman: str
    openedInBlock: int
    result: WordText | None
    order: Order | None
    deadline: int | None
    deadlineTime: str | None
    lastHeartbeat: int | None
    lastHeartbeatTime: str | None
    block: Block


class LogLength(Shape):
    length: int


class ReceiptAnswer(Shape):
    role: Literal["provider", "client"]
    receipt: Receipt
    signature: HexText
    at: int
    atTime: str | None


class Decline(Shape):
    """Why a lease was given back. ``signature`` is EIP-191 over a text that names all of it (docs/reference/http.md)."""

    lease: WordText
    openedAt: int = Field(ge=0, lt=1 << 40)
    reason: str = Field(max_length=64)
    detail: str = Field(max_length=400)
    signature: HexText


class Declines(Shape):
    declines: list[Decline]


class JobKey(Shape):
    """The key of a sealed job, sealed to the recipient in the serving provider's machine description (age, armored)."""

    lease: WordText
    key: str = Field(min_length=1, max_length=4096)


class Receipts(Shape):
    receipts: list[ReceiptAnswer]
    block: Block


class BlobAnswer(Shape):
    sha256: BlobText
    bytes: int


class AccountAnswer(Shape):
    address: AddressText
    free: Decimal
    freeHuman: str
    locked: Decimal | None
    lockedHuman: str | None
    liveLeases: list[WordText]
    block: Block


class HeartbeatAnswer(Shape):
    at: int
    atTime: str | None


class Live(Shape):
    live: bool


class ReadyCheck(Shape):
    ok: bool
    reason: str | None
    since: str


class ReadyAnswer(Shape):
    ready: bool
    duty: str
    checks: dict[str, ReadyCheck]
    head: Block | None
    projection: Block | None
