"""The money behind a round: each account's balance over all its orders and bonds, each delegate's budget. Exact, in base units.

Most accounts can surely pay for all that a round costs them: one sum in ticks, rounded up, says so for all of them at once (``Balances``). The
others' fills are counted one by one, as the contract will (``Remaining``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from functools import cached_property

import numpy as np
from numba import njit

from marketplace.domain.book import RejectionReason
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.ledger import Delegation
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import bond_of, lock_of, worst_cost_of
from marketplace.domain.units import BPS_WHOLE, SECONDS_PER_HOUR, GpuCount, PricePerGpuHour, TokenUnits
from scheduler.engine.arrays import Bools, Ints
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables.columns import Columns
from scheduler.engine.tables.table import ColumnTable
from scheduler.engine.tables.ticks import CAP, MOST_MONEY, TickColumn, Ticks

_HUGE, _HUGE_WORK = 1 << 41, 1 << 31
"""Orders of more ticks or GPU-seconds than this are counted exactly."""
_THIN = 16
"""A provider whose money covers less than one in so many of its GPUs may have listed them to hold others up."""
FAR = Ticks(MOST_MONEY + 1)
"""More than any account has. Sums end here."""
MONEY = ("gpus", "max_seconds", "tip", "client")
"""Columns of orders that say what a fill costs."""


class Remaining:
    """Starts at the view less our own fills that it does not show yet; ``take`` only ever lowers it.

    The tip that a fill credits to the opener is not counted: a round does not spend what the round itself brings in.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._taken: dict[OfferId, int] = {}
        self._spent: dict[Address, int] = {}
        self._charged: dict[Delegation, int] = {}
        self.take_all(snapshot.posted)

    @cached_property
    def _offers(self) -> dict[OfferId, Offer]:
        return {offer.id: offer for offer in self._snapshot.view.offers}

    @cached_property
    def _delegates(self) -> dict[Bytes32, Address]:
        return {order.id: order.delegate for order in self._snapshot.view.orders if order.delegate is not None}

    def anew(self) -> Remaining:
        """What remained before anything was taken."""
        other = copy(self)
        other._taken, other._spent, other._charged = {}, {}, {}
        other.take_all(self._snapshot.posted)
        return other

    def free_of(self, offer: OfferId) -> GpuCount:
        """GPUs still free; never negative, even where the view has moved on without us."""
        return GpuCount(max(0, self._offers[offer].free - self._taken.get(offer, 0)))

    def balance_of(self, account: Address) -> TokenUnits:
        return TokenUnits(self._snapshot.view.accounts.get(account, 0) - self._spent.get(account, 0))

    @property
    def spent(self) -> Mapping[Address, int]:
        """By whom something was spent already, and how much."""
        return self._spent

    def reason_against(self, signed: SignedOrder, offer: Offer, price: PricePerGpuHour) -> RejectionReason | None:
        """What is lacking for this fill now, in the contract's order: the delegate's budget, GPUs, the client's money, the provider's."""
        order = signed.order
        if self.is_over_budget(signed):
            return RejectionReason.OVER_BUDGET
        if self.free_of(offer.id) < order.gpus:
            return RejectionReason.NOT_ENOUGH_GPUS
        cost, bond = self.cost_of(signed, price), self.bond_of(order, offer, price)
        left = self.balance_of(order.client) - cost
        if left < 0:
            return RejectionReason.CLIENT_BALANCE_TOO_LOW
        available = left if order.client == offer.provider else self.balance_of(offer.provider)
        return RejectionReason.PROVIDER_BALANCE_TOO_LOW if available < bond else None

    def is_over_budget(self, signed: SignedOrder) -> bool:
        """Whether the delegate who signed it may not spend as much as it may cost, and no budget was charged for it before."""
        delegation = self._charge_of(signed)
        return bool(delegation and self._budget_of(delegation) < worst_cost_of(signed.order))

    def cost_of(self, signed: SignedOrder, price: PricePerGpuHour) -> TokenUnits:
        """T at this price, and the tip unless an earlier opening paid it (P-24)."""
        return TokenUnits(lock_of(signed.order, price) + self.tip_of(signed))

    def tip_of(self, signed: SignedOrder) -> TokenUnits:
        return TokenUnits(0 if self._snapshot.lease_of(signed.id).tip_paid else signed.order.tip)

    def bond_of(self, order: Order, offer: Offer, price: PricePerGpuHour) -> TokenUnits:
        return bond_of(lock_of(order, price), offer.bond_bps, self._snapshot.terms.bond_floor)

    def highest_price(self, signed: SignedOrder) -> PricePerGpuHour:
        """The order's limit, or the highest price at which its client can pay for it alone: ceil(p u / 3600) <= b if p <= 3600 b / u."""
        units = signed.order.gpus * signed.order.max_seconds
        left = self.balance_of(signed.order.client) - self.tip_of(signed)
        return PricePerGpuHour(min(signed.order.max_price, max(-1, left * SECONDS_PER_HOUR // units)))

    def take(self, fill: Fill) -> None:
        """Count this fill as opened. Two roles may be one address (P-07): debits are made one after the other."""
        order, offer, delegation = fill.signed.order, self._offers.get(fill.offer), self._charge_of(fill.signed)
        if delegation:
            self._charged[delegation] = self._charged.get(delegation, 0) + worst_cost_of(order)
        self._spend(order.client, self.cost_of(fill.signed, fill.price))
        if offer is not None:
            self._taken[offer.id] = self._taken.get(offer.id, 0) + order.gpus
            self._spend(offer.provider, self.bond_of(order, offer, fill.price))

    def raise_to(self, fills: Iterable[tuple[Fill, PricePerGpuHour]]) -> bool:
        """Count these fills, which were taken, at a higher price each; whether the money for that is there, else nothing is counted. A raise is
        taken back by the same at the lower prices."""
        more: dict[Address, int] = {}
        for fill, price in fills:
            order, offer = fill.signed.order, self._offers[fill.offer]
            locks = [lock_of(order, level) for level in (fill.price, price)]
            bonds = [self.bond_of(order, offer, level) for level in (fill.price, price)]
            more[order.client] = more.get(order.client, 0) + locks[1] - locks[0]
            more[offer.provider] = more.get(offer.provider, 0) + bonds[1] - bonds[0]
        if any(amount > max(0, self.balance_of(who)) for who, amount in more.items()):
            return False
        for who, amount in more.items():
            self._spend(who, TokenUnits(amount))
        return True

    def _spend(self, account: Address, amount: TokenUnits) -> None:
        self._spent[account] = self._spent.get(account, 0) + amount

    def _budget_of(self, delegation: Delegation) -> int:
        budget = self._snapshot.view.budgets.get(delegation, NO_BUDGET)
        return budget.left - self._charged.get(delegation, 0)

    def take_all(self, fills: Iterable[Fill]) -> None:
        for fill in fills:
            self.take(fill)

    def _charge_of(self, signed: SignedOrder) -> Delegation | None:
        """Whose budget an opening is charged to: nobody's where the client opens its own order, which needs no signature, nor where the
        order was charged at an earlier opening (P-20)."""
        delegate, client = self._delegates.get(signed.id), signed.order.client
        if delegate is None or self._snapshot.opener == client or self._snapshot.lease_of(signed.id).charged:
            return None
        return client, delegate


class Balances:
    """All accounts at once, in ticks: whether they can surely pay. What is rounded is rounded to the unsafe side, so "surely" holds."""

    def __init__(self, remaining: Remaining, columns: Columns, bond_floor: TokenUnits) -> None:
        bits, numbers = columns.tick_bits, columns.known.accounts.of
        self._least_bond = min((bond_floor >> bits) + 1, FAR)
        self.free = TickColumn(columns.balances.copy()) if remaining.spent else columns.balances
        for who in remaining.spent.keys() & numbers.keys():
            self.free[numbers[who]] = max(0, min(remaining.balance_of(who) >> bits, MOST_MONEY))

    def cannot_surely_pay(self, rows: ColumnTable, price: TickColumn) -> Bools:
        """Of these orders, each by itself, at this price."""
        return np.asarray(self.cost(rows, price, FAR) > self.free[rows["client"]])

    def cost(self, rows: ColumnTable, price: TickColumn, huge: int = _HUGE) -> TickColumn:
        """What each of these orders costs its client at this price, rounded up; ``huge`` where that is too large to add up."""
        return TickColumn(_costs(rows["gpus"], rows["max_seconds"], rows["tip"], price, huge))

    def brought(self, client: Ints, cost: TickColumn, gain: Ints) -> Ints:
        """What each account gains by those of these orders, one after the other, that it can pay for."""
        return np.asarray(_brought(client, cost, gain, self.free))

    def limits(self, rows: ColumnTable, price: TickColumn) -> TickColumn:
        """The highest price for each of these orders at which its client can pay for it and for its orders before it, if prices were all
        higher or lower alike than these."""
        gpus, max_seconds, tip, client = (rows[name] for name in MONEY)
        return TickColumn(_limits(gpus, max_seconds, tip, client, price, self.free))

    def may_lack(self, rows: ColumnTable, offers: ColumnTable, price: TickColumn) -> Bools:
        """Of these fills together: those that touch an account which may not have enough for all of them."""
        gpus, max_seconds, tip, client = (rows[name] for name in MONEY)
        provider, bond_bps = offers["provider"], offers["bond_bps"]
        return np.asarray(
            _may_lack(gpus, max_seconds, tip, client, price, provider, bond_bps, self.free, self._least_bond)
        )

    def bonded(self, room: Ints, offers: ColumnTable, rank: Ints, seconds: int) -> Ints:
        """This room; but of providers who could bond hardly any of their GPUs, one by one, for so many seconds at their asks, what they could
        bond, their best offers first."""
        provider = offers["provider"]
        locked = np.minimum(offers["ask"] * seconds // SECONDS_PER_HOUR, _HUGE)
        bond = np.minimum(np.maximum(self._least_bond, locked * offers["bond_bps"] // BPS_WHOLE + 1), _HUGE)
        cost, order = np.minimum(room * bond, _HUGE), np.lexsort((rank, provider))
        before = np.cumsum(cost[order]) - cost[order]
        is_first = np.diff(provider[order], prepend=-1) != 0
        before -= np.maximum.accumulate(np.where(is_first, before, 0))
        covered, total = np.empty_like(room), np.zeros(len(self.free), np.int64)
        covered[order] = np.clip((self.free[provider[order]] - before) // bond[order], 0, room[order])
        np.add.at(total, provider, cost)
        return np.where(total[provider] // _THIN > self.free[provider], covered, room)


@njit(cache=True)
def _locked(gpus: int, max_seconds: int, tip: int, price: int) -> tuple[int, bool]:
    work = gpus * max_seconds
    locked = (price + 1) * min(work, _HUGE_WORK) // SECONDS_PER_HOUR + 1
    return min(locked, _HUGE), work >= _HUGE_WORK or locked >= _HUGE or tip >= _HUGE or price >= CAP


@njit(cache=True)
def _costs(gpus: Ints, max_seconds: Ints, tip: Ints, price: Ints, huge: int) -> Ints:
    found = np.empty(len(gpus), np.int64)
    for row in range(len(gpus)):
        locked, is_huge = _locked(gpus[row], max_seconds[row], tip[row], price[row])
        found[row] = huge if is_huge else locked + tip[row]
    return found


@njit(cache=True)
def _brought(client: Ints, cost: Ints, gain: Ints, balances: Ints) -> Ints:
    left, found = balances.copy(), np.zeros(len(balances), np.int64)
    for row in range(len(client)):
        if cost[row] <= left[client[row]]:
            left[client[row]] -= cost[row]
            found[client[row]] += gain[row]
    return found


@njit(cache=True)
def _limits(gpus: Ints, max_seconds: Ints, tip: Ints, client: Ints, price: Ints, balances: Ints) -> Ints:
    """How many ticks each row could be charged, by its client's preference, if all prices moved alike until its money were just used up; -1 for
    none at all."""
    fitting, spent = np.zeros(len(balances), np.int64), np.zeros(len(balances), np.int64)
    tips, found = np.zeros(len(balances), np.int64), np.empty(len(gpus), np.int64)
    for row in range(len(gpus)):
        who, level = client[row], max(1, price[row])
        locked = _locked(gpus[row], max_seconds[row], tip[row], level)[0]
        have, cost = balances[who] - tips[who] - tip[row], min(FAR, fitting[who] + locked)
        if cost <= have:
            fitting[who], tips[who] = cost, min(FAR, tips[who] + tip[row])
        else:  # It is skipped, so that those after it keep the money; it could pay what is left once they are paid.
            cost = min(FAR, spent[who] + locked)
        if locked <= have:
            spent[who] = min(FAR, spent[who] + locked)
        while have >= 1 << 32:
            have, cost = have >> 1, (cost >> 1) + 1
        found[row] = min(CAP, level * have // cost) if have > 0 else -1
    return found


@njit(cache=True)
def _may_lack(
    gpus: Ints, max_seconds: Ints, tip: Ints, client: Ints, price: Ints, provider: Ints, bond_bps: Ints, balances: Ints, least_bond: int
) -> Bools:  # fmt: skip
    spent = np.zeros(len(balances), np.int64)
    for row in range(len(gpus)):
        locked, is_huge = _locked(gpus[row], max_seconds[row], tip[row], price[row])
        # What is too large to add up makes all fills of its accounts doubtful: they are counted together, or the count would be of a part.
        spent[client[row]] = min(FAR, spent[client[row]] + (FAR if is_huge else locked + tip[row]))
        bond = max(locked * bond_bps[row] // BPS_WHOLE + 1, least_bond)
        spent[provider[row]] = min(FAR, spent[provider[row]] + (FAR if is_huge else bond))
    found = np.empty(len(gpus), np.bool_)
    for row in range(len(gpus)):
        found[row] = spent[client[row]] > balances[client[row]] or spent[provider[row]] > balances[provider[row]]
    return found
