"""The whole state of a market as a fold over its events (I-12), and nothing else.

The indexer keeps its projection with it, the tests hold it against the contract. ``apply`` is pure: state and event in, new rows out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marketplace.domain import events as e
from marketplace.domain.budgets import Budget
from marketplace.domain.changing import replace
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.market import Volume
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, earned_rounded_down, lock_of
from marketplace.domain.units import GpuCount, GpuSeconds, Seconds, TokenUnits, UnixTime

NOTHING = TokenUnits(0)
NO_VOLUME = Volume(TokenUnits(0), GpuSeconds(0))
WRAP = 1 << 128

Delegation = tuple[Address, Address]
"""An account, and the delegate that may sign for it."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease's word, with the order it serves and what the exit of it moved."""

    id: Bytes32
    order: Order | None
    """None where an order was cancelled before anybody saw it opened, or is only charged yet: its opening is said next."""
    lease: Lease
    payee: Address
    provider: Address
    opened_in_block: int
    paid: TokenUnits = NOTHING
    refund: TokenUnits = NOTHING
    compensation: TokenUnits = NOTHING
    exit: str = ""
    """The name of the event that closed it, e.g. ``LeaseSettled``."""
    result: Bytes32 | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the state: what one event reads, or what it changes."""

    accounts: Mapping[Address, TokenUnits] = field(default_factory=dict)
    offers: Mapping[OfferId, Offer] = field(default_factory=dict)
    leases: Mapping[Bytes32, LeaseRecord] = field(default_factory=dict)
    budgets: Mapping[Delegation, Budget] = field(default_factory=dict)
    volumes: Mapping[ClassNumber, Volume] = field(default_factory=dict)
    owners: Mapping[Address, Address] = field(default_factory=dict)
    """Of the companies that their owners made themselves: the market knows nothing of it, and reputations follow it."""

    def over(self, older: Rows) -> Rows:
        """These rows laid over ``older`` ones."""
        return Rows(
            {**older.accounts, **self.accounts},
            {**older.offers, **self.offers},
            {**older.leases, **self.leases},
            {**older.budgets, **self.budgets},
            {**older.volumes, **self.volumes},
            {**older.owners, **self.owners},
        )


def replay(events: Iterable[e.Event], bond_floor: TokenUnits) -> Rows:
    """The state after all these events, from nothing."""
    state = Rows()
    for event in events:
        state = apply(state, event, bond_floor).over(state)
    return state


def apply(state: Rows, event: e.Event, bond_floor: TokenUnits) -> Rows:
    """The rows that ``event`` changes. Events that move nothing (refusals, batches) change no row."""
    match event:
        case e.Deposited():
            return Rows(accounts=_credited(state, {event.account: event.amount}))
        case e.Withdrawn():
            return Rows(accounts=_credited(state, {event.account: -event.amount}))
        case e.Authorized():
            return Rows(budgets={(event.account, event.delegate): Budget(event.budget, event.until)})
        case e.BudgetSpent():
            return _charged(state, event)
        case e.OfferListed():
            return Rows(offers={event.offer.id: event.offer})
        case e.OfferRepriced():
            offer = replace(state.offers[event.offer], price=event.price, expires_at=event.expires_at)
            return Rows(offers={offer.id: offer})
        case e.LeaseOpened():
            return _opened(state, event, bond_floor)
        case e.OrderCancelled():
            return _cancelled(state, event)
        case e.SpvCreated():
            return Rows(owners={event.spv: event.owner})
        case _:
            return _moved_on(state, event, bond_floor)


def _moved_on(state: Rows, event: e.Event, bond_floor: TokenUnits) -> Rows:
    """What happens to a lease once it is open."""
    match event:
        case e.LeaseClaimed():
            return _claimed(state, event, event.ref.block.timestamp)
        case e.LeaseDisputed():
            return _disputed(state, event, event.ref.block.timestamp)
        case e.LeaseAssigned():
            record = state.leases[event.lease]
            lease = replace(record.lease, assigned=True)
            return Rows(leases={record.id: replace(record, payee=event.payee, lease=lease)})
        case e.LeaseSettled():
            return _settled(state, event)
        case e.LeaseDeclined():
            return _declined(state, event, bond_floor)
        case e.LeaseFinalized() | e.LeaseTerminated() | e.LeaseExpired() | e.LeaseRuled() | e.LeaseLapsed():
            return _left(state, event)
        case _:
            return Rows()


def _credited(state: Rows, amounts: Mapping[Address, int]) -> dict[Address, TokenUnits]:
    return {who: TokenUnits(state.accounts.get(who, 0) + amount) for who, amount in amounts.items()}


def _sums(*moves: tuple[Address, int]) -> dict[Address, int]:
    """Moves added up per account: two roles may be one address (P-07)."""
    total: dict[Address, int] = {}
    for who, amount in moves:
        total[who] = total.get(who, 0) + amount
    return total


def _charged(state: Rows, event: e.BudgetSpent) -> Rows:
    """The contract says it just before the opening that was charged: the record waits for that."""
    delegation, record = (event.account, event.delegate), state.leases.get(event.order)
    if record is None:
        record = LeaseRecord(event.order, None, NO_LEASE, event.account, event.account, 0)
    lease = replace(record.lease, charged=True)
    budget = replace(state.budgets[delegation], left=event.left)
    return Rows(leases={record.id: replace(record, lease=lease)}, budgets={delegation: budget})


def _opened(state: Rows, event: e.LeaseOpened, bond_floor: TokenUnits) -> Rows:
    offer, order, at = state.offers[event.offer], event.order, event.ref.block.timestamp
    before = state.leases[event.lease].lease if event.lease in state.leases else NO_LEASE
    locked = lock_of(order, event.price)
    tip = 0 if before.tip_paid else order.tip
    bond = bond_of(locked, offer.bond_bps, bond_floor)
    lease = replace(
        NO_LEASE, status=LeaseStatus.OPEN, tip_paid=True, charged=before.charged, offer=offer.id, price=event.price,
        opened_at=at,
    )  # fmt: skip
    record = LeaseRecord(event.lease, order, lease, offer.provider, offer.provider, event.ref.block.number)
    moved = _credited(state, _sums((order.client, -locked - tip), (offer.provider, -bond), (event.opener, tip)))
    return Rows(moved, _freed(state, offer.id, -order.gpus), {record.id: record})


def _freed(state: Rows, offer: OfferId, gpus: int) -> dict[OfferId, Offer]:
    row = state.offers[offer]
    return {offer: replace(row, free=GpuCount(row.free + gpus))}


def _cancelled(state: Rows, event: e.OrderCancelled) -> Rows:
    record = state.leases.get(event.lease)
    if record is None:
        closed = replace(NO_LEASE, status=LeaseStatus.CLOSED)
        nobody = event.by
        return Rows(
            leases={event.lease: LeaseRecord(event.lease, None, closed, nobody, nobody, 0, exit="OrderCancelled")}
        )
    if record.lease.status is LeaseStatus.NONE:
        lease = replace(record.lease, status=LeaseStatus.CLOSED)
        return Rows(leases={record.id: replace(record, lease=lease, exit="OrderCancelled")})
    return Rows(leases={record.id: replace(record, lease=replace(record.lease, no_reopen=True))})


def _claimed(state: Rows, event: e.LeaseClaimed, at: UnixTime) -> Rows:
    record = state.leases[event.lease]
    lease = replace(record.lease, status=LeaseStatus.CLAIMED, claimed_seconds=event.used_seconds, changed_at=at)
    return Rows(
        offers=_freed(state, lease.offer, _order(record).gpus),
        leases={record.id: replace(record, lease=lease, result=event.result)},
    )


def _disputed(state: Rows, event: e.LeaseDisputed, at: UnixTime) -> Rows:
    record = state.leases[event.lease]
    order, was_open = _order(record), record.lease.status is LeaseStatus.OPEN
    lease = replace(
        record.lease, status=LeaseStatus.DISPUTED, claimed_seconds=event.claimed_seconds, changed_at=at,
        by_acceptor=event.by != order.client,
    )  # fmt: skip
    moved = _credited(state, {event.by: -event.stake})
    freed = _freed(state, lease.offer, order.gpus) if was_open else {}
    return Rows(moved, freed, {record.id: replace(record, lease=lease)})


def _settled(state: Rows, event: e.LeaseSettled) -> Rows:
    record = state.leases[event.lease]
    paid_lease = replace(record.lease, paid_seconds=event.used_seconds)
    if not event.last:
        moved = _credited(state, {record.payee: event.paid})
        paid = TokenUnits(record.paid + event.paid)
        row = replace(record, lease=paid_lease, paid=paid)
        return Rows(moved, leases={record.id: row}, volumes=_traded(state, row, event.paid))
    return _close(state, replace(record, lease=paid_lease, result=event.result), event, event.paid, event.refund,
                  (record.provider, event.bond), (_disputer(record), event.stake))  # fmt: skip


def _declined(state: Rows, event: e.LeaseDeclined, bond_floor: TokenUnits) -> Rows:
    record = state.leases[event.lease]
    order, status = _order(record), LeaseStatus(event.status)
    moved = _credited(state, _sums((order.client, event.refund), (record.provider, event.bond)))
    if status is LeaseStatus.NONE:
        kept = record.lease
        lease = replace(NO_LEASE, tip_paid=kept.tip_paid, charged=kept.charged, opened_at=kept.opened_at)
    else:
        lease = replace(record.lease, status=status)
    row = replace(record, lease=lease, refund=event.refund, exit="LeaseDeclined")
    return Rows(moved, _freed(state, record.lease.offer, order.gpus), {record.id: row})


def _left(
    state: Rows, event: e.LeaseFinalized | e.LeaseTerminated | e.LeaseExpired | e.LeaseRuled | e.LeaseLapsed
) -> Rows:
    record = state.leases[event.lease]
    others: tuple[tuple[Address, int], ...] = ()
    match event:
        case e.LeaseExpired():
            compensated = replace(record, compensation=event.compensation)
            return _close(
                state, compensated, event, 0, event.refund + event.compensation, (record.provider, event.bond)
            )
        case e.LeaseRuled():
            others = ((record.provider, event.to_provider), (_disputer(record), event.to_disputer),
                      (_order(record).arbiter, event.to_arbiter))  # fmt: skip
        case e.LeaseLapsed():
            others = ((record.provider, event.bond), (_disputer(record), event.stake))
        case _:
            others = ((record.provider, event.bond),)
    lease = replace(record.lease, paid_seconds=event.paid_seconds)
    return _close(state, replace(record, lease=lease), event, event.paid, event.refund, *others)


def _close(
    state: Rows, record: LeaseRecord, event: e.Event, paid: int, to_client: int, *others: tuple[Address, int]
) -> Rows:
    """Pay everyone, free the GPUs if the lease still held them, and remember how it ended."""
    order, held = _order(record), state.leases[record.id].lease.status is LeaseStatus.OPEN
    moved = _credited(state, _sums((record.payee, paid), (order.client, to_client), *others))
    compensation = record.compensation
    row = replace(
        record, lease=replace(record.lease, status=LeaseStatus.CLOSED), paid=TokenUnits(record.paid + paid),
        refund=TokenUnits(to_client - compensation), exit=type(event).__name__,
    )  # fmt: skip
    freed = _freed(state, record.lease.offer, order.gpus) if held else {}
    return Rows(moved, freed, {record.id: row}, volumes=_traded(state, row, paid))


def _traded(state: Rows, row: LeaseRecord, paid: int) -> dict[ClassNumber, Volume]:
    """The volume of the class after a payment, which moved paidSeconds to what ``row`` says (I-11). Both halves wrap, as in the contract."""
    before = state.leases[row.id].lease.paid_seconds
    gpu_class = state.offers[row.lease.offer].gpu_class
    volume = state.volumes.get(gpu_class, NO_VOLUME)
    usage = _order(row).gpus * (row.lease.paid_seconds - before)
    return {gpu_class: Volume(TokenUnits((volume.paid + paid) % WRAP), GpuSeconds((volume.gpu_seconds + usage) % WRAP))}


def _order(record: LeaseRecord) -> Order:
    """The order of a lease that was opened. Only cancelled, never opened orders have none, and nothing else happens to those."""
    assert record.order is not None
    return record.order


def _disputer(record: LeaseRecord) -> Address:
    order = _order(record)
    return order.acceptor if record.lease.by_acceptor else order.client


def locked_in(record: LeaseRecord, offer: Offer, bond_floor: TokenUnits) -> TokenUnits:
    """What the market holds for one live lease: the unpaid rest of T, B, and B again of a disputer (I-1, I-2)."""
    if not record.lease.status.is_live:
        return TokenUnits(0)
    order = _order(record)
    locked = lock_of(order, record.lease.price)
    bond = bond_of(locked, offer.bond_bps, bond_floor)
    paid = earned_rounded_down(record.lease.price, order.gpus, Seconds(record.lease.paid_seconds))
    stakes = 2 if record.lease.status is LeaseStatus.DISPUTED else 1
    return TokenUnits(locked - paid + stakes * bond)
