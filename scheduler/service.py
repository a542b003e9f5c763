"""The scheduler's hands: take a snapshot, let the engine decide, write the round down, post it, learn from what is refused.

A round is written down before it is posted, so that every hash on the chain can be looked up (P-22). Nothing that is kept here
must survive: after a crash the projection shows what was opened, and the contract refuses what would be opened twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

import structlog

from marketplace.chain import verbs
from marketplace.chain.market import MarketContract
from marketplace.chain.statements import decliner_of
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView, Explanation, RejectionReason
from marketplace.domain.chain_errors import ChainError, NodeRefused, TransactionReverted
from marketplace.domain.classes import GpuClass
from marketplace.domain.declines import ObstacleReason
from marketplace.domain.events import FillRefused, LeaseOpened
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.orders import SignedOrder
from marketplace.domain.policy import Policy
from marketplace.domain.repairs import Repairs
from marketplace.domain.units import UnixTime
from marketplace.domain.wake import NextWake
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from scheduler.archive import Archive
from scheduler.engine.auction.bidding import Auctioneer, hold_here
from scheduler.engine.clear import clear
from scheduler.engine.documents.document import SnapshotWriter
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.gains import sums_of
from scheduler.engine.tables.columns import ColumnReader
from scheduler.keeper import Keeper
from scheduler.memory import Memory, Word

IDLE_SECONDS = 1.0
"""When nothing wakes the daemon (hint ``chain`` of the board), it looks at the market so often."""
WAIT_SECONDS = 20
"""How long one step waits for its transaction. If it is not mined by then, the next step waits on for the same one."""
BATCH_FILLS = 100
"""Fills in one transaction: about 6M gas (protocol, Costs), far below any block's limit."""
ROUND_BATCHES = 10
"""Batches of one round, about a block's worth. What is then left of its plan is cleared anew with what has come in meanwhile."""
TOLD_PER_ROUND = 500
"""Waiting orders whose explanations are put up after a round: those that have waited longest for one."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Posting:
    """A batch of a plan on its way to the chain."""

    call: verbs.Call
    fills: tuple[Fill, ...]
    plan: Plan


class SchedulerService:
    """One scheduler. ``step`` is run by one thread; a second scheduler elsewhere costs gas and nothing else."""

    def __init__(
        self,
        board: Board,
        journal: OperatorJournal,
        market: MarketContract,
        sender: Sender,
        blobs: FolderBlobs,
        policy: Policy | None = None,
        *,
        classes: Sequence[GpuClass] = (),
        auctioneer: Auctioneer = hold_here,
        batch_fills: int = BATCH_FILLS,
        wait_seconds: int = WAIT_SECONDS,
        permit: Callable[[], object] = lambda: None,
    ) -> None:
        """``classes``: the catalogue's rows, for offers whose machine nobody described; ``auctioneer``: who holds the auctions (``cluster``);
        ``permit`` is asked before each transaction, and raises where this scheduler should send none any more (``services.leadership``).

        The sender's address is the opener.
        """
        self._board, self._journal, self._market, self._sender = board, journal, market, sender
        self._policy, self._classes, self._auctioneer = policy or Policy(), tuple(classes), auctioneer
        self._reader, self._told = ColumnReader(), dict[Bytes32, int]()
        self._memory, self._writer, self._archive = Memory(self._policy), SnapshotWriter(), Archive(blobs, self._note)
        self._keeper = Keeper(market, sender, wait_seconds=wait_seconds, permit=permit)
        self._permit = permit
        self.head: BlockRef | None = None
        """The newest block that a step has begun with."""
        self._wait_seconds = wait_seconds
        self._most_fills = self._batch_fills = batch_fills
        self._unresolved: _Posting | None = None
        self._cleared: object = None
        self._hold_until_block = 0
        self._is_recovered = False

    def step(self) -> NextWake:
        """One look at the market: at most one round, then what fell due.

        Raises ChainUnavailable, TransactionNotMined, StoreUnavailable (retryable: run it again), and TransactionReverted or
        NodeRefused where a whole batch was; the next one is smaller then.
        """
        self._recover()
        view = self._board.view()
        if view is None:
            self.head = self._market.chain.paced_head()
            return NextWake(IDLE_SECONDS)
        head = self.head = self._market.chain.paced_head()
        self._permit()
        self._sender.tend(head)
        try:
            is_full = self._round(view, head)
        finally:
            # Also when no round can be posted: this is other people's money.
            self._keeper.step(view, head)
        return NextWake.at_once() if is_full else NextWake(IDLE_SECONDS)

    def _recover(self) -> None:
        """Once: bring home what a former process had written down and perhaps not sent, and remember what it opened."""
        if self._is_recovered:
            return
        self._permit()
        for mined in self._sender.recover(wait_seconds=self._wait_seconds):
            for event in mined.events:
                if isinstance(event, LeaseOpened):
                    signed = SignedOrder(event.lease, event.order, "0x")
                    self._memory.note_opened(Fill(signed, event.offer, event.price), mined.block.number)
        self._is_recovered = True

    @property
    def repairs(self) -> Repairs:
        """None: what a scheduler remembers is put right by the next view."""
        return Repairs()

    # One round

    def _round(self, view: BookView, head: BlockRef) -> bool:
        """Clear and post, unless nothing has changed since the last time; whether there is more to post at once."""
        if self._unresolved:
            self._post(self._unresolved)
            # What was just mined is remembered: the head must not be older.
            head = self._market.chain.head()
        self._memory.learn(view, self._reasons)
        standing = _standing(view, head)
        if standing == self._cleared or view.block.number < self._hold_until_block:
            return False
        snapshot = self._snapshot(view, head)
        plan = clear(snapshot, self._auctioneer, self._reader)
        if plan.fills:
            self._write_down(snapshot, plan)
        has_more = self._post_in_batches(plan)
        self._tell(plan)
        self._cleared = standing
        return has_more

    def _post_in_batches(self, plan: Plan) -> bool:
        """Post the plan, batch by batch, as far as a round goes; whether some of it is left."""
        batches = batches_of(plan, self._batch_fills)
        for fills in batches[:ROUND_BATCHES]:
            self._post(_Posting(verbs.open_fills(self._market.address, fills, plan.round), fills, plan))
            if self._hold_until_block > plan.block.number:
                break
        late = [fill for fills in batches[ROUND_BATCHES:] for fill in fills]
        self._board.explain([_next_batch(plan, fill) for fill in late[:TOLD_PER_ROUND]])
        return len(batches) > ROUND_BATCHES

    def _tell(self, plan: Plan) -> None:
        """Put up where waiting orders stand: all of them in small markets, else some each round, those first who were told longest ago."""
        placed = {fill.signed.id for fill in plan.fills}
        waiting = [order.id for order in plan.source.view.orders if order.id not in placed]
        asking = heapq.nsmallest(TOLD_PER_ROUND, waiting, key=lambda order: (self._told.get(order, 0), order))
        self._board.explain([why for order in asking if self._is_news(why := plan.explanation(order))])
        self._told = {order: self._told[order] for order in waiting if order in self._told}
        self._told |= dict.fromkeys(asking, plan.block.number)

    def _is_news(self, why: Explanation) -> bool:
        """An order that is being served has had its answer; one that has expired keeps the reason for which it waited till then."""
        if RejectionReason.ORDER_LIVE in why.reasons:
            return False
        return RejectionReason.ORDER_EXPIRED not in why.reasons or self._board.explanation(why.order) is None

    def _reasons(self, words: Collection[Word]) -> dict[Word, ObstacleReason]:
        """What providers have said about these declines. The board vouches for nothing: each word is its provider's, or its company's operator's,
        or it is none."""
        found, servers = dict[Word, ObstacleReason](), {(order, at): provider for order, provider, at in words}
        for kept in self._board.declines_of(sorted({order for order, _, _ in words})).values():
            for signed in kept:
                told = signed.decline
                signer = decliner_of(told, signed.signature, self._market.domain)
                provider = servers.get((told.lease, told.opened_at))
                if signer is not None and provider and signer == self._market.companies.speaker_of(provider):
                    found[told.lease, provider, told.opened_at] = told.reason
        return found

    def _snapshot(self, view: BookView, head: BlockRef) -> Snapshot:
        return Snapshot(
            view=self._memory.over(view),
            opener=self._sender.address,
            terms=self._market.terms(),
            policy=self._policy,
            classes=self._classes,
            head=head,
            posted=self._memory.posted,
            declined=self._memory.declined,
            excused=self._memory.excused,
            writer=self._writer,
        )

    def _write_down(self, snapshot: Snapshot, plan: Plan) -> None:
        """Durable before the first byte is sent: the plan in the journal, and what it was made from, by hash, in the blobs."""
        self._archive.keep(snapshot)
        self._journal.add_round(plan.round, plan.canonical(), plan.block.number, sums_of(plan))

    def _note(self, blob: Sha256, size: int, at: UnixTime) -> None:
        self._journal.uploads.note(blob, self._sender.address, size, at, is_public=True, for_good=True)

    def _post(self, posting: _Posting) -> None:
        """Send the batch, or wait on for it: the sender never signs a call twice that may still be mined."""
        self._unresolved = posting
        self._permit()
        try:
            mined = self._sender.send(posting.call, wait_seconds=self._wait_seconds)
        except (TransactionReverted, NodeRefused):
            # Single fills do not revert a batch: it was too much for a block, or for one of its signatures' gas. The
            # call is given up: it can never be mined, and resending it for ever would hold up every other order.
            self._unresolved, self._batch_fills = None, max(1, len(posting.fills) // 2)
            raise
        except ChainError:
            # Gas was too dear, or the node away before anything was signed: a plan that is not out there is cleared anew.
            if self._sender.earlier(posting.call) is None:
                self._unresolved = None
            raise
        self._unresolved, self._batch_fills = None, min(self._most_fills, 2 * self._batch_fills)
        self._learn(posting, mined)

    def _learn(self, posting: _Posting, mined: Mined) -> None:
        """Remember first what became of the fills, then tell: the board may be gone, the memory is what keeps us from repeating."""
        plan = posting.plan
        opened = {event.lease for event in mined.events if isinstance(event, LeaseOpened)}
        refused = {event.order: event for event in mined.events if isinstance(event, FillRefused)}
        for fill in posting.fills:
            if fill.signed.id in opened:
                self._memory.note_opened(fill, mined.block.number)
        for event in refused.values():
            self._memory.note_refused(event)
            _log.info("fill.refused", order=event.order, offer=event.offer, reason=event.reason.name)
        if refused:
            # The view is behind what the contract sees. Planning on from it would only collect more refusals.
            self._hold_until_block = mined.block.number
        _log.info(
            "round.posted", round=plan.round, block=mined.block.number, opened=len(opened), refused=len(refused),
            fills=len(plan.fills), gas_used=mined.gas_used,
        )  # fmt: skip
        told = [plan.explanation(fill.signed.id) for fill in posting.fills if fill.signed.id in opened]
        self._board.explain([*told, *(_refused(event) for event in refused.values())])


def batches_of(plan: Plan, most: int) -> list[tuple[Fill, ...]]:
    """The plan's fills, in order, so many to a transaction; the orders of a group together, in one of their own if they are more."""
    linked: dict[Bytes32, object] = {
        order.id: (order.signed.order.client, order.spec.group.id)
        for order in plan.source.view.orders
        if order.spec.group
    }
    batches: list[list[Fill]] = [[]]
    for _, together in groupby(plan.fills, key=lambda fill: linked.get(fill.signed.id, fill.signed.id)):
        fills = list(together)
        if batches[-1] and len(batches[-1]) + len(fills) > most:
            batches.append([])
        batches[-1].extend(fills)
    return [tuple(batch) for batch in batches if batch]


def _next_batch(plan: Plan, fill: Fill) -> Explanation:
    words = f"it was given offer {fill.offer}; the round's batches are full, the next round goes on"
    return Explanation(fill.signed.id, plan.block, None, {RejectionReason.ROUND_FULL: 1}, words)


def _standing(view: BookView, head: BlockRef) -> object:
    """What a round depends on. Balances, offers and leases change with the block only."""
    ids = frozenset(order.id for order in view.orders)
    return view.block, head, ids, frozenset(view.machines), frozenset(view.heartbeats)


def _refused(event: FillRefused) -> Explanation:
    words = f"the contract refused it on offer {event.offer}: {event.reason.sentence}"
    reason = RejectionReason.of(event.reason)
    return Explanation(event.order, event.ref.block, None, {reason: 1}, words, {reason: (event.offer,)})
