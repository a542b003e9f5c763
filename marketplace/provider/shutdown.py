"""How an agent ends that has been asked to: when everything is finished, or when there is no more time to finish it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from marketplace.domain.leases import LeaseStatus
from marketplace.domain.states import ServingState
from marketplace.provider.attendance import Attendance
from marketplace.provider.openings import LIVE
from marketplace.provider.reporter import Reporter
from marketplace.provider.steering import Steering
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.rows import Serving, ServingKey

_log = structlog.get_logger()


class Shutdown:
    """Decides when the agent has left. Nothing is to be stepped after that."""

    def __init__(self, journal: AgentJournal, steering: Steering, reporter: Reporter) -> None:
        self._journal, self._steering, self._reporter = journal, steering, reporter
        self.is_over = False
        self.has_left_behind = False
        """Whether somebody has to come back for something: a lease, or an offer that is up."""

    def give_up_if_overdue(self) -> None:
        """Whoever asked waits no longer: what is not finished waits for the next agent of this home."""
        if self._steering.is_overdue:
            live = self._journal.servings(*LIVE)
            self.has_left_behind = bool(live) or not self._reporter.is_withdrawn
            _log.error(
                "agent.left_behind", leases=[serving.lease for serving in live], are_offers_up=not self._reporter.is_withdrawn,
                advice="start it again in time: a lease that nobody claims loses its bond",
            )  # fmt: skip
            self._end()

    def leave_when_finished(self, attendances: Mapping[ServingKey, Attendance]) -> None:
        """No offer is up, and every lease is over, or claimed with its outputs delivered: anyone may finalize that."""
        if self._steering.is_leaving and self._reporter.is_withdrawn:
            live = self._journal.servings(*LIVE)
            if all(_is_finished(serving, attendances.get(serving.key)) for serving in live):
                _log.info("agent.drained", claimed=len(live))
                self._end()

    def _end(self) -> None:
        self.is_over = True
        self._steering.leave()


def _is_finished(serving: Serving, attendance: Attendance | None) -> bool:
    if attendance is None or attendance.lease is None or serving.state is not ServingState.CLAIMED:
        return False
    return attendance.lease.status is LeaseStatus.CLAIMED and attendance.is_delivered
