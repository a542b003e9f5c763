"""Snapshots and plans read back from their documents, by whoever replays a round. They come from strangers: every field is checked.

A document has one form. What is read is written again and compared, so that nothing can hide in one: no row twice, none out of order,
none about strangers to the book, no other spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView, Faults, RefusedFill
from marketplace.domain.budgets import Budget
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import InvalidField, OtherVersion
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId, Sha256, address, bytes32, sha256
from marketplace.domain.json_reader import Reader
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.ledger import Delegation, LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.policy import Policy
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.spec import JobSpec, Machine, read_demand, read_machine
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime, iso_from_time
from marketplace.domain.wire import camel, integer_from_wire, order_from_wire
from scheduler.engine.document import SNAPSHOT_VERSION
from scheduler.engine.plan import PLAN_VERSION, PoolPrice
from scheduler.engine.snapshot import Snapshot

Read = TypeVar("Read")
TIME, COUNT, SECONDS, OFFERS, GPUS = 2**40 - 1, 2**53 - 1, 2**32 - 1, 2**40 - 1, 2**16 - 1
LAST_DATE = 253_402_300_799
"""The end of the year 9999: later moments have no name."""


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A placement as the plan's document has it."""

    order: Bytes32
    offer: OfferId
    price: PricePerGpuHour


@dataclass(frozen=True, slots=True)
class PostedPlan:
    """A plan as it was posted: enough to hold it against the chain. Who has the snapshot too can make it again."""

    chain_id: int
    market: Address
    opener: Address
    block: BlockRef
    snapshot: Sha256
    placements: tuple[PlanRow, ...]
    prices: tuple[PoolPrice, ...]


def read_plan(content: bytes) -> PostedPlan:
    """Read a plan's document; raise InvalidField that names the field and the rule."""
    document = parse_json(content, field="plan")
    row = Row(document, "plan")
    _of_version(row, PLAN_VERSION)
    plan = PostedPlan(
        chain_id=row.number("chainId", 0, COUNT), market=row.address("market"), opener=row.address("opener"),
        block=row.block("block"), snapshot=sha256(row.take("snapshot", str), field="plan.snapshot"),
        placements=row.rows("placements", _placement), prices=row.rows("prices", _pool_price),
    )  # fmt: skip
    row.end()
    if canonical_json(document) != content:
        raise InvalidField("plan", "must be canonical JSON (RFC 8785)")
    return plan


def read_snapshot(content: bytes) -> Snapshot:
    """Read a snapshot's document; the same round can be cleared from it again. Raises InvalidField that names the field and the rule."""
    row = Row(parse_json(content, field="snapshot"), "snapshot")
    _of_version(row, SNAPSHOT_VERSION)
    orders, posted = row.rows("orders", _order), row.rows("posted", _posted)
    known = {fill.signed.id: fill.signed.order for fill in posted} | {order.id: order.signed.order for order in orders}
    snapshot = Snapshot(
        view=_view(row, orders, known), opener=row.address("opener"), terms=_terms(row.inner("terms")),
        policy=_policy(row.inner("policy")), classes=row.rows("classes", _class), head=row.block("head"), posted=posted,
        declined=row.table("declined", bytes32, _times), excused=row.table("excused", bytes32, _times, {}),
    )  # fmt: skip
    row.end()
    _each_once("snapshot.orders", [order.id for order in orders])
    _each_once("snapshot.offers", [offer.id for offer in snapshot.view.offers])
    if snapshot.canonical() != content:
        raise InvalidField("snapshot", "must be canonical JSON with its rows sorted and none to spare")
    return snapshot


def _of_version(row: Row, known: int) -> None:
    """What an older or newer release wrote is not read at a guess."""
    found = row.number("version", 0, COUNT)
    if found != known:
        raise OtherVersion(row.where("version"), found, known)


def _each_once(where: str, ids: Sequence[object]) -> None:
    if len(set(ids)) != len(ids):
        raise InvalidField(where, "has a row twice")


