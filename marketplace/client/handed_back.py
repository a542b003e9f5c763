"""Settles a lease whose provider handed the job back and then does not settle it: the work is ordered again only when that is done.

Both signatures are there by then, so nobody has to be waited for: anyone may bring them to the chain, and the client is who has an interest.
"""

from __future__ import annotations

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain import verbs
from marketplace.chain.market import MarketContract
from marketplace.chain.transactions import Sender
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, KeptReceipt
from marketplace.client.receipt_checks import OpenServing, check_receipt
from marketplace.client.retries import retries_left
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable
from marketplace.domain.errors import DomainError, GatewayError
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.receipts import Settlement
from marketplace.domain.results import EndedBy, read_result
from marketplace.domain.states import JobState
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

SETTLED_AFTER_SECONDS = 20
"""Block time that the provider has, from our signature on: it settles many leases in one transaction, at its own gas."""


class HandedBack:
    """Brings one account's doubly signed receipts to the chain where its jobs wait for that."""

    def __init__(self, market: MarketContract, api: GatewayApi, book: JobJournal, sender: Sender) -> None:
        self._market, self._api, self._book, self._sender = market, api, book, sender

    def tend(self, head: BlockRef) -> None:
        """Settle what is due as of the newest block; what does not succeed is tried again with the next. Raise ChainUnavailable."""
        for kept in self._book.jobs():
            if kept.job.state is JobState.RUNNING and retries_left(kept.job, kept.terms) > 0:
                self._tend(kept, head)

    def _tend(self, kept: KeptJob, head: BlockRef) -> None:
        own = self._book.last_receipt(kept.job.order)
        if own is None or not own.is_posted or head.timestamp < own.signed_at + SETTLED_AFTER_SECONDS:
            return
        lease = self._market.lease_of(kept.job.order, head)
        is_this_serving = own.receipt.opened_at == lease.opened_at
        is_live = lease.status in (LeaseStatus.OPEN, LeaseStatus.CLAIMED)
        if is_live and is_this_serving and read_result(own.result).reason.by is EndedBy.PROVIDER:
            self._settle(kept, own, lease, head)

    def _settle(self, kept: KeptJob, own: KeptReceipt, lease: Lease, head: BlockRef) -> None:
        order = self._book.order(kept.job.order)
        offer = self._market.listing_of(lease.offer, head)
        if offer is None:
            return
        theirs = self._their_signature(
            own,
            OpenServing(
                order.signed.id,
                order.signed.order,
                lease,
                offer.provider,
                head,
                self._market.companies.speaker_of(offer.provider, head),
            ),
        )
        if not theirs:
            return
        receipt = own.receipt
        settlement = Settlement(order.signed.order, receipt.used_seconds, receipt.result, True, own.signature, theirs)
        try:
            self._sender.send(verbs.settle(self._market.address, (settlement,)))
        except ChainUnavailable:
            raise
        except ChainError as exc:
            self._book.note(order.signed.id, f"handed back, and could not be settled by us yet: {exc}")
        else:
            _log.info("lease.settled_by_us", job=kept.job.id, order=order.signed.id)

    def _their_signature(self, own: KeptReceipt, serving: OpenServing) -> str:
        """The provider's signature under the very receipt that we signed, from any gateway; empty where none has it now."""
        try:
            told = self._api.receipts(serving.id)
        except GatewayError:
            return ""
        for signed in told:
            if signed.role != "provider" or signed.receipt != own.receipt:
                continue
            try:
                check_receipt(signed, serving, self._market.domain)
            except DomainError:
                continue
            return signed.signature
        return ""
