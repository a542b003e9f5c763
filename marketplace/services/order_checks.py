"""Whether an order may go on the book: the contract's own questions about it, then the documents that it names.

Pure but for reading blobs by hash. Every refusal names the field of the request that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import ImageUnusable, InvalidField, MissingBlob, Refused
from marketplace.domain.fills import refusal_of_offer, refusal_of_order, refused
from marketplace.domain.ids import ZERO_ADDRESS, Address, Sha256, sha256_in
from marketplace.domain.leases import Lease
from marketplace.domain.limits import MAX_SPEC_BYTES, MAX_WORK_BYTES
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.pricing import lock_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.runnable import require_room, require_runnable
from marketplace.domain.spec import JobSpec, read_spec
from marketplace.domain.units import TokenUnits
from marketplace.domain.work import Input, Work, read_work
from marketplace.images.manifests import MAX_MANIFEST_BYTES, market_blobs


class Contents(Protocol):
    """Blobs by their names: all there are, or those that somebody may read."""

    def size(self, name: Sha256) -> int | None: ...

    def read(self, name: Sha256, limit_bytes: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What the chain says about an order at one block, and who would open it."""

    block: BlockRef
    lease: Lease
    offer: Offer | None
    """The pinned offer; None where none is pinned or it does not exist."""
    client_free: TokenUnits
    opener: Address


@dataclass(frozen=True, slots=True)
class OrderDocuments:
    """What an order names by hash."""

    spec: JobSpec
    content: bytes
    """The spec's."""
    names: frozenset[Sha256]
    """Of all blobs that it stands on."""
    bundles: tuple[Input, ...]
    """Its inputs; none of a sealed job's, which nobody can look at but its provider."""


def check_order(order: Order, facts: OrderFacts) -> None:
    """Raise Refused with the contract's reason (P-20), or with the one that every later fill would meet.

    An order stands until it expires, so what passes by itself is no reason to refuse: that a pinned offer is busy now,
    or that its provider's balance is too low for a bond. One for a term lease expires before that begins (InvalidField).
    """
    _check_shape(order)
    opener = _opener_of(order, facts)
    refusal = refusal_of_order(order, facts.lease, facts.block.timestamp, opener)
    if refusal is None and order.offer:
        refusal = _refusal_of_pinned(order, facts, opener)
    if refusal is not None:
        raise of_order(refusal)
    if order.is_for_later(facts.block.timestamp) and order.expires_at > order.starts_at:
        # From startsAt on anybody whom the order lets could open it, at its highest price: a reservation never becomes that.
        raise InvalidField("order.expiresAt", "must not be later than order.startsAt: a term lease is opened before")
    needed = lock_of(order, order.max_price) + (0 if facts.lease.tip_paid else order.tip)
    if facts.client_free < needed:
        detail = f"the worst cost is {needed} token units, {facts.client_free} are free"
        raise of_order(Refusal.ClientBalanceTooLow, detail)


def _opener_of(order: Order, facts: OrderFacts) -> Address:
    """Who would open it: the scheduler; but of a term lease the pinned offer's provider, or, where none is pinned, anybody's."""
    if not order.is_for_later(facts.block.timestamp):
        return facts.opener
    return facts.offer.provider if facts.offer else ZERO_ADDRESS


def of_order(refusal: Refusal, detail: str = "", field: str = "") -> Refused:
    """The refusal, its field named as the request spells it."""
    error = refused(refusal, detail)
    names = field or error.field
    if names and names != "signature":
        names = ", ".join(f"order.{name}" for name in names.split(", "))
    return Refused(refusal, names, detail)


def _check_shape(order: Order) -> None:
    """What no state of the market can make right. Only the zero price and the unknown class go beyond the contract."""
    if order.gpus < 1:
        raise of_order(Refusal.BadAmounts, field="gpus")
    if order.max_seconds < 1:
        raise of_order(Refusal.BadAmounts, field="maxSeconds")
    if order.min_seconds > order.max_seconds:
        raise of_order(Refusal.BadAmounts, field="minSeconds")
    if order.max_price == 0:
        raise of_order(Refusal.PriceOutOfBounds, "it must be at least 1")
    if not order.classes & _known_classes():
        raise of_order(Refusal.ClassNotAccepted, "none of them is in the catalogue")


