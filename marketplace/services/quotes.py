"""What a job would cost on each offer, and why the others cannot serve it. A hint: the round decides, and then the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace

from marketplace.api.quotes import QuotesAnswer, QuoteTold
from marketplace.api.record import BlockTold
from marketplace.domain.book import BookView, RejectionReason
from marketplace.domain.errors import MissingBlob
from marketplace.domain.fitting import Circumstances, OfferRow, Pair, reason_against
from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, OfferId, Sha256
from marketplace.domain.limits import MAX_SPEC_BYTES, limits_document
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order
from marketplace.domain.policy import DEFAULT
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Constraints, JobSpec, Resources, read_spec
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
from marketplace.services.offers import OfferDesk

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
    def wanted(self) -> Constraints:
        """Of the higher of both demands on reliability."""
        named = self.spec.constraints if self.spec else Constraints()
        return replace(named, min_reliability_bps=max(self.min_reliability_bps, named.min_reliability_bps))

    def pair(self, row: OfferRow) -> Pair:
        """The order as it would be for this offer, and the offer."""
        order = self.order
        if self.is_draft:
            order = replace(order, arbiter=row.offer.arbiter, min_seconds=row.offer.min_seconds)
        return Pair(order, self.spec.resources if self.spec else Resources(), self.wanted, row)

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
        offer, pair = row.offer, request.pair(row)
        locked = lock_of(pair.order, offer.price)
        bond = bond_of(locked, offer.bond_bps, self._terms.bond_floor)
        reason = reason_against(pair, Circumstances(view.block, pair.order.opener))
        if reason is None and view.accounts.get(offer.provider, 0) < bond:
            reason = RejectionReason.PROVIDER_BALANCE_TOO_LOW
        told = self._offers.told(row, view)
        detail = sentence_of(reason, pair, bond) if reason else ""
        return row, QuoteTold.of(told, locked, bond, str(reason or ""), detail, self._terms)


def _ranked(request: QuoteRequest, rows: list[tuple[OfferRow, QuoteTold]]) -> list[QuoteTold]:
    """Those that can serve first, cheapest first; of these the preferred ones that are hardly dearer before all others."""
    cheapest = min((row.offer.price for row, quote in rows if quote.can_serve), default=0)
    most = cheapest * (BPS_WHOLE + DEFAULT.preference_bps) // BPS_WHOLE

    def rank(one: tuple[OfferRow, QuoteTold]) -> tuple[bool, bool, int, int]:
        row, quote = one
        is_first = row.offer.price <= most and request.prefers(row)
        return not quote.can_serve, not is_first, row.offer.price, row.offer.id

    return [quote for _, quote in sorted(rows, key=rank)]


def sentence_of(reason: RejectionReason, pair: Pair, bond: TokenUnits) -> str:
    """What stands against the offer, for people: in the contract's words where the reason is the contract's."""
    if reason is RejectionReason.PROVIDER_BALANCE_TOO_LOW:
        return f"the bond would be {bond}"
    if reason is RejectionReason.RELIABILITY_TOO_LOW:
        return f"the provider's reliability is {text_from_bps(pair.row.reliability_bps)}"
    return _SENTENCES.get(reason) or Refusal[reason.value].sentence


_SENTENCES: dict[RejectionReason, str] = {
    RejectionReason.PROVIDER_SILENT: "the provider has not given a sign of life lately",
    RejectionReason.PROVIDER_EXCLUDED: "the spec's constraints leave this provider out",
    RejectionReason.WRONG_REGION: "the machine is not in one of the spec's regions",
    RejectionReason.MACHINE_UNKNOWN: "nobody has described the machine, and the spec asks for something of it",
    RejectionReason.NOT_ENOUGH_VRAM: "the GPU has less memory than the spec asks for",
    RejectionReason.NOT_ENOUGH_CPUS: "the machine has fewer CPUs than the spec asks for",
    RejectionReason.NOT_ENOUGH_MEMORY: "the machine has less memory than the spec asks for",
    RejectionReason.NOT_ENOUGH_DISK: "the machine has less disk than the spec asks for",
    RejectionReason.NETWORK_NOT_OFFERED: "jobs have no network there, or less than the spec asks for",
}
