"""What a scheduler says that it remembers, and the view cannot show: each row must have happened.

What it forgot is no fault: a scheduler that was started again knows less, and all that follows is that the contract refuses a fill.
"""

from __future__ import annotations

from collections.abc import Iterator

from marketplace.domain.events import FillRefused
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.refusals import CLIENT_FAULTS
from scheduler.audit.findings import Check, Finding, found
from scheduler.audit.history import History
from scheduler.engine.documents.snapshot import Snapshot


def check_memory(snapshot: Snapshot, history: History) -> Finding:
    """Its own fills that the view does not show yet, refusals, declines, and clients' faults."""
    faults = [
        *_posted(snapshot, history), *_refused(snapshot, history), *_declined(snapshot, history), *_faults(snapshot, history),
    ]  # fmt: skip
    refusals = sum(map(len, snapshot.view.refused.values()))
    words = f"{len(snapshot.posted)} fills, {refusals} refusals, {len(snapshot.declined)} declines, {len(snapshot.view.faults)} clients' faults"
    return found(
        Check.MEMORY, faults, f"it remembers {words}; all of them happened", doubts=[*_forgotten(snapshot, history)]
    )


def _posted(snapshot: Snapshot, history: History) -> Iterator[str]:
    """They count as done: GPUs and money that nobody else gets."""
    since, until = snapshot.view.block.number, snapshot.now.number
    true = {
        (event.lease, event.offer, event.price)
        for event in history.opened
        if event.opener == snapshot.opener and since < event.ref.block.number <= until
    }
    for fill in snapshot.posted:
        if (fill.signed.id, fill.offer, fill.price) not in true:
            yield f"order {fill.signed.id} was not opened on offer {fill.offer} in the blocks {since + 1} to {until}"


def _own_refusals(snapshot: Snapshot, history: History) -> list[FillRefused]:
    until = snapshot.now.number
    return [event for event in history.refused if event.opener == snapshot.opener and event.ref.block.number <= until]


def _refused(snapshot: Snapshot, history: History) -> Iterator[str]:
    true = {
        (event.order, event.offer, event.reason, event.ref.block.number) for event in _own_refusals(snapshot, history)
    }
    for order, rows in sorted(snapshot.view.refused.items()):
        for row in rows:
            if (order, row.offer, row.reason, row.block_number) not in true:
                yield f"order {order} was not refused on offer {row.offer} in block {row.block_number} ({row.reason.name})"


def _forgotten(snapshot: Snapshot, history: History) -> Iterator[str]:
    """Recent refusals as of the view's block that the snapshot does not have."""
    known = {(order, row.offer) for order, rows in snapshot.view.refused.items() for row in rows}
    on_book = {order.id for order in snapshot.view.orders}
    oldest = snapshot.now.number - snapshot.policy.refusal_cooldown_blocks
    for event in _own_refusals(snapshot, history):
        number = event.ref.block.number
        is_due = oldest < number <= snapshot.view.block.number and event.order in on_book
        if is_due and (event.order, event.offer) not in known:
            yield f"order {event.order} was refused on offer {event.offer} in block {number}, which it forgot"


def _declined(snapshot: Snapshot, history: History) -> Iterator[str]:
    for order, providers in sorted(snapshot.declined.items()):
        for provider, at in sorted(providers.items()):
            if (order, provider, at) not in history.declined:
                yield f"{provider} never declined order {order} after an opening at {at}"


def _faults(snapshot: Snapshot, history: History) -> Iterator[str]:
    """A client is served last for so many spoilt fills: there must be as many refusals. Whose a refused order is that was never opened and
    is not on the book the chain does not say: those may be anybody's."""
    clients: dict[Bytes32, Address] = {one: event.order.client for one, event in history.last_opened.items()}
    clients |= {order.id: order.signed.order.client for order in snapshot.view.orders}
    spoilt = [
        event
        for event in _own_refusals(snapshot, history)
        if event.reason in CLIENT_FAULTS and event.ref.block.number <= snapshot.view.block.number
    ]
    for client, row in sorted(snapshot.view.faults.items()):
        possible = [event for event in spoilt if clients.get(event.order, client) == client]
        if row.count > len(possible) or row.block_number not in {event.ref.block.number for event in possible}:
            yield f"client {client} did not spoil {row.count} fills, the last in block {row.block_number}"
