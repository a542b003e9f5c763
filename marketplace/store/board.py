"""The board: what everybody looks at and nobody depends on. All of it can be made again, so Redis may vanish at any moment.

The *projection* (accounts, offers, leases, book) is written by the indexer only (``board.projection``) and read here, always as
of one block. The rest, heartbeats, live logs, explanations, events and hints, is told by whoever knows it, and is not kept.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView, Explanation
from marketplace.domain.errors import InvalidField, StoreUnavailable
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.ledger import LeaseRecord, Rows
from marketplace.domain.offers import Offer
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.domain.wire import explanation_from_wire, explanation_to_wire
from marketplace.store import board_keys as keys
from marketplace.store.board_connection import RedisConnection
from marketplace.store.board_lead import LeadTable
from marketplace.store.board_past import PastReader
from marketplace.store.board_projection import ProjectionTable
from marketplace.store.board_rows import RowReader, beats_in, block_in, proofs_in, text_of
from marketplace.store.board_view import ViewReader
from marketplace.store.board_words import EXPLANATION_KEPT_SECONDS, BoardWords

EVENTS_PER_READ = 500
TOLD_KEPT = 1_000
"""About how many of what was published on a topic of ours stay readable."""

LOG_KEPT_SECONDS = 7 * 24 * 3600
LIMITS_KEPT_SECONDS = 60

Name = TypeVar("Name")
Row = TypeVar("Row")

_EVENT_ID = re.compile(r"[0-9]{1,18}(-[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class BoardEvent:
    """An entry of an event stream."""

    id: str
    """Grows along the stream; of the chain's events it is ``block-position``, the same before and after a rebuild."""
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TopicEntry:
    """Something that was said on a topic, as it was written."""

    topic: str
    id: str
    name: str
    """Of what kind it is; "" of the contract's events, whose content says it."""
    content: bytes


@dataclass(frozen=True, slots=True)
class OrderNews:
    """Of two that are equal, every reader is told the same of an order."""

    fence: bytes
    explanation: bytes | None
    declines: int
    said: bytes | None


@dataclass(frozen=True, slots=True)
class BoardState:
    """Of two that are equal, every reader of the projection is told the same."""

    fence: bytes
    beats: Mapping[bytes, bytes]


