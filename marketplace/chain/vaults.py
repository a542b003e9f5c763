"""A vault that lends against leases, typed: its terms, its loans, its queue, and its verbs as calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cached_property
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.checksums import address_from_text
from marketplace.chain.constants import MarketConstants
from marketplace.chain.contracts import contract_abi
from marketplace.chain.verbs import Call
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order
from marketplace.domain.units import (
    BPS_WHOLE,
    Bps,
    Seconds,
    TokenUnits,
    UnixTime,
    seconds_from_text,
)
from marketplace.domain.vaults import Loan, LoanMarks, LoanState, VaultBooks, VaultPosition, VaultTerms
from marketplace.domain.wire import camel

VAULT = "AdvanceVault"
ANY_RATE = Bps(2**16 - 1)
MOST_OBLIGORS, MOST_LOANS = 16, 32
USUAL_LEASE_SECONDS = 35 * 86_400
"""The longest lease that can be decided within a vault's longest time, where its terms say nothing else."""
_ABI = contract_abi(VAULT)


def changed_by(terms: VaultTerms, document: Mapping[str, Any]) -> VaultTerms:
    """These terms, but for what a file names. Raises InvalidField for a name or a value that is none."""
    known = {field.name for field in fields(VaultTerms)} - {"market", "factory", "arbiter"}
    if unknown := sorted(document.keys() - known):
        raise InvalidField("terms", f"there is no {unknown[0]}; known are {', '.join(sorted(known))}")
    named = {name: _term(name, value) for name, value in document.items()}
    changed = replace(terms, **named)
    _require_bounds(changed)
    return changed


def _require_bounds(terms: VaultTerms) -> None:
    """As the contract does (``BadTerms``), whose reason is lost where a vault is created through a proxy. Raises InvalidField."""
    for field in fields(VaultTerms):
        if field.name.endswith("_bps") and field.name != "dscr_bps" and getattr(terms, field.name) > BPS_WHOLE:
            raise InvalidField(f"terms.{field.name}", f"must be at most {BPS_WHOLE}, the whole")
    for name, least, most in (
        ("dscr_bps", BPS_WHOLE, ANY_RATE),
        ("window", 1, 2**32 - 1),
        ("max_loans", 1, MOST_LOANS),
        ("base_rate", 0, ANY_RATE - terms.slope_rate),
    ):
        if not least <= getattr(terms, name) <= most:
            raise InvalidField(f"terms.{name}", f"must be from {least} to {most}")


def usual_tenor(windows: MarketConstants | MarketTerms) -> Seconds:
    """A lease of five weeks, and all of the market's windows after it."""
    decided = windows.claim_grace + windows.challenge_window + windows.ruling_window
    return Seconds(decided + USUAL_LEASE_SECONDS)


def usual_terms(market: Address, factory: Address, arbiter: Address, max_tenor: Seconds) -> VaultTerms:
    """Terms that trust nobody: no obligors, and beta 0."""
    return VaultTerms(
        market, factory, arbiter, (), max_tenor, opex_bps=Bps(3_000), dscr_bps=Bps(12_000), reserve_bps=Bps(1_000),
        beta_bps=Bps(0), early_bps=Bps(5_000), cover_share_bps=Bps(2_000), exit_bps=Bps(10), loan_cap_bps=Bps(2_500),
        obligor_cap_bps=Bps(5_000), utilisation_cap_bps=Bps(9_000), base_rate=Bps(500), slope_rate=Bps(500),
        window=Seconds(86_400), max_loans=32,
    )  # fmt: skip


def terms_to_json(terms: VaultTerms) -> dict[str, Any]:
    """Names in camel case, seconds and basis points as numbers."""
    return {camel(name): value for name, value in asdict(terms).items()} | {"obligors": list(terms.obligors)}


def terms_from_json(document: Any) -> VaultTerms:
    """What ``terms_to_json`` wrote. Raises InvalidField, KeyError, TypeError."""
    names = {field.name: camel(field.name) for field in fields(VaultTerms)}
    market, factory, arbiter = (
        address_from_text(document[name], field=f"vault.{name}") for name in ("market", "factory", "arbiter")
    )
    usual = usual_terms(market, factory, arbiter, Seconds(0))
    rest = {name: document[key] for name, key in names.items() if name not in ("market", "factory", "arbiter")}
    return changed_by(usual, rest)


def _term(name: str, value: Any) -> Any:
    if name == "obligors":
        if not isinstance(value, list) or len(value) > MOST_OBLIGORS:
            raise InvalidField("terms.obligors", f"must be a list of at most {MOST_OBLIGORS} addresses")
        return tuple(address_from_text(str(one), field="terms.obligors") for one in value)
    if name in ("max_tenor", "window") and isinstance(value, str):
        return seconds_from_text(value, field=f"terms.{name}")
    if type(value) is not int or not 0 <= value < 2**32:
        raise InvalidField(f"terms.{name}", f"must be a whole number ({BPS_WHOLE} is the whole), and not {value!r}")
    return value


