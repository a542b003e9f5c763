"""Audits of rounds against a real chain and a real gateway: an honest round passes, and every lie is caught by the check that is about it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.domain.book import BookOrder, Faults, RefusedFill
from marketplace.domain.budgets import Budget
from marketplace.domain.events import LeaseOpened
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_BYTES32, Bytes32, OfferId
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.spec import Constraints, Resources
from marketplace.domain.units import PricePerGpuHour, TokenUnits, UnixTime
from scheduler.audit import word
from scheduler.audit.files import save_documents
from scheduler.audit.findings import Check, Finding, Verdict
from scheduler.audit.history import History
from scheduler.audit.replayed import Documents
from scheduler.audit.round import reader_of
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.service import ROUND_BATCHES
from tests.integration.companies import make_company, with_finance
from tests.integration.scheduler.floor import ARBITER, CLIENT, DOLLAR, OPENER, PROVIDERS, SPEC, Floor
from tests.integration.scheduler.rounds import (
    Auditor,
    altered,
    bourse_audit,
    gateway_over,
    held,
    posted,
    snapshot_of,
    warned,
    with_view,
    written_down,
)

NOBODY = Bytes32("0x" + "ab" * 32)


@pytest.fixture
def auditor(floor: Floor) -> Iterator[Auditor]:
    """Two offers, two orders that can be served and one that asks too much, all indexed."""
    spec = SPEC.canonical()
    floor.blobs.put(spec, SPEC.sha256, len(spec))
    floor.list(gpus=1)
    floor.list(PROVIDERS[1], price=3 * DOLLAR // 2)
    floor.order(max_price=3 * DOLLAR)
    floor.order()
    floor.order(max_price=DOLLAR // 2)
    floor.pass_time(5)
    floor.mine()
    floor.index()
    with gateway_over(floor) as api:
        yield Auditor(floor, api)


# Honest rounds --------------------------------------------------------------------------------------------------------


def test_an_honest_round_holds(floor: Floor, auditor: Auditor) -> None:
    """The scheduler's own round: every check is ok, but what rests on the operator's word alone."""
    floor.scheduler().step()
    (batch,) = floor.batches()
    report = auditor.audits(batch.round)

    verdicts = {finding.check: finding.verdict for finding in report.findings}
    assert verdicts.pop(Check.HEARTBEATS) is Verdict.UNCHECKED
    assert set(verdicts.values()) == {Verdict.OK}, report.findings
    assert set(verdicts) == set(Check) - {Check.HEARTBEATS}


def test_rounds_of_a_market_with_a_past_hold(floor: Floor, auditor: Auditor) -> None:
    """Refusals, declines, reputations, fills that the view does not show yet: all of it is found on the chain. They share pages."""
    service = floor.scheduler(batch_fills=1)
    service.step()
    declined = floor.journal.order(next(event.lease for event in floor.events() if isinstance(event, LeaseOpened)))
    assert declined
    floor.send(PROVIDERS[0], verbs.decline(floor.market.address, declined.signed.order))
    floor.list(PROVIDERS[2], gpus=16)
    floor.pass_time(5)
    floor.mine()
    floor.index()
    floor.send(CLIENT, verbs.withdraw(floor.market.address, CLIENT.address, floor.free(CLIENT)))
    service.step()
    floor.fund(CLIENT, 500 * DOLLAR)
    for _ in range(ROUND_BATCHES + 2):
        floor.order()
    floor.pass_time(5)
    floor.mine(6)
    floor.index()
    service.step()
    service.step()

    seen = list[Snapshot]()
    for one in dict.fromkeys(batch.round for batch in floor.batches()):
        assert auditor.audits(one).failed == ()
        documents = auditor.fetch(one)
        seen.append(documents.reader.read(documents.snapshot or b""))
    assert any(one.posted for one in seen)
    assert any(one.declined for one in seen)
    assert any(one.view.refused and one.view.faults for one in seen)
    assert any(one.view.reputations for one in seen)
    listed = Counter(page for one in seen for page in one.pages)
    assert max(listed.values()) > 1


def test_a_company_without_its_owners_past_is_a_lie(floor: Floor, auditor: Auditor) -> None:
    """The auditor hears from the factory whose company it is: a round that shows its owner's reputation holds, a clean sheet fails it (S-7)."""
    owner = PROVIDERS[2]
    floor.book = with_finance(floor.chain, floor.market, floor.book, ARBITER.address)
    floor.projector = floor.new_projector()
    bad = floor.order(max_price=3 * DOLLAR)
    posted(floor, [Fill(bad, floor.list(owner).id, PricePerGpuHour(DOLLAR))], NOBODY)
    floor.send(owner, verbs.decline(floor.market.address, bad.order))
    company = make_company(floor.market, owner.address, operator=owner, by=owner)
    floor.send(owner, verbs.withdraw(floor.market.address, owner.address, TokenUnits(20 * DOLLAR)))
    floor.send(owner, verbs.approve(floor.terms.token, floor.market.address, TokenUnits(20 * DOLLAR)))
    floor.send(owner, verbs.deposit(floor.market.address, company, TokenUnits(20 * DOLLAR)))
    floor.list(owner, through=company)
    floor.board.beat(company, floor.now)
    floor.pass_time(5)
    floor.mine()
    floor.index()
    true = snapshot_of(floor)
    of_company = true.view.reputations[company]
    _, name = held(floor, true)
    clean = with_view(true, reputations={who: row for who, row in true.view.reputations.items() if who != company})

    assert of_company.tallies[Outcome.DECLINED].count == 1
    assert of_company == true.view.reputations[owner.address]
    assert auditor.audits(name).failed == ()
    written = written_down(floor, clean, clear(clean).canonical())
    assert Check.REPUTATIONS in auditor.audits(written).failed


