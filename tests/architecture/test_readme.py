"""What README shows is what there is. That it is also what commands print, the tutorial's test compares."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from marketplace.devnet_inventories import INVENTORIES
from marketplace.domain.pricing import earned_rounded_down, locked_rounded_up
from marketplace.domain.units import PricePerGpuHour, Seconds, text_from_units, units_from_text

README = (Path(__file__).parents[2] / "README.md").read_text()
DECIMALS = 6


def test_the_picture_adds_up() -> None:
    """P-03: what the pictured job locks, pays and gets back follows from its price, its limit and its seconds."""
    price = PricePerGpuHour(units_from_text("0.29", DECIMALS, field="price"))
    locked, paid = locked_rounded_up(price, 1, Seconds(60)), earned_rounded_down(price, 1, Seconds(5))

    for words, units in (("locks {}", locked), ("-- {} and the bond", paid), ("-- {} back", locked - paid)):
        assert words.format(text_from_units(units, DECIMALS)) in README


def test_the_offers_are_those_of_a_development_network() -> None:
    """Each offer that `bourse devnet up` has its providers list is a row of the table."""
    offers = [
        offer for text in INVENTORIES.values() for offer in tomllib.loads(text.replace("{arbiter}", "0x"))["offer"]
    ]
    rows = re.findall(r"^\d +(\S+) +\d of (\d) +(\S+) tUSD +(\d+) %", README, re.MULTILINE)

    assert sorted(rows) == sorted((o["gpu"], str(o["count"]), o["price"], str(o["bond_bps"] // 100)) for o in offers)
