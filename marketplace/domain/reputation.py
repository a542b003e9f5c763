"""How reliable a provider has been: a pure function of what became of its leases, the same for whoever computes it.

The events of the market go in, integers come out; no clock, no floats, nobody's opinion. ``docs/explanation/reputation.md`` says why the rules are
as they are, and what a good name costs somebody who fakes it.

Evidence is weighed in *bond floors*, the least that the market takes for worth staking, so that it means the same whatever the
token's decimals are. ``WHOLE`` is one of them.

    score = (prior good + heard) / (prior good + heard + prior bad + failures)         each aged to the moment that is asked about
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from math import isqrt
from typing import Any

from marketplace.domain import events as e
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.ledger import LeaseRecord, Rows, apply
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, elapsed_of, lock_of
from marketplace.domain.units import BPS_WHOLE, SECONDS_PER_HOUR, Bps, Seconds, TokenUnits, UnixTime

WHOLE = 1_000_000_000
"""The weight of one bond floor."""

PRIOR_GOOD, PRIOR_BAD = 180 * WHOLE, 20 * WHOLE
"""What is believed of a newcomer, as if it had been seen: 200 bond floors of work, a tenth of it failed. It never ages."""

_NO_SECONDS, _NEVER = Seconds(0), UnixTime(0)

HALF_LIFE_SECONDS = Seconds(30 * 24 * 3600)
"""Evidence weighs half after so much block time."""

MOST_PER_HOUR = 40 * WHOLE
"""What one lease earns in an hour at most: the price of a large machine. A dearer lease is as good a witness as that, not a better one."""

VOICES = 64
"""Clients are heard in so many groups, by the last bits of their address: a provider's row stays small however many clients it has."""

LOUDEST = 8
"""No voice counts for more than this part of all that was served: one client alone proves little."""

MILD = WHOLE // 10
"""A decline, or a dispute on which nobody ruled. The same whatever was locked, and little: a stranger can bring about either."""


class Outcome(StrEnum):
    """What became of a lease, as far as it says something about its provider."""

    SETTLED = "settled"
    """Both sides signed."""
    CLAIMED = "claimed"
    """The provider claimed and nobody objected."""
    CLEARED = "cleared"
    """Disputed; the provider was found not at fault."""
    TERMINATED = "terminated"
    """The client ended it and paid for the time."""
    SELF_DEALT = "self_dealt"
    """Served to itself: the provider or its payee is on the client's side. Counts nothing."""
    DECLINED = "declined"
    LAPSED = "lapsed"
    """Disputed, and nobody ruled."""
    EXPIRED = "expired"
    """The provider never came back."""
    AT_FAULT = "at_fault"
    """Disputed; the provider was found at fault."""


