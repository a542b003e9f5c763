"""What rests on somebody's word: the gateway's for orders, specs and machines, each of which has a hash; the scheduler's for signs of life.

The chain knows an order once it was opened. Before that its id says what it is, and its spec's hash what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.signing import SigningDomain, order_id
from marketplace.domain.book import BookOrder
from marketplace.domain.errors import DomainError, GatewayProblem
from marketplace.domain.ids import Bytes32, Sha256, sha256_in
from marketplace.domain.limits import MAX_SPEC_BYTES
from marketplace.domain.spec import Machine, read_machine, read_spec
from marketplace.domain.units import UnixTime
from scheduler.audit.findings import Check, Finding, Verdict, found
from scheduler.audit.history import History
from scheduler.audit.state import is_closed
from scheduler.engine.reading import PostedPlan
from scheduler.engine.snapshot import Snapshot

CLOCKS_SECONDS = 120
"""The gateway's node may be ahead of the scheduler's by so much block time: what it noted then is not of the future."""

MOST_ASKED = 200
"""So many orders and so many files are asked of the gateway in one audit, those of the plan first."""


def check_orders(snapshot: Snapshot, history: History, domain: SigningDomain) -> Finding:
    """An id is the digest of the order's fields: nobody can change one of them and keep the id."""
    faults = list[str]()
    for order in snapshot.view.orders:
        if order_id(order.signed.order, domain) != order.id:
            faults.append(f"order {order.id} is not what its id says: a field was changed")
        elif order.accepted_at > snapshot.now.timestamp + CLOCKS_SECONDS:
            faults.append(f"order {order.id} was accepted after the snapshot")
    faults += [
        f"order {fill.signed.id}, remembered as opened, is not what its id says"
        for fill in snapshot.posted
        if order_id(fill.signed.order, domain) != fill.signed.id
    ]
    closed = sum(is_closed(history, order.id) for order in snapshot.view.orders)
    words = f"all {len(snapshot.view.orders)} ids are their orders' digests; {closed} were served or over already"
    return found(Check.ORDERS, faults, words)


def check_heartbeats(snapshot: Snapshot) -> Finding:
    """Nobody but the gateway hears them."""
    silent = [
        provider
        for provider in {offer.provider for offer in snapshot.view.offers}
        if snapshot.now.timestamp - snapshot.view.heartbeats.get(provider, UnixTime(0))
        > snapshot.policy.heartbeat_seconds
    ]
    latest = snapshot.now.timestamp + CLOCKS_SECONDS
    early = [who for who, at in snapshot.view.heartbeats.items() if at > latest]
    words = f"the operator's word, not on the chain: {len(snapshot.view.heartbeats)} providers heard, {len(silent)} of them silent for too long or never heard"
    if early:
        return found(Check.HEARTBEATS, [f"{who} was heard after the snapshot" for who in sorted(early)], "")
    return Finding(Check.HEARTBEATS, Verdict.UNCHECKED, (words,))


@dataclass
class Gateway:
    """Asks one gateway for files and orders, each once, and not for ever. Raises GatewayUnavailable."""

    api: GatewayApi
    files_left: int = MOST_ASKED
    orders_left: int = MOST_ASKED
    _files: dict[Sha256, bytes | None] = field(default_factory=dict)

    def file(self, name: Sha256) -> bytes | None:
        """A small file; None where the gateway does not have it, or has been asked enough."""
        if name not in self._files and self.files_left > 0:
            self.files_left -= 1
            try:
                self._files[name] = self.api.fetch_blob(name, limit_bytes=MAX_SPEC_BYTES)
            except (GatewayProblem, DomainError):
                self._files[name] = None
        return self._files.get(name)

    def accepted_at(self, order: Bytes32) -> UnixTime | None:
        """When it took the order, as it says now; None where it does not know the order, or has been asked enough."""
        if self.orders_left <= 0:
            return None
        self.orders_left -= 1
        try:
            return self.api.order(order).accepted_at
        except GatewayProblem:
            return None


