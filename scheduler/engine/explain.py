"""Why an order stands where it stands: reasons counted per offer, and the nearest miss in words to act on."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import MOST_OFFERS_TOLD, BookOrder, Explanation, RejectionReason
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import text_from_units
from scheduler.engine.arrays import UNKNOWN, Ints
from scheduler.engine.documents.plan import PoolPrice
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.funds.balances import Remaining
from scheduler.engine.funds.funding import Clearing, Funding
from scheduler.engine.matching.demands import Demands
from scheduler.engine.tables.ticks import Ticks, price_of

R = RejectionReason
Units = NDArray[Any]
"""Base units of the token."""

NEARNESS: tuple[RejectionReason, ...] = (
    R.ROUND_FULL, R.OUTBID, R.GROUP_NOT_TOGETHER, R.GROUP_INCOMPLETE, R.PROVIDER_BALANCE_TOO_LOW, R.CLIENT_BALANCE_TOO_LOW,
    R.PRICE_OUT_OF_BOUNDS, R.NOT_ENOUGH_GPUS,
    R.RECENTLY_REFUSED, R.DECLINED_BEFORE, R.PROVIDER_SILENT, R.NETWORK_NOT_OFFERED, R.NOT_ENOUGH_DISK, R.NOT_ENOUGH_MEMORY, R.NOT_ENOUGH_CPUS,
    R.NOT_ENOUGH_VRAM, R.WRONG_REGION, R.MACHINE_UNKNOWN, R.RELIABILITY_TOO_LOW, R.PROVIDER_EXCLUDED,
    R.MIN_SECONDS_TOO_SMALL, R.BOND_TOO_SMALL, R.TERM_LEASE_NOT_BY_PROVIDER, R.WRONG_ARBITER, R.OFFER_NOT_ALIVE,
    R.WRONG_OFFER, R.CLASS_NOT_ACCEPTED,
)  # fmt: skip
"""From "nearly" to "not the right thing": the first of these that some offer fell for is the nearest miss."""
CODES: Mapping[RejectionReason, int] = {reason: code for code, reason in enumerate(NEARNESS)}

PHRASES: Mapping[RejectionReason, tuple[str, str]] = {
    R.ROUND_FULL: ("waits for the next batch", "wait for the next batch"),
    R.OUTBID: ("went to orders ahead of it", "went to orders ahead of it"),
    R.GROUP_NOT_TOGETHER: ("has no room beside it for its group", "have no room beside it for its group"),
    R.GROUP_INCOMPLETE: ("waits for the rest of its group", "wait for the rest of its group"),
    R.PROVIDER_BALANCE_TOO_LOW: ("cannot pay its bond", "cannot pay their bonds"),
    R.CLIENT_BALANCE_TOO_LOW: ("costs more than the client's free balance", "cost more than the client's free balance"),
    R.PRICE_OUT_OF_BOUNDS: ("asks too much", "ask too much"),
    R.NOT_ENOUGH_GPUS: ("has too few GPUs free", "have too few GPUs free"),
    R.RECENTLY_REFUSED: ("was just refused by the contract", "were just refused by the contract"),
    R.DECLINED_BEFORE: ("declined it", "declined it"),
    R.PROVIDER_SILENT: ("is of a silent provider", "are of silent providers"),
    R.NETWORK_NOT_OFFERED: ("gives jobs no such network", "give jobs no such network"),
    R.NOT_ENOUGH_DISK: ("lacks disk", "lack disk"),
    R.NOT_ENOUGH_MEMORY: ("lacks memory", "lack memory"),
    R.NOT_ENOUGH_CPUS: ("lacks CPUs", "lack CPUs"),
    R.NOT_ENOUGH_VRAM: ("lacks VRAM", "lack VRAM"),
    R.WRONG_REGION: ("is in another region", "are in other regions"),
    R.MACHINE_UNKNOWN: ("has no machine description", "have no machine description"),
    R.RELIABILITY_TOO_LOW: ("is of a provider that is not reliable enough", "are of providers that are not reliable enough"),
    R.PROVIDER_EXCLUDED: ("is of an unwanted provider", "are of unwanted providers"),
    R.MIN_SECONDS_TOO_SMALL: ("wants a longer guaranteed time", "want a longer guaranteed time"),
    R.BOND_TOO_SMALL: ("has too small a bond", "have too small a bond"),
    R.TERM_LEASE_NOT_BY_PROVIDER: ("must be opened by its provider", "must be opened by their providers"),
    R.WRONG_ARBITER: ("names another arbiter", "name another arbiter"),
    R.OFFER_NOT_ALIVE: ("has expired", "have expired"),
    R.WRONG_OFFER: ("is not the one it is pinned to", "are not the one it is pinned to"),
    R.CLASS_NOT_ACCEPTED: ("is of another GPU class", "are of other GPU classes"),
}  # fmt: skip
"""What the offers that fell for a reason do: one of them, and several."""

OTHERS_TOLD = 3
"""So many further reasons are put into words; the counts of all are in ``reasons``."""


def explain_order(snapshot: Snapshot, order: BookOrder, reason: RejectionReason, posted_on: int | None) -> Explanation:
    """An order that no offer could serve, or that is being served: the one reason counts once."""
    lease = snapshot.lease_of(order.id)
    serving = posted_on if posted_on is not None else lease.offer if lease.status is LeaseStatus.OPEN else None
    offer = next((offer.id for offer in snapshot.view.offers if offer.id == serving), None)
    if reason is R.ROUND_FULL:
        sentence = (
            "this round had too many orders of rare demands, or groups, to look at all of them: a later one looks at it"
        )
    else:
        sentence = "its lease is being opened" if posted_on is not None else Refusal[reason.value].sentence
    return Explanation(order.id, snapshot.view.block, offer, {reason: 1}, sentence)


@dataclass(frozen=True)
class Listed:
    """The offers of one round as columns, in whole base units."""

    offers: Sequence[Offer]
    """With the GPUs that they had free when the round began."""
    left: Ints
    """GPUs that are free after the whole plan."""
    ask: Units
    cleared: Units
    """The clearing price of GPUs like those of this offer."""
    row: Mapping[OfferId, int]

    def first(self, rows: Ints) -> Offer:
        """The cheapest of these, of equal ones the one with the fewest GPUs free, then the one listed first."""
        asks = self.ask[rows]
        cheapest: list[Offer] = [self.offers[at] for at in rows[asks == asks.min()].tolist()]
        return sorted(cheapest, key=lambda offer: (offer.free, offer.id))[0]


class Explainer:
    """Where each order of one round stands. Made with the plan, worked out order by order when somebody asks."""

    def __init__(
        self, demands: Demands, turned_away: Mapping[int, RejectionReason], funding: Funding, outcome: Clearing
    ) -> None:
        self._facts, self._snapshot, self._demands = funding.facts, funding.facts.snapshot, demands
        self._turned_away, self._unplaced, self._is_last = turned_away, outcome.unplaced, funding.is_last
        self._room, self._price = funding.room_at_first, outcome.price

    @cached_property
    def _rows(self) -> dict[Bytes32, int]:
        return {order.id: row for row, order in enumerate(self._facts.columns.book)}

    @cached_property
    def _posted(self) -> dict[Bytes32, OfferId]:
        return {fill.signed.id: fill.offer for fill in self._snapshot.posted}

    def of(self, order: Bytes32, fills: Mapping[Bytes32, Fill], prices: tuple[PoolPrice, ...]) -> Explanation:
        """Why this order is where it is, with the plan's fills. Raises KeyError for an order that is not on the book."""
        row = self._rows[order]
        if row in self._turned_away:
            return explain_order(
                self._snapshot, self._facts.columns.book[row], self._turned_away[row], self._posted.get(order)
            )
        if self._unplaced.get(row) is R.ROUND_FULL:
            return explain_order(self._snapshot, self._facts.columns.book[row], R.ROUND_FULL, None)
        candidate = self._candidate(row, self._listed_after(fills))
        if order in fills:
            return explain_placed(self._snapshot, candidate, fills[order])
        return explain_waiting(
            self._snapshot, candidate, self._left(fills), self._unplaced.get(row), is_last=bool(self._is_last[row])
        )

    def _candidate(self, row: int, listed: Listed) -> Candidate:
        order = self._facts.columns.book[row]
        is_too_dear = np.asarray(listed.ask > order.signed.order.max_price, np.bool_)
        return Candidate(order, listed, self._demands.reasons_against(row, self._room, is_too_dear, CODES))

    def _left(self, fills: Mapping[Bytes32, Fill]) -> Remaining:
        """What is left of GPUs and money after the whole plan."""
        if self._remaining is None:
            self._remaining = Remaining(self._snapshot)
            self._remaining.take_all(fills.values())
        return self._remaining

    def _listed_after(self, fills: Mapping[Bytes32, Fill]) -> Listed:
        if self._listed is None:
            columns, left = self._facts.columns, self._left(fills)
            rows = zip(columns.listings, self._room.tolist(), strict=True)
            offers = tuple(replace(offer, free=free) for offer, free in rows)
            self._listed = Listed(
                offers,
                np.array([left.free_of(offer.id) for offer in offers], np.int64),
                _units(offer.price for offer in offers),
                _units(price_of(Ticks(price), columns.tick_bits) for price in self._price.tolist()),
                {offer.id: at for at, offer in enumerate(offers)},
            )
        return self._listed

    _remaining: Remaining | None = None
    _listed: Listed | None = None


