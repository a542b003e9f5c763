"""The keeper: posts ``finalize``, ``expire`` and ``lapse`` when they fall due, so that nobody's money waits for somebody to remember it; and ``claimDue``
for companies whose income is pledged and whose operator is silent, before it falls to their client (S-4); and ``backstop`` where the panel of an arbiter
that has one was silent, before half of it lapses (A-1).

Anyone may post them (P-10), so losing the race to another is success. Nothing here decides who gets what; the contract does.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from marketplace.chain import arbiter_verbs, company_verbs, verbs
from marketplace.chain.market import MarketContract
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.events import (
    LeaseClaimed,
    LeaseExpired,
    LeaseFinalized,
    LeaseLapsed,
    LeaseRuled,
    SettlementRefused,
)
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order
from marketplace.domain.pricing import can_backstop, can_claim_due, can_expire, can_finalize, can_lapse
from marketplace.domain.units import Seconds, UnixTime

MAX_FINALIZED = 50
"""Claims paid in one transaction."""
MAX_SINGLE = 10
"""Leases expired, and disputes lapsed, in one step, a transaction each: new orders should not wait long behind them."""

_log = structlog.get_logger()


def finalizable(view: BookView, at: UnixTime, terms: MarketTerms) -> list[LeaseRecord]:
    """Claimed leases whose challenge window is over at ``at``, the longest waiting first."""
    due = [record for record in view.leases.values() if record.order and can_finalize(record.lease, at, terms)]
    return sorted(due, key=lambda record: (record.lease.changed_at, record.id))


def expirable(view: BookView, at: UnixTime, terms: MarketTerms) -> list[LeaseRecord]:
    """Open leases whose deadline has passed at ``at``, the oldest first."""
    due = [
        record for record in view.leases.values() if record.order and can_expire(record.order, record.lease, at, terms)
    ]
    return sorted(due, key=lambda record: (record.lease.opened_at, record.id))


def claimable(view: BookView, at: UnixTime, terms: MarketTerms) -> list[LeaseRecord]:
    """Open leases that nobody has claimed although half of the time for it is over, the most urgent first: the operator's own claim, with its result, is
    better."""
    due = [
        record
        for record in view.leases.values()
        if record.order and can_claim_due(record.order, record.lease, at, terms)
    ]
    return sorted(due, key=lambda record: (record.lease.opened_at, record.id))


def lapsable(view: BookView, at: UnixTime, terms: MarketTerms) -> list[LeaseRecord]:
    """Disputed leases on which nobody ruled in time, the longest waiting first."""
    due = [record for record in view.leases.values() if record.order and can_lapse(record.lease, at, terms)]
    return sorted(due, key=lambda record: (record.lease.changed_at, record.id))


def unruled(view: BookView, at: UnixTime, terms: MarketTerms, arbiter: Address, step: Seconds) -> list[LeaseRecord]:
    """Disputed leases under an arbiter with a backstop whose panel's time is over, the most urgent first."""
    due = [
        record
        for record in view.leases.values()
        if record.order and record.order.arbiter == arbiter and can_backstop(record.lease, at, terms, step)
    ]
    return sorted(due, key=lambda record: (record.lease.changed_at, record.id))


