"""From a request to orders on the book: uploaded, signed, written down, posted; in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace.api.market import MarketAnswer
from marketplace.chain.checksums import checksum
from marketplace.client.company_warnings import warnings_before_signing
from marketplace.client.journal_rows import KeptJob, NewJob, SecretSources
from marketplace.client.packages import Say, with_packages
from marketplace.client.posting import is_refusal
from marketplace.client.request import JobRequest, Prepared, nodes_of, order_for, prepare, terms_of
from marketplace.client.session import ClientSession
from marketplace.client.transfers import OnUpload, send_bundle
from marketplace.client.trust import Roles, TrustRoots
from marketplace.client.vetting import require_acceptable, require_machine, require_term
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import GatewayError
from marketplace.domain.fills import refusal_of_offer, refused
from marketplace.domain.ids import Sha256
from marketplace.domain.orders import Order
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.states import JobEvent, JobReason, JobState, TrackedJob, advance
from marketplace.domain.units import TokenUnits


@dataclass(frozen=True, slots=True)
class Draft:
    """What is going to be signed, for who wants to see it before; and what it takes to sign it."""

    request: JobRequest
    prepared: tuple[Prepared, ...]
    """One for each node."""
    order: Order
    """The first one, with another salt."""

    @property
    def worst_cost(self) -> TokenUnits:
        """The most that one lease can cost: all of its time at the highest price, and the tip (I-6)."""
        return worst_cost_of(self.order)

    @property
    def leases_at_most(self) -> int:
        """How many leases may be paid for, each for what it served: one for each node, or within the retries."""
        return len(self.prepared) + self.request.retries


class Submitter:
    """Brings an account's requests to the book."""

    def __init__(self, session: ClientSession, roots: TrustRoots, check_gateway: Callable[[], MarketAnswer]) -> None:
        self._session, self._market, self._api, self._book = session, session.market, session.api, session.book
        self._poster, self._roots, self._check_gateway = session.poster(session.api), roots, check_gateway

    def draft(self, request: JobRequest, nodes: int | None = None, say: Say = lambda _: None) -> Draft:
        """What ``submit`` would sign, but for salt and time; ``nodes``: for so many machines together. Nothing is signed or sent.

        ``say`` is told what takes a while, packages that are fetched, and what to know before signing. Raise ConfigError, GatewayDiffers, InvalidField, ToolMissing, Refused and InsufficientBalance: all that can be known before is said before.
        """
        request = request if nodes is None else replace(request, retries=0)
        request = with_packages(request, self._session.packages, say)
        prepared = (prepare(request),) if nodes is None else nodes_of(request, nodes)
        self._check_opener(request)
        block, spec = self._market.chain.head(), prepared[0].spec
        require_term(request, block.timestamp, nodes)
        order = self._order(request, spec.sha256, block)
        require_acceptable(order, self._market.balance_of(order.client, block), block)
        self._session.require_free(TokenUnits(len(prepared) * worst_cost_of(order)))
        require_machine(self._api, order, spec, block, sealed=request.sealed or bool(request.secrets))
        for warning in warnings_before_signing(order, self._market, self._api, block):
            say(warning)
        return Draft(request, prepared, order)

    def submit(self, draft: Draft, on_upload: OnUpload = lambda upload: None) -> list[KeptJob]:
        """An order and a job for each spec: all are written down before the first one is posted.

        Raise Forbidden or Refused with nothing signed away, and what the gateway refuses an order for: that job is not over, but watched until
        its order can be opened no more.
        """
        block = self._market.chain.head()
        new = [self._signed(draft.request, one, block) for one in draft.prepared]
        self._upload(
            draft.prepared, on_upload
        )  # before a signature leaves this memory: what is refused here leaves nothing to be opened
        self._book.past.start_at(block.number)
        kept = self._book.add_jobs(new, block.timestamp)
        for one, prepared in zip(kept, draft.prepared, strict=True):
            if prepared.secrets is not None:
                self._session.secrets.keep(one.job.id, prepared.secrets)
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

    def _upload(self, prepared: Sequence[Prepared], on_upload: OnUpload) -> None:
        """Have a gateway hold what the orders name. Raise what that is refused for."""
        first = prepared[0]
        if first.inputs:
            with TemporaryDirectory(prefix="bourse-") as spool:
                send_bundle(self._api, first.inputs, first.parts, Path(spool), on_upload=on_upload)
        self._poster.leave([one.spec_bytes for one in prepared], first.work_bytes)

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
        self._session.ender.hold_groups_together(block)

    def _check_opener(self, request: JobRequest) -> None:
        """Raise GatewayDiffers where the gateway works with another opener than settings or request name: nobody would open it."""
        told = self._check_gateway()
        TrustRoots(opener=request.opener).check(Roles(told.opener, told.arbiter))

    def _order(self, request: JobRequest, spec: Sha256, block: BlockRef) -> Order:
        """Everything in it is the request's, the settings', or the chain's. A pinned offer is looked up on the chain."""
        mandate, roles = self._session.mandate, self._roots.roles(request.opener, request.arbiter)
        order = order_for(
            request, spec, client=mandate.account, acceptor=mandate.acceptor, roles=roles, now=block.timestamp
        )  # fmt: skip
        if order.offer:
            self._require_offer(order, block)
        return order

    def _require_offer(self, order: Order, block: BlockRef) -> None:
        """Raise Refused where the pinned offer, as the chain has it, will not serve the order; that it is busy now passes."""
        offer = self._market.offer_of(order.offer, block)
        opener = offer.provider if offer and order.starts_at else order.opener
        refusal = refusal_of_offer(order, offer, block.timestamp, opener)
        if refusal is None or (refusal is Refusal.NotEnoughGpus and offer and order.gpus <= offer.gpus):
            return
        names = (
            f"offer {order.offer} names {checksum(offer.arbiter)}, and we {checksum(order.arbiter)}" if offer else ""
        )
        raise refused(refusal, names if refusal is Refusal.WrongArbiter else "")

    def _signed(self, request: JobRequest, prepared: Prepared, block: BlockRef) -> NewJob:
        spec, mandate = prepared.spec.sha256, self._session.mandate
        order = self._order(request, spec, block)
        signed = self._session.key.sign_order(order, self._market.domain)
        mandate.require_order(signed, block)
        first = JobEvent(JobState.SUBMITTED, block.timestamp, JobReason.ORDER_SIGNED)
        name = request.name or " ".join(request.command)[:60]
        record = TrackedJob(signed.id, name, JobState.SUBMITTED, (signed.id,), spec, (first,))
        terms = terms_of(request, self._market.terms().start_grace)
        return NewJob(
            record, terms, signed, prepared.spec_bytes, prepared.work_bytes, prepared.spec.group, prepared.key,
            _sources(request, prepared),
        )  # fmt: skip


def _sources(request: JobRequest, prepared: Prepared) -> SecretSources | None:
    if prepared.secrets is None:
        return None
    files = {name: str(at.absolute()) for name, at in request.secrets.items() if isinstance(at, Path)}
    return SecretSources(prepared.secrets.salt, files)
