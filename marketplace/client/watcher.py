"""Moves all of a client's jobs along: reads the chain once, decides for each job, signs and posts what is due.

``step`` may run any number of times, in several processes at once: what it does is journalled first, compare-and-set,
posted again when it is not sure to have arrived, and idempotent at the other end.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.client.chain_sync import ChainSync
from marketplace.client.company_warnings import objection_due
from marketplace.client.countersigning import Countersigner
from marketplace.client.declines import why_declined
from marketplace.client.explanations import Explanations, nearest_miss
from marketplace.client.job_keys import KeyBearer
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, KeptOrder, Reorder
from marketplace.client.liveness import SignsOfLife
from marketplace.client.posting import Poster
from marketplace.client.receipt_checks import ResultFolder, check_result
from marketplace.client.request import order_again
from marketplace.client.retries import (
    Become,
    Decision,
    GiveUp,
    LookForReceipt,
    OrderAgain,
    ReadOutcome,
    Sight,
    again_or_lost,
    decide,
    outcome_of,
    retries_left,
)
from marketplace.client.secret_values import SecretKeeper
from marketplace.client.spending import exit_of, servings_of
from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import (
    Conflict,
    DomainError,
    GatewayError,
    GatewayUnavailable,
    HashMismatch,
    UnreadableAnswer,
)
from marketplace.domain.ids import OfferId, bytes32_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedBy, Result, read_result
from marketplace.domain.spec import JobSpec, read_spec
from marketplace.domain.states import JobReason, JobState, advance
from marketplace.domain.units import Seconds
from marketplace.domain.work import read_work, work_name
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

MISSING_RESULT_SECONDS = 600
"""Block time for which a settled lease's result is looked for at gateways that have not got it, before the work counts as lost."""


