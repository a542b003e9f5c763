"""How busy the GPUs of a running job are, as its provider samples them now and then. Its word, for people: no money depends on it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace.api.documents import Mib
from marketplace.api.fields import Count, Moment
from marketplace.api.record import Document, Record

MOST_SENT = 64
"""Samples in one message."""
MOST_KEPT = 720
"""Samples of one lease that a gateway keeps, the newest: an hour of one GPU."""

UuidText = Annotated[str, Meta(pattern=r"^GPU-[A-Za-z0-9-]{1,64}\Z")]


class GpuSampleDocument(Document, frozen=True):
    """One GPU at one block; null: its driver does not tell."""

    at: Moment
    uuid: UuidText
    busy_percent: Annotated[int, Meta(ge=0, le=100)] | None
    memory_used_mib: Mib | None
    power_watts: Count | None
    temperature_celsius: Annotated[int, Meta(ge=-273, le=1000)] | None


class GpuSamplesSent(Document, frozen=True):
    """What has been sampled since the last message."""

    samples: Annotated[list[GpuSampleDocument], Meta(min_length=1, max_length=MOST_SENT)]


class GpuSamplesAnswer(Record, frozen=True):
    """The newest samples of a lease's GPUs, oldest first."""

    samples: Annotated[list[GpuSampleDocument], Meta(max_length=MOST_KEPT)]
