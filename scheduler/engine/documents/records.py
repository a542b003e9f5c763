"""The records of snapshots and plans, field by field."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple, cast

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, Faults, RefusedFill
from marketplace.domain.budgets import Budget
from marketplace.domain.canonical import canonical_json
from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import InvalidField
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Sha256, address
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.ledger import Delegation, LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.policy import Policy
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.spec import Constraints, Group, JobSpec, Machine, Resources, read_demand, read_machine
from marketplace.domain.units import UnixTime, iso_from_time
from marketplace.domain.wire import ORDER_FIELDS, block_to_wire, order_from_wire
from scheduler.engine.documents.forms import (
    ADDRESS,
    FLAG,
    SHA256,
    TEXT,
    WORD,
    Form,
    Kind,
    Row,
    choice,
    json_text,
    maybe,
    number,
    object_of,
    units,
    within,
)

TIME, COUNT, SECONDS, OFFERS, GPUS, CLASSES = 2**40 - 1, 2**53 - 1, 2**32 - 1, 2**40 - 1, 2**16 - 1, 255
LAST_DATE = 253_402_300_799
"""The end of the year 9999: later moments have no name."""


# The parts of orders and machines that other documents define -----------------------------------------------------------


_ORDER_WIRE = sorted(ORDER_FIELDS)
_ORDER_VALUES = attrgetter(*(ORDER_FIELDS[wire] for wire in _ORDER_WIRE))
_ORDER_FRAME = "{" + ",".join(f'"{wire}":"%s"' for wire in _ORDER_WIRE) + "}"

_ORDER = Kind(
    lambda row, name: order_from_wire(row.take(name, dict), row.where(name)),
    text=lambda order: _ORDER_FRAME % _ORDER_VALUES(order),
)


def _read_spec(row: Row, name: str) -> JobSpec:
    with within(row.where(name)):
        return read_demand(row.take(name, dict))


def _demand(resources: Resources, constraints: Constraints, group: Group | None) -> str:
    """What clearing looks at of a job spec, in the spec's own form; defaults are left out."""
    asked: dict[str, Any] = {"resources": _set_fields(resources), "constraints": _set_fields(constraints)}
    if group is not None:
        asked["group"] = {"id": group.id, "rank": group.rank, "size": group.size}
    return json_text({name: value for name, value in asked.items() if value})


def _set_fields(row: Resources | Constraints) -> dict[str, Any]:
    return {name: value for name, default in _DEFAULTS[type(row)] if (value := getattr(row, name)) != default}


_DEFAULTS = {kind: [(item.name, item.default) for item in fields(kind)] for kind in (Resources, Constraints)}


def _read_machine(row: Row, name: str) -> Machine:
    with within(row.where(name)):
        return read_machine(canonical_json(row.take(name, dict)))


_SPEC = Kind(_read_spec, text=lambda spec: _demand(spec.resources, spec.constraints, spec.group))
"""Without what is run: that is nobody's business."""
_MACHINE = Kind(_read_machine, text=lambda machine: machine.canonical().decode())


# The rows of pages ----------------------------------------------------------------------------------------------------


class Keyed(NamedTuple):
    """A row of a table, by its key."""

    key: Any
    value: Any


@dataclass(frozen=True, slots=True)
class TableForm:
    """How a table's entries are written: their values where those have the key in them, else both."""

    form: Form[Any]
    key: Callable[[Any], Any] | None = None
    """Of a value."""
    rank: Callable[[Any], Any] = attrgetter("key")
    """Entries that come together stand in this order."""

    def text(self, entry: Any) -> str:
        return self.form.text(entry.value if self.key else entry)

    def read(self, row: Row) -> Keyed:
        read = self.form.read(row)
        return Keyed(self.key(read), read) if self.key else cast("Keyed", read)


def _book_order(**read: Any) -> BookOrder:
    signed = SignedOrder(read["signed.id"], read["signed.order"], "0x")
    return BookOrder(signed, read["spec"], read["accepted_at"], read["delegate"])


_ORDER_ROW = Form(
    _book_order,
    {
        "signed.id": WORD, "signed.order": _ORDER, "spec": _SPEC, "accepted_at": number(TIME),
        "delegate": maybe(ADDRESS),
    },
)  # fmt: skip
"""Without its signature: a snapshot may be shown to anyone, and whoever has the signature may open the order (P-22)."""

_OFFER_ROW = Form(
    Offer,
    {
        "id": number(OFFERS), "provider": ADDRESS, "gpu_class": ("class", number(CLASSES)), "gpus": number(GPUS),
        "free": number(GPUS), "bond_bps": number(GPUS), "expires_at": number(TIME), "arbiter": ADDRESS,
        "price": units(80), "min_seconds": number(SECONDS), "spec": WORD,
    },
)  # fmt: skip


def _lease(**read: Any) -> LeaseRecord:
    of_lease = {name.removeprefix("lease."): read.pop(name) for name in list(read) if name.startswith("lease.")}
    return LeaseRecord(order=None, lease=Lease(**of_lease), **read)