class Board(BoardWords):
    """One Redis. Threads may share it. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, url: str) -> None:
        """``redis://host:port/0`` or ``unix:///path?db=0``; connects when first used, and again after a loss."""
        super().__init__(RedisConnection(url))
        self._reader = RowReader()
        self.projection = ProjectionTable(self._redis, self._reader)
        """The writing side; the indexer's alone."""
        self.leads = LeadTable(self._redis)
        self.past = PastReader(self._redis, self._reader)
        self._views = ViewReader(self._redis, self._reader)
        self._offered = ViewReader(self._redis, self._reader, keys.OFFERED)
        self._heard: dict[str, str] = defaultdict(lambda: "0-0")

    def ping(self) -> None:
        self._redis.call("PING")

    def close(self) -> None:
        self._redis.close()

    # The projection

    def view(self) -> BookView | None:
        """Everything a round looks at, in one atomic read, as of one block; None while there is no whole projection.

        Of a projection that this board has read before, only what has changed since is read, and the heartbeats.
        """
        return self._views.read()

    def offered(self) -> BookView | None:
        """As ``view``, of the offers and of what is known about their machines and providers only; orders that come and go cost it nothing.

        As long as nothing of it has changed, it is the very same object.
        """
        return self._offered.read()

    def standing(self) -> BoardState:
        """What tells one state of the projection, and of the signs of life, from the next. StoreUnavailable also while rebuilding."""
        (ready, fence), beats = self._redis.together(
            [("HMGET", keys.HEAD, "ready", "fence"), ("HGETALL", keys.HEARTBEATS)]
        )
        if ready != b"1":
            raise StoreUnavailable("projection")
        return BoardState(fence, beats)

    def news_of(self, orders: Sequence[Bytes32]) -> list[OrderNews]:
        """What tells whether there is anything new about each of these orders. StoreUnavailable also while rebuilding."""
        asked = [
            (("GET", keys.explanation(one)), ("HLEN", keys.declines(one)), ("GET", keys.said(one))) for one in orders
        ]
        (ready, fence), *found = self._redis.together(
            [("HMGET", keys.HEAD, "ready", "fence"), *chain.from_iterable(asked)]
        )
        if ready != b"1":
            raise StoreUnavailable("projection")
        return [OrderNews(fence, *found[at : at + 3]) for at in range(0, len(found), 3)]

    def note_said(self, order: Bytes32) -> None:
        """Something was written into the journal about the order that the projection does not show."""
        self._redis.together([("INCR", keys.said(order)), ("EXPIRE", keys.said(order), EXPLANATION_KEPT_SECONDS)])

    def rows(
        self, leases: Sequence[Bytes32], accounts: Sequence[Address], offers: Sequence[OfferId]
    ) -> tuple[BlockRef, Rows] | None:
        """These rows of the projection, all as of one block, in one step; None while there is no whole one. What it has no row of is left out."""
        asked = {keys.LEASES: leases, keys.ACCOUNTS: accounts, keys.OFFERS: [str(offer) for offer in offers]}
        words = [("HMGET", key, *names) for key, names in asked.items() if names]
        head, *told = self._redis.together([("HMGET", keys.HEAD, "ready", "cursor"), *words])
        if head[0] != b"1":
            return None
        found = dict(zip([key for key, names in asked.items() if names], told, strict=True))
        return block_in(head[1]), Rows(
            leases=_named(leases, found.get(keys.LEASES, ()), self._reader.lease),
            accounts=_named(accounts, found.get(keys.ACCOUNTS, ()), lambda text: TokenUnits(int(text))),
            offers=_named(offers, found.get(keys.OFFERS, ()), self._reader.offer),
        )

    def cursor(self) -> BlockRef | None:
        """The block that the projection is of; None while there is no whole one."""
        head = self.projection.head()
        return head.cursor if head and head.is_ready else None

    def lease(self, lease: Bytes32) -> LeaseRecord | None:
        """The lease's record, live or over; None where the order was never opened. StoreUnavailable also while rebuilding."""
        text = self._row("HGET", keys.LEASES, lease)
        return self._reader.lease(text) if text else None

    def offer(self, offer: OfferId) -> Offer | None:
        """The offer, expired or not. StoreUnavailable also while rebuilding."""
        text = self._row("HGET", keys.OFFERS, str(offer))
        return self._reader.offer(text) if text else None

    def offers(self) -> tuple[Offer, ...]:
        """All offers, by number. StoreUnavailable also while rebuilding."""
        offers = map(self._reader.offer, self._row("HVALS", keys.OFFERS))
        return tuple(sorted(offers, key=lambda offer: offer.id))

    def account(self, account: Address) -> TokenUnits:
        """The free balance, 0 where the market does not know the account. StoreUnavailable also while rebuilding."""
        return TokenUnits(int(self._row("HGET", keys.ACCOUNTS, account) or 0))

    def owner(self, company: Address) -> Address | None:
        """Who made the company for itself, and has one reputation with it; None of anybody else. StoreUnavailable also while rebuilding."""
        text = self._row("HGET", keys.OWNERS, company)
        return Address(text.decode()) if text else None

    def _row(self, *words: Any) -> Any:
        """A read of a whole projection: half of one would tell an account that it has nothing."""
        ready, found = self._redis.together([("HGET", keys.HEAD, "ready"), words])
        if ready != b"1":
            raise StoreUnavailable("projection")
        return found

    # Heartbeats

    def beat(self, provider: Address, at: UnixTime, signed_at: UnixTime | None = None, signature: str = "") -> UnixTime:
        """The provider was alive at this block time; its last sign of life, which this is unless a later one is known.

        ``signed_at`` and ``signature`` are what it said itself, for who wants to check.
        """
        proof = f"{signed_at} {signature}" if signed_at is not None and signature else ""
        names = (keys.HEARTBEATS, keys.events(keys.BEATS_TOPIC))
        return UnixTime(int(self._redis.run("beat", names, (provider, at, proof, TOLD_KEPT))))

    def heartbeats(self) -> dict[Address, UnixTime]:
        """Block time of each provider's last sign of life."""
        return beats_in(self._redis.call("HGETALL", keys.HEARTBEATS))

    def signed_beats(self) -> dict[Address, tuple[UnixTime, str]]:
        """The block times that providers signed, each with the signature. One that came in without a signature is not among them."""
        return proofs_in(self._redis.call("HGETALL", keys.HEARTBEATS))

    # Live logs

    def append_log(self, lease: Bytes32, opened_at: UnixTime, offset: int, chunk: bytes) -> int:
        """Append to the log of one serving where it ends; the length it has then.

        Where ``offset`` is not its end nothing is appended: the answer says where to go on. Another serving of the same
        lease begins its log anew.
        """
        names = (keys.log(lease), keys.log_serving(lease), keys.log_hint(lease))
        return int(self._redis.run("append_log", names, (opened_at, offset, chunk, LOG_KEPT_SECONDS)))

    def read_log(self, lease: Bytes32, offset: int, wait_ms: int = 0) -> bytes:
        """What the log of the lease's last serving has from ``offset`` on, waiting up to ``wait_ms`` while that is nothing."""
        read = ("GETRANGE", keys.log(lease), offset, -1)
        hint = keys.log_hint(lease)
        found, heard = self._redis.together([read, ("XREVRANGE", hint, "+", "-", "COUNT", 1)])
        if not found and wait_ms > 0:
            # From the hint that was there when we read: an append in between is not missed.
            self._redis.wait_stream({hint: heard[0][0].decode() if heard else "0-0"}, wait_ms, 1)
            found = self._redis.call(*read)
        return bytes(found)

    def log_length(self, lease: Bytes32) -> int:
        """How many bytes the log of the lease's last serving has; 0 where there is none."""
        return int(self._redis.call("STRLEN", keys.log(lease)))

    # Explanations

    def explain(self, explanations: Iterable[Explanation]) -> None:
        """Put up how each order fared in the last round; an order's earlier explanation gives way."""
        rows = [(keys.explanation(item.order), text_of(explanation_to_wire(item))) for item in explanations]
        if rows:
            self._redis.together([("SET", key, text, "EX", EXPLANATION_KEPT_SECONDS) for key, text in rows])

    def explanation(self, order: Bytes32) -> Explanation | None:
        """How the order fared in the last round that looked at it."""
        text = self._redis.call("GET", keys.explanation(order))
        return explanation_from_wire(json.loads(text)) if text else None

    # Events

    def publish(self, name: str, content: bytes) -> None:
        """Tell who follows the market as it goes; nobody who comes later."""
        self._redis.call(
            "XADD", keys.events(keys.LIVE_TOPIC), "MAXLEN", "~", TOLD_KEPT, "*", "name", name, "event", content
        )

    def follow(self, after: Mapping[str, str], wait_ms: int) -> list[TopicEntry]:
        """What was said on these topics beyond given ids, in the order of their names, waiting up to ``wait_ms`` where there is nothing.
        Raises InvalidField."""
        if not all(map(_EVENT_ID.fullmatch, after.values())):
            raise InvalidField("Last-Event-ID", "must be the id of an event")
        topics = {keys.events(topic): topic for topic in sorted(after, reverse=True)}
        found = self._redis.wait_stream({key: after[topic] for key, topic in topics.items()}, wait_ms, EVENTS_PER_READ)
        return [
            TopicEntry(topics[key], entry, words.get(b"name", b"").decode(), words[b"event"])
            for key, entry, words in found
        ]

    def read_events(self, after_id: str, wait_ms: int = 0, *, topic: str = keys.CHAIN_TOPIC) -> list[BoardEvent]:
        """Entries beyond ``after_id`` (``0``: from the oldest kept), waiting up to ``wait_ms`` for one. Raises InvalidField."""
        if not _EVENT_ID.fullmatch(after_id):
            raise InvalidField("Last-Event-ID", "must be the id of an event")
        found = self._redis.wait_stream({keys.events(topic): after_id}, wait_ms, EVENTS_PER_READ)
        return [BoardEvent(entry, json.loads(words[b"event"])) for _, entry, words in found]

    def last_event_id(self, *, topic: str = keys.CHAIN_TOPIC) -> str:
        """Where a reader begins who wants new events only."""
        last = self._redis.call("XREVRANGE", keys.events(topic), "+", "-", "COUNT", 1)
        return str(last[0][0].decode()) if last else "0"

    # Limits

    def let_through(self, window: int, counts: Mapping[str, int]) -> list[int]:
        """Add what one gateway let through of each sender in this window of time; what all of them let through in it."""
        if not counts:
            return []
        names = {who: keys.let_through(window, who) for who in counts}
        words = [
            (("INCRBY", names[who], count), ("EXPIRE", names[who], LIMITS_KEPT_SECONDS))
            for who, count in counts.items()
        ]
        return [int(total) for total in self._redis.together([word for pair in words for word in pair])[::2]]

    # Hints

    def nudge(self, name: str) -> None:
        """Wake whoever waits for this: ``orders`` (the journal changed), ``chain`` (the projection did)."""
        self._redis.call("XADD", keys.hint(name), "MAXLEN", 1, "*", "", "")

    def wait_nudge(self, *names: str, timeout_seconds: float) -> bool:
        """Wait for a nudge by any of these names; False when none came in time.

        A nudge since this board's last wait counts, so that none is lost while a step runs; all waiters are woken. Without
        Redis it returns at once: a hint is a convenience, and the step that follows says what is wrong.
        """
        streams = {keys.hint(name): self._heard[name] for name in names}
        try:
            found = self._redis.wait_stream(streams, max(1, int(timeout_seconds * 1000)), 1)
        except StoreUnavailable:
            return False
        for stream, entry, _ in found:
            self._heard[stream.removeprefix(keys.hint(""))] = entry
        return bool(found)


def _named(names: Sequence[Name], texts: Sequence[bytes | None], row: Callable[[bytes], Row]) -> dict[Name, Row]:
    return {name: row(text) for name, text in zip(names, texts, strict=True) if text is not None} if texts else {}
