"""The whole market as a plain ledger, written from docs/reference/specification.md alone: no line of it was taken from the contract or the domain.

A verb takes who calls and the block's time, and either moves money in these dictionaries and says what happened, or
raises ``Reverted`` with every objection that holds. Where the batch verbs refuse an item, the event carries the set of
all reasons that hold: "where several hold, any of them".

What the page leaves open is settled here so: a deposit comes ``from`` whoever's tokens they are, relayed or not; the first
opening sets tipPaid also where the tip is 0; a closed lease keeps its word, but for status and paidSeconds; a lease that is
declined to None keeps tipPaid, charged and openedAt, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

from tests.differential.books import MOST_TIME, Budget
from tests.differential.openings import Openings
from tests.differential.serving import Serving
from tests.differential.shapes import (
    LIVE,
    NOBODY,
    TOKEN_SAYS_NO,
    Address,
    Authorization,
    Lease,
    Offer,
    Order,
    Receipt,
    Refusal,
    Settlement,
    Signature,
    Status,
    Word,
    require,
    unless,
)


@dataclass(slots=True)
class MarketModel(Openings):
    """All verbs, in the order of the page."""

    # accounts --------------------------------------------------------------------------------------------------------

    def deposit(self, by: Address, _now: int, account: Address, amount: int) -> None:
        """Credit ``account`` with the caller's tokens (P-01)."""
        require(self._account(account))
        self.token.transfer_from(self.address, by, self.address, amount)
        self._credit_arrived(by, account, amount)

    def deposit_with_permit(
        self, by: Address, now: int, owner: Address, amount: int, deadline: int, signature: Signature
    ) -> None:
        """Try the owner's EIP-2612 permit; after one that fails, only the owner itself may go on."""
        require(self._account(owner))
        permitted = self.token.permit_holds(now, owner, self.address, amount, deadline, signature)
        require(unless(permitted or by == owner, "NotPermitted", by, owner))
        if permitted:
            require(None if self.token.balances[owner] >= amount else TOKEN_SAYS_NO)
            self.token.permit(now, owner, self.address, amount, deadline, signature)
        self.token.transfer_from(self.address, owner, self.address, amount)
        self._credit_arrived(owner, owner, amount)

    def deposit_with_authorization(
        self,
        by: Address,
        now: int,
        owner: Address,
        amount: int,
        after: int,
        before: int,
        nonce: Word,
        signed: Signature,
    ) -> None:
        """Use the owner's EIP-3009 authorization to receive, which only the market can."""
        require(self._account(owner))
        authorization = Authorization(owner, self.address, amount, after, before, nonce)
        self.token.receive_with_authorization(now, self.address, authorization, signed)
        self._credit_arrived(owner, owner, amount)

    def withdraw(self, by: Address, _now: int, to: Address, amount: int) -> None:
        """Pay out of the caller's own free balance (P-06)."""
        require(
            unless(to != self.address, "PaidToMarket"),
            None if to != NOBODY else TOKEN_SAYS_NO,
            unless(to != NOBODY, "ZeroAccount"),
            unless(self.accounts[by] >= amount, "BalanceTooLow", by, amount, self.accounts[by]),
        )
        self.accounts[by] -= amount
        self.token.transfer(self.address, to, amount)
        self._log("Withdrawn", by, to, amount)

    def authorize(self, by: Address, _now: int, delegate: Address, budget: int, until: int) -> None:
        """Let a delegate sign up to a budget, until a time; either 0 clears both."""
        require(unless(delegate != NOBODY, "ZeroAccount"))
        if budget == 0 or until == 0:
            budget, until = 0, 0
        self.budgets[by, delegate] = Budget(budget, until)
        self._log("Authorized", by, delegate, budget, until)

    # offers ----------------------------------------------------------------------------------------------------------

    def list(
        self,
        by: Address,
        _now: int,
        gpu_class: int,
        gpus: int,
        bond_bps: int,
        price: int,
        min_seconds: int,
        expires_at: int,
        arbiter: Address,
        spec: Word,
    ) -> None:
        """A new offer, all GPUs free; ids count from 1."""
        require(
            unless(gpus > 0, "NoGpus"),
            unless(bond_bps <= 10_000, "BondBpsTooHigh", bond_bps, 10_000),
            unless(arbiter not in (NOBODY, by), "WrongArbiter", arbiter),
        )
        number = len(self.offers) + 1
        offer = Offer(by, gpu_class, gpus, gpus, bond_bps, expires_at, arbiter, price, min_seconds, spec)
        self.offers[number] = offer
        self._log("OfferListed", number, by, astuple(offer))

    def reprice(self, by: Address, _now: int, number: int, price: int, expires_at: int) -> None:
        """Price and expiry of later leases; running ones keep theirs."""
        offer = self.offer_of(number)
        require(unless(by == offer.provider, "NotProvider", by, offer.provider))
        offer.price, offer.expires_at = price, expires_at
        self._log("OfferRepriced", number, price, expires_at)

    # orders ----------------------------------------------------------------------------------------------------------

    def cancel(self, by: Address, _now: int, order: Order) -> None:
        """Never to be opened (again): an order in None is closed, one that is open goes on."""
        at = self._serving(order)
        require(
            self._client_side(by, at),
            unless(at.lease.status in (Status.NONE, Status.OPEN), "NotCancellable", at.id, at.lease.status),
        )
        if at.lease.status is Status.OPEN:
            at.lease.no_reopen = True
        else:
            at.lease.status = Status.CLOSED
        self.orders[at.id], self.leases[at.id] = order, at.lease
        self._log("OrderCancelled", at.id, by)

    # leases ----------------------------------------------------------------------------------------------------------

    def settle(self, by: Address, now: int, settlements: Sequence[Settlement]) -> None:
        """Pay what both sides agree on; anyone; in Open, Claimed or Disputed."""
        for item in settlements:
            at = self._serving(item.order)
            reasons = frozenset(self._refusals_of_settlement(by, now, item, at))
            if reasons:
                self._log("SettlementRefused", at.id, by, reasons)
            else:
                self._settle_one(item, at)

    def _settle_one(self, item: Settlement, at: Serving) -> None:
        paid = self._pay(at, item.used_seconds)
        refund = bond = stake = 0
        if item.last:
            refund, bond = at.total - at.earned(item.used_seconds), at.bond
            stake = at.bond if at.lease.status is Status.DISPUTED else 0
            self._close(at, client=refund, provider=bond, disputer=stake)
        self._log("LeaseSettled", at.id, item.used_seconds, item.result, item.last, paid, refund, bond, stake)

    def _refusals_of_settlement(self, by: Address, now: int, item: Settlement, at: Serving) -> Iterator[Refusal]:
        if at.lease.status not in LIVE:
            yield Refusal.NotLive
            return
        least = at.lease.paid_seconds if item.last else at.lease.paid_seconds + 1
        if not least <= item.used_seconds <= at.most_agreed(now):
            yield Refusal.SecondsOutOfBounds
        receipt = Receipt(at.id, at.lease.offer, at.lease.opened_at, item.used_seconds, item.result, item.last)
        client_side = [who for who in (at.order.client, at.order.acceptor) if who != NOBODY]
        if not self._signed_by(client_side, by, receipt, item.client_signature):
            yield Refusal.BadClientSignature
        if item.last and not self._signed_by([at.offer.provider], by, receipt, item.provider_signature):
            yield Refusal.BadProviderSignature

    def _signed_by(self, who: Sequence[Address], by: Address, receipt: Receipt, signature: Signature) -> bool:
        """By one of these keys, or approved by one of these contracts; a caller need not sign (P-25)."""
        return (
            by in who
            or signature.names(receipt) in who
            or any(self._contract_approves(each, receipt, signature) for each in who)
        )

    def claim(self, by: Address, now: int, order: Order, used_seconds: int, result: Word) -> None:
        """The provider says what it is owed; the GPUs are free again."""
        at = self._serving(order)
        opens, most = at.start + order.min_seconds, at.elapsed(now)
        least = at.lease.paid_seconds
        require(
            self._provider(by, at),
            unless(at.lease.status is Status.OPEN, "NotOpen", at.id, at.lease.status),
            unless(opens <= now, "TooEarly", now, opens),
            unless(now < at.deadline, "TooLate", now, at.deadline),
            unless(now <= MOST_TIME, "TimeTooLate", now, MOST_TIME),
            unless(least <= used_seconds <= most, "SecondsOutOfBounds", used_seconds, least, most),
        )
        at.offer.free += order.gpus
        at.lease.status, at.lease.claimed_seconds, at.lease.changed_at = Status.CLAIMED, used_seconds, now
        self._log("LeaseClaimed", at.id, used_seconds, result)

    def finalize(self, by: Address, now: int, orders: Sequence[Order]) -> None:
        """Pay claims that nobody objected to; anyone, after the challenge window."""
        for order in orders:
            at = self._serving(order)
            if at.lease.status is not Status.CLAIMED:
                self._log("SettlementRefused", at.id, by, frozenset([Refusal.NotClaimed]))
            elif now < at.lease.changed_at + self.constants.challenge_window:
                self._log("SettlementRefused", at.id, by, frozenset([Refusal.WindowOpen]))
            else:
                self._finalize_one(at)

    def _finalize_one(self, at: Serving) -> None:
        seconds = max(at.lease.claimed_seconds, at.lease.paid_seconds)
        paid, refund, bond = self._pay(at, seconds), at.total - at.earned(seconds), at.bond
        self._close(at, client=refund, provider=bond)
        self._log("LeaseFinalized", at.id, seconds, paid, refund, bond)

    def terminate(self, by: Address, now: int, order: Order) -> None:
        """The client's side ends it early and pays what elapsed, at least what it guaranteed or paid."""
        at = self._serving(order)
        require(
            self._client_side(by, at),
            unless(at.lease.status is Status.OPEN, "NotOpen", at.id, at.lease.status),
            unless(now < at.deadline, "TooLate", now, at.deadline),
        )
        seconds = max(at.elapsed(now), order.min_seconds, at.lease.paid_seconds)
        paid, refund, bond = self._pay(at, seconds), at.total - at.earned(seconds), at.bond
        self._close(at, client=refund, provider=bond)
        self._log("LeaseTerminated", at.id, by, seconds, paid, refund, bond)

    def decline(self, by: Address, now: int, order: Order) -> None:
        """The provider gives it back at once; what was paid comes out of the bond; unpaid it may be opened again."""
        at = self._serving(order)
        paid, end = at.earned(at.lease.paid_seconds), at.lease.opened_at + self.constants.start_grace
        require(
            self._provider(by, at),
            unless(at.lease.status is Status.OPEN, "NotOpen", at.id, at.lease.status),
            unless(now < end, "TooLate", now, end),
            unless(not at.is_term_lease, "TermLease", at.id, order.starts_at),
            unless(paid <= at.bond, "PaidBeyondBond", paid, at.bond),
        )
        refund, bond, before = at.total, at.bond - paid, replace(at.lease)
        self._close(at, client=refund, provider=bond)
        if before.paid_seconds == 0 and not before.no_reopen:
            kept = Lease(tip_paid=before.tip_paid, charged=before.charged, opened_at=before.opened_at)
            self.leases[at.id] = kept
        self._log("LeaseDeclined", at.id, self.leases[at.id].status, refund, bond)

    def expire(self, _by: Address, now: int, order: Order) -> None:
        """The provider stayed silent: the client is made whole, and compensated out of the bond; anyone."""
        at = self._serving(order)
        require(
            unless(at.lease.status is Status.OPEN, "NotOpen", at.id, at.lease.status),
            unless(now >= at.deadline, "TooEarly", now, at.deadline),
        )
        refund, compensation = at.total - at.earned(at.lease.paid_seconds), min(at.bond, at.total)
        bond = at.bond - compensation
        self._close(at, client=refund + compensation, provider=bond)
        self._log("LeaseExpired", at.id, refund, compensation, bond)

    def dispute(self, by: Address, now: int, order: Order) -> None:
        """The client's side objects and stakes B; an open lease's elapsed seconds are frozen and its GPUs freed."""
        at = self._serving(order)
        status, opens = at.lease.status, at.start + self.constants.start_grace
        ends = at.lease.changed_at + self.constants.challenge_window if status is Status.CLAIMED else at.deadline
        require(
            self._client_side(by, at),
            unless(status in (Status.OPEN, Status.CLAIMED), "NotDisputable", at.id, status),
            unless(status is Status.CLAIMED or now >= opens, "TooEarly", now, opens),
            unless(now < ends, "TooLate", now, ends),
            unless(now <= MOST_TIME, "TimeTooLate", now, MOST_TIME),
            unless(self.accounts[by] >= at.bond, "BalanceTooLow", by, at.bond, self.accounts[by]),
        )
        self.accounts[by] -= at.bond
        if status is Status.OPEN:
            at.offer.free += order.gpus
            at.lease.claimed_seconds = at.elapsed(now)
        at.lease.status, at.lease.changed_at, at.lease.by_acceptor = Status.DISPUTED, now, by != order.client
        self._log("LeaseDisputed", at.id, by, at.lease.claimed_seconds, at.bond)

    def rule(self, by: Address, now: int, order: Order, used_seconds: int, at_fault: bool) -> None:
        """The arbiter decides; the loser's stake goes to the winner, half of it to the arbiter."""
        at = self._serving(order)
        end, claimed = at.lease.changed_at + self.constants.ruling_window, at.lease.claimed_seconds
        most = claimed if at_fault else at.most_owed
        require(
            unless(by == order.arbiter, "NotArbiter", by, order.arbiter),
            unless(at.lease.status is Status.DISPUTED, "NotDisputed", at.id, at.lease.status),
            unless(now < end, "TooLate", now, end),
            unless(used_seconds <= most, "SecondsOutOfBounds", used_seconds, 0, most),
        )
        seconds, to_arbiter = max(used_seconds, at.lease.paid_seconds), at.bond // 2
        to_winner = 2 * at.bond - to_arbiter
        to_provider, to_disputer = (0, to_winner) if at_fault else (to_winner, 0)
        paid, refund = self._pay(at, seconds), at.total - at.earned(seconds)
        self._close(at, client=refund, provider=to_provider, disputer=to_disputer, arbiter=to_arbiter)
        self._log("LeaseRuled", at.id, at_fault, seconds, paid, refund, to_provider, to_disputer, to_arbiter)

    def lapse(self, _by: Address, now: int, order: Order) -> None:
        """Nobody ruled: stakes go back, what is in dispute or guaranteed is split; anyone."""
        at = self._serving(order)
        opens = at.lease.changed_at + self.constants.ruling_window
        require(
            unless(at.lease.status is Status.DISPUTED, "NotDisputed", at.id, at.lease.status),
            unless(now >= opens, "TooEarly", now, opens),
        )
        before = at.lease.paid_seconds
        seconds = before + (at.most_owed - before) // 2
        paid, refund, bond = self._pay(at, seconds), at.total - at.earned(seconds), at.bond
        self._close(at, client=refund, provider=bond, disputer=bond)
        self._log("LeaseLapsed", at.id, seconds, paid, refund, bond, bond)

    def assign(self, by: Address, _now: int, order: Order, payee: Address) -> None:
        """Whoever gets the lease's income passes the rest of it on."""
        at = self._serving(order)
        current = self.payee_of(at.id)
        require(
            unless(at.lease.status in LIVE, "NotLive", at.id, at.lease.status),
            self._account(payee),
            unless(by == current, "NotPayee", by, current),
        )
        at.lease.assigned, self.payees[at.id] = True, payee
        self._log("LeaseAssigned", at.id, by, payee)
