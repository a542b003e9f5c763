"""What a scheduler may choose for itself. Nothing here can move money beyond what both sides signed."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.units import Bps, Seconds, UnixTime


@dataclass(frozen=True, slots=True)
class Policy:
    """The knobs of one scheduler, part of every snapshot so that a round can be replayed. What the market says of itself, quotes among it, goes
    by the defaults."""

    heartbeat_seconds: Seconds = Seconds(20)  # noqa: RUF009
    """A provider that gave no sign of life for longer, in block time, gets no new work, is quoted as silent, and is listed as silent.

    Agents give one every two seconds: a provider that has died loses ten of them, and one whose gateway was away is back with its next."""
    refusal_cooldown_blocks: int = 5
    """For so many blocks a pair that the contract refused is not proposed again."""
    decline_cooldown_seconds: Seconds = Seconds(600)  # noqa: RUF009
    """For so long, in block time, an order does not go back to a provider that declined it."""
    mining_margin_seconds: Seconds = Seconds(5)  # noqa: RUF009
    """A fill is mined later than it is planned: what expires within this time counts as expired."""
    patience_seconds: Seconds = Seconds(3600)  # noqa: RUF009
    """An order that has waited longer, in block time, is overdue: placed first, if its limit meets the clearing price and its credit covers
    what that costs."""
    credit_bps: Bps = Bps(50)  # noqa: RUF009
    """Of the round's surplus: the credit of an overdue order, once more for every ``credit_seconds`` that it waits on. So nobody waits for ever, and no
    order costs a market much at once."""
    credit_seconds: Seconds = Seconds(600)  # noqa: RUF009
    elders_per_thousand: int = 2
    """So many overdue orders are placed first for each thousand that are placed, and always one. They push aside who pays more, but no other overdue
    order. (Its name is that of the snapshot's field.)"""
    preference_bps: Bps = Bps(200)  # noqa: RUF009
    """An offer in a region that the order prefers may ask so much more than the one it would get, and is taken."""
    strikes: int = 3
    """After so many fills in a row that it spoilt itself a client is served last, for as long as its faults are recent (``BookView.faults``)."""


DEFAULT = Policy()


def is_silent(last_heartbeat: UnixTime | None, now: UnixTime, policy: Policy = DEFAULT) -> bool:
    """Whether a provider that was last heard of then is too silent, by now, to be given work."""
    return last_heartbeat is None or now - last_heartbeat > policy.heartbeat_seconds
