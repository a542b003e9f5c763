"""What a snapshot's document holds: all that can change the plan, in one form only, and no signature."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.book import BookOrder, BookView, Faults
from marketplace.domain.budgets import Budget
from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField, OtherVersion
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.spec import Constraints, Group, JobSpec, WorkName
from marketplace.domain.units import PricePerGpuHour, TokenUnits, UnixTime
from scheduler.audit.findings import Verdict
from scheduler.audit.replayed import Documents, read_documents
from scheduler.engine.clear import clear
from scheduler.engine.documents.document import SNAPSHOT_VERSION, SnapshotWriter
from scheduler.engine.documents.plan import PLAN_VERSION
from scheduler.engine.documents.reading import SnapshotReader, read_plan
from scheduler.engine.documents.records import TABLES
from scheduler.engine.documents.snapshot import Snapshot
from tests.unit.engine.markets import DOLLAR, NOW, PEOPLE, SPEC, a_record, a_snapshot, an_offer, an_order, market_of
from tests.unit.engine.opened import Tables, no_page, read_back, read_changed, reader_of, tables_of
from tests.works import WORK

MANY = settings(max_examples=150, deadline=None)
STRANGER = Address("0x" + "99" * 20)
NO_PAGES = SnapshotReader(no_page)


def markets() -> st.SearchStrategy[Snapshot]:
    """The engine's markets, with delegates, groups, preferences, reputations and faults in them too."""
    return st.integers(0, 2**32).map(lambda seed: whole_market(random.Random(seed)))


def whole_market(draw: random.Random) -> Snapshot:
    snapshot = market_of(draw)
    orders = tuple(_decorated(draw, order) for order in snapshot.view.orders)
    delegations = {(order.signed.order.client, order.delegate) for order in orders if order.delegate}
    view = replace(
        snapshot.view, orders=orders,
        budgets={pair: Budget(TokenUnits(draw.choice([0, 3, 900]) * DOLLAR), UnixTime(NOW + draw.randint(-1, 9))) for pair in delegations},
        reputations={who: _reputation(draw) for who in (*PEOPLE[:3], STRANGER)},
        faults={who: Faults(draw.randint(1, 5), draw.randint(1, 100)) for who in draw.sample(PEOPLE, 2)},
    )  # fmt: skip
    return replace(snapshot, view=view)


def _decorated(draw: random.Random, order: BookOrder) -> BookOrder:
    spec = draw.choice(
        [
            order.spec, order.spec,
            replace(order.spec, constraints=replace(order.spec.constraints, prefer_regions=("us",))),
            replace(order.spec, group=Group("ab" * 32, 2, draw.randint(0, 1))),
        ]
    )  # fmt: skip
    return replace(order, spec=spec, delegate=draw.choice([None, None, PEOPLE[2]]))


def _reputation(draw: random.Random) -> Reputation:
    tallies = {outcome: Tally(1, draw.randint(0, 10**15)) for outcome in draw.sample(list(Outcome), 3)}
    return Reputation(UnixTime(NOW - draw.randint(0, NOW)), tallies, draw.randint(0, 10**14))


# The way there and back -----------------------------------------------------------------------------------------------


@MANY
@given(markets())
def test_a_snapshot_that_was_read_back_gives_the_same_document_and_the_same_plan(snapshot: Snapshot) -> None:
    """P-22: whoever holds the document can clear the round again, bit for bit, reasons included."""
    again = read_back(snapshot)

    assert again.canonical() == snapshot.canonical()
    assert again.sha256 == snapshot.sha256
    plan, replayed = clear(snapshot), clear(again)
    assert replayed.canonical() == plan.canonical()
    assert replayed.explanations == plan.explanations


@MANY
@given(markets())
def test_what_is_written_is_canonical(snapshot: Snapshot) -> None:
    """RFC 8785, the document and its pages, though nothing sorts them but the tables of fields."""
    pages = [zlib.decompress(page) for page in snapshot.pages.values()]

    for text in (snapshot.canonical(), clear(snapshot).canonical(), *pages):
        assert text == canonical_json(json.loads(text))