class Keeper:
    """Tries each due lease once per view that shows it due."""

    def __init__(
        self, market: MarketContract, sender: Sender, *, wait_seconds: int, permit: Callable[[], object] = lambda: None
    ) -> None:
        """``permit`` is asked before each transaction, and raises where none should be sent any more."""
        self._market, self._sender, self._wait_seconds, self._permit = market, sender, wait_seconds, permit
        self._tried: dict[Bytes32, int] = {}
        self._backstop_step: Seconds | None = None

    def step(self, view: BookView, head: BlockRef) -> int:
        """Post what is due at the head's time; how many leases were closed. Raises retryable errors, losing nothing."""
        self._tried = {one: number for one, number in self._tried.items() if number > view.block.number}
        terms = self._market.terms()
        claims = self._untried(finalizable(view, head.timestamp, terms))[:MAX_FINALIZED]
        overdue = self._untried(expirable(view, head.timestamp, terms))[:MAX_SINGLE]
        lapsed = self._untried(lapsable(view, head.timestamp, terms))[:MAX_SINGLE]
        self._claim_due(self._untried(self._pledged(claimable(view, head.timestamp, terms), head))[:MAX_SINGLE], head)
        closed = self._finalize(claims, head) + sum(self._expire(record, head) for record in overdue)
        closed += self._backstop(view, head, terms)
        return closed + sum(self._lapse(record, head) for record in lapsed)

    def _untried(self, due: list[LeaseRecord]) -> list[LeaseRecord]:
        return [record for record in due if record.id not in self._tried]

    def _finalize(self, due: list[LeaseRecord], head: BlockRef) -> int:
        """One batch; what somebody else finalized first is refused singly."""
        if not due:
            return 0
        mined = self._send(verbs.finalize(self._market.address, [_order(record) for record in due]), due, head)
        closed = [event for event in mined.events if isinstance(event, LeaseFinalized)] if mined else []
        for event in closed:
            _log.info("lease.finalized", lease=event.lease, paid=event.paid, by="keeper")
        for refused in (event for event in (mined.events if mined else ()) if isinstance(event, SettlementRefused)):
            _log.info("lease.finalize_refused", lease=refused.lease, reason=refused.reason.name)
        return len(closed)

    def _expire(self, record: LeaseRecord, head: BlockRef) -> int:
        mined = self._send(verbs.expire(self._market.address, _order(record)), [record], head)
        closed = [event for event in mined.events if isinstance(event, LeaseExpired)] if mined else []
        for event in closed:
            _log.info("lease.expired", lease=event.lease, compensation=event.compensation, provider=record.provider)
        return len(closed)

    def _pledged(self, silent: list[LeaseRecord], head: BlockRef) -> list[LeaseRecord]:
        """Those that are the pledged lease of a company: any other its operator may mean not to claim. Costs nothing on a market without companies."""
        companies = self._market.companies
        return [
            record
            for record in silent
            if companies.is_company(record.provider, head)
            and companies.pledged_lease(record.provider, head) == record.id
        ]

    def _claim_due(self, due: list[LeaseRecord], head: BlockRef) -> None:
        for record in due:
            mined = self._send(company_verbs.claim_due(record.provider, _order(record)), [record], head)
            for event in (event for event in (mined.events if mined else ()) if isinstance(event, LeaseClaimed)):
                _log.info("lease.claimed_due", lease=event.lease, company=record.provider, by="keeper")

    def _backstop(self, view: BookView, head: BlockRef, terms: MarketTerms) -> int:
        """Where somebody disputed under the arbiter with a backstop, and nobody ruled. Costs nothing on a market without one."""
        arbiter = self._market.backstop_arbiter
        if arbiter is None:
            return 0
        if self._backstop_step is None:
            self._backstop_step = arbiter_verbs.step_of(self._market.chain, arbiter)
        closed = 0
        for record in self._untried(unruled(view, head.timestamp, terms, arbiter, self._backstop_step))[:MAX_SINGLE]:
            mined = self._send(arbiter_verbs.backstop(arbiter, _order(record)), [record], head)
            for event in (event for event in (mined.events if mined else ()) if isinstance(event, LeaseRuled)):
                _log.info("lease.backstopped", lease=event.lease, paid=event.paid)
                closed += 1
        return closed

    def _lapse(self, record: LeaseRecord, head: BlockRef) -> int:
        mined = self._send(verbs.lapse(self._market.address, _order(record)), [record], head)
        closed = [event for event in mined.events if isinstance(event, LeaseLapsed)] if mined else []
        for event in closed:
            _log.info("lease.lapsed", lease=event.lease, paid=event.paid, stake=event.stake)
        return len(closed)

    def _send(self, call: verbs.Call, records: list[LeaseRecord], head: BlockRef) -> Mined | None:
        """Send it; None where the contract says that there is nothing to do, because somebody else was first."""
        self._permit()
        try:
            mined = self._sender.send(call, wait_seconds=self._wait_seconds)
            number = mined.block.number
        except TransactionReverted as exc:
            _log.info("keeper.not_needed", verb=call.verb, leases=[record.id for record in records], reason=str(exc))
            mined, number = None, head.number + 1
        self._tried |= {record.id: number for record in records}
        return mined


def _order(record: LeaseRecord) -> Order:
    """The order of a lease that is live; live leases have one."""
    assert record.order is not None
    return record.order
