"""What one reader of the market's events follows: which of them, and whether blocks, book, offers and signs of life, too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from marketplace.api.live import BookChanges, OfferChanges, ReorganisationTold, SignOfLifeTold
from marketplace.api.reading import read
from marketplace.api.record import Record, to_json
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.ids import Address, Bytes32, ClassNumber
from marketplace.services.offers import OfferDesk
from marketplace.store.board import Board, TopicEntry
from marketplace.store.board_keys import BEATS_TOPIC, CHAIN_TOPIC, LIVE_TOPIC

_BEHIND_A_BLOCK = "999999999999999999"
"""More events than any block has."""

Sent = tuple[str, bytes, str | None]
"""An event's name, its content, and its id; None: readers do not resume behind it."""


@dataclass(frozen=True, slots=True)
class Following:
    """What one reader asks for. What is told passes only if it is about all that is named."""

    is_live: bool = False
    order: Bytes32 | None = None
    account: Address | None = None
    gpu_class: ClassNumber | None = None

    def start(self, board: Board, after: str) -> dict[str, str]:
        """From which id on each topic is read. Of blocks and signs of life, those from now on."""
        topics = (LIVE_TOPIC, BEATS_TOPIC) if self.is_live and self.order is None else (LIVE_TOPIC,)
        return {CHAIN_TOPIC: after, **{topic: board.last_event_id(topic=topic) for topic in topics}}

    def taken(self, entries: Iterable[TopicEntry], seen: dict[str, str]) -> list[TopicEntry]:
        """These entries, after which ``seen`` is where they end. Where blocks left the chain, its events are read again from there:
        those of the new blocks may have the ids that those of the old ones had."""
        found = list(entries)
        for entry in found:
            seen[entry.topic] = entry.id
        for entry in found:
            if entry.topic == LIVE_TOPIC and entry.name == "reorg":
                seen[CHAIN_TOPIC] = f"{read(ReorganisationTold, entry.content).to.number}-{_BEHIND_A_BLOCK}"
                found = [one for one in found if one.topic != CHAIN_TOPIC]
        return found

    def told(self, entry: TopicEntry, offers: OfferDesk) -> Iterator[Sent]:
        """What this reader is told of it. Raises StoreUnavailable."""
        if entry.topic == CHAIN_TOPIC:
            event = json.loads(entry.content)
            if self._concerns(event.get("about") or {}):
                yield str(event.get("name", "event")), entry.content, entry.id
        elif self.is_live and (content := self._part_of(entry, offers)) is not None:
            yield entry.name, content, None

    def _concerns(self, about: dict[str, Any]) -> bool:
        return (
            self.order in (None, about.get("order"))
            and (self.account is None or self.account in about.get("accounts", ()))
            and self.gpu_class in (None, about.get("class"))
        )

    def _part_of(self, entry: TopicEntry, offers: OfferDesk) -> bytes | None:
        """The content without what this reader does not follow; None where nothing is left. Blocks are told to everybody."""
        if entry.name == "book":
            changes = [
                one for one in read(BookChanges, entry.content).changes
                if self.order in (None, one.order) and self.gpu_class in (None, *one.classes)
                and self.account in (None, one.client)
            ]  # fmt: skip
            return _unless_empty(changes, BookChanges(changes))
        if entry.name == "offer":
            rows = [
                one for one in read(OfferChanges, entry.content).offers
                if self.order is None and self.gpu_class in (None, one.gpu_class) and self.account in (None, one.provider)
            ]  # fmt: skip
            return _unless_empty(rows, OfferChanges(rows))
        if entry.name == "heartbeat":
            provider = read(SignOfLifeTold, entry.content).provider
            is_theirs = self.account in (None, provider) and self._is_of_class(provider, offers)
            return entry.content if is_theirs else None
        return entry.content

    def _is_of_class(self, provider: Address, offers: OfferDesk) -> bool:
        if self.gpu_class is None:
            return True
        try:
            view = offers.offered()
        except StoreUnavailable:
            return False  # a sign of life more or less
        return any(offer.provider == provider and offer.gpu_class == self.gpu_class for offer in view.offers)


def _unless_empty(rows: list[Any], told: Record) -> bytes | None:
    return to_json(told) if rows else None
