"""Who may write over HTTP before sessions exist: every writing request is signed as a message that people can read.

The message (EIP-191) names method, path, the body's hash, block time, chain and market, so it is good for one request
to one market for a short while. It may be replayed within that window; every write of the gateway is idempotent.

An account that is a contract is asked whether the signature is its own (EIP-1271), over the same message. The message does not name the account:
a key that signs for several has asked for the very same thing, and what each account may do is decided by the thing that the path names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from marketplace.chain.signing import Key, SigningDomain, message_text, recover_text, text_id
from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import Address, Bytes32, Sha256, address, sha256_of
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import signature_from_wire

Approval = Callable[[Address, Bytes32, str], bool]
"""Asks a contract whether a signature of a digest is its own."""

ACCOUNT_HEADER: Final = "Bourse-Account"
TIME_HEADER: Final = "Bourse-Time"
SIGNATURE_HEADER: Final = "Bourse-Signature"
FOR_HEADER: Final = "Bourse-For"
"""The account as whose delegate the sender uploads; the chain is asked whether that is so, and so it is not signed."""
HEARTBEAT_PATH: Final = "/v1/heartbeats"
HEARTBEAT_BODY: Final = b"{}"
WINDOW_SECONDS: Final = 120
"""How far the block time in a request may lie from the gateway's, either way."""
AHEAD_SECONDS: Final = 15
"""How far a sign of life may be ahead of the head of whoever reads it: its sender may see a block earlier, and the slowest chains make one in 12 s."""


def request_text(
    method: str, path_with_query: str, body: bytes | Sha256, block_time: UnixTime, domain: SigningDomain
) -> str:
    """The message that is signed. ``body`` is the content, or its sha256 where the content is streamed."""
    body_sha256 = sha256_of(body) if isinstance(body, bytes) else body
    return message_text(
        "request",
        f"{method.upper()} {path_with_query}",
        f"Body sha256: {body_sha256}",
        f"Block time: {block_time}",
        domain=domain,
    )


def heartbeat_text(block_time: UnixTime, domain: SigningDomain) -> str:
    """The message by which a provider says that it is alive at a block time: whoever has it, and the signature, can check it."""
    return request_text("POST", HEARTBEAT_PATH, HEARTBEAT_BODY, block_time, domain)


def sign_request(
    key: Key,
    method: str,
    path_with_query: str,
    body: bytes | Sha256,
    block_time: UnixTime,
    domain: SigningDomain,
    *,
    account: Address | None = None,
) -> dict[str, str]:
    """The three headers that authenticate one request, as the key's own or as that of a contract that takes its signature."""
    text = request_text(method, path_with_query, body, block_time, domain)
    return {ACCOUNT_HEADER: account or key.address, TIME_HEADER: str(block_time), SIGNATURE_HEADER: key.sign_text(text)}


def verify_request(
    headers: Mapping[str, str],
    method: str,
    path_with_query: str,
    body_sha256: Sha256,
    now: UnixTime,
    domain: SigningDomain,
    window_seconds: int = WINDOW_SECONDS,
    *,
    is_approved: Approval = lambda *_: False,
) -> Address:
    """Who sent the request; ``now`` is block time. Raises Unauthorized, naming the header at fault, and what ``is_approved`` raises.

    ``is_approved`` is asked only where the signature is not that of the account's own key.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    account, at, signature = (_header(lowered, name) for name in (ACCOUNT_HEADER, TIME_HEADER, SIGNATURE_HEADER))
    if not (at.isascii() and at.isdecimal() and len(at) <= 12):
        raise Unauthorized(f"{TIME_HEADER} must be a block time in seconds")
    if abs(int(at) - now) > window_seconds:
        raise Unauthorized(f"{TIME_HEADER} is {at}; it must be within {window_seconds} s of the block time {now}")
    text = request_text(method, path_with_query, body_sha256, UnixTime(int(at)), domain)
    refused = Unauthorized(f"{SIGNATURE_HEADER} is not {ACCOUNT_HEADER}'s signature of this request")
    try:
        sender, content = address(account), signature_from_wire(signature)
    except InvalidField:
        raise refused from None
    if recover_text(text, content) != sender and not is_approved(sender, text_id(text), content):
        raise refused
    return sender


def _header(lowered: Mapping[str, str], name: str) -> str:
    value = lowered.get(name.lower(), "")
    if not value:
        raise Unauthorized(f"the header {name} is missing")
    return value