@MANY
@given(markets(), st.randoms(use_true_random=False))
def test_equal_snapshots_are_equal_documents(snapshot: Snapshot, shuffler: random.Random) -> None:
    """Whatever the order of their rows, as long as their writers have written nothing else."""
    view = snapshot.view
    mixed = replace(view, orders=tuple(shuffler.sample(view.orders, len(view.orders))), offers=view.offers[::-1])
    other = replace(snapshot, view=mixed, writer=SnapshotWriter())

    assert (other.canonical(), other.pages) == (snapshot.canonical(), snapshot.pages)


@MANY
@given(markets())
def test_a_plan_is_read_back_as_it_was_written(snapshot: Snapshot) -> None:
    """The plan's document names the snapshot, every fill in its order, and the prices."""
    plan = clear(snapshot)
    read = read_plan(plan.canonical())

    placed = [(row.order, row.offer, row.price) for row in read.placements]
    assert placed == [(fill.signed.id, fill.offer, fill.price) for fill in plan.fills]
    assert (read.snapshot, read.block, read.opener, read.market) == (
        plan.snapshot, plan.block, plan.opener, plan.market,
    )  # fmt: skip
    assert read.prices == plan.prices


def test_every_field_of_a_view_and_of_a_snapshot_is_in_the_document() -> None:
    """Whoever adds a field has to write it down, or a round that looks at it cannot be replayed."""
    written = {*json.loads(a_snapshot().canonical()), *TABLES}
    named = {item.name for item in fields(BookView)} | {item.name for item in fields(Snapshot)}

    assert written - {"version", "pages"} == named - {"view", "writer"}


@MANY
@given(markets())
def test_every_row_that_is_read_is_the_row_that_was_written(snapshot: Snapshot) -> None:
    """In all its fields, but for the signature and what the job runs; also a lease in which none has its default."""
    order = snapshot.view.orders[0]
    paid = {"paid": 1, "refund": 2, "compensation": 3, "exit": "LeaseSettled", "result": order.id, "opened_in_block": 4}
    flags = dict.fromkeys(("tip_paid", "no_reopen", "assigned", "by_acceptor", "charged"), True)
    lease = replace(
        a_record(order, status=LeaseStatus.CLAIMED, **flags, paid_seconds=5, claimed_seconds=6, changed_at=7), **paid
    )  # type: ignore[arg-type]  # by name
    view = replace(snapshot.view, leases={**snapshot.view.leases, order.id: lease})
    snapshot = replace(snapshot, view=view)
    again = read_back(snapshot)

    for name in ("accounts", "budgets", "machines", "reputations", "heartbeats", "faults"):
        assert getattr(again.view, name).items() <= getattr(view, name).items()
    assert again.view.leases == view.leases
    assert {*again.view.offers} == {*view.offers}
    assert {row.id: row for row in again.view.orders} == {row.id: _shown(row) for row in view.orders}
    assert (again.terms, again.policy, again.classes, again.now, again.opener) == (
        snapshot.terms, snapshot.policy, snapshot.classes, snapshot.now, snapshot.opener,
    )  # fmt: skip


def _shown(order: BookOrder) -> BookOrder:
    spec = replace(order.spec, work=WorkName(Sha256("0" * 64), 1))
    return replace(order, signed=replace(order.signed, signature="0x"), spec=spec)


def test_a_document_holds_no_signature() -> None:
    """Whoever has an order's signature may open the order (P-22), and what a job runs is nobody's business."""
    secret = "0x" + "5ec2e7" * 20
    order = an_order("signed", spec=replace(SPEC, work=WorkName(sha256_of(b"launch codes"), 12)))
    snapshot = a_snapshot([replace(order, signed=SignedOrder(order.id, order.signed.order, secret))])
    told = snapshot.canonical() + b"".join(zlib.decompress(page) for page in snapshot.pages.values())

    assert order.id in told.decode()
    assert not [word for word in (secret[2:], sha256_of(b"launch codes"), "signature") if word in told.decode()]


