"""Rounds that go on from the seats of the one before, on a real chain: which they go on from, and what an audit asks of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.api.client.gateway import MAX_BLOB_BYTES
from marketplace.domain.chain_errors import ChainError, TransactionNotMined
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, OfferId, Sha256, sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from scheduler.audit.findings import Check, Verdict
from scheduler.audit.round import fetch_documents
from scheduler.engine.clear import clear
from scheduler.engine.former import Former
from scheduler.engine.reading import former_of, read_snapshot
from scheduler.service import ROUND_BATCHES
from tests.integration.scheduler.floor import CLIENT, DOLLAR, PROVIDERS, SPEC, Floor
from tests.integration.scheduler.rounds import (
    Auditor,
    altered,
    bourse_audit,
    gateway_over,
    held,
    posted,
    snapshot_of,
    warned,
    written_down,
)

NOBODY = Bytes32("0x" + "ab" * 32)


@pytest.fixture
def auditor(floor: Floor) -> Iterator[Auditor]:
    """Two offers of four GPUs each; nobody has ordered anything yet."""
    spec = SPEC.canonical()
    floor.blobs.put(spec, SPEC.sha256, len(spec))
    floor.list()
    floor.list(PROVIDERS[1], price=3 * DOLLAR // 2)
    with gateway_over(floor) as api:
        yield Auditor(floor, api)


def _one_more(floor: Floor) -> SignedOrder:
    """An order comes in, and everybody knows."""
    order = floor.order(max_price=3 * DOLLAR)
    floor.pass_time(5)
    floor.mine()
    floor.index()
    return order


def _former_of(floor: Floor, round_hash: Bytes32) -> Bytes32 | None:
    """The round from which this one went on, by its documents."""
    kept = floor.journal.round(round_hash)
    assert kept
    snapshot = floor.blobs.read(Sha256(json.loads(kept.content)["snapshot"]), MAX_BLOB_BYTES)
    name = json.loads(snapshot)["former"]
    return Bytes32("0x" + name) if name else None


# The scheduler --------------------------------------------------------------------------------------------------------


def test_a_round_goes_on_from_the_one_before_and_begins_from_nothing_after_a_restart(floor: Floor) -> None:
    """Rounds that place nobody are not posted, and passed over."""
    floor.list()
    service = floor.scheduler()
    for _ in range(3):
        _one_more(floor)
        service.step()
        floor.mine()
        floor.index()
        service.step()
    _one_more(floor)
    floor.scheduler().step()
    first, second, third, restarted = (batch.round for batch in floor.batches())

    assert [_former_of(floor, one) for one in (first, second, third, restarted)] == [None, first, second, None]


def test_a_round_whose_batch_was_waited_for_is_gone_on_from(floor: Floor, auditor: Auditor) -> None:
    """It is mined while the next step waits for it. What it opened is remembered as of that block, which the snapshot knows."""
    service = floor.scheduler(wait_seconds=3)
    floor.chain.rpc("evm_setAutomine", False)
    floor.order(max_price=3 * DOLLAR)
    floor.index()
    with pytest.raises(TransactionNotMined):
        service.step()
    floor.order(max_price=3 * DOLLAR)
    floor.index()
    floor.chain.rpc("evm_setIntervalMining", 1)
    service.step()
    floor.chain.rpc("evm_setIntervalMining", 0)
    first, second = (batch.round for batch in floor.batches())

    assert _former_of(floor, second) == first
    assert auditor.audits(second).failed == ()


def test_a_round_that_never_was_on_the_chain_is_not_gone_on_from(floor: Floor) -> None:
    """Its batch does not fit into a block: the next round begins from nothing."""
    floor.list(gpus=8)
    service = floor.scheduler()
    _one_more(floor)
    service.step()
    for _ in range(7):
        _one_more(floor)
    floor.set_block_gas_limit(280_000)
    with pytest.raises(ChainError):
        service.step()
    service.step()
    first, after = dict.fromkeys(batch.round for batch in floor.batches())

    assert first != after
    assert _former_of(floor, after) is None


def test_what_was_placed_and_not_posted_has_a_seat_to_go_on_from(floor: Floor, auditor: Auditor) -> None:
    """More fills than a round's batches take: who is left over sits in the former plan and on the book, and is opened by the next round."""
    floor.list(gpus=16)
    orders = [floor.order(max_price=3 * DOLLAR) for _ in range(ROUND_BATCHES + 2)]
    floor.pass_time(5)
    floor.mine()
    floor.index()
    service = floor.scheduler(batch_fills=1)
    for _ in range(2):
        service.step()
        floor.index()
    first, second = dict.fromkeys(batch.round for batch in floor.batches())
    documents = fetch_documents(auditor.api, second)
    snapshot = read_snapshot(documents.snapshot or b"", documents.former)

    assert snapshot.former
    seated = set(snapshot.former.orders.tolist())
    assert seated == {int(order.id[2:18], 16) for order in orders}
    assert sum(int(order.id[2:18], 16) in seated for order in snapshot.view.orders) >= 2
    assert all(floor.lease(order).status is LeaseStatus.OPEN for order in orders)
    assert [auditor.audits(one).failed for one in (first, second)] == [(), ()]


