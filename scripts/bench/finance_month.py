"""Thirty days of companies, lenders and a thief, by the clock: what each does when, and what must come out."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from marketplace.chain import company_verbs, verbs
from marketplace.chain.contracts import contract_abi
from marketplace.chain.vaults import VaultContract
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.units import Seconds
from marketplace.domain.vaults import LoanState
from scripts.bench.finance_agents import Agents
from scripts.bench.finance_naive import NaiveLender
from scripts.bench.finance_stage import BEGIN, DAY, DOLLAR, GPUS, GUARANTEED, MONTH, PRICE, Rent, Stage

HOUR = 3_600
FIFTH = MONTH // 5
ATTENDED = {"good": 29, "terminated": 7, "bonded": 20}
"""Those with a real agent and a real client, and the last day on which there is a job in them."""
ROWS = ("good", "outage", "silent", "terminated", "dead", "grief", "control")
LENDERS = {"alice": 60_000, "bob": 60_000, "carol": 80_000}
"""Whole dollars."""
COVER = 100 * DOLLAR
THIEVES = ("zero receipt", "silence", "ruled at fault")
"""What a thief with both keys of a lease tries against a vault that lends what is covered."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The vault with obligors after something happened."""

    time: int
    price: float
    """Of a share, in token units with its six virtual decimals: 1 at the beginning."""
    is_shut: bool
    asked: int
    """Shares that ever asked out."""
    pending: int
    """Of them, those that still wait."""
    marks: Mapping[str, tuple[int, int, int]]
    """Owed, due and covered of each loan, in token units."""


