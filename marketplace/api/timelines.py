"""What has happened to an order, from its acceptance to the end of its lease, each with its reason and where it can be checked."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from marketplace.api.fields import BlockNumber, Cursor, Moment, Sentence, Word, WordText
from marketplace.api.record import BlockTold, Record, iso
from marketplace.domain.units import UnixTime


class OrderEventTold(Record, frozen=True):
    """One thing that happened. What the chain says has ``tx``; the rest is the gateway's word."""

    name: Word
    """The contract's name of an event; else ``accepted``, ``considered``, ``withdrawn``, ``receipt``, ``declined``."""
    at: Moment
    reason: Word
    """A refusal, rejection or decline by name; "" where there is none."""
    detail: Sentence
    """In words, where there are any."""
    fields: Annotated[dict[str, Any], Meta(max_length=100)]
    """The event's, with the contract's names; of a receipt its role and seconds."""
    block: BlockNumber | None
    tx: WordText | None
    at_time: Word | None = None

    @classmethod
    def by_gateway(
        cls, name: str, at: UnixTime, *, reason: str = "", detail: str = "", fields: dict[str, Any] | None = None, block: int | None = None
    ) -> OrderEventTold:  # fmt: skip
        return cls(name, at, reason, detail, fields or {}, block, None, iso(at))

    @classmethod
    def by_chain(cls, wire: dict[str, Any]) -> OrderEventTold:
        """From the event's wire form."""
        block, fields = wire["block"], wire["fields"]
        at = UnixTime(block["timestamp"])
        return cls(wire["name"], at, str(fields.get("reason", "")), "", fields, block["number"], wire["tx"], iso(at))


class OrderEventPage(Record, frozen=True):
    """Oldest first. The first page has the newest of the chain's events and all of the gateway's; the next ones are older."""

    order: WordText
    items: list[OrderEventTold]
    block: BlockTold
    next: Cursor = None