def test_a_delegates_budget_is_the_chains(floor: Floor, auditor: Auditor) -> None:
    """Its round holds; a round that makes the budget larger, or hides who signed, does not."""
    delegate = PROVIDERS[2]
    budget = verbs.authorize(floor.market.address, delegate.address, TokenUnits(5 * DOLLAR), UnixTime(2**40 - 1))
    floor.send(CLIENT, budget)
    floor.order(by=delegate, max_price=3 * DOLLAR)
    floor.pass_time(5)
    floor.mine()
    floor.index()
    snapshot = snapshot_of(floor)
    plan = clear(snapshot)
    generous = with_view(
        snapshot, budgets={pair: Budget(TokenUnits(9**9), UnixTime(2**40)) for pair in snapshot.view.budgets}
    )
    hiding = with_view(snapshot, orders=tuple(replace(order, delegate=None) for order in snapshot.view.orders))
    names = [written_down(floor, one, clear(one).canonical()) for one in (snapshot, generous, hiding)]
    mark = floor.chain.rpc("evm_snapshot")
    failed = list[tuple[Check, ...]]()
    for name in names:
        floor.chain.rpc("evm_revert", mark)
        floor.senders.clear()
        mark = floor.chain.rpc("evm_snapshot")
        posted(floor, plan.fills, name)
        failed.append(auditor.audits(name).failed)

    assert len(snapshot.view.budgets) == 1
    assert failed == [(), (Check.BUDGETS,), (Check.OPENINGS,)]


