"""The plan against what was posted under its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marketplace.domain.events import FillRefused, LeaseOpened
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.ledger import Rows
from marketplace.domain.units import PricePerGpuHour
from scheduler.audit.findings import Check, Finding, Verdict, found
from scheduler.audit.history import Batch, History
from scheduler.engine.documents.reading import PostedPlan
from scheduler.engine.documents.snapshot import Snapshot


def check_posting(
    round_hash: Bytes32, plan: PostedPlan, snapshot: Snapshot | None, history: History, *, is_block_gone: bool = False
) -> list[Finding]:
    """Whether batches with this round are there, and hold what the plan says and nothing else.

    ``is_block_gone``: a reorganisation took the snapshot's block away, so that what came before it on this chain proves nothing.
    """
    named = [batch for batch in history.batches if batch.opened.round == round_hash]
    ours = history.batches_of(round_hash, plan.opener)
    uncharged = [*_uncharged(ours, snapshot, history.rows)]
    return [_batches(named, ours, plan, is_block_gone), _openings(ours, plan, uncharged, is_block_gone)]


def check_posting_without_plan(round_hash: Bytes32, history: History) -> Finding:
    """What stands on the chain under a round that nobody shows."""
    named = [batch for batch in history.batches if batch.opened.round == round_hash]
    if not named:
        return Finding(Check.BATCHES, Verdict.FAILED, ("the chain has no batch with this round either",))
    told = tuple(f"{batch.opened.opener} opened {batch.opened.opened} leases in {_where(batch)}" for batch in named)
    return Finding(Check.BATCHES, Verdict.FAILED, ("posted, and not shown to anybody:", *told))


def _where(batch: Batch) -> str:
    return f"block {batch.opened.ref.block.number}"


def _batches(named: Sequence[Batch], ours: Sequence[Batch], plan: PostedPlan, is_block_gone: bool) -> Finding:
    """A stranger may write any round beside its own fills: that says nothing about the scheduler."""
    strangers = [
        f"{batch.opened.opener}, who is not the plan's opener, posted under this round, too, in {_where(batch)}"
        for batch in named
        if batch.opened.opener != plan.opener
    ]
    faults = [] if ours else ["no batch with this round is on the chain: it was never posted, or is not mined yet"]
    early = [
        f"posted in {_where(batch)}, which is not after the snapshot's block {plan.block.number}"
        for batch in ours
        if batch.opened.ref.block.number <= plan.block.number
    ]
    opened = sum(batch.opened.opened for batch in ours)
    late = ours[-1].opened.ref.block.number - plan.block.number if ours else 0
    words = f"{len(ours)} by {plan.opener}: {opened} leases opened, the last {late} blocks after the snapshot"
    if is_block_gone:
        return found(Check.BATCHES, faults, words, doubts=[*strangers, *early])
    return found(Check.BATCHES, [*faults, *early], words, doubts=strangers)


def _openings(ours: Sequence[Batch], plan: PostedPlan, uncharged: Sequence[str], is_block_gone: bool) -> Finding:
    if not ours:
        return Finding(Check.OPENINGS, Verdict.UNCHECKED, ("nothing was posted",))
    fills = [fill for batch in ours for fill in batch.fills]
    faults = [*_outside(ours, plan), *_out_of_turn(ours, plan), *([] if is_block_gone else uncharged)]
    posted = {_order_of(fill) for fill in fills}
    skipped = [row.order for row in plan.placements if row.order not in posted]
    doubts = (
        [f"{len(skipped)} of {len(plan.placements)} placements were not posted, first {skipped[0]}"] if skipped else []
    )
    doubts += uncharged if is_block_gone else []
    refused = sum(not isinstance(fill, LeaseOpened) for fill in fills)
    words = f"all {len(fills)} fills are placements of the plan, one after the other; {refused} were refused"
    return found(Check.OPENINGS, faults, words, doubts=doubts)


def _order_of(fill: LeaseOpened | FillRefused) -> Bytes32:
    return fill.lease if isinstance(fill, LeaseOpened) else fill.order


def _outside(ours: Sequence[Batch], plan: PostedPlan) -> Iterator[str]:
    """Fills that the plan does not have, or has at another offer or price. A refused fill does not say its price."""
    placed = {row.order: row for row in plan.placements}
    for batch in ours:
        for fill in batch.fills:
            order, row = _order_of(fill), placed.get(_order_of(fill))
            price = fill.price if isinstance(fill, LeaseOpened) else None
            if row is None:
                yield f"order {order} was posted on offer {fill.offer} and is not in the plan"
            elif row.offer != fill.offer or price not in (None, row.price):
                yield f"order {order}: {_pair(fill.offer, price)} was posted, the plan has {_pair(row.offer, row.price)}"


def _pair(offer: OfferId, price: PricePerGpuHour | None) -> str:
    return f"offer {offer}" if price is None else f"offer {offer} at {price}"


def _out_of_turn(ours: Sequence[Batch], plan: PostedPlan) -> Iterator[str]:
    """The plan's order decides who gets the last GPU and the last coin when something changed in between."""
    turns = {row.order: turn for turn, row in enumerate(plan.placements)}
    last = -1
    for batch in ours:
        for fill in batch.fills:
            turn = turns.get(_order_of(fill), last + 1)
            if turn <= last:
                yield f"order {_order_of(fill)} was posted out of its turn, in {_where(batch)}"
            last = max(last, turn)


def _uncharged(ours: Sequence[Batch], snapshot: Snapshot | None, rows: Rows) -> Iterator[str]:
    """Orders whose delegate the snapshot does not name, though its client had given it a budget by then."""
    if snapshot is None:
        return
    named: dict[Bytes32, Address | None] = {order.id: order.delegate for order in snapshot.view.orders}
    for charge in (charge for batch in ours for charge in batch.charged):
        was_known = (charge.account, charge.delegate) in rows.budgets
        if was_known and charge.order in named and named[charge.order] != charge.delegate:
            yield f"order {charge.order} was signed by the delegate {charge.delegate}, which the snapshot does not say"
