"""The indexer: follows the chain and the journal, and keeps the projection on the board equal to the fold over both.

It remembers nothing between two steps that it could not read again. Each step reads where the projection stands, takes in what is
new, and writes the difference behind a fence; whatever goes wrong on the way, the next step begins from what is really there.
The book is a function of the chain's and the journal's state alone, so a rebuilt projection has the same digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import structlog

from marketplace.chain.events import KEPT_BLOCKS, EventFollower, EventPage, Trail
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import recover
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, Faults, RefusedFill, faults_after
from marketplace.domain.chain_errors import ReorganisedTooDeep
from marketplace.domain.errors import Conflict, HashMismatch, InvalidField, NotFound
from marketplace.domain.events import Event, FillRefused, OfferListed
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord, Rows
from marketplace.domain.limits import MAX_SPEC_BYTES
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import SignedOrder
from marketplace.domain.refusals import CLIENT_FAULTS
from marketplace.domain.repairs import Repairs
from marketplace.domain.spec import Machine, read_machine, read_spec
from marketplace.domain.units import UnixTime
from marketplace.domain.wake import NextWake
from marketplace.services.feed import MarketFeed
from marketplace.services.fold import Fold
from marketplace.services.reconcile import Reconciler
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.board_projection import Head, Step
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.rows import JournalOrder

CHAIN_HINT = "chain"
"""Nudged when the projection has moved: schedulers wait for it."""

IDLE_SECONDS = 0.25
LEVEL_SECONDS = 2.0
"""Where there is nothing more to take in. Blocks and orders wake us before; it is Redis that may be wiped without a word."""
"""How long a new block waits to be noticed, where nobody pushes."""

ORDERS_AT_ONCE = 500

PROJECTION_VERSION = 4
"""Grows with the form of the rows: who starts an indexer of another version gets a projection made anew."""

EXPIRED_KEPT_SECONDS = 30
"""An expired order stays on the book for a round or two, so that its explanation says that it expired."""

REFUSED_KEPT_BLOCKS = 100
"""Refused pairs are forgotten after so many blocks; how long they are avoided within that is the scheduler's policy."""


@dataclass(frozen=True, slots=True)
class _News:
    """What has happened since the projection's cursor."""

    events: tuple[Event, ...]
    cursor: BlockRef
    orders: tuple[JournalOrder, ...]
    machines: dict[Sha256, Machine]
    has_block: bool
    is_level: bool
    """Whether this is all there is, up to the newest confirmed block and the newest order."""
    is_near: bool
    """Whether its blocks may still leave the chain."""

    def is_ready(self, head: Head) -> bool:
        """A projection is shown once it has been level, and from then on."""
        return head.is_ready or self.is_level

    def changes(self, head: Head) -> bool:
        return bool(self.has_block or self.orders or self.machines or self.is_ready(head) != head.is_ready)