class Row(Reader):
    """An object of a document, read field by field in the forms of the wire."""

    def address(self, name: str) -> Address:
        return address(self.take(name, str), field=self.where(name))

    def word(self, name: str) -> Bytes32:
        return bytes32(self.take(name, str), field=self.where(name))

    def units(self, name: str, bits: int = 128) -> int:
        """An amount, as a decimal string."""
        found = integer_from_wire(self.take(name, str), self.where(name))
        if found >> bits:
            raise InvalidField(self.where(name), f"must be below 2^{bits}")
        return found

    def flag(self, name: str) -> bool:
        return bool(self.take(name, bool))

    def one_of(self, name: str, known: Mapping[str, Read]) -> Read:
        word = self.take(name, str)
        if word not in known:
            raise InvalidField(self.where(name), f"{word!r} is not known")
        return known[word]

    def inner(self, name: str) -> Row:
        return Row(self.take(name, dict), self.where(name))

    def block(self, name: str) -> BlockRef:
        row = self.inner(name)
        at = UnixTime(row.number("timestamp", 0, LAST_DATE))
        found = BlockRef(row.number("number", 0, COUNT), row.word("hash"), at)
        if row.take("time", str) != iso_from_time(at):
            raise InvalidField(row.where("time"), "must be the timestamp's")
        row.end()
        return found

    def rows(self, name: str, read: Callable[[Row], Read]) -> tuple[Read, ...]:
        where = self.where(name)
        return tuple(_whole(value, f"{where}[{n}]", read) for n, value in enumerate(self.take(name, list)))

    def table(
        self, name: str, key: Callable[..., Any], read: Callable[[Any, str], Read], default: Any = ...
    ) -> dict[Any, Read]:
        where = self.where(name)
        rows = self.take(name, dict, default)
        return {key(one, field=where): read(value, f"{where}.{one}") for one, value in rows.items()}


def _whole(value: Any, where: str, read: Callable[[Row], Read]) -> Read:
    """One object with nothing left unread."""
    row = Row(value, where)
    found = read(row)
    row.end()
    return found


