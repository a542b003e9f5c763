"""Opening the reservations that a provider accepts: they are looked for at every gateway, and opened by the agent itself.

A term lease cannot be given back (P-21), so everything is asked before: the inventory's rules (``reserving``), whether the machine can
run the spec, whose signature it is, and what the contract would say. What a gateway tells is believed in nothing but that there is
such an order. One that passes is opened, one at a time; one that does not is left to others, with a typed reason in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from marketplace.chain import verbs
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.signing import order_id, recover
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.events import LeaseOpened
from marketplace.domain.fills import Fill, FillFacts, refusal_of_fill, refusal_of_signer
from marketplace.domain.ids import Address, Bytes32, OfferId, sha256_in
from marketplace.domain.leases import Lease
from marketplace.domain.limits import MAX_SPEC_BYTES
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import JobSpec, read_spec
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.provider.gateways import Answered, AtEach, GatewayLine
from marketplace.provider.inventory import InventoryOffer
from marketplace.provider.listing import Lister
from marketplace.provider.preflight import obstacle_in_spec
from marketplace.provider.reserving import ReserveRefusal, ReserveRule, refusal_by
from marketplace.provider.toolbox import Dispatch, Toolbox

_log = structlog.get_logger()

LOOK_EVERY_SECONDS = 5
AGAIN_SECONDS = 30
"""Block time after which a reservation that the contract would not take is looked at again: GPUs come free, balances change."""
LOOK_SECONDS = 60.0
SOON_SECONDS = 2
"""What begins, or expires, so soon would be mined too late."""
MOST_SPECS = 16
"""Of one look: the page is asked for again, and those that are known by then are passed over."""
MOST_KNOWN, MOST_WAITING = 5_000, 100
WORTH, OPEN_GAS = 20, 300_000
"""What is guaranteed is worth at least so many times the gas of opening it: else strangers could spend ours for us."""


@dataclass(frozen=True, slots=True)
class ReservationCandidate:
    """A reservation that keeps the inventory's rules, with what everybody may see of its job."""

    signed: SignedOrder
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class LeftToOthers:
    """Why a reservation is not opened."""

    reason: ReserveRefusal
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReservationFacts:
    """What the contract knows of one reservation at one block, and of our offers."""

    now: UnixTime
    lease: Lease
    places: Sequence[tuple[Offer, InventoryOffer]]
    balances: Mapping[Address, TokenUnits]
    provider: Address


@dataclass(frozen=True, slots=True)
class _Look:
    """What one page of one gateway came to."""

    candidates: tuple[ReservationCandidate, ...]
    left: tuple[tuple[SignedOrder, LeftToOthers], ...]
    onward: str
    """The page that is looked at next; the same again where it had too many that are new."""


@dataclass(frozen=True, slots=True)
class _Known:
    until: UnixTime
    """Not looked at again before."""
    reason: ReserveRefusal | None


def fill_for(
    candidate: ReservationCandidate, rules: Sequence[ReserveRule], facts: ReservationFacts, terms: MarketTerms
) -> Fill | LeftToOthers:
    """The cheapest of our offers that it may be opened on, at the price of the rule that lets it pass; or why there is none. Pure."""
    order, tried = candidate.signed.order, list[LeftToOthers]()
    soon = UnixTime(facts.now + SOON_SECONDS)
    for rule in rules:
        if (word := rule.refusal_of(order, soon)) is not None:
            tried.append(LeftToOthers(word))
            continue
        numbers = {row.number for row in rule.classes}
        for offer, part in sorted(facts.places, key=lambda place: (rule.price_on(place[0]), place[0].id)):
            if offer.gpu_class in numbers and order.accepts(offer.gpu_class):
                found = _on_offer(
                    candidate, Fill(candidate.signed, offer.id, rule.price_on(offer)), offer, part, facts, terms
                )
                if isinstance(found, Fill):
                    return found
                tried.append(found)
    nearness = list(ReserveRefusal)
    return max(
        tried, key=lambda one: nearness.index(one.reason), default=LeftToOthers(ReserveRefusal.CLASS_NOT_RESERVED)
    )