FAILURES = (Outcome.DECLINED, Outcome.LAPSED, Outcome.EXPIRED, Outcome.AT_FAULT)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often there was an outcome, ever, and what that weighs as of the reputation's time."""

    count: int = 0
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Reputation:
    """A provider's outcomes as of its last one. ``Reputation()`` is a newcomer's."""

    as_of: UnixTime = _NEVER
    tallies: Mapping[Outcome, Tally] = field(default_factory=dict)
    heard: int = 0
    """What was served, no voice counting for more than its part."""

    @property
    def failed(self) -> int:
        """What failed, in full: it cannot be talked away."""
        return sum(tally.weight for outcome, tally in self.tallies.items() if outcome in FAILURES)

    def score_bps(self, at: UnixTime) -> Bps:
        """The share of this provider's work that is expected to end well; from 0 to 9,999.

        The evidence ages and is not rounded on the way, so that with time the score only ever moves towards the prior.
        """
        left = share_left(at - self.as_of)
        good = PRIOR_GOOD * _SHARE_WHOLE + self.heard * left
        bad = PRIOR_BAD * _SHARE_WHOLE + self.failed * left
        return Bps(BPS_WHOLE * good // (good + bad))

    def aged(self, at: UnixTime) -> Reputation:
        """The same with its weights as they are at this moment, rounded down: for showing."""
        left = share_left(at - self.as_of)
        tallies = {outcome: Tally(tally.count, _aged(tally.weight, left)) for outcome, tally in self.tallies.items()}
        return Reputation(UnixTime(max(at, self.as_of)), tallies, _aged(self.heard, left))


NEWCOMER = Reputation()


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is kept of one provider: its reputation, and how much each voice has spoken for it."""

    reputation: Reputation = NEWCOMER
    voices: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one closed serving says about its provider."""

    provider: Address
    client: Address
    outcome: Outcome
    weight: int
    at: UnixTime
    whose: Address
    """Under which address it is kept: a company's outcomes are its owner's, and so its sisters'; everybody else's are its own."""


def judge(
    state: Rows, standings: Mapping[Address, Standing], event: e.Event, bond_floor: TokenUnits
) -> dict[Address, Standing]:
    """The standing that ``event`` changes, if any. ``state`` is the ledger's before the event."""
    evidence = evidence_of(state, event, bond_floor)
    if evidence is None:
        return {}
    return {evidence.whose: with_evidence(standings.get(evidence.whose, Standing()), evidence)}


def replay_standings(events: Iterable[e.Event], bond_floor: TokenUnits) -> dict[Address, Standing]:
    """Everybody's standing after all these events, from nothing; a company's is its owner's (``standing_of``)."""
    return replay_with_owners(events, bond_floor)[0]


def replay_with_owners(
    events: Iterable[e.Event], bond_floor: TokenUnits
) -> tuple[dict[Address, Standing], Mapping[Address, Address]]:
    """As ``replay_standings``, and whose standing is whose: the owners of companies."""
    rows: tuple[dict[Any, Any], ...] = tuple({} for _ in fields(Rows))
    state, standings = Rows(*rows), dict[Address, Standing]()
    for event in events:
        standings |= judge(state, standings, event, bond_floor)
        changed = apply(state, event, bond_floor)
        # In place, as nobody else holds these rows: a history may be long.
        for table, news in zip(rows, (getattr(changed, one.name) for one in fields(Rows)), strict=True):
            table.update(news)
    return standings, state.owners


def standing_of(
    provider: Address, standings: Mapping[Address, Standing], owners: Mapping[Address, Address]
) -> Standing:
    """A provider's standing: that of a company that its owner made is the owner's, which all its companies share."""
    return standings.get(owners.get(provider, provider), Standing())


# What an event says ---------------------------------------------------------------------------------------------------


def evidence_of(state: Rows, event: e.Event, bond_floor: TokenUnits) -> Evidence | None:
    """What this event says about a provider; None where it closes no serving."""
    closing = _closing_by(event)
    if closing is None:
        return None
    record, outcome, at = state.leases[closing.lease], closing.outcome, event.ref.block.timestamp
    order = _order(record)
    whose = state.owners.get(record.provider, record.provider)
    if outcome in (Outcome.EXPIRED, Outcome.AT_FAULT):
        weight = _weight_at_stake(state, record, bond_floor)
    elif outcome in FAILURES:
        weight = MILD
    elif _is_self_dealt(order, record, whose):
        outcome, weight = Outcome.SELF_DEALT, 0
    else:
        weight = _weight_served(record, closing.paid_seconds, at, bond_floor)
    return Evidence(record.provider, order.client, outcome, weight, at, whose)


@dataclass(frozen=True, slots=True)
class _Closing:
    lease: Bytes32
    outcome: Outcome
    paid_seconds: Seconds = _NO_SECONDS


def _closing_by(event: e.Event) -> _Closing | None:
    match event:
        case e.LeaseSettled(lease=lease, used_seconds=paid_seconds, last=True):
            return _Closing(lease, Outcome.SETTLED, paid_seconds)
        case e.LeaseFinalized(lease=lease, paid_seconds=paid_seconds):
            return _Closing(lease, Outcome.CLAIMED, paid_seconds)
        case e.LeaseTerminated(lease=lease, paid_seconds=paid_seconds):
            return _Closing(lease, Outcome.TERMINATED, paid_seconds)
        case e.LeaseRuled(lease=lease, paid_seconds=paid_seconds, provider_at_fault=is_at_fault):
            return _Closing(lease, Outcome.AT_FAULT if is_at_fault else Outcome.CLEARED, paid_seconds)
        case e.LeaseDeclined(lease=lease):
            return _Closing(lease, Outcome.DECLINED)
        case e.LeaseLapsed(lease=lease):
            return _Closing(lease, Outcome.LAPSED)
        case e.LeaseExpired(lease=lease):
            return _Closing(lease, Outcome.EXPIRED)
        case _:
            return None


def _is_self_dealt(order: Order, record: LeaseRecord, whose: Address) -> bool:
    """Whether this money may have gone in a circle. Asked of what went well only: a failure is not undone by assigning its income."""
    return any(map(order.is_client_side, (record.provider, record.payee, whose)))


def _weight_served(record: LeaseRecord, paid_seconds: Seconds, at: UnixTime, bond_floor: TokenUnits) -> int:
    """What was paid for time that has passed. Seconds paid in advance count nothing before they are over, so that money which is
    there for one block only proves nothing."""
    order, floor = _order(record), max(1, bond_floor)
    seconds = min(paid_seconds, elapsed_of(order, record.lease, at))
    per_hour = min(record.lease.price * order.gpus * WHOLE // floor, MOST_PER_HOUR)
    return per_hour * seconds // SECONDS_PER_HOUR


def _weight_at_stake(state: Rows, record: LeaseRecord, bond_floor: TokenUnits) -> int:
    """The client's money that was locked, all of it, or the bond where that is more: it is at least one bond floor."""
    locked = lock_of(_order(record), record.lease.price)
    bond = bond_of(locked, state.offers[record.lease.offer].bond_bps, bond_floor)
    return max(locked, bond) * WHOLE // max(1, bond_floor)


def _order(record: LeaseRecord) -> Order:
    """The order of a lease that was opened: nothing else is ever closed with an outcome."""
    assert record.order is not None
    return record.order


# What it changes ------------------------------------------------------------------------------------------------------


def with_evidence(standing: Standing, evidence: Evidence) -> Standing:
    """The standing aged to this moment, and the evidence added. Evidence of one moment may come in any order."""
    old = standing.reputation
    left = share_left(evidence.at - old.as_of)
    voices = {voice: aged for voice, weight in standing.voices.items() if (aged := _aged(weight, left))}
    tallies = dict(old.aged(evidence.at).tallies)
    before = tallies.get(evidence.outcome, Tally())
    tallies[evidence.outcome] = Tally(before.count + 1, before.weight + evidence.weight)
    if evidence.outcome not in FAILURES and evidence.weight:
        voice = voice_of(evidence.client)
        voices[voice] = voices.get(voice, 0) + evidence.weight
    return Standing(Reputation(evidence.at, tallies, heard_of(voices)), voices)


def units_rounded_down(weight: int, bond_floor: TokenUnits) -> TokenUnits:
    """The money that a weight stands for."""
    return TokenUnits(weight * bond_floor // WHOLE)


def voice_of(client: Address) -> int:
    return int(client, 16) % VOICES


def heard_of(voices: Mapping[int, int]) -> int:
    """All that was served, each voice counting for at most its part of it."""
    most = sum(voices.values()) // LOUDEST
    return sum(min(weight, most) for weight in voices.values())


# Ageing ---------------------------------------------------------------------------------------------------------------

_SHARE_BITS = 64
_SHARE_WHOLE = 1 << _SHARE_BITS
_FRACTION_BITS = 32


def _roots() -> tuple[int, ...]:
    """2^(-1/2), 2^(-1/4), … in 2^64ths: each the integer root of the one before, so that every machine has the same."""
    roots = [_SHARE_WHOLE >> 1]
    for _ in range(_FRACTION_BITS):
        roots.append(isqrt(roots[-1] << _SHARE_BITS))
    return tuple(roots[1:])


_ROOTS = _roots()


@lru_cache(maxsize=1 << 16)
def share_left(seconds: int) -> int:
    """What is left of a weight after so much time, in 2^64ths: 2^(-seconds / half-life), rounded down."""
    halvings, rest = divmod(max(0, seconds), HALF_LIFE_SECONDS)
    share, fraction = _SHARE_WHOLE, (rest << _FRACTION_BITS) // HALF_LIFE_SECONDS
    for place, root in enumerate(_ROOTS, 1):
        if fraction >> (_FRACTION_BITS - place) & 1:
            share = share * root >> _SHARE_BITS
    return share >> halvings


def _aged(weight: int, left: int) -> int:
    return weight * left >> _SHARE_BITS
