"""Which providers have a container image unpacked, so that a job in it starts at once: their own word, and a hint only."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from marketplace.api.fields import AddressText, BlobText
from marketplace.api.record import Document, Record

MOST_WARM_IMAGES: Final = 64
"""That a provider names, those used last."""


class WarmImagesSent(Document, frozen=True):
    """The digests of the images that the sender has, which take the place of those that it named before."""

    images: Annotated[list[BlobText], Meta(max_length=MOST_WARM_IMAGES)]


class WarmImagesTaken(Record, frozen=True):
    """What was sent."""

    images: list[BlobText]


class WarmImageAnswer(Record, frozen=True):
    """The providers that have an image, and offer something now."""

    image: BlobText
    providers: list[AddressText]
