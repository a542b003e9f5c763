"""Sessions: Sign-In with Ethereum (EIP-4361), for reading."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace.api.fields import AddressText, Instant, Sentence, SignatureText, Word
from marketplace.api.record import Document, Record


class ChallengeAnswer(Record, frozen=True):
    """The message that an account signs as it is (EIP-191) to open a session, once, within five minutes of block time."""

    message: Sentence
    domain: Word
    nonce: Word
    expires_at: Instant
    """When a session that it opens is over."""
    expires_time: Word | None = None


MOST_MESSAGE = 2_000
"""Characters, as `chain.sign_in` has it too."""


class SignInRequest(Document, frozen=True):
    message: Annotated[str, Meta(min_length=1, max_length=MOST_MESSAGE, pattern=r"^[\x01-\x7f]*\Z")]
    """As it came with the challenge."""
    signature: SignatureText


class SessionAnswer(Record, frozen=True):
    token: Word
    """For ``Authorization: Bearer``. It is told once."""
    account: AddressText
    expires_at: Instant
    expires_time: Word | None = None


class SessionClosed(Record, frozen=True):
    closed: bool
