"""What rests on somebody's word: the gateway's for orders, specs and machines, each of which has a hash; the scheduler's for signs of life.

The chain knows an order once it was opened. Before that its id says what it is, and its spec's hash what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.signing import SigningDomain, order_id
from marketplace.domain.book import BookOrder
from marketplace.domain.errors import DomainError, GatewayProblem
from marketplace.domain.ids import Bytes32, Sha256, sha256_in
from marketplace.domain.limits import MAX_SPEC_BYTES
from marketplace.domain.orders import SignedOrder
from marketplace.domain.spec import Machine, read_machine, read_spec
from marketplace.domain.units import UnixTime
from scheduler.audit.findings import Check, Finding, Verdict, found
from scheduler.audit.history import History
from scheduler.audit.state import is_closed
from scheduler.engine.reading import PostedPlan
from scheduler.engine.snapshot import Snapshot

CLOCKS_SECONDS = 120
"""The gateway's node may be ahead of the scheduler's by so much block time: what it noted then is not of the future."""

ON_ITS_WAY_SECONDS = 4
"""An order that came so shortly before the snapshot's block may have been on its way to the book: that is a warning."""

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
    """What the jobs ask for, read from their specs again; and since when they wait, of which patience depends.

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


class OwnOrder(NamedTuple):
    """An order that was posted from the auditor's own home."""

    signed: SignedOrder
    signed_at: UnixTime


@dataclass(frozen=True, slots=True)
class KnownElsewhere:
    """Orders that others than the round's own documents know of."""

    own: Sequence[OwnOrder] = ()
    neighbours: Sequence[Snapshot] = ()
    """Snapshots of rounds before and after this one."""


def check_book(snapshot: Snapshot, history: History, gateway: Gateway | None, known: KnownElsewhere) -> Finding:
    """No order was kept out that had come before the snapshot's block and could still be opened then: one that waits at the gateway or was
    opened since, one that a neighbouring round knows, one of the auditor's own.

    An order is sure to have waited if somebody has it who had it before and later: the gateway that says when it came, or a later round. What
    only an earlier round or one's own journal knows may have been withdrawn. Nobody sees an order that the operator told nobody of.
    """
    on_book = {order.id for order in snapshot.view.orders} | {fill.signed.id for fill in snapshot.posted}
    faults, doubts = dict[Bytes32, str](), dict[Bytes32, str]()
    for order, at, by_whom, is_sure in _waited(snapshot, history, gateway, known):
        if order in on_book or is_closed(history, order) or at >= snapshot.view.block.timestamp:
            continue
        words = f"order {order} was accepted at {at}, before the snapshot, {by_whom}, and is not in it"
        is_late = at + ON_ITS_WAY_SECONDS >= snapshot.view.block.timestamp
        (faults if is_sure and not is_late else doubts).setdefault(order, words)
    left = [words for order, words in doubts.items() if order not in faults]
    if gateway is None and not faults and not left:
        return Finding(Check.BOOK, Verdict.UNCHECKED, (NO_GATEWAY,))
    return found(Check.BOOK, [*faults.values()], "no order that others know of was kept out", doubts=left)


def _waited(
    snapshot: Snapshot, history: History, gateway: Gateway | None, known: KnownElsewhere
) -> Iterator[tuple[Bytes32, UnixTime, str, bool]]:
    """Orders, when they came, who says so, and whether it is sure that they still waited. Those that had expired are left out."""
    now, number = snapshot.now.timestamp, snapshot.view.block.number
    for other in known.neighbours:
        is_later = other.view.block.number > number
        for row in other.view.orders:
            if now < row.signed.order.expires_at:
                yield row.id, row.accepted_at, f"as the round of block {other.view.block.number} says", is_later
    for kept in known.own:
        if now < kept.signed.order.expires_at:
            at = gateway.accepted_at(kept.signed.id) if gateway else None
            if at is None:
                yield kept.signed.id, kept.signed_at, "as this home's journal says", False
            else:
                yield kept.signed.id, at, "as the gateway says of an order of this home", True
    if gateway:
        later = [event.lease for event in history.opened if event.ref.block.number > number]
        classes = sorted({offer.gpu_class for offer in snapshot.view.offers})
        waiting = [order for number in classes for order in gateway.api.waiting(number)]
        on_book = {order.id for order in snapshot.view.orders}
        for order in dict.fromkeys([*waiting, *later]):
            if order not in on_book and (at := gateway.accepted_at(order)) is not None:
                yield order, at, "as the gateway says", True


NO_GATEWAY = "no gateway was asked"
