"""Which leases open on our offers, and how they end: the agent's own reading of the chain, and its check against the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ReorganisedTooDeep
from marketplace.domain.ids import Bytes32, OfferId, sha256_in
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.repairs import Repairs
from marketplace.domain.states import ServingState
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving, ServingKey

_log = structlog.get_logger()

LIVE = tuple(state for state in ServingState if state is not ServingState.CLOSED)
RECONCILED_EVERY_BLOCKS = 64
EXACT_BLOCKS = 2_048
"""Blocks that are read again one by one when a lease is missing; older ones are read by ranges."""

OPENING_GONE = "its opening was taken back by a reorganisation"
ENDING_GONE = "its ending was taken back by a reorganisation"

_ENDINGS = (
    e.LeaseSettled, e.LeaseFinalized, e.LeaseTerminated, e.LeaseDeclined, e.LeaseExpired, e.LeaseRuled, e.LeaseLapsed,
)  # fmt: skip


class Openings:
    """Follows the market for one provider, and writes down what concerns it before the cursor moves on.

    .follow()       takes in one page of events, or takes some back
    .reconcile()    holds the GPUs in use by the contract's word against our servings, now and then and after every surprise
    """

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self.cursor: BlockRef | None = None
        self.repairs = Repairs()
        self._offers: set[OfferId] = set()
        """All listings of our key, also those that the inventory no longer knows."""
        self._open: dict[Bytes32, ServingKey] = {}
        """Which serving an ending is of: the one that the lease was opened for last, unless it ended."""
        self._endings: dict[ServingKey, e.Event] = {}
        self._reconcile_at = 0

    def start(self, live: Iterable[Serving]) -> None:
        """Take up what an agent before us wrote down."""
        self._offers = {row.offer for row in self._tools.journal.listings()}
        self.cursor = self._tools.journal.cursor()
        self._open = {serving.lease: serving.key for serving in sorted(live, key=lambda one: one.opened_at)}

    def follow(self) -> bool:
        """Take in one page of events; whether there are no more. The cursor is saved after what they say is journalled."""
        journal = self._tools.journal
        try:
            page = self._tools.follower.follow(self.cursor, self._tools.terms.deployed_at_block, trail=journal.trail)
        except ReorganisedTooDeep as error:
            self._begin_again(error)
            return False
        if page.undo_to is not None:
            self._undo(page.undo_to)
            return False
        if page.upto is None:
            return True
        for event in page.events:
            self._take_in(event)
        journal.save_cursor(page.upto, page.blocks)
        self.cursor = page.upto
        return page.is_last

    def has_ended(self, serving: Serving) -> bool:
        """Whether a confirmed event says that it is over."""
        return serving.key in self._endings

    def ending(self, serving: Serving) -> e.Event | None:
        """The event that ended it, once; None where nobody saw it."""
        return self._endings.pop(serving.key, None)

    # Events

    def _take_in(self, event: e.Event) -> None:
        """Journal what concerns us. Idempotent: the same event may come again after a crash."""
        match event:
            case e.OfferListed() if event.offer.provider == self._tools.account:
                self._tools.journal.add_listing(event.offer.id, sha256_in(event.offer.spec))
                self._offers.add(event.offer.id)
            case e.LeaseOpened() if event.offer in self._offers:
                self._see(event)
            case e.LeaseSettled(last=False):
                pass
            case _ if isinstance(event, _ENDINGS) and event.lease in self._open:
                self._endings[self._open.pop(event.lease)] = event
            case _:
                pass

    def _see(self, event: e.LeaseOpened) -> None:
        block = event.ref.block
        serving = Serving(
            lease=event.lease, opened_at=block.timestamp, offer=event.offer, price=event.price, order=event.order,
            opened_in_block=block.number, updated_at=block.timestamp,
        )  # fmt: skip
        if self._tools.journal.add_serving(serving):
            _log.info(
                "serving.seen", lease=event.lease, offer=event.offer, client=event.client, price=str(event.price),
                gpus=event.order.gpus, max_seconds=event.order.max_seconds, block=block.number,
            )  # fmt: skip
        known = self._tools.journal.serving(*serving.key)
        if known and known.state is not ServingState.CLOSED:
            if known.note == OPENING_GONE:
                self._tools.journal.note(known, note="")  # opened again in the very same second: the same serving
            self._open[event.lease] = serving.key

    # Reorganisations

    def _undo(self, standing: BlockRef) -> None:
        """Take back what was read after this block. All of it is journalled before the cursor goes back: after a crash it is done again."""
        assert self.cursor, "only what was read can leave the chain"
        blocks, journal = self.cursor.number - standing.number, self._tools.journal
        _log.warning("chain.reorganised", blocks=blocks, block=standing.number)
        self._endings = {
            key: event for key, event in self._endings.items() if event.ref.block.number <= standing.number
        }
        self._forget_strangers()
        for serving in journal.servings(*LIVE):
            if serving.opened_in_block > standing.number:
                journal.note(serving, note=OPENING_GONE)
        revived = sum(
            self._revive(one) for one in journal.servings(ServingState.CLOSED) if _closed_after(one, standing)
        )
        live = journal.servings(*LIVE)
        self._open = {one.lease: one.key for one in sorted(live, key=lambda one: one.opened_at)}
        journal.save_cursor(standing)
        self.cursor = standing
        self._reconcile_at = 0
        self.repairs = self.repairs.plus(undone_blocks=blocks, revived=revived)

    def _begin_again(self, why: ReorganisedTooDeep) -> None:
        """What is read twice changes nothing: so all of it is read again, and what the contract says decides about every serving."""
        _log.error("chain.reorganised_too_deep", reason=str(why))
        self._tools.journal.forget_cursor()
        self.cursor, self._endings, self._reconcile_at = None, {}, 0
        self._forget_strangers()
        self.repairs = self.repairs.plus(rebuilt=1)

    def _forget_strangers(self) -> None:
        """The number of a listing that left the chain may be somebody else's by now."""
        for offer in sorted(self._offers):
            found = self._tools.market.offer_of(offer)
            if found is None or found.provider != self._tools.account:
                self._tools.journal.remove_listing(offer)
                self._offers.discard(offer)

    def _revive(self, serving: Serving) -> bool:
        """A serving that is live by the contract's word goes on where its facts are."""
        if not is_live(serving, self._tools.market.lease_of(serving.lease)):
            return False
        to = (
            ServingState.SETTLING if serving.client_signature
            else ServingState.RECEIPTED if serving.provider_signature
            else ServingState.EXITED if serving.used_seconds is not None
            else ServingState.SEEN
        )  # fmt: skip
        self._tools.journal.advance(serving, to, at=serving.updated_at, note=ENDING_GONE)
        self._open[serving.lease] = serving.key
        _log.warning("serving.revived", lease=serving.lease, state=to)
        return True

    def _claimed_until(self, serving: Serving) -> int:
        """Block time until which something can be earned by it."""
        start = max(serving.opened_at, serving.order.starts_at)
        return start + serving.order.max_seconds + self._tools.terms.claim_grace

    # Reconciling

    def reconcile(self) -> None:
        """Find the lease that was never seen: the contract has more GPUs in use than our servings. Raises ChainUnavailable."""
        at = self.cursor
        if at is None or at.number < self._reconcile_at:
            return
        # Also those whose own event was withheld: the agent wrote them down when it listed them.
        self._offers |= {row.offer for row in self._tools.journal.listings()}
        missing = list(self._missing(at))
        if missing:
            self._find(missing, at)
            missing = list(self._missing(at))
        if missing:
            _log.error("servings.missing", offers=missing, block=at.number)
        else:
            self._tools.journal.save_cursor(at, name="agreed")
        self._reconcile_at = at.number + RECONCILED_EVERY_BLOCKS

    def _missing(self, at: BlockRef) -> Iterator[OfferId]:
        """The offers of which the contract has more GPUs in use at this block than open servings that we know hold."""
        market, held = self._tools.market, dict.fromkeys(self._offers, 0)
        servings = self._tools.journal.servings(*LIVE)
        # Asked anew, all of it: what was answered before may have been false.
        leases = market.leases_of([serving.lease for serving in servings], at)
        for serving in servings:
            lease = leases[serving.lease]
            if is_live(serving, lease) and lease.status is LeaseStatus.OPEN:
                held[serving.offer] = held.get(serving.offer, 0) + serving.order.gpus
        for offer, found in sorted(market.offers_of(sorted(self._offers), at).items()):
            is_ours = found is not None and found.provider == self._tools.account
            if found and is_ours and found.gpus - found.free > held[offer]:
                yield offer

    def _find(self, offers: list[OfferId], at: BlockRef) -> None:
        """Read the events again since contract and journal last agreed: by ranges what is old, block by block what is newer."""
        agreed = self._tools.journal.cursor("agreed")
        first = agreed.number + 1 if agreed else self._tools.terms.deployed_at_block
        _log.error("servings.differ", offers=offers, block=at.number, reads_again_from=first)
        before = len(self._tools.journal.servings(*LIVE))
        exact = max(first, at.number - EXACT_BLOCKS)
        follower = self._tools.follower
        for event in (*follower.history(first, exact - 1), *follower.read_again(exact, at)):
            self._take_in(event)
        found = max(0, len(self._tools.journal.servings(*LIVE)) - before)
        revived = sum(
            self._revive(serving)
            for serving in self._tools.journal.servings(ServingState.CLOSED)
            if serving.offer in offers and at.timestamp <= self._claimed_until(serving)
        )
        self.repairs = self.repairs.plus(differences=len(offers), found=found, revived=revived)


def ends_job(serving: Serving, lease: Lease | None) -> bool:
    """Whether the chain's word is that its job has no business to run on."""
    if lease is None or not is_live(serving, lease) or lease.status is LeaseStatus.DISPUTED:
        return True
    is_before_end = serving.state in (ServingState.SEEN, ServingState.RUNNING)
    return is_before_end and lease.status is LeaseStatus.CLAIMED


def is_live(serving: Serving, lease: Lease | None) -> bool:
    """Whether the chain's lease is this very serving, and not over. A declined order may be open again, in another serving."""
    return lease is not None and lease.status.is_live and lease.opened_at == serving.opened_at


def _closed_after(serving: Serving, standing: BlockRef) -> bool:
    return serving.updated_at >= standing.timestamp
