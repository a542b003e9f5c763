"""What the scheduler remembers between rounds, and when it forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView
from marketplace.domain.declines import ObstacleReason
from marketplace.domain.events import FillRefused, LogRef
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, OfferId
from marketplace.domain.policy import Policy
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import PricePerGpuHour, UnixTime
from scheduler.memory import Memory
from tests.unit.engine.markets import BLOCK, DOLLAR, NOW, OPENER, PEOPLE, a_record, a_snapshot, an_offer, an_order
from tests.unit.engine.opened import read_back

ORDER = an_order()
FILL = Fill(ORDER.signed, OfferId(1), PricePerGpuHour(DOLLAR))


def _view(blocks: int = 0, seconds: int = 0, **changes: Any) -> BookView:
    """The market some blocks later."""
    block = BlockRef(BLOCK.number + blocks, BLOCK.hash, UnixTime(NOW + seconds))
    return replace(a_snapshot([ORDER], [an_offer()]).view, block=block, **changes)


def _refusal(offer: int, block: BlockRef = BLOCK) -> FillRefused:
    ref = LogRef(block, Bytes32("0x" + "00" * 32), 0)
    return FillRefused(ref, ORDER.id, OfferId(offer), OPENER, Refusal.NotEnoughGpus)


@pytest.mark.parametrize(("blocks", "is_posted"), [(0, True), (1, True), (2, False), (3, False)])
def test_our_fills_are_remembered_until_the_projection_has_passed_their_block(blocks: int, is_posted: bool) -> None:
    """From then on the projection shows what became of them, also where they have left the chain."""
    memory = Memory(Policy())
    memory.note_opened(FILL, BLOCK.number + 2)
    memory.learn(_view(blocks))

    assert memory.posted == ((FILL,) if is_posted else ())


def test_a_refusal_counts_at_once_and_only_once() -> None:
    """Before the projection shows it, and together with what the projection shows."""
    memory = Memory(Policy())
    memory.note_refused(_refusal(1))
    memory.note_refused(_refusal(1))
    memory.note_refused(_refusal(2))
    once = memory.over(_view()).refused[ORDER.id]

    assert [row.offer for row in once] == [1, 2]
    assert memory.over(_view(refused={ORDER.id: once})).refused[ORDER.id] == once


@pytest.mark.parametrize(("blocks", "is_known"), [(4, True), (5, False)])
def test_a_refusal_is_forgotten_after_its_cooldown(blocks: int, is_known: bool) -> None:
    """Five blocks by default."""
    memory = Memory(Policy())
    memory.note_refused(_refusal(1))
    memory.learn(_view(blocks))

    assert (ORDER.id in memory.over(_view(blocks)).refused) is is_known


def test_declines_add_up_while_the_order_is_off_the_book() -> None:
    """Declined by one, served and declined by another: neither is asked again for ten minutes."""
    memory = Memory(Policy())
    first = a_record(ORDER, provider=PEOPLE[0], exit_event="LeaseDeclined", opened_at=UnixTime(NOW - 9))
    second = replace(first, provider=PEOPLE[1], lease=replace(first.lease, opened_at=UnixTime(NOW + 3)))
    memory.learn(_view(leases={ORDER.id: first}))
    memory.learn(_view(1, 2, orders=()))
    memory.learn(_view(2, 4, leases={ORDER.id: second}))

    assert memory.declined == {ORDER.id: {PEOPLE[0]: NOW - 9, PEOPLE[1]: NOW + 3}}
    memory.learn(_view(9, 595))
    assert memory.declined == {ORDER.id: {PEOPLE[1]: NOW + 3}}


def _declined(opened_at: int) -> BookView:
    record = a_record(ORDER, provider=PEOPLE[0], exit_event="LeaseDeclined", opened_at=UnixTime(opened_at))
    return _view(leases={ORDER.id: record})


@pytest.mark.parametrize(
    ("reason", "rests"),
    [
        (None, True),
        (ObstacleReason.NOT_ENOUGH_MEMORY, True),
        (ObstacleReason.SPEC_NOT_DELIVERED, False),
        (ObstacleReason.INPUT_NOT_DELIVERED, False),
    ],
)
def test_only_reasons_about_the_pair_let_it_rest(reason: ObstacleReason | None, rests: bool) -> None:
    """What a gateway did not deliver says nothing about order and provider; a decline that nobody explains does."""
    memory, view = Memory(Policy()), _declined(NOW - 9)
    memory.learn(view, lambda words: dict.fromkeys(words, reason) if reason else {})
    snapshot = replace(a_snapshot([ORDER], [an_offer()]), view=view, declined=memory.declined, excused=memory.excused)

    assert bool(snapshot.declines_of(ORDER)) is rests
    assert read_back(snapshot).excused == memory.excused


def test_a_pair_is_excused_once() -> None:
    """What is not delivered a second time, either, rests: or an order without inputs would go round for ever, at others' gas."""
    memory = Memory(Policy())

    def never_delivered(words: Any) -> Any:
        return dict.fromkeys(words, ObstacleReason.INPUT_NOT_DELIVERED)

    memory.learn(_declined(NOW - 9), never_delivered)
    assert (memory.declined, memory.excused) == ({}, {ORDER.id: {PEOPLE[0]: NOW - 9}})
    memory.learn(_declined(NOW - 2), never_delivered)

    assert (memory.declined, memory.excused) == ({ORDER.id: {PEOPLE[0]: NOW - 2}}, {})