def test_a_round_replays_on_another_machine_from_files(floor: Floor, auditor: Auditor, tmp_path: Path) -> None:
    """Another process, other hash seeds, a node and the address book: no gateway, no Redis, no key."""
    floor.scheduler().step()
    (batch,) = floor.batches()
    save_documents(auditor.fetch(batch.round), tmp_path)
    floor.book.write(tmp_path / "book.json")

    for seed in ("1", "2"):
        words = [batch.round, "--plan", "plan.json", "--snapshot", "snapshot.json", "--json"]
        answer = json.loads(bourse_audit(floor, tmp_path, words, PYTHONHASHSEED=seed).stdout)
        verdicts = {row["check"]: row["verdict"] for row in answer["findings"]}
        assert answer["holds"] is True
        assert {verdicts[name] for name in ("plan", "snapshot", "replay", "openings", "offers", "accounts")} == {"ok"}
        assert verdicts["specs"] == verdicts["book"] == "not checked"
    next((tmp_path / "pages").iterdir()).unlink()
    answer = json.loads(bourse_audit(floor, tmp_path, words).stdout)
    assert answer["failed"] == ["snapshot"]
    assert "there is no page" in answer["findings"][1]["words"][0]


def test_the_command_line_tells_what_does_not_hold(floor: Floor, auditor: Auditor, tmp_path: Path) -> None:
    """A table for people, a document for machines, exit code 5; and the documents to take away."""
    snapshot = snapshot_of(floor)
    _, lie = held(floor, with_view(snapshot, offers=snapshot.view.offers[1:]))
    floor.book.write(tmp_path / "book.json")

    told = bourse_audit(floor, tmp_path, [lie, "--save", "kept"], BOURSE_GATEWAY_URL=auditor.api.base_url)
    document = bourse_audit(floor, tmp_path, [lie, "--json"], BOURSE_GATEWAY_URL=auditor.api.base_url)
    assert (told.returncode, document.returncode) == (5, 5)
    assert "FAILED" in told.stdout
    assert "is kept back: 1 GPUs free at 1.00" in told.stdout
    answer = json.loads(document.stdout)
    assert (answer["holds"], answer["reason"], answer["failed"]) == (False, "AuditFailed", ["offers"])
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == ["pages", "plan.json", "snapshot.json"]
    listed = json.loads((tmp_path / "kept" / "snapshot.json").read_bytes())["pages"]
    assert [file.name for file in (tmp_path / "kept" / "pages").iterdir()] == [page["sha256"] for page in listed]
    books = bourse_audit(floor, tmp_path, ["--json"])
    assert (books.returncode, json.loads(books.stdout)["isBalanced"]) == (0, True)


def test_the_last_rounds_are_audited_one_by_one(floor: Floor, auditor: Auditor, tmp_path: Path) -> None:
    """An honest one, one that hides an offer, one under no round and one that nobody shows; a stranger's is not the scheduler's."""
    snapshot = snapshot_of(floor)
    _, honest = held(floor, snapshot)
    floor.list(PROVIDERS[2])
    for _ in range(4):
        floor.order()
    floor.index()
    later = snapshot_of(floor)
    fills = clear(later).fills
    lying = with_view(later, offers=later.view.offers[1:])
    lie = written_down(floor, lying, clear(lying).canonical())
    posted(floor, clear(lying).fills[:1], lie)
    for fill, name in ((fills[1], ZERO_BYTES32), (fills[2], NOBODY)):
        posted(floor, [fill], name)
    posted(floor, [fills[3]], NOBODY, by=CLIENT)
    floor.book.write(tmp_path / "book.json")

    told = bourse_audit(floor, tmp_path, ["--last", "10", "--json"], BOURSE_GATEWAY_URL=auditor.api.base_url)
    assert told.returncode == 5
    assert [(row["round"], row["holds"], row["failed"]) for row in json.loads(told.stdout)] == [
        (NOBODY, False, ["plan", "snapshot", "batches"]), (ZERO_BYTES32, False, ["no round"]), (lie, False, ["offers"]),
        (honest, True, []),
    ]  # fmt: skip


# A chain that was reorganised ----------------------------------------------------------------------------------------


