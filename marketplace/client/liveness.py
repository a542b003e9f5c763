"""Whether a provider is silent, as far as gateways can tell: evidence, or none.

A gateway that is away, stands still or lies shows no sign of a healthy provider's life either. So silence counts only where somebody would have been
heard: where the same gateway shows a fresh beat of another provider, or where two gateways that both know the provider answer. Beats are the
providers' own signatures of block times; who is a provider is the chain's word. Silence is counted from when we began to see that, without a gap: right
after an outage, a gateway's or our own, nobody is silent yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from marketplace.api.accounts import BeatTold
from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.market import MarketContract
from marketplace.chain.request_signing import AHEAD_SECONDS, WINDOW_SECONDS, heartbeat_text
from marketplace.chain.signing import recover_text, text_id
from marketplace.client.beats import BEATS_READ
from marketplace.client.witnesses import Witnessed, Witnesses
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.units import Seconds, UnixTime

LEAST_FRESH_SECONDS = 3
"""Beats come every two seconds, with the block time of when they were sent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one gateway lets us hear, checked: the provider's last beat, and the newest of anybody else's. None: none."""

    own: UnixTime | None
    others: UnixTime | None


def fresh_seconds(patience: Seconds) -> int:
    """How old another's beat may be, and how long we may look away, for silence to be evidence: together less than the patience."""
    return max(LEAST_FRESH_SECONDS, patience // 3)


def is_witnessed(heard: Sequence[Heard], now: UnixTime, patience: Seconds) -> bool:
    """Whether the provider would be heard at this moment: a gateway that has heard of it before hears another one, or two such gateways answer."""
    knowing = [one for one in heard if one.own is not None]
    return len(knowing) >= 2 or any(
        one.others is not None and now - one.others <= fresh_seconds(patience) for one in knowing
    )


def witnessed_by(before: Witnessed | None, now: UnixTime, patience: Seconds) -> Witnessed:
    """The stretch with this moment in it; a new one after a gap."""
    if before is None or now - before.until > fresh_seconds(patience):
        return Witnessed(now, now)
    return Witnessed(before.since, max(now, before.until))


def silent_seconds(heard: Sequence[Heard], witnessed: Witnessed, opened_at: UnixTime, now: UnixTime) -> Seconds:
    """How long nothing was heard of the provider while it would have been."""
    last = max((one.own for one in heard if one.own is not None), default=UnixTime(0))
    return Seconds(max(0, now - max(last, opened_at, witnessed.since)))


class SignsOfLife:
    """Asks all of a client's gateways, once for each provider and block. What it has witnessed is kept in the journal."""

    def __init__(self, market: MarketContract, gateways: Sequence[GatewayApi], kept: Witnesses) -> None:
        self._market, self._gateways, self._kept = market, tuple(gateways), kept
        self._witnessed: dict[tuple[Address, Seconds], Witnessed] = {}
        self._heard: dict[Address, tuple[Heard, ...]] = {}
        self._heard_at: Bytes32 | None = None
        self._checked: dict[BeatTold, bool] = {}

    def silence(self, provider: Address, opened_at: UnixTime, patience: Seconds, block: BlockRef) -> Seconds:
        """How long the provider has been silent, by evidence; 0 where there is none. Raises ChainUnavailable."""
        heard = self._hear(provider, block)
        if not is_witnessed(heard, block.timestamp, patience):
            return Seconds(0)
        witnessed = self._witness(provider, patience, block.timestamp)
        return silent_seconds(heard, witnessed, opened_at, block.timestamp)

    def is_alive_since(self, provider: Address, at: UnixTime, block: BlockRef) -> bool:
        """Whether any gateway shows a beat that the provider signed after ``at``."""
        return any(one.own is not None and one.own > at for one in self._hear(provider, block))

    def _witness(self, provider: Address, patience: Seconds, now: UnixTime) -> Witnessed:
        """The stretch with this moment in it. Written down now and then only: each time costs a write to the disk."""
        kept, key = self._kept.of(provider, patience), (provider, patience)
        seen = witnessed_by(self._witnessed.get(key, kept), now, patience)
        self._witnessed[key] = seen
        if kept is None or kept.since != seen.since or seen.until - kept.until >= fresh_seconds(patience) // 4:
            self._kept.keep(provider, patience, seen)
        return seen

    def _hear(self, provider: Address, block: BlockRef) -> tuple[Heard, ...]:
        if self._heard_at != block.hash:
            self._heard, self._heard_at = {}, block.hash
            self._checked = {
                beat: is_true for beat, is_true in self._checked.items() if beat.at > block.timestamp - WINDOW_SECONDS
            }
        if provider not in self._heard:
            told = (_beats(api, provider) for api in self._gateways)
            self._heard[provider] = tuple(self._heard_in(beats, provider, block) for beats in told if beats is not None)
        return self._heard[provider]

    def _heard_in(self, beats: Iterable[BeatTold], provider: Address, block: BlockRef) -> Heard:
        true = [
            beat
            for beat in islice(beats, BEATS_READ)
            if beat.at <= block.timestamp + AHEAD_SECONDS and self._is_true(beat, block)
        ]
        own = max((beat.at for beat in true if beat.provider == provider), default=None)
        others = (beat.at for beat in true if beat.provider != provider and self._is_provider(beat, block))
        return Heard(own, max(others, default=None))

    def _is_true(self, beat: BeatTold, block: BlockRef) -> bool:
        """Whether the provider signed it, with its key or as a contract."""
        if beat not in self._checked:
            text = heartbeat_text(beat.at, self._market.domain)
            self._checked[beat] = recover_text(
                text, beat.signature
            ) == beat.provider or self._market.companies.approves(beat.provider, text_id(text), beat.signature, block)
        return self._checked[beat]

    def _is_provider(self, beat: BeatTold, block: BlockRef) -> bool:
        offer = self._market.listing_of(beat.offer, block) if beat.offer else None
        return offer is not None and offer.provider == beat.provider


def _beats(api: GatewayApi, provider: Address) -> tuple[BeatTold, ...] | None:
    """None where the gateway does not answer, or answers with what nobody can read: its own absence is no evidence."""
    try:
        return api.heartbeats(provider)
    except GatewayError:
        return None
