"""An account's statement, its delegates, and whether the market has all that it owes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from marketplace.api.fields import AddressText, Cursor, Instant, Uint, Word, WordText
from marketplace.api.record import BlockTold, Record, iso, money
from marketplace.domain.annals import BudgetCharge, Movement, Totals
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import TokenUnits, text_from_units


class EntryTold(Record, frozen=True):
    """What one event of the market did to the account's free balance: either of ``received`` and ``spent`` is 0."""

    event: Word
    received: Uint
    spent: Uint
    balance: Uint
    """Free afterwards."""
    lease: WordText | None
    block: BlockTold
    tx: WordText
    received_human: Word = ""
    spent_human: Word = ""
    balance_human: Word = ""

    @classmethod
    def of(cls, movement: Movement, terms: MarketTerms) -> EntryTold:
        received, spent = max(0, movement.amount), max(0, -movement.amount)
        return cls(
            movement.event, Uint(received), Uint(spent), Uint(movement.balance), movement.lease, BlockTold.of(movement.ref.block),
            movement.ref.tx_hash, money(received, terms), money(spent, terms), money(movement.balance, terms),
        )  # fmt: skip


class StatementPage(Record, frozen=True):
    """Newest first: each balance is the one of the entry behind it, plus what was received, less what was spent."""

    account: AddressText
    items: list[EntryTold]
    block: BlockTold
    next: Cursor = None


STATEMENT_COLUMNS = ("time", "block", "event", "received", "spent", "balance", "lease", "tx")


def statement_csv(movements: Iterable[Movement], terms: MarketTerms) -> str:
    """Amounts in whole tokens, with all their decimals: what sheets add up. No field is anybody's own text."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(STATEMENT_COLUMNS)
    for one in movements:
        units = (max(0, one.amount), max(0, -one.amount), one.balance)
        amounts = (text_from_units(unit, terms.token_decimals) for unit in units)
        block = one.ref.block
        rows.writerow((iso(block.timestamp), block.number, one.event, *amounts, one.lease or "", one.ref.tx_hash))
    return text.getvalue()


class ChargeTold(Record, frozen=True):
    """What an opening was charged to a delegate's budget."""

    order: WordText
    amount: Uint
    block: BlockTold
    tx: WordText
    amount_human: Word = ""

    @classmethod
    def of(cls, charge: BudgetCharge, terms: MarketTerms) -> ChargeTold:
        ref = charge.ref
        return cls(charge.order, Uint(charge.amount), BlockTold.of(ref.block), ref.tx_hash, money(charge.amount, terms))


class DelegateTold(Record, frozen=True):
    """Whom the account has given a budget, what is left of it, and what it was charged for last, newest first."""

    delegate: AddressText
    left: Uint
    until: Instant
    charges: Annotated[list[ChargeTold], Meta(max_length=100)]
    left_human: Word = ""
    until_time: Word | None = None

    @classmethod
    def of(cls, delegate: Address, budget: Budget, charges: Iterable[BudgetCharge], terms: MarketTerms) -> DelegateTold:
        told = [ChargeTold.of(charge, terms) for charge in charges]
        return cls(delegate, Uint(budget.left), budget.until, told, money(budget.left, terms), iso(budget.until))


class DelegatePage(Record, frozen=True):
    """By address, the highest first. One that may spend nothing any more is listed, too."""

    account: AddressText
    items: list[DelegateTold]
    block: BlockTold
    next: Cursor = None


class SolvencyAnswer(Record, frozen=True):
    """Whether the market holds what it owes: its own balance of the token beside all accounts and all that live leases hold."""

    held: Uint
    """By the token's word at this very block: ask it yourself."""
    accounts: Uint
    locked: Uint
    surplus: Uint
    """What it holds beyond what it owes: somebody sent it without a deposit."""
    missing: Uint
    """What it lacks: 0, or the market is broken."""
    block: BlockTold
    held_human: Word = ""
    accounts_human: Word = ""
    locked_human: Word = ""

    @classmethod
    def of(cls, held: TokenUnits, owed: Totals, block: BlockRef, terms: MarketTerms) -> SolvencyAnswer:
        difference = held - owed.free - owed.locked
        return cls(
            Uint(held), Uint(owed.free), Uint(owed.locked), Uint(max(0, difference)), Uint(max(0, -difference)),
            BlockTold.of(block), money(held, terms), money(owed.free, terms), money(owed.locked, terms),
        )  # fmt: skip