def test_a_round_whose_block_a_reorganisation_took_away_is_no_lie(
    floor: Floor, auditor: Auditor, tmp_path: Path
) -> None:
    """The same batch is mined again, no later than the lost snapshot's block: a warning in every answer, and no failure."""
    floor.scheduler().step()
    (batch,) = floor.batches()
    raw = floor.chain.rpc("eth_getRawTransactionByHash", batch.ref.tx_hash)
    floor.chain.rpc("anvil_reorg", 2, [[raw, 0]])
    report = auditor.audits(batch.round)
    floor.book.write(tmp_path / "book.json")
    told = bourse_audit(floor, tmp_path, ["--last", "5", "--json"], BOURSE_GATEWAY_URL=auditor.api.base_url)

    assert floor.batches()[0].ref.block.number < batch.ref.block.number
    assert report.holds, report.findings
    assert report.is_unproven
    assert "has left the chain by a reorganisation" in report.of(Check.BLOCK).words[0]
    assert told.returncode == 0
    assert [(row["holds"], row["unproven"]) for row in json.loads(told.stdout)] == [(True, True)]


def test_who_makes_a_block_up_is_told_of_and_caught_at_all_else(floor: Floor, auditor: Auditor) -> None:
    """An offer that is kept back behind such a block is a warning that names it; another order than the plan's is caught as ever."""
    snapshot = snapshot_of(floor)
    lost = with_view(snapshot, block=replace(snapshot.view.block, hash=NOBODY), offers=snapshot.view.offers[1:])
    plan = clear(lost)
    name = written_down(floor, lost, plan.canonical())
    posted(floor, [fill._replace(price=fill.price + 1) for fill in plan.fills], name)
    report = auditor.audits(name)

    assert {Check.BLOCK, Check.OFFERS} <= warned(report)
    assert "is kept back" in report.of(Check.OFFERS).words[1]
    assert report.failed == (Check.OPENINGS,)


# Lies in the plan -----------------------------------------------------------------------------------------------------


def test_a_plan_with_another_price_is_caught_by_its_replay(floor: Floor, auditor: Auditor) -> None:
    """Within both sides' limits, so that the contract takes it, and dearer than the clearing price."""
    snapshot = snapshot_of(floor)
    plan = clear(snapshot)
    dear = plan.fills[0].signed.order.max_price
    lie = altered(plan.canonical(), lambda document: document["placements"][0].update(price=str(dear)))
    name = written_down(floor, snapshot, lie)
    posted(floor, [plan.fills[0]._replace(price=dear), *plan.fills[1:]], name)
    report = auditor.audits(name)

    assert report.failed == (Check.REPLAY,)
    assert report.of(Check.REPLAY).words == (
        f"order {plan.fills[0].signed.id}: the plan says offer 1 at 3.00, the engine offer 1 at 1.50",
    )


def test_a_plan_that_leaves_an_order_out_is_caught_by_its_replay(floor: Floor, auditor: Auditor) -> None:
    """The order is in the snapshot and could be served."""
    snapshot = snapshot_of(floor)
    plan = clear(snapshot)
    lie = altered(plan.canonical(), lambda document: document["placements"].pop())
    name = written_down(floor, snapshot, lie)
    posted(floor, plan.fills[:-1], name)
    report = auditor.audits(name)

    assert report.failed == (Check.REPLAY,)
    assert (
        f"order {plan.fills[-1].signed.id}: the plan says no place, the engine offer 2"
        in report.of(Check.REPLAY).words[0]
    )


def test_altered_bytes_are_not_the_round(floor: Floor, auditor: Auditor) -> None:
    """Whoever alters a document on its way is caught by its name; so is a snapshot of another round."""
    snapshot = snapshot_of(floor)
    plan, name = held(floor, snapshot)
    reader = reader_of(auditor.api)
    other = altered(plan.canonical(), lambda document: document.update(opener=CLIENT.address))
    later = with_view(snapshot, heartbeats={})

    assert Check.PLAN in auditor.audits(name, Documents(other, snapshot.canonical(), reader)).failed
    assert Check.SNAPSHOT in auditor.audits(name, Documents(plan.canonical(), later.canonical(), reader)).failed
    assert Check.SNAPSHOT in auditor.audits(name, Documents(plan.canonical(), b"{}", reader)).failed
    assert Check.PLAN in auditor.audits(name, Documents(b"\xff", snapshot.canonical(), reader)).failed


