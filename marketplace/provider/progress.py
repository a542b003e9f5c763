"""The pay of a long serving while it still runs: every slice a receipt over all seconds so far, which the client's side signs, and the chain pays.

So what was served and is neither paid nor signed for stays near one slice, as long as the client's side is there to sign. Where
it is not, nothing is waited for: the serving is claimed at its end, as ever. Receipts are cumulative, so one that a gateway
loses, shows late or shows twice moves no money that the next one does not move. Each of our signatures is in the journal before
it leaves, and the client's before it is sent to the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from marketplace.chain import verbs
from marketplace.domain.blocks import BlockRef
from marketplace.domain.events import SettlementRefused
from marketplace.domain.ids import ZERO_BYTES32
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, TokenUnits, UnixTime
from marketplace.provider import metering
from marketplace.provider.attendance import Attendance, Countersigned, ProgressMade, SignaturesHeard
from marketplace.provider.countersignatures import countersignatures, is_countersigned, prepayments
from marketplace.provider.gateways import GatewayLine
from marketplace.provider.settler import BATCH, WATCH_SECONDS
from marketplace.provider.toolbox import Dispatch, Toolbox
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

MOST_SLICES = 400
"""Of one serving: gateways keep 500 progress receipts of a side. In longer leases slices are longer."""
WORTH = 20
"""What a receipt pays is at least so many times what it costs to send it."""
RECEIPT_GAS = 80_000
"""What a receipt that is alone in its transaction takes at most."""
LOOKS_PER_SLICE = 20
"""How often in a slice the client's signature is looked for."""