@dataclass
class Month:
    """The stage, who is on it, what is still to happen, and what was seen."""

    stage: Stage
    agents: Agents
    dice: random.Random
    rents: dict[str, Rent] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    agenda: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What did not come out as it must."""
    refused: list[str] = field(default_factory=list)
    advance: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By vault, what reached the owner of one lease, and that less its bond."""
    written: int = 0
    run_gain: int = 0
    signature_gas: int = 0
    gains: dict[str, int] = field(default_factory=dict)
    """Of the thief in each branch, what is his at the end less what was his at the beginning."""
    naive: NaiveLender | None = None
    asked: int = 0
    """Shares of the vault with obligors that ever asked out."""
    _count: int = 0

    def at(self, days: float, act: Callable[[], None]) -> None:
        """Have something happen so many days after the beginning, what was named first going first."""
        self._count += 1
        heapq.heappush(self.agenda, (BEGIN + round(days * DAY), self._count, act))

    def run(self) -> None:
        """From the first appointment to the last."""
        while self.agenda:
            time, _, act = heapq.heappop(self.agenda)
            self.stage.go_to(time)
            act()
            self.look()

    def look(self) -> None:
        """Note price and marks of the vault with obligors."""
        stage, vault = self.stage, self.stage.vaults["obligors"]
        head = stage.chain.head()
        books = vault.books(head)
        names = {
            number: loan.name for (address, number), loan in stage.explainer.loans.items() if address == vault.address
        }
        marks = {names[number]: (one.owed, one.due, one.covered) for number, one in books.loans.items()}
        price = (books.assets + 1) / (books.supply + 10**6) * 10**6
        self.samples.append(Sample(head.timestamp, price, books.is_impaired, self.asked, books.pending, marks))

    def must(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(what)

    def refuses(self, act: Callable[[], object], what: str) -> None:
        """Note that the chain refuses it, with its reason; or that it does not."""
        try:
            act()
        except (TransactionReverted, ValueError) as no:
            self.refused.append(f"{what}: {no}")
        else:
            self.wrong.append(f"{what}: was not refused")


def play(stage: Stage, agents: Agents, seed: int) -> Month:
    """All of it. The seed moves the hours at which things happen."""
    month = Month(stage, agents, random.Random(seed))
    stage.go_to(BEGIN)
    _begin(month)
    _good(month)
    _outage(month)
    _silent(month)
    _terminated(month)
    _dead(month)
    _grief(month)
    _lenders(month)
    _thief(month)
    month.at(45, lambda: _end(month))
    month.run()
    return month


def _begin(month: Month) -> None:
    stage = month.stage
    clients = [stage.key(f"client of {row}") for row in (*ROWS, "walker", "bonded")]
    named = {"obligors": [client.address for client in clients]}
    vault = stage.vault("obligors", beta_bps=5_000, **named)
    for name, dollars in LENDERS.items():
        stage.enter(vault, name, dollars * DOLLAR)
    stage.enter(stage.vault("strict", **named), "strict lender", 20_000 * DOLLAR)
    stage.enter(stage.vault("covered", beta_bps=0), "covered lender", 20_000 * DOLLAR)
    for row in ROWS:
        if row not in ATTENDED:
            month.rents[row] = stage.open_month(row, client=f"client of {row}", owner=f"owner of {row}")
    for row in ATTENDED:
        upfront = "20%" if row == "good" else "0%"
        month.rents[row] = month.agents.rent(row, client=f"client of {row}", owner=f"owner of {row}", upfront=upfront)
    for day in range(1, 30):
        alive = [row for row, last in ATTENDED.items() if day <= last]
        month.at(day + 0.015, lambda alive=alive: month.agents.do_jobs(*alive))  # type: ignore[misc]


def _draw_all(month: Month, rent: Rent, vault: VaultContract) -> None:
    """As much as the rule allows, less ten cents, since what others owe grows by the second, and the rate with it in steps; a dollar more is refused."""
    most = month.stage.limit(vault, rent)
    month.must(most > 0, f"{rent.name}: nothing could be drawn")
    if most:
        month.refuses(
            lambda: month.stage.draw(vault, rent, most + DOLLAR), f"{rent.name}: a dollar more than the rule allows"
        )
        month.stage.draw(vault, rent, most - DOLLAR // 10)


def _whole(month: Month, rent: Rent) -> None:
    """Repaid with interest."""
    assert rent.vault, "it drew"
    state = rent.vault.marks(rent.loan, month.stage.chain.head()).loan.state
    month.must(state is LoanState.REPAID, f"{rent.name}: {state.name}, and not repaid")


def _earned(seconds: int) -> int:
    return earned_rounded_down(PRICE, GPUS, Seconds(seconds))


# -- rows -------------------------------------------------------------------------------------------------------------


def _good(month: Month) -> None:
    """A fifth upfront, a receipt a day, and a second draw when a day has been served."""
    stage, rent, vault = month.stage, month.rents["good"], month.stage.vaults["obligors"]
    month.at(0.07, lambda: month.agents.paid(rent, FIFTH))
    month.at(0.08, lambda: stage.draw(vault, rent, stage.limit(vault, rent)))
    month.at(2, lambda: _draw_all(month, rent, vault))
    for day in range(7, 21):  # an agent looks for its client's signature twenty times a slice
        month.at(day + 0.05, lambda day=day: _day_served(month, rent, day * DAY))  # type: ignore[misc]
    for half in range(1, 20):
        beyond = 0.504 * half  # days beyond the guarantee: a slice, and some minutes
        month.at(20.015 + beyond, lambda: month.agents.signed(rent))
        month.at(20.045 + beyond, lambda beyond=beyond: month.agents.paid(rent, GUARANTEED + int(beyond * DAY)))  # type: ignore[misc]
    month.at(20.1, lambda: _whole(month, rent))
    month.at(30.01, lambda: month.agents.over(rent))


def _day_served(month: Month, rent: Rent, seconds: int) -> None:
    month.agents.paid(rent, seconds)
    assert rent.vault, "it drew"
    if rent.vault.marks(rent.loan, month.stage.chain.head()).loan.state is LoanState.DRAWN:
        month.stage.collect(rent)


def _outage(month: Month) -> None:
    """A day without service: both sign less, out of the owner's part."""
    stage, rent, vault = month.stage, month.rents["outage"], month.stage.vaults["obligors"]
    month.at(1.1, lambda: stage.receipt(rent, DAY))
    month.at(1.11, lambda: _draw_all(month, rent, vault))
    month.at(30.02, lambda: _signed_less(month, rent))
    month.at(30.03, lambda: stage.collect(rent))
    month.at(30.04, lambda: _whole(month, rent))


def _signed_less(month: Month, rent: Rent) -> None:
    month.signature_gas = month.stage.signature_gas(rent, MONTH - DAY)
    month.stage.receipt(rent, MONTH - DAY, last=True)


def _silent(month: Month) -> None:
    """Both are silent; the keeper claims for the company."""
    stage, rent, vault = month.stage, month.rents["silent"], month.stage.vaults["obligors"]
    assert rent.company, "it is one"
    due = company_verbs.claim_due(rent.company, rent.order)
    month.at(0.5, lambda: _draw_all(month, rent, vault))
    month.at(30.5, lambda: stage.send(stage.key("keeper"), due))
    month.at(31.6, lambda: stage.send(stage.key("keeper"), verbs.finalize(stage.book.market, [rent.order])))
    month.at(31.61, lambda: stage.collect(rent))
    month.at(31.62, lambda: _whole(month, rent))
    # The same month, and nobody claims: the cliff.
    control = month.rents["control"]
    month.at(0.51, lambda: _draw_all(month, control, vault))
    month.at(31.1, lambda: stage.send(stage.key("client of control"), verbs.expire(stage.book.market, control.order)))
    month.at(31.11, lambda: _resolve(month, control, 0))


def _terminated(month: Month) -> None:
    """The client leaves on the eighth day, and pays what it guaranteed."""
    stage, rent, vault = month.stage, month.rents["terminated"], month.stage.vaults["obligors"]
    month.at(1.2, lambda: month.agents.paid(rent, DAY))
    month.at(1.21, lambda: _draw_all(month, rent, vault))
    month.at(8, lambda: stage.send(rent.client, verbs.terminate(stage.book.market, rent.order)))
    month.at(8.01, lambda: stage.collect(rent))
    month.at(8.02, lambda: _whole(month, rent))


def _dead(month: Month) -> None:
    """The operator dies on day 12, the client disputes, the panel grants 11 days."""
    stage, rent, vault = month.stage, month.rents["dead"], month.stage.vaults["obligors"]
    hour = month.dice.uniform(0, 0.2)
    month.at(1.3, lambda: stage.receipt(rent, DAY + HOUR))
    month.at(1.31, lambda: stage.back(vault, rent, "backer", COVER))
    month.at(1.32, lambda: _draw_all(month, rent, vault))
    month.at(12.5 + hour, lambda: _disputed(month, rent))
    month.at(15.2, lambda: stage.rule(rent, 11 * DAY, provider_at_fault=True))
    month.at(15.3, lambda: _resolve(month, rent, _earned(11 * DAY) - _earned(DAY + HOUR)))


def _disputed(month: Month, rent: Rent) -> None:
    """The price has it in its own block."""
    before = month.samples[-1].price
    month.stage.send(rent.client, verbs.dispute(month.stage.book.market, rent.order))
    month.look()
    month.must(month.samples[-1].price < before, f"{rent.name}: the price does not move in the dispute's block")


def _resolve(month: Month, rent: Rent, income: int) -> None:
    """Reserve, cover, write-off: as much as the formula says."""
    stage, vault = month.stage, rent.vault
    assert vault, "it drew"
    before = vault.marks(rent.loan, stage.chain.head()).loan
    free = stage.explainer.ledger.balances[f"market/company of {rent.name}"]
    stage.send(stage.key("keeper"), vault.resolve(rent.loan))
    after = vault.marks(rent.loan, stage.chain.head()).loan
    interest = -(
        -before.principal * before.rate_bps * (stage.chain.head().timestamp - before.accrued_at) // (10_000 * 365 * DAY)
    )
    served = _earned(DAY + HOUR) + income - before.shared if income else 0
    owed = before.principal + before.interest + interest
    left = max(0, owed - (free - served * 3_000 // 10_000) - before.reserve - before.cover)
    month.must(after.principal == left, f"{rent.name}: {after.principal} written off, and not {left}")
    month.written += after.principal


def _grief(month: Month) -> None:
    """The client disputes a quarter of an hour after the start without ground; the panel is silent."""
    stage, rent, vault = month.stage, month.rents["grief"], month.stage.vaults["obligors"]
    month.at(0.0125, lambda: _draw_all(month, rent, vault))
    month.at(0.0132, lambda: _disputed(month, rent))
    month.at(6.1, lambda: stage.backstop(rent))
    month.at(6.11, lambda: stage.collect(rent))
    month.at(6.12, lambda: _whole(month, rent))


# -- lenders ----------------------------------------------------------------------------------------------------------


def _lenders(month: Month) -> None:
    """One asks out before the dispute, one after it, one wants to enter meanwhile."""
    stage, vault = month.stage, month.stage.vaults["obligors"]
    for day in range(7, 13):
        month.at(1.001 * day, lambda: stage.send(stage.key("keeper"), vault.process_queue()))
    month.at(12.3, lambda: _ask_out(month, vault, "alice"))
    month.at(13.5, lambda: month.refuses(lambda: stage.enter(vault, "dave", 1_000 * DOLLAR), "entering while impaired"))
    month.at(13.6, lambda: _ask_out(month, vault, "bob"))
    month.at(
        14,
        lambda: month.refuses(lambda: stage.send(stage.key("keeper"), vault.process_queue()), "filling while disputed"),
    )
    month.at(16, lambda: _fill(month, vault))


def _ask_out(month: Month, vault: VaultContract, name: str) -> None:
    month.asked += month.stage.leave(vault, month.stage.key(name))


def _fill(month: Month, vault: VaultContract) -> None:
    """Who asked at other times, for as many shares, has as much."""
    stage = month.stage
    stage.send(stage.key("keeper"), vault.process_queue())
    paid = {name: vault.position(stage.key(name).address, stage.chain.head()).claimable for name in ("alice", "bob")}
    month.run_gain = abs(paid["alice"] - paid["bob"])
    for name, amount in paid.items():
        month.must(amount > 0, f"{name} was not filled")
        stage.send(stage.key(name), vault.withdraw(amount, stage.key(name).address))


# -- the thief --------------------------------------------------------------------------------------------------------


def _thief(month: Month) -> None:
    """With both keys of a lease, in every branch; and with one, against an honest client's prepayment."""
    stage, covered, strict = month.stage, month.stage.vaults["covered"], month.stage.vaults["strict"]
    for branch in THIEVES:
        rent = month.rents[branch] = stage.open_month(
            branch, client=f"thief's client, {branch}", owner=f"thief, {branch}"
        )
        month.at(0.1, lambda rent=rent: _rob(month, rent, covered))  # type: ignore[misc]
    _endings(month)
    walker = month.rents["walker"] = stage.open_month("walker", client="client of walker", owner="thief, walker")
    month.at(0.11, lambda: stage.receipt(walker, FIFTH))
    month.at(1.4, lambda: _draw_all(month, walker, strict))
    month.at(2.0, lambda: _draw_all(month, walker, strict))
    month.at(2.1, lambda: stage.send(walker.client, verbs.dispute(stage.book.market, walker.order)))
    month.at(3, lambda: stage.rule(walker, 2 * DAY, provider_at_fault=True))
    month.at(3.1, lambda: stage.send(stage.key("keeper"), strict.resolve(walker.loan)))
    bonded = month.rents["bonded"]
    month.at(1.41, lambda: month.agents.paid(bonded, DAY))
    month.at(1.42, lambda: _advance(month, bonded))
    month.at(20.5, lambda: stage.send(bonded.client, verbs.terminate(stage.book.market, bonded.order)))
    month.at(20.6, lambda: stage.collect(bonded))
    month.at(20.7, lambda: _whole(month, bonded))
    naive = month.naive = NaiveLender(stage)
    for number in range(5):
        name = f"naive {number}"
        rent = stage.open_month(name, client=f"robber's client {number}", owner=f"robber {number}", is_company=False)
        month.at(0.2, lambda rent=rent: naive.rob(rent))  # type: ignore[misc]


def _rob(month: Month, rent: Rent, covered: VaultContract) -> None:
    """Nothing from a vault with obligors, of which he is none; from the other as much as his own cover holds."""
    stage = month.stage
    month.must(
        stage.limit(stage.vaults["obligors"], rent) == 0, f"{rent.name}: a stranger may draw on the obligors' vault"
    )
    month.must(stage.limit(covered, rent) == 0, f"{rent.name}: it may draw without a cover")
    assert rent.company, "the thief has one"
    stage.send(rent.owner, company_verbs.allow(rent.company, stage.vaults["obligors"].address))
    month.refuses(lambda: stage.draw(stage.vaults["obligors"], rent, DOLLAR), f"{rent.name}: a stranger's draw")
    stage.send(rent.owner, company_verbs.allow(rent.company, covered.address))
    stage.back(covered, rent, stage.name_of(rent.owner), 1_000 * DOLLAR)
    _draw_all(month, rent, covered)


def _endings(month: Month) -> None:
    stage, (zero, silence, ruled) = month.stage, (month.rents[name] for name in THIEVES)
    market = stage.book.market
    month.at(1, lambda: month.refuses(lambda: stage.receipt(zero, 0, last=True), "a last receipt over nothing"))
    month.at(1.01, lambda: stage.send(zero.client, verbs.dispute(market, zero.order)))
    month.at(8.2, lambda: stage.send(zero.client, verbs.lapse(market, zero.order)))
    month.at(31.2, lambda: stage.send(silence.client, verbs.expire(market, silence.order)))
    month.at(1.02, lambda: stage.send(ruled.client, verbs.dispute(market, ruled.order)))
    month.at(2.2, lambda: stage.rule(ruled, 0, provider_at_fault=True))
    for rent, day in ((zero, 8.3), (silence, 31.3), (ruled, 2.3)):
        month.at(day, lambda rent=rent: _decide(month, rent))  # type: ignore[misc]


def _decide(month: Month, rent: Rent) -> None:
    assert rent.vault, "it drew"
    month.stage.send(month.stage.key("keeper"), rent.vault.resolve(rent.loan))


def _advance(month: Month, rent: Rent) -> None:
    """How much of a lease's whole price reaches the owner, at beta 0 and at beta 50 %."""
    stage = month.stage
    for name in ("obligors", "strict"):
        most = stage.limit(stage.vaults[name], rent)
        paid = most - -(-most * 1_000 // 10_000)
        month.advance[name] = paid, paid - rent.total * 2_000 // 10_000
    _draw_all(month, rent, stage.vaults["strict"])


def _end(month: Month) -> None:
    """Everybody takes what is theirs."""
    stage = month.stage
    stage.send(stage.key("keeper"), verbs.Call(stage.arbiter, _collect_fees(), "collect fees"))
    for vault in stage.vaults.values():
        for name, key in list(stage.keys.items()):
            if stage.explainer.ledger.balances[f"vault/{stage.explainer.names[vault.address]}/credit of {name}"]:
                stage.send(key, vault.take_credit(key.address))

    for branch in (*THIEVES, "walker"):
        month.gains[branch] = sum(_gain(stage, name) for name in (f"thief, {branch}", f"thief's client, {branch}"))
        month.gains[branch] += stage.explainer.ledger.balances[f"market/company of {branch}"]
        month.must(month.gains[branch] <= 0, f"{branch}: the thief gained {month.gains[branch]} units")


def _gain(stage: Stage, name: str) -> int:
    """What somebody has anywhere, less what they began with."""
    ledger = stage.explainer.ledger
    began = sum(one.amount for one in ledger.movements if one.giver == "mint" and one.taker == f"wallet/{name}")
    return ledger.balances[f"wallet/{name}"] + ledger.balances[f"market/{name}"] - began


def _collect_fees() -> bytes:
    return contract_abi("BackstopArbiter").call("collect")
