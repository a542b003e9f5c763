"""What is left of a job beside the lease that it is about: ended as soon as it can only cost money, kept while it may bring some.

- A lease that was given up for silence is kept for its bond: a provider that never comes back pays it. While the job has no result, the first
  one that verifies is taken, whoever's it is; once it has another's, the lease is terminated at the first sign of its provider's life.
- Any other lease of a job is terminated when another one's result was taken, and an order that is on the book beside another is cancelled.
- With ``on_silence="terminate"`` a silent provider's lease is terminated before the work is ordered again.
"""

from __future__ import annotations

from collections.abc import Callable

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.market import MarketContract
from marketplace.client.cancellation import Ender
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, KeptOrder
from marketplace.client.liveness import SignsOfLife
from marketplace.client.receipt_checks import OpenServing, check_receipt
from marketplace.client.spending import is_over
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable
from marketplace.domain.errors import DomainError, GatewayError, InvalidTransition
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.states import JobState
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)


class SecondLeases:
    """Ends, for one account, the leases that its jobs need no more."""

    def __init__(
        self,
        market: MarketContract,
        api: GatewayApi,
        book: JobJournal,
        ender: Ender,
        signs: SignsOfLife,
        now: Callable[[], BlockRef | None],
    ) -> None:
        self._market, self._api, self._book, self._ender, self._signs = market, api, book, ender, signs
        self._read_up_to = now

    def tend(self, head: BlockRef) -> None:
        """End what is due as of the newest confirmed block. What does not succeed is tried again with the next. Raise ChainUnavailable."""
        at = self._read_up_to() or head
        for identifier in self._book.choices.jobs_with_others():
            kept = self._book.job(identifier)
            for order in self._book.orders(identifier):
                if self._is_due(kept, order, at):
                    self._end(kept, order)

    def _is_due(self, kept: KeptJob, order: KeptOrder, at: BlockRef) -> bool:
        identifier = order.signed.id
        if is_over(order.signed.order, self._book.moves(identifier), at.timestamp):
            return False
        lease = self._market.lease_of(identifier, at)
        if identifier == kept.job.order:
            return self._is_to_be_terminated_first(kept, order, lease)
        if lease.status is LeaseStatus.NONE:
            return not lease.no_reopen  # declined after all, or not opened yet: another one serves the job
        is_decided = kept.job.is_terminal or kept.job.taken is not None
        if lease.status is not LeaseStatus.OPEN or not is_decided:
            return False
        return order.given_up_at is None or self._is_back(order, lease, at)

    def _is_to_be_terminated_first(self, kept: KeptJob, order: KeptOrder, lease: Lease) -> bool:
        """Whether it is the lease of a provider that was found silent by a client who wants no second one beside it."""
        is_wanted = kept.terms.on_silence == "terminate" and kept.job.state is JobState.RUNNING
        is_open = lease.status is LeaseStatus.OPEN and order.given_up_at is not None
        return is_wanted and is_open and self._book.receipt(order.signed.id, lease.opened_at) is None

    def _is_back(self, order: KeptOrder, lease: Lease, at: BlockRef) -> bool:
        """Whether its provider has given a sign of life since it was given up: a beat, or a receipt."""
        offer = self._market.listing_of(lease.offer, at)
        if offer is None or order.given_up_at is None:
            return False
        if self._signs.is_alive_since(offer.provider, order.given_up_at, at):
            return True
        serving = OpenServing(
            order.signed.id,
            order.signed.order,
            lease,
            offer.provider,
            at,
            self._market.companies.speaker_of(offer.provider, at),
        )
        return self._has_receipt(serving)

    def _has_receipt(self, serving: OpenServing) -> bool:
        try:
            told = self._api.receipts(serving.id)
        except GatewayError:
            return False
        for signed in told:
            try:
                check_receipt(signed, serving, self._market.domain)
            except DomainError:
                continue
            return True
        return False

    def _end(self, kept: KeptJob, order: KeptOrder) -> None:
        _log.info("lease.ended", job=kept.job.id, order=order.signed.id)
        try:
            self._ender.end(order)
        except (InvalidTransition, ChainUnavailable) as exc:
            if isinstance(exc, ChainUnavailable):
                raise
            return  # its provider has claimed: the work is done, and what it earned is settled without us
        except ChainError as exc:
            self._book.note(order.signed.id, f"could not be ended: {exc}")
