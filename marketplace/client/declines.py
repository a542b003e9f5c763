"""Why a provider gave a lease back, as far as its own signature vouches for it."""

from __future__ import annotations

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.signing import SigningDomain
from marketplace.chain.statements import decliner_of
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import Address, Bytes32


def why_declined(api: GatewayApi, domain: SigningDomain, lease: Bytes32, speaker: Address | None) -> str:
    """The last word about the lease of whoever speaks for its provider, in a few words for people; empty where it has said nothing, or nobody carried it."""
    try:
        told = api.declines(lease)
    except GatewayError:
        return ""
    words = [one.decline for one in told if decliner_of(one.decline, one.signature, domain) == speaker]
    if speaker is None or not words:
        return ""
    last = max(words, key=lambda word: word.opened_at)
    return f"{last.reason}: {last.detail}" if last.detail else str(last.reason)
