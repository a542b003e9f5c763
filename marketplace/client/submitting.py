"""From a request to orders on the book: uploaded, signed, written down, posted; in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace.api.market import MarketAnswer
from marketplace.chain.checksums import checksum
from marketplace.chain.market import Market as ChainMarket
from marketplace.chain.signing import Key
from marketplace.client.api import GatewayApi
from marketplace.client.ending import Ender
from marketplace.client.jobbook import Jobbook
from marketplace.client.kept import KeptJob, NewJob
from marketplace.client.mandate import Mandate
from marketplace.client.posting import Poster, is_refusal
from marketplace.client.request import JobRequest, Prepared, order_for, terms_of
from marketplace.client.transfers import send_bundle
from marketplace.client.trust import Draft, Roles, TrustRoots
from marketplace.domain.errors import GatewayError, InsufficientBalance
from marketplace.domain.fills import refusal_of_offer, refused
from marketplace.domain.ids import Sha256
from marketplace.domain.models import BlockRef, Order
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.states import Job as JobRecord
from marketplace.domain.states import JobEvent, JobReason, JobState, advance
from marketplace.domain.units import TokenUnits


class Submitter:
    """Brings an account's requests to the book."""

    def __init__(
        self,
        key: Key,
        mandate: Mandate,
        market: ChainMarket,
        api: GatewayApi,
        book: Jobbook,
        poster: Poster,
        ender: Ender,
        roots: TrustRoots,
        check_gateway: Callable[[], MarketAnswer],
    ) -> None:
        self._key, self._mandate, self._market, self._api, self._book = key, mandate, market, api, book
        self._poster, self._ender = poster, ender
        self._roots, self._check_gateway = roots, check_gateway

    def submit(self, request: JobRequest, prepared: Sequence[Prepared]) -> list[KeptJob]:
        """An order and a job for each spec: all are written down before the first one is posted.

        Raise Forbidden, GatewayDiffers, Refused or InsufficientBalance with nothing sent, and what the gateway refuses an order for: that job
        is not over, but watched until its order can be opened no more.
        """
        self._check_opener(request)
        block = self._market.chain.head()
        new = [self._signed(request, one, block) for one in prepared]
        if len(new) > 1:
            self.require_free(TokenUnits(sum(worst_cost_of(one.signed.order) for one in new)))
        if prepared[0].inputs:
            with TemporaryDirectory(prefix="bourse-") as spool:
                send_bundle(self._api, prepared[0].inputs, prepared[0].parts, Path(spool))
        self._book.past.start_at(block.number)
        kept = self._book.add_jobs(new, block.timestamp)
        for number, one in enumerate(kept):
            order = self._book.order(one.job.order)
            try:
                self._poster.post(order)
            except GatewayError as exc:
                self._poster.note(order, exc)
                if is_refusal(exc):
                    self._break(one, kept[number + 1 :], exc, block)
                    raise
        return kept

    def _break(self, refused: KeptJob, unsent: Sequence[KeptJob], why: GatewayError, block: BlockRef) -> None:
        """A gateway refuses one: those behind it never left this machine, and are over; what is left of its group is ended on the chain."""
        if refused.group is None:
            return
        self._book.break_group(refused.group.id, f"{refused.group} was refused: {why}")
        for one in unsent:
            job = advance(
                one.job, JobState.UNPLACED, at=block.timestamp, reason=JobReason.ORDER_REFUSED, note="never sent"
            )
            self._book.change_job(one, job)
        self._ender.hold_groups_together(block)

    def require_free(self, needed: TokenUnits) -> None:
        """Raise InsufficientBalance where the account has less free in the market."""
        account = self._mandate.account
        free = self._market.balance_of(account)
        if free < needed:
            raise InsufficientBalance(account, needed, free)

    def draft(self, request: JobRequest) -> Draft:
        """What ``submit`` would sign, but for salt and spec. Raise ConfigError, GatewayDiffers, Refused."""
        self._check_opener(request)
        order = self._order(request, Sha256("0" * 64), self._market.chain.head())
        return Draft(order, request.retries, request.on_silence)

    def _check_opener(self, request: JobRequest) -> None:
        """Raise GatewayDiffers where the gateway works with another opener than settings or request name: nobody would open it."""
        told = self._check_gateway()
        TrustRoots(opener=request.opener).check(Roles(told.opener, told.arbiter))

    def _order(self, request: JobRequest, spec: Sha256, block: BlockRef) -> Order:
        """Everything in it is the request's, the settings', or the chain's. A pinned offer is looked up on the chain."""
        mandate, roles = self._mandate, self._roots.roles(request.opener, request.arbiter)
        order = order_for(
            request, spec, client=mandate.account, acceptor=mandate.acceptor, roles=roles, now=block.timestamp
        )  # fmt: skip
        if order.offer:
            self._require_offer(order, block)
        return order

    def _require_offer(self, order: Order, block: BlockRef) -> None:
        """Raise Refused where the pinned offer, as the chain has it, will not serve the order; that it is busy now passes."""
        offer = self._market.offer_of(order.offer, block)
        refusal = refusal_of_offer(order, offer, block.timestamp, order.opener)
        if refusal is None or (refusal is Refusal.NotEnoughGpus and offer and order.gpus <= offer.gpus):
            return
        names = (
            f"offer {order.offer} names {checksum(offer.arbiter)}, and we {checksum(order.arbiter)}" if offer else ""
        )
        raise refused(refusal, names if refusal is Refusal.WrongArbiter else "")

    def _signed(self, request: JobRequest, prepared: Prepared, block: BlockRef) -> NewJob:
        spec, mandate = prepared.spec.sha256, self._mandate
        order = self._order(request, spec, block)
        signed = self._key.sign_order(order, self._market.domain)
        mandate.require_order(signed, block)
        first = JobEvent(JobState.SUBMITTED, block.timestamp, JobReason.ORDER_SIGNED)
        name = request.name or " ".join(request.command)[:60]
        record = JobRecord(signed.id, name, JobState.SUBMITTED, (signed.id,), spec, (first,))
        terms = terms_of(request, self._market.terms().start_grace)
        return NewJob(
            record, terms, signed, prepared.spec_bytes, prepared.work_bytes, prepared.spec.group, prepared.key
        )
