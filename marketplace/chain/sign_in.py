"""Sign-In with Ethereum (EIP-4361): the text that a wallet shows and signs, and what it says.

The text names the gateway's own domain, chain and market, a nonce of the gateway and an expiry. Times are block times.
The library is imported where it is used: its grammars take a second of processor, which a gateway has better things to do with at its start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from marketplace.chain.checksums import checksum
from marketplace.chain.signing import SigningDomain
from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import Address, address
from marketplace.domain.units import UnixTime, iso_from_time

if TYPE_CHECKING:
    from siwe import ISO8601Datetime

STATEMENT = "Read what the leases of this account are about."
MOST_TEXT = 2_000
_SHAPE = re.compile(
    r"[!-~]{1,128} wants you to sign in with your Ethereum account:\n0x[0-9a-fA-F]{40}\n\n([ -~]{1,128}\n)?\n"
    r"([A-Z][A-Za-z -]{2,20}: [!-~]{1,128}\n){4,8}(Resources:(\n- [!-~]{1,160}){1,4})?\n?"
)
"""What is not so is not parsed: the parser takes seconds for a long word."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """What somebody signs to be known for a while."""

    account: Address
    site: str
    """The gateway as people know it: scheme, host, and port where there is one."""
    market: SigningDomain
    nonce: str
    issued_at: UnixTime
    expires_at: UnixTime

    @property
    def domain(self) -> str:
        """The site's authority: host, and port."""
        return urlsplit(self.site).netloc

    @property
    def resource(self) -> str:
        return f"urn:compute-bourse:market:{self.market.chain_id}:{self.market.market}"

    def text(self) -> str:
        """The message, as EIP-4361 writes it."""
        from siwe import ISO8601Datetime, SiweMessage

        message = SiweMessage(
            domain=self.domain,
            address=checksum(self.account),
            uri=self.site,
            version="1",
            chain_id=self.market.chain_id,
            issued_at=ISO8601Datetime(iso_from_time(self.issued_at)),
            expiration_time=ISO8601Datetime(iso_from_time(self.expires_at)),
            nonce=self.nonce,
            statement=STATEMENT,
            resources=[self.resource],
        )
        return str(message.prepare_message())


def read_sign_in(text: str, market: SigningDomain) -> SignIn:
    """What the text says; raise InvalidField where it is too long or no ASCII, Unauthorized where it is no EIP-4361 message, or not one for this
    market and chain."""
    from siwe import SiweMessage

    if len(text) > MOST_TEXT or not text.isascii():
        raise InvalidField("message", f"must be at most {MOST_TEXT} ASCII characters")
    if not _SHAPE.fullmatch(text):
        raise Unauthorized("the message must be an EIP-4361 message, as a challenge is")
    try:
        said = SiweMessage.from_message(text)
        expires_at = said.expiration_time and _instant(said.expiration_time)
        issued_at, account = _instant(said.issued_at), address(said.address)
    except ValueError:
        raise Unauthorized("the message must be an EIP-4361 message") from None
    if not expires_at or said.not_before or said.request_id or said.scheme:
        raise Unauthorized("the message must say when it expires, and no scheme, not-before or request id")
    found = SignIn(account, str(said.uri), market, said.nonce, issued_at, expires_at)
    if said.domain != found.domain:
        raise Unauthorized("the message must name one site, in its first line and as its URI")
    if said.chain_id != market.chain_id or said.resources != [found.resource] or said.version.value != "1":
        raise Unauthorized(f"the message must be for chain {market.chain_id} and {found.resource}")
    return found


def _instant(written: ISO8601Datetime) -> UnixTime:
    return UnixTime(int(written._datetime.timestamp()))
