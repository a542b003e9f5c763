"""Leave to read one part of one lease for a while, signed by a party of its client's side: no secret of any server is in it.

Whoever has the token may read until its block time is over; it names chain, market, lease and part, and opens nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketplace.chain.request_signing import Approval
from marketplace.chain.signing import Key, SigningDomain, message_text, recover_text, text_id
from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import Address, Bytes32, address
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import signature_from_wire

MOST_SHARE_SECONDS = 7 * 86_400
"""A share is good for a week of block time at most: nothing can take it back."""


class Part(StrEnum):
    """What can be read of a lease."""

    WORK = "work"
    LOG = "log"
    OUTPUTS = "outputs"


SHARED = frozenset({Part.LOG, Part.OUTPUTS})
"""What a party may share."""


@dataclass(frozen=True, slots=True)
class Share:
    """Somebody's leave to read ``part`` until block time ``until``; ``signature`` is by ``account``, or what it takes for its own."""

    account: Address
    part: Part
    until: UnixTime
    signature: str

    @property
    def token(self) -> str:
        """As it stands in a URL."""
        return ".".join((self.part, str(self.until), self.account, self.signature))


def share_text(lease: Bytes32, part: Part, until: UnixTime, domain: SigningDomain) -> str:
    """The message that is signed (EIP-191)."""
    return message_text("share", f"Lease: {lease}", f"Read: {part}", f"Until block time: {until}", domain=domain)


def sign_share(
    key: Key, lease: Bytes32, part: Part, until: UnixTime, domain: SigningDomain, *, account: Address | None = None
) -> Share:
    """Leave to read, as the key's own or as that of a contract that takes its signature."""
    return Share(account or key.address, part, until, key.sign_text(share_text(lease, part, until, domain)))


def read_share(token: str) -> Share:
    """What a token says; raise InvalidField where it says nothing."""
    words = token.split(".")
    if (
        len(words) != 4
        or words[0] not in SHARED
        or not (words[1].isascii() and words[1].isdecimal() and len(words[1]) <= 12)
    ):
        raise InvalidField("share", "must be part, block time, account and signature")
    part, until, account, signature = words
    return Share(address(account, field="share"), Part(part), UnixTime(int(until)), signature_from_wire(signature))


def check_share(share: Share, lease: Bytes32, now: UnixTime, domain: SigningDomain, is_approved: Approval) -> None:
    """Raise Unauthorized where it is over, too long, or not signed by the account that it names; and what ``is_approved`` raises."""
    if not now < share.until <= now + MOST_SHARE_SECONDS:
        raise Unauthorized("the share is over, or longer than a week")
    text = share_text(lease, share.part, share.until, domain)
    if recover_text(text, share.signature) != share.account and not is_approved(
        share.account, text_id(text), share.signature
    ):
        raise Unauthorized("the share is not signed by the account that it names")
