"""What a faked reputation costs: ``python -m scripts.farming`` writes the table of docs/explanation/reputation.md anew.

Whoever owns both sides pays itself, so the work is free and only four things are scarce: gas for every lease, time (a lease earns
at most so much an hour), the money that goes in a circle meanwhile, and clients. What is computed is the cheapest way that the rules
leave: leases of an hour at the largest weight, spread evenly over the fake clients, all at one moment so that nothing ages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marketplace.domain.ids import Address
from marketplace.domain.reputation import MOST_PER_HOUR, WHOLE, Evidence, Outcome, Standing, with_evidence
from marketplace.domain.units import BPS_WHOLE, UnixTime, text_from_bps

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "reputation.md"
BEGIN, END = "<!-- farming:begin -->", "<!-- farming:end -->"

SCORES = (9_500, 9_800, 9_900, 9_990)
CLIENTS = (1, 4, 8, 64)
FAILURES = {"newcomer": 0, "after failing a lease of 100 dollars": 200 * WHOLE}
CENTS_PER_FLOOR = 50
"""On an L2 the bond floor is half a dollar."""

_FAKER, _NOW = Address("0x" + "fa" * 20), UnixTime(1)


@dataclass(frozen=True)
class Cost:
    """Of getting one provider to a score."""

    leases: int
    """Of an hour each."""
    clients: int

    @property
    def dollars(self) -> int:
        """What is paid from one pocket into the other."""
        return self.leases * (MOST_PER_HOUR // WHOLE) * CENTS_PER_FLOOR // 100

    @property
    def gas(self) -> int:
        """A fill and a receipt for each lease, in full batches, and each client's deposit and withdrawal."""
        used = json.loads((ROOT / "tests/solidity/gas.json").read_text())
        batch = "batch of 100, 100 clients and 100 providers"
        per_lease = used[f"fill, {batch}"] + used[f"receipt, {batch}"]
        return int(self.leases * per_lease + self.clients * (used["deposit"] + used["withdraw"]))


def cost_of(score_bps: int, clients: int, failed: int = 0) -> Cost:
    """The fewest leases with which so many fake clients lift a provider to this score, after failures of this weight."""
    if not 0 <= score_bps < BPS_WHOLE:
        raise ValueError(f"{score_bps} is no score")
    low, high = 0, 1
    while _score(high, clients, failed) < score_bps:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _score(middle, clients, failed) >= score_bps else (middle + 1, high)
    return Cost(low, clients)


def _score(leases: int, clients: int, failed: int) -> int:
    standing = Standing()
    if failed:
        standing = with_evidence(standing, Evidence(_FAKER, _FAKER, Outcome.EXPIRED, failed, _NOW, _FAKER))
    for number in range(clients):
        weight = leases * MOST_PER_HOUR // clients
        client = Address(f"0x{number:040x}")
        standing = with_evidence(standing, Evidence(_FAKER, client, Outcome.SETTLED, weight, _NOW, _FAKER))
    return standing.reputation.score_bps(_NOW)


def table() -> Iterator[str]:
    """The table in Markdown, line by line."""
    clients = " | ".join(f"{count} fake client{'s' if count > 1 else ''}" for count in CLIENTS)
    yield f"| to reach | {clients} |"
    yield f"|---|{'---:|' * len(CLIENTS)}"
    for name, failed in FAILURES.items():
        for score in SCORES:
            cells = " | ".join(_cell(cost_of(score, count, failed)) for count in CLIENTS)
            yield f"| {text_from_bps(score)}, {name} | {cells} |"


def _cell(cost: Cost) -> str:
    return f"{cost.leases:,} · {cost.dollars:,} · {cost.gas / 1e6:,.1f}"


def written(page: str) -> str:
    """The page with the table as it is now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n" + "\n".join(table()) + f"\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
