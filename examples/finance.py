"""`make demo DEMO=finance`: a month of a company, its client, two lenders and a vault, on a local chain whose clock is moved by hand.

Exit status 0 only if every sum at the end holds, to the unit. The parties are keys that act when the script says; no gateway and no agent
takes part. Half a minute.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import structlog
from rich.console import Console
from rich.table import Table

from marketplace.chain import company_verbs, verbs
from marketplace.chain.vaults import VaultContract
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.units import text_from_units
from marketplace.domain.vaults import LoanState
from scripts.bench.finance_stage import BEGIN, DAY, DOLLAR, GPUS, MONTH, PRICE, Rent, Stage, thirty_days

SEED = 1
CLIENT, OWNER, LENDERS, KEEPER = "client", "owner", ("ada", "ben"), "keeper"
LENT = {"ada": 900 * DOLLAR, "ben": 600 * DOLLAR}
UPFRONT = MONTH // 5
DECIMALS = 6
MOST_DUST = 20
"""Units: each collection, exit and price is rounded for the vault."""

console = Console(highlight=False, width=max(120, Console().width))


@dataclass
class Story:
    """Who is on the stage, and where they are in the month."""

    stage: Stage
    vault: VaultContract
    rent: Rent
    failed: int = 0

    def tell(self, words: str) -> None:
        """One line of what happened, with its day."""
        day = (self.stage.chain.head().timestamp - BEGIN) / DAY
        console.print(f"  day {day:5.2f}  {words}")

    def that(self, sentence: str, holds: bool) -> None:
        """What must be true at the end."""
        console.print(f"  {'[green]✓' if holds else '[red]✗'}[/] {sentence}")
        self.failed += not holds

    def go_to(self, days: float) -> None:
        self.stage.go_to(BEGIN + round(days * DAY))

    @property
    def owed(self) -> int:
        return self.vault.marks(self.rent.loan, self.stage.chain.head()).owed

    @property
    def price(self) -> str:
        """Of as many shares as a dollar bought at first."""
        return human(self.vault.books(self.stage.chain.head()).price(DECIMALS))


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    began = monotonic()
    console.rule("Compute Bourse: a month of rent, lent against")
    with _story() as story:
        _draw(story)
        _serve(story)
        _end(story)
        _show_rent(story)
        _check(story)
    console.print(f"\n{monotonic() - began:.0f} s")
    return 1 if story.failed else 0


@contextmanager
def _story() -> Iterator[Story]:
    """A vault with two lenders, and a company whose month a client opens."""
    with thirty_days(SEED) as stage:
        stage.go_to(BEGIN)
        client = stage.key(CLIENT)
        vault = stage.vault(
            "vault", obligors=[client.address], beta_bps=5_000, loan_cap_bps=9_000, obligor_cap_bps=9_000,
            base_rate=1_000, slope_rate=1_500, exit_bps=2,
        )  # fmt: skip
        console.print("a vault is made, which lends on one client's word; its terms can never be changed")
        for name in LENDERS:
            stage.enter(vault, name, LENT[name])
            console.print(f"{name} lends {human(LENT[name])} through it")
        rent = stage.open_month("month", client=CLIENT, owner=OWNER)
        console.print(f"a company is made, which is code: {rent.company}; its owner pays in a bond")
        console.print(
            f"the client signs for {GPUS} GPUs and 30 days at {human(PRICE)} an hour, {human(rent.total)} in all, 20 days guaranteed\n"
        )
        yield Story(stage, vault, rent)


def _draw(story: Story) -> None:
    """A fifth up front, then all that the vault's rules allow, twice."""
    stage, rent = story.stage, story.rent
    story.go_to(0.02)
    stage.receipt(rent, UPFRONT)
    story.tell(f"the client pays a fifth of it up front, {human(rent.total // 5)}: it never comes back")
    for days in (0.05, 2):
        story.go_to(days)
        if days > 1:
            story.tell("a day was served and is paid for: the vault's rules allow more now")
        most = stage.limit(story.vault, rent) - DOLLAR // 10  # what is owed grows by the second
        stage.draw(story.vault, rent, most)
        story.tell(f"the owner draws {human(most)}, a tenth of it is held back; the company's income is pledged")
    story.go_to(3)
    stage.leave(story.vault, stage.key("ben"))
    story.tell("ben asks out, with all his shares")
    story.go_to(3.1)
    _fill(story)


def _serve(story: Story) -> None:
    """Receipts and collections, and a lender who leaves."""
    stage, rent, vault = story.stage, story.rent, story.vault
    for day in range(7, 30):
        story.go_to(day + 0.1)
        stage.receipt(rent, day * DAY)
        if vault.marks(rent.loan, stage.chain.head()).loan.state is LoanState.DRAWN:
            stage.collect(rent)
            story.tell(f"a receipt for {day} days, income is shared out; {human(story.owed)} are still owed")
        if day == 7:
            _fill(story)


