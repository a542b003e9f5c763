"""The arithmetic of vaults that lend against leases; ``contracts/finance/libraries`` Coverage and Queue are its twins, and a test compares them.

Amounts are token base units, shares basis points, rates basis points a year. Every rounding is against whoever gains by it: what is owed is rounded
up, what stands behind it and what leaves the vault down. Rules V-1 to V-13 are the specification's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from marketplace.domain.units import BPS_WHOLE, Bps, Seconds, TokenUnits

YEAR_SECONDS = 365 * 86_400
_NOTHING = TokenUnits(0)
LONGEST_WALK = 64
"""So many fillings of the queue one look at a ticket goes through."""


@dataclass(frozen=True, slots=True)
class LendingLimits:
    """The shares by which a vault lends, fixed when it is deployed."""

    opex_bps: Bps
    dscr_bps: Bps
    reserve_bps: Bps
    beta_bps: Bps
    early_bps: Bps
    loan_cap_bps: Bps
    obligor_cap_bps: Bps
    utilisation_cap_bps: Bps
    base_rate: Bps
    slope_rate: Bps


@dataclass(frozen=True, slots=True)
class DrawStanding:
    """All that decides how much may be drawn, as of one second."""

    is_pinned: bool
    """The client is an obligor of the vault, and nobody else may act for it (V-2)."""
    is_early: bool
    """Less than a day has elapsed, or was paid for (V-7)."""
    due: TokenUnits
    """What is surely still to come of the lease; 0 unless it is pinned."""
    income: TokenUnits
    """The most that is still to come of it."""
    unearned: TokenUnits
    """What was paid and is not served yet."""
    bond: TokenUnits
    balance: TokenUnits
    """The company's free balance in the market."""
    unshared: TokenUnits
    """Income of which the owner had no share yet."""
    principal: TokenUnits
    interest: TokenUnits
    reserve: TokenUnits
    cover: TokenUnits
    rate_bps: Bps
    seconds_left: Seconds
    """Until the last second at which the lease can be undecided."""
    cash: TokenUnits
    assets: TokenUnits
    lent: TokenUnits
    lent_to_obligor: TokenUnits


class DrawVerdict(NamedTuple):
    """The first rule that forbids a draw, n of V-n; 0 if none does. With what it attempts and what is allowed, where that is one number."""

    rule: int
    attempted: int = 0
    allowed: int = 0


