"""What the market keeps, how it is read, and the moves of money that all verbs share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from tests.differential.dollar import Dollar
from tests.differential.serving import Serving
from tests.differential.shapes import (
    LIVE,
    NOBODY,
    Address,
    Constants,
    Event,
    Lease,
    Objection,
    Offer,
    Order,
    Signature,
    Status,
    Wallet,
    Word,
    unless,
)

MOST_TIME = 2**32 - 1
"""The word holds times of 32 bits."""
MODULUS = 2**128
"""``volumeOf`` wraps."""


@dataclass(slots=True)
class Budget:
    left: int = 0
    until: int = 0


@dataclass(slots=True)
class Volume:
    paid: int = 0
    gpu_seconds: int = 0


@dataclass(slots=True)
class Books:
    """``identify`` makes an order's id: its EIP-712 digest, for which the standard library has no hash."""

    address: Address
    token: Dollar
    constants: Constants
    wallets: Mapping[Address, Wallet]
    identify: Callable[[Order], Word]
    accounts: Counter[Address] = field(default_factory=Counter)
    budgets: dict[tuple[Address, Address], Budget] = field(default_factory=dict)
    offers: dict[int, Offer] = field(default_factory=dict)
    leases: dict[Word, Lease] = field(default_factory=dict)
    payees: dict[Word, Address] = field(default_factory=dict)
    orders: dict[Word, Order] = field(default_factory=dict)
    volumes: dict[int, Volume] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    # views -----------------------------------------------------------------------------------------------------------

    def offer_of(self, number: int) -> Offer:
        return self.offers.get(number, Offer())

    def lease_of(self, number: Word) -> Lease:
        return self.leases.get(number, Lease())

    def budget_of(self, account: Address, delegate: Address) -> Budget:
        return self.budgets.get((account, delegate), Budget())

    def payee_of(self, number: Word) -> Address:
        """0 unless live."""
        lease = self.lease_of(number)
        if lease.status not in LIVE:
            return NOBODY
        return self.payees[number] if lease.assigned else self.offer_of(lease.offer).provider

    def volume_of(self, gpu_class: int) -> Volume:
        return self.volumes.get(gpu_class, Volume())

    @property
    def servings(self) -> dict[Word, Serving]:
        return {number: self._serving(order) for number, order in self.orders.items()}

    @property
    def locked(self) -> int:
        return sum(serving.locked for serving in self.servings.values())

    # what all verbs share --------------------------------------------------------------------------------------------

    def _serving(self, order: Order) -> Serving:
        number = self.identify(order)
        lease = self.lease_of(number)
        return Serving(number, order, lease, self.offer_of(lease.offer), self.constants)

    def _contract_approves(self, who: Address, message: Hashable, signature: Signature) -> bool:
        wallet = self.wallets.get(who)
        return wallet is not None and wallet.approves(message, signature)

    def _account(self, who: Address) -> Objection | None:
        """Neither 0 nor the market itself is an account."""
        return unless(who != NOBODY, "ZeroAccount") or unless(who != self.address, "PaidToMarket")

    def _client_side(self, by: Address, at: Serving) -> Objection | None:
        return unless(at.is_client_side(by), "NotClientSide", by, at.order.client, at.order.acceptor)

    def _provider(self, by: Address, at: Serving) -> Objection | None:
        return unless(by == at.offer.provider, "NotProvider", by, at.offer.provider)

    def _credit_arrived(self, source: Address, account: Address, amount: int) -> None:
        self.accounts[account] += amount
        self._log("Deposited", account, source, amount)

    def _pay(self, at: Serving, upto: int) -> int:
        """Move paidSeconds and pay the payee for the move (P-03); the class's volume grows with it (I-11)."""
        paid = at.earned(upto) - at.earned(at.lease.paid_seconds)
        volume = self.volumes.setdefault(at.offer.gpu_class, Volume())
        volume.paid = (volume.paid + paid) % MODULUS
        volume.gpu_seconds = (volume.gpu_seconds + at.order.gpus * (upto - at.lease.paid_seconds)) % MODULUS
        self.accounts[self.payee_of(at.id)] += paid
        at.lease.paid_seconds = upto
        return paid

    def _close(self, at: Serving, *, client: int, provider: int, disputer: int = 0, arbiter: int = 0) -> None:
        """Hand out what the exit table says, free the GPUs if they were still taken, and close for good (I-2, I-3)."""
        self.accounts[at.order.client] += client
        self.accounts[at.offer.provider] += provider
        self.accounts[at.disputer] += disputer
        self.accounts[at.order.arbiter] += arbiter
        if at.lease.status is Status.OPEN:
            at.offer.free += at.order.gpus
        at.lease.status = Status.CLOSED

    def _log(self, name: str, *values: object) -> None:
        self.events.append(Event(name, values))
