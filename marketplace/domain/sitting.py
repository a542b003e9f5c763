"""Why somebody who sits at a job's machine is told no. Part of the tree in ``domain.errors``."""

from __future__ import annotations

from enum import StrEnum

from marketplace.domain.errors import MarketplaceError


class EntryReason(StrEnum):
    """What stood in the way into a running job."""

    JOB_GONE = "job_gone"
    """It is over, or its provider has it no more."""
    JOB_NOT_READY = "job_not_ready"
    """Its sandbox is still being made: again in a moment."""
    ENTRY_FAILED = "entry_failed"
    """The machine could not make a process in there: the job may have used up its processes or its memory."""
    PORT_CLOSED = "port_closed"
    """Nothing in the job listens on that port."""
    PORT_TAKEN = "port_taken"
    """Something in the job listens on that port already."""
    TOO_MANY = "too_many"
    """As many as one job may have at a time."""


class EntryRefused(MarketplaceError):
    """There is no way into the job now."""

    def __init__(self, why: EntryReason, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why, self.detail = why, detail

    @property
    def reason(self) -> str:
        return str(self.why)
