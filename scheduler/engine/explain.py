"""Why an order stands where it stands: reasons counted per offer, and the nearest miss in words to act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from marketplace.domain.book import BookOrder, Explanation, RejectionReason
from marketplace.domain.models import Fill, LeaseStatus, Offer
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import text_from_units
from scheduler.engine.feasible import Candidate
from scheduler.engine.price import fill_price
from scheduler.engine.remaining import Remaining
from scheduler.engine.snapshot import Snapshot

R = RejectionReason
Verdicts = Sequence[tuple[Offer, RejectionReason]]

NEARNESS: tuple[RejectionReason, ...] = (
    R.ROUND_FULL, R.OUTBID, R.GROUP_NOT_TOGETHER, R.GROUP_INCOMPLETE, R.PROVIDER_BALANCE_TOO_LOW, R.CLIENT_BALANCE_TOO_LOW,
    R.PRICE_OUT_OF_BOUNDS, R.NOT_ENOUGH_GPUS,
    R.RECENTLY_REFUSED, R.DECLINED_BEFORE, R.PROVIDER_SILENT, R.NOT_ENOUGH_DISK, R.NOT_ENOUGH_MEMORY, R.NOT_ENOUGH_CPUS,
    R.NOT_ENOUGH_VRAM, R.WRONG_REGION, R.MACHINE_UNKNOWN, R.RELIABILITY_TOO_LOW, R.PROVIDER_EXCLUDED,
    R.MIN_SECONDS_TOO_SMALL, R.BOND_TOO_SMALL, R.TERM_LEASE_NOT_BY_PROVIDER, R.WRONG_ARBITER, R.OFFER_NOT_ALIVE,
    R.WRONG_OFFER, R.CLASS_NOT_ACCEPTED,
)  # fmt: skip
"""From "nearly" to "not the right thing": the first of these that some offer fell for is the nearest miss."""

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
    sentence = "its lease is being opened" if posted_on is not None else Refusal[reason.value].sentence
    return Explanation(order.id, snapshot.view.block, offer, {reason: 1}, sentence)


def explain_placed(snapshot: Snapshot, candidate: Candidate, fill: Fill) -> Explanation:
    """An order that this round places."""
    count = len(candidate.fitting)
    among = "the only offer that could serve it" if count == 1 else f"chosen among {count} offers that could serve it"
    words = f"offer {fill.offer} at {_price(snapshot, fill.price)}, {among}"
    return Explanation(candidate.order.id, snapshot.view.block, fill.offer, _counted(candidate.against), words)


def explain_waiting(snapshot: Snapshot, candidate: Candidate, remaining: Remaining, is_full: bool) -> Explanation:
    """An order that could have been placed, or nearly, and was not."""
    verdicts = [*candidate.against, *_lost(candidate, remaining, is_full)]
    order = candidate.order
    if not verdicts:
        return Explanation(order.id, snapshot.view.block, None, {R.NO_OFFERS: 1}, "nobody offers any GPUs")
    words = _nearest_miss(snapshot, order, verdicts, remaining)
    return Explanation(order.id, snapshot.view.block, None, _counted(verdicts), words)


def _lost(candidate: Candidate, remaining: Remaining, is_full: bool) -> Iterable[tuple[Offer, RejectionReason]]:
    """Why each fitting offer was not to be had in the end. What it had at first and lacks now went to others."""
    for offer in candidate.fitting:
        lacking = remaining.reason_against(candidate.order.signed, offer, fill_price(offer))
        if lacking is None and is_full:
            yield offer, R.ROUND_FULL
        elif lacking in (None, R.NOT_ENOUGH_GPUS):
            yield offer, R.OUTBID
        else:
            yield offer, lacking


def _counted(verdicts: Verdicts) -> dict[RejectionReason, int]:
    counts = Counter(reason for _, reason in verdicts)
    return {reason: counts[reason] for reason in sorted(counts, key=NEARNESS.index)}


# Words ----------------------------------------------------------------------------------------------------------------


def _nearest_miss(snapshot: Snapshot, order: BookOrder, verdicts: Verdicts, remaining: Remaining) -> str:
    """The nearest miss first, then what the other offers lack, most frequent first."""
    counts = _counted(verdicts)
    nearest = next(iter(counts))
    fallen = sorted((offer for offer, reason in verdicts if reason is nearest), key=lambda one: (one.price, one.id))
    tell = _SENTENCES.get(nearest)
    first = tell(snapshot, order, fallen, remaining) if tell else _phrase(nearest, len(fallen))
    rest = sorted((reason for reason in counts if reason is not nearest), key=lambda reason: -counts[reason])
    return "; ".join((first, *(_phrase(reason, counts[reason]) for reason in rest[:OTHERS_TOLD])))


def _phrase(reason: RejectionReason, count: int) -> str:
    one, many = PHRASES[reason]
    return f"1 offer {one}" if count == 1 else f"{count} offers {many}"


def _money(snapshot: Snapshot, units: int) -> str:
    return f"{text_from_units(units, snapshot.terms.token_decimals)} {snapshot.terms.token_symbol}"


def _price(snapshot: Snapshot, price: int) -> str:
    return f"{_money(snapshot, price)}/GPU-h"


Sentence = Callable[[Snapshot, BookOrder, Sequence[Offer], Remaining], str]
"""Says what was missed, given the offers that fell for one reason, cheapest first, and what is left after the round."""


def _too_dear(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    limit = text_from_units(order.signed.order.max_price, snapshot.terms.token_decimals)
    return f"cheapest feasible offer asks {_price(snapshot, fallen[0].price)}, your limit is {limit}"


def _too_few_gpus(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    most = max(offer.free for offer in fallen)
    return f"the roomiest feasible offer has {most} GPUs free, you need {order.signed.order.gpus} together"


def _client_too_poor(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    cost = remaining.cost_of(order.signed, fill_price(fallen[0]))
    free = remaining.balance_of(order.signed.order.client)
    return f"offer {fallen[0].id} locks {_money(snapshot, cost)}, your free balance is {_money(snapshot, free)}"


def _provider_too_poor(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    bond = remaining.bond_of(order.signed.order, fallen[0], fill_price(fallen[0]))
    return f"the provider of offer {fallen[0].id} cannot cover the bond of {_money(snapshot, bond)}"


def _outbid(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    count, asks = len(fallen), _price(snapshot, fallen[0].price)
    return f"{count} feasible offer{'s' if count > 1 else ''}, from {asks}, went to orders ahead of yours"


def _too_little_vram(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    return f"{_phrase(R.NOT_ENOUGH_VRAM, len(fallen))}: you need {order.spec.resources.vram_mib} MiB a GPU"


def _no_such_class(snapshot: Snapshot, order: BookOrder, fallen: Sequence[Offer], remaining: Remaining) -> str:
    return f"nobody offers a GPU class that you accept; {_phrase(R.CLASS_NOT_ACCEPTED, len(fallen))}"


_SENTENCES: Mapping[RejectionReason, Sentence] = {
    R.PRICE_OUT_OF_BOUNDS: _too_dear,
    R.NOT_ENOUGH_GPUS: _too_few_gpus,
    R.CLIENT_BALANCE_TOO_LOW: _client_too_poor,
    R.PROVIDER_BALANCE_TOO_LOW: _provider_too_poor,
    R.OUTBID: _outbid,
    R.NOT_ENOUGH_VRAM: _too_little_vram,
    R.CLASS_NOT_ACCEPTED: _no_such_class,
}
