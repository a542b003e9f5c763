"""One clearing: an auction, prices, and whoever is placed before or after it.

1. The auction is held, and its prices are found, without groups.
2. Whole *groups*, and orders that are *overdue*, are placed first if they can pay these prices, and the auction is held for the rest.
3. Who prefers a region is moved there if it costs hardly more; what is left goes to others, in the end to those who are served last.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scheduler.engine.arrays import NOWHERE, Bools, Ints, gpus_on, lots
from scheduler.engine.auction.bidding import Auctioneer, assign_by_priority
from scheduler.engine.auction.prices import clearing_prices
from scheduler.engine.auction.state import assigned_after, auction_of, restart
from scheduler.engine.funds.funding import Clearing, Funding
from scheduler.engine.matching.supply import Supply
from scheduler.engine.placement.groups import GroupPlacer, groups_of
from scheduler.engine.placement.precedence import credit_of, move_to_preferred, overdue_placements
from scheduler.engine.tables.ticks import TickColumn

OVERDUE_TRIED, FEW_ROWS = 4, 2_000
"""So many overdue orders are tried one by one where all of them together cost too much; in books of more than so many orders, only one is tried."""

Rows = tuple[int, ...]
"""The orders of a group."""


class _Allocation:
    """The last auction of a clearing: where every order is assigned by it, and the price of each offer."""

    def __init__(self, placing: Placing, rows: Ints, aside: list[int], room: Ints) -> None:
        """The first auction. ``rows``: all who may be assigned, by priority; those in ``aside`` are skipped until ``hold`` fixes them; ``room``: of
        each offer."""
        self._placing, self._room = placing, room
        funding = placing.funding
        self._is_aside = np.zeros(funding.facts.orders.rows, np.bool_)
        self._is_aside[aside] = True
        self._auction = auction_of(funding.pools, rows, funding.facts, funding.limit, room, self._is_aside)
        self._hold()

    def hold(self, held: Mapping[int, int]) -> None:
        """Another auction, around these held orders."""
        is_held, rows, offers = self._is_aside.copy(), list(held), np.full_like(self.assigned, NOWHERE)
        offers[rows], is_held[rows] = list(held.values()), True
        restart(self._auction, offers, is_held, self._room)
        self._hold()

    def _hold(self) -> None:
        auction, funding = self._auction, self._placing.funding
        if len(auction.orders):
            auction.orders["offer"] = self._placing.auctioneer(auction, funding.pools.shards)
        self.assigned = assigned_after(auction, len(self._is_aside), self._room)
        self.price = clearing_prices(auction, funding.tiers, self._room)

    def supply(self) -> Supply:
        """All room, at the prices of the last auction."""
        funding = self._placing.funding
        return Supply(funding.facts, funding.pools, funding.limit, self._room.copy(), self.price)


class Placing:
    """Clears the market once: ``clear``."""

    def __init__(self, funding: Funding, rows: Ints, auctioneer: Auctioneer) -> None:
        """``rows``: the orders that take part in the round."""
        self.funding, self.auctioneer, self._rows = funding, auctioneer, rows
        self._facts, self._orders, self._is_last = funding.facts, funding.facts.orders, funding.is_last
        self._placer = GroupPlacer()

    def clear(self) -> Clearing:
        """With the room that the money leaves, and without those whom it bars."""
        takes_part = np.zeros(self._orders.rows, np.bool_)
        takes_part[self._rows] = True
        takes_part[list(self.funding.barred)] = False
        book = self._facts.columns.book
        groups = groups_of(book, np.nonzero(self._orders["is_special"] & takes_part)[0].tolist())
        linked = [row for first, of_group in groups.items() for row in of_group or (first,)]
        takes_part[linked] = False
        whole = [of_group for of_group in groups.values() if of_group]
        competes = takes_part & ~self._is_last
        competes[[row for of_group in whole for row in of_group if not self._is_last[row]]] = True
        room = self.funding.room
        allocation = _Allocation(self, self.funding.by_priority(competes), linked, room)
        self._place_groups(allocation, whole)
        self._place_overdue(allocation, whole, takes_part & ~self._is_last)
        assigned, price = allocation.assigned, allocation.price
        self._fill_in(whole, room, price, assigned, takes_part)
        price, reasons = self.funding.raised(assigned, price), self._placer.reasons(groups, assigned)
        return Clearing(assigned, price, self.funding.limit, np.zeros(len(assigned), np.bool_), reasons)

    def _place_groups(self, allocation: _Allocation, whole: list[Rows]) -> None:
        """Place groups that can pay the prices. Whoever cannot pay those that come of it pushed aside somebody who would pay more, and gives
        its offers up."""
        supply = allocation.supply()
        held = self._placer.place(supply, [linked for linked in whole if not self._is_last[linked[0]]])
        if not held:
            return
        allocation.hold(held)
        supply.price = allocation.price
        given_up = {row for linked in whole if linked[0] in held and not supply.can_pay(linked, held) for row in linked}
        if given_up:
            allocation.hold({row: offer for row, offer in held.items() if row not in given_up})

    def _place_overdue(self, allocation: _Allocation, whole: list[Rows], alone: Bools) -> None:
        """Place some overdue orders that were left out and can pay the prices, as far as their credits cover what the market loses by it: all
        of them, or the longest waiting one by one. Groups keep their offers where there is still room for them."""
        left_out = np.nonzero(alone & (allocation.assigned == NOWHERE))[0]
        overdue = overdue_placements(allocation.supply(), left_out, allocation.assigned)
        linked = [one for one in whole if allocation.assigned[one[0]] != NOWHERE]
        before, placed = self.funding.surplus(allocation.assigned), dict[int, int]()
        trials = [overdue, *({row: offer} for row, offer in self._tried(overdue))] if overdue else []
        for trial in trials if len(overdue) > 1 else trials[:1]:
            former, supply = (allocation.assigned, allocation.price), allocation.supply()
            supply.take(placed | trial)
            allocation.hold(placed | trial | self._placer.place(supply, linked))
            credit = sum(
                credit_of(self._facts.snapshot, int(self._orders["accepted_at"][row]), before) for row in placed | trial
            )
            if before - self.funding.surplus(allocation.assigned) > credit:
                allocation.assigned, allocation.price = former
            elif trial is overdue:
                break
            else:
                placed |= trial

    def _tried(self, overdue: dict[int, int]) -> list[tuple[int, int]]:
        """Those that are tried one by one: the longest waiting; where an auction takes long, one that is drawn by lot in every block."""
        if len(self._rows) <= FEW_ROWS:
            return list(overdue.items())[:OVERDUE_TRIED]
        lot = lots(self._facts.snapshot.now.hash, self._orders["id_prefix"][list(overdue)])
        return [list(overdue.items())[int(lot.argmin())]]

    def _fill_in(self, whole: list[Rows], room: Ints, price: TickColumn, assigned: Ints, takes_part: Bools) -> None:
        """After the auction: who prefers a region is moved, and what is left goes to others, in the end to those who are served last."""
        funding, rows = self.funding, np.nonzero(assigned != NOWHERE)[0]
        left = room - gpus_on(assigned[rows], self._orders["gpus"][rows], len(room))
        supply = Supply(self._facts, funding.pools, funding.limit, left, price)
        has_moved = move_to_preferred(supply, assigned)
        for turn in (~self._is_last, self._is_last):
            linked = [one for one in whole if turn[one[0]] and assigned[one[0]] == NOWHERE]
            late = self._placer.place(supply, linked)
            assigned[list(late)] = list(late.values())
            if turn is self._is_last and turn.any():
                # Who is served last makes nothing dearer for the others.
                sold = np.isin(funding.tiers.of, funding.tiers.of[assigned[assigned != NOWHERE]])
                supply.room[sold & (self._facts.offers["ask"] > funding.raised(assigned, price))] = 0
            if (has_moved or turn is self._is_last) and turn.any():
                self._fill_up(supply, assigned, takes_part & turn)

    def _fill_up(self, supply: Supply, assigned: Ints, may_come: Bools) -> None:
        """Assign those who were left out where there is room, by priority."""
        funding, none_held = self.funding, np.zeros(len(assigned), np.bool_)
        left_out = funding.by_priority(may_come & (assigned == NOWHERE))
        auction = auction_of(funding.pools, left_out, self._facts, funding.limit, supply.room, none_held)
        assign_by_priority(auction)
        assigned[auction.orders["row"]] = auction.orders["offer"]
        supply.room = auction.offers["room"].copy()
