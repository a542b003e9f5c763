"""A vault that lends against leases: its terms, its loans, and what it has and owes at a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

VIRTUAL_SHARES = 10**6
"""A share has six decimals more than the token."""


@dataclass(frozen=True, slots=True)
class VaultTerms:
    """``Terms`` of the contract, in the order of its fields: all that a vault will ever be. Shares and rates are basis points."""

    market: Address
    factory: Address
    arbiter: Address
    obligors: tuple[Address, ...]
    """The clients on whose word it lends; none: it lends only what is covered (V-4)."""
    max_tenor: Seconds
    opex_bps: Bps
    dscr_bps: Bps
    reserve_bps: Bps
    beta_bps: Bps
    early_bps: Bps
    cover_share_bps: Bps
    exit_bps: Bps
    loan_cap_bps: Bps
    obligor_cap_bps: Bps
    utilisation_cap_bps: Bps
    base_rate: Bps
    slope_rate: Bps
    window: Seconds
    max_loans: int


class LoanState(IntEnum):
    """``LoanState`` of the contract. That a loan is impaired is derived, not stored."""

    NONE = 0
    DRAWN = 1
    REPAID = 2
    WRITTEN_OFF = 3


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as the contract stores it, in the order of its fields."""

    spv: Address
    opened_at: UnixTime
    starts_at: UnixTime
    gpus: GpuCount
    state: LoanState
    is_tipped: bool
    lease: Bytes32
    price: PricePerGpuHour
    min_seconds: Seconds
    max_seconds: Seconds
    principal: TokenUnits
    reserve: TokenUnits
    cover: TokenUnits
    accrued_at: UnixTime
    rate_bps: Bps
    backer: Address
    interest: TokenUnits
    obligor: Address
    shared: TokenUnits


@dataclass(frozen=True, slots=True)
class LoanMarks:
    """What a loan comes to at one block."""

    loan: Loan
    owed: TokenUnits
    due: TokenUnits
    covered: TokenUnits

    @property
    def is_impaired(self) -> bool:
        return self.covered < self.owed


@dataclass(frozen=True, slots=True)
class VaultBooks:
    """What a vault has and owes at one block, and what waits to leave it."""

    cash: TokenUnits
    assets: TokenUnits
    supply: int
    pending: int
    window_ends_at: UnixTime
    is_impaired: bool
    loans_live: int
    loans: Mapping[int, LoanMarks]
    """Of the live ones; none where only their number was asked for."""

    def price(self, token_decimals: int) -> TokenUnits:
        """Of as many shares as one whole token bought at first."""
        whole: int = 10**token_decimals
        return TokenUnits(whole * VIRTUAL_SHARES * (self.assets + 1) // (self.supply + VIRTUAL_SHARES))


@dataclass(frozen=True, slots=True)
class VaultPosition:
    """What one account has in a vault at one block."""

    shares: int
    worth: TokenUnits
    pending: int
    claimable: TokenUnits
    credit: TokenUnits


def has_obligor(loan: Loan) -> bool:
    """Whether it rests on a client's word, and not on reserve and cover alone."""
    return loan.obligor != ZERO_ADDRESS
