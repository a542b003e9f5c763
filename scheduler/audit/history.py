"""What the market's events say: the state as of the snapshot's block, and what its opener did, before and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.events import (
    BatchOpened,
    BudgetSpent,
    Event,
    FillRefused,
    LeaseDeclined,
    LeaseOpened,
    OfferListed,
)
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.ledger import Rows, apply
from marketplace.domain.reputation import Standing, judge
from marketplace.domain.units import TokenUnits, UnixTime

Declined = tuple[Bytes32, Address, UnixTime]
"""An order, who declined it, and when it had been opened there."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One ``open`` as the chain has it: its fills, in the order in which they were tried, and who was charged for them."""

    opened: BatchOpened
    fills: tuple[LeaseOpened | FillRefused, ...]
    charged: tuple[BudgetSpent, ...]


@dataclass(slots=True)
class History:
    """Rows and standings are as of ``block_number``; the lists reach to the newest block."""

    block_number: int
    bond_floor: TokenUnits
    rows: Rows = field(default_factory=lambda: Rows(*({} for _ in fields(Rows))))
    standings: dict[Address, Standing] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    opened: list[LeaseOpened] = field(default_factory=list)
    refused: list[FillRefused] = field(default_factory=list)
    declined: set[Declined] = field(default_factory=set)
    last_opened: dict[Bytes32, LeaseOpened] = field(default_factory=dict)
    """The last opening of each order."""
    providers: dict[OfferId, Address] = field(default_factory=dict)
    _pending: list[Event] = field(default_factory=list)

    def take(self, events: Iterable[Event]) -> History:
        """Take in all events, in the order of the chain. Raises ChainUnavailable where they do not add up."""
        for event in events:
            try:
                self._take(event)
            except (KeyError, AssertionError) as exc:
                raise ChainUnavailable(f"the node's events do not add up at block {event.ref.block.number}") from exc
        return self

    def batches_of(self, round_hash: Bytes32, opener: Address) -> list[Batch]:
        """What this opener posted under that round."""
        return [one for one in self.batches if (one.opened.round, one.opened.opener) == (round_hash, opener)]

    def _take(self, event: Event) -> None:
        self._note(event)
        if event.ref.block.number > self.block_number:
            return
        self.standings |= judge(self.rows, self.standings, event, self.bond_floor)
        changed = apply(self.rows, event, self.bond_floor)
        for row in fields(Rows):
            table: Any = getattr(self.rows, row.name)
            table.update(getattr(changed, row.name))

    def _note(self, event: Event) -> None:
        match event:
            case LeaseOpened():
                self.opened.append(event)
                self.last_opened[event.lease] = event
                self._pending.append(event)
            case FillRefused():
                self.refused.append(event)
                self._pending.append(event)
            case BudgetSpent():
                self._pending.append(event)
            case BatchOpened():
                self.batches.append(self._batch(event))
            case LeaseDeclined():
                last = self.last_opened[event.lease]
                self.declined.add((event.lease, self.providers[last.offer], last.ref.block.timestamp))
            case OfferListed():
                self.providers[event.offer.id] = event.offer.provider

    def _batch(self, closing: BatchOpened) -> Batch:
        """The contract says ``BatchOpened`` last: what it said in this transaction before, and after the batch before, is of this one."""
        own = [event for event in self._pending if event.ref.tx_hash == closing.ref.tx_hash]
        self._pending = []
        fills = tuple(event for event in own if isinstance(event, LeaseOpened | FillRefused))
        return Batch(closing, fills, tuple(event for event in own if isinstance(event, BudgetSpent)))
