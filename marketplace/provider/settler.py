"""The money's side of a serving: from the job's end to the chain's last word. Each method is one part of a step (``isolation``).

The pay never depends on the gateway: whatever it does, a claim is made before the deadline. Nor on the client: what it does
not sign is claimed. Nor on us: a verb that is sent twice, before and after a crash, is refused by the contract the second time.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from marketplace.chain import verbs
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField, MarketplaceError
from marketplace.domain.events import SettlementRefused
from marketplace.domain.ids import ZERO_BYTES32, bytes32_of
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.results import EndedReason, Result
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, TokenUnits
from marketplace.provider import metering
from marketplace.provider.attendance import Attendance
from marketplace.provider.capacity import Capacity
from marketplace.provider.closing import Ending, lost_result, wrapped
from marketplace.provider.countersignatures import countersignatures, is_countersigned
from marketplace.provider.delivering import offer_to_all
from marketplace.provider.toolbox import Dispatch, Toolbox
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

WATCH_SECONDS = 30.0
BATCH = 50
"""Receipts in one transaction: about 2M gas."""

LEAVING_SECONDS = Seconds(20)
"""How long an agent that leaves waits for a client's signature, in block time."""


class Settler:
    """Brings servings from EXITED to the exit that pays; the agent closes them when the chain shows it."""

    def __init__(self, tools: Toolbox, capacity: Capacity) -> None:
        self._tools, self._capacity = tools, capacity
        self._batch = Dispatch(tools.sender, tools.pools.money)
        self._settling: tuple[Settlement, ...] = ()
        self.is_leaving = False
        """Nobody will be there to wait for signatures: who has not signed soon is claimed from."""

    def receipted(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """The serving with its result bundled, and our receipt signed and journalled; unchanged while that is being done."""
        result = self._result(serving, attendance, head)
        if result is None or serving.provider_signature:
            return serving
        receipt = _receipt(serving, result)
        signature = self._tools.signed(receipt)
        self._tools.journal.add_receipt(receipt, "provider", signature, head.timestamp, serving.ended)
        serving = self._tools.journal.note(serving, result=receipt.result, provider_signature=signature)
        _log.info("receipt.signed", lease=serving.lease, used_seconds=serving.used_seconds, result=receipt.result)
        return serving

    def delivered(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Hand outputs and receipt to the gateway; it is tried for as long as anything can be earned by them."""
        if not self._is_delivered(serving, attendance, head) or serving.state is not ServingState.EXITED:
            return serving
        _log.info("receipt.delivered", lease=serving.lease, used_seconds=serving.used_seconds)
        return self._tools.journal.advance(serving, ServingState.RECEIPTED, at=head.timestamp, note=serving.note)

    def countersigned(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Look for the client side's signature under our very receipt; with it, the serving can settle."""
        if serving.state is ServingState.CLAIMED and (attendance.was_refused or not attendance.is_delivered):
            return serving
        return self._countersigned(serving, attendance, head)

    # The receipt

    def _result(self, serving: Serving, attendance: Attendance, head: BlockRef) -> Result | None:
        """The result document; None while the outputs are being bundled, and where this machine cannot (``loss`` says why)."""
        if serving.ended is EndedReason.OUTPUTS_LOST:
            attendance.result, _ = lost_result()
        if attendance.result is not None or attendance.is_found:
            return attendance.result
        try:
            found = attendance.wrapping.take(head.number)
        except (MarketplaceError, OSError, RuntimeError, MemoryError, ValueError) as exc:
            self._lost(serving, attendance, exc)
            found = None
        if found is None:
            folder, ending = attendance.folder, Ending(serving.ended, serving.exit_code, serving.note)
            is_over = not attendance.is_running
            attendance.wrapping.begin(
                lambda: wrapped(folder, ending, has_run=ending.has_run, is_over=is_over), head.number
            )
            return None
        attendance.result, attendance.loss = found.result, ""
        if found.disk_mib is not None:
            self._capacity.leave(serving.key, found.disk_mib)
        return found.result

    def _lost(self, serving: Serving, attendance: Attendance, why: BaseException) -> None:
        """Tried again with the next block. What cannot be handed over by the time of our claim is not charged."""
        attendance.loss = f"{type(why).__name__}: {why}"[:200]
        _log.warning("outputs.not_bundled", lease=serving.lease, error=attendance.loss)

    def _is_delivered(self, serving: Serving, attendance: Attendance, head: BlockRef) -> bool:
        """Whether the client's side can have our receipt and outputs; if not, they are on their way, or tried again."""
        result, signature = attendance.result, serving.provider_signature
        if result is None or not signature:
            return attendance.is_delivered
        try:
            offer_to_all(attendance, _receipt(serving, result), signature, result, head)
        except (OSError, InvalidField) as exc:
            self._lost(serving, attendance, exc)
        return attendance.is_delivered

    def _countersigned(self, serving: Serving, attendance: Attendance, head: BlockRef) -> Serving:
        signatures: list[str] = []
        for answer in attendance.watching.answers(head.number):
            signatures += answer.found or ()
            if answer.problem:
                _log.debug(
                    "receipts.not_read", lease=serving.lease, gateway=answer.line.url, reason=str(answer.problem)
                )
        ours, order, domain = _receipt(serving, None), serving.order, self._tools.domain
        # Again, for what was watched for may have been another receipt of ours.
        signature = next((one for one in signatures if is_countersigned(ours, one, order, domain)), "")
        if signature:
            self._tools.journal.add_receipt(_receipt(serving, None), "client", signature, head.timestamp)
            _log.info("receipt.countersigned", lease=serving.lease)
            return self._tools.journal.advance(
                serving, ServingState.SETTLING, at=head.timestamp, client_signature=signature
            )
        lease = serving.lease
        attendance.watching.begin(
            lambda line: countersignatures(line.api.receipts(lease), ours, order, domain),
            head.number,
            seconds=WATCH_SECONDS,
        )
        return serving

    # The claim

    def claimed_if_due(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Claim when the client had its time, or there is no more to give; later, close what nobody else closes.

        It waits for nothing and reads nothing but the chain's word, the journal and the agent's memory. Whether it worked is read
        from the chain, not from what came of our transaction: then it makes no difference whether an agent before us sent it.
        """
        attendance.dispatch.outcome(head.number)
        if lease.status is LeaseStatus.OPEN and self._is_claim_due(serving, attendance, lease, head):
            serving = self._without_the_lost(serving, attendance, lease)
            used = Seconds(max(lease.paid_seconds, serving.used_seconds or 0))
            result = serving.result or ZERO_BYTES32  # not bundled yet: the claim cannot wait for it
            claim = verbs.claim(self._tools.desk, serving.order, used, result)
            # By its serving: the result may have been bundled meanwhile, and two claims are one too many.
            name, stake = f"claim {serving.lease} {serving.opened_at}", self._at_stake(serving, attendance)
            attendance.send(claim, head, name=name, stake=stake)
        self._close_when_due(serving, attendance, lease, head)
        if lease.status is not LeaseStatus.CLAIMED or serving.state in (ServingState.CLAIMED, ServingState.SETTLING):
            return serving
        _log.info("lease.claimed", lease=serving.lease, used_seconds=lease.claimed_seconds)
        return self._tools.journal.advance(serving, ServingState.CLAIMED, at=head.timestamp, note=serving.note)

    def _without_the_lost(self, serving: Serving, attendance: Attendance, lease: Lease) -> Serving:
        """Charge nothing for outputs that this machine has lost. What a gateway did not take is owed all the same: we hold it still."""
        is_handed_over = attendance.is_delivered or serving.state is not ServingState.EXITED
        if not attendance.loss or is_handed_over or serving.ended is EndedReason.OUTPUTS_LOST:
            return serving
        _log.error("outputs.lost", lease=serving.lease, error=attendance.loss, used_seconds=serving.used_seconds)
        attendance.result, _ = lost_result()
        return self._tools.journal.note(
            serving, used_seconds=lease.paid_seconds, note=f"not charged: the provider lost the outputs ({attendance.loss})",
            ended=EndedReason.OUTPUTS_LOST, exit_code=None, result=bytes32_of(attendance.result.sha256), provider_signature="",
        )  # fmt: skip

    def _at_stake(self, serving: Serving, attendance: Attendance) -> TokenUnits:
        """What is lost if the claim comes too late: what the lease locks, and the bond."""
        lock = lock_of(serving.order, serving.price)
        bond = bond_of(lock, attendance.offer.bond_bps, self._tools.terms.bond_floor) if attendance.offer else 0
        return TokenUnits(lock + bond)

    def _is_claim_due(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> bool:
        window = metering.claim_window(serving.order, lease, self._tools.terms, self._tools.policy)
        if attendance.was_refused:
            return window.opens_at <= head.timestamp < window.closes_at
        since = None if serving.state is ServingState.SETTLING else serving.updated_at
        patience = self._tools.policy.patience_seconds
        return window.is_due(head.timestamp, since, min(patience, LEAVING_SECONDS) if self.is_leaving else patience)

    def _close_when_due(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> None:
        """Send what anyone may send, when the market's keeper has had its chance: nobody else has our interest."""
        policy, terms, order = self._tools.policy, self._tools.terms, serving.order
        market, now = self._tools.market.address, head.timestamp
        head_start = policy.keeper_head_start_seconds
        if lease.status is LeaseStatus.CLAIMED and now >= metering.finalize_at(lease, terms) + head_start:
            attendance.send(verbs.finalize(market, [order]), head)
        if lease.status is LeaseStatus.OPEN and serving.state is not ServingState.SETTLING:
            deadline = metering.claim_window(order, lease, terms, policy).closes_at
            # A signature that comes after all would still save the bond, until somebody expires the lease.
            if now >= deadline + policy.patience_seconds + head_start:
                attendance.send(verbs.expire(market, order), head)

    # The batch

    def settle(self, ready: Sequence[tuple[Serving, Attendance]], head: BlockRef) -> None:
        """Settle everything that both sides have signed in one transaction, and learn from what the contract refuses."""
        sent = self._batch.outcome(head.number)
        if sent:
            self._settling = ()
        if sent and sent.mined:
            refused = {event.lease: event.reason for event in sent.mined.events if isinstance(event, SettlementRefused)}
            for serving, attendance in ready:
                if serving.lease in refused:
                    self._refused(serving, attendance, refused[serving.lease].name)
        if not self._batch.is_idle or head.number < self._batch.seen_from:
            return
        # After a failure the very same batch goes again: another would be another transaction, beside one that may be mined.
        fresh = [serving for serving, attendance in ready if not attendance.was_refused][:BATCH]
        self._settling = self._settling or tuple(map(_settlement, fresh))
        if self._settling:
            _log.info("settlement.sending", leases=len(self._settling))
            self._batch.send(verbs.settle(self._tools.market.address, self._settling), head.number)

    def _refused(self, serving: Serving, attendance: Attendance, reason: str) -> None:
        """The contract knows better than our check. What is over shows in its next answer; for the rest a claim is left."""
        _log.warning("settlement.refused", lease=serving.lease, reason=reason)
        attendance.was_refused = True


def _receipt(serving: Serving, result: Result | None) -> Receipt:
    """Our receipt: from the result document, or, when that is journalled, from the journal alone."""
    name = bytes32_of(result.sha256) if result else serving.result or ZERO_BYTES32
    return Receipt(
        lease=serving.lease, offer=serving.offer, opened_at=serving.opened_at,
        used_seconds=Seconds(serving.used_seconds or 0), result=name, last=True,
    )  # fmt: skip


def _settlement(serving: Serving) -> Settlement:
    receipt = _receipt(serving, None)
    return Settlement(
        serving.order, receipt.used_seconds, receipt.result, True, serving.client_signature, serving.provider_signature
    )
