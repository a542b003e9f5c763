"""What a running job uses of its machine's processors and memory, as its provider samples it now and then. Its word: no money depends on it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace.api.documents import Mib
from marketplace.api.fields import Count, Moment
from marketplace.api.record import Document, Record

MOST_SENT = 16
"""Samples in one message."""
MOST_KEPT = 360
"""Samples of one lease that a gateway keeps, the newest: an hour."""


class JobSampleDocument(Document, frozen=True):
    """A job at one block, beside what it may have at most."""

    at: Moment
    cpu_milliseconds: Count
    """Of all its processes since it began. How many processors were busy is this over the time between two samples."""
    memory_used_mib: Mib
    cpus: Count
    memory_mib: Mib


class JobSamplesSent(Document, frozen=True):
    """What has been sampled since the last message."""

    samples: Annotated[list[JobSampleDocument], Meta(min_length=1, max_length=MOST_SENT)]


class JobSamplesAnswer(Record, frozen=True):
    """The newest samples of a lease's job, oldest first."""

    samples: Annotated[list[JobSampleDocument], Meta(max_length=MOST_KEPT)]
