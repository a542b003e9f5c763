"""Floods: rounds under them end, and say what they took."""

from __future__ import annotations

import re

import pytest

from scheduler.engine.clear import clear
from scripts.bench import flood_words as f
from scripts.bench.floods import FLOODS, MACHINES, NODES, main


def test_every_flood_is_measured_and_has_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A small one is printed only."""
    assert main(["--scale", "100"]) == 0

    told = [line.partition(" s  ") for line in capsys.readouterr().out.splitlines()]
    assert [words for _, _, words in told] == list(f.FLOODS.values())
    assert all(re.fullmatch(r" +\d+\.\d\d", seconds) for seconds, _, _ in told)
    assert FLOODS.keys() == f.FLOODS.keys()


@pytest.mark.parametrize("name", FLOODS)
def test_a_round_under_a_flood_still_places_orders(name: str) -> None:
    """Orders that are not part of it, or those of it that fit; nobody can be placed with a provider who has no money."""
    assert bool(clear(FLOODS[name](1_000, 100)).fills) == (name != "penniless")


def test_no_provider_can_take_a_group_of_the_flood() -> None:
    """Each has machines for all nodes, but only one for its two large ones."""
    view = FLOODS["groups"](1_000, 100).view
    nodes = [order for order in view.orders if order.spec.group]
    first = [order.signed.order.gpus for order in nodes[:NODES]]

    assert nodes
    assert sorted(first) == [1] * (NODES - 2) + [8] * 2
    assert sorted(offer.free for offer in view.offers[:MACHINES]) == [4] * (MACHINES - 1) + [8]
    assert {offer.provider for offer in view.offers[:MACHINES]} == {view.offers[0].provider}