@cache
def _known_classes() -> int:
    """The catalogue's classes, as an order names them."""
    return sum(1 << row.number for row in load_classes())


def _refusal_of_pinned(order: Order, facts: OrderFacts, opener: Address) -> Refusal | None:
    refusal = refusal_of_offer(order, facts.offer, facts.block.timestamp, opener)
    is_busy = refusal is Refusal.NotEnoughGpus and facts.offer is not None and order.gpus <= facts.offer.gpus
    return None if is_busy else refusal


def read_order_spec(order: Order, blobs: Contents) -> OrderDocuments:
    """The spec that the order names by hash, valid, and with its work and every input at hand. Raises MissingBlob, InvalidField.

    ``blobs`` are those that the order's own side brought, and the public ones (or it is asked afterwards who brought what is named): naming a stranger's input gives nobody a lease to read it by.
    """
    content = _content(sha256_in(order.spec), blobs, "order.spec", MAX_SPEC_BYTES)
    spec = read_spec(content)
    if spec.resources.gpus != order.gpus:
        raise InvalidField("spec.resources.gpus", f"must equal order.gpus, which is {order.gpus}")
    require_runnable(spec)
    work = _work_of(spec, blobs)
    _check_inputs(work, blobs)
    parts = {part for item in work.inputs for part in item.parts} | _image_blobs(spec, blobs)
    names = frozenset({sha256_in(order.spec), spec.work.sha256} | parts)
    return OrderDocuments(spec, content, names, work.inputs if work.sealed is None else ())


def _image_blobs(spec: JobSpec, blobs: Contents) -> frozenset[Sha256]:
    """The blobs of an image that is among the market's own: all are here. Raises MissingBlob, InvalidField."""
    name = spec.image_name
    if name is None or not name.is_blob:
        return frozenset()
    content = _content(name.digest, blobs, "spec.image", MAX_MANIFEST_BYTES)
    try:
        named = market_blobs(content, name.digest)
    except ImageUnusable as exc:
        raise InvalidField("spec.image", str(exc)) from None
    for blob, expected in named.items():
        size = blobs.size(blob)
        if size is None:
            raise MissingBlob("spec.image", blob)
        if size != expected:
            raise InvalidField("spec.image", f"says that blob {blob} has {expected} bytes; it has {size}")
    return frozenset({name.digest, *named})


def check_room(order: Order, spec: JobSpec, view: BookView) -> None:
    """Raise InvalidField where no machine that is on offer for the order is large enough for its spec."""
    now, wanted = view.block.timestamp, spec.constraints.providers
    offers = [
        offer for offer in view.offers
        if offer.is_alive(now) and order.accepts(offer.gpu_class) and order.offer in (0, offer.id)
        and (not wanted or offer.provider in wanted)
    ]  # fmt: skip
    require_room(spec.resources, (view.machines.get(sha256_in(offer.spec)) for offer in offers))


def _work_of(spec: JobSpec, blobs: Contents) -> Work:
    content = _content(spec.work.sha256, blobs, "spec.work", MAX_WORK_BYTES)
    if len(content) != spec.work.bytes:
        raise InvalidField("spec.work.bytes", f"is {spec.work.bytes}; the blob has {len(content)} bytes")
    return read_work(content)


def _check_inputs(work: Work, blobs: Contents) -> None:
    for n, item in enumerate(work.inputs):
        for m, (part, expected) in enumerate(item.sized_parts()):
            size = blobs.size(part)
            if size is None:
                raise MissingBlob(f"work.inputs[{n}].parts[{m}]", part)
            if size != expected:
                raise InvalidField(
                    f"work.inputs[{n}].bytes", f"leaves {expected} to part {m}; the blob has {size} bytes"
                )


def _content(name: Sha256, blobs: Contents, field: str, limit_bytes: int) -> bytes:
    size = blobs.size(name)
    if size is None:
        raise MissingBlob(field, name)
    if size > limit_bytes:
        raise InvalidField(field, f"must name at most {limit_bytes} bytes")
    return blobs.read(name, limit_bytes)