# Its audit ------------------------------------------------------------------------------------------------------------


def _second_round(floor: Floor) -> Bytes32:
    """Posted by a scheduler that had posted one before."""
    service = floor.scheduler()
    for _ in range(2):
        _one_more(floor)
        service.step()
    return floor.batches()[-1].round


def _going_on_from(floor: Floor, former: Former | None) -> Bytes32:
    """A round of one order by hand, posted, that says that it goes on from this plan."""
    _one_more(floor)
    _, name = held(floor, replace(snapshot_of(floor), former=former))
    return name


def test_a_round_that_goes_on_is_replayed_and_says_from_which(floor: Floor, auditor: Auditor) -> None:
    """Bit for bit, with the former plan's document; that round has an audit of its own."""
    name = _second_round(floor)
    report = auditor.audits(name)
    first = floor.batches()[0].round

    verdicts = {finding.check: finding.verdict for finding in report.findings}
    assert verdicts.pop(Check.HEARTBEATS) is Verdict.UNCHECKED
    assert set(verdicts.values()) == {Verdict.OK}, report.findings
    assert report.former == first
    assert report.of(Check.FORMER).words == (
        f"this round goes on from another; audit that one too: bourse audit {first}",
    )
    assert auditor.audits(first).former is None
    assert auditor.audits(first).of(Check.FORMER).words == ("this round begins from nothing",)


def test_a_former_plan_that_was_never_posted_is_caught(floor: Floor, auditor: Auditor) -> None:
    """Its document is there, its hash is right and the round replays: but nobody was ever given these seats."""
    _one_more(floor)
    made_up = clear(snapshot_of(floor))
    written_down(floor, made_up.source, made_up.canonical())
    report = auditor.audits(_going_on_from(floor, made_up.former()))

    assert report.failed == (Check.FORMER,)
    assert report.of(Check.REPLAY).verdict is Verdict.OK
    assert "was never posted" in report.of(Check.FORMER).words[0]


def test_a_former_plan_that_a_stranger_posted_is_caught(floor: Floor, auditor: Auditor) -> None:
    """Anyone may write any word beside its own fills: that does not make it this scheduler's round."""
    own = floor.order(opener=CLIENT.address, by=CLIENT)
    _one_more(floor)
    plan = clear(snapshot_of(floor))
    name = written_down(floor, plan.source, plan.canonical())
    posted(floor, [Fill(own, OfferId(2), own.order.max_price)], name, by=CLIENT)
    report = auditor.audits(_going_on_from(floor, plan.former()))

    assert report.failed == (Check.FORMER,)
    assert "was never posted" in report.of(Check.FORMER).words[0]


def test_a_former_plan_that_was_posted_later_is_caught(floor: Floor, auditor: Auditor) -> None:
    """Made up first, and put on the chain after the round that began from it."""
    _one_more(floor)
    later = clear(snapshot_of(floor))
    written_down(floor, later.source, later.canonical())
    name = _going_on_from(floor, later.former())
    posted(floor, later.fills, later.round)
    report = auditor.audits(name)

    assert report.failed == (Check.FORMER,)
    assert "was posted after it" in report.of(Check.FORMER).words[0]


def test_a_former_plan_that_is_not_the_last_one_is_told(floor: Floor, auditor: Auditor) -> None:
    """Who may choose among its rounds chooses whose seats count: a warning that names the one that was passed over."""
    second, first = _second_round(floor), floor.batches()[0].round
    kept = floor.journal.round(first)
    assert kept
    report = auditor.audits(_going_on_from(floor, former_of(kept.content)))

    assert report.holds
    assert Check.FORMER in warned(report)
    assert report.of(Check.FORMER).words[0].endswith(f"was not the last before it: that was {second}")


FOREIGN: dict[str, Callable[[dict[str, Any]], object]] = {
    "chain_id": lambda plan: plan.update(chainId=1),
    "market": lambda plan: plan.update(market=CLIENT.address),
    "opener": lambda plan: plan.update(opener=CLIENT.address),
    "the former plan is of block": lambda plan: plan["block"].update(number=plan["block"]["number"] + 1_000),
}


