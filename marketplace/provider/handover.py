"""What becomes of closed servings: what their jobs left is handed over, or kept for a follow-on, and then their folders are removed.

Handed over is what a job left whose lease the chain ended before its result was delivered: cancelled, disputed, expired. Nothing is paid for it, so nothing waits for it: its GPUs are free when the job's last process is gone, and after a while the
folder is removed, delivered or not. The receipt that names the result is worth no more than the chain has paid by then.
"""

from __future__ import annotations

from functools import partial

import structlog

from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import bytes32_of
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason, Result
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.provider.attendance import Attendance
from marketplace.provider.attendant import Attendant
from marketplace.provider.capacity import Capacity
from marketplace.provider.closing import LOST, Ending, wrapped
from marketplace.provider.delivering import offer_to_all
from marketplace.provider.isolation import apart
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import OwedHandover, Serving, ServingKey

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


class Handover:
    """Sees closed servings off, beside the agent's step. One part at a time; may be repeated.

    What it has begun is in the journal, and goes on with the next agent of this home."""

    def __init__(self, tools: Toolbox, attendant: Attendant, capacity: Capacity) -> None:
        self._tools, self._attendant, self._capacity = tools, attendant, capacity
        self._owed: dict[ServingKey, OwedHandover] = {}
        self._leaving: dict[ServingKey, Attendance] = {}

    @property
    def is_idle(self) -> bool:
        """Whether every closed serving is gone to its last file."""
        return not self._leaving

    def begin(self, serving: Serving, attendance: Attendance, ending: e.Event | None, now: BlockRef) -> None:
        """See off a serving that has just been closed."""
        self._leaving[serving.key] = attendance
        self._tools.workspaces.keep(serving, now.timestamp)
        self._owe(serving, attendance, ending, now)

    def take_up(self, serving: Serving, attendance: Attendance) -> None:
        """One of those that were ``begun`` by an agent before us."""
        self._leaving[serving.key] = attendance

    def take_back(self, key: ServingKey) -> Attendance | None:
        """Its ending was taken back before its folder was gone; None where it is none of ours."""
        self._tools.workspaces.take_back(key)
        return self._leaving.pop(key, None)

    def step(self, head: BlockRef) -> None:
        """Free the GPUs and delete the folders of closed servings whose last process and last chore are gone."""
        for key, attendance in tuple(self._leaving.items()):
            self._attendant.started(attendance, head)
            if attendance.is_found:
                apart("find", key[0], partial(self._attendant.ended, key, attendance, head), None)
            if attendance.is_found or not attendance.is_quiet:
                continue
            self._capacity.end(key)
            if apart("handover", key[0], partial(self._is_over, key, attendance, head), otherwise=False):
                self._capacity.release(key)
                del self._leaving[key]

    def _owe(self, serving: Serving, attendance: Attendance, ending: e.Event | None, now: BlockRef) -> None:
        """Remember what is owed: nothing where nothing ran, or all was delivered."""
        ran = serving.state is not ServingState.SEEN and bool(serving.folder)
        if not ran or attendance.is_delivered or serving.state in (ServingState.RECEIPTED, ServingState.SETTLING):
            return
        how = Ending(serving.ended, serving.exit_code, serving.note)
        if serving.state is ServingState.RUNNING:
            reason = _REASONS.get(type(ending), EndedReason.LEASE_OVER) if ending else EndedReason.LEASE_OVER
            how = Ending(reason, None, _NOTES[reason])
        paid = attendance.lease.paid_seconds if attendance.lease else 0
        elapsed = now.timestamp - max(serving.opened_at, serving.order.starts_at)
        used = Seconds(min(serving.order.max_seconds, max(paid, elapsed, serving.used_seconds or 0)))
        until = UnixTime(now.timestamp + self._tools.policy.fetch_patience_seconds)
        owed = OwedHandover(serving.key, how.reason, how.exit_code, how.note, used, until)
        self._tools.journal.handovers.keep(owed)
        self._owed[serving.key] = owed

    def begun(self) -> list[Serving]:
        """The closed servings that an agent before us had begun with, or kept the files of."""
        journal, workspaces = self._tools.journal, self._tools.workspaces
        for owed in journal.handovers.all():
            self._owed[owed.key] = owed
        expected = workspaces.expected()
        found = [journal.serving(*key) for key in dict.fromkeys((*self._owed, *expected))]
        closed = [serving for serving in found if serving and serving.state is ServingState.CLOSED]
        for serving in closed:
            workspaces.keep(serving, serving.updated_at)
        return closed

    def _is_over(self, key: ServingKey, attendance: Attendance, head: BlockRef) -> bool:
        """Whether all is handed over and its folder is gone; else the next bit of that is begun. Only when nothing runs in it."""
        owed = self._owed.get(key)
        if owed is None:
            return self._is_removed(key, attendance, head)
        has_all = len(attendance.holders) == len(self._tools.gateways)
        if has_all or head.timestamp >= owed.until:
            _log.info("serving.parted", lease=key[0], is_delivered=attendance.is_delivered)
            self._tools.journal.handovers.forget(key)
            del self._owed[key]
            return False
        result = attendance.result or self._wrapped(owed, attendance, head)
        if result is not None:
            self._deliver(owed, attendance, result, head)
        return False

    def _is_removed(self, key: ServingKey, attendance: Attendance, head: BlockRef) -> bool:
        """Whether its folder is gone; else that is being done, or tried again with the next block."""
        home, executor, name = self._tools.home, self._tools.executor, attendance.folder.name
        if self._tools.workspaces.is_kept(key, head.timestamp):
            return False

        def remove() -> bool:
            executor.reap(name)
            return home.remove(name)

        is_gone = attendance.removing.take(head.number) or False
        if not is_gone:
            attendance.removing.begin(remove, head.number)
        return is_gone

    def _wrapped(self, owed: OwedHandover, attendance: Attendance, head: BlockRef) -> Result | None:
        found = attendance.wrapping.take(head.number)
        if found is not None:
            attendance.result = found.result
        else:
            ended = attendance.execution.poll() if attendance.execution else None
            if ended is not None and ended.log is not None:
                attendance.folder.note_gap(ended.log.missing_from, ended.log.missing_bytes)
            folder, ending = attendance.folder, Ending(owed.ended, owed.exit_code, owed.note)
            has_run, lost = ending.has_run or ending.reason in _NOTES, Ending(EndedReason.OUTPUTS_LOST, note=LOST)
            attendance.wrapping.begin(
                lambda: wrapped(folder, ending, has_run=has_run, is_over=True, if_gone=lost), head.number
            )
        return attendance.result

    def _deliver(self, owed: OwedHandover, attendance: Attendance, result: Result, head: BlockRef) -> None:
        serving = self._tools.journal.serving(*owed.key)
        assert serving, "that is where the key is from"
        receipt = Receipt(
            lease=serving.lease, offer=serving.offer, opened_at=serving.opened_at,
            used_seconds=owed.used_seconds, result=bytes32_of(result.sha256), last=True,
        )  # fmt: skip
        signature = self._tools.signed(receipt)
        if not attendance.holders and not attendance.delivering.is_under_way:
            self._tools.journal.add_receipt(receipt, "provider", signature, head.timestamp, result.reason)
        offer_to_all(attendance, receipt, signature, result, head)
