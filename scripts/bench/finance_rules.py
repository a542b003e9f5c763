"""What the market's and the vaults' events say about money, as movements with the rule of each. Built on events alone: the chain's balances are the check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from marketplace.chain.contracts import contract_abi, decoded
from marketplace.domain import events as e
from marketplace.domain.finance import share_rounded_down
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.units import Bps, TokenUnits
from scripts.bench.finance_ledger import Ledger

_VAULT: Final = {event.hash: event for event in contract_abi("AdvanceVault").events.values()}
_FLOWS: Final[Mapping[type[e.Event], Sequence[tuple[str, str, str]]]] = {
    e.LeaseSettled: (
        ("paid", "payee", "receipt: what was served, or prepaid"), ("refund", "client", "receipt: the rest of T"),
        ("bond", "provider", "receipt: the bond returns"), ("stake", "disputer", "receipt: the stake returns"),
    ),
    e.LeaseFinalized: (
        ("paid", "payee", "finalize: what was claimed"), ("refund", "client", "finalize: the rest of T"),
        ("bond", "provider", "finalize: the bond returns"),
    ),
    e.LeaseTerminated: (
        ("paid", "payee", "terminate: E(max(elapsed, minSeconds))"), ("refund", "client", "terminate: the rest of T"),
        ("bond", "provider", "terminate: the bond returns"),
    ),
    e.LeaseExpired: (
        ("refund", "client", "expire: the rest of T"), ("compensation", "client", "expire: the silent provider's bond"),
        ("bond", "provider", "expire: the rest of the bond"),
    ),
    e.LeaseLapsed: (
        ("paid", "payee", "lapse: half of what was guaranteed or claimed"), ("refund", "client", "lapse: the rest of T"),
        ("bond", "provider", "lapse: the bond returns"), ("stake", "disputer", "lapse: the stake returns"),
    ),
    e.LeaseRuled: (
        ("paid", "payee", "rule: what the arbiter granted"), ("refund", "client", "rule: the rest of T"),
        ("to_provider", "provider", "rule: stakes to the provider"), ("to_disputer", "disputer", "rule: stakes to who disputed"),
        ("to_arbiter", "arbiter", "rule: half of the loser's stake to the arbiter"),
    ),
}  # fmt: skip
"""Of each event that moves money out of a lease: the field, whose it is, and by which rule."""


@dataclass
class LeaseAccount:
    """Who stands on which side of a lease, as accounts."""

    account: str
    client: str
    provider: str
    payee: str
    arbiter: str
    disputer: str = ""


@dataclass
class LoanAccount:
    """Whose a loan of a vault is."""

    folder: str
    name: str
    owner: str
    backer: str
    shared: int = 0
    """Income of which the owner had its part, as of the last look."""

    @property
    def reserve(self) -> str:
        return f"{self.folder}/reserve of {self.name}"

    @property
    def cover(self) -> str:
        return f"{self.folder}/cover of {self.name}"


@dataclass
class Explainer:
    """Reads receipts of transactions into a ledger. ``names`` says how addresses are called; everybody who has money must be in it."""

    ledger: Ledger
    names: dict[Address, str]
    bond_floor: TokenUnits
    opex_bps: Bps
    shared_of: Callable[[Address, int], int]
    """Of a vault's loan: income of which its owner has had the part for running costs. In no event, and moves nothing: it only names a movement."""
    offers: dict[OfferId, Offer] = field(default_factory=dict)
    lease_names: dict[Bytes32, str] = field(default_factory=dict)
    leases: dict[Bytes32, LeaseAccount] = field(default_factory=dict)
    vaults: set[Address] = field(default_factory=set)
    owners: dict[Address, str] = field(default_factory=dict)
    """Of each company, its owner's name."""
    backers: dict[Bytes32, str] = field(default_factory=dict)
    loans: dict[tuple[Address, int], LoanAccount] = field(default_factory=dict)

    # -- the market ---------------------------------------------------------------------------------------------------

    def market(self, time: int, event: e.Event) -> None:
        """Explain one event of the market."""
        match event:
            case e.OfferListed(offer=offer):
                self.offers[offer.id] = offer
            case e.Deposited(account=account, sender=sender, amount=amount):
                self._move(time, f"wallet/{self.names[sender]}", self._free(account), amount, "deposit")
            case e.Withdrawn(account=account, to=to, amount=amount):
                taker = f"vault/{self.names[to]}/arriving" if to in self.vaults else f"wallet/{self.names[to]}"
                rule = "pay: a pledged company to its creditor" if to in self.vaults else "withdraw"
                self._move(time, self._free(account), taker, amount, rule)
            case e.LeaseOpened():
                self._opened(time, event)
            case e.LeaseAssigned(lease=lease, payee=payee):
                self.leases[lease].payee = self._free(payee)
            case e.LeaseDisputed(lease=lease, by=by, stake=stake):
                self.leases[lease].disputer = self._free(by)
                self._move(
                    time, self._free(by), self.leases[lease].account, stake, "dispute: a stake as much as the bond"
                )
            case _:
                for part, whose, rule in _FLOWS.get(type(event), ()):
                    sides = self.leases[getattr(event, "lease")]  # noqa: B009
                    self._move(time, sides.account, getattr(sides, whose), getattr(event, part), rule)

    def _opened(self, time: int, event: e.LeaseOpened) -> None:
        locked = lock_of(event.order, event.price)
        bond = bond_of(locked, self.offers[event.offer].bond_bps, self.bond_floor)
        provider = self._free(self.offers[event.offer].provider)
        client, name = self._free(event.client), self.lease_names[event.lease]
        arbiter = self._free(event.order.arbiter)
        lease = self.leases[event.lease] = LeaseAccount(f"lease/{name}", client, provider, provider, arbiter)
        self._move(time, client, lease.account, locked, "open: T of the client")
        self._move(time, provider, lease.account, bond, "open: bond of the provider")

    # -- vaults -------------------------------------------------------------------------------------------------------

    def vault(self, time: int, vault: Address, log: Any) -> None:
        """Explain one log of a vault; those that move no money are passed by."""
        known = _VAULT.get(bytes.fromhex(log["topics"][0][2:]))
        explain = getattr(self, f"_on_{known.name.lower()}", None) if known else None
        if known is None or explain is None:
            return
        explain(time, vault, _values(known, log))

    def _on_deposit(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        self._move(
            time,
            f"wallet/{self.names[said['sender']]}",
            self._cash(vault),
            said["assets"],
            "V-10 deposit at the price of now",
        )

    def _on_withdraw(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        self._move(
            time,
            self._part(vault, "claimable"),
            f"wallet/{self.names[said['receiver']]}",
            said["assets"],
            "V-13 what left the queue is taken",
        )

    def _on_processed(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        self._move(
            time, self._cash(vault), self._part(vault, "claimable"), said["assets"], "V-11 exits filled pro rata"
        )

    def _on_backed(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        cover = self._part(vault, f"cover of {self.lease_names[said['lease']]}")
        self.backers[said["lease"]] = self.names[said["backer"]]
        more = said["amount"] - self.ledger.balances[cover]
        self._move(time, f"wallet/{self.names[said['backer']]}", cover, more, "V-4 first loss put up")

    def _on_drawn(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        owner = self.owners[said["spv"]]
        loan = self.loans.setdefault(
            (vault, said["loan"]),
            LoanAccount(f"vault/{self.names[vault]}", self.lease_names[said["lease"]], owner, self.backers.get(said["lease"], "")),
        )  # fmt: skip
        loan.shared = loan.shared or self.shared_of(vault, said["loan"])
        self._move(time, self._cash(vault), loan.reserve, said["reserve"], "draw: the reserve is held back")
        self._move(time, self._cash(vault), f"wallet/{owner}", said["amount"] - said["reserve"], "V-1 to V-8 draw")

    def _on_tipped(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        self._move(
            time,
            self._part(vault, "arriving"),
            self._credit(vault, self.names[said["keeper"]]),
            said["amount"],
            "waterfall 1: the keeper's tip",
        )

    def _on_collected(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        loan, arriving = self.loans[vault, said["loan"]], self._part(vault, "arriving")
        before, loan.shared = loan.shared, self.shared_of(vault, said["loan"])
        running = min(said["toOwner"], share_rounded_down(loan.shared - before, self.opex_bps))
        owner = self._credit(vault, loan.owner)
        self._move(time, arriving, owner, running, "waterfall 2: running costs")
        self._repaid(time, vault, loan, arriving, said["toVault"], said["toBacker"])
        self._move(time, arriving, owner, said["toOwner"] - running, "waterfall 4: the rest to the owner")
        if said["owed"] == 0:
            self._closed(time, vault, loan)

    def _on_resolved(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        loan = self.loans[vault, said["loan"]]
        self._move(time, loan.reserve, self._cash(vault), said["fromReserve"], "resolve: the reserve first")
        self._move(time, loan.cover, self._cash(vault), said["fromCover"], "resolve: the cover second")
        if said["written"] == 0:
            self._closed(time, vault, loan)

    def _on_credittaken(self, time: int, vault: Address, said: Mapping[str, Any]) -> None:
        self._move(
            time,
            self._credit(vault, self.names[said["account"]]),
            f"wallet/{self.names[said['to']]}",
            said["amount"],
            "a credit is taken",
        )

    def _repaid(self, time: int, vault: Address, loan: LoanAccount, giver: str, paid: int, to_backer: int) -> None:
        self._move(time, giver, self._cash(vault), paid - to_backer, "waterfall 3: what is owed")
        if to_backer:
            self._move(
                time, giver, self._credit(vault, loan.backer), to_backer, "waterfall 3: the backer's share of interest"
            )

    def _closed(self, time: int, vault: Address, loan: LoanAccount) -> None:
        self._move(
            time,
            loan.reserve,
            self._credit(vault, loan.owner),
            self.ledger.balances[loan.reserve],
            "repaid: the reserve returns",
        )
        if loan.backer:
            self._move(
                time,
                loan.cover,
                self._credit(vault, loan.backer),
                self.ledger.balances[loan.cover],
                "repaid: the cover returns",
            )

    # -- accounts -----------------------------------------------------------------------------------------------------

    def _move(self, time: int, giver: str, taker: str, amount: int, rule: str) -> None:
        self.ledger.move(time, giver, taker, amount, rule)

    def _free(self, account: Address) -> str:
        return f"market/{self.names[account]}"

    def _part(self, vault: Address, part: str) -> str:
        return f"vault/{self.names[vault]}/{part}"

    def _cash(self, vault: Address) -> str:
        return self._part(vault, "cash")

    def _credit(self, vault: Address, whose: str) -> str:
        return self._part(vault, f"credit of {whose}")


def _values(event: Any, log: Any) -> dict[str, Any]:
    """An event's parameters by name."""
    indexed = [part for part in event.inputs if part.indexed]
    plain = [part for part in event.inputs if not part.indexed]
    values = {
        part.name: decoded([part], bytes.fromhex(topic[2:]))[0]
        for part, topic in zip(indexed, log["topics"][1:], strict=True)
    }
    return values | dict(
        zip((part.name for part in plain), decoded(plain, bytes.fromhex(log["data"][2:])), strict=True)
    )
