"""A random walk over all verbs, by a few people who each are now a client, now a provider, opener, acceptor, arbiter, payee or delegate.

The walk plays each call on the model first, so that it always knows what would be a good one; about a third are one field, one second or
one signature off. It never looks at the chain: whatever the contract does, a seed gives the same calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.differential.books import MOST_TIME
from tests.differential.choices import FAR, PLENTY, WORDS
from tests.differential.fillings import Fillings
from tests.differential.serving import Serving
from tests.differential.shapes import (
    LIVE,
    NOBODY,
    UNSIGNED,
    Authorization,
    Event,
    Objection,
    Permit,
    Receipt,
    Reverted,
    Settlement,
    Signature,
    Status,
)
from tests.differential.wire import Call, Elsewhere

MODEL_VERBS = {
    "depositWithPermit": "deposit_with_permit",
    "depositWithAuthorization": "deposit_with_authorization",
}
WEIGHTS = {
    "deposit": 5, "depositWithPermit": 4, "depositWithAuthorization": 4, "withdraw": 3, "authorize": 4, "list": 3, "reprice": 3, "open": 16,
    "cancel": 3, "settle": 9, "claim": 7, "finalize": 5, "terminate": 3, "decline": 7, "expire": 4, "dispute": 8, "rule": 8, "lapse": 4,
    "assign": 4, "approve": 2, "transfer": 1, "same_second": 1, "declined_once": 3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Played:
    """A call, and what the model says of it: what happened, or every objection to it."""

    call: Call
    events: tuple[Event, ...]
    objections: frozenset[Objection]


@dataclass
class Walk(Fillings):
    """One method for each verb makes the calls of it; empty where nothing fits."""

    # blocks ----------------------------------------------------------------------------------------------------------

    def block(self) -> tuple[int, list[Played]]:
        """The next block: its second, and one call or a few, played on the model in their order."""
        some = self.random
        self.now, self.is_time_fixed = self.last + some.choice([1, 1, 1, 2, 3, 5, 9]), False
        played = self._some_verb()
        self.is_time_fixed = True
        while some.random() < 0.25:
            played += self._some_verb()
        if self.last <= MOST_TIME < self.now:
            played += [self.play(call) for call in self._too_late_for_the_word()]
        self.last = self.now
        return self.now, played

    def _too_late_for_the_word(self) -> list[Call]:
        """Claims and disputes that would hold, if only the word could hold their time; every other verb still works."""
        still_open = [at for at in self.model.servings.values() if at.lease.status is Status.OPEN]
        timely = [
            at
            for at in still_open
            if at.start + at.order.min_seconds + self.model.constants.start_grace <= self.now < at.deadline
        ]
        claims = [Call("claim", at.offer.provider, (at.order, at.elapsed(self.now), WORDS[0])) for at in timely]
        return [*claims, *(Call("dispute", at.order.client, (at.order,)) for at in timely)]

    def prelude(self) -> tuple[int, list[Played]]:
        """The first block: money in most accounts, and a few offers."""
        some, self.now = self.random, self.last + 1
        deposits = [
            Call("deposit", who, (who, some.choice([0, 10**6, 10**7, 10**8, 10**8, 10**9]))) for who in self.people
        ]
        listings = [call for _ in range(4) for call in self._list()]
        played, self.last = [self.play(call) for call in (*deposits, *listings)], self.now
        return self.now, played

    def _some_verb(self) -> list[Played]:
        while True:
            verb = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            make: Callable[[], list[Call]] = getattr(self, f"_{verb}")
            before, calls = self.now, make()
            if calls:
                return [self.play(call) for call in calls]
            self.now = before

    def play(self, call: Call) -> Played:
        """Let the model make the call, at the second of this block."""
        side = self.model.token if call.of_token else self.model
        verb = getattr(side, MODEL_VERBS.get(call.verb, call.verb))
        self.model.events.clear()
        try:
            if call.of_token:
                verb(*((self.now,) if call.verb == "permit" else (call.by,)), *call.values)
            else:
                verb(call.by, self.now, *call.values)
        except Reverted as exc:
            return Played(call, (), exc.objections)
        return Played(call, tuple(self.model.events), frozenset())

    # accounts --------------------------------------------------------------------------------------------------------

    def _deposit(self) -> list[Call]:
        account = self.person() if self.chance(0.93) else self.random.choice([NOBODY, self.model.address])
        return [Call("deposit", self.person(), (account, self._amount()))]

    def _approve(self) -> list[Call]:
        return [Call("approve", self.person(), (self.model.address, PLENTY), of_token=True)]

    def _transfer(self) -> list[Call]:
        """A donation: the market's tokens are more than its books say (I-1)."""
        return [Call("transfer", self.person(), (self.model.address, self.random.randint(0, 1000)), of_token=True)]

    def _depositWithPermit(self) -> list[Call]:
        some, owner, amount = self.random, self.person(), self._amount()
        deadline, nonce = self.now + some.choice([0, 50, 50, -1]), self.model.token.nonces[owner]
        message = Permit(owner, self.model.address, amount, nonce, deadline)
        if self.chance(0.15):
            message = some.choice([replace(message, nonce=nonce + 1), replace(message, value=amount + 1)])
        signer = self.model.wallets[owner].owner if owner in self.model.wallets else owner
        signed = Signature(
            self.mostly(signer), message, "plain" if self.chance(0.9) else some.choice(["high_s", "odd_v"])
        )
        if signed.signer in self.model.wallets:
            signed = replace(signed, signer=signer)
        by = owner if self.chance(0.4) else self.person()
        calls = [Call("depositWithPermit", by, (owner, amount, deadline, signed))]
        if self.chance(0.2):
            # Somebody uses the permit up first, or the owner has approved before.
            front_run = Call(
                "permit", self.person(), (owner, self.model.address, amount, deadline, signed), of_token=True
            )
            return [front_run, *calls]
        return calls

    def _depositWithAuthorization(self) -> list[Call]:
        some, owner, amount, nonce = self.random, self.person(), self._amount(), self.random.randint(1, 8)
        after, before = self.now - some.choice([1, 1, 100, 0]), self.now + some.choice([1, 1, 100, 0])
        word = f"0x{nonce:064x}"
        message = Authorization(owner, self.model.address, amount, after, before, word)
        if self.chance(0.15):
            message = some.choice([replace(message, value=amount + 1), replace(message, to=owner)])
        signer = self.model.wallets[owner].owner if owner in self.model.wallets else owner
        signed = Signature(signer, message, "plain" if self.chance(0.9) else some.choice(["high_s", "odd_v"]))
        return [Call("depositWithAuthorization", self.person(), (owner, amount, after, before, word, signed))]

    def _withdraw(self) -> list[Call]:
        some, by = self.random, self.person()
        free = self.model.accounts[by]
        amount = some.choice([0, free, free + 1, some.randint(0, free), some.randint(0, free)])
        to = some.choices([by, self.person(), self.model.address, NOBODY], [6, 6, 1, 1])[0]
        return [Call("withdraw", by, (to, amount))]

    def _authorize(self) -> list[Call]:
        some = self.random
        budget, until = (
            some.choice([0, 10**5, 10**6, 10**9, 2**128 - 1]),
            some.choice([0, self.now, self.now + 30, FAR]),
        )
        if self.chance(0.6):
            budget, until = some.choice([3 * 10**5, 10**7, 10**9]), self.now + some.choice([60, 500])
        return [
            Call(
                "authorize",
                self.person(),
                (self.mostly(some.choice(self.keys), 0.95) if self.chance(0.96) else NOBODY, budget, until),
            )
        ]

    def _amount(self) -> int:
        return self.random.choice(
            [
                0,
                1,
                self.random.randint(0, 10**6),
                self.random.randint(0, 3 * 10**7),
                self.random.randint(0, 3 * 10**8),
                PLENTY * 2,
            ]
        )

    # offers ----------------------------------------------------------------------------------------------------------

    def _list(self) -> list[Call]:
        some, by = self.random, self.person()
        arbiter = some.choice([who for who in self.people if who != by])
        terms: dict[str, Any] = {
            "gpu_class": some.choice([0, 1, 1, 2, 255]), "gpus": some.choice([1, 2, 4, 8]), "bond_bps": some.choice([0, 500, 3333, 10_000]),
            "price": some.choice([0, 1, 3600, some.randint(1, 5 * 10**6), some.randint(1, 5 * 10**6)]),
            "min_seconds": some.choice([0, 0, 1, 10]), "expires_at": some.choice([FAR, FAR, self.now + 300]), "arbiter": arbiter,
            "spec": some.choice(WORDS),
        }  # fmt: skip
        if self.chance(0.2):
            terms |= some.choice(
                [{"gpus": 0}, {"bond_bps": 10_001}, {"arbiter": NOBODY}, {"arbiter": by}, {"expires_at": 0}]
            )
        return [Call("list", by, tuple(terms.values()))]

    def _reprice(self) -> list[Call]:
        some = self.random
        number = some.randint(1, max(1, len(self.model.offers))) if self.chance(0.95) else len(self.model.offers) + 7
        offer = self.model.offer_of(number)
        price = some.choice([offer.price, offer.price + 1, some.randint(0, 5 * 10**6)])
        expires_at = some.choice([FAR, FAR, FAR, FAR, self.now + 100, self.now])
        return [Call("reprice", self.mostly(offer.provider, 0.85), (number, price, expires_at))]

    # orders and leases -----------------------------------------------------------------------------------------------

    def _client_side(self, at: Serving) -> str:
        return self.mostly(self.random.choice([at.order.client, at.order.acceptor]))

    def _cancel(self) -> list[Call]:
        at = self.serving(Status.OPEN, Status.NONE)
        fresh = self._order()[0]
        if at is None or self.chance(0.25):
            return [Call("cancel", self.mostly(fresh.client), (fresh,))]
        return [Call("cancel", self._client_side(at), (at.order,))]

    def _settle(self) -> list[Call]:
        found = [self.serving(*LIVE) for _ in range(self.random.choice([1, 1, 1, 2, 3]))]
        at = found[0]
        if at is None:
            return []
        by = self.random.choice([self.person(), self._client_side(at), at.offer.provider if at.id else self.person()])
        items = tuple(self._settlement(each, by) for each in found if each is not None)
        return [Call("settle", self.mostly(by, 1), (items,))]

    def _settlement(self, at: Serving, by: str, *, last: bool | None = None) -> Settlement:
        some, paid, most = self.random, at.lease.paid_seconds, at.most_agreed(self.now)
        within = some.randint(min(paid + 1, most), max(paid, most))
        used = some.choices(
            [within, paid, most, paid + 1, most + 1, at.order.min_seconds, max(0, paid - 1)], [6, 1, 4, 2, 1, 1, 1]
        )[0]
        used = most if last is False and self.chance(0.5) else used
        last = self.chance(0.3) if last is None else last
        receipt = Receipt(at.id, at.lease.offer, at.lease.opened_at, used, some.choice(WORDS), last)
        signs = some.choice([who for who in (at.order.client, at.order.acceptor) if who != NOBODY])
        by_client, by_provider = (
            self._receipt_signature(signs, receipt),
            self._receipt_signature(at.offer.provider, receipt),
        )
        if at.is_client_side(by) and self.chance(0.5):
            by_client = UNSIGNED
        if by == at.offer.provider and self.chance(0.5):
            by_provider = UNSIGNED
        if self.chance(0.04):
            by_client, by_provider = by_provider, by_client
        return Settlement(
            at.order, used, receipt.result, last, by_client, by_provider if last or self.chance(0.5) else UNSIGNED
        )

    def _receipt_signature(self, who: str, receipt: Receipt) -> Signature:
        """Of this receipt; now and then of another serving's, another number's, another market's, or no good at all."""
        if who not in self.people:
            return UNSIGNED
        others: list[Any] = [
            Elsewhere(receipt), replace(receipt, opened_at=receipt.opened_at ^ 1), replace(receipt, offer=receipt.offer + 1),
            replace(receipt, used_seconds=receipt.used_seconds + 1), replace(receipt, last=not receipt.last), replace(receipt, lease=WORDS[0]),
            replace(receipt, result="0x" + "ff" * 32),
        ]  # fmt: skip
        message = receipt if self.chance(0.94) else self.random.choice(others)
        return self.signature(who, message, off=0.04)

    def _claim(self) -> list[Call]:
        at, some = self.serving(Status.OPEN), self.random
        if at is None:
            return []
        self.aim(at.start + at.order.min_seconds, at.deadline)
        elapsed, paid = at.elapsed(self.now), at.lease.paid_seconds
        used = some.choice([elapsed, elapsed, paid, elapsed // 2, elapsed + 1, max(0, paid - 1)])
        return [Call("claim", self.mostly(at.offer.provider), (at.order, used, some.choice(WORDS)))]

    def _finalize(self) -> list[Call]:
        at = self.serving(Status.CLAIMED)
        if at is None:
            return []
        if self.chance(0.8):
            self.aim(at.lease.changed_at + self.model.constants.challenge_window)
        others = [self.serving(Status.CLAIMED) for _ in range(self.random.choice([0, 0, 1, 2]))]
        orders = [at.order, *(other.order for other in others if other is not None)]
        self.random.shuffle(orders)
        return [Call("finalize", self.person(), (tuple(orders),))]

    def _terminate(self) -> list[Call]:
        at = self.serving(Status.OPEN)
        if at is None:
            return []
        self.aim(at.lease.opened_at, at.deadline)
        return [Call("terminate", self._client_side(at), (at.order,))]

    def _decline(self) -> list[Call]:
        """Soon after the opening, now and then after a cancellation or a progress receipt."""
        still_open = [each for each in self.model.servings.values() if each.lease.status is Status.OPEN]
        if not still_open:
            return []
        at = max(still_open, key=lambda each: each.lease.opened_at)
        end = at.lease.opened_at + self.model.constants.start_grace
        if self.last + 1 >= end and self.chance(0.9):
            return []
        self.aim(at.lease.opened_at, end)
        calls = [Call("decline", self.mostly(at.offer.provider), (at.order,))]
        if self.chance(0.45) and at.lease.paid_seconds < at.most_agreed(self.now):
            by = self.mostly(at.order.client, 1)
            calls.insert(0, Call("settle", by, ((self._settlement(at, by, last=False),),)))
        if self.chance(0.2):
            calls.insert(0, Call("cancel", self._client_side(at), (at.order,)))
        if self.chance(0.2):
            calls.insert(0, Call("assign", self.model.payee_of(at.id), (at.order, self.person())))
        return calls

    def _expire(self) -> list[Call]:
        still_open = [each for each in self.model.servings.values() if each.lease.status is Status.OPEN]
        at = min(still_open, key=lambda each: each.deadline, default=None) if self.chance(0.9) else self.serving()
        if at is None:
            return []
        self.aim(at.deadline)
        return [Call("expire", self.person(), (at.order,))]

    def _dispute(self) -> list[Call]:
        at, constants = self.serving(Status.OPEN, Status.CLAIMED, Status.CLAIMED), self.model.constants
        if at is None:
            return []
        if at.lease.status is Status.CLAIMED:
            self.aim(at.lease.changed_at, at.lease.changed_at + constants.challenge_window)
        else:
            self.aim(at.start + constants.start_grace, at.deadline)
        return [Call("dispute", self._client_side(at), (at.order,))]

    def _rule(self) -> list[Call]:
        at, some = self.serving(Status.DISPUTED), self.random
        if at is None:
            return []
        self.aim(at.lease.changed_at, at.lease.changed_at + self.model.constants.ruling_window)
        claimed, most, guaranteed = at.lease.claimed_seconds, at.most_owed, at.order.min_seconds
        within = some.randint(0, claimed)
        used = some.choice([0, claimed, within, within, most, most, claimed + 1, most + 1, guaranteed])
        if most > claimed and self.chance(0.5):
            used = most
        at_fault = self.chance(0.5 if used <= claimed else 0.15)
        return [Call("rule", self.mostly(at.order.arbiter), (at.order, used, at_fault))]

    def _lapse(self) -> list[Call]:
        at = self.serving(Status.DISPUTED)
        if at is None:
            return []
        self.aim(at.lease.changed_at + self.model.constants.ruling_window)
        return [Call("lapse", self.person(), (at.order,))]

    def _assign(self) -> list[Call]:
        at = self.serving(*LIVE)
        if at is None:
            return []
        payee = self.random.choice([self.person(), self.person(), at.offer.provider])
        if self.chance(0.07):
            payee = self.random.choice([NOBODY, self.model.address])
        return [Call("assign", self.mostly(self.model.payee_of(at.id)), (at.order, payee))]