def share_rounded_down(amount: int, bps: int) -> TokenUnits:
    return TokenUnits(amount * bps // BPS_WHOLE)


def share_rounded_up(amount: int, bps: int) -> TokenUnits:
    return TokenUnits(-(-amount * bps // BPS_WHOLE))


def interest_rounded_up(principal: int, rate_bps: int, seconds: int) -> TokenUnits:
    """Simple interest, on principal alone (V-7b)."""
    return TokenUnits(-(-principal * rate_bps * seconds // (BPS_WHOLE * YEAR_SECONDS)))


def covered_rounded_down(due: int, balance: int, unshared: int, opex_bps: int, reserve: int, cover: int) -> TokenUnits:
    """What stands behind a loan: all but the owner's part of what comes in.

    Where more income is unshared than there is free balance, the owner's part of prepaid income waits in the balance until it is served.
    """
    if unshared <= balance:
        return TokenUnits(share_rounded_down(due + balance, BPS_WHOLE - opex_bps) + reserve + cover)
    owners = min(balance, share_rounded_up(unshared, opex_bps))
    return TokenUnits(share_rounded_down(due, BPS_WHOLE - opex_bps) + balance - owners + reserve + cover)


def claim_rounded_down(owed: int, interest: int, cover_share_bps: int) -> TokenUnits:
    """The part of what is owed that is the vault's own: of its interest, the backer has a share."""
    return TokenUnits(owed - share_rounded_up(min(interest, owed), cover_share_bps))


def split(free: int, served: int, ahead: int, owed: int, opex_bps: int) -> tuple[TokenUnits, TokenUnits]:
    """The waterfall, as what goes to the vault and to the owner: running costs of income that is served, what is owed, the owner.

    ``ahead`` was paid and is not served yet: the owner's part of it stays where it is.
    """
    to_owner = min(free, share_rounded_down(served, opex_bps))
    held = min(free - to_owner, share_rounded_down(ahead, opex_bps))
    to_vault = min(free - to_owner - held, owed)
    return TokenUnits(to_vault), TokenUnits(free - to_vault if to_vault == owed else to_owner)


def rate_rounded_up(standing: DrawStanding, limits: LendingLimits, amount: int) -> Bps:
    """The loan's rate after a draw: it rises with how much is lent then (V-9), and is mixed with that of earlier draws (V-7b)."""
    lent = min(standing.lent + amount, standing.assets)
    slope = -(-lent * limits.slope_rate // standing.assets) if standing.assets else 0
    rate = limits.base_rate + slope
    principal = standing.principal + amount
    if principal == 0:
        return Bps(rate)
    return Bps(-(-(standing.principal * standing.rate_bps + amount * rate) // principal))


def verdict_on(standing: DrawStanding, limits: LendingLimits, amount: int) -> DrawVerdict:
    """Whether so much may be drawn: V-8, V-4, V-2, V-5, V-6, and V-7, in this order."""
    capped = _cap_on(standing, limits, amount)
    if capped.attempted > capped.allowed:
        return capped
    found = _credit_of(standing, limits, amount)
    if found.rule or not standing.is_early or _is_covered(standing, limits, amount):
        return found
    if limits.early_bps == 0:
        return DrawVerdict(7, amount, 0)
    # At most a share of what the rules would allow: then they allow what it is that share of.
    whole = -(-(standing.principal + amount) * BPS_WHOLE // limits.early_bps) - standing.principal
    found = _credit_of(standing, limits, whole)
    return found._replace(rule=7) if found.rule else found


def limit_of(standing: DrawStanding, limits: LendingLimits) -> tuple[TokenUnits, int]:
    """The most that may be drawn, and the rule that forbids one unit more."""
    low, high = 0, min(standing.cash, 2**96 - 1) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if verdict_on(standing, limits, middle).rule == 0:
            low = middle
        else:
            high = middle
    return TokenUnits(low), verdict_on(standing, limits, high).rule


def _cap_on(standing: DrawStanding, limits: LendingLimits, amount: int) -> DrawVerdict:
    if amount > standing.cash:
        return DrawVerdict(8, amount, standing.cash)
    attempted = standing.principal + standing.interest + amount
    allowed = share_rounded_down(standing.assets, limits.loan_cap_bps)
    if attempted > allowed:
        return DrawVerdict(8, attempted, allowed)
    attempted = standing.lent + amount
    allowed = share_rounded_down(standing.assets, limits.utilisation_cap_bps)
    if attempted > allowed or not standing.is_pinned:
        return DrawVerdict(8, attempted, allowed)
    return DrawVerdict(
        8, standing.lent_to_obligor + amount, share_rounded_down(standing.assets, limits.obligor_cap_bps)
    )


def _is_covered(standing: DrawStanding, limits: LendingLimits, amount: int) -> bool:
    reserve = standing.reserve + share_rounded_up(amount, limits.reserve_bps)
    return _owed_at_maturity(standing, limits, amount) <= reserve + standing.cover


def _credit_of(standing: DrawStanding, limits: LendingLimits, amount: int) -> DrawVerdict:
    if _is_covered(standing, limits, amount):
        return DrawVerdict(0)
    if not standing.is_pinned:
        return DrawVerdict(2)
    owed_at_maturity = _owed_at_maturity(standing, limits, amount)
    reserve = standing.reserve + share_rounded_up(amount, limits.reserve_bps)
    covered = covered_rounded_down(
        standing.due, standing.balance, standing.unshared, limits.opex_bps, reserve, standing.cover
    )
    if covered * BPS_WHOLE < limits.dscr_bps * owed_at_maturity:
        return DrawVerdict(5, covered, share_rounded_up(owed_at_maturity, limits.dscr_bps))
    attempted = max(0, standing.principal + standing.interest + amount - reserve) + standing.unearned
    hope = share_rounded_down(standing.income, BPS_WHOLE - limits.opex_bps)
    allowed = standing.bond + share_rounded_down(max(0, hope - owed_at_maturity), limits.beta_bps)
    return DrawVerdict(6 if attempted > allowed else 0, attempted, allowed)


def _owed_at_maturity(standing: DrawStanding, limits: LendingLimits, amount: int) -> int:
    principal = standing.principal + amount
    rate = rate_rounded_up(standing, limits, amount)
    return principal + standing.interest + interest_rounded_up(principal, rate, standing.seconds_left)


# -- exits ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filling:
    """One filling of the queue: of ``pending`` shares, ``shares`` left, for ``assets`` in all."""

    pending: int
    shares: int
    assets: TokenUnits


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one holder has in the queue: shares that wait, the first filling that it has not seen, and what left and was not taken."""

    pending: int = 0
    next: int = 0
    shares: int = 0
    assets: TokenUnits = _NOTHING


def fill(pending: int, cash: int, assets: int, supply: int, exit_bps: int) -> tuple[int, TokenUnits]:
    """How many of the shares that wait can leave for ``cash``, and for how much; ``assets`` and ``supply`` are the price's two sides (V-11)."""
    wanted = _worth_of(pending, assets, supply, exit_bps)
    if wanted == 0:
        return 0, TokenUnits(0)
    if wanted <= cash:
        return pending, TokenUnits(wanted)
    shares = pending * cash // wanted
    paid = min(cash, _worth_of(shares, assets, supply, exit_bps))
    return (shares, TokenUnits(paid)) if paid else (0, TokenUnits(0))


def take(waiting: int, filling: Filling) -> tuple[int, int, TokenUnits]:
    """What of a holder's shares still waits after a filling, what left, and for how much."""
    left = waiting * (filling.pending - filling.shares) // filling.pending
    return left, waiting - left, TokenUnits(waiting * filling.assets // filling.pending)


def walked(ticket: Ticket, fillings: list[Filling]) -> Ticket:
    """The ticket after the fillings that it has not seen, at most ``LONGEST_WALK`` of them."""
    end = min(len(fillings), ticket.next + LONGEST_WALK)
    while ticket.next < end and ticket.pending:
        left, shares, assets = take(ticket.pending, fillings[ticket.next])
        ticket = Ticket(left, ticket.next + 1, ticket.shares + shares, TokenUnits(ticket.assets + assets))
    return ticket if ticket.pending else replace(ticket, next=len(fillings))


def _worth_of(shares: int, assets: int, supply: int, exit_bps: int) -> int:
    worth = shares * assets // supply
    return worth - share_rounded_up(worth, exit_bps)