def test_a_round_that_nobody_shows_does_not_hold(floor: Floor, auditor: Auditor) -> None:
    """Neither one that was never posted, nor one that was posted and not written down, nor one without its snapshot."""
    snapshot = snapshot_of(floor)
    plan = clear(snapshot)
    posted(floor, plan.fills, NOBODY)
    never, hidden = auditor.audits(Bytes32("0x" + "cd" * 32)), auditor.audits(NOBODY)
    floor.journal.add_round(plan.round, plan.canonical(), snapshot.view.block.number)
    without = auditor.audits(plan.round)

    assert never.failed == hidden.failed == (Check.PLAN, Check.SNAPSHOT, Check.BATCHES)
    assert "no batch with this round either" in never.of(Check.BATCHES).words[0]
    assert f"{OPENER.address} opened 2 leases" in hidden.of(Check.BATCHES).words[1]
    assert without.failed == (Check.SNAPSHOT, Check.BATCHES)


# Lies in what was posted ----------------------------------------------------------------------------------------------


def test_a_fill_that_is_not_in_the_plan_is_caught_on_the_chain(floor: Floor, auditor: Auditor) -> None:
    """An order that the plan leaves waiting, a pair that it has otherwise, a price that it does not say."""
    snapshot = snapshot_of(floor)
    first, extra = sorted(snapshot.view.orders, key=lambda order: -order.signed.order.max_price)[:2]
    honest = with_view(snapshot, orders=(first,))
    plan = clear(honest)
    name = written_down(floor, honest, plan.canonical())
    posted(
        floor,
        [
            plan.fills[0]._replace(price=plan.fills[0].price + 1),
            Fill(extra.signed, OfferId(2), extra.signed.order.max_price),
        ],
        name,
    )
    report = auditor.audits(name)

    assert report.failed == (Check.OPENINGS, Check.BOOK)
    assert report.of(Check.OPENINGS).words == (
        f"order {plan.fills[0].signed.id}: offer 1 at {DOLLAR + 1} was posted, the plan has offer 1 at {DOLLAR}",
        f"order {extra.id} was posted on offer 2 and is not in the plan",
    )


def test_fills_out_of_their_turn_are_caught_on_the_chain(floor: Floor, auditor: Auditor) -> None:
    """Who comes first gets the last GPU: the plan says who that is."""
    snapshot = snapshot_of(floor)
    plan = clear(snapshot)
    name = written_down(floor, snapshot, plan.canonical())
    posted(floor, plan.fills[::-1], name)

    assert auditor.audits(name).failed == (Check.OPENINGS,)
    assert "out of its turn" in auditor.audits(name).of(Check.OPENINGS).words[0]


def test_placements_that_were_not_posted_are_told(floor: Floor, auditor: Auditor) -> None:
    """A scheduler may have stopped half-way: a warning that names who was skipped."""
    snapshot = snapshot_of(floor)
    plan = clear(snapshot)
    name = written_down(floor, snapshot, plan.canonical())
    posted(floor, plan.fills[:1], name)
    report = auditor.audits(name)

    assert report.holds
    assert Check.OPENINGS in warned(report)
    assert plan.fills[1].signed.id in report.of(Check.OPENINGS).words[0]


def test_a_strangers_batch_under_the_same_round_does_not_frame_the_scheduler(floor: Floor, auditor: Auditor) -> None:
    """Anyone may write any word beside its own fills: only the opener that the plan names speaks for it."""
    _, name = held(floor, snapshot_of(floor))
    own = floor.order(opener=CLIENT.address, by=CLIENT)
    posted(floor, [Fill(own, OfferId(2), own.order.max_price)], name, by=CLIENT)
    report = auditor.audits(name)

    assert report.holds
    assert warned(report) == {Check.BATCHES}


