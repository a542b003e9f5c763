"""Every token unit that moved in the thirty days: from whom, to whom, by which rule. Pure: it holds what it is told against what the chain says."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Movement:
    """Token units that left one account for another. Accounts are paths: ``wallet/NAME``, ``market/NAME``, ``lease/NAME``, ``vault/NAME/part``."""

    time: int
    giver: str
    taker: str
    amount: int
    rule: str


@dataclass
class Ledger:
    """What moved, in order, and what everybody has by it. Money comes from ``mint`` only, which alone may be below 0 at the end."""

    movements: list[Movement] = field(default_factory=list)
    balances: Counter[str] = field(default_factory=Counter)

    def move(self, time: int, giver: str, taker: str, amount: int, rule: str) -> None:
        """Write one movement down; nothing where there is nothing to move. Raises ValueError for less than that."""
        if amount < 0:
            raise ValueError(f"{amount} units from {giver} to {taker}")
        if amount == 0:
            return
        self.movements.append(Movement(time, giver, taker, amount, rule))
        self.balances[giver] -= amount
        self.balances[taker] += amount

    def below(self, folder: str) -> int:
        """What all accounts below a path have together, itself included."""
        return sum(
            amount for account, amount in self.balances.items() if account == folder or account.startswith(folder + "/")
        )

    def sums(self, account: str) -> tuple[int, int]:
        """All that came in, and all that went out."""
        came = sum(one.amount for one in self.movements if one.taker == account)
        went = sum(one.amount for one in self.movements if one.giver == account)
        return came, went

    def unexplained(self, said: Mapping[str, int]) -> dict[str, int]:
        """Where the chain says another amount than the movements come to, and by how much; and every account that owes units that it never had."""
        found = {path: amount - self.below(path) for path, amount in said.items()}
        overdrawn = {path: amount for path, amount in self.balances.items() if amount < 0 and path != "mint"}
        return {path: wrong for path, wrong in (overdrawn | found).items() if wrong}

    def write(self, path: Path) -> None:
        """A row for each movement."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow([one.name for one in fields(Movement)])
            rows.writerows(astuple(one) for one in self.movements)
