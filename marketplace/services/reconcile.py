"""Holds the projection against the contract itself, row by row, at the projection's own block.

The projection is the fold of the events; the contract's storage is the truth. They differ only where a node withheld an event or
one of the two has a bug: in either case nobody should go on trading on the projection. Reputations are not in the contract: they are
held against a second computation from all events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import Delegation, LeaseRecord, Rows
from marketplace.domain.market import MarketTerms, Volume
from marketplace.domain.offers import Offer
from marketplace.domain.reputation import replay_standings
from marketplace.domain.units import TokenUnits
from marketplace.store.board_projection import Head, ProjectionTable

ROWS_AT_ONCE = 48
RECONCILED_EVERY_BLOCKS = 64
"""Together less than one call a block."""
SURPRISED_EVERY_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class StaleRow:
    """One row that is not what the contract says."""

    kind: str
    id: str
    projected: object
    actual: object


def reconcile(table: ProjectionTable, market: MarketContract) -> tuple[StaleRow, ...]:
    """Every row in which projection and contract differ; empty where the projection has moved on meanwhile (ask again).

    One call to the node per row: for tests and now and then, not for every block. Raises ChainUnavailable, StoreUnavailable.
    """
    head = table.head()
    rows = table.all_rows()
    if head is None or head.cursor is None or table.head() != head:
        return ()
    return (
        *_accounts(market, rows.accounts, head.cursor),
        *_offers(market, rows.offers, head.cursor),
        *_leases(market, rows.leases, head.cursor),
        *_budgets(market, rows.budgets, head.cursor),
        *_volumes(market, rows.volumes, head.cursor),
    )


class Reconciler:
    """Holds a part of the projection against the contract now and then, each time the next part, and soon after every surprise."""

    def __init__(self, table: ProjectionTable, market: MarketContract, *, rows_at_once: int = ROWS_AT_ONCE) -> None:
        self._table, self._market, self._rows_at_once = table, market, rows_at_once
        self._due_at = self._looked_at = 0
        self._from = 0

    def surprise(self) -> None:
        """Something happened that the projection did not foresee: look soon."""
        self._due_at = min(self._due_at, self._looked_at + SURPRISED_EVERY_BLOCKS)

    def differences(self, head: Head) -> tuple[StaleRow, ...]:
        """The rows of this part in which projection and contract differ; none before it is due, or where the projection has moved on.

        As many calls as rows at most, in a few requests. Raises ChainUnavailable, StoreUnavailable.
        """
        at = head.cursor
        if at is None or at.number < self._due_at:
            return ()
        rows = self._table.standing_rows()
        if self._table.head() != head:
            return ()
        self._looked_at, self._due_at = at.number, at.number + RECONCILED_EVERY_BLOCKS
        names = [*rows.offers, *rows.leases, *rows.accounts]
        start = self._from % len(names) if names else 0
        part = frozenset((*names[start:], *names[:start])[: self._rows_at_once])
        self._from = start + len(part)
        return tuple(self._compared(rows, part, at))

    def _compared(self, rows: Rows, part: frozenset[object], at: BlockRef) -> Iterator[StaleRow]:
        market = self._market
        offers = market.offers_of([one for one in rows.offers if one in part], at)
        leases = market.leases_of([one for one in rows.leases if one in part], at)
        accounts = market.balances_of([one for one in rows.accounts if one in part], at)
        for offer, actual in offers.items():
            if actual != rows.offers[offer]:
                yield StaleRow("offer", str(offer), rows.offers[offer], actual)
        for lease, word in leases.items():
            if word != rows.leases[lease].lease:
                yield StaleRow("lease", lease, rows.leases[lease].lease, word)
        for account, units in accounts.items():
            if units != rows.accounts[account]:
                yield StaleRow("account", account, rows.accounts[account], units)


def reconcile_reputations(table: ProjectionTable, follower: EventFollower, terms: MarketTerms) -> tuple[StaleRow, ...]:
    """Every provider whose reputation is not what the events up to the projection's block give; empty where it has moved on meanwhile.

    Reads the whole history of the market: for tests and now and then. Raises ChainUnavailable, StoreUnavailable.
    """
    head = table.head()
    projected = table.all_standings()
    if head is None or head.cursor is None or table.head() != head:
        return ()
    actual = replay_standings(follower.history(terms.deployed_at_block, head.cursor.number), terms.bond_floor)
    return tuple(
        StaleRow("reputation", provider, projected.get(provider), actual.get(provider))
        for provider in sorted({*projected, *actual})
        if projected.get(provider) != actual.get(provider)
    )


def _accounts(market: MarketContract, accounts: Mapping[Address, TokenUnits], at: BlockRef) -> Iterator[StaleRow]:
    for account, projected in accounts.items():
        actual = market.balance_of(account, at)
        if actual != projected:
            yield StaleRow("account", account, projected, actual)


def _offers(market: MarketContract, offers: Mapping[OfferId, Offer], at: BlockRef) -> Iterator[StaleRow]:
    for id_, projected in offers.items():
        actual = market.offer_of(id_, at)
        if actual != projected:
            yield StaleRow("offer", str(id_), projected, actual)


def _leases(market: MarketContract, leases: Mapping[Bytes32, LeaseRecord], at: BlockRef) -> Iterator[StaleRow]:
    """A closed lease is compared by its status only: the contract may clear the rest of its word."""
    for id_, record in leases.items():
        actual, projected = market.lease_of(id_, at), record.lease
        if actual.status is not projected.status or (
            actual != projected and projected.status is not LeaseStatus.CLOSED
        ):
            yield StaleRow("lease", id_, projected, actual)
        elif actual.status.is_live and (payee := market.payee_of(id_, at)) != record.payee:
            yield StaleRow("payee", id_, record.payee, payee)


def _budgets(market: MarketContract, budgets: Mapping[Delegation, Budget], at: BlockRef) -> Iterator[StaleRow]:
    for (account, delegate), projected in budgets.items():
        actual = market.budget_of(account, delegate, at)
        if actual != projected:
            yield StaleRow("budget", f"{account}:{delegate}", projected, actual)


def _volumes(market: MarketContract, volumes: Mapping[ClassNumber, Volume], at: BlockRef) -> Iterator[StaleRow]:
    for gpu_class, projected in volumes.items():
        actual = market.volume_of(gpu_class, at)
        if actual != projected:
            yield StaleRow("volume", str(gpu_class), projected, actual)