def test_rows_about_strangers_to_the_book_are_left_out() -> None:
    """They change nothing; with them two schedulers of one market would hardly ever agree on a snapshot."""
    plain = a_snapshot([an_order()], [an_offer()])
    with_strangers = replace(
        plain,
        view=replace(
            plain.view, accounts={**plain.view.accounts, STRANGER: TokenUnits(7)},
            heartbeats={**plain.view.heartbeats, STRANGER: NOW}, budgets={(STRANGER, STRANGER): Budget(TokenUnits(1), NOW)},
            reputations={STRANGER: Reputation()}, faults={STRANGER: Faults(1, 1)},
        ),
        declined={bytes32_of(SPEC.sha256): {STRANGER: NOW}}, writer=SnapshotWriter(),
    )  # fmt: skip

    assert with_strangers.canonical() == plain.canonical()


# Strangers' documents -------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any], Tables], object]
PAGE = "snapshot.pages[0]: page"

CROOKED: tuple[tuple[str, Change], ...] = (
    ("snapshot.version", lambda one, _: one.update(version=1)),
    ("snapshot.colour", lambda one, _: one.update(colour="red")),
    ("snapshot.opener", lambda one, _: one.update(opener="0x12")),
    ("snapshot.former", lambda one, _: one.update(former=None)),
    (f"{PAGE}.orders", lambda _, rows: rows.update(orders={})),
    (f"{PAGE}.colours", lambda _, rows: rows.update(colours=["red"])),
    (f"{PAGE}.orders[0].id", lambda _, rows: rows["orders"][0].pop("id")),
    (f"{PAGE}.orders[0].order.gpus", lambda _, rows: rows["orders"][0]["order"].update(gpus="65536")),
    (f"{PAGE}.orders[0].order.maxPrice", lambda _, rows: rows["orders"][0]["order"].update(maxPrice="1.5")),
    (f"{PAGE}.orders[0].signature", lambda _, rows: rows["orders"][0].update(signature="0x")),
    (f"{PAGE}.orders[0].acceptedAt", lambda _, rows: rows["orders"][0].update(acceptedAt=-1)),
    (
        f"{PAGE}.orders[0].spec: spec.resources.gpus",
        lambda _, rows: rows["orders"][0]["spec"].update(resources={"gpus": 0}),
    ),
    (f"{PAGE}.offers[0].price", lambda _, rows: rows["offers"][0].update(price=5)),
    (f"{PAGE}.offers[0].free", lambda _, rows: rows["offers"][0].update(free=True)),
    (f"{PAGE}.machines[0].machine: machine.cpus", lambda _, rows: rows["machines"][0]["machine"].update(cpus=0)),
    (f"{PAGE}.accounts[0].free", lambda _, rows: rows["accounts"][0].update(free="-1")),
    (f"{PAGE}.accounts[0].account", lambda _, rows: rows["accounts"][0].update(account="nobody")),
    (f"{PAGE}.leases[0].status", lambda _, rows: rows["leases"][0].update(status="Lost")),
    (f"{PAGE}.leases[0].result", lambda _, rows: rows["leases"][0].update(result="none")),
    (f"{PAGE}.budgets[0].delegation", lambda _, rows: rows["budgets"][0]["delegation"].pop()),
    (f"{PAGE}.reputations[0].outcomes", lambda _, rows: rows["reputations"][0]["outcomes"].update(luck={})),
    (PAGE, lambda _, rows: rows["reputations"][0].update(failed="1")),
    ("snapshot.heartbeats", lambda one, _: one.update(heartbeats=["now"])),
    ("snapshot.heartbeats", lambda one, _: one.update(heartbeats=[True])),
    ("snapshot.heartbeats", lambda one, _: one.update(heartbeats=[0, 0])),
    ("snapshot.heartbeats", lambda one, _: one.update(heartbeats=[NOW + 1])),
    ("snapshot.heartbeats", lambda one, _: one.update(heartbeats=[NOW - 2**40])),
    ("snapshot.block.time", lambda one, _: one["block"].update(time="yesterday")),
    ("snapshot.block.timestamp", lambda one, _: one["block"].update(timestamp=2**50)),
    ("snapshot.policy.luck", lambda one, _: one["policy"].update(luck=7)),
    ("snapshot.posted", lambda one, _: one["posted"].append(one["posted"][0])),
    ("snapshot.posted", lambda one, _: one["posted"].append(one["posted"][0] | {"offer": 2})),
    ("snapshot.terms.bondFloor", lambda one, _: one["terms"].update(bondFloor=1)),
    ("snapshot", lambda _, rows: rows["accounts"].append({"account": STRANGER, "free": "1"})),
    ("snapshot.offers", lambda _, rows: rows["offers"].append(rows["offers"][0])),
    ("snapshot.orders", lambda _, rows: rows["orders"].append(rows["orders"][0])),
    (PAGE, lambda _, rows: rows["accounts"].reverse()),
    (PAGE, lambda _, rows: rows["orders"][0]["spec"].update(resources={"gpus": 1})),
    (PAGE, lambda _, rows: rows["orders"][0].update(id=rows["orders"][0]["id"].upper().replace("X", "x"))),
    (PAGE, lambda _, rows: rows["leases"][0].update(exit="\ud800")),
)


