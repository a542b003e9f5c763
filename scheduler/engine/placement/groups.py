"""Groups: the nodes of one job, placed all at once on distinct offers of one provider, or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from marketplace.domain.book import BookOrder, RejectionReason
from scheduler.engine.arrays import NEVER, NOWHERE, Ints
from scheduler.engine.matching.supply import Supply

EFFORT = 1_000_000
"""How much may be tried each time that groups are placed, in units of some 500 ns. Usual markets need a hundredth of it; a flood of groups that
nearly fit must not stop the market."""


def groups_of(book: Sequence[BookOrder], rows: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """The rows of each group by its first row; a group is of one client, and whole if it has all of its ranks once.

    A group that is not whole is told so by an empty tuple for each of its rows.
    """
    members = defaultdict[tuple[str, str, int], list[int]](list)
    for row in rows:
        group = book[row].spec.group
        if group is not None:
            members[book[row].signed.order.client, group.id, group.size].append(row)
    found: dict[int, tuple[int, ...]] = {}
    for (_, _, size), linked in members.items():
        ranks = sorted(group.rank for row in linked if (group := book[row].spec.group))
        if ranks == list(range(size)):
            found[min(linked)] = tuple(sorted(linked))
        else:
            found |= dict.fromkeys(linked, ())
    return found


class GroupPlacer:
    """Places the groups of one clearing, and remembers for which there was time."""

    def __init__(self) -> None:
        self._seen = set[int]()

    def place(self, supply: Supply, groups: Iterable[tuple[int, ...]]) -> dict[int, int]:
        """Place whole groups, each with the provider who can take all of it for least: overdue ones first, then the highest limits, while there is time."""
        placed, effort, groups = dict[int, int](), EFFORT, list(groups)
        if not groups:
            return placed
        rows = np.array([row for linked in groups for row in linked], np.int64)
        starts = np.cumsum([0, *map(len, groups[:-1])])
        finds_none = np.logical_or.reduceat(supply.cheapest(rows) > supply.limit[rows], starts)
        self._seen.update(row for at in np.flatnonzero(finds_none).tolist() for row in groups[at])
        by_turn = _by_turn(supply, rows, starts)
        for at in by_turn[~finds_none[by_turn]].tolist():
            if effort <= 0:
                break
            best, took = _cheapest_together(supply, groups[at])
            effort -= took
            self._seen.update(groups[at])
            if best is not None:
                supply.take(best)
                placed |= best
        return placed

    def reasons(self, groups: Mapping[int, tuple[int, ...]], assigned: Ints) -> dict[int, RejectionReason]:
        """Why rows of these groups are not placed."""
        found = {row: RejectionReason.GROUP_INCOMPLETE for row, linked in groups.items() if not linked}
        for row in (row for linked in groups.values() for row in linked if assigned[row] == NOWHERE):
            found[row] = RejectionReason.GROUP_NOT_TOGETHER if row in self._seen else RejectionReason.ROUND_FULL
        return found


def _by_turn(supply: Supply, rows: Ints, starts: Ints) -> Ints:
    """Groups, each of whose rows begin at one of ``starts``: overdue ones by age, then the highest limits for a GPU, then the smallest ids."""
    snapshot, orders = supply.facts.snapshot, supply.facts.orders
    since = np.maximum.reduceat(orders["accepted_at"][rows], starts)
    is_overdue = since + snapshot.policy.patience_seconds < snapshot.now.timestamp
    gpus = orders["gpus"][rows]
    limit = np.add.reduceat(gpus * np.maximum(0, supply.limit[rows]), starts) // np.add.reduceat(gpus, starts)
    return np.lexsort((rows[starts], -limit, np.where(is_overdue, since, snapshot.now.timestamp)))


def _cheapest_together(supply: Supply, linked: tuple[int, ...]) -> tuple[dict[int, int] | None, int]:
    """Distinct offers of one provider for all orders of a group; the choosiest order chooses first. And the effort that it took."""
    turn, first = _choices(supply, linked)
    effort = 1_000 + turn.size // 64
    could = np.bincount(supply.provider[(turn != NOWHERE).any(axis=0)], minlength=first.shape[1])
    able = np.flatnonzero((first != NOWHERE).all(axis=0) & (could >= len(linked)))
    least = supply.facts.orders["gpus"][list(linked)] @ supply.cost(first[:, able])
    best, cost = None, NEVER
    for at in np.lexsort((*first[::-1, able], least)).tolist():
        # Even if each order had the cheapest machine for itself, this provider and all after it would cost more.
        if least[at] >= cost:
            break
        options = _options(linked, turn, supply.offers_by(int(able[at])))
        effort += sum(20 + len(offers) for offers in options.values())
        placements = _together(linked, options)
        if placements is not None and supply.cost_of(placements) < cost:
            best, cost = placements, supply.cost_of(placements)
    return best, effort


def _choices(supply: Supply, linked: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Of each order and offer: the offer's turn among those that the order could take, the cheapest first, or NOWHERE; of each order and
    provider: the first offer that it could take, or NOWHERE."""
    turn = np.full((len(linked), len(supply.provider)), NOWHERE, np.int64)
    first = np.full((len(linked), 1 + int(supply.provider.max(initial=NOWHERE))), NOWHERE, np.int64)
    for at, row in enumerate(linked):
        offers = supply.choices(row)
        turn[at, offers] = np.arange(len(offers))
        first[at, supply.provider[offers[::-1]]] = offers[::-1]  # What is written last stays.
    return turn, first


def _options(linked: tuple[int, ...], turn: Ints, offers: Ints) -> dict[int, list[int]]:
    """Those of one provider's offers that each order could take, the cheapest first."""
    found = {}
    for at, row in enumerate(linked):
        theirs = offers[turn[at, offers] != NOWHERE]
        found[row] = theirs[np.argsort(turn[at, theirs])].tolist()
    return found


def _together(linked: tuple[int, ...], options: Mapping[int, list[int]]) -> dict[int, int] | None:
    """An offer for each, none twice, or None: augmenting paths, so that one is found if there is one."""
    taken: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for offer in options[row]:
            if offer not in tried:
                tried.add(offer)
                if offer not in taken or place(taken[offer], tried):
                    taken[offer] = row
                    return True
        return False

    every = all(place(row, set()) for row in sorted(linked, key=lambda row: (len(options[row]), row)))
    return {row: offer for offer, row in taken.items()} if every else None
