"""The constants that a market is born with, and keeps: the rules for them, and two sets that were thought about.

``docs/how-to/deployment.md`` has the table with the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.domain.errors import InvalidField
from marketplace.domain.units import Seconds, TokenUnits, units_from_text

LOCAL_CHAINS: Final = frozenset({31337, 1337})
"""Chain ids of development chains, where dollars may be made of nothing and windows are too short for people."""

LONGEST_WINDOW: Final = Seconds(365 * 86_400)
"""A year: money that waits longer for somebody's silence to count is not coming back."""
SHORTEST_PUBLIC_WINDOW: Final = Seconds(60)
"""On a public chain a transaction is not always in the next block."""
LARGEST_FLOOR: Final = TokenUnits(2**96 - 1)


@dataclass(frozen=True, slots=True)
class MarketConstants:
    """The windows and the bond floor of one market."""

    start_grace: Seconds
    claim_grace: Seconds
    challenge_window: Seconds
    ruling_window: Seconds
    bond_floor: TokenUnits

    @property
    def windows(self) -> dict[str, Seconds]:
        """All but the bond floor, by name."""
        return {name: getattr(self, name) for name in WINDOWS}


WINDOWS: Final = ("start_grace", "claim_grace", "challenge_window", "ruling_window")

LOCAL_CONSTANTS: Final = MarketConstants(Seconds(5), Seconds(15), Seconds(15), Seconds(30), TokenUnits(100_000))
"""For local chains, where a demonstration must not take days: 5 s, 15 s, 15 s, 30 s, 0.10 of a dollar with 6 decimals."""


class Preset(StrEnum):
    """A set of constants by name."""

    LOCAL = "local"
    L2 = "l2"


@dataclass(frozen=True, slots=True)
class PresetConstants:
    """A set before the token, and so the size of its unit, is known."""

    windows: Mapping[str, Seconds]
    bond_floor: str
    """In whole tokens, a dollar each."""

    def in_units(self, decimals: int) -> MarketConstants:
        """The constants for a token with so many decimals. Raises InvalidField where it is too coarse for the floor."""
        return MarketConstants(
            **self.windows, bond_floor=units_from_text(self.bond_floor, decimals, field="bond_floor")
        )


PRESETS: Final[Mapping[Preset, PresetConstants]] = {
    Preset.LOCAL: PresetConstants(LOCAL_CONSTANTS.windows, "0.10"),
    Preset.L2: PresetConstants(
        {
            "start_grace": Seconds(15 * 60), "claim_grace": Seconds(86_400), "challenge_window": Seconds(86_400),
            "ruling_window": Seconds(7 * 86_400),
        },
        "0.50",
    ),
}  # fmt: skip


def check_constants(constants: MarketConstants, chain_id: int) -> None:
    """Raise InvalidField for the first constant that would make a market in which somebody's money is not safe."""
    least = Seconds(1) if chain_id in LOCAL_CHAINS else SHORTEST_PUBLIC_WINDOW
    for name, seconds in constants.windows.items():
        if not least <= seconds <= LONGEST_WINDOW:
            raise InvalidField(
                name, f"{seconds} s; on chain {chain_id} it must be from {least} s to {LONGEST_WINDOW} s (a year)"
            )
    if constants.start_grace > constants.claim_grace:
        raise InvalidField(
            "start_grace",
            f"{constants.start_grace} s; it must not be longer than claim_grace ({constants.claim_grace} s), or a short lease"
            " reaches its deadline before its client may dispute it",
        )
    if not 1 <= constants.bond_floor <= LARGEST_FLOOR:
        raise InvalidField(
            "bond_floor",
            f"{constants.bond_floor} token units; it must be from 1 to 2^96 - 1: a provider that loses nothing by silence may"
            " well be silent",
        )
