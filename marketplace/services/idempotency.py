"""Answers that are given once: a request that comes again under the same key gets the answer of the first time."""

from __future__ import annotations

import hashlib
import re

from marketplace.domain.errors import IdempotencyMismatch, InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.services.answers import Stored
from marketplace.store.journal.operator import OperatorJournal

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def fingerprint_of(method: str, path: str, body: bytes) -> str:
    """What makes a request the same request."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


def key_in(header: str | None) -> str | None:
    """The key that a request brings, if any. Raises InvalidField for a malformed one."""
    if header is not None and not _KEY.fullmatch(header):
        raise InvalidField("Idempotency-Key", "must be 1 to 128 visible ASCII characters")
    return header


class GivenAnswers:
    """The journal's memory of answers, per account and key. Only successes are kept: a failed request changed nothing."""

    def __init__(self, journal: OperatorJournal) -> None:
        self._journal = journal

    def recall(self, key: str | None, account: Address, fingerprint: str) -> Stored | None:
        """The answer given before, if any. Raises InvalidField for a malformed key, IdempotencyMismatch for another request."""
        key = key_in(key)
        if key is None:
            return None
        known = self._journal.recall(key, account)
        if known is None:
            return None
        if known.fingerprint != fingerprint:
            raise IdempotencyMismatch(key)
        return Stored(known.status, known.body)

    def remember(self, key: str | None, account: Address, fingerprint: str, answer: Stored, at: UnixTime) -> None:
        """Keep an answer, given at block time ``at``. Of two concurrent ones the first stays: both say the same."""
        if key is not None:
            self._journal.remember(key, account, fingerprint, answer.status, answer.body, at)