class ProgressReceipts:
    """Has what runs paid slice by slice. ``wei_per_gas``: what gas costs now, 0 while nobody knows."""

    def __init__(self, tools: Toolbox, wei_per_gas: Callable[[], int]) -> None:
        self._tools, self._wei_per_gas = tools, wei_per_gas
        self._batch = Dispatch(tools.sender, tools.pools.money)
        self._settling: tuple[Settlement, ...] = ()

    def progressed(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Sign where a slice is over, hand it out, and look for the client's signature. The serving stays as it is."""
        made = attendance.progress
        if not made.is_recalled:
            self._recall(serving, made)
        self._hear(serving, made, head)
        used = metering.used_seconds(serving.order, lease, head.timestamp, serving.lost_seconds)
        if lease.status is LeaseStatus.OPEN and self._is_due(serving, attendance, lease, head, used):
            self._sign(serving, made, used, head)
        self._ask(serving, made, lease, head)
        self._stop_unpaid(serving, attendance, lease, head)
        return serving

    def prepaid(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Before a reservation's job runs: see whether its client's side pays ahead of the meter."""
        made = attendance.progress
        if metering.is_term_lease(serving.order, lease):
            if not made.is_recalled:
                self._recall(serving, made)
            self._hear(serving, made, head)
            self._ask(serving, made, lease, head)
        return serving

    def settle(self, pairs: Sequence[tuple[Serving, Attendance]], head: BlockRef) -> None:
        """Send what is signed and not paid, in one transaction, where it is worth its gas. What came of it is read from the chain."""
        sent = self._batch.outcome(head.number)
        if sent:
            self._settling = ()
        if sent and sent.mined:
            refused = {event.lease: event.reason for event in sent.mined.events if isinstance(event, SettlementRefused)}
            for serving, attendance in pairs:
                if serving.lease in refused:
                    _log.warning("progress.refused", lease=serving.lease, reason=refused[serving.lease].name)
                    made = attendance.progress
                    made.refused_seconds = made.signed.receipt.used_seconds if made.signed else made.refused_seconds
                    made.signed = None
        if not self._batch.is_idle or head.number < self._batch.seen_from:
            return
        # After a failure the very same batch goes again: another would be another transaction, beside one that may be mined.
        due = [
            _settlement(serving, attendance) for serving, attendance in pairs if self._is_payable(serving, attendance)
        ]
        self._settling = self._settling or tuple(due[:BATCH])
        if self._settling:
            _log.info("progress.sending", leases=len(self._settling))
            self._batch.send(verbs.settle(self._tools.market.address, self._settling), head.number)

    # What is signed

    def _recall(self, serving: Serving, made: ProgressMade) -> None:
        """Take up what an agent before us signed, and what was signed to it."""
        kept = [row for row in self._tools.journal.receipts(*serving.key) if not row.receipt.last]
        by_us = [row for row in kept if row.role == "provider"]
        by_client = [row for row in kept if row.role == "client"]
        if by_us:
            made.ours, made.signature = by_us[-1].receipt, by_us[-1].signature
        if by_client:
            made.signed = Countersigned(by_client[-1].receipt, by_client[-1].signature)
        made.is_recalled = True

    def _is_due(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef, used: Seconds) -> bool:
        """Only while the job is seen to run at this very block: what is metered in the end is never less."""
        execution, ours = attendance.execution, attendance.progress.ours
        if execution is None or attendance.ended is not None or attendance.seen_running != head:
            return False
        signed = attendance.progress.signed_seconds
        slice_seconds, last = self._slice(serving), max(lease.paid_seconds, signed, ours.used_seconds if ours else 0)
        if used - last < slice_seconds:
            return False
        return execution.request.session is not None or self._pays_for_itself(serving, slice_seconds)

    def _slice(self, serving: Serving) -> Seconds:
        return Seconds(max(self._tools.policy.slice_seconds, -(-serving.order.max_seconds // MOST_SLICES)))

    def _pays_for_itself(self, serving: Serving, slice_seconds: Seconds) -> bool:
        """Of what is no session: one that is longer than a slice, each of which is known to pay its gas."""
        income = earned_rounded_down(serving.price, serving.order.gpus, slice_seconds)
        is_known = bool(self._tools.sender.wei_per_unit and self._wei_per_gas())
        return is_known and serving.order.max_seconds > slice_seconds and self._is_worth(income)

    def _sign(self, serving: Serving, made: ProgressMade, used: Seconds, head: BlockRef) -> None:
        receipt = Receipt(serving.lease, serving.offer, serving.opened_at, used, ZERO_BYTES32, False)
        signature = self._tools.signed(receipt)
        self._tools.journal.add_receipt(receipt, "provider", signature, head.timestamp)
        made.ours, made.signature, made.ask_at = receipt, signature, UnixTime(0)
        made.holders.clear()
        _log.info("progress.signed", lease=serving.lease, used_seconds=used)

    # The client's signature

    def _ask(self, serving: Serving, made: ProgressMade, lease: Lease, head: BlockRef) -> None:
        """Hand ours to each gateway, and look there for the client's. Rarely: who is away may stay away for long.

        In a reservation also for what the client has signed ahead of the meter, and of us: as far as the order guarantees."""
        order, domain = serving.order, self._tools.domain
        known = Seconds(max(lease.paid_seconds, made.refused_seconds, made.signed_seconds))
        ours = made.ours if made.ours and made.ours.used_seconds > known else None
        may_be_ahead = metering.is_term_lease(order, lease) and known < order.min_seconds
        if (ours is None and not may_be_ahead) or head.timestamp < made.ask_at:
            return
        made.ask_at = UnixTime(head.timestamp + max(1, self._slice(serving) // LOOKS_PER_SLICE))
        signature, holders = made.signature, frozenset(made.holders)
        like = Receipt(serving.lease, serving.offer, serving.opened_at, Seconds(0), ZERO_BYTES32, False)

        def asked(line: GatewayLine) -> SignaturesHeard:
            if ours is not None and line not in holders:
                line.api.post_receipt(ours.lease, ours, "provider", signature)
            told = line.api.receipts(serving.lease)
            under_ours = countersignatures(told, ours, order, domain) if ours is not None else ()
            ahead = prepayments(told, like, known, order, domain) if may_be_ahead else ()
            found = [Countersigned(ours, one) for one in under_ours if ours is not None]
            return SignaturesHeard(ours, (*found, *(Countersigned(*one) for one in ahead)))

        made.asking.begin(asked, head.number, seconds=WATCH_SECONDS)

    def _hear(self, serving: Serving, made: ProgressMade, head: BlockRef) -> None:
        for answer in made.asking.answers(head.number):
            if answer.found is None:
                _log.debug(
                    "progress.not_told", lease=serving.lease, gateway=answer.line.url, reason=str(answer.problem)
                )
                continue
            if answer.found.handed is not None and answer.found.handed == made.ours:
                made.holders.add(answer.line)
            for found in answer.found.found:
                # Again, on this thread: what a gateway told is no evidence of what we signed.
                is_newer = found.receipt.used_seconds > max(made.refused_seconds, made.signed_seconds)
                if is_newer and is_countersigned(found.receipt, found.signature, serving.order, self._tools.domain):
                    self._tools.journal.add_receipt(found.receipt, "client", found.signature, head.timestamp)
                    made.signed = found
                    _log.info("progress.countersigned", lease=serving.lease, used_seconds=found.receipt.used_seconds)

    def _stop_unpaid(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> None:
        """A reservation whose client does not sign what a gateway holds for it: served on as far as is guaranteed, then one slice and our
        patience further; then it is stopped, and claimed from."""
        made, execution = attendance.progress, attendance.execution
        if execution is None or attendance.ended is not None or made.is_unpaid or not made.holders:
            return
        if lease.status is not LeaseStatus.OPEN or not metering.is_term_lease(serving.order, lease):
            return
        unpaid = metering.unpaid_seconds(serving.order, lease, head.timestamp, made.signed_seconds)
        if unpaid > self._slice(serving) + self._tools.policy.patience_seconds:
            _log.warning("reservation.unpaid", lease=serving.lease, unpaid_seconds=unpaid)
            made.is_unpaid = True
            execution.kill()

    # The pay

    def _is_payable(self, serving: Serving, attendance: Attendance) -> bool:
        """Whether it is signed, not paid, and worth it. In a dispute at any price: what is paid is not in dispute any more."""
        if not attendance.progress.is_recalled:
            self._recall(serving, attendance.progress)
        signed, lease = attendance.progress.signed, attendance.lease
        if signed is None or lease is None or signed.receipt.used_seconds <= lease.paid_seconds:
            return False
        if lease.status is LeaseStatus.DISPUTED:
            return True
        earned = [
            earned_rounded_down(serving.price, serving.order.gpus, seconds)
            for seconds in (lease.paid_seconds, signed.receipt.used_seconds)
        ]
        is_ahead = metering.is_term_lease(serving.order, lease) and serving.state is ServingState.SEEN
        is_running = serving.state is ServingState.RUNNING or is_ahead
        return lease.status is LeaseStatus.OPEN and is_running and self._is_worth(TokenUnits(earned[1] - earned[0]))

    def _is_worth(self, income: TokenUnits) -> bool:
        """Where nobody knows what gas is worth in tokens, a slice is taken to be worth it."""
        return income * self._tools.sender.wei_per_unit >= WORTH * RECEIPT_GAS * self._wei_per_gas() or (
            not self._tools.sender.wei_per_unit and income > 0
        )


def _settlement(serving: Serving, attendance: Attendance) -> Settlement:
    signed = attendance.progress.signed
    assert signed is not None, "payable"
    receipt = signed.receipt
    return Settlement(serving.order, receipt.used_seconds, receipt.result, False, signed.signature, "0x")
