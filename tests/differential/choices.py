"""The choices of a walk: who, when, which lease, and how good a signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.differential.model import MarketModel
from tests.differential.serving import Serving
from tests.differential.shapes import (
    Fill,
    Signature,
    Status,
)

LEAP = 160
"""Further than this the walk rarely jumps for the sake of one lease: all the others would be over."""
FAR = 2**40 - 1
PLENTY = 10**13
WORDS = tuple("0x" + byte * 32 for byte in ("a1", "b2", "c3", "d4"))


@dataclass
class Choices:
    model: MarketModel
    random: Random
    people: Sequence[str]
    """Whoever acts: keys, and the EIP-1271 wallets of some of them."""
    now: int
    last: int = 0
    """The second of the block before."""
    keys: list[str] = field(default_factory=list)
    fills: dict[str, Fill] = field(default_factory=dict)
    """The last good-looking fill of each order, to be posted again."""
    is_time_fixed: bool = False
    salt: int = 0

    def __post_init__(self) -> None:
        self.last = self.now
        self.keys = [who for who in self.people if who not in self.model.wallets]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def person(self) -> str:
        return self.random.choice(self.people)

    def mostly(self, right: str, share: float = 0.9) -> str:
        """Mostly who should, now and then anybody."""
        return right if self.chance(share) and right in self.people else self.person()

    def aim(self, opens: int, ends: int | None = None) -> None:
        """Let the block be in this half-open interval, mostly at one of its edges; now and then just outside."""
        some, ends = self.random, opens + 10 if ends is None else ends
        inside = some.randint(min(opens, ends - 1), max(opens, ends - 1))
        target = some.choices([opens, ends - 1, inside, opens - 1, ends], [4, 3, 6, 1, 1])[0]
        leap = LEAP if self.chance(0.97) else 5_000
        if not self.is_time_fixed and self.last < target <= self.last + leap:
            self.now = target

    def serving(self, *statuses: Status) -> Serving | None:
        """Mostly one in these states, and mostly one whose time is not over; now and then any."""
        known = list(self.model.servings.values())
        fitting = [each for each in known if each.lease.status in statuses]
        timely = [each for each in fitting if each.lease.status is not Status.OPEN or self.last + 1 < each.deadline]
        fitting = timely if timely or self.chance(0.9) else fitting
        if self.chance(0.06) and known:
            return self.random.choice(known)
        return self.random.choice(fitting) if fitting else None

    def signature(self, who: str, message: Any, off: float = 0.0) -> Signature:
        """Of a key, or of a wallet in any form that its contract takes; with a chance of ``off``, one that is worth nothing."""
        wallet, some = self.model.wallets.get(who), self.random
        signer = wallet.owner if wallet else who
        good = Signature(signer, message, some.choice(["plain", "plain", "long", "high_s"]) if wallet else "plain")
        if not self.chance(off):
            return good
        faults = [replace(good, form=form) for form in ("long", "short", "odd_v", "high_s", "empty")]
        return some.choice([*faults, replace(good, signer=some.choice(self.keys))])