def _honest() -> Snapshot:
    order = replace(an_order(), delegate=PEOPLE[2])
    return a_snapshot(
        [order], [an_offer()], leases={order.id: a_record(order)}, reputations={PEOPLE[0]: Reputation()},
        budgets={(PEOPLE[-1], PEOPLE[2]): Budget(TokenUnits(1), NOW)},
        posted=(Fill(an_order("posted").signed, OfferId(1), PricePerGpuHour(1)),),
    )  # fmt: skip


@pytest.mark.parametrize(("field", "change"), CROOKED)
def test_a_crooked_document_is_refused_by_the_name_of_its_field(field: str, change: Change) -> None:
    """Documents come from strangers, and each has one form only: hidden, doubled or misspelt rows are no snapshot."""
    with pytest.raises(InvalidField) as caught:
        read_changed(_honest(), change)

    assert caught.value.field == field


def test_a_document_that_was_taken_apart_and_put_together_again_can_be_read() -> None:
    """What is refused above is refused for its change."""
    assert read_changed(_honest(), lambda document, tables: None).view.leases.keys() == _honest().view.leases.keys()


@pytest.mark.parametrize(("read", "known"), [(read_plan, PLAN_VERSION), (NO_PAGES.read, SNAPSHOT_VERSION)])
def test_a_document_of_another_release_says_of_which(read: Callable[[bytes], object], known: int) -> None:
    """Older or newer, it is not read at a guess."""
    for found in (known - 1, known + 1):
        with pytest.raises(OtherVersion, match="use the release that wrote") as caught:
            read(canonical_json({"version": found}))

        assert (caught.value.found, caught.value.known) == (found, known)


def test_an_audit_says_of_which_version_an_older_rounds_snapshot_is() -> None:
    """The check of the snapshot fails with these words; the round is not replayed."""
    plan = clear(a_snapshot([an_order()], [an_offer()]))
    older = canonical_json(json.loads(plan.source.canonical()) | {"version": SNAPSHOT_VERSION - 1, "former": None})
    document = canonical_json(json.loads(plan.canonical()) | {"snapshot": sha256_of(older)})
    found = read_documents(bytes32_of(sha256_of(document)), Documents(document, older, NO_PAGES)).findings

    assert [one.verdict for one in found] == [Verdict.OK, Verdict.FAILED, Verdict.UNCHECKED]
    assert f"snapshot.version: is {SNAPSHOT_VERSION - 1}, and" in found[1].words[0]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"null", b'{"version":1.5}', b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_refused(text: bytes) -> None:
    """Whatever the bytes, the answer is a typed error."""
    for read in (NO_PAGES.read, read_plan):
        with pytest.raises(InvalidField):
            read(text)


def test_a_document_in_another_spelling_is_refused() -> None:
    """The same values with a space more would hash differently: there is one form."""
    snapshot = a_snapshot([an_order()], [an_offer()])

    with pytest.raises(InvalidField, match="canonical"):
        reader_of(snapshot).read(snapshot.canonical().replace(b":", b": ", 1))


def test_a_spec_of_defaults_takes_no_room() -> None:
    """Most orders ask for little: what is not asked is not written, and read back as the default."""
    plain, picky = (
        an_order("a", spec=JobSpec(WORK)),
        an_order("b", spec=JobSpec(WORK, constraints=Constraints(("eu",)))),
    )
    rows = {row["id"]: row["spec"] for row in tables_of(a_snapshot([plain, picky]))["orders"]}

    assert rows == {plain.id: {}, picky.id: {"constraints": {"regions": ["eu"]}}}