class Watcher:
    """Everything that one account's jobs need to move on."""

    def __init__(
        self,
        key: Key,
        market: MarketContract,
        api: GatewayApi,
        book: JobJournal,
        results: ResultFolder,
        *,
        signs: SignsOfLife,
        poster: Poster,
        secrets: SecretKeeper,
        confirmations: int = 1,
    ) -> None:
        self._key, self._market, self._api, self._book, self._results = key, market, api, book, results
        self.chain_sync = ChainSync(EventFollower(market.chain, market.address, confirmations=confirmations), book)
        """Counts what it had to repair."""
        self._countersigner = Countersigner(key, market, api, book, results)
        self._signs, self._poster, self._keys = signs, poster, KeyBearer(market, api, book, secrets)
        self._lock = threading.Lock()
        self._explanations = Explanations(api, book, poster)

    def close(self) -> None:
        """Begin nothing more; what is being fetched ends when its connection is closed."""
        self._countersigner.close()

    def wait_closed(self) -> None:
        """Wait until no thread of ours is at work any more."""
        self._countersigner.wait_closed()

    def step(self) -> BlockRef:
        """Move every job as far as it goes at this block. Raise ChainUnavailable; a silent gateway only delays.

        Those that run come first: a receipt that waits for a signature holds a GPU.
        """
        with self._lock:
            head = self._market.chain.paced_head()
            # The newest confirmed block: states, signatures and retries rest on nothing younger, and its events and its state are of one block.
            at = self.chain_sync.read() or head
            self._countersigner.ended(0)  # of earlier steps: their jobs are looked at now anyway
            jobs = [self._taken_up(kept, at) for kept in self._book.jobs()]
            jobs = [kept for kept in jobs if not kept.job.is_terminal]
            self._explanations.begin_step(jobs)
            for kept in sorted(jobs, key=lambda kept: kept.job.state is not JobState.RUNNING):
                self._advance(kept, at)
            for job in self._countersigner.ended():
                self._advance(self._book.job(job), at, looks=False)
            return head

    def _taken_up(self, kept: KeptJob, at: BlockRef) -> KeptJob:
        """The job; waiting again where its order had expired by a block's time, which may have been false, or was refused, and was opened all the same."""
        last = kept.job.history[-1]
        if last.state is not JobState.UNPLACED or not servings_of(self._book.moves(kept.job.order)):
            return kept
        note = "its lease was opened all the same"
        job = advance(kept.job, JobState.SUBMITTED, at=at.timestamp, reason=JobReason.REORGANISED, note=note)
        _log.warning("job.taken_up_again", job=job.id, note=note)
        try:
            return self._book.change_job(kept, job)
        except Conflict:
            return self._book.job(job.id)

    # -- reading ------------------------------------------------------------------------------------------------------

    def sight_of(self, kept: KeptJob, order: KeptOrder, block: BlockRef) -> Sight:
        """What the chain says about an order at this block; and the gateway, where a sign of life can change anything."""
        identifier = order.signed.id
        lease, moves = self._market.lease_of(identifier, block), tuple(self._book.moves(identifier))
        if not self.chain_sync.is_known(lease, moves) and self.chain_sync.read_again(identifier, block):
            moves = tuple(self._book.moves(identifier))
        number = lease.offer or next((serving.offer for serving in reversed(servings_of(moves))), 0)
        offer = self._market.listing_of(OfferId(number), block) if number else None
        provider, patience = offer.provider if offer else None, kept.terms.silent_after_seconds
        matters = lease.status is LeaseStatus.OPEN and patience and retries_left(kept.job, kept.terms)
        silent = self._signs.silence(provider, lease.opened_at, patience, block) if matters and provider else Seconds(0)
        return Sight(block, lease, provider, silent, moves)

    # -- acting -------------------------------------------------------------------------------------------------------

    def _advance(self, kept: KeptJob, head: BlockRef, *, looks: bool = True) -> None:
        """Decide and act until nothing changes any more at this block. A lost race leaves the job to who won it.

        ``looks`` is False when its receipt has been looked for in this step: what came of that is all there is.
        """
        try:
            self._look_at_given_up(kept, head, looks=looks)
            while not kept.job.is_terminal:
                order = self._book.order(kept.job.order)
                if not order.is_posted and not order.is_refused:
                    self._poster.bring(order)
                sight = self.sight_of(kept, order, head)
                self._keys.bring(order, sight)
                decision = decide(kept.job, order, kept.terms, sight)
                after = self._act(kept, order, sight, decision, looks=looks)
                if after.version == kept.version:
                    if looks:
                        self._explanations.keep_in_turn(kept, order, head)
                    return
                kept = after
        except Conflict:
            _log.info("job.changed_elsewhere", job=kept.job.id)

    def _act(self, kept: KeptJob, order: KeptOrder, sight: Sight, decision: Decision, *, looks: bool = True) -> KeptJob:
        match decision:
            case Become():
                return self._become(kept, self._told_why(decision, order, sight), sight.block)
            case LookForReceipt():
                return self._look_for_receipt(kept, order, sight, looks=looks)
            case ReadOutcome():
                return self._read_outcome(kept, order, sight, decision)
            case OrderAgain(reason=JobReason.PROVIDER_SILENT) if self._is_signed_for(order, sight):
                # Its provider was not silent, but done. Nothing is paid for twice.
                return self._look_for_receipt(kept, order, sight, looks=looks)
            case OrderAgain():
                return self._order_again(kept, order, decision, sight.block)
            case GiveUp():
                if not self._is_signed_for(order, sight):
                    self._book.choices.give_up(order.signed.id, sight.block.timestamp)
                    self._book.note(order.signed.id, f"{decision.note}: it is terminated")
                return kept
            case _:
                return kept

    def _look_at_given_up(self, kept: KeptJob, block: BlockRef, *, looks: bool) -> None:
        """The leases that were given up for silence may still bring the result: whichever verifies first is taken."""
        for order in self._given_up(kept):
            sight = self.sight_of(kept, order, block)
            if sight.lease.status in (LeaseStatus.OPEN, LeaseStatus.CLAIMED) and looks:
                self._countersigner.look(kept, order, sight)
            closing = exit_of(sight.moves)
            if sight.lease.status is LeaseStatus.CLOSED and isinstance(closing, e.LeaseSettled | e.LeaseFinalized):
                self._take_outcome(kept, order, sight, outcome_of(sight.moves, closing))

    def _given_up(self, kept: KeptJob) -> list[KeptOrder]:
        """Orders beside the one that the job is about, of which a result would be as good."""
        if kept.job.is_terminal or kept.job.taken is not None or len(kept.job.orders) == 1:
            return []
        orders = self._book.orders(kept.job.id)
        return [one for one in orders if one.given_up_at is not None and one.signed.id != kept.job.order]

    def _take_outcome(self, kept: KeptJob, order: KeptOrder, sight: Sight, outcome: ReadOutcome) -> None:
        """The chain has settled it without our signature: what verifies is the job's result, unless it says that the provider failed."""
        try:
            content, result = self._outcome(order, outcome)
            if result.reason.by is not EndedBy.PROVIDER:
                self._keep_outcome(kept, order, sight, outcome, content, result)
        except (DomainError, GatewayError, OSError) as exc:
            self._book.note(order.signed.id, str(exc))

    def _fall_back(self, kept: KeptJob, block: BlockRef) -> bool:
        """Whether a lease that was given up is live still: the job is about that one again, and not over."""
        for order in reversed(self._given_up(kept)):
            if self._market.lease_of(order.signed.id, block).status.is_live:
                self._book.choices.take(kept.job.id, order.signed.id)
                return True
        return False

    def _told_why(self, change: Become, order: KeptOrder, sight: Sight) -> Become:
        """A decline with the reason that its provider has signed, where one has reached the gateway."""
        if change.reason is not JobReason.LEASE_DECLINED:
            return change
        speaker = sight.provider and self._market.companies.speaker_of(sight.provider, sight.block)
        why = why_declined(self._api, self._market.domain, order.signed.id, speaker)
        return replace(change, note=f"{change.note} ({why})") if why else change

    def _become(self, kept: KeptJob, change: Become, block: BlockRef) -> KeptJob:
        if change.to in (JobState.UNPLACED, JobState.LOST) and self._fall_back(kept, block):
            return kept
        note = change.note
        if change.to is JobState.UNPLACED and not note:
            self._explanations.keep(kept, self._book.order(kept.job.order), block)
            order = self._book.order(kept.job.order)
            note = nearest_miss(order) if order.is_posted else f"no gateway ever took it: {order.note}"
        reason, broken = change.reason, self._book.job(kept.job.id).broken
        if change.to is JobState.CANCELLED and broken:
            reason, note = JobReason.GROUP_BROKEN, broken
        job = advance(kept.job, change.to, at=block.timestamp, reason=reason, note=note)
        _log.info("job.advanced", job=job.id, state=job.state, reason=reason, note=note)
        return self._book.change_job(kept, job)

    def _order_again(self, kept: KeptJob, order: KeptOrder, decision: OrderAgain, block: BlockRef) -> KeptJob:
        """Sign a fresh order for the same work, without the provider that failed it; journalled before it is posted."""
        spec, work = _following(order)
        fresh = spec.excluding(decision.provider) if decision.provider else spec
        content = fresh.canonical()
        signed = self._key.sign_order(
            order_again(
                order.signed.order, fresh.sha256, now=block.timestamp, expires_in=kept.terms.expires_in_seconds
            ),
            self._market.domain,
        )
        job = advance(kept.job, JobState.SUBMITTED, at=block.timestamp, reason=decision.reason, note=decision.note)
        excluded = (*job.excluded, decision.provider) if decision.provider else job.excluded
        job = replace(job, orders=(*job.orders, signed.id), excluded=excluded, spec=fresh.sha256, taken=None)
        _log.info("job.ordered_again", job=job.id, order=signed.id, reason=decision.reason)
        is_silent = decision.reason is JobReason.PROVIDER_SILENT
        return self._book.change_job(kept, job, Reorder(signed, content, work, block.timestamp), gives_up=is_silent)

    # -- receipts -----------------------------------------------------------------------------------------------------

    def _is_signed_for(self, order: KeptOrder, sight: Sight) -> bool:
        """Whether this serving's receipt has our signature, or may be getting it this very moment."""
        lease = order.signed.id
        return self._countersigner.is_at_work(lease) or self._book.receipt(lease, sight.lease.opened_at) is not None

    def _look_for_receipt(self, kept: KeptJob, order: KeptOrder, sight: Sight, *, looks: bool) -> KeptJob:
        """Go on where our signature has been handed out; else have the receipt looked at, beside everything else."""
        own = self._book.receipt(order.signed.id, sight.lease.opened_at)
        if own is not None and own.is_posted:
            result = read_result(own.result)
            if self._is_to_be_tried_again(kept, result):
                return kept  # once what it is paid is settled: until then nobody else is paid
            return self._become(kept, _verified(result, order, own.receipt.used_seconds), sight.block)
        if looks:
            self._countersigner.look(kept, order, sight)
        objection = objection_due(sight, self._market)
        if objection:
            self._book.note(order.signed.id, objection)
        return kept

    def _read_outcome(self, kept: KeptJob, order: KeptOrder, sight: Sight, outcome: ReadOutcome) -> KeptJob:
        """Verify what was settled without our signature; what does not verify is a failure of the provider's."""
        own = self._book.last_receipt(order.signed.id)
        if own is not None and own.receipt.result == outcome.result:
            return self._end(kept, order, sight, read_result(own.result), outcome.used_seconds)
        try:
            content, result = self._outcome(order, outcome)
            self._keep_outcome(kept, order, sight, outcome, content, result)
        except (HashMismatch, GatewayError) as exc:
            # A gateway has not got it, or not as it was signed: that is the gateway's word, and nothing that its provider did.
            self._book.note(order.signed.id, f"its result is not to be had yet: {exc}")
            is_away = isinstance(exc, GatewayUnavailable) and not isinstance(exc, UnreadableAnswer)
            return kept if is_away or not _is_long_closed(sight) else self._reject(kept, order, sight, str(exc))
        except OSError as exc:
            self._book.note(order.signed.id, f"this machine cannot keep its result: {exc}")
            return kept
        except DomainError as exc:
            return self._reject(kept, order, sight, str(exc))
        return self._end(kept, order, sight, result, outcome.used_seconds)

    def _is_to_be_tried_again(self, kept: KeptJob, result: Result) -> bool:
        """Whether it was the provider that failed, by its own word: then the work is not over while there is a retry left."""
        return result.reason.by is EndedBy.PROVIDER and retries_left(kept.job, kept.terms) > 0

    def _end(self, kept: KeptJob, order: KeptOrder, sight: Sight, result: Result, used_seconds: Seconds) -> KeptJob:
        ended = _verified(result, order, used_seconds)
        if not self._is_to_be_tried_again(kept, result):
            return self._become(kept, ended, sight.block)
        again = OrderAgain(sight.provider, JobReason.PROVIDER_FAILED, ended.note)
        return self._order_again(kept, order, again, sight.block)

    def _reject(self, kept: KeptJob, order: KeptOrder, sight: Sight, why: str) -> KeptJob:
        lost = again_or_lost(kept.job, kept.terms, sight.provider, JobReason.RESULT_REJECTED, why)
        return self._act(kept, order, sight, lost)

    def _outcome(self, order: KeptOrder, outcome: ReadOutcome) -> tuple[bytes, Result]:
        """The result document that the chain names, verified. Raise what is wrong with it."""
        content = self._api.outputs(order.signed.id).content
        return content, check_result(content, outcome.result, read_spec(order.spec), read_work(order.work))

    def _keep_outcome(
        self, kept: KeptJob, order: KeptOrder, sight: Sight, outcome: ReadOutcome, content: bytes, result: Result
    ) -> None:
        """Fetch what the result names, and write it down as the job's. Raise what is wrong with it."""
        self._results.fetch(result, order.signed.id)
        serving = servings_of(sight.moves)[-1]
        receipt = Receipt(
            order.signed.id,
            OfferId(serving.offer),
            serving.opened_at,
            outcome.used_seconds,
            bytes32_of(result.sha256),
            True,
        )
        self._book.add_receipt(kept.job.id, receipt, "", content, sight.block.timestamp)


def _following(order: KeptOrder) -> tuple[JobSpec, bytes]:
    """Spec and work of the next attempt: the work says of which order it is one. The nodes of a group go on sharing theirs."""
    spec = read_spec(order.spec)
    if spec.group is not None:
        return spec, order.work
    work = replace(read_work(order.work), previous=order.signed.id).canonical()
    return replace(spec, work=work_name(work)), work


def _is_long_closed(sight: Sight) -> bool:
    closing = exit_of(sight.moves)
    return closing is not None and sight.block.timestamp >= closing.ref.block.timestamp + MISSING_RESULT_SECONDS


def _verified(result: Result, order: KeptOrder, used_seconds: Seconds) -> Become:
    state = JobState.SUCCEEDED if result.is_success_of(read_spec(order.spec)) else JobState.FAILED
    return Become(state, JobReason.RESULT_VERIFIED, f"{result} after {used_seconds} s")