_LEASE_ROW = Form(
    _lease,
    {
        "id": WORD, "lease.status": choice({status.name.capitalize(): status for status in LeaseStatus}),
        **{f"lease.{name}": FLAG for name in ("tip_paid", "no_reopen", "assigned", "by_acceptor", "charged")},
        "lease.offer": number(OFFERS), "lease.price": units(80), "lease.opened_at": number(TIME),
        "lease.paid_seconds": number(SECONDS), "lease.claimed_seconds": number(SECONDS),
        "lease.changed_at": number(TIME), "payee": ADDRESS, "provider": ADDRESS, "opened_in_block": number(COUNT),
        "paid": units(), "refund": units(), "compensation": units(), "exit": TEXT, "result": maybe(WORD),
    },
)  # fmt: skip
"""Without its order: that is the one of the same id on the book."""


def _delegation(row: Row, name: str) -> Delegation:
    where, pair = row.where(name), row.texts(name, limit=2)
    if len(pair) != 2:
        raise InvalidField(where, "must be an account and its delegate")
    return address(pair[0], field=where), address(pair[1], field=where)


_BUDGET_ROW = Form(
    lambda **read: Keyed(read["key"], Budget(read["value.left"], read["value.until"])),
    {
        "key": ("delegation", Kind(_delegation, text=lambda pair: f'["{pair[0]}","{pair[1]}"]')),
        "value.left": units(256), "value.until": number(COUNT),
    },
)  # fmt: skip


def _outcome(value: str, *, field: str) -> Outcome:
    if value not in list(Outcome):
        raise InvalidField(field, f"{value!r} is not known")
    return Outcome(value)


_TALLY = Form(Tally, {"count": number(COUNT), "weight": units(256)})
_TALLIES = Kind(
    lambda row, name: row.table(name, _outcome, _TALLY.kind.read),
    text=lambda tallies: object_of({outcome.value: _TALLY.text(tally) for outcome, tally in tallies.items()}),
)
_REPUTATION_ROW = Form(
    # What has failed is worked out of the rest, and comes out again when it is written: it must be that.
    lambda **read: Keyed(read["key"], Reputation(read["value.as_of"], read["value.tallies"], read["value.heard"])),
    {
        "key": ("provider", ADDRESS), "value.as_of": number(TIME), "value.heard": units(256), "value.failed": units(256),
        "value.tallies": ("outcomes", _TALLIES),
    },
)  # fmt: skip

TABLES: Mapping[str, TableForm] = {
    "accounts": TableForm(Form(Keyed, {"key": ("account", ADDRESS), "value": ("free", units())})),
    "budgets": TableForm(_BUDGET_ROW),
    "leases": TableForm(_LEASE_ROW, key=attrgetter("id")),
    "machines": TableForm(Form(Keyed, {"key": ("sha256", SHA256), "value": ("machine", _MACHINE)})),
    "offers": TableForm(_OFFER_ROW, key=attrgetter("id")),
    "orders": TableForm(_ORDER_ROW, key=attrgetter("id"), rank=attrgetter("value.accepted_at", "key")),
    "reputations": TableForm(_REPUTATION_ROW),
}
"""Of the view: what is long, and changes little from round to round."""


# The small parts of a snapshot ----------------------------------------------------------------------------------------


def _read_block(row: Row, name: str) -> BlockRef:
    inner = row.inner(name)
    at = UnixTime(inner.number("timestamp", 0, LAST_DATE))
    found = BlockRef(inner.number("number", 0, COUNT), inner.word("hash"), at)
    if inner.take("time", str) != iso_from_time(at):
        raise InvalidField(inner.where("time"), "must be the timestamp's")
    inner.end()
    return found


def _posted(**read: Any) -> Fill:
    """Such an order may have left the book: its row stands here in full."""
    return Fill(SignedOrder(read["signed.id"], read["signed.order"], "0x"), read["offer"], read["price"])


BLOCK = Kind(_read_block, text=lambda block: json_text(block_to_wire(block)))
TERMS = Form(
    MarketTerms,
    {
        "chain_id": number(COUNT), "market": ADDRESS, "token": ADDRESS, "token_symbol": TEXT,
        "token_decimals": number(CLASSES), "deployed_at_block": number(COUNT), "bond_floor": units(),
        **{name: number(SECONDS) for name in ("start_grace", "claim_grace", "challenge_window", "ruling_window")},
    },
)  # fmt: skip
POLICY = Form(Policy, {item.name: number(SECONDS) for item in fields(Policy)})
CLASS = Form(GpuClass, {"number": ("class", number(CLASSES)), "name": TEXT, "vram_mib": number(SECONDS)})
FAULTS = Form(Faults, {"count": number(COUNT), "block_number": ("block", number(COUNT))})
REFUSED = Form(
    RefusedFill,
    {"offer": number(OFFERS), "reason": choice(Refusal.__members__), "block_number": ("block", number(COUNT))},
)
POSTED = Form(_posted, {"signed.id": WORD, "signed.order": _ORDER, "offer": number(OFFERS), "price": units(80)})


@dataclass(frozen=True, slots=True)
class PageRef:
    """A page by its name, as a snapshot lists it."""

    sha256: Sha256
    size: int
    """Of the file, in bytes."""
    gone: bytes
    """Rows that are there no more, one bit each from the highest of the first byte on; zeros at the end are left out."""


def _bits(row: Row, name: str) -> bytes:
    try:
        return b64decode(row.take(name, str), validate=True)
    except ValueError:
        raise InvalidField(row.where(name), "must be base64") from None


PAGE = Form(
    PageRef,
    {
        "sha256": SHA256,
        "size": ("bytes", number(COUNT)),
        "gone": Kind(_bits, '"%s"', lambda bits: b64encode(bits).decode()),
    },
)