@pytest.mark.parametrize("words", FOREIGN)
def test_a_former_plan_from_elsewhere_is_caught(floor: Floor, auditor: Auditor, words: str) -> None:
    """Of another chain, market or opener, or of a block to come, though its hash was posted."""
    _one_more(floor)
    plan = clear(snapshot_of(floor))
    foreign = altered(plan.canonical(), FOREIGN[words])
    posted(floor, plan.fills, written_down(floor, plan.source, foreign))
    report = auditor.audits(_going_on_from(floor, former_of(foreign)))

    assert report.failed == (Check.FORMER,)
    assert words in report.of(Check.FORMER).words[0]


def test_other_bytes_than_the_former_plans_are_caught(floor: Floor, auditor: Auditor) -> None:
    """Handed over as files: another plan, or what is none. The rest is audited all the same; replayed it cannot be."""
    documents = fetch_documents(auditor.api, _second_round(floor))
    assert documents.former
    name = floor.batches()[-1].round
    for other in (altered(documents.former, lambda plan: plan["placements"].clear()), documents.plan, b"\xff"):
        report = auditor.audits(name, replace(documents, former=other))

        assert report.failed == (Check.FORMER,)
        assert report.of(Check.REPLAY).verdict is Verdict.UNCHECKED
        assert f"should hash to {sha256_in(floor.batches()[0].round)}" in report.of(Check.FORMER).words[0]
        assert report.of(Check.OFFERS).verdict is Verdict.OK


def test_a_former_plan_that_cannot_be_read_is_caught(floor: Floor, auditor: Auditor) -> None:
    """Posted under its right hash, it still has to be a plan."""
    _one_more(floor)
    nonsense = b'{"version":2}'
    name = written_down(floor, snapshot_of(floor), nonsense)
    posted(floor, clear(snapshot_of(floor)).fills, name)
    report = auditor.audits(_going_on_from(floor, Former.unseen(sha256_in(name))))

    assert report.failed == (Check.FORMER,)
    assert report.of(Check.FORMER).words[0].endswith("plan.chainId: is missing")


def test_a_former_plan_that_nobody_shows_is_told(floor: Floor, auditor: Auditor) -> None:
    """The gateway does not have it: the round cannot be replayed, and does not hold."""
    report = auditor.audits(_going_on_from(floor, Former.unseen(sha256_in(NOBODY))))

    assert report.failed == (Check.FORMER,)
    assert report.of(Check.REPLAY).verdict is Verdict.UNCHECKED
    assert f"there is no plan {sha256_in(NOBODY)} to go on from" in report.of(Check.FORMER).words[0]


def test_a_round_that_goes_on_replays_on_another_machine_from_three_files(
    floor: Floor, auditor: Auditor, tmp_path: Path
) -> None:
    """``--save`` keeps the former plan beside the round's own documents; without it the audit says what is missing."""
    name, first = _second_round(floor), floor.batches()[0].round
    floor.book.write(tmp_path / "book.json")
    bourse_audit(floor, tmp_path, [name, "--save", "kept"], BOURSE_GATEWAY_URL=auditor.api.base_url)
    files = [name, "--plan", "kept/plan.json", "--snapshot", "kept/snapshot.json"]
    whole = bourse_audit(floor, tmp_path, [*files, "--former", "kept/former.json", "--json"])
    lacking = bourse_audit(floor, tmp_path, files)
    alone = bourse_audit(floor, tmp_path, [name, "--former", "kept/former.json"])

    assert (whole.returncode, lacking.returncode, alone.returncode) == (0, 5, 2)
    answer = json.loads(whole.stdout)
    assert (answer["holds"], answer["goesOnFrom"]) == (True, first)
    assert {row["check"]: row["verdict"] for row in answer["findings"]}["replay"] == "ok"
    assert "--former takes its file" in " ".join(lacking.stdout.split())
    assert "goes with --plan and --snapshot" in alone.stderr


def test_the_last_rounds_hold_each_on_the_one_before(floor: Floor, auditor: Auditor, tmp_path: Path) -> None:
    """The whole line, back to the round that began from nothing."""
    _second_round(floor)
    floor.book.write(tmp_path / "book.json")
    told = bourse_audit(floor, tmp_path, ["--last", "9", "--json"], BOURSE_GATEWAY_URL=auditor.api.base_url)

    first, second = (batch.round for batch in floor.batches())
    assert told.returncode == 0
    rows = json.loads(told.stdout)
    assert [(row["round"], row["goesOnFrom"], row["holds"]) for row in rows] == [
        (second, first, True),
        (first, None, True),
    ]