# Lies in the snapshot -------------------------------------------------------------------------------------------------

Lie = Callable[[Snapshot], Snapshot]
POOR = Budget(TokenUnits(0), UnixTime(0))


def _first(snapshot: Snapshot, **order: object) -> Snapshot:
    """The first order with other fields."""
    entry, *rest = snapshot.view.orders
    signed = replace(entry.signed, order=replace(entry.signed.order, **order))  # type: ignore[arg-type]
    return with_view(snapshot, orders=(replace(entry, signed=signed), *rest))


def _came_last(snapshot: Snapshot) -> Snapshot:
    """The order that asks too much has not waited."""
    cheap = min(snapshot.view.orders, key=lambda order: order.signed.order.max_price)
    late = replace(cheap, accepted_at=snapshot.now.timestamp)
    return with_view(snapshot, orders=tuple(late if order is cheap else order for order in snapshot.view.orders))


def _first_spec(snapshot: Snapshot, **spec: object) -> Snapshot:
    entry, *rest = snapshot.view.orders
    changed = replace(entry, spec=replace(entry.spec, **spec))  # type: ignore[arg-type]
    return with_view(snapshot, orders=(changed, *rest))


def _offer(snapshot: Snapshot, **offer: object) -> Snapshot:
    first, *rest = snapshot.view.offers
    return with_view(snapshot, offers=(replace(first, **offer), *rest))  # type: ignore[arg-type]


def _glory(who: str) -> dict[str, Reputation]:
    return {who: Reputation(UnixTime(1), {Outcome.SETTLED: Tally(1, 10**15)}, 10**15)}


