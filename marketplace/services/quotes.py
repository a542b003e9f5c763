"""What a job would cost on each offer, and why the others cannot serve it. A hint: the round decides, and then the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from marketplace.api.quotes import QuotesAnswer, QuoteTold
from marketplace.api.record import BlockTold
from marketplace.domain.book import BookView, RejectionReason, is_silent
from marketplace.domain.errors import MissingBlob
from marketplace.domain.fills import refusal_of_offer
from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, OfferId, Sha256
from marketplace.domain.limits import MAX_SPEC_BYTES, limits_document
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.spec import JobSpec, Machine, read_spec
from marketplace.domain.units import (
    BPS_WHOLE,
    Bps,
    GpuCount,
    PricePerGpuHour,
    Seconds,
    TokenUnits,
    UnixTime,
    text_from_bps,
)
from marketplace.domain.wire import camel
from marketplace.services.blob_access import Holdings
from marketplace.services.offers import OfferDesk, OfferRow

PREFERENCE_BPS = 200
"""A preferred region comes first where it is dearer by at most so much; the scheduler has its own measure."""

_ANY_PRICE = PricePerGpuHour(2**80 - 1)


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What is asked for: an order, or the part of one that is known before it is signed, and what its spec demands."""

    order: Order
    is_draft: bool
    """A draft takes every arbiter, and guarantees as many seconds as the offer asks for."""
    spec: JobSpec | None = None
    prefer_regions: tuple[str, ...] = ()
    """Beyond those of the spec."""
    min_reliability_bps: int = 0
    """Where the spec asks for less, or there is none yet."""

    @property
    def reliability_asked(self) -> int:
        return max(self.min_reliability_bps, self.spec.constraints.min_reliability_bps if self.spec else 0)

    def prefers(self, row: OfferRow) -> bool:
        """Whether the offer's machine is where the client would rather have its job."""
        named = self.spec.constraints.prefer_regions if self.spec else ()
        return row.machine is not None and row.machine.region in (*self.prefer_regions, *named)


def draft(classes: int, gpus: int, max_seconds: int, max_price: int | None) -> Order:
    """An order to ask prices for: never to be signed."""
    return Order(
        client=ZERO_ADDRESS, classes=classes, offer=OfferId(0), gpus=GpuCount(gpus), max_seconds=Seconds(max_seconds),
        min_seconds=Seconds(0), max_price=_ANY_PRICE if max_price is None else PricePerGpuHour(max_price),
        min_bond_bps=Bps(0), starts_at=UnixTime(0), expires_at=UnixTime(2**40 - 1), tip=TokenUnits(0), opener=ZERO_ADDRESS,
        acceptor=ZERO_ADDRESS, arbiter=ZERO_ADDRESS, spec=ZERO_BYTES32, salt=0,
    )  # fmt: skip


class QuoteDesk:
    """Answers with one row per offer of an acceptable class: those that can serve first, as a scheduler would rank them."""

    def __init__(self, offers: OfferDesk, blobs: Holdings, terms: MarketTerms) -> None:
        self._offers, self._blobs, self._terms = offers, blobs, terms

    def spec_named(self, name: Sha256, field: str) -> JobSpec:
        """A public spec. Raises MissingBlob, InvalidField."""
        if self._blobs.size(name) is None:
            raise MissingBlob(field, name)
        return read_spec(self._blobs.read(name, MAX_SPEC_BYTES))

    def quotes(self, request: QuoteRequest) -> QuotesAnswer:
        """Quotes as of the projection's block. Offers of other classes, and dead ones, are not mentioned."""
        view = self._offers.view()
        rows = [
            self._quote(request, self._offers.row(offer, view), view)
            for offer in view.offers
            if request.order.accepts(offer.gpu_class) and offer.is_alive(view.block.timestamp)
        ]
        return QuotesAnswer(
            _ranked(request, rows),
            BlockTold.of(view.block),
            {camel(limit): most for limit, most in limits_document().items()},
        )

    def _quote(self, request: QuoteRequest, row: OfferRow, view: BookView) -> tuple[OfferRow, QuoteTold]:
        offer = row.offer
        order = _fitted(request.order, offer) if request.is_draft else request.order
        locked = lock_of(order, offer.price)
        bond = bond_of(locked, offer.bond_bps, self._terms.bond_floor)
        refusal = refusal_of_offer(order, offer, view.block.timestamp, order.opener)
        reason, detail = (refusal.name, refusal.sentence) if refusal else _rejection(request, row, view)
        if not reason and view.accounts.get(offer.provider, 0) < bond:
            reason, detail = RejectionReason.PROVIDER_BALANCE_TOO_LOW, f"the bond would be {bond}"
        told = self._offers.told(row, view)
        return row, QuoteTold.of(told, locked, bond, str(reason), detail, self._terms)


