"""Vaults that lend against leases: their terms, what they hold at a block, and their loans."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import asdict

from marketplace.api.fields import AddressText, Count, Duration, Gpus, Instant, Uint, Uint80, Word, WordText
from marketplace.api.record import BlockTold, Record, iso, money
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.vaults import LoanMarks, VaultBooks, VaultTerms, has_obligor

Points = Annotated[int, Meta(ge=0, lt=1 << 16)]
"""Basis points that may be more than the whole."""
Obligors = Annotated[list[AddressText], Meta(max_length=16)]
Places = Annotated[int, Meta(ge=0, le=32)]


class VaultTermsTold(Record, frozen=True):
    """All that a vault will ever be, by the contract's names. Shares are basis points, rates basis points a year, times seconds."""

    market: AddressText
    factory: AddressText
    arbiter: AddressText
    obligors: Obligors
    """The clients on whose word it lends; none: it lends only what is covered (V-4)."""
    max_tenor: Duration
    opex_bps: Points
    dscr_bps: Points
    reserve_bps: Points
    beta_bps: Points
    early_bps: Points
    cover_share_bps: Points
    exit_bps: Points
    loan_cap_bps: Points
    obligor_cap_bps: Points
    utilisation_cap_bps: Points
    base_rate: Points
    slope_rate: Points
    window: Duration
    max_loans: Places

    @classmethod
    def of(cls, terms: VaultTerms) -> VaultTermsTold:
        named = {name: getattr(terms, name) for name in cls.__struct_fields__}
        return cls(**named | {"obligors": list(terms.obligors)})


class LoanTold(Record, frozen=True):
    """A loan, as it is stored and as it is marked at the block."""

    loan: Count
    state: Word
    """``drawn``, ``repaid`` or ``written_off``."""
    is_impaired: bool
    """Less stands behind it than is owed."""
    spv: AddressText
    lease: WordText
    obligor: AddressText | None
    """On whose word; null: it rests on reserve and cover alone."""
    rate_bps: Points
    gpus: Gpus
    price: Uint80
    opened_at: Instant
    starts_at: Instant
    min_seconds: Duration
    max_seconds: Duration
    principal: Uint
    owed: Uint
    due: Uint
    """Sure to come of the lease, whatever anybody says from now on."""
    reserve: Uint
    cover: Uint
    covered: Uint
    """What stands behind it in all."""
    principal_human: Word = ""
    owed_human: Word = ""
    due_human: Word = ""
    reserve_human: Word = ""
    cover_human: Word = ""
    covered_human: Word = ""
    opened_time: Word | None = None
    starts_time: Word | None = None

    @classmethod
    def of(cls, number: int, marks: LoanMarks, terms: MarketTerms) -> LoanTold:
        loan = marks.loan
        sums = {
            "principal": loan.principal, "owed": marks.owed, "due": marks.due,
            "reserve": loan.reserve, "cover": loan.cover, "covered": marks.covered,
        }  # fmt: skip
        named: dict[str, Any] = {name: Uint(units) for name, units in sums.items()}
        named |= {f"{name}_human": money(units, terms) for name, units in sums.items()}
        return cls(
            loan=number, state=loan.state.name.lower(), is_impaired=marks.is_impaired, spv=loan.spv, lease=loan.lease,
            obligor=loan.obligor if has_obligor(loan) else None, rate_bps=loan.rate_bps, gpus=loan.gpus, price=Uint80(loan.price),
            opened_at=loan.opened_at, starts_at=loan.starts_at, min_seconds=loan.min_seconds, max_seconds=loan.max_seconds,
            opened_time=iso(loan.opened_at), starts_time=iso(loan.starts_at),
            **named,
        )  # fmt: skip


class LoanAnswer(LoanTold, frozen=True, kw_only=True):
    """One loan of a vault, as of a block."""

    vault: AddressText
    block: BlockTold

    @classmethod
    def at(cls, vault: Address, told: LoanTold, block: BlockRef) -> LoanAnswer:
        return cls(**asdict(told), vault=vault, block=BlockTold.of(block))


class VaultTold(Record, frozen=True):
    """What a vault holds and is worth."""

    vault: AddressText
    is_impaired: bool
    """Less stands behind some loan than is owed: nobody enters now (V-10)."""
    cash: Uint
    """Free money: what draws and exits are paid out of."""
    assets: Uint
    """All that its shares are worth: free money and marks of loans."""
    price: Uint
    """Token units, of as many shares as one whole token bought at first."""
    supply: Uint
    """Shares, with six decimals more than the token."""
    pending_shares: Uint
    """That wait to leave."""
    window_ends_at: Instant
    """From when on the queue may be filled."""
    loans_live: Places
    cash_human: Word = ""
    assets_human: Word = ""
    price_human: Word = ""
    window_ends_time: Word | None = None

    @classmethod
    def of(cls, vault: Address, books: VaultBooks, terms: MarketTerms) -> VaultTold:
        price = books.price(terms.token_decimals)
        return cls(
            vault=vault, is_impaired=books.is_impaired, cash=Uint(books.cash), assets=Uint(books.assets), price=Uint(price),
            supply=Uint(books.supply), pending_shares=Uint(books.pending), window_ends_at=books.window_ends_at, loans_live=books.loans_live,
            cash_human=money(books.cash, terms), assets_human=money(books.assets, terms), price_human=money(price, terms),
            window_ends_time=iso(books.window_ends_at),
        )  # fmt: skip


class VaultPage(Record, frozen=True):
    """Those that the operator's address book names, in its order: anyone makes others."""

    items: Annotated[list[VaultTold], Meta(max_length=64)]
    block: BlockTold


class VaultAnswer(VaultTold, frozen=True, kw_only=True):
    """One vault, whole, as of a block."""

    terms: VaultTermsTold
    loans: Annotated[list[LoanTold], Meta(max_length=32)]
    """Those that are not repaid."""
    block: BlockTold

    @classmethod
    def at(
        cls, vault: Address, found: VaultTerms, books: VaultBooks, block: BlockRef, terms: MarketTerms
    ) -> VaultAnswer:
        told = VaultTold.of(vault, books, terms)
        loans = [LoanTold.of(number, marks, terms) for number, marks in books.loans.items()]
        return cls(**asdict(told), terms=VaultTermsTold.of(found), loans=loans, block=BlockTold.of(block))