class Projector:
    """One indexer of one market. Two at once are harmless: one of them is told that the other was faster."""

    def __init__(
        self,
        follower: EventFollower,
        journal: OperatorJournal,
        blobs: FolderBlobs,
        board: Board,
        terms: MarketTerms,
        *,
        opener: Address | None = None,
        limit_blocks: int | None = None,
    ) -> None:
        """``opener``: whose refused fills are kept for the scheduler (nobody acts on a stranger's, P-25)."""
        self._follower, self._journal, self._blobs = follower, journal, blobs
        self._board, self._terms, self._opener, self._limit_blocks = board, terms, opener, limit_blocks
        self._table, self._feed = board.projection, MarketFeed(board)
        self._wanted: set[Sha256] = set()
        """Machine descriptions that were not among the blobs when last looked for."""
        self._last_fence = ""
        self.repairs = Repairs()
        self._reconciler = Reconciler(self._table, MarketContract(follower.chain, follower.market))
        self.head: BlockRef | None = None
        """The block that the projection was of when last looked at."""
        self._log = structlog.get_logger()

    def step(self) -> NextWake:
        """Take in what is new, up to a page of blocks and of orders; at once again while there may be more.

        Raises ChainUnavailable, StoreUnavailable: nothing is half written then.
        """
        try:
            return self._step()
        except Conflict:
            self._log.info("projection.outrun")
            return NextWake(IDLE_SECONDS)

    def digest(self) -> str:
        """sha256 over the whole projection."""
        return self._table.digest()

    def _step(self) -> NextWake:
        head = self._standing()
        try:
            page = self._page(head)
        except ReorganisedTooDeep as error:
            self._log.error("projection.reorganised_too_deep", reason=str(error))
            self._begin(head, str(error))
            return NextWake.at_once()
        if page.undo_to is not None:
            return self._undo(head, page.undo_to)
        news = self._news(head, page)
        if news is None or not news.changes(head):
            return NextWake(LEVEL_SECONDS)
        try:
            step = self._fold(head, news)
        except NotFound as error:
            return self._missing_row(head, error)
        written = self._table.write(step, head)
        self._last_fence = written.fence
        self.head = step.cursor
        self._wanted |= {sha256_in(event.offer.spec) for event in news.events if isinstance(event, OfferListed)}
        self._wanted -= step.machines.keys()
        self._board.nudge(CHAIN_HINT)
        if step.is_ready:
            self._tell(step, news)
        if step.is_ready and not head.is_ready:
            self._log.info("projection.ready", block=step.cursor.number)
        if any(map(self._is_surprise, news.events)):
            self._reconciler.surprise()
        if news.is_level and news.has_block and not self._is_the_contract(written):
            return NextWake.at_once()
        return NextWake(LEVEL_SECONDS) if news.is_level else NextWake.at_once()

    def _tell(self, step: Step, news: _News) -> None:
        withdrawn = {entry.id: entry.signed.order for entry in news.orders if entry.withdrawn_at is not None}
        self._feed.stepped(step, withdrawn, self._follower.chain.paced_head().number - step.cursor.number)

    def _is_surprise(self, event: Event) -> bool:
        """The scheduler's view of the market was not the contract's."""
        return isinstance(event, FillRefused) and event.opener == self._opener

    def _is_the_contract(self, head: Head) -> bool:
        """Whether the rows looked at are those of the contract; begun anew where they are not: an event was withheld from us."""
        found = self._reconciler.differences(head)
        for one in found[:10]:
            self._log.error(
                "projection.differs", kind=one.kind, id=one.id, ours=str(one.projected), actual=str(one.actual)
            )
        if found:
            self.repairs = self.repairs.plus(differences=len(found))
            self._begin(head, f"{len(found)} rows are not what the contract says")
        return not found

    def _undo(self, head: Head, standing: BlockRef) -> NextWake:
        """Take back what the blocks after ``standing`` did: they have left the chain."""
        assert head.cursor, "only what was read can leave the chain"
        try:
            self._table.undo(standing, head)
        except NotFound as error:
            self._begin(head, str(error))
            return NextWake.at_once()
        self._feed.taken_back(head.cursor, standing)
        blocks = head.cursor.number - standing.number
        self._log.warning("projection.reorganised", blocks=blocks, block=standing.number)
        self.repairs = self.repairs.plus(undone_blocks=blocks)
        self._reconciler.surprise()
        self._board.nudge(CHAIN_HINT)
        return NextWake.at_once()

    def _missing_row(self, head: Head, error: NotFound) -> NextWake:
        """An event spoke of what the projection does not know: it was wiped while we read, or an earlier event was withheld from us."""
        if self._table.head() == head:
            self._begin(head, str(error))
        return NextWake(IDLE_SECONDS)

    # Load

    @cached_property
    def _market(self) -> str:
        """Names the market for good: another chain may have the same contract at the same address, but not the same block.

        The version is in it, too: a projection with other rows than ours is another's. So is the factory of companies: who learns of one later
        has missed what it said.
        """
        deployed_at = self._follower.chain.block(self._terms.deployed_at_block).hash
        words = PROJECTION_VERSION, self._terms.chain_id, self._terms.market, deployed_at, self._follower.factory or ""
        return ":".join(map(str, words))

    def _standing(self) -> Head:
        """Where the projection stands; begun anew where it is gone or another market's."""
        head = self._table.head()
        self.head = head.cursor if head else None
        if head is None:
            return self._begin(head, "there is none")
        if head.market != self._market:
            return self._begin(head, "it is another market's")
        if head.fence != self._last_fence:
            # Somebody else wrote, or we have just started: what we remember may be out of date.
            self._wanted, self._last_fence = set(self._table.machines_missing()), head.fence
        return head

    def _begin(self, head: Head | None, reason: str) -> Head:
        self._log.warning("projection.rebuilding", reason=reason)
        self.repairs = self.repairs.plus(rebuilt=1 if head else 0)
        begun = self._table.begin(self._market, head)
        self._wanted, self._last_fence = set(), begun.fence
        return begun

    def _page(self, head: Head) -> EventPage:
        return self._follower.follow(
            head.cursor, self._terms.deployed_at_block, trail=self._trail(head), limit_blocks=self._limit_blocks
        )

    def _trail(self, head: Head) -> Trail:
        cursor = (head.cursor,) if head.cursor else ()
        return lambda: (*self._table.trail(), *cursor)

    def _news(self, head: Head, page: EventPage) -> _News | None:
        """What is new; None before the market's first block is confirmed.

        While rebuilding, the chain comes first and the journal last: an order is not worth looking at before it is known
        whether it was served long ago.
        """
        cursor = page.upto or head.cursor
        if cursor is None:
            return None
        is_level = page.upto is None or page.is_last
        orders = self._journal.orders_since(head.changed, ORDERS_AT_ONCE) if is_level or head.is_ready else []
        is_level = is_level and len(orders) < ORDERS_AT_ONCE
        machines = self._machines(page.events)
        is_near = page.upto is None or page.is_near
        return _News(page.events, cursor, tuple(orders), machines, page.upto is not None, is_level, is_near)

    def _machines(self, events: Iterable[Event]) -> dict[Sha256, Machine]:
        """The descriptions that offers name and that have been uploaded by now."""
        listed = {sha256_in(event.offer.spec) for event in events if isinstance(event, OfferListed)}
        found = {}
        for name in sorted(self._wanted | listed):
            try:
                found[name] = read_machine(self._blobs.read(name, MAX_SPEC_BYTES))
            except NotFound:
                continue  # not uploaded yet: looked for again in the next step
            except (InvalidField, HashMismatch) as error:
                self._wanted.discard(name)
                self._log.warning("machine.unreadable", machine=name, reason=str(error))
        return found

    # Decide

    def _fold(self, head: Head, news: _News) -> Step:
        fold = Fold(self._table, self._terms.bond_floor)
        fold.expect(news.events)
        for event in news.events:
            fold.take(event)
        rows, past = fold.changed, fold.past
        booked, unbooked = self._book(fold, rows, news)
        return Step(
            cursor=news.cursor, changed=news.orders[-1].changed if news.orders else head.changed,
            is_ready=news.is_ready(head), rows=rows, standings=fold.changed_standings,
            annals=past.annals, spans=past.spans, first_days=past.first_days, totals=past.totals, about=past.about, booked=booked, unbooked=unbooked, machines=news.machines,
            refused=self._refused(news.events), faults=self._faults(news.events), events=news.events, expired_before=_expired_before(news.cursor),
            refused_before=news.cursor.number - REFUSED_KEPT_BLOCKS, undo_from=self._undo_from(news),
        )  # fmt: skip

    def _undo_from(self, news: _News) -> int | None:
        """What a step of ranges brought is too old to be taken back step by step."""
        return max(0, news.cursor.number - KEPT_BLOCKS) if news.is_near else None

    def _book(self, fold: Fold, rows: Rows, news: _News) -> tuple[dict[Bytes32, BookOrder], frozenset[Bytes32]]:
        """Which orders enter the book and which leave it: those that the journal or the chain has news of.

        An order that was declined unpaid is nobody's again (status None) and returns to the book.
        """
        reopened = [id_ for id_, record in rows.leases.items() if record.lease.status is LeaseStatus.NONE]
        entries = {id_: self._journal.order(id_) for id_ in reopened} | {entry.id: entry for entry in news.orders}
        booked = {}
        for id_, entry in entries.items():
            waiting = entry and self._waiting(entry, fold.lease(id_), news.cursor)
            if waiting:
                booked[id_] = waiting
        return booked, frozenset({*entries, *rows.leases} - booked.keys())

    def _waiting(self, entry: JournalOrder, record: LeaseRecord | None, now: BlockRef) -> BookOrder | None:
        """The order as it stands on the book, where that is its place: not withdrawn, not live or over, not long expired."""
        is_free = record is None or (record.lease.status is LeaseStatus.NONE and not record.lease.no_reopen)
        if entry.withdrawn_at is not None or not is_free or entry.signed.order.expires_at < _expired_before(now):
            return None
        try:
            return BookOrder(entry.signed, read_spec(entry.spec), entry.accepted_at, _signer_for(entry.signed))
        except InvalidField as error:
            # The gateway takes no such order; one bad row must not keep all others off the book.
            self._log.error("order.unreadable", order=entry.id, reason=str(error))
            return None

    def _refused(self, events: Sequence[Event]) -> dict[Bytes32, tuple[RefusedFill, ...]]:
        found: dict[Bytes32, tuple[RefusedFill, ...]] = {}
        for event in events:
            if isinstance(event, FillRefused) and event.opener == self._opener:
                fill = RefusedFill(event.offer, event.reason, event.ref.block.number)
                found[event.order] = (*found.get(event.order, ()), fill)
        return found

    def _faults(self, events: Sequence[Event]) -> dict[Address, Faults]:
        """Who spoilt our fills by taking back its money or its authority between the round and the block."""
        found: dict[Address, Faults] = {}
        for event in events:
            if not isinstance(event, FillRefused) or event.opener != self._opener or event.reason not in CLIENT_FAULTS:
                continue
            entry = self._journal.order(event.order)
            if entry is not None:
                client = entry.signed.order.client
                past = found.get(client) or self._table.faults(client)
                found[client] = faults_after(past, event.ref.block.number)
        return found


def _signer_for(signed: SignedOrder) -> Address | None:
    """Who else than the client signed. Whether that is a delegate of the client, the projection's budgets say (``Board.view``):
    a delegate may be authorized in a block that the projection has not reached when its order comes."""
    signer = recover(signed.id, signed.signature)
    return None if signer == signed.order.client else signer


def _expired_before(now: BlockRef) -> UnixTime:
    return UnixTime(now.timestamp - EXPIRED_KEPT_SECONDS)