def check_specs(plan: PostedPlan, snapshot: Snapshot, gateway: Gateway) -> Finding:
    """What the jobs ask for, read from their specs again; and since when they wait, of which patience and elders depend.

    Those that were not placed are asked for, too: who says that an order came later than it did robs it of its turn.
    """
    placed = {row.order for row in plan.placements}
    orders = sorted(snapshot.view.orders, key=lambda order: (order.id not in placed, order.id))
    faults, read, dated = list[str](), 0, 0
    for order in orders:
        content = gateway.file(sha256_in(order.signed.order.spec))
        if content is not None:
            read += 1
            faults += _spec_faults(order, content)
        at = gateway.accepted_at(order.id)
        dated += at is not None
        if at not in (None, order.accepted_at):
            faults.append(f"order {order.id} was accepted at {at}, the snapshot says {order.accepted_at}")
    doubts = list[str]()
    if read < len(orders):
        doubts.append(f"the specs of {len(orders) - read} of {len(orders)} orders were not looked at")
    if dated < len(orders):
        doubts.append(f"the gateway did not say when {len(orders) - dated} of {len(orders)} orders came")
    return found(Check.SPECS, faults, f"all {read} orders ask for what their specs say", doubts=doubts)


def _spec_faults(order: BookOrder, content: bytes) -> Iterator[str]:
    try:
        spec = read_spec(content)
    except DomainError as error:
        yield f"order {order.id}: its spec cannot be read ({error}), yet it is on the book"
        return
    for name in ("resources", "constraints", "group"):
        said, true = getattr(order.spec, name), getattr(spec, name)
        if said != true:
            yield f"order {order.id}: its spec has {true}, the snapshot {said}"


def check_machines(snapshot: Snapshot, gateway: Gateway | None) -> Finding:
    """A description hashes to what its offers name. One that is written in another form than ours is fetched and compared."""
    faults, doubts = list[str](), list[str]()
    for name, machine in sorted(snapshot.view.machines.items()):
        if machine.sha256 == name:
            continue
        true = _machine(gateway.file(name)) if gateway else None
        if true is None:
            doubts.append(f"machine {name} is written in another form and could not be fetched")
        elif true != machine:
            faults.append(f"machine {name} is {true}, the snapshot says {machine}")
    for name in sorted({sha256_in(offer.spec) for offer in snapshot.view.offers} - snapshot.view.machines.keys()):
        if gateway and _machine(gateway.file(name)):
            doubts.append(f"machine {name} is described at the gateway, and not in the snapshot")
    return found(Check.MACHINES, faults, f"all {len(snapshot.view.machines)} are what their offers name", doubts=doubts)


def _machine(content: bytes | None) -> Machine | None:
    try:
        return None if content is None else read_machine(content)
    except DomainError:
        return None


def check_book(snapshot: Snapshot, history: History, gateway: Gateway) -> Finding:
    """Orders that the gateway had taken before the snapshot's block and that the round did not see: those that still wait, and those that
    were opened later. Who was refused by the gateway itself, or has expired since, is not found this way."""
    on_book = {order.id for order in snapshot.view.orders} | {fill.signed.id for fill in snapshot.posted}
    later = [event.lease for event in history.opened if event.ref.block.number > snapshot.view.block.number]
    classes = sorted({offer.gpu_class for offer in snapshot.view.offers})
    waiting = [order for number in classes for order in gateway.api.waiting(number)]
    kept_out = list[str]()
    for order in dict.fromkeys([*waiting, *later]):
        if order in on_book or is_closed(history, order):
            continue
        at = gateway.accepted_at(order)
        if at is not None and at < snapshot.view.block.timestamp:
            kept_out.append(f"order {order} was accepted at {at}, before the snapshot, and is not in it")
    return found(Check.BOOK, [], "no order that waits, or was opened since, was kept out", doubts=kept_out)


NO_GATEWAY = "no gateway was asked"
