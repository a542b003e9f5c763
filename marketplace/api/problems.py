"""RFC 9457, with the reason code of the domain's error, the field that is wrong and the rule that holds for it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from marketplace.api.fields import Count, Sentence, Word
from marketplace.api.record import Record


class ProblemTold(Record, frozen=True):
    """What is wrong. Whoever reads it lets every member be absent: a proxy between us has words of its own."""

    type: Sentence = ""
    title: Sentence = ""
    status: Annotated[int, Meta(ge=100, le=599)] = 500
    detail: Sentence = ""
    reason: Word = ""
    field: Word = ""
    rule: Sentence = ""
    length: Count | UnsetType = UNSET
    """Of the log, where an offset is refused."""
