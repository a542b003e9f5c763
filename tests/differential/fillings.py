"""The fills that a walk posts: new ones, old ones again, and those of which one thing is off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.differential.books import MOST_TIME
from tests.differential.choices import FAR, LEAP, WORDS, Choices
from tests.differential.shapes import (
    NOBODY,
    UNSIGNED,
    Fill,
    Order,
    Signature,
    Status,
)
from tests.differential.wire import Call, Elsewhere


@dataclass
class Fillings(Choices):
    """Makes orders that fit what the model knows, signs them, and mostly leaves them so."""

    def _open(self) -> list[Call]:
        some = self.random
        if self.now > MOST_TIME and self.chance(0.9):
            # Nothing can be opened any more.
            return []
        if self.chance(0.3):
            self._aim_at_an_end()
        by, fill = self._fill()
        fills = [fill, *(self._fill(by)[1] for _ in range(some.choice([0, 0, 0, 1, 2, 3])))]
        if self.chance(0.08):
            fills.append(some.choice(fills))
        opening = Call("open", by, (tuple(fills), some.choice(WORDS)))
        return [*self._withdrawn_to_the_unit(fill), opening] if self.chance(0.12) else [opening]

    def _aim_at_an_end(self) -> None:
        """The last second of a delegate, an offer or an order, or the first one after it."""
        ends = [budget.until for budget in self.model.budgets.values()]
        ends += [offer.expires_at for offer in self.model.offers.values()]
        ends += [fill.order.expires_at for fill in self.fills.values() if self._is_declined(fill.order)]
        near = [end for end in ends if self.last < end <= self.last + LEAP]
        if near:
            end = self.random.choice(near)
            self.aim(end - 1, end + 1)

    def _withdrawn_to_the_unit(self, fill: Fill) -> list[Call]:
        """The client or the provider first withdraws all but what the opening locks, or one unit more (P-07, P-20)."""
        due, bond = self.model.locks_of(fill)
        client, provider = fill.order.client, self.model.offer_of(fill.offer).provider
        who, needed = self.random.choice([(client, due), (provider, bond)])
        needed = due + bond if client == provider else needed
        beyond = self.model.accounts[who] - needed + self.random.choice([0, 1])
        return [Call("withdraw", who, (who, beyond))] if 0 <= beyond <= self.model.accounts[who] else []

    def _same_second(self) -> list[Call]:
        """Opened, declined and posted again in one second: receipts could not tell the two servings apart."""
        caller, fill = self._fill()
        provider = self.model.offer_of(fill.offer).provider
        opening = Call("open", caller, ((fill,), WORDS[0]))
        return [opening, Call("decline", self.mostly(provider, 1), (fill.order,)), opening]

    def _declined_once(self) -> list[Call]:
        """A delegate's order is opened and declined in one second, and its budget then lowered, cleared or left: it may come again (I-7)."""
        some, (caller, fill) = self.random, self._fill()
        delegate, number, until = (
            some.choice(self.keys),
            self.model.identify(fill.order),
            self.now + some.choice([5, 90]),
        )
        fill = replace(fill, signature=Signature(delegate, number))
        provider, client = self.model.offer_of(fill.offer).provider, fill.order.client
        self.fills[number] = fill
        calls = [
            Call("authorize", client, (delegate, some.choice([1, 10**9]), until)),
            Call("open", self.mostly(caller, 1), ((fill,), WORDS[0])),
            Call("decline", self.mostly(provider, 1), (fill.order,)),
        ]
        if self.chance(0.7):
            calls.append(Call("authorize", client, (delegate, some.choice([0, 1, 1]), until)))
        return calls

    def _fill(self, by: str | None = None) -> tuple[str, Fill]:
        """A fill and who should post it (mostly ``by``): new and good, new and one thing off, or an old one again."""
        some = self.random
        declined = [number for number, fill in self.fills.items() if self._is_declined(fill.order)]
        charged = [number for number in declined if self.model.lease_of(number).charged]
        if declined and self.chance(0.3):
            return self._again(self.fills[some.choice(charged if self.chance(0.5) and charged else declined)])
        if self.fills and self.chance(0.06):
            return self._again(self.fills[some.choice(list(self.fills))])
        order, number, price = self._order(by)
        if by is not None and order.opener != NOBODY and self.chance(0.9):
            order = replace(order, opener=by)
        if self.chance(0.2):
            order = replace(order, **some.choice(self._faults(order, number)))
        fill = Fill(order, number, price, self._order_signature(order))
        caller = self._caller(fill)
        if caller == order.client and self.chance(0.7):
            fill = replace(fill, signature=some.choice([UNSIGNED, fill.signature]))
        if self.chance(0.12):
            fill = self._one_off(fill)
        self.fills[self.model.identify(order)] = fill
        return caller, fill

    def _is_declined(self, order: Order) -> bool:
        lease = self.model.lease_of(self.model.identify(order))
        return lease.status is Status.NONE and lease.opened_at != 0

    def _again(self, fill: Fill) -> tuple[str, Fill]:
        """Posted again, as it was or on another offer; now and then signed by somebody else who may."""
        if self.chance(0.2):
            fill = replace(fill, signature=self._order_signature(fill.order))
        number = fill.offer if self.chance(0.7) else self.random.randint(1, max(1, len(self.model.offers)))
        price = max(fill.price, self.model.offer_of(number).price)
        return self._caller(fill), replace(fill, offer=number, price=price)

    def _order(self, by: str | None = None) -> tuple[Order, int, int]:
        """An order that fits an offer, the offer's number, and a price between the two limits."""
        some, offers = self.random, self.model.offers
        free_of = self.model.accounts
        alive = [number for number, offer in offers.items() if offer.free and self.now < offer.expires_at]
        likely = alive if alive and self.chance(0.95) else [*offers, 1]
        number = max(some.choices(likely, k=3), key=lambda each: free_of[self.model.offer_of(each).provider])
        offer = self.model.offer_of(number)
        trusting = [account for (account, _), budget in self.model.budgets.items() if budget.until >= self.now]
        client = max(self.person(), self.person(), self.person(), key=lambda who: free_of[who])
        client = some.choice(trusting) if trusting and self.chance(0.3) else client
        client = offer.provider if self.chance(0.08) and offer.provider in self.people else client
        max_seconds = some.choice([1, 7, 20, 30, 60, 61, 100, 300, 900, 3601])
        min_seconds = min(
            max_seconds, max(offer.min_seconds, some.choice([0, 0, 1, 15, max_seconds // 2, max_seconds]))
        )
        is_tipped, self.salt = self.chance(0.4), self.salt + 1
        later = self.now + some.choice([1, 5, 40]) if by in (None, offer.provider) else 0
        order = Order(
            client=client,
            classes=1 << offer.gpu_class | some.choice([0, 2**200]),
            offer=some.choice([0, number]),
            gpus=some.randint(1, max(1, offer.free)),
            max_seconds=max(max_seconds, min_seconds),
            min_seconds=min_seconds,
            max_price=offer.price + some.choice([0, 1, 10**6]),
            min_bond_bps=some.choice([0, offer.bond_bps]),
            starts_at=some.choice([0, 0, 0, 0, self.now, self.now - 3, later]),
            expires_at=some.choice([FAR, FAR, self.now + 40, self.now + 1]),
            tip=some.choice([1, 777, 20_000]) if is_tipped else 0,
            opener=self.person() if is_tipped or self.chance(0.2) else NOBODY,
            acceptor=some.choice([NOBODY, self.person(), self.person()]),
            arbiter=offer.arbiter,
            spec=some.choice(WORDS),
            salt=self.salt,
        )
        if order.starts_at > self.now and order.opener != NOBODY:
            order = replace(order, opener=offer.provider)
        return order, number, some.choice([offer.price, order.max_price, some.randint(offer.price, order.max_price)])

    def _faults(self, order: Order, number: int) -> list[dict[str, Any]]:
        offer, some = self.model.offer_of(number), self.random
        return [
            {"classes": order.classes ^ 1 << offer.gpu_class}, {"offer": number + 1}, {"gpus": 0}, {"gpus": offer.free + 1},
            {"gpus": 2**16 - 1}, {"max_seconds": 0}, {"max_seconds": 2**32 - 1}, {"max_seconds": 20_000}, {"min_seconds": order.max_seconds + 1},
            {"min_seconds": max(0, offer.min_seconds - 1)}, {"max_price": max(0, offer.price - 1)}, {"max_price": 2**80 - 1},
            {"min_bond_bps": offer.bond_bps + 1}, {"starts_at": self.now + 50}, {"starts_at": FAR}, {"expires_at": self.now}, {"expires_at": 0},
            {"tip": order.tip + 1, "opener": NOBODY}, {"opener": self.person()}, {"tip": 2**96 - 1, "opener": self.person()},
            {"arbiter": self.person()}, {"arbiter": NOBODY}, {"arbiter": offer.provider}, {"acceptor": some.choice(self.people)},
        ]  # fmt: skip

    def _order_signature(self, order: Order) -> Signature:
        """The client's, its wallet's or a delegate's."""
        delegates = [
            who for (account, who), budget in self.model.budgets.items() if account == order.client and budget.until
        ]
        fitting = [who for who in delegates if who in self.keys]
        if fitting and self.chance(0.5):
            return Signature(self.random.choice(fitting), self.model.identify(order))
        return self.signature(order.client, self.model.identify(order))

    def _caller(self, fill: Fill) -> str:
        order, provider = fill.order, self.model.offer_of(fill.offer).provider
        if order.starts_at > self.now and self.chance(0.8):
            return self.mostly(provider)
        if order.opener != NOBODY:
            return self.random.choice([self.mostly(order.opener), self.mostly(order.opener), order.client])
        return self.random.choice([self.person(), self.person(), order.client])

    def _one_off(self, fill: Fill) -> Fill:
        """One thing of the fill, or of the order after it was signed, is changed."""
        some, order, number = self.random, fill.order, fill.offer
        changed: list[dict[str, Any]] = [
            {"salt": order.salt + 2**200}, {"spec": "0x" + "ee" * 32}, {"max_price": order.max_price ^ 1}, {"client": self.person()},
            {"acceptor": self.person()}, {"classes": 2**256 - 1}, {"max_seconds": order.max_seconds ^ 1}, {"expires_at": FAR - 1},
        ]  # fmt: skip
        return some.choice([
            replace(fill, price=max(0, self.model.offer_of(number).price - 1)),
            replace(fill, price=min(order.max_price + 1, 2**80 - 1)),
            replace(fill, offer=some.randint(0, len(self.model.offers) + 1)),
            replace(fill, order=replace(order, **some.choice(changed))),
            replace(fill, order=replace(order, **some.choice(changed))),
            replace(fill, signature=self.signature(order.client, self.model.identify(order), off=1)),
            replace(fill, signature=self.signature(order.client, Elsewhere(order))),
            replace(fill, signature=self.signature(self.person(), self.model.identify(order))),
        ])  # fmt: skip