def _ranked(request: QuoteRequest, rows: list[tuple[OfferRow, QuoteTold]]) -> list[QuoteTold]:
    """Those that can serve first, cheapest first; of these the preferred ones that are hardly dearer before all others."""
    cheapest = min((row.offer.price for row, quote in rows if quote.can_serve), default=0)
    most = cheapest * (BPS_WHOLE + PREFERENCE_BPS) // BPS_WHOLE

    def rank(one: tuple[OfferRow, QuoteTold]) -> tuple[bool, bool, int, int]:
        row, quote = one
        is_first = row.offer.price <= most and request.prefers(row)
        return not quote.can_serve, not is_first, row.offer.price, row.offer.id

    return [quote for _, quote in sorted(rows, key=rank)]


def _fitted(order: Order, offer: Offer) -> Order:
    return replace(order, arbiter=offer.arbiter, min_seconds=offer.min_seconds)


def _rejection(request: QuoteRequest, row: OfferRow, view: BookView) -> tuple[str, str]:
    """The scheduler's likely reason against this offer, and a sentence; empty where there is none."""
    if row.reliability_bps < request.reliability_asked:
        score = text_from_bps(row.reliability_bps)
        return RejectionReason.RELIABILITY_TOO_LOW, f"the provider's reliability is {score}"
    if is_silent(row.last_heartbeat, view.block.timestamp):
        return RejectionReason.PROVIDER_SILENT, "the provider has not given a sign of life lately"
    spec = request.spec
    if spec is None:
        return "", ""
    for reason, sentence, holds in _DEMANDS:
        if not holds(spec, row):
            return reason, sentence
    return "", ""


def _of_machine(
    measure: Callable[[Machine], int], wanted: Callable[[JobSpec], int]
) -> Callable[[JobSpec, OfferRow], bool]:
    return lambda spec, row: row.machine is None or measure(row.machine) >= wanted(spec)


def _is_wanted(spec: JobSpec, row: OfferRow) -> bool:
    wanted = spec.constraints
    is_named = not wanted.providers or row.offer.provider in wanted.providers
    return is_named and row.offer.provider not in wanted.exclude_providers


def _is_in_region(spec: JobSpec, row: OfferRow) -> bool:
    regions = spec.constraints.regions
    return not regions or (row.machine is not None and row.machine.region in regions)


def _has_vram(spec: JobSpec, row: OfferRow) -> bool:
    promised = row.gpu_class.vram_mib if row.gpu_class else 0
    return (row.machine.vram_mib if row.machine else promised) >= spec.resources.vram_mib


_DEMANDS: tuple[tuple[RejectionReason, str, Callable[[JobSpec, OfferRow], bool]], ...] = (
    (RejectionReason.PROVIDER_EXCLUDED, "the spec's constraints leave this provider out", _is_wanted),
    (RejectionReason.WRONG_REGION, "the machine is not in one of the spec's regions", _is_in_region),
    (RejectionReason.NOT_ENOUGH_VRAM, "the GPU has less memory than the spec asks for", _has_vram),
    (
        RejectionReason.NOT_ENOUGH_CPUS, "the machine has fewer CPUs than the spec asks for",
        _of_machine(lambda machine: machine.cpus, lambda spec: spec.resources.cpus),
    ),
    (
        RejectionReason.NOT_ENOUGH_MEMORY, "the machine has less memory than the spec asks for",
        _of_machine(lambda machine: machine.memory_mib, lambda spec: spec.resources.memory_mib),
    ),
    (
        RejectionReason.NOT_ENOUGH_DISK, "the machine has less disk than the spec asks for",
        _of_machine(lambda machine: machine.disk_mib, lambda spec: spec.resources.disk_mib),
    ),
    (
        RejectionReason.NETWORK_NOT_OFFERED, "jobs have no network there, or less than the spec asks for",
        _of_machine(lambda machine: machine.egress_mib, lambda spec: spec.resources.egress_mib),
    ),
)  # fmt: skip
