"""The plan that a round goes on from: one of the same scheduler's, posted before. From a made-up one it could seat whom it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import ZERO_BYTES32, Bytes32, bytes32_of
from scheduler.audit.findings import Check, Finding, found
from scheduler.audit.history import History
from scheduler.audit.replayed import Read
from scheduler.engine.reading import PostedPlan
from scheduler.engine.snapshot import Snapshot


def former_round(snapshot: Snapshot | None) -> Bytes32 | None:
    """The round that this one goes on from."""
    return bytes32_of(snapshot.former.plan) if snapshot and snapshot.former else None


def check_former(
    round_hash: Bytes32,
    plan: PostedPlan,
    snapshot: Snapshot,
    read: Read,
    history: History,
    has_left: Callable[[BlockRef], bool],
) -> Finding:
    """Whether the former plan is there, of this market and this scheduler, and was on the chain when this round came to it. That it was
    itself decided by the rules, only its own audit tells. ``has_left``: whether this chain has another block of that number."""
    former = former_round(snapshot)
    if former is None:
        return found(Check.FORMER, [], "this round begins from nothing")
    own = [batch.opened.round for batch in history.batches if batch.opened.opener == plan.opener]
    before = own[: own.index(round_hash)] if round_hash in own else own
    faults = [*read.former_faults, *(_elsewhere(read.former, plan) if read.former else ())]
    if former not in before:
        when = "was posted after it" if former in own else f"was never posted by {plan.opener}: its seats are made up"
        faults.append(f"round {former}, from which this one goes on, {when}")
    later = [*_later(read.former, plan)] if read.former else []
    # A block to come was made up; one that has left the chain may have had any number.
    is_doubtful = read.former is not None and has_left(read.former.block)
    doubts = [*_passed_over(former, before), *(later if is_doubtful else [])]
    words = f"this round goes on from another; audit that one too: bourse audit {former}"
    return found(Check.FORMER, [*faults, *([] if is_doubtful else later)], words, doubts=doubts)


def _elsewhere(former: PostedPlan, plan: PostedPlan) -> Iterator[str]:
    for name in ("chain_id", "market", "opener"):
        if getattr(former, name) != getattr(plan, name):
            yield f"{name}: the former plan says {getattr(former, name)}, this round's {getattr(plan, name)}"


def _later(former: PostedPlan, plan: PostedPlan) -> Iterator[str]:
    """No plan goes on from a later one; but a chain that was reorganised counts some numbers twice."""
    if former.block.number > plan.block.number:
        yield f"the former plan is of block {former.block.number}, this round's of block {plan.block.number}"


def _passed_over(former: Bytes32, before: Sequence[Bytes32]) -> Iterator[str]:
    """Later rounds than the former one. Our scheduler goes on from its last, or begins from nothing: it does not choose whose seats count."""
    named = [one for one in before if one != ZERO_BYTES32]
    if former in named and named[-1] != former:
        yield f"round {former}, from which this one goes on, was not the last before it: that was {named[-1]}"
