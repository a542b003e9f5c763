"""The verb ``open``: everything that a fill is checked for (P-20, P-21, P-25), and what it moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

from tests.differential.books import MOST_TIME, Books
from tests.differential.serving import Serving, total
from tests.differential.shapes import LIVE, NOBODY, Address, Fill, Lease, Order, Refusal, Status, Word


@dataclass(slots=True)
class Openings(Books):
    """The books, and how orders are opened."""

    def open(self, by: Address, now: int, fills: Sequence[Fill], round_hash: Word) -> None:
        """Open what holds, refuse what does not, one by one (I-9)."""
        opened = 0
        for fill in fills:
            reasons = frozenset(self._refusals_of(by, now, fill))
            if reasons:
                self._log("FillRefused", self.identify(fill.order), fill.offer, by, reasons)
            else:
                self._open_one(by, now, fill)
                opened += 1
        self._log("BatchOpened", round_hash, by, opened)

    def _open_one(self, by: Address, now: int, fill: Fill) -> None:
        order, offer, number = fill.order, self.offer_of(fill.offer), self.identify(fill.order)
        before = self.lease_of(number)
        delegate, charged = self._delegate_of(by, now, fill), before.charged
        if delegate is not None and not before.charged:
            charged = True
            budget = self.budgets[order.client, delegate]
            budget.left -= total(order.max_price, order.gpus, order.max_seconds) + order.tip
            self._log("BudgetSpent", order.client, delegate, number, budget.left)
        lease = Lease(Status.OPEN, tip_paid=True, charged=charged, offer=fill.offer, price=fill.price, opened_at=now)
        serving = Serving(number, order, lease, offer, self.constants)
        tip = 0 if before.tip_paid else order.tip
        self.orders[number], self.leases[number] = order, lease
        self.accounts[order.client] -= serving.total + tip
        self.accounts[offer.provider] -= serving.bond
        self.accounts[by] += tip
        offer.free -= order.gpus
        self._log("LeaseOpened", number, fill.offer, order.client, by, fill.price, astuple(order))

    def _refusals_of(self, by: Address, now: int, fill: Fill) -> Iterator[Refusal]:
        """Everything of P-20 and P-21 that does not hold."""
        yield from self._refusals_of_signature(by, now, fill)
        yield from self._refusals_of_order(by, now, fill.order)
        yield from self._refusals_of_offer(by, now, fill)
        yield from self._refusals_of_money(fill)

    def _refusals_of_signature(self, by: Address, now: int, fill: Fill) -> Iterator[Refusal]:
        """The caller's own, the client's key, a delegate's within budget unless the order was charged before, the client's contract: in
        this order (P-20, P-25)."""
        order, number = fill.order, self.identify(fill.order)
        signer = fill.signature.names(number)
        if order.client in (by, signer):
            return
        delegate = self._delegate_of(by, now, fill)
        if delegate is not None:
            price = total(order.max_price, order.gpus, order.max_seconds) + order.tip
            if not self.lease_of(number).charged and self.budgets[order.client, delegate].left < price:
                yield Refusal.OverBudget
        elif not self._contract_approves(order.client, number, fill.signature):
            yield Refusal.BadSignature

    def _delegate_of(self, by: Address, now: int, fill: Fill) -> Address | None:
        """Which delegate's the signature is, whose budget it would spend: one whose time is over is nobody (I-7)."""
        signer = fill.signature.names(self.identify(fill.order))
        if signer is None or fill.order.client in (by, signer):
            return None
        return signer if now < self.budget_of(fill.order.client, signer).until else None

    def _refusals_of_order(self, by: Address, now: int, order: Order) -> Iterator[Refusal]:
        lease = self.lease_of(self.identify(order))
        if lease.status in LIVE:
            yield Refusal.OrderLive
        if lease.status is Status.CLOSED:
            yield Refusal.OrderClosed
        if lease.status is Status.NONE and lease.opened_at == now:
            yield Refusal.TooSoon
        if now >= order.expires_at:
            yield Refusal.OrderExpired
        if order.opener not in (NOBODY, by) and by != order.client:
            yield Refusal.OpenerNotAllowed
        if order.tip > 0 and order.opener == NOBODY:
            yield Refusal.TipWithoutOpener
        amounts_hold = order.gpus >= 1 and order.max_seconds >= 1 and order.min_seconds <= order.max_seconds
        if not amounts_hold or now > MOST_TIME:
            yield Refusal.BadAmounts

    def _refusals_of_offer(self, by: Address, now: int, fill: Fill) -> Iterator[Refusal]:
        order, offer = fill.order, self.offer_of(fill.offer)
        rules = {
            Refusal.ClassNotAccepted: order.classes >> offer.gpu_class & 1 == 1,
            Refusal.WrongOffer: order.offer in (0, fill.offer),
            Refusal.OfferNotAlive: now < offer.expires_at,
            Refusal.WrongArbiter: order.arbiter == offer.arbiter and order.arbiter not in (NOBODY, offer.provider),
            Refusal.NotEnoughGpus: offer.free >= order.gpus,
            Refusal.PriceOutOfBounds: offer.price <= fill.price <= order.max_price,
            Refusal.BondTooSmall: offer.bond_bps >= order.min_bond_bps,
            Refusal.MinSecondsTooSmall: order.min_seconds >= offer.min_seconds,
            Refusal.TermLeaseNotByProvider: order.starts_at <= now or by == offer.provider,
        }
        yield from (reason for reason, holds in rules.items() if not holds)

    def _refusals_of_money(self, fill: Fill) -> Iterator[Refusal]:
        """The client is debited first, then the provider, and only then is the tip credited (P-07, P-20)."""
        order, offer, (due, bond) = fill.order, self.offer_of(fill.offer), self.locks_of(fill)
        if self.accounts[order.client] < due:
            yield Refusal.ClientBalanceTooLow
        left = self.accounts[offer.provider] - (due if offer.provider == order.client else 0)
        if left < bond:
            yield Refusal.ProviderBalanceTooLow

    def locks_of(self, fill: Fill) -> tuple[int, int]:
        """What the opening takes from the client, T and once the tip, and from the provider, B."""
        order, offer = fill.order, self.offer_of(fill.offer)
        before, lease = self.lease_of(self.identify(order)), Lease(price=fill.price, offer=fill.offer)
        opening = Serving("", order, lease, offer, self.constants)
        return opening.total + (0 if before.tip_paid else order.tip), opening.bond
