"""What a run has seen. A walk on which a verb never succeeds proves nothing of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from marketplace.chain.contracts import contract_abi
from tests.differential.node import Outcome, event_of
from tests.differential.shapes import Event, Order, Refusal, Status, Wallet
from tests.differential.wire import Call

VERBS = (
    "deposit", "depositWithPermit", "depositWithAuthorization", "withdraw", "authorize", "list", "reprice", "open", "cancel", "settle", "claim",
    "finalize", "terminate", "decline", "expire", "dispute", "rule", "lapse", "assign",
)  # fmt: skip
ITEMS = {"LeaseOpened": "open", "LeaseSettled": "settle", "LeaseFinalized": "finalize"}
"""A batch verb succeeds once for each item that held."""
SPECIAL = (
    "opened by a delegate", "opened by a wallet's signature", "opened by the client itself", "opened again", "opened as a term lease",
    "progress while open", "progress while claimed", "progress while disputed", "last while open", "last while claimed", "last while disputed",
    "declined to be opened again", "declined for good", "disputed while open", "disputed while claimed", "disputed by the acceptor",
    "ruled against the provider", "ruled for the provider", "paid to an assignee", "opened again without a charge",
    "ruled beyond what was in dispute", "lapsed beyond what was in dispute",
)  # fmt: skip
NEVER_SEEN = {"GasTooLow", "ReentrancyGuardReentrantCall"}
"""The walk gives every call enough gas, and nobody in it calls back."""
INHERITED = ("ECDSA", "SafeERC20", "InvalidShortString", "StringTooLong")
"""Errors in the contract's ABI that come with libraries; which of them a signature or a token meets is theirs to say."""
OPEN, CLAIMED, DISPUTED = "open", "claimed", "disputed"


@dataclass
class Tally:
    wallets: Mapping[str, Wallet]
    calls: int = 0
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reverted: Counter[str] = field(default_factory=Counter)
    special: Counter[str] = field(default_factory=Counter)
    state: dict[str, str] = field(default_factory=dict)
    acceptors: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Client and acceptor of each lease."""
    assigned: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)
    """Orders that the same call charged to a budget."""
    charged: set[str] = field(default_factory=set)
    """Orders that any call charged."""
    signers: dict[Hashable, str] = field(default_factory=dict)
    """Of the orders that the same call opens."""
    owed: dict[str, int] = field(default_factory=dict)
    """Seconds that were paid or are in dispute, of each lease."""

    def count(self, call: Call, now: int, outcome: Outcome, events: tuple[Event, ...]) -> None:
        """Write down one call, as the contract took it; its events are as the model says."""
        self.calls += 1
        self.spent.clear()
        fills = call.values[0] if call.verb == "open" else ()
        self.signers = {fill.signature.message: fill.signature.signer for fill in fills}
        if outcome.error is not None:
            self.reverted[outcome.error[0]] += 1
            return
        if call.verb in VERBS and call.verb not in ITEMS.values():
            self.succeeded[call.verb] += 1
        for event in events:
            self.succeeded.update([ITEMS[event.name]] if event.name in ITEMS else [])
            self.special.update(self._special(event, now))

    def count_refusals(self, outcome: Outcome, market: str) -> None:
        logs = [log for log in outcome.logs if log["address"].lower() == market]
        for name, values in (event_of(log) for log in logs):
            if name in ("FillRefused", "SettlementRefused"):
                self.refused[Refusal(values[-1]).name] += 1

    def missing(self, at_least: int) -> list[str]:
        """What a run should have seen, but did not: a verb or a special case often, a refusal or an error once."""
        errors = {name for name in contract_abi("ComputeMarket").errors if not name.startswith(INHERITED)} - NEVER_SEEN
        rare = [name for name in VERBS if self.succeeded[name] < at_least]
        rare += [name for name in SPECIAL if self.special[name] < 2]
        rare += [reason.name for reason in Refusal if not self.refused[reason.name]]
        return rare + sorted(errors - set(self.reverted))

    def table(self) -> str:
        """Everything that was seen, by name."""
        parts = {
            "succeeded": self.succeeded,
            "refused": self.refused,
            "reverted": self.reverted,
            "special": self.special,
        }
        lines = [
            f"{part}: {', '.join(f'{name} {times}' for name, times in sorted(seen.items()))}"
            for part, seen in parts.items()
        ]
        return "\n".join([f"{self.calls} calls", *lines])

    # special cases ---------------------------------------------------------------------------------------------------

    def _special(self, event: Event, now: int) -> Iterator[str]:
        """What is remarkable about an event of a lease, and what the lease is then."""
        if event.name == "BudgetSpent":
            self.spent.add(event.values[2])
            self.charged.add(event.values[2])
        elif event.name == "LeaseOpened":
            yield from self._opened(event, now)
        elif event.name == "LeaseClaimed":
            self.state[event.values[0]] = CLAIMED
        elif event.name == "LeaseDisputed":
            yield from self._disputed(event)
        elif event.name.startswith("Lease"):
            yield from self._moved_on(event)

    def _opened(self, event: Event, now: int) -> Iterator[str]:
        lease, _, client, opener, _, values = event.values
        order = Order(*values)
        if lease in self.spent:
            yield "opened by a delegate"
        elif opener == client:
            yield "opened by the client itself"
        elif client in self.wallets:
            yield "opened by a wallet's signature"
        if lease in self.state:
            yield "opened again"
        if lease in self.charged - self.spent and opener != client and self.signers.get(lease) != client:
            yield "opened again without a charge"
        self.owed[lease] = 0
        if order.starts_at > now:
            yield "opened as a term lease"
        self.state[lease], self.acceptors[lease] = OPEN, (client, order.acceptor)
        self.assigned.discard(lease)

    def _disputed(self, event: Event) -> Iterator[str]:
        lease, by = event.values[:2]
        yield f"disputed while {self.state[lease]}"
        if by != self.acceptors[lease][0]:
            yield "disputed by the acceptor"
        self.state[lease], self.owed[lease] = DISPUTED, max(self.owed[lease], event.values[2])

    def _moved_on(self, event: Event) -> Iterator[str]:
        lease = event.values[0]
        if event.name == "LeaseAssigned":
            self.assigned.add(lease)
        elif event.name == "LeaseSettled":
            yield f"{'last' if event.values[3] else 'progress'} while {self.state[lease]}"
            self.owed[lease] = max(self.owed[lease], event.values[1])
            if event.values[4] and lease in self.assigned:
                yield "paid to an assignee"
        elif event.name == "LeaseDeclined":
            yield "declined to be opened again" if event.values[1] is Status.NONE else "declined for good"
        elif event.name == "LeaseRuled":
            yield f"ruled {'against' if event.values[1] else 'for'} the provider"
            if event.values[2] > self.owed[lease]:
                yield "ruled beyond what was in dispute"
        elif event.name == "LeaseLapsed" and event.values[1] > self.owed[lease]:
            yield "lapsed beyond what was in dispute"
