"""Files: a blob's name is its sha256."""

from __future__ import annotations

from marketplace.api.fields import BlobText, Count
from marketplace.api.record import Record


class BlobAnswer(Record, frozen=True):
    sha256: BlobText
    bytes: Count
