"""When things are due and how many seconds count. Pure, and all of it in block time: the agent's own clock is no evidence."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.leases import Lease
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, deadline_of, earned_rounded_down, elapsed_of, lock_of, start_of
from marketplace.domain.units import Bps, Seconds, UnixTime
from marketplace.provider.policy import AgentPolicy


def used_seconds(order: Order, lease: Lease, ended_at: UnixTime, lost: Seconds) -> Seconds:
    """What a job that ended in, or just before, the block of time ``ended_at`` is charged; never less than is paid already.

    ``lost``: block time in which its provider was away, or that it had to run again for; the client does not pay for that.
    """
    return Seconds(max(lease.paid_seconds, elapsed_of(order, lease, ended_at) - lost))


def owed_seconds(order: Order, lease: Lease, ended_at: UnixTime, lost: Seconds) -> Seconds:
    """The same of a job that was over by itself: of a term lease at least what the order guarantees, for which its GPUs were held."""
    if not is_term_lease(order, lease):
        return used_seconds(order, lease, ended_at, lost)
    return Seconds(max(lease.paid_seconds, elapsed_of(order, lease, ended_at) - lost, order.min_seconds - lost))


def unpaid_seconds(order: Order, lease: Lease, now: UnixTime, signed: Seconds) -> Seconds:
    """What was served and is neither paid, nor signed for (``signed`` seconds are), nor guaranteed."""
    return Seconds(max(0, elapsed_of(order, lease, now) - max(lease.paid_seconds, signed, order.min_seconds)))


def seconds_left(order: Order, lease: Lease, now: UnixTime) -> Seconds:
    """How long the job may still run before the client has paid for all of ``maxSeconds``."""
    return Seconds(max(0, start_of(order, lease) + order.max_seconds - now))


def has_started(order: Order, lease: Lease, now: UnixTime) -> bool:
    """Whether metering has begun: at once, but for a term lease."""
    return now >= start_of(order, lease)


def is_term_lease(order: Order, lease: Lease) -> bool:
    """Whether its meter starts later than it was opened: then it cannot be declined (P-21)."""
    return order.is_for_later(lease.opened_at)


@dataclass(frozen=True, slots=True)
class DeclineWindow:
    """Half-open, as all windows are: a decline must be mined before ``closes_at``."""

    decide_by: UnixTime
    closes_at: UnixTime


def decline_window(lease: Lease, terms: MarketTerms, policy: AgentPolicy) -> DeclineWindow:
    """From ``decide_by`` on, what still cannot be run is declined."""
    closes_at = UnixTime(lease.opened_at + terms.start_grace)
    return DeclineWindow(UnixTime(closes_at - policy.decline_margin_seconds), closes_at)


def can_decline(order: Order, lease: Lease, now: UnixTime, bond_bps: Bps, terms: MarketTerms) -> bool:
    """Whether ``decline`` can still be mined in the next block, going by the contract's rule."""
    bond = bond_of(lock_of(order, lease.price), bond_bps, terms.bond_floor)
    is_affordable = earned_rounded_down(lease.price, order.gpus, lease.paid_seconds) <= bond
    return now + 1 < lease.opened_at + terms.start_grace and not is_term_lease(order, lease) and is_affordable


@dataclass(frozen=True, slots=True)
class ClaimWindow:
    """When a claim is possible: from ``opens_at``, before ``closes_at``; and when we make it at the latest: ``last_call_at``."""

    opens_at: UnixTime
    last_call_at: UnixTime
    closes_at: UnixTime

    def is_due(self, now: UnixTime, waited_since: UnixTime | None, patience: Seconds) -> bool:
        """Whether to claim now: the client had its time (None: it is not waited for), or there is no more time to give."""
        if not self.opens_at <= now < self.closes_at:
            return False
        is_out_of_patience = waited_since is not None and now >= waited_since + patience
        return is_out_of_patience or now >= self.last_call_at


def claim_window(order: Order, lease: Lease, terms: MarketTerms, policy: AgentPolicy) -> ClaimWindow:
    """The contract's window ``[start + minSeconds, deadline)``, with our margin before its end."""
    deadline = deadline_of(order, lease, terms)
    opens_at = UnixTime(start_of(order, lease) + order.min_seconds)
    return ClaimWindow(opens_at, UnixTime(max(opens_at, deadline - policy.claim_margin_seconds)), deadline)


def finalize_at(lease: Lease, terms: MarketTerms) -> UnixTime:
    """From when on a claimed lease can be finalized, by anyone."""
    return UnixTime(lease.changed_at + terms.challenge_window)