def _units(values: Iterable[int]) -> Units:
    """As 64-bit numbers where all of them are, else as Python's: a contract's prices have 96 bits."""
    found = list(values)
    return np.array(found, np.int64 if max(found, default=0) < 1 << 63 else np.object_)


@dataclass(frozen=True)
class Candidate:
    """An order that may be opened, all offers, and the code of the reason against each; UNKNOWN where it fits."""

    order: BookOrder
    listed: Listed
    codes: Ints

    def fallen_for(self, code: int) -> Ints:
        """The rows of the offers that fell for this reason."""
        return np.flatnonzero(self.codes == code)

    def cleared_from(self, code: int) -> int:
        """The lowest clearing price among the offers that fell for this reason, and not less than they ask; base units."""
        fallen = self.fallen_for(code)
        return int(np.maximum(self.listed.cleared[fallen], self.listed.ask[fallen]).min())

    @property
    def counts(self) -> dict[RejectionReason, int]:
        """How many offers fell for each reason, the nearest misses first."""
        codes, counts = np.unique(self.codes[self.codes != UNKNOWN], return_counts=True)
        return {NEARNESS[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}

    def explained(self, block: BlockRef, placed_on: OfferId | None, words: str) -> Explanation:
        """The order's explanation: how many offers fell for each reason, and the first of them."""
        counts = self.counts
        return Explanation(
            self.order.id,
            block,
            placed_on,
            counts,
            words,
            {reason: self._first_fallen_for(reason) for reason in counts},
        )

    def _first_fallen_for(self, reason: RejectionReason) -> tuple[OfferId, ...]:
        rows = self.fallen_for(CODES[reason]).tolist()
        return tuple(heapq.nsmallest(MOST_OFFERS_TOLD, (self.listed.offers[row].id for row in rows)))


def explain_placed(snapshot: Snapshot, candidate: Candidate, fill: Fill) -> Explanation:
    """An order that this round places: where, among how many, and what made the price."""
    listed, count = candidate.listed, len(candidate.fallen_for(UNKNOWN))
    among = "the only offer that could serve it" if count == 1 else f"chosen among {count} offers that could serve it"
    ask, cleared = (int(units[listed.row[fill.offer]]) for units in (listed.ask, listed.cleared))
    if fill.price == ask:
        because = ""
    elif fill.price >= cleared:
        because = f"; it asks {_price(snapshot, ask)}, such GPUs cleared at {_price(snapshot, fill.price)}"
    else:
        because = f"; it asks {_price(snapshot, ask)}, such GPUs cleared at {_price(snapshot, cleared)}, of which you pay what your limit allows"
    words = f"offer {fill.offer} at {_price(snapshot, fill.price)}, {among}{because}"
    return candidate.explained(snapshot.view.block, fill.offer, words)


def explain_waiting(
    snapshot: Snapshot,
    candidate: Candidate,
    remaining: Remaining,
    unplaced: RejectionReason | None,
    *,
    is_last: bool = False,
) -> Explanation:
    """An order that could have been placed, or nearly, and was not."""
    order, block, fitting = candidate.order, snapshot.view.block, candidate.fallen_for(UNKNOWN)
    if len(fitting) and unplaced is None and remaining.is_over_budget(order.signed):
        return Explanation(order.id, block, None, {R.OVER_BUDGET: 1}, Refusal.OverBudget.sentence)
    if not candidate.listed.offers:
        return Explanation(order.id, block, None, {R.NO_OFFERS: 1}, "nobody offers any GPUs")
    codes = candidate.codes.copy()
    if unplaced:
        codes[fitting] = CODES[unplaced]
    else:
        _note_lost(codes, fitting, candidate, remaining)
    fallen = replace(candidate, codes=codes)
    words = _nearest_miss(snapshot, fallen, remaining)
    if is_last:
        words += (
            f"; fills of yours were refused at least {snapshot.policy.strikes} times lately, so you are served last"
        )
    return fallen.explained(block, None, words)


def _note_lost(codes: Ints, fitting: Ints, candidate: Candidate, remaining: Remaining) -> None:
    """Why each fitting offer was not to be had in the end. What it had at first and lacks now went to others."""
    signed, listed = candidate.order.signed, candidate.listed
    codes[fitting] = CODES[R.OUTBID]
    roomy = fitting[listed.left[fitting] >= signed.order.gpus]
    is_too_dear = np.asarray(listed.ask[roomy] > remaining.highest_price(signed), np.bool_)
    codes[roomy[is_too_dear]] = CODES[R.CLIENT_BALANCE_TOO_LOW]
    for at in roomy[~is_too_dear].tolist():
        offer = listed.offers[at]
        codes[at] = CODES[remaining.reason_against(signed, offer, offer.price) or R.OUTBID]


# Words ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fallen:
    """Offers that fell for one reason, by their rows."""

    listed: Listed
    rows: Ints

    @cached_property
    def first(self) -> Offer:
        """The cheapest."""
        return self.listed.first(self.rows)


def _nearest_miss(snapshot: Snapshot, candidate: Candidate, remaining: Remaining) -> str:
    """The nearest miss first, then what the other offers lack, most frequent first."""
    counts = candidate.counts
    nearest = next(iter(counts))
    fallen, tell = Fallen(candidate.listed, candidate.fallen_for(CODES[nearest])), _SENTENCES.get(nearest)
    first = tell(snapshot, candidate.order, fallen, remaining) if tell else _phrase(nearest, len(fallen.rows))
    if nearest is R.OUTBID:
        limit = text_from_units(candidate.order.signed.order.max_price, snapshot.terms.token_decimals)
        cleared = _price(snapshot, candidate.cleared_from(CODES[nearest]))
        first += f" and cleared from {cleared}, your limit is {limit}"
    rest = sorted((reason for reason in counts if reason is not nearest), key=lambda reason: -counts[reason])
    return "; ".join((first, *(_phrase(reason, counts[reason]) for reason in rest[:OTHERS_TOLD])))


def _phrase(reason: RejectionReason, count: int) -> str:
    one, many = PHRASES[reason]
    return f"1 offer {one}" if count == 1 else f"{count} offers {many}"


def _money(snapshot: Snapshot, units: int) -> str:
    return f"{text_from_units(units, snapshot.terms.token_decimals)} {snapshot.terms.token_symbol}"


def _price(snapshot: Snapshot, price: int) -> str:
    return f"{_money(snapshot, price)}/GPU-h"


Sentence = Callable[[Snapshot, BookOrder, Fallen, Remaining], str]
"""Says what was missed, given the offers that fell for one reason, and what is left after the round."""


def _too_dear(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    limit = text_from_units(order.signed.order.max_price, snapshot.terms.token_decimals)
    return f"cheapest feasible offer asks {_price(snapshot, fallen.first.price)}, your limit is {limit}"


def _too_few_gpus(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    most = max(fallen.listed.offers[at].free for at in fallen.rows.tolist())
    return f"the roomiest feasible offer has {most} GPUs free, you need {order.signed.order.gpus} together"


def _client_too_poor(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    cost = remaining.cost_of(order.signed, fallen.first.price)
    free = remaining.balance_of(order.signed.order.client)
    return f"offer {fallen.first.id} locks {_money(snapshot, cost)}, your free balance is {_money(snapshot, free)}"


def _provider_too_poor(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    bond = remaining.bond_of(order.signed.order, fallen.first, fallen.first.price)
    return f"the provider of offer {fallen.first.id} cannot cover the bond of {_money(snapshot, bond)}"


def _outbid(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    count, asks = len(fallen.rows), _price(snapshot, fallen.first.price)
    return f"{count} feasible offer{'s' if count > 1 else ''}, from {asks}, went to orders ahead of yours"


def _too_little_vram(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    return f"{_phrase(R.NOT_ENOUGH_VRAM, len(fallen.rows))}: you need {order.spec.resources.vram_mib} MiB a GPU"


def _no_such_class(snapshot: Snapshot, order: BookOrder, fallen: Fallen, remaining: Remaining) -> str:
    return f"nobody offers a GPU class that you accept; {_phrase(R.CLASS_NOT_ACCEPTED, len(fallen.rows))}"


_SENTENCES: Mapping[RejectionReason, Sentence] = {
    R.PRICE_OUT_OF_BOUNDS: _too_dear,
    R.NOT_ENOUGH_GPUS: _too_few_gpus,
    R.CLIENT_BALANCE_TOO_LOW: _client_too_poor,
    R.PROVIDER_BALANCE_TOO_LOW: _provider_too_poor,
    R.OUTBID: _outbid,
    R.NOT_ENOUGH_VRAM: _too_little_vram,
    R.CLASS_NOT_ACCEPTED: _no_such_class,
}
