"""What this scheduler has seen happen and the projection does not show, or not yet. Lost at a restart, which is harmless.

Without it a round would propose again what was opened a second ago: the contract would refuse each such fill (OrderLive), and only
gas would be wasted. With it that happens after a crash only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from marketplace.domain.book import BookView, RefusedFill
from marketplace.domain.declines import ObstacleReason
from marketplace.domain.events import FillRefused
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.policy import Policy
from marketplace.domain.units import UnixTime
from scheduler.engine.documents.snapshot import is_declined


@dataclass(frozen=True, slots=True)
class _Opened:
    fill: Fill
    block_number: int


Word = tuple[Bytes32, Address, UnixTime]
"""An order, who declined it, and when it had been opened there."""
Reasons = Callable[[Collection[Word]], Mapping[Word, ObstacleReason]]
"""What the providers have said, and signed, about these; those that have said nothing are missing."""


def no_reasons(_: Collection[Word]) -> Mapping[Word, ObstacleReason]:
    return {}


class Memory:
    """Fills that we opened, refusals that we met, declines that we saw. Facts in, facts out; it decides nothing."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._opened: dict[Bytes32, _Opened] = {}
        self._refused: dict[Bytes32, tuple[RefusedFill, ...]] = {}
        self._declined: dict[Bytes32, dict[Address, UnixTime]] = {}
        self._excused: dict[Bytes32, dict[Address, UnixTime]] = {}
        self._first_excuse: dict[tuple[Bytes32, Address], UnixTime] = {}

    @property
    def posted(self) -> tuple[Fill, ...]:
        """Fills of ours in blocks that the projection has not reached."""
        return tuple(opened.fill for opened in self._opened.values())

    @property
    def declined(self) -> dict[Bytes32, dict[Address, UnixTime]]:
        """Who declined an order of the book, and when it had been opened there; but for those that are excused."""
        found = {
            order: {who: at for who, at in providers.items() if self._excused.get(order, {}).get(who) != at}
            for order, providers in self._declined.items()
        }
        return {order: providers for order, providers in found.items() if providers}

    @property
    def excused(self) -> dict[Bytes32, dict[Address, UnixTime]]:
        """Openings that were declined because a gateway did not deliver: that says nothing about the pair.

        One excuse of a pair is taken while declines count; what is not delivered a second time lets the pair rest after all.
        """
        return {order: dict(providers) for order, providers in self._excused.items()}

    def note_opened(self, fill: Fill, block_number: int) -> None:
        self._opened[fill.signed.id] = _Opened(fill, block_number)

    def note_refused(self, event: FillRefused) -> None:
        """One of our own fills was refused. (A stranger's refusals say nothing about ours: P-25.)"""
        row = RefusedFill(event.offer, event.reason, event.ref.block.number)
        others = (old for old in self._refused.get(event.order, ()) if old.offer != event.offer)
        self._refused[event.order] = (*others, row)

    def learn(self, view: BookView, reasons: Reasons = no_reasons) -> None:
        """Take in what the projection shows now, and forget what it shows by itself or what has passed."""
        self._opened = {one: row for one, row in self._opened.items() if row.block_number > view.block.number}
        oldest = view.block.number - self._policy.refusal_cooldown_blocks
        recent = {one: tuple(row for row in rows if row.block_number > oldest) for one, rows in self._refused.items()}
        self._refused = {one: rows for one, rows in recent.items() if rows}
        self._learn_declines(view)
        self._learn_excuses(view, reasons)

    def _learn_declines(self, view: BookView) -> None:
        """Kept while they count, also for an order that is off the book: it is being served elsewhere and may be declined again."""
        for record in view.leases.values():
            if is_declined(record):
                self._declined.setdefault(record.id, {})[record.provider] = record.lease.opened_at
        since = view.block.timestamp - self._policy.decline_cooldown_seconds
        kept = {one: {who: at for who, at in rows.items() if at > since} for one, rows in self._declined.items()}
        self._declined = {one: rows for one, rows in kept.items() if rows}

    def _learn_excuses(self, view: BookView, reasons: Reasons) -> None:
        """A word that comes late counts as well: the gateway that was away may have been the one that should have carried it."""
        words = [(order, who, at) for order, rows in self._declined.items() for who, at in rows.items()]
        said = reasons(words) if words else {}
        since = view.block.timestamp - self._policy.decline_cooldown_seconds
        self._first_excuse = {pair: at for pair, at in self._first_excuse.items() if at > since}
        self._excused = {}
        for order, who, at in words:
            reason = said.get((order, who, at))
            if reason is None or reason.is_about_pair:
                continue
            if self._first_excuse.setdefault((order, who), at) == at:
                self._excused.setdefault(order, {})[who] = at

    def over(self, view: BookView) -> BookView:
        """The view with our own refusals laid over it."""
        merged = {order: list(rows) for order, rows in view.refused.items()}
        for order, rows in self._refused.items():
            known = merged.setdefault(order, [])
            known.extend(row for row in rows if row not in known)
        return replace(view, refused={order: tuple(rows) for order, rows in merged.items()})
