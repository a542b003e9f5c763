"""Handing over what a job left whose lease the chain ended before its result was delivered: cancelled, disputed, expired.

Nothing is paid for it, so nothing waits for it: its GPUs are free when the job's last process is gone, and after a while the
folder is removed, delivered or not. The receipt that names the result is worth no more than the chain has paid by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from marketplace.domain import events as e
from marketplace.domain.ids import bytes32_of
from marketplace.domain.models import BlockRef, Receipt
from marketplace.domain.results import EndedReason, Result
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.provider.attendance import Attendance
from marketplace.provider.closing import Ending, wrap_up
from marketplace.provider.delivering import offer_to_all
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

_REASONS: dict[type[e.Event], EndedReason] = {
    e.LeaseTerminated: EndedReason.CANCELLED,
    e.LeaseRuled: EndedReason.DISPUTED,
    e.LeaseLapsed: EndedReason.DISPUTED,
}
_NOTES = {
    EndedReason.CANCELLED: "stopped: the client called it off; what is there is delivered",
    EndedReason.DISPUTED: "stopped: the client has disputed its lease; what is there is delivered",
    EndedReason.LEASE_OVER: "stopped: its lease is over; what is there is delivered",
}


@dataclass(frozen=True, slots=True)
class Parting:
    """What is still to be handed over of a serving, and until when that is tried."""

    serving: Serving
    ending: Ending
    used_seconds: Seconds
    """No less than what was earned: should a reorganisation bring the lease back, nobody can settle it for less."""
    until: UnixTime


class Farewell:
    """Delivers, beside the agent's step, what is left of closed servings. One part at a time; may be repeated."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self._partings: dict[str, Parting] = {}

    def begin(self, serving: Serving, attendance: Attendance, ending: e.Event | None, now: BlockRef) -> None:
        """Remember what is owed of a serving that has just been closed: nothing where nothing ran, or all was delivered."""
        ran = serving.state is not ServingState.SEEN and bool(attendance.folder.runs())
        if not ran or attendance.is_delivered or serving.state in (ServingState.RECEIPTED, ServingState.SETTLING):
            return
        how = Ending(serving.ended, serving.exit_code, serving.note)
        if serving.state is ServingState.RUNNING:
            reason = _REASONS.get(type(ending), EndedReason.LEASE_OVER) if ending else EndedReason.LEASE_OVER
            how = Ending(reason, None, _NOTES[reason])
        paid = attendance.lease.paid_seconds if attendance.lease else 0
        elapsed = now.timestamp - serving.opened_at
        used = Seconds(min(serving.order.max_seconds, max(paid, elapsed, serving.used_seconds or 0)))
        until = UnixTime(now.timestamp + self._tools.policy.fetch_patience_seconds)
        self._partings[attendance.folder.name] = Parting(serving, how, used, until)

    def is_over(self, attendance: Attendance, head: BlockRef) -> bool:
        """Whether all is handed over and its folder is gone; else the next bit of that is begun. Only when nothing runs in it."""
        parting = self._partings.get(attendance.folder.name)
        if parting is None:
            return self._is_removed(attendance, head)
        has_all = len(attendance.holders) == len(self._tools.gateways)
        if has_all or head.timestamp >= parting.until:
            _log.info("serving.parted", lease=parting.serving.lease, is_delivered=attendance.is_delivered)
            del self._partings[attendance.folder.name]
            return False
        result = attendance.result or self._wrapped(parting, attendance, head)
        if result is not None:
            self._deliver(parting, attendance, result, head)
        return False

    def _is_removed(self, attendance: Attendance, head: BlockRef) -> bool:
        """Whether its folder is gone; else that is being done, or tried again with the next block."""
        home, executor, name = self._tools.home, self._tools.executor, attendance.folder.name

        def remove() -> bool:
            executor.reap(name)
            return home.remove(name)

        is_gone = attendance.removing.take(head.number) or False
        if not is_gone:
            attendance.removing.begin(remove, head.number)
        return is_gone

    def _wrapped(self, parting: Parting, attendance: Attendance, head: BlockRef) -> Result | None:
        attendance.result = attendance.wrapping.take(head.number)
        if attendance.result is None:
            ended = attendance.execution.poll() if attendance.execution else None
            if ended is not None and ended.log is not None:
                attendance.folder.note_gap(ended.log.missing_from, ended.log.missing_bytes)
            attendance.wrapping.begin(lambda: wrap_up(attendance.folder, parting.ending), head.number)
        return attendance.result

    def _deliver(self, parting: Parting, attendance: Attendance, result: Result, head: BlockRef) -> None:
        serving = parting.serving
        receipt = Receipt(
            lease=serving.lease, offer=serving.offer, opened_at=serving.opened_at,
            used_seconds=parting.used_seconds, result=bytes32_of(result.sha256), last=True,
        )  # fmt: skip
        signature = self._tools.key.sign_receipt(receipt, self._tools.domain)
        offer_to_all(attendance, receipt, signature, result, head)
