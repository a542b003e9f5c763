"""When the next block is due. Learned from the blocks' timestamps and from when they arrive; pure: who asks brings the time.

How long an interval is, timestamps tell better: what arrivals would say depends on when somebody looked. Whether blocks
come regularly at all, and when within the interval, only arrivals tell: local chains move their timestamps at will.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from statistics import fmean, median
from typing import Final

SHORTEST_PAUSE_SECONDS: Final = 0.05
LONGEST_ON_DEMAND_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 3.0

_STEPS: Final = 32
_JUDGED_STEPS: Final = 8
_STEPS_TO_PACE: Final = 3
_STEPS_TO_TRUST: Final = 5
_SPREAD: Final = 0.25
"""A block that comes earlier or later than usual by no more than this part of an interval is regular."""
_DRIFT: Final = 0.02
"""How much of an interval one block may be early or late and still tell us where the next one falls."""
_QUIET: Final = 0.75
"""The part of an interval in which no block comes after the last one."""
_JUST_NOW: Final = 1 / 20
"""Of an interval: a look is as good as one that was sent so much later. Requests come in crowds when a block does."""
_LATE_LOOKS: Final = (1 / 16, 1 / 8, 1 / 4)
"""When a block that was due is not there: after which parts of an interval to look again; the last one for good."""
_MARGIN_SECONDS: Final = 0.01
_STIRRED_PAUSES: Final = (0.01, 0.03, 0.1, 0.3)
"""After something was sent: when to look again for a block that was made for it. Without this, a chain that makes a block for each
transaction would seem as regular as we look."""
_NEEDLESS: Final = 2
"""So many times in a row without such a block, and none is expected any more."""


@dataclass(frozen=True, slots=True)
class _Step:
    """From one head that was seen to the next, per block between them. Seconds."""

    apart: float
    """By the blocks' timestamps."""
    arrived_apart: float
    unsure: float
    """By how much the arrivals may be wrong: nobody looked meanwhile."""


class Pace:
    """What is known of the rhythm of a chain, and of the newest block's birth: later than ``born_after``, by ``born_before``.

    Times are seconds of one monotonic clock. ``interval`` is None for a chain that makes blocks when it is asked to, and
    until enough blocks have been seen.
    """

    def __init__(self) -> None:
        self.interval: float | None = None
        self.born_after = self.born_before = -inf
        self.number = -1
        self._timestamp = 0
        self._arrived_at = -inf
        self._steps: deque[_Step] = deque(maxlen=_STEPS)
        self._looked_at = -inf
        """When the last look was sent that showed the block that is the newest still."""
        self._looks = 0
        """How many of them there were since it was due."""
        self._stirred_looks = len(_STIRRED_PAUSES)
        """How many there were since something was sent that may make a block at once."""
        self._needless = 0

    @property
    def is_trusted(self) -> bool:
        """Whether blocks have come regularly for long enough to say when none comes."""
        return self.interval is not None and len(self._steps) >= _STEPS_TO_TRUST

    def stir(self, *, by_hand: bool) -> None:
        """Something was sent: a chain may make a block for it. ``by_hand``: and may do so from now on."""
        if by_hand:
            self._needless = 0
        if self._needless < _NEEDLESS:
            self._stirred_looks = 0

    def saw(self, number: int, timestamp: int, sent_at: float, got_at: float) -> None:
        """A look that was sent and answered at these times showed this block as the newest."""
        is_stirred = self._stirred_looks < len(_STIRRED_PAUSES)
        if number == self.number:
            if is_stirred:
                self._stirred_looks += 1
                self._needless += self._stirred_looks == len(_STIRRED_PAUSES)
            self._looks += sent_at >= self._due
            self._looked_at = max(self._looked_at, sent_at)
            return
        if is_stirred:
            self._stirred_looks, self._needless = len(_STIRRED_PAUSES), 0
        passed = number - self.number
        if self.number < 0 or passed < 0:
            self._steps.clear()
            self.born_after, self.born_before, self.interval = -inf, got_at, None
        else:
            self._learn(passed, timestamp, got_at)
        self.number, self._timestamp, self._arrived_at = number, timestamp, got_at
        self._looked_at, self._looks = sent_at, 0

    def _learn(self, passed: int, timestamp: int, got_at: float) -> None:
        """One block or more after the former one: how far apart they are, and when the newest was born."""
        apart, arrived_apart = (timestamp - self._timestamp) / passed, (got_at - self._arrived_at) / passed
        self._steps.append(_Step(apart, arrived_apart, (got_at - self._looked_at) / passed))
        self.interval = self._usual()
        after, before = self._looked_at, got_at
        if self.interval is not None:
            after = max(after, self.born_after + passed * self.interval * (1 - _DRIFT))
            before = min(before, self.born_before + passed * self.interval * (1 + _DRIFT))
        self.born_after, self.born_before = (after, before) if after <= before else (self._looked_at, got_at)

    def _usual(self) -> float | None:
        """The interval, if blocks are regular: most are as far apart as usual, some may be further (a slot was missed), none nearer."""
        steps = list(self._steps)[-_JUDGED_STEPS:]
        if len(steps) < _STEPS_TO_PACE:
            return None
        middle = median(step.apart for step in steps)
        longest = max(1.5 * middle, middle + 1)
        usual = fmean(step.apart for step in self._steps if step.apart <= longest)
        as_usual = [step for step in steps if _is_as_usual(step, usual)]
        is_regular = 4 * len(as_usual) >= 3 * len(steps) and not any(_is_early(step, usual) for step in steps)
        return usual if is_regular and usual >= LONGEST_ON_DEMAND_SECONDS else None

    @property
    def _due(self) -> float:
        """When to look first for the next block: when it must be there, or, where that is too vague, in the middle."""
        if self.interval is None:
            return -inf
        first, last = self.born_after + self.interval, self.born_before + self.interval
        is_vague = last - first > self.interval / 8
        if first == -inf:
            return self._looked_at
        return (first + last) / 2 if is_vague else last + _MARGIN_SECONDS

    def next_look(self) -> float:
        """When to look for the next block."""
        soon = inf
        if self._stirred_looks < len(_STIRRED_PAUSES):
            soon = self._looked_at + _STIRRED_PAUSES[self._stirred_looks]
        if self.interval is None:
            pause = SHORTEST_PAUSE_SECONDS * 1.5 ** min(self._looks, 8)
            return min(soon, self._looked_at + min(LONGEST_ON_DEMAND_SECONDS, pause))
        if self._looked_at < self._due:
            return min(soon, self._due)
        pause = self.interval * _LATE_LOOKS[min(max(self._looks, 1), len(_LATE_LOOKS)) - 1]
        return min(soon, self._looked_at + min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, pause)))

    def is_quiet(self, now: float) -> bool:
        """Whether no block can have come since the newest one, by the rhythm of those before it, or it was looked for just now."""
        if not self.is_trusted or self.interval is None:
            return False
        return now < max(self.born_after + _QUIET * self.interval, self._looked_at + _JUST_NOW * self.interval)


def _is_as_usual(step: _Step, usual: float) -> bool:
    """Timestamps are whole seconds, so they may always be one off; arrivals by as much as nobody looked."""
    is_apart = abs(step.apart - usual) <= max(1.0, _SPREAD * usual)
    return is_apart and abs(step.arrived_apart - usual) <= _SPREAD * usual + step.unsure


def _is_early(step: _Step, usual: float) -> bool:
    """A block came soon after the former one. If nobody looked for long, it was more than one, and not early."""
    return step.arrived_apart < (1 - _SPREAD) * usual - min(step.unsure, _SPREAD * usual)
