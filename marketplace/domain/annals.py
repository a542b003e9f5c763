"""What the indexer keeps of the past as it goes: who was paid what, which orders and leases an account has had, and how scores moved.

All of it follows from the events alone, like the ledger: a projection that is made anew, or taken back, has the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketplace.domain import events as e
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.ledger import LeaseRecord, Rows, locked_in
from marketplace.domain.reputation import Outcome, Standing, evidence_of
from marketplace.domain.units import Bps, TokenUnits

NOTHING = TokenUnits(0)


@dataclass(frozen=True, slots=True)
class Movement:
    """What one event did to one account's free balance."""

    account: Address
    amount: int
    """Units; below 0 where it went out."""
    balance: TokenUnits
    """Free afterwards."""
    event: str
    lease: Bytes32 | None
    ref: e.LogRef


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """How a provider's score stood after one of its servings had an outcome."""

    provider: Address
    score_bps: Bps
    outcome: Outcome
    lease: Bytes32
    ref: e.LogRef


@dataclass(frozen=True, slots=True)
class BudgetCharge:
    """What an opening was charged to a delegate's budget."""

    account: Address
    delegate: Address
    amount: TokenUnits
    order: Bytes32
    ref: e.LogRef


@dataclass(frozen=True, slots=True)
class OpenedLease:
    """A lease that opened, or got another payee: by whom it is found."""

    lease: Bytes32
    opened_in_block: int
    offer: OfferId
    client: Address
    provider: Address
    payee: Address


@dataclass(frozen=True, slots=True)
class Totals:
    """All that the market owes, as of the projection's block."""

    free: TokenUnits = NOTHING
    """In accounts."""
    locked: TokenUnits = NOTHING
    """In live leases: clients' locks, providers' bonds, disputers' stakes."""

    def plus(self, free: int, locked: int) -> Totals:
        return Totals(TokenUnits(self.free + free), TokenUnits(self.locked + locked))


@dataclass(frozen=True, slots=True)
class About:
    """Whom an event concerns: what streams are filtered by."""

    order: Bytes32 | None = None
    accounts: tuple[Address, ...] = ()
    gpu_class: int | None = None


@dataclass(frozen=True, slots=True)
class Annals:
    """What some events add to the past."""

    movements: tuple[Movement, ...] = ()
    scores: tuple[ScoreChange, ...] = ()
    charges: tuple[BudgetCharge, ...] = ()
    openings: tuple[OpenedLease, ...] = ()
    told: tuple[tuple[Bytes32, e.Event], ...] = ()
    """Events with the order that each is about."""
    delegations: frozenset[tuple[Address, Address]] = field(default_factory=frozenset)

    @classmethod
    def together(cls, several: Iterable[Annals]) -> Annals:
        """All of these, in their order."""
        found = tuple(several)
        return cls(
            tuple(line for one in found for line in one.movements), tuple(line for one in found for line in one.scores),
            tuple(line for one in found for line in one.charges), tuple(line for one in found for line in one.openings),
            tuple(line for one in found for line in one.told), frozenset(line for one in found for line in one.delegations),
        )  # fmt: skip


def annals_of(
    before: Rows, after: Rows, standings: Mapping[Address, Standing], event: e.Event, bond_floor: TokenUnits
) -> Annals:
    """What ``event`` adds, given the state before it, the rows that it changed, and the standings that it changed."""
    order = order_of(event)
    return Annals(
        tuple(_movements(before, after, event, order)),
        _scores(before, standings, event, bond_floor),
        (_charge(before, event),) if isinstance(event, e.BudgetSpent) else (),
        tuple(_openings(after, event)),
        ((order, event),) if order is not None else (),
        frozenset({(event.account, event.delegate)}) if isinstance(event, e.Authorized) else frozenset(),
    )


def order_of(event: e.Event) -> Bytes32 | None:
    """The order, or its lease, that an event is about."""
    found: Any = getattr(event, "lease", None) or getattr(event, "order", None)
    return Bytes32(found) if isinstance(found, str) else None


def locked_change(before: Rows, after: Rows, bond_floor: TokenUnits) -> int:
    """By how much an event changed what live leases hold."""
    return sum(
        _held(record, before, bond_floor, 1) + _held(before.leases.get(id_), before, bond_floor, -1)
        for id_, record in after.leases.items()
    )


def free_change(before: Rows, after: Rows) -> int:
    """By how much an event changed what accounts have free."""
    return sum(units - before.accounts.get(who, 0) for who, units in after.accounts.items())


def about(before: Rows, after: Rows, event: e.Event) -> About:
    """Whom an event concerns, given the state before it and the rows that it changed."""
    order = order_of(event)
    record = (after.leases.get(order) or before.leases.get(order)) if order is not None else None
    named: list[Any] = [getattr(event, name, None) for name in ("account", "delegate", "client", "spv", "owner")]
    offer = _offer_of(event, record)
    listed = (after.offers.get(offer) or before.offers.get(offer)) if offer else None
    if record is not None:
        named += [record.provider, record.payee]
        named += [record.order.client, record.order.acceptor] if record.order else []
    if listed is not None:
        named.append(listed.provider)
    accounts = dict.fromkeys(who for who in named if who)
    return About(order, tuple(accounts), listed.gpu_class if listed else None)


def _offer_of(event: e.Event, record: LeaseRecord | None) -> OfferId | None:
    if isinstance(event, e.OfferListed):
        return event.offer.id
    named: Any = getattr(event, "offer", None)
    return named or (record.lease.offer if record else None)


def _held(record: LeaseRecord | None, rows: Rows, bond_floor: TokenUnits, sign: int) -> int:
    if record is None or not record.lease.status.is_live:
        return 0
    return sign * locked_in(record, rows.offers[record.lease.offer], bond_floor)


def _movements(before: Rows, after: Rows, event: e.Event, order: Bytes32 | None) -> Iterator[Movement]:
    for account, balance in after.accounts.items():
        amount = balance - before.accounts.get(account, 0)
        if amount:
            yield Movement(account, amount, balance, type(event).__name__, order, event.ref)


def _scores(
    before: Rows, standings: Mapping[Address, Standing], event: e.Event, bond_floor: TokenUnits
) -> tuple[ScoreChange, ...]:
    evidence, order = evidence_of(before, event, bond_floor) if standings else None, order_of(event)
    if evidence is None or order is None:
        return ()
    score = standings[evidence.whose].reputation.score_bps(evidence.at)
    # A company's outcome is told of it and of its owner; not of its sisters, of which there may be any number.
    concerned = dict.fromkeys((evidence.provider, evidence.whose))
    return tuple(ScoreChange(who, score, evidence.outcome, order, event.ref) for who in concerned)


def _charge(before: Rows, event: e.BudgetSpent) -> BudgetCharge:
    spent = before.budgets[event.account, event.delegate].left - event.left
    return BudgetCharge(event.account, event.delegate, TokenUnits(spent), event.order, event.ref)


def _openings(after: Rows, event: e.Event) -> Iterator[OpenedLease]:
    if isinstance(event, e.LeaseOpened | e.LeaseAssigned):
        for record in after.leases.values():
            if record.order is not None:
                yield OpenedLease(
                    record.id, record.opened_in_block, record.lease.offer, record.order.client, record.provider, record.payee
                )  # fmt: skip
