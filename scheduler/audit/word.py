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
from scheduler.engine.documents.reading import PostedPlan
from scheduler.engine.documents.snapshot import Snapshot

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


class BookSpan(NamedTuple):
    """How long an order was on the book, in block time."""

    accepted_at: UnixTime
    withdrawn_at: UnixTime | None

    def is_over(self, now: UnixTime) -> bool:
        return self.withdrawn_at is not None and self.withdrawn_at <= now


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

    def span(self, order: Bytes32) -> BookSpan | None:
        """When it took the order, and when it let it go, as it says now; None where it does not know the order, or has been asked enough."""
        if self.orders_left <= 0:
            return None
        self.orders_left -= 1
        try:
            told = self.api.order(order)
        except GatewayProblem:
            return None
        return BookSpan(told.accepted_at, told.withdrawn_at)


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
        span = gateway.span(order.id)
        dated += span is not None
        if span and span.accepted_at != order.accepted_at:
            faults.append(f"order {order.id} was accepted at {span.accepted_at}, the snapshot says {order.accepted_at}")
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


class _Waiting(NamedTuple):
    """An order that is said to have waited, and had not expired by the snapshot's newest block."""

    order: Bytes32
    at: UnixTime
    """When it came."""
    by_whom: str
    is_sure: bool
    """Whether it surely still waited then."""


def check_book(snapshot: Snapshot, history: History, gateway: Gateway | None, known: KnownElsewhere) -> Finding:
    """No order was kept out that had come before the snapshot's block and could still be opened then: one that waits at the gateway or was
    opened since, one that a neighbouring round knows, one of the auditor's own.

    An order is sure to have waited if somebody has it who had it before and later: the gateway that says when it came, or a later round. What
    only an earlier round or one's own journal knows may have been withdrawn; of an order of one's own that the gateway calls withdrawn by then,
    one is told. Nobody sees an order that the operator told nobody of.
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


def _waited(snapshot: Snapshot, history: History, gateway: Gateway | None, known: KnownElsewhere) -> Iterator[_Waiting]:
    now, number = snapshot.now.timestamp, snapshot.view.block.number
    for other in known.neighbours:
        is_later = other.view.block.number > number
        for row in other.view.orders:
            if now < row.signed.order.expires_at:
                yield _Waiting(
                    row.id, row.accepted_at, f"as the round of block {other.view.block.number} says", is_later
                )
    yield from (_own(order, gateway, now) for order in known.own if now < order.signed.order.expires_at)
    if gateway:
        later = [event.lease for event in history.opened if event.ref.block.number > number]
        yield from _at_gateway(gateway, snapshot, later)


def _own(kept: OwnOrder, gateway: Gateway | None, now: UnixTime) -> _Waiting:
    """An order of the auditor's own home."""
    span = gateway.span(kept.signed.id) if gateway else None
    if span is None:
        return _Waiting(kept.signed.id, kept.signed_at, "as this home's journal says", False)
    words = "as the gateway says of an order of this home"
    if span.is_over(now):
        return _Waiting(kept.signed.id, span.accepted_at, f"{words}, and withdrawn at {span.withdrawn_at}", False)
    return _Waiting(kept.signed.id, span.accepted_at, words, True)


def _at_gateway(gateway: Gateway, snapshot: Snapshot, opened: Sequence[Bytes32]) -> Iterator[_Waiting]:
    """Orders that were opened since, and those that wait at the gateway now."""
    on_book = {order.id for order in snapshot.view.orders}
    classes = sorted({offer.gpu_class for offer in snapshot.view.offers})
    waiting = [order for number in classes for order in gateway.api.waiting(number)]
    for order in dict.fromkeys([*waiting, *opened]):
        span = gateway.span(order) if order not in on_book else None
        if span and not span.is_over(snapshot.now.timestamp):
            yield _Waiting(order, span.accepted_at, "as the gateway says", True)


NO_GATEWAY = "no gateway was asked"