LIES: dict[str, tuple[Check, Lie]] = {
    "an offer is hidden": (Check.OFFERS, lambda one: with_view(one, offers=one.view.offers[1:])),
    "an offer is invented": (
        Check.OFFERS,
        lambda one: with_view(one, offers=(*one.view.offers, replace(one.view.offers[0], id=OfferId(77)))),
    ),
    "an offer asks more": (Check.OFFERS, lambda one: _offer(one, price=DOLLAR * 2)),
    "an offer has less free": (Check.OFFERS, lambda one: _offer(one, free=0)),
    "a client is richer": (
        Check.ACCOUNTS,
        lambda one: with_view(one, accounts={**one.view.accounts, CLIENT.address: TokenUnits(999 * DOLLAR)}),
    ),
    "a provider is poor": (
        Check.ACCOUNTS,
        lambda one: with_view(
            one, accounts={who: units for who, units in one.view.accounts.items() if who != PROVIDERS[0].address}
        ),
    ),
    "an order was never declined": (Check.LEASES, lambda one: with_view(one, leases={})),
    "a client is said to have sent a delegate": (
        Check.BUDGETS,
        lambda one: with_view(
            one, orders=tuple(replace(order, delegate=PROVIDERS[0].address) for order in one.view.orders)
        ),
    ),
    "an order pays more": (Check.ORDERS, lambda one: _first(one, max_price=9 * DOLLAR)),
    "an order names another opener": (Check.ORDERS, lambda one: _first(one, opener=CLIENT.address)),
    "an order came first": (
        Check.SPECS,
        lambda one: with_view(one, orders=(replace(one.view.orders[0], accepted_at=UnixTime(1)), *one.view.orders[1:])),
    ),
    "an order that stays out came last": (Check.SPECS, lambda one: _came_last(one)),
    "a job needs another region": (
        Check.SPECS,
        lambda one: _first_spec(one, constraints=Constraints(regions=("mars",))),
    ),
    "a job needs more memory": (Check.SPECS, lambda one: _first_spec(one, resources=Resources(memory_mib=2**20))),
    "a provider is glorious": (
        Check.REPUTATIONS,
        lambda one: with_view(one, reputations=_glory(PROVIDERS[1].address)),
    ),
    "a fill of ours was posted": (
        Check.MEMORY,
        lambda one: replace(one, posted=(Fill(one.view.orders[0].signed, OfferId(1), one.view.offers[0].price),)),
    ),
    "a pair was refused": (
        Check.MEMORY,
        lambda one: with_view(
            one,
            refused={one.view.orders[0].id: (RefusedFill(OfferId(1), Refusal.NotEnoughGpus, one.view.block.number),)},
        ),
    ),
    "an order was declined": (
        Check.MEMORY,
        lambda one: replace(one, declined={one.view.orders[0].id: {PROVIDERS[0].address: one.view.block.timestamp}}),
    ),
    "a client spoils its fills": (
        Check.MEMORY,
        lambda one: with_view(one, faults={CLIENT.address: Faults(5, one.view.block.number)}),
    ),
    "a class has more memory": (
        Check.CLASSES,
        lambda one: replace(one, classes=(replace(one.classes[0], vram_mib=2**20), *one.classes[1:])),
    ),
    "a machine has more memory": (
        Check.MACHINES,
        lambda one: with_view(
            one, machines={name: replace(row, vram_mib=2**20) for name, row in one.view.machines.items()}
        ),
    ),
    "the bond floor is another": (
        Check.MARKET,
        lambda one: replace(one, terms=replace(one.terms, bond_floor=TokenUnits(0))),
    ),
    "the block is of the future": (
        Check.BLOCK,
        lambda one: with_view(one, block=replace(one.view.block, number=one.view.block.number + 1_000)),
    ),
    "a block that is said to be gone is later than its batch": (
        Check.BLOCK,
        lambda one: with_view(
            one, block=replace(one.view.block, hash=NOBODY, timestamp=UnixTime(one.now.timestamp + 600))
        ),
    ),
    "a provider was heard tomorrow": (
        Check.HEARTBEATS,
        lambda one: with_view(one, heartbeats={PROVIDERS[0].address: UnixTime(one.now.timestamp + 86_400)}),
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_in_a_snapshot_is_caught_by_the_check_that_is_about_it(floor: Floor, auditor: Auditor, name: str) -> None:
    """The plan follows from the false snapshot and is posted as it is: only the chain, or a hash, shows the lie."""
    check, lie = LIES[name]
    if check is Check.LEASES:
        _decline_the_first(floor)
    snapshot = lie(snapshot_of(floor))
    plan = clear(snapshot)
    round_hash = written_down(floor, snapshot, plan.canonical())
    posted(floor, plan.fills, round_hash)
    report = auditor.audits(round_hash)

    assert check in report.failed, report.findings
    assert not {Check.PLAN, Check.SNAPSHOT, Check.REPLAY} & set(report.failed)
    assert set(report.failed) - {check} <= (
        {Check.BATCHES, Check.OPENINGS} | ({Check.MARKET} if check is Check.BLOCK else set())
    )


def _decline_the_first(floor: Floor) -> None:
    """The first order was opened, and declined by its provider: it waits again, and should not go back there."""
    floor.scheduler().step()
    opened = floor.journal.order(next(event.lease for event in floor.events() if isinstance(event, LeaseOpened)))
    assert opened
    floor.send(PROVIDERS[0], verbs.decline(floor.market.address, opened.signed.order))
    floor.mine()
    floor.index()


def test_an_order_that_is_kept_out_fails_the_round(floor: Floor, auditor: Auditor) -> None:
    """Accepted before the snapshot's block, still waiting or opened since, as the gateway says; just before it, it may have been on its way."""
    snapshot = snapshot_of(floor)
    dropped = snapshot.view.orders[0]
    _, name = held(floor, with_view(snapshot, orders=snapshot.view.orders[1:]))
    report = auditor.audits(name)
    floor.index()
    floor.scheduler().step()
    later = auditor.audits(name)

    for found in (report, later):
        assert found.failed == (Check.BOOK,)
        assert dropped.id in found.of(Check.BOOK).words[0]
    late = word.check_book(
        _at_block_time(with_view(snapshot, orders=()), dropped.accepted_at + 4),
        History(0, floor.terms.bond_floor),
        None,
        _known(dropped, snapshot),
    )
    assert late.verdict is Verdict.WARNING


def test_an_order_that_a_later_round_or_ones_own_journal_knows_is_missed_without_a_gateway(
    floor: Floor, auditor: Auditor
) -> None:
    """A later round has it: it waited. Of an earlier one, or of one's own, it may have been withdrawn, which is a warning; expired, it is none."""
    snapshot = snapshot_of(floor)
    dropped, kept = snapshot.view.orders[0], snapshot.view.orders[1:]
    short, history = with_view(snapshot, orders=kept), History(0, floor.terms.bond_floor)
    number = snapshot.view.block.number
    later, earlier = (with_view(snapshot, block=replace(snapshot.view.block, number=number + more)) for more in (1, -1))
    own = word.KnownElsewhere([word.OwnOrder(dropped.signed, dropped.accepted_at)])

    def verdict(known: word.KnownElsewhere, seen: Snapshot = short) -> Verdict:
        return word.check_book(seen, history, None, known).verdict

    assert verdict(word.KnownElsewhere(neighbours=[later])) is Verdict.FAILED
    assert verdict(word.KnownElsewhere(neighbours=[earlier])) is verdict(own) is Verdict.WARNING
    assert verdict(word.KnownElsewhere(neighbours=[later]), snapshot) is verdict(own, snapshot) is Verdict.UNCHECKED
    over = _at_block_time(short, dropped.signed.order.expires_at)
    assert verdict(word.KnownElsewhere(neighbours=[later]), over) is Verdict.UNCHECKED


def test_an_order_that_was_withdrawn_at_the_gateway_is_missed_by_nobody(floor: Floor, auditor: Auditor) -> None:
    """Withdrawn before the round's block, it was kept out by its client: who asks for it as one's own is told so. Withdrawn later, it had waited."""
    snapshot, history = snapshot_of(floor), History(0, floor.terms.bond_floor)
    _, gone, late = sorted(snapshot.view.orders, key=attrgetter("signed.order.max_price"))
    own, own_late = (word.KnownElsewhere([word.OwnOrder(one.signed, one.accepted_at)]) for one in (gone, late))
    stays, left = (
        with_view(snapshot, orders=tuple(one for one in snapshot.view.orders if one != missed))
        for missed in (gone, late)
    )
    floor.journal.withdraw_order(gone.id, snapshot.now.timestamp)
    floor.journal.withdraw_order(late.id, UnixTime(snapshot.now.timestamp + 1))

    def found(seen: Snapshot, known: word.KnownElsewhere, past: History = history) -> Finding:
        return word.check_book(seen, past, word.Gateway(auditor.api), known)

    posted(floor, clear(snapshot).fills, NOBODY)
    opened = [event for event in floor.events() if isinstance(event, LeaseOpened) and event.lease == gone.id]

    assert opened
    assert found(stays, word.KnownElsewhere(), replace(history, opened=opened)).verdict is Verdict.OK
    assert found(stays, own).verdict is Verdict.WARNING
    assert "withdrawn at" in found(stays, own).words[0]
    assert found(left, own_late).verdict is Verdict.FAILED


def _at_block_time(snapshot: Snapshot, at: int) -> Snapshot:
    return replace(with_view(snapshot, block=replace(snapshot.view.block, timestamp=UnixTime(at))), head=None)


def _known(order: BookOrder, snapshot: Snapshot) -> word.KnownElsewhere:
    """A later round that has it, of a snapshot that does not."""
    later = with_view(
        snapshot, orders=(order,), block=replace(snapshot.view.block, number=snapshot.view.block.number + 1)
    )
    return word.KnownElsewhere(neighbours=[later])