class VaultContract:
    """One ``AdvanceVault``. Whatever a command shows together is read at one block."""

    def __init__(self, chain: Chain, address: Address) -> None:
        self.chain = chain
        self.address = address

    @cached_property
    def terms(self) -> VaultTerms:
        """Fixed when it was deployed; read once."""
        (values,) = self._read("terms")
        market, factory, arbiter, obligors, *rest = values
        return VaultTerms(market, factory, arbiter, tuple(obligors), *rest)

    def books(self, at: BlockRef, *, with_loans: bool = True) -> VaultBooks:
        pending, _, window_ends_at = self._read("queue", at=at)
        (numbers,) = self._read("loans", at=at)
        return VaultBooks(
            TokenUnits(self._one("cash", at=at)),
            TokenUnits(self._one("totalAssets", at=at)),
            int(self._one("totalSupply", at=at)),
            int(pending),
            UnixTime(window_ends_at),
            bool(self._one("isImpaired", at=at)),
            len(numbers),
            {number: self.marks(number, at) for number in numbers} if with_loans else {},
        )

    def marks(self, number: int, at: BlockRef) -> LoanMarks:
        """One loan; its state is NONE where there is none of that number."""
        spv, opened_at, starts_at, gpus, state, *rest = self._one("loanOf", number, at=at)
        loan = Loan(spv, opened_at, starts_at, gpus, LoanState(state), *rest)
        owed, due, covered = (TokenUnits(self._one(view, number, at=at)) for view in ("owedOf", "dueOf", "coveredOf"))
        return LoanMarks(loan, owed, due, covered)

    def position(self, account: Address, at: BlockRef) -> VaultPosition:
        shares = int(self._one("balanceOf", account, at=at))
        return VaultPosition(
            shares,
            TokenUnits(self._one("convertToAssets", shares, at=at)),
            int(self._one("pendingRedeemRequest", 0, account, at=at)),
            TokenUnits(self._one("maxWithdraw", account, at=at)),
            TokenUnits(self._one("creditOf", account, at=at)),
        )

    def shares_for(self, assets: TokenUnits, at: BlockRef) -> int:
        """Shares that are worth so much at the price of now."""
        return int(self._one("convertToShares", assets, at=at))

    def limit_of(self, order: Order, spv: Address, at: BlockRef) -> tuple[TokenUnits, int]:
        """How much may be drawn now, and n of the rule V-n that forbids more."""
        most, rule = self._read("limitOf", order, spv, at=at)
        return TokenUnits(most), int(rule)

    def cover_of(self, lease: Bytes32, backer: Address, at: BlockRef) -> TokenUnits:
        """What a backer has put up for a lease, and no draw has taken yet."""
        return TokenUnits(self._read("coverOf", lease, backer, at=at)[0])

    def loan_on(self, lease: Bytes32, opened_at: UnixTime, at: BlockRef) -> int:
        """The number of the loan on a serving; 0 where there is none."""
        return int(self._one("loanOn", lease, opened_at, at=at))

    # -- verbs --------------------------------------------------------------------------------------------------------

    def deposit(self, assets: TokenUnits, receiver: Address) -> Call:
        return self._call("deposit", assets, receiver)

    def request_redeem(self, shares: int, account: Address) -> Call:
        return self._call("requestRedeem", shares, account, account)

    def cancel_redeem(self, shares: int, account: Address) -> Call:
        return self._call("cancelRedeem", shares, account)

    def process_queue(self) -> Call:
        return self._call("process")

    def withdraw(self, assets: TokenUnits, account: Address) -> Call:
        return self._call("withdraw", assets, account, account)

    def take_credit(self, to: Address) -> Call:
        return self._call("takeCredit", to)

    def draw(self, order: Order, spv: Address, amount: TokenUnits, max_rate: Bps = ANY_RATE) -> Call:
        return self._call("draw", order, spv, amount, max_rate)

    def back(self, order: Order, amount: TokenUnits) -> Call:
        """Put up a first loss for a lease, before anything is drawn on it."""
        return self._call("back", order, amount)

    def unback(self, lease: Bytes32) -> Call:
        return self._call("unback", lease)

    def choose(self, lease: Bytes32, backer: Address) -> Call:
        """As the company's owner: whose cover its first draw takes."""
        return self._call("choose", lease, backer)

    def repay(self, number: int, amount: TokenUnits) -> Call:
        return self._call("repay", number, amount)

    def recover(self, number: int) -> Call:
        return self._call("recover", number)

    def collect(self, number: int) -> Call:
        return self._call("collect", number)

    def resolve(self, number: int) -> Call:
        return self._call("resolve", number)

    def _call(self, verb: str, *arguments: Any) -> Call:
        # Not the bare name: the market has verbs of the same, and is expected to tell of those.
        return Call(self.address, _ABI.call(verb, *arguments), f"vault {verb}")

    def _one(self, view: str, *arguments: Any, at: BlockRef | None = None) -> Any:
        return self._read(view, *arguments, at=at)[0]

    def _read(self, view: str, *arguments: Any, at: BlockRef | None = None) -> tuple[Any, ...]:
        return _ABI.answer(view, self.chain.call(self.address, _ABI.call(view, *arguments), at))


def creation(terms: VaultTerms) -> Call:
    """Make a vault of these terms. Anyone's, as often as they like."""
    return Call(None, _ABI.creation(terms), "create")