def _on_offer(
    candidate: ReservationCandidate,
    fill: Fill,
    offer: Offer,
    part: InventoryOffer,
    facts: ReservationFacts,
    terms: MarketTerms,
) -> Fill | LeftToOthers:
    order, provider = candidate.signed.order, facts.provider
    obstacle = obstacle_in_spec(candidate.spec, order, part, provider, is_sealed=True)
    if obstacle is not None:
        return LeftToOthers(ReserveRefusal.SPEC_NOT_RUN, str(obstacle))
    nothing = TokenUnits(0)
    known = FillFacts(
        UnixTime(facts.now + SOON_SECONDS), provider, facts.lease, offer,
        facts.balances.get(order.client, nothing), facts.balances.get(provider, nothing),
    )  # fmt: skip
    refusal = refusal_of_fill(fill, known, terms)
    return fill if refusal is None else LeftToOthers(ReserveRefusal.CONTRACT_REFUSES, refusal.name)


class Reservations:
    """Looks for them, and opens what is accepted. A step never waits, and never fails."""

    def __init__(self, tools: Toolbox, lister: Lister, wei_per_gas: Callable[[], int]) -> None:
        self._tools, self._lister, self._wei_per_gas = tools, lister, wei_per_gas
        self._asking: AtEach[_Look] = AtEach(tools.gateways)
        self._onward: dict[GatewayLine, str] = {}
        self._ask_at = UnixTime(0)
        self._waiting: dict[Bytes32, ReservationCandidate] = {}
        self._known: dict[Bytes32, _Known] = {}
        self._judged_by: tuple[tuple[ReserveRule, ...], frozenset[OfferId]] = (), frozenset()
        self._dispatch = Dispatch(tools.sender, tools.pools.money)
        self._opening: Fill | None = None

    def step(self, head: BlockRef) -> None:
        """Hear what was found, see what came of an opening, begin the next one, and look again."""
        by = self._rules, frozenset(self._lister.standing())
        if by != self._judged_by:
            # What was left by the former rules, or before an offer of ours stood, may pass now, and the other way round.
            self._judged_by = by
            self._known.clear()
            self._waiting.clear()
        for answer in self._asking.answers(head.number):
            self._hear(answer, head)
        try:
            self._see_opened(head)
            if self._rules and self._opening is None and self._waiting:
                self._open(self._waiting.pop(next(iter(self._waiting))), head)
        except ChainError as exc:
            _log.debug("reservation.not_judged", reason=exc.reason)
        if self._rules and head.timestamp >= self._ask_at:
            self._ask_at = UnixTime(head.timestamp + LOOK_EVERY_SECONDS)
            self._ask(head)

    @property
    def _rules(self) -> tuple[ReserveRule, ...]:
        """None while nothing is to be opened on our offers."""
        wanted = self._lister.wanted
        return wanted.inventory.reserve if wanted.is_open else ()

    # Looking

    def _ask(self, head: BlockRef) -> None:
        rules, domain, now = self._rules, self._tools.domain, UnixTime(head.timestamp + SOON_SECONDS)
        known = {order for order, word in self._known.items() if head.timestamp < word.until} | self._waiting.keys()
        onward = dict(self._onward)

        def looked(line: GatewayLine) -> _Look:
            after = onward.get(line, "")
            page = line.api.reservations(after)
            # Their ids are our own to say: that is what is signed.
            fresh = [
                SignedOrder(order_id(told.signed.order, domain), told.signed.order, told.signature)
                for told in page.items if told.id not in known
            ]  # fmt: skip
            words = {signed.id: refusal_by(rules, signed.order, now) for signed in fresh}
            fitting = [signed for signed in fresh if words[signed.id] is None]
            specs = [(signed, _spec_of(line, signed.order)) for signed in fitting[:MOST_SPECS]]
            left = [(signed, LeftToOthers(word)) for signed in fresh if (word := words[signed.id]) is not None]
            return _Look(
                tuple(ReservationCandidate(signed, spec) for signed, spec in specs if isinstance(spec, JobSpec)),
                (*left, *((signed, spec) for signed, spec in specs if isinstance(spec, LeftToOthers))),
                page.next or "" if len(fitting) <= MOST_SPECS else after,
            )

        self._asking.begin(looked, head.number, seconds=LOOK_SECONDS)

    def _hear(self, answer: Answered[_Look], head: BlockRef) -> None:
        if answer.found is None:
            _log.debug("reservations.not_told", gateway=answer.line.url, reason=str(answer.problem))
            return
        self._onward[answer.line] = answer.found.onward
        for signed, word in answer.found.left:
            self._leave(signed, word, head)
        for candidate in answer.found.candidates:
            known = self._known.get(candidate.signed.id)
            if len(self._waiting) < MOST_WAITING and (known is None or head.timestamp >= known.until):
                self._waiting.setdefault(candidate.signed.id, candidate)

    def _leave(self, signed: SignedOrder, word: LeftToOthers, head: BlockRef) -> None:
        """Remember it for a while where that may pass, else for as long as it can be opened."""
        before = self._known.get(signed.id)
        until = UnixTime(head.timestamp + AGAIN_SECONDS) if word.reason.may_pass else signed.order.expires_at
        self._know(signed.id, _Known(until, word.reason))
        if before is None or before.reason is not word.reason:
            _log.info("reservation.left", order=signed.id, reason=word.reason, detail=word.detail)

    def _know(self, identifier: Bytes32, word: _Known) -> None:
        self._known.pop(identifier, None)
        self._known[identifier] = word
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    # Opening

    def _open(self, candidate: ReservationCandidate, head: BlockRef) -> None:
        signed, order = candidate.signed, candidate.signed.order
        found = self._placed(candidate, head)
        if isinstance(found, LeftToOthers):
            self._leave(signed, found, head)
            return
        self._opening = found
        self._know(signed.id, _Known(order.expires_at, None))
        _log.info(
            "reservation.opening", order=signed.id, offer=found.offer, price=str(found.price), starts_at=order.starts_at
        )
        self._dispatch.send(verbs.open_fills(self._tools.desk, [found]), head.number, name=f"reserve {signed.id}")

    def _placed(self, candidate: ReservationCandidate, head: BlockRef) -> Fill | LeftToOthers:
        """Raises ChainUnavailable."""
        signed, market, us = candidate.signed, self._tools.market, self._tools.account
        lease = market.lease_of(signed.id, head)
        refusal = self._refusal_of_signature(signed, lease, head)
        if refusal is not None:
            return LeftToOthers(ReserveRefusal.NOT_SIGNED, refusal.name)
        standing = self._lister.standing()
        listed = market.offers_of(sorted(standing), head)
        places = [(offer, standing[OfferId(offer.id)]) for offer in listed.values() if offer and offer.provider == us]
        balances = market.balances_of([signed.order.client, us], head)
        facts = ReservationFacts(head.timestamp, lease, places, balances, us)
        found = fill_for(candidate, self._rules, facts, self._tools.terms)
        return self._worth_opening(found) if isinstance(found, Fill) else found

    def _worth_opening(self, fill: Fill) -> Fill | LeftToOthers:
        """Where nobody knows what gas is worth in tokens, it is taken to be worth it."""
        order, per_unit = fill.signed.order, self._tools.sender.wei_per_unit
        guaranteed = earned_rounded_down(fill.price, order.gpus, order.min_seconds)
        is_worth = not per_unit or guaranteed * per_unit >= WORTH * OPEN_GAS * self._wei_per_gas()
        return (
            fill
            if is_worth
            else LeftToOthers(ReserveRefusal.NOT_WORTH_ITS_GAS, f"{guaranteed} token units are guaranteed")
        )

    def _refusal_of_signature(self, signed: SignedOrder, lease: Lease, head: BlockRef) -> Refusal | None:
        """As the contract asks (P-25)."""
        order, market = signed.order, self._tools.market
        signer = recover(signed.id, signed.signature)
        is_delegate = signer is not None and signer != order.client
        budget = market.budget_of(order.client, signer, at=head) if is_delegate and signer else NO_BUDGET
        refusal = refusal_of_signer(order, signer, budget, head.timestamp, charged=lease.charged)
        if refusal is Refusal.BadSignature and is_approved_by(
            self._tools.chain, order.client, signed.id, signed.signature, head
        ):
            return None
        return refusal

    def _see_opened(self, head: BlockRef) -> None:
        """What came of it. What could not be sent is judged anew: then the chain says whether it was opened all the same."""
        if self._opening is None:
            return
        sent, signed = self._dispatch.outcome(head.number), self._opening.signed
        if sent is None and not self._dispatch.is_idle:
            return
        self._opening = None
        if sent is None:
            self._know(signed.id, _Known(head.timestamp, None))
            return
        events = sent.mined.events if sent.mined else ()
        is_open = any(isinstance(event, LeaseOpened) and event.lease == signed.id for event in events)
        if is_open:
            _log.info("reservation.opened", order=signed.id)
        else:
            self._leave(signed, LeftToOthers(ReserveRefusal.CONTRACT_REFUSES), head)


def _spec_of(line: GatewayLine, order: Order) -> JobSpec | LeftToOthers:
    try:
        return read_spec(line.api.fetch_blob(sha256_in(order.spec), limit_bytes=MAX_SPEC_BYTES))
    except MarketplaceError as exc:
        return LeftToOthers(ReserveRefusal.SPEC_NOT_DELIVERED, exc.reason)
