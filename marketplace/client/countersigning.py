"""Countersigns each job by itself: fetching one job's outputs holds up nobody else's signature.

What is decided about a job is decided in the watcher's ``step``; here a receipt is looked for, checked, signed, written down and handed out, in this
order, in a small pool of threads. A signature is in the journal before it leaves, so that a crash anywhere loses none and signs none twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.receipts import ReceiptTold
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.client.beats import is_heard
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, KeptOrder, KeptReceipt
from marketplace.client.receipt_checks import (
    OpenServing,
    ResultFolder,
    check_progress,
    check_receipt,
    check_result,
    prepayment,
)
from marketplace.client.retries import Sight
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import Conflict, DomainError, GatewayError, InvalidField
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedBy, Result
from marketplace.domain.spec import read_spec
from marketplace.domain.states import JobState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.domain.work import read_work
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

HANDS = 8
"""Jobs whose outputs are fetched at once."""
HEARD_SECONDS = 60
"""Block time: nothing is paid on the way to a provider that has not signed a beat for so long."""
PATIENCE_SECONDS = 2.0
"""How long a step waits for the signatures that it asked for; what takes longer goes on, and is seen by a later step."""
CLOSING_SECONDS = 1.0
"""How long what is at work may take to end by itself. A connection that is being made just then cannot be closed, and would stay."""


@dataclass(frozen=True, slots=True)
class _Task:
    job: Bytes32
    lease: Bytes32
    work: Future[None]


class Countersigner:
    """The hands that sign receipts for one account's jobs; at most one at a time for each job."""

    def __init__(
        self, key: Key, market: MarketContract, api: GatewayApi, book: JobJournal, results: ResultFolder
    ) -> None:
        self._key, self._market, self._api, self._book, self._results = key, market, api, book, results
        self._pool = ThreadPoolExecutor(HANDS, thread_name_prefix="bourse-countersign")
        self._at_work: dict[Bytes32, _Task] = {}
        """By lease. Only the watcher's step looks at it, under the watcher's lock."""
        self._fresh: list[_Task] = []

    def close(self) -> None:
        """Start nothing more, and let end what ends by itself soon. The rest ends when its connection is closed."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait([task.work for task in list(self._at_work.values())], CLOSING_SECONDS)

    def wait_closed(self) -> None:
        """Wait until nothing is at work any more."""
        self._pool.shutdown(wait=True)

    def look(self, kept: KeptJob, order: KeptOrder, sight: Sight) -> None:
        """Look for the provider's last receipt of this serving, and sign it if all of it holds; unless that is going on already."""
        lease = order.signed.id
        if lease not in self._at_work:
            task = _Task(kept.job.id, lease, self._pool.submit(self._countersign, kept.job.id, order, sight))
            self._at_work[lease] = task
            self._fresh.append(task)

    def is_at_work(self, lease: Bytes32) -> bool:
        """Whether the lease's receipt is being looked at, and may be signed."""
        return lease in self._at_work

    def ended(self, patience_seconds: float = PATIENCE_SECONDS) -> list[Bytes32]:
        """The jobs that have been looked at, after waiting a while for those that were begun since the last time.

        Raises what was not foreseen.
        """
        wait([task.work for task in self._fresh], patience_seconds)
        self._fresh.clear()
        done = [task for task in self._at_work.values() if task.work.done()]
        for task in done:
            del self._at_work[task.lease]
        for task in done:
            task.work.result()
        return [task.job for task in done]

    def _countersign(self, job: Bytes32, order: KeptOrder, sight: Sight) -> None:
        """What is wrong with the newest receipt there is becomes the order's note, and is looked at again with the next block."""
        identifier = order.signed.id
        try:
            own = self._book.receipt(identifier, sight.lease.opened_at) or self._sign(job, order, sight)
        except Conflict:
            _log.info("receipt.signed_elsewhere", lease=identifier)
            return
        except (DomainError, GatewayError, OSError) as exc:  # OSError: no room here for what this provider made
            self._book.note(identifier, f"nothing is signed: {exc}")
            return
        if own is not None and not own.is_posted:
            self._hand_out(own)

    def _pay_on_the_way(self, upfront: Seconds, order: KeptOrder, sight: Sight, told: Sequence[ReceiptTold]) -> None:
        """Sign what was promised up front, and the newest progress receipt of a lease that goes on, if all of it holds and its provider is
        there; and hand it out.

        Not of a lease that was given up: nobody may be at work there. Raises InvalidField, GatewayError.
        """
        identifier, lease, kept = order.signed.id, sight.lease, self._book.instalments
        own = kept.newest(identifier, lease.opened_at)
        if lease.status is not LeaseStatus.OPEN or sight.provider is None:
            return
        serving = OpenServing(
            identifier,
            order.signed.order,
            lease,
            sight.provider,
            sight.block,
            self._speaker(sight.provider, sight.block),
        )
        signed_seconds = own.receipt.used_seconds if own else Seconds(0)
        receipt = None if order.given_up_at is not None else self._due(serving, upfront, told, signed_seconds)
        if receipt is not None:
            since = UnixTime(sight.block.timestamp - HEARD_SECONDS)
            if not is_heard(
                self._api.heartbeats(sight.provider),
                sight.provider,
                since,
                self._market.domain,
                serving.speaker or sight.provider,
            ):
                raise InvalidField(
                    "receipt", f"is not paid on the way: its provider was not heard for {HEARD_SECONDS} s"
                )
            kept.add(receipt, self._key.sign_receipt(receipt, self._market.domain))
            self._book.note(identifier, "")
            own = kept.newest(identifier, lease.opened_at)
        if own is not None and not own.is_posted:
            self._api.post_receipt(identifier, own.receipt, "client", own.signature)
            kept.mark_posted(own.receipt)

    def _due(
        self, serving: OpenServing, upfront: Seconds, told: Sequence[ReceiptTold], signed_seconds: Seconds
    ) -> Receipt | None:
        """What is to be signed next, over more seconds than were; None where nothing is. Raises InvalidField for what a provider may not ask."""
        promised = prepayment(serving, upfront)
        if promised is not None and promised.used_seconds > signed_seconds:
            return promised
        newer = [
            one
            for one in told
            if one.role == "provider" and not one.receipt.last and one.receipt.used_seconds > signed_seconds
        ]
        if not newer:
            return None
        newest = max(newer, key=lambda one: one.receipt.used_seconds)
        check_progress(newest, serving, self._market.domain, signed_seconds)
        return newest.receipt

    def _sign(self, job: Bytes32, order: KeptOrder, sight: Sight) -> KeptReceipt | None:
        """Sign and journal; None while there is no receipt. Raise what is wrong with it."""
        identifier, lease, domain = order.signed.id, sight.lease, self._market.domain
        told = self._api.receipts(identifier)
        offered = [
            signed
            for signed in told
            if signed.role == "provider" and signed.receipt.opened_at == lease.opened_at and signed.receipt.last
        ]
        if not offered:
            self._pay_on_the_way(self._book.job(job).terms.upfront_seconds, order, sight, told)
        if not offered or sight.provider is None:
            return None
        signed = offered[-1]
        check_receipt(
            signed,
            OpenServing(
                identifier,
                order.signed.order,
                lease,
                sight.provider,
                sight.block,
                self._speaker(sight.provider, sight.block),
            ),
            domain,
        )
        content = self._api.outputs(identifier).content
        spec, work = read_spec(order.spec), read_work(order.work)
        result = check_result(content, signed.receipt.result, spec, work)
        self._results.fetch(result, identifier)
        # That may have taken a while: nothing is signed for what was disputed or closed meanwhile.
        now = self._market.chain.head()
        lease = self._market.lease_of(identifier, now)
        check_receipt(
            signed,
            OpenServing(identifier, order.signed.order, lease, sight.provider, now, self._speaker(sight.provider, now)),
            domain,
        )
        if not self._is_wanted(job, identifier, result):
            return None
        self._book.add_receipt(
            job, signed.receipt, self._key.sign_receipt(signed.receipt, domain), content, sight.block.timestamp
        )
        self._book.note(identifier, "")
        return self._book.receipt(identifier, lease.opened_at)

    def _speaker(self, provider: Address, at: BlockRef) -> Address:
        return self._market.companies.speaker_of(provider, at)

    def _is_wanted(self, job: Bytes32, order: Bytes32, result: Result) -> bool:
        """Whether the job still waits for this order's result: fetching took a while, and another one's may have been taken meanwhile.

        That of a lease that was given up for silence is wanted until then: its provider has come back. But not if it has come back to
        say that it failed: the work is being done elsewhere.
        """
        now = self._book.job(job).job
        if now.order == order:
            return now.state is JobState.RUNNING
        is_free = not now.is_terminal and now.taken is None and self._book.order(order).given_up_at is not None
        return is_free and result.reason.by is not EndedBy.PROVIDER

    def _hand_out(self, own: KeptReceipt) -> None:
        """Post our signature; what does not succeed is noted, and tried again with the next block."""
        lease = own.receipt.lease
        try:
            self._api.post_receipt(lease, own.receipt, "client", own.signature)
        except GatewayError as exc:
            self._book.note(lease, f"our receipt could not be posted yet: {exc}")
            return
        self._book.mark_receipt_posted(lease, own.receipt.opened_at)