def _fill(story: Story) -> None:
    """The queue of those who leave, out of free money."""
    before = story.price
    story.stage.send(story.stage.key(KEEPER), story.vault.process_queue())
    position = story.vault.position(story.stage.key("ben").address, story.stage.chain.head())
    story.tell(
        f"ben's exit is filled out of free money at {before} a share: he may take {human(position.claimable)}"
        + (", the rest waits" if position.pending else ", which is all")
    )


def _end(story: Story) -> None:
    """The last receipt; and everybody takes what is theirs. One of the lenders stays."""
    stage, rent = story.stage, story.rent
    story.go_to(30.1)
    stage.receipt(rent, MONTH, last=True)
    story.tell("company and client sign the last receipt, over all 30 days")
    ben = stage.key("ben").address
    claimable = story.vault.position(ben, stage.chain.head()).claimable
    stage.send(stage.key("ben"), story.vault.withdraw(claimable, ben))
    assert rent.company, "it is one"
    stage.send(rent.owner, story.vault.take_credit(rent.owner.address))
    free = stage.market.balance_of(rent.company, stage.chain.head())
    stage.send(rent.owner, company_verbs.withdraw(rent.company, free))
    left = stage.market.balance_of(rent.client.address, stage.chain.head())
    if left:
        stage.send(rent.client, verbs.withdraw(stage.book.market, rent.client.address, left))
    story.tell(f"ben and the owner take out what is theirs; ada stays, at {story.price} a share")


# -- the sums ---------------------------------------------------------------------------------------------------------


def _gains(story: Story) -> Mapping[str, int]:
    """What each has in its wallet and its shares now, less what it began with; wallets by the ledger of movements."""
    ledger, head = story.stage.explainer.ledger, story.stage.chain.head()
    found = {}
    for name in (CLIENT, OWNER, *LENDERS):
        began = sum(one.amount for one in ledger.movements if one.giver == "mint" and one.taker == f"wallet/{name}")
        worth = story.vault.position(story.stage.key(name).address, head).worth
        found[name] = ledger.balances[f"wallet/{name}"] + worth - began
    return found


def _show_rent(story: Story) -> None:
    """Where every 100 dollars of rent went: by which rule, and who is how much richer in the end."""
    ledger, gains = story.stage.explainer.ledger, _gains(story)
    rent = -gains[CLIENT]
    ways = Counter[str]()
    for one in ledger.movements:
        if one.giver == "vault/vault/arriving":
            ways[one.rule.removeprefix("waterfall ")] += one.amount
    ways["after the loan: the company's, and so its owner's"] = rent - ways.total()
    table = Table("by which rule", "dollars", "of every 100", title="\nwhere the rent went")
    for rule, amount in ways.items():
        table.add_row(rule, human(amount), f"{100 * amount / rent:8.4f}")
    console.print(table)
    table = Table("who", "gained", "of every 100 dollars of rent", title="\nwho got what, all in all")
    dust = -sum(gains.values())
    for name, gained in (*gains.items(), ("nobody: rounding, in the vault", dust)):
        table.add_row(name, human(gained), f"{100 * gained / rent:9.4f}")
    console.print(table)


def _check(story: Story) -> None:
    stage, gains = story.stage, _gains(story)
    ledger = stage.explainer.ledger
    unexplained = ledger.unexplained(stage.said())
    rest = sum(gains.values())
    console.print("\nwhat must be true:")
    loan = story.vault.marks(story.rent.loan, stage.chain.head()).loan
    story.that("the loan is repaid, with interest", loan.state is LoanState.REPAID)
    story.that("the client paid the rent, to the unit", -gains[CLIENT] == story.rent.total)
    story.that("both lenders have more than they lent", all(gains[name] > 0 for name in LENDERS))
    story.that(f"what everybody gained and lost is 0, but for {-rest} units of rounding", 0 <= -rest <= MOST_DUST)
    worth = story.vault.position(stage.key("ada").address, stage.chain.head()).worth
    story.that("the vault holds what ada's shares are worth, and that rounding", ledger.below("vault") == worth - rest)
    story.that(
        f"each of {len(ledger.movements)} movements of money has its rule, and the chain says what they come to",
        not unexplained,
    )


def human(units: int) -> str:
    return text_from_units(units, DECIMALS) if units >= 0 else f"-{text_from_units(-units, DECIMALS)}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MarketplaceError as error:
        console.print(f"[red]demo: {error.reason}[/]: {error}", markup=True)
        sys.exit(1)