def _of(read: Callable[[Row], Read]) -> Callable[[Any, str], Read]:
    return lambda value, where: _whole(value, where, read)


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Errors of a document inside the document say where it stands."""
    try:
        yield
    except InvalidField as exc:
        raise InvalidField(f"{where}: {exc.field}", exc.rule) from None


# The parts of a snapshot ----------------------------------------------------------------------------------------------


def _view(row: Row, orders: tuple[BookOrder, ...], known: Mapping[Bytes32, Order]) -> BookView:
    return BookView(
        block=row.block("block"),
        orders=orders,
        offers=row.rows("offers", _offer),
        accounts=row.table("accounts", address, _amount),
        leases=_leases(row, known),
        machines=row.table("machines", sha256, _machine),
        heartbeats=_times(row.take("heartbeats", dict), row.where("heartbeats")),
        refused=row.table("refused", bytes32, _refusals),
        budgets=dict(row.rows("budgets", _budget)),
        reputations=row.table("reputations", address, _of(_reputation)),
        faults=row.table("faults", address, _of(_faults)),
    )


def _order(row: Row) -> BookOrder:
    signed = SignedOrder(row.word("id"), order_from_wire(row.take("order", dict), row.where("order")), "0x")
    delegate = row.take("delegate", str, None)
    return BookOrder(
        signed, _demand(row.take("spec", dict), row.where("spec")), UnixTime(row.number("acceptedAt", 0, TIME)),
        None if delegate is None else address(delegate, field=row.where("delegate")),
    )  # fmt: skip


def _demand(value: dict[str, Any], where: str) -> JobSpec:
    with _within(where):
        return read_demand(value)


def _offer(row: Row) -> Offer:
    return Offer(
        id=OfferId(row.number("id", 0, OFFERS)), provider=row.address("provider"),
        gpu_class=ClassNumber(row.number("class", 0, 255)), gpus=GpuCount(row.number("gpus", 0, GPUS)),
        free=GpuCount(row.number("free", 0, GPUS)), bond_bps=Bps(row.number("bondBps", 0, GPUS)),
        expires_at=UnixTime(row.number("expiresAt", 0, TIME)), arbiter=row.address("arbiter"),
        price=PricePerGpuHour(row.units("price", 80)), min_seconds=Seconds(row.number("minSeconds", 0, SECONDS)),
        spec=row.word("spec"),
    )  # fmt: skip


def _amount(value: Any, where: str) -> TokenUnits:
    units = integer_from_wire(value, where)
    if units >> 128:
        raise InvalidField(where, "must be below 2^128")
    return TokenUnits(units)


def _times(value: Any, where: str) -> dict[Address, UnixTime]:
    row = Row(value, where)
    return {address(who, field=where): UnixTime(row.number(who, 0, TIME)) for who in value}


def _leases(row: Row, known: Mapping[Bytes32, Order]) -> dict[Bytes32, LeaseRecord]:
    where, found = row.where("leases"), dict[Bytes32, LeaseRecord]()
    for name, value in row.take("leases", dict).items():
        identifier = bytes32(name, field=where)
        found[identifier] = _lease(Row(value, f"{where}.{name}"), identifier, known.get(identifier))
    return found


def _lease(row: Row, identifier: Bytes32, order: Order | None) -> LeaseRecord:
    lease = Lease(
        status=row.one_of("status", {status.name.capitalize(): status for status in LeaseStatus}),
        tip_paid=row.flag("tipPaid"), no_reopen=row.flag("noReopen"), assigned=row.flag("assigned"),
        by_acceptor=row.flag("byAcceptor"), charged=row.flag("charged"), offer=OfferId(row.number("offer", 0, OFFERS)),
        price=PricePerGpuHour(row.units("price", 80)), opened_at=UnixTime(row.number("openedAt", 0, TIME)),
        paid_seconds=Seconds(row.number("paidSeconds", 0, SECONDS)),
        claimed_seconds=Seconds(row.number("claimedSeconds", 0, SECONDS)),
        changed_at=UnixTime(row.number("changedAt", 0, TIME)),
    )  # fmt: skip
    result = row.take("result", str, None)
    record = LeaseRecord(
        id=identifier, order=order, lease=lease, payee=row.address("payee"), provider=row.address("provider"),
        opened_in_block=row.number("openedInBlock", 0, COUNT), paid=TokenUnits(row.units("paid")),
        refund=TokenUnits(row.units("refund")), compensation=TokenUnits(row.units("compensation")),
        exit=row.take("exit", str), result=None if result is None else bytes32(result, field=row.where("result")),
    )  # fmt: skip
    row.end()
    return record


def _machine(value: Any, where: str) -> Machine:
    with _within(where):
        return read_machine(canonical_json(value))


def _refusals(value: Any, where: str) -> tuple[RefusedFill, ...]:
    if not isinstance(value, list):
        raise InvalidField(where, "must be a list")
    return tuple(_whole(row, f"{where}[{n}]", _refusal) for n, row in enumerate(value))


def _refusal(row: Row) -> RefusedFill:
    offer, block = OfferId(row.number("offer", 0, OFFERS)), row.number("block", 0, COUNT)
    return RefusedFill(offer, row.one_of("reason", Refusal.__members__), block)


def _budget(row: Row) -> tuple[Delegation, Budget]:
    delegation = row.address("account"), row.address("delegate")
    return delegation, Budget(TokenUnits(row.units("left", 256)), UnixTime(row.number("until", 0, COUNT)))


def _reputation(row: Row) -> Reputation:
    tallies = row.table("outcomes", _outcome, _of(_tally))
    reputation = Reputation(UnixTime(row.number("asOf", 0, TIME)), tallies, row.units("heard", 256))
    if row.units("failed", 256) != reputation.failed:
        raise InvalidField(row.where("failed"), "must be the sum of the failures' weights")
    return reputation


def _outcome(value: str, *, field: str) -> Outcome:
    if value not in list(Outcome):
        raise InvalidField(field, f"{value!r} is not known")
    return Outcome(value)


def _tally(row: Row) -> Tally:
    return Tally(row.number("count", 0, COUNT), row.units("weight", 256))


def _faults(row: Row) -> Faults:
    return Faults(row.number("count", 0, COUNT), row.number("block", 0, COUNT))


def _class(row: Row) -> GpuClass:
    return GpuClass(ClassNumber(row.number("class", 0, 255)), row.take("name", str), row.number("vramMib", 0, SECONDS))


def _posted(row: Row) -> Fill:
    signed = SignedOrder(row.word("id"), order_from_wire(row.take("order", dict), row.where("order")), "0x")
    return Fill(signed, OfferId(row.number("offer", 0, OFFERS)), PricePerGpuHour(row.units("price", 80)))


def _terms(row: Row) -> MarketTerms:
    terms = MarketTerms(
        chain_id=row.number("chainId", 0, COUNT), market=row.address("market"), token=row.address("token"),
        token_symbol=row.take("tokenSymbol", str), token_decimals=row.number("tokenDecimals", 0, 255),
        deployed_at_block=row.number("deployedAtBlock", 0, COUNT), bond_floor=TokenUnits(row.units("bondFloor")),
        start_grace=Seconds(row.number("startGrace", 0, SECONDS)), claim_grace=Seconds(row.number("claimGrace", 0, SECONDS)),
        challenge_window=Seconds(row.number("challengeWindow", 0, SECONDS)),
        ruling_window=Seconds(row.number("rulingWindow", 0, SECONDS)),
    )  # fmt: skip
    row.end()
    return terms


def _policy(row: Row) -> Policy:
    chosen: dict[str, Any] = {item.name: row.number(camel(item.name), 0, SECONDS) for item in fields(Policy)}
    policy = Policy(**chosen)
    row.end()
    return policy


# The parts of a plan --------------------------------------------------------------------------------------------------


def _placement(row: Row) -> PlanRow:
    return PlanRow(row.word("order"), OfferId(row.number("offer", 0, OFFERS)), PricePerGpuHour(row.units("price", 80)))


def _pool_price(row: Row) -> PoolPrice:
    return PoolPrice(
        ClassNumber(row.number("class", 0, 255)), OfferId(row.number("firstOffer", 0, OFFERS)),
        GpuCount(row.number("free", 0, GPUS)), PricePerGpuHour(row.units("price", 96)),
        GpuCount(row.number("gpus", 0, COUNT)),
    )  # fmt: skip
