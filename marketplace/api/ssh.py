"""The key of a lease's machine, for who sits at it by ssh."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace.api.fields import Instant, SignatureText, WordText
from marketplace.api.reading import as_answer
from marketplace.api.record import Document, Record
from marketplace.domain.errors import InvalidField
from marketplace.domain.ssh import MOST_SSH_KEY_LETTERS, SSH_KEY_PATTERN, HostKey, SignedHostKey, checked_ssh_key
from marketplace.domain.wire import signature_from_wire

KeyLine = Annotated[
    str,
    Meta(min_length=1, max_length=MOST_SSH_KEY_LETTERS, extra_json_schema={"pattern": f"^{SSH_KEY_PATTERN}$"}),
]


class HostKeyDocument(Document, frozen=True):
    """The key, until when, and the signature of the provider that serves the lease (EIP-191)."""

    lease: WordText
    key: KeyLine
    valid_until: Instant
    signature: SignatureText

    @property
    def signed(self) -> SignedHostKey:
        """Raises InvalidField."""
        said = HostKey(self.lease, checked_ssh_key(self.key, "key"), self.valid_until)
        return SignedHostKey(said, signature_from_wire(self.signature))


class HostKeyTold(Record, frozen=True):
    """As it was left: check its signature against the provider that the chain names."""

    lease: WordText
    key: KeyLine
    valid_until: Instant
    signature: SignatureText

    @classmethod
    def of(cls, signed: SignedHostKey) -> HostKeyTold:
        said = signed.host_key
        return cls(said.lease, said.key, said.valid_until, signed.signature)

    @property
    def signed(self) -> SignedHostKey:
        """Raises UnreadableAnswer."""
        try:
            return HostKeyDocument(self.lease, self.key, self.valid_until, self.signature).signed
        except InvalidField as exc:
            raise as_answer(exc) from None
