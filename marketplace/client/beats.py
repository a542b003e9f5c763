"""A provider's beats as gateways show them: whether its own key signed one lately."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from marketplace.api.accounts import BeatTold
from marketplace.chain.request_signing import heartbeat_text
from marketplace.chain.signing import SigningDomain, recover_text
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime

BEATS_READ = 16
"""Of one answer; each may cost a question to the chain."""


def is_heard(
    beats: Iterable[BeatTold], provider: Address, since: UnixTime, domain: SigningDomain, speaker: Address
) -> bool:
    """Whether the provider's own key, or the operator's of one that is a company, has signed one of these beats, for a block time after ``since``."""
    own = (beat for beat in islice(beats, BEATS_READ) if beat.provider == provider and beat.at > since)
    return any(recover_text(heartbeat_text(beat.at, domain), beat.signature) == speaker for beat in own)
