"""The rulebook (``marketplace.domain.fitting``) in columns: which offers could serve an order, looking at each pair alone.

A check turns what a kind of orders asks for into a number, its *key*, and says which offers fail that key. Tests hold the checks against the
rulebook, pair by pair and reason by reason.
Orders with the same keys make the same *demand* and are judged once. Checks know nothing of the round's other orders: who gets what is for the
auction. How many GPUs and how high a limit are asked last, of each order by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketplace.domain import fitting
from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.ids import ZERO_ADDRESS, Address, OfferId
from marketplace.domain.spec import Resources
from marketplace.domain.units import BPS_WHOLE
from scheduler.engine.arrays import UNKNOWN, Ints, ranked
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables.facts import Facts

R = RejectionReason
_TOO_LONG = 1 << 40
"""More seconds than an order can have."""
_NO_DEMANDS = Resources()
"""What a spec asks for when it says nothing. Every machine is taken to have that much, described or not."""


@dataclass(frozen=True)
class PairCheck:
    """A reason, the key of each kind of orders, and which offers fail a key."""

    reason: RejectionReason
    keys: Callable[[Facts], Any]
    fails: Callable[[Facts, int], Any]


# The checks -----------------------------------------------------------------------------------------------------------


def _everyone(facts: Facts) -> Ints:
    return np.zeros(facts.kinds.rows, np.int64)


def _seen_through(numbers: Ints, see: Callable[[int], Hashable]) -> Ints:
    """The first of the numbers that look alike: what no offer can tell apart is one key."""
    alike, found = dict[Hashable, int](), np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    for number in ranked(numbers)[0].tolist():
        found[number] = alike.setdefault(see(number), number)
    return np.asarray(found[numbers])


def _at_least(
    reason: RejectionReason, asked: Callable[[Facts], Ints], had: Callable[[Facts], Ints], *, known: bool = False
) -> PairCheck:
    """Offers fail that have less than is asked; with ``known``, not those of which it is not known.

    The key is the rank of what is asked among what there is: orders that no offer tells apart make one demand.
    """

    def keys(facts: Facts) -> Any:
        (levels, _), wanted = facts.ranked(reason, had(facts)), asked(facts)
        if not len(levels) or wanted.max(initial=levels[0]) <= levels[0]:
            return _everyone(facts)
        return np.searchsorted(levels, wanted)

    def fails(facts: Facts, key: int) -> Any:
        has = had(facts)
        return (facts.ranked(reason, has)[1] < key) & ((has != UNKNOWN) | (not known))

    return PairCheck(reason, keys, fails)


def _machine(reason: RejectionReason, name: str) -> PairCheck:
    return _at_least(reason, lambda facts: facts.kinds[name], lambda facts: facts.of_machine(name), known=True)


def _asks_of_machine(facts: Facts) -> Any:
    """A machine without a description is good enough for an order that asks nothing of it."""
    asked = [
        facts.kinds[name] > getattr(_NO_DEMANDS, name) for name in ("cpus", "memory_mib", "disk_mib", "egress_mib")
    ]
    return np.logical_or.reduce([facts.kinds["regions"] != 0, *asked])


def _pinned_to(facts: Facts) -> Any:
    asked = facts.kinds["offer"]
    return np.where((asked == 0) | np.isin(asked, facts.offers["id"]), asked, UNKNOWN)


def _classes(facts: Facts) -> Ints:
    offered = sum(1 << number for number in ranked(facts.offers["gpu_class"])[0].tolist())
    return _seen_through(facts.kinds["classes"], lambda number: facts.known.classes.all[number] & offered)


def _wrong_class(facts: Facts, key: int) -> Any:
    classes, offered = facts.known.classes.all[key], facts.offers["gpu_class"]
    return ~np.array([bool(classes >> number & 1) for number in range(int(offered.max(initial=0)) + 1)])[offered]


def _arbiters(facts: Facts) -> Any:
    asked = facts.kinds["arbiter"]
    return np.where(np.isin(asked, facts.offers["arbiter"]), asked, UNKNOWN)


def _wrong_arbiter(facts: Facts, key: int) -> Any:
    return (facts.offers["arbiter"] != key) | (facts.offers["provider"] == key)


def _providers(facts: Facts) -> Ints:
    names = facts.known.accounts.all
    if not facts.kinds["providers"].any():
        return _everyone(facts)
    here = {names[number] for number in ranked(facts.offers["provider"])[0].tolist()}

    def see(number: int) -> Hashable:
        wanted, unwanted = facts.known.providers.all[number]
        return bool(wanted), frozenset(here.intersection(wanted)), frozenset(here.intersection(unwanted))

    return _seen_through(facts.kinds["providers"], see)


def _excluded(facts: Facts, key: int) -> Any:
    wanted, unwanted = (
        np.array([facts.known.accounts.of.get(who, UNKNOWN) for who in side]) for side in facts.known.providers.all[key]
    )
    by = facts.offers["provider"]
    return (np.isin(by, wanted, invert=True) if len(wanted) else np.zeros(len(by), np.bool_)) | np.isin(by, unwanted)


def _regions(facts: Facts) -> Ints:
    def see(number: int) -> Hashable:
        wanted = facts.known.regions.all[number]
        return bool(wanted), frozenset(facts.regions_met.keys() & wanted)

    return _seen_through(facts.kinds["regions"], see)


def _wrong_region(facts: Facts, key: int) -> Any:
    wanted = facts.known.regions.all[key]
    is_wrong = np.full(len(facts.regions_met) + 1, bool(wanted))
    is_wrong[[*(facts.regions_met[name] for name in wanted if name in facts.regions_met), UNKNOWN]] = False
    return is_wrong[facts.region]


def _not_ours(facts: Facts, key: int) -> Any:
    ours = facts.known.accounts.of.get(facts.snapshot.opener, UNKNOWN)
    return (facts.offers["provider"] != ours) & bool(key)


CHECKS: tuple[PairCheck, ...] = (
    PairCheck(R.OFFER_NOT_ALIVE, _everyone, lambda facts, key: ~facts.is_alive),
    PairCheck(R.WRONG_OFFER, _pinned_to, lambda facts, key: (facts.offers["id"] != key) & (key != 0)),
    PairCheck(R.CLASS_NOT_ACCEPTED, _classes, _wrong_class),
    PairCheck(R.WRONG_ARBITER, _arbiters, _wrong_arbiter),
    _at_least(R.BOND_TOO_SMALL, lambda facts: facts.kinds["min_bond_bps"], lambda facts: facts.offers["bond_bps"]),
    _at_least(R.MIN_SECONDS_TOO_SMALL, lambda facts: -facts.kinds["min_seconds"], lambda facts: -facts.offers["min_seconds"]),
    PairCheck(R.TERM_LEASE_NOT_BY_PROVIDER, lambda facts: facts.kinds["starts_at"] > facts.soonest, _not_ours),
    PairCheck(R.PROVIDER_EXCLUDED, _providers, _excluded),
    _at_least(R.RELIABILITY_TOO_LOW, lambda facts: facts.kinds["reliability"], lambda facts: facts.reliability),
    PairCheck(R.MACHINE_UNKNOWN, _asks_of_machine, lambda facts, key: (facts.of_machine("cpus") == UNKNOWN) & bool(key)),
    PairCheck(R.WRONG_REGION, _regions, _wrong_region),
    PairCheck(R.MACHINE_UNKNOWN, lambda facts: facts.kinds["vram_mib"] > 0, lambda facts, key: (facts.vram_mib == UNKNOWN) & bool(key)),
    _at_least(R.NOT_ENOUGH_VRAM, lambda facts: facts.kinds["vram_mib"], lambda facts: facts.vram_mib, known=True),
    _machine(R.NOT_ENOUGH_CPUS, "cpus"),
    _machine(R.NOT_ENOUGH_MEMORY, "memory_mib"),
    _machine(R.NOT_ENOUGH_DISK, "disk_mib"),
    _machine(R.NETWORK_NOT_OFFERED, "egress_mib"),
    PairCheck(R.PROVIDER_SILENT, _everyone, lambda facts, key: ~facts.is_heard),
)  # fmt: skip
"""The first reason found is the pair's. The contract's rules (P-20) come first, each at the second of
mining at which it is hardest to meet."""


# Orders that nobody could serve ---------------------------------------------------------------------------------------


def refused_at_once(facts: Facts) -> dict[int, RejectionReason]:
    """The orders, by row, that no offer at all could serve in this round, and why.

    Columns pick out those of which anything is unusual; the rule itself is the contract's, in ``domain.fills``.
    """
    rows, kinds, view, book = facts.orders, facts.kinds, facts.snapshot.view, facts.columns.book
    number_of = facts.known.accounts.of.get
    us, nobody = number_of(facts.snapshot.opener, UNKNOWN), number_of(ZERO_ADDRESS)
    is_ours, is_anybodys = kinds["opener"] == us, kinds["opener"] == nobody
    is_odd = (kinds["min_bond_bps"] > BPS_WHOLE) | (kinds["arbiter"] == nobody) | ~(is_ours | is_anybodys)
    least_seconds = np.where(is_odd, _TOO_LONG, np.maximum(1, kinds["min_seconds"]))
    is_unusual = (
        (rows["gpus"] < 1) | (rows["max_seconds"] < least_seconds[rows["kind"]]) | (rows["expires_at"] <= facts.latest)
        | rows["is_special"] | (facts.latest >= 1 << 32)
    )  # fmt: skip
    tipping = np.flatnonzero(rows["tip"])
    is_unusual[tipping[is_anybodys[rows["kind"][tipping]]]] = True
    posted = {fill.signed.id for fill in facts.snapshot.posted}
    is_unusual[facts.columns.rows_of({*view.leases, *view.refused, *posted})] = True
    found = {}
    for row in np.nonzero(is_unusual)[0].tolist():
        reason = R.ORDER_LIVE if book[row].id in posted else reason_against_order(facts.snapshot, book[row])
        if reason is not None:
            found[row] = reason
    return found


def reason_against_order(snapshot: Snapshot, order: BookOrder) -> RejectionReason | None:
    """The reason, if any, for which no offer at all could serve this order in this round (``fitting``)."""
    refused = snapshot.view.refused.get(order.id, ())
    return fitting.reason_against_order(
        order, snapshot.view, snapshot.lease_of(order.id), refused, snapshot.circumstances
    )


def recent_refusals(snapshot: Snapshot, order: BookOrder) -> set[OfferId]:
    """The offers on which the contract refused it lately."""
    given = snapshot.circumstances
    return {row.offer for row in snapshot.view.refused.get(order.id, ()) if given.is_refused_lately(row)}


def recent_declines(snapshot: Snapshot, order: BookOrder) -> set[Address]:
    """The providers that declined it lately."""
    given = snapshot.circumstances
    return {provider for provider, at in snapshot.declines_of(order).items() if given.is_declined_lately(at)}
