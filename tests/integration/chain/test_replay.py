"""Events alone rebuild the whole state (I-12), and the domain's decisions are the contract's: a random walk over all verbs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from marketplace.chain import verbs
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.signing import Key, recover
from marketplace.domain import events, ledger
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.fills import Fill, FillFacts, refusal_of_fill, refusal_of_signer
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber
from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.pricing import deadline_of, elapsed_of
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

RESULTS = [Bytes32("0x" + byte * 32) for byte in ("aa", "bb")]
ACTORS = ANVIL_KEYS[1:5]
"""Each is now a client, now a provider, opener or acceptor: any two roles may be one address (P-07)."""
DELEGATES = ANVIL_KEYS[5:7]
STEPS = 450

# What a walk must have seen, or it proves nothing.
EXPECTED_EVENTS = {
    events.Deposited, events.Withdrawn, events.OfferListed, events.OfferRepriced, events.BatchOpened,
    events.LeaseOpened, events.FillRefused, events.OrderCancelled, events.LeaseSettled, events.SettlementRefused,
    events.LeaseClaimed, events.LeaseFinalized, events.LeaseTerminated, events.LeaseDeclined, events.LeaseExpired,
    events.LeaseDisputed, events.LeaseRuled, events.LeaseLapsed, events.LeaseAssigned, events.Authorized, events.BudgetSpent,
}  # fmt: skip


@dataclass
class Walk:
    """Random verbs by random actors, with time moving as the walk says and not as the clock does."""

    trading: Any
    random: Random
    orders: list[SignedOrder] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    seen: Counter[type[events.Event]] = field(default_factory=Counter)
    leases: dict[Bytes32, Lease] = field(default_factory=dict)
    """The words of the orders as the contract last told them; read again when an event names them."""
    now: int = 0
    reverted: Counter[str] = field(default_factory=Counter)
    declined_to: Counter[LeaseStatus] = field(default_factory=Counter)
    reopened: int = 0
    predicted: Counter[Refusal | None] = field(default_factory=Counter)
    terms_opened: int = 0
    paid_to_assignees: int = 0

    @property
    def market(self) -> Any:
        return self.trading.market

    def step(self) -> None:
        self.now = self.trading.chain.head().timestamp + self.random.choice([1, 1, 1, 2, 4, 9, 25])
        self.trading.at(self.now)
        steps: dict[Callable[[], None], int] = {
            self.deposit: 2, self.withdraw: 2, self.list: 3, self.reprice: 2, self.open: 6, self.cancel: 2,
            self.decline: 6, self.settle: 5, self.claim: 7, self.finalize: 4, self.terminate: 2, self.expire: 1,
            self.authorize: 2, self.dispute: 1, self.quarrel: 8, self.rule: 3, self.lapse: 1, self.assign: 4,
        }  # fmt: skip
        chosen = self.random.choices(list(steps), list(steps.values()))[0]
        chosen()

    def send(self, key: Key, call: verbs.Call) -> tuple[events.Event, ...]:
        """Send it; what reverts changes nothing and is part of the walk."""
        try:
            mined = self.trading.send(key, call)
        except TransactionReverted as exc:
            self.reverted[exc.error_name] += 1
            return ()
        assert mined.block.timestamp == self.now
        for event in mined.events:
            self.seen[type(event)] += 1
            if getattr(event, "paid", 0) and self.leases[event.lease].assigned:
                self.paid_to_assignees += 1
            if hasattr(event, "lease"):
                self.leases[event.lease] = self.market.lease_of(event.lease)
        return tuple(mined.events)

    def lease_of(self, identifier: Bytes32) -> Lease:
        return self.leases.get(identifier, NO_LEASE)

    def actor(self) -> Key:
        return self.random.choice(ACTORS)

    def lease_and_order(self, *statuses: LeaseStatus) -> SignedOrder | None:
        """Mostly an order in one of these states, now and then any."""
        fitting = [one for one in self.orders if self.lease_of(one.id).status in statuses]
        candidates = fitting if fitting and self.random.random() < 0.9 else self.orders
        return self.random.choice(candidates) if candidates else None

    def key_of(self, address: Address) -> Key:
        """The key of that address, or now and then somebody else's."""
        if self.random.random() < 0.1:
            return self.actor()
        return next((key for key in ACTORS if key.address == address), ACTORS[0])

    def provider_of(self, signed: SignedOrder) -> Key:
        offer = self.market.offer_of(self.lease_of(signed.id).offer)
        return self.key_of(offer.provider) if offer else self.actor()

    def deposit(self) -> None:
        payer, account = self.actor(), self.actor()
        self.send(payer, verbs.deposit(self.market.address, account.address, TokenUnits(self.random.randint(0, 10**7))))

    def withdraw(self) -> None:
        key = self.actor()
        amount = self.random.randint(0, max(1, self.trading.free(key) // 8))
        self.send(key, verbs.withdraw(self.market.address, key.address, TokenUnits(amount)))

    def arbiter(self) -> Key:
        """Mostly one who does nothing else; now and then one that trades, too (P-07)."""
        arbiter: Key = self.random.choice([self.trading.arbiter] * 4 + [ACTORS[3]])
        return arbiter

    def authorize(self, account: Key | None = None, delegate: Key | None = None) -> None:
        budget = TokenUnits(self.random.choice([0, 10**5, 10**8, 10**8]))
        until = UnixTime(self.now + self.random.choice([30, 10**6, 10**6]))
        delegate = delegate or self.random.choice(DELEGATES)
        self.send(account or self.actor(), verbs.authorize(self.market.address, delegate.address, budget, until))

    def list(self) -> None:
        key, some = self.actor(), self.random
        call = verbs.list_offer(
            self.market.address, gpu_class=ClassNumber(some.randint(0, 2)), gpus=GpuCount(some.randint(2, 6)),
            bond_bps=Bps(some.choice([0, 500, 10_000])), price=PricePerGpuHour(some.randint(0, 5_000_000)),
            min_seconds=Seconds(some.choice([0, 0, 10])), expires_at=UnixTime(self.now + some.choice([200, 10**6, 10**6])),
            arbiter=self.arbiter().address, spec=RESULTS[0],
        )  # fmt: skip
        for event in self.send(key, call):
            assert isinstance(event, events.OfferListed)
            self.offers.append(event.offer)

    def reprice(self) -> None:
        if self.offers:
            offer = self.random.choice(self.offers)
            price = PricePerGpuHour(self.random.randint(0, 5_000_000))
            expires_at = UnixTime(self.now + self.random.choice([0, 10**6, 10**6]))
            self.send(self.key_of(offer.provider), verbs.reprice(self.market.address, offer.id, price, expires_at))

    def order(self) -> SignedOrder:
        """An order that most offers could serve, or one with a fault."""
        some, client = self.random, self.actor()
        signer = some.choices([client, some.choice(DELEGATES), self.actor()], [75, 20, 5])[0]
        if signer in DELEGATES and some.random() < 0.7:
            self.authorize(client, signer)
            self.tick()
        max_seconds = some.choice([20, 60, 200])
        fields: dict[str, Any] = {
            "classes": 7, "gpus": some.choice([1, 1, 2]), "max_seconds": max_seconds,
            "min_seconds": some.choice([10, 15, max_seconds]), "max_price": 6_000_000, "expires_at": self.now + 10**6,
            "starts_at": some.choice([0, 0, 1, self.now + 12]), "acceptor": some.choice([ZERO_ADDRESS, self.actor().address]),
            "arbiter": self.arbiter().address,
        }  # fmt: skip
        if some.random() < 0.4:
            fields |= {"tip": 1_000, "opener": ACTORS[0].address}
        faults: list[dict[str, Any]] = [
            {"classes": 2}, {"gpus": 0}, {"gpus": 5}, {"min_seconds": 0}, {"min_seconds": 201}, {"max_price": 10**6},
            {"min_bond_bps": 500}, {"starts_at": self.now + 100}, {"expires_at": self.now}, {"offer": 1},
            {"tip": 1, "opener": ZERO_ADDRESS}, {"opener": self.actor().address}, {"max_seconds": 2**32 - 1},
        ]  # fmt: skip
        if some.random() < 0.4:
            fields |= some.choice(faults)
        signed: SignedOrder = signer.sign_order(self.trading.order(client, **fields), self.market.domain)
        self.orders.append(signed)
        return signed

    def open(self) -> None:
        if not self.offers:
            return
        fills = [self.fill() for _ in range(self.random.choice([1, 1, 2, 3]))]
        opener = self.random.choice([ACTORS[0], self.actor(), self.lister_of(fills[0])])
        expected = self.expected_refusal(fills[0], opener)
        again = {fill.signed.id for fill in fills if self.lease_of(fill.signed.id).opened_at}
        found = self.send(opener, verbs.open_fills(self.market.address, fills, RESULTS[1]))
        # The first fill of a batch meets the state that was read.
        assert bool(expected) == isinstance(found[0], events.FillRefused), (expected, found[0], fills[0])
        self.predicted[expected] += 1
        self.terms_opened += sum(
            isinstance(one, events.LeaseOpened) and one.order.starts_at > self.now for one in found
        )
        self.reopened += sum(isinstance(event, events.LeaseOpened) and event.lease in again for event in found)

    def fill(self) -> Fill:
        again = self.lease_and_order(LeaseStatus.NONE) if self.random.random() < 0.3 else None
        offer = self.market.offer_of(self.random.choice(self.offers[-5:]).id)
        above_ask = self.random.choice([0, 0, 0, 0, 7, 10**7])
        return Fill(again or self.order(), offer.id, PricePerGpuHour(offer.price + above_ask))

    def lister_of(self, fill: Fill) -> Key:
        """Who may open a term lease on the fill's offer (P-21)."""
        offer = self.market.offer_of(fill.offer)
        return next(key for key in ACTORS if key.address == offer.provider)

    def expected_refusal(self, fill: Fill, opener: Key) -> Refusal | None:
        signed, offer = fill.signed, self.market.offer_of(fill.offer)
        facts = FillFacts(
            now=UnixTime(self.now), opener=opener.address, lease=self.lease_of(signed.id), offer=offer,
            client_free=self.market.balance_of(signed.order.client),
            provider_free=self.market.balance_of(offer.provider),
        )  # fmt: skip
        refusal = refusal_of_fill(fill, facts, self.market.terms())
        if refusal or signed.order.client == opener.address:
            return refusal
        signer = recover(signed.id, signed.signature)
        budget = self.market.budget_of(signed.order.client, signer) if signer else NO_BUDGET
        return refusal_of_signer(signed.order, signer, budget, UnixTime(self.now), charged=facts.lease.charged)

    def cancel(self) -> None:
        signed = self.lease_and_order(LeaseStatus.NONE, LeaseStatus.OPEN)
        if signed:
            side = self.random.choice([signed.order.client, signed.order.acceptor])
            self.send(self.key_of(side), verbs.cancel(self.market.address, signed.order))

    def decline(self) -> None:
        """Open something and decline it soon, after a cancellation or a progress receipt as may be."""
        self.open()
        open_now = [one for one in self.orders if self.lease_of(one.id).status is LeaseStatus.OPEN]
        if not open_now:
            return
        signed = max(open_now, key=lambda one: self.lease_of(one.id).opened_at)
        before: list[Callable[[SignedOrder], None]] = [self.cancel_it, self.prepay_it]
        for meanwhile in self.random.choices([[], before[:1], before[1:], before], [3, 1, 1, 1])[0]:
            self.tick()
            meanwhile(signed)
        self.tick()
        for event in self.send(self.provider_of(signed), verbs.decline(self.market.address, signed.order)):
            assert isinstance(event, events.LeaseDeclined)
            self.declined_to[LeaseStatus(event.status)] += 1

    def tick(self, seconds: int = 1) -> None:
        self.now += seconds
        self.trading.at(self.now)

    def cancel_it(self, signed: SignedOrder) -> None:
        self.send(self.key_of(signed.order.client), verbs.cancel(self.market.address, signed.order))

    def prepay_it(self, signed: SignedOrder) -> None:
        self.send(self.actor(), verbs.settle(self.market.address, [self.settlement(signed, last=False)]))

    def settle(self) -> None:
        found = [self.lease_and_order(LeaseStatus.OPEN, LeaseStatus.CLAIMED) for _ in range(self.random.choice([1, 2]))]
        settlements = [self.settlement(signed) for signed in found if signed]
        self.send(self.actor(), verbs.settle(self.market.address, settlements))

    def settlement(self, signed: SignedOrder, *, last: bool | None = None) -> Settlement:
        lease, order, some = self.lease_of(signed.id), signed.order, self.random
        elapsed = max(elapsed_of(order, lease, UnixTime(self.now)), order.min_seconds)
        used = Seconds(some.choice([elapsed, some.randint(0, elapsed + 5)]))
        last = some.random() < 0.5 if last is None else last
        receipt = Receipt(signed.id, lease.offer, lease.opened_at, used, some.choice(RESULTS), last)
        client_side = order.client if order.acceptor == ZERO_ADDRESS else some.choice([order.client, order.acceptor])
        return Settlement(
            order, used, receipt.result, last,
            self.key_of(client_side).sign_receipt(receipt, self.market.domain),
            self.provider_of(signed).sign_receipt(receipt, self.market.domain),
        )  # fmt: skip

    def claim(self) -> None:
        signed = self.lease_and_order(LeaseStatus.OPEN)
        if signed:
            elapsed = elapsed_of(signed.order, self.lease_of(signed.id), UnixTime(self.now))
            used = Seconds(elapsed // self.random.choice([1, 1, 2]))
            self.send(self.provider_of(signed), verbs.claim(self.market.address, signed.order, used, RESULTS[0]))

    def finalize(self) -> None:
        claimed = [one.order for one in self.orders if self.lease_of(one.id).status is LeaseStatus.CLAIMED]
        any_other = self.lease_and_order(LeaseStatus.CLAIMED)
        self.send(
            self.actor(), verbs.finalize(self.market.address, [*claimed[:2], *([any_other.order] if any_other else [])])
        )

    def quarrel(self) -> None:
        """Open something, dispute it as soon as that may be, and let somebody end it, or nobody yet."""
        self.open()
        open_now = [one for one in self.orders if self.lease_of(one.id).status is LeaseStatus.OPEN]
        if not open_now:
            return
        signed = max(open_now, key=lambda one: self.lease_of(one.id).opened_at)
        self.tick(self.random.randint(4, 30))
        self.dispute(signed)
        self.tick()
        self.random.choice([self.assign, self.rule, self.rule, self.lapse, self.settle])()

    def dispute(self, signed: SignedOrder | None = None) -> None:
        """What was claimed, or a lease that runs already long enough for that."""
        signed = signed or self.lease_and_order(LeaseStatus.CLAIMED, LeaseStatus.OPEN)
        if signed:
            side = self.random.choice([signed.order.client, signed.order.acceptor])
            self.send(self.key_of(side), verbs.dispute(self.market.address, signed.order))

    def rule(self) -> None:
        signed = self.lease_and_order(LeaseStatus.DISPUTED)
        if signed:
            most = max(self.lease_of(signed.id).claimed_seconds, signed.order.min_seconds)
            used, at_fault = Seconds(self.random.randint(0, most + 1)), self.random.random() < 0.5
            arbiters = (self.trading.arbiter, ACTORS[3])
            key = next((key for key in arbiters if key.address == signed.order.arbiter), ACTORS[0])
            self.send(key, verbs.rule(self.market.address, signed.order, used, provider_at_fault=at_fault))

    def lapse(self) -> None:
        signed = self.lease_and_order(LeaseStatus.DISPUTED)
        if signed and self.lease_of(signed.id).status is LeaseStatus.DISPUTED:
            end = self.lease_of(signed.id).changed_at + self.market.terms().ruling_window
            self.now = max(self.now, end - self.random.choice([0, 0, 1]))
            self.trading.at(self.now)
            self.send(self.actor(), verbs.lapse(self.market.address, signed.order))

    def assign(self) -> None:
        """Open leases, claimed and disputed ones; more than once."""
        signed = self.lease_and_order(LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.DISPUTED)
        if signed:
            payee = self.market.payee_of(signed.id)
            key = self.key_of(payee) if payee else self.actor()
            self.send(key, verbs.assign(self.market.address, signed.order, self.actor().address))

    def terminate(self) -> None:
        signed = self.lease_and_order(LeaseStatus.OPEN)
        if signed:
            side = self.random.choice([signed.order.client, signed.order.client, signed.order.acceptor])
            self.send(self.key_of(side), verbs.terminate(self.market.address, signed.order))

    def expire(self) -> None:
        """Sometimes leap to the first deadline, as happens to those whose provider is silent."""
        open_now = [one for one in self.orders if self.lease_of(one.id).status is LeaseStatus.OPEN]
        if open_now:
            due = [(deadline_of(one.order, self.lease_of(one.id), self.market.terms()), one) for one in open_now]
            at, first = min(due, key=lambda each: each[0])
            self.now = max(self.now, at - self.random.choice([0, 0, 1]))
            self.trading.at(self.now)
            self.send(self.actor(), verbs.expire(self.market.address, first.order))


def differences(walk: Walk) -> list[str]:
    """Where the fold over the events and the contract disagree, all read as of one block."""
    trading, market = walk.trading, walk.market
    at, floor = trading.chain.head(), market.terms().bond_floor
    rows = ledger.replay(trading.follower().history(trading.book.deployed_at_block, at.number), floor)
    compared: list[tuple[str, Any, Any]] = []
    compared += [(f"balance {who}", units, market.balance_of(who, at)) for who, units in rows.accounts.items()]
    compared += [(f"offer {number}", offer, market.offer_of(number, at)) for number, offer in rows.offers.items()]
    for signed in walk.orders:
        record, word = rows.leases.get(signed.id), market.lease_of(signed.id, at)
        compared.append((f"lease {signed.id}", record.lease if record else NO_LEASE, word))
        if record and word.status.is_live:
            compared.append((f"payee {signed.id}", record.payee, market.payee_of(signed.id, at)))
    compared += [(f"budget {pair}", budget, market.budget_of(*pair, at)) for pair, budget in rows.budgets.items()]
    live = [one for one in rows.leases.values() if one.lease.status.is_live]
    locked = sum(ledger.locked_in(one, rows.offers[one.lease.offer], floor) for one in live)
    held = trading.token.balance_of(market.address, at)
    compared.append(("tokens", sum(rows.accounts.values()) + locked, held))
    compared += [
        (f"volume {number}", rows.volumes.get(ClassNumber(number), ledger.NO_VOLUME), market.volume_of(number, at))
        for number in range(3)
    ]
    return [f"{what}: {ours} != {theirs}" for what, ours, theirs in compared if ours != theirs]


def test_events_alone_rebuild_the_state(trading: Any) -> None:
    """Balances, offers, lease words, payees and volumes of the fold are the contract's (I-1, I-3, I-11, I-12)."""
    walk = Walk(trading, Random(1))
    for key in ACTORS:
        trading.fund(key, 10**7)
        trading.send(key, verbs.approve(trading.book.token, trading.book.market, TokenUnits(10**15)))
        trading.send(key, verbs.mint(trading.book.token, key.address, TokenUnits(10**12)))

    for number in range(1, STEPS + 1):
        walk.step()
        if number % 50 == 0:
            assert differences(walk) == []

    assert {kind.__name__ for kind in EXPECTED_EVENTS - set(walk.seen)} == set()
    assert set(walk.declined_to) == {LeaseStatus.NONE, LeaseStatus.CLOSED}, walk.declined_to
    assert walk.reopened
    assert walk.terms_opened
    assert walk.paid_to_assignees
    assert walk.predicted[None] > 10, walk.predicted
    assert len(walk.predicted) > 8, walk.predicted
