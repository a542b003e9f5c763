"""Clients whose fills keep failing by their own fault: served when nobody else wants it, until it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.domain.book import FAULTS_KEPT_BLOCKS, Faults
from marketplace.domain.fills import Fill
from marketplace.domain.spec import Group, JobSpec
from marketplace.domain.units import TokenUnits
from scheduler.engine.clear import clear
from tests.unit.engine.markets import BLOCK, DOLLAR, PEOPLE, a_snapshot, an_offer, an_order
from tests.works import WORK

STRUCK = PEOPLE[4]
THREE = {STRUCK: Faults(3, BLOCK.number)}


def _fills(*orders: Any, free: int = 1, **market: Any) -> list[Fill]:
    return list(clear(a_snapshot(orders, [an_offer(free=free)], **market)).fills)


@pytest.mark.parametrize(
    ("faults", "is_first"),
    [
        (Faults(3, BLOCK.number), False),
        (Faults(9, BLOCK.number - FAULTS_KEPT_BLOCKS + 1), False),
        (Faults(9, BLOCK.number - FAULTS_KEPT_BLOCKS), True),
        (Faults(2, BLOCK.number), True),
    ],
)
def test_a_struck_client_waits_for_the_others_until_it_is_forgotten(faults: Faults, is_first: bool) -> None:
    """However high its limit; after a thousand blocks it is a client like the others."""
    struck, other = an_order("struck", client=STRUCK, max_price=9 * DOLLAR), an_order("other")
    fills = _fills(struck, other, faults={STRUCK: faults})

    assert [fill.signed.id for fill in fills] == [struck.id if is_first else other.id]


def test_a_struck_client_takes_what_is_left_and_moves_no_price() -> None:
    """Two GPUs, one other order: both are served at the ask. With one GPU the struck order's nine dollars are nobody's price."""
    struck, other = an_order("struck", client=STRUCK, max_price=9 * DOLLAR), an_order("other")

    for free, served in ((2, {struck.id, other.id}), (1, {other.id})):
        fills = _fills(struck, other, free=free, faults=THREE)
        assert {fill.signed.id: fill.price for fill in fills} == dict.fromkeys(served, DOLLAR)


def test_a_struck_client_is_told() -> None:
    """With the reason why its high limit did not help."""
    struck, other = an_order("struck", client=STRUCK, max_price=9 * DOLLAR), an_order("other")
    plan = clear(a_snapshot([struck, other], [an_offer(free=1)], faults=THREE))

    assert "served last" in plan.explanation(struck.id).nearest_miss


def test_the_last_bond_of_a_provider_is_not_for_a_struck_client() -> None:
    """Money is counted in the order in which orders are served: there are GPUs for both, and a bond for one."""
    struck, other = an_order("struck", client=STRUCK, max_price=9 * DOLLAR), an_order("other")
    accounts = {
        STRUCK: TokenUnits(99 * DOLLAR),
        PEOPLE[-1]: TokenUnits(99 * DOLLAR),
        PEOPLE[0]: TokenUnits(DOLLAR // 10),
    }
    fills = _fills(struck, other, free=4, faults=THREE, accounts=accounts)

    assert [fill.signed.id for fill in fills] == [other.id]


def test_a_group_of_a_struck_client_waits_too() -> None:
    """Groups are placed before the auction, but not those of a struck client; where there is room it is served whole."""
    linked = [
        an_order(
            f"node {rank}",
            client=STRUCK,
            gpus=4,
            max_price=9 * DOLLAR,
            spec=JobSpec(WORK, group=Group("ab" * 32, 2, rank)),
        )
        for rank in range(2)
    ]
    other, offers = an_order("other"), [an_offer(1), an_offer(2)]

    assert [fill.signed.id for fill in clear(a_snapshot([*linked, other], offers, faults=THREE)).fills] == [other.id]
    assert len(clear(a_snapshot(linked, offers, faults=THREE)).fills) == 2
