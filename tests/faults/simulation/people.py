"""What the clients want, and what they were told: every wish is unique on the chain, so that it can be counted there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from marketplace.client import JobRequest
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.errors import InsufficientBalance, InvalidField, InvalidTransition
from marketplace.domain.ids import Bytes32, address
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime
from tests.faults.simulation.executor import work
from tests.faults.simulation.parties import ClientParty
from tests.faults.simulation.world import DOLLAR, World

REFUSALS = (InsufficientBalance, TransactionReverted, InvalidField, InvalidTransition)
"""Answers that mean: it was not done, and here is why."""
DELEGATE = address("0x" + "de" * 20)
FAR = UnixTime(2**40 - 1)


@dataclass
class Wish:
    """One thing that a client wants done once. ``done_in`` is the block in which it was told to be."""

    number: int
    client: str
    verb: str
    amount: int
    tries: int = 0
    done_in: int | None = None
    refused: str = ""
    was_unsure: bool = False
    """Whether a try ended without saying what came of it."""

    @property
    def is_open(self) -> bool:
        return self.done_in is None and not self.refused


@dataclass
class Person:
    """One client at its keyboard."""

    party: ClientParty
    world: World
    wishes: list[Wish] = field(default_factory=list)
    jobs: int = 0
    cancelled: set[Bytes32] = field(default_factory=set)
    """The first orders of the jobs that were called off."""

    def wish(self, verb: str, number: int, stream: Random) -> None:
        """Want something new, and try it."""
        # The number makes the amount unique among everybody's.
        amount = stream.randrange(1, 5) * DOLLAR // 2 + 1_000 + number
        self.wishes.append(Wish(number, self.party.name, verb, amount))
        self.attempt(self.wishes[-1])

    def attempt(self, wish: Wish) -> None:
        """Type it, once more if it was typed before and nobody knows what came of it. Nobody says ``--again``."""
        wish.tries += 1
        self.world.history.say(f"  {wish.client} types {wish.verb} {wish.amount} (try {wish.tries})")
        answer = self.party.run(lambda: self._typed(wish))
        if wish.is_open:
            wish.was_unsure = True
        elif answer is not None:
            self.world.history.say(f"  {wish.client} is told: {wish.verb} {wish.amount} in block {wish.done_in}")

    def _typed(self, wish: Wish) -> Any:
        market, amount = self.party.market, TokenUnits(wish.amount)
        verbs: dict[str, Callable[[], Any]] = {
            "withdraw": lambda: market.withdraw(amount),
            "deposit": lambda: market.deposit(amount),
            "authorize": lambda: market.wallet.authorize(DELEGATE, amount, FAR),
        }  # fmt: skip
        try:
            mined = verbs[wish.verb]()
        except REFUSALS as error:
            if not wish.was_unsure:
                wish.refused = f"{type(error).__name__}: {error}"
            raise
        wish.done_in = mined.block.number
        return mined

    # Jobs

    def order(self, stream: Random) -> None:
        """Order a job of one of these kinds: it works, it fails, it takes too long, it pays too little."""
        kind = stream.choice(("works", "works", "works", "fails", "long", "cheap"))
        seconds = {"long": 90}.get(kind, stream.randrange(2, 12))
        self.order_one(kind, seconds, expires_in=stream.choice((40, 120)), retries=stream.choice((0, 1)))

    def order_one(self, kind: str, seconds: int, *, expires_in: int = 120, retries: int = 1) -> None:
        """Order a job of that kind, which would take so many seconds."""
        self.jobs += 1
        request = JobRequest(
            command=work(seconds, 3 if kind == "fails" else 0), gpus_of=("RTX4090",),
            max_price=PricePerGpuHour((20 if kind == "cheap" else 40) * DOLLAR), max_time=Seconds(30),
            name=f"{kind}-{self.jobs}", expires_in=Seconds(expires_in), retries=retries, silent_after=Seconds(24),
        )  # fmt: skip
        self.world.history.say(f"  {self.party.name} orders {request.name}, {seconds} s")
        self.party.run(lambda: self.party.market.submit(request))

    def cancel(self, stream: Random) -> None:
        """Call off a job that is not over, if there is one."""
        self.party.run(lambda: self._cancelled(stream))

    def _cancelled(self, stream: Random) -> None:
        alive = [job for job in self.party.market.jobs() if not job.is_terminal]
        if alive:
            job = stream.choice(alive)
            self.world.history.say(f"  {self.party.name} cancels {job.name}")
            self.cancelled.add(job.orders[0])
            self.party.market.session.cancel(self.party.market.book.order(job.kept.job.order))
