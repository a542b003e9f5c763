"""The documents alone: are they what they are called, and does the snapshot lead to the plan?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marketplace.domain.errors import DomainError, GatewayProblem, InvalidField
from marketplace.domain.ids import Bytes32, bytes32_of, sha256_of
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import text_from_units
from scheduler.audit.findings import Check, Finding, Verdict, found, unchecked
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import PlanRow
from scheduler.engine.documents.reading import PostedPlan, SnapshotReader, read_plan
from scheduler.engine.documents.snapshot import Snapshot

UNREADABLE = (DomainError, GatewayProblem)
"""What a snapshot raises that says something else than it should, or whose pages are not to be had."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The bytes that somebody handed us; None where there were none, and why."""

    plan: bytes | None
    snapshot: bytes | None
    reader: SnapshotReader
    """It knows where the snapshot's pages are."""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What could be read of them."""

    plan: PostedPlan | None
    snapshot: Snapshot | None
    findings: tuple[Finding, ...]


def read_documents(round_hash: Bytes32, documents: Documents) -> Read:
    """Check the documents' names, read them, and replay the round."""
    plan, plan_finding = _plan(round_hash, documents)
    snapshot, snapshot_finding = _snapshot(plan, documents)
    if plan is None or snapshot is None or documents.plan is None:
        replay = unchecked("there is no plan and snapshot to replay", Check.REPLAY)[0]
    else:
        replay = _replay(documents.plan, plan, snapshot)
    return Read(plan, snapshot, (plan_finding, snapshot_finding, replay))


def _plan(round_hash: Bytes32, documents: Documents) -> tuple[PostedPlan | None, Finding]:
    if documents.plan is None:
        return None, Finding(Check.PLAN, Verdict.FAILED, (f"there is no plan: {documents.why_not}",))
    faults, plan = list[str](), None
    actual = bytes32_of(sha256_of(documents.plan))
    if actual != round_hash:
        faults.append(f"the plan's bytes hash to {actual}: they are not this round's")
    try:
        plan = read_plan(documents.plan)
    except InvalidField as error:
        faults.append(f"the plan cannot be read: {error}")
    size = f"{len(plan.placements)} placements, {len(documents.plan)} bytes" if plan else ""
    return plan, found(Check.PLAN, faults, f"sha256 of the plan is the round: {size}")


def _snapshot(plan: PostedPlan | None, documents: Documents) -> tuple[Snapshot | None, Finding]:
    if documents.snapshot is None:
        return None, Finding(Check.SNAPSHOT, Verdict.FAILED, (f"there is no snapshot: {documents.why_not}",))
    faults, snapshot = list[str](), None
    actual = sha256_of(documents.snapshot)
    if plan is not None and actual != plan.snapshot:
        faults.append(f"the snapshot's bytes hash to {actual}, the plan was made from {plan.snapshot}")
    try:
        snapshot = documents.reader.read(documents.snapshot)
    except UNREADABLE as error:
        faults.append(f"the snapshot cannot be read: {error}")
    size = f"{len(snapshot.view.orders)} orders, {len(snapshot.view.offers)} offers" if snapshot else ""
    return snapshot, found(Check.SNAPSHOT, faults, f"sha256 of the snapshot is what the plan names: {size}")


def _replay(content: bytes, plan: PostedPlan, snapshot: Snapshot) -> Finding:
    """Clear it again, here."""
    try:
        again = clear(snapshot).canonical()
    except (ArithmeticError, ValueError, LookupError) as exc:
        # Made by hand: no market has such numbers.
        return Finding(Check.REPLAY, Verdict.FAILED, (f"the engine cannot clear this snapshot: {exc!r}",))
    if again == content:
        return found(Check.REPLAY, [], f"cleared again here, the same {len(content)} bytes")
    return found(Check.REPLAY, list(differences(plan, read_plan(again), snapshot.terms)), "")


def differences(plan: PostedPlan, again: PostedPlan, terms: MarketTerms) -> Iterator[str]:
    """What the plan says and what the engine says, in words, order by order."""
    said, engine = ({row.order: row for row in one.placements} for one in (plan, again))
    for order in sorted(said.keys() | engine.keys()):
        if said.get(order) != engine.get(order):
            yield f"order {order}: the plan says {_place(said.get(order), terms)}, the engine {_place(engine.get(order), terms)}"
    if said == engine and [row.order for row in plan.placements] != [row.order for row in again.placements]:
        yield "the placements are the engine's, in another order of posting"
    for name in ("chain_id", "market", "opener", "block", "snapshot"):
        if getattr(plan, name) != getattr(again, name):
            yield f"{name}: the plan says {getattr(plan, name)}, the engine {getattr(again, name)}"
    if plan.prices != again.prices:
        yield f"the plan's {len(plan.prices)} clearing prices are not the engine's {len(again.prices)}"


def _place(row: PlanRow | None, terms: MarketTerms) -> str:
    if row is None:
        return "no place"
    return f"offer {row.offer} at {text_from_units(row.price, terms.token_decimals)}"
