"""Which plan the next round goes on from: the last one, if anyone can find it, and not for ever."""

from __future__ import annotations

from scheduler.engine.former import Former
from scheduler.engine.plan import Plan

ROUNDS_GOING_ON = 100
"""One round in so many, at least, begins from nothing. So an auditor who follows rounds back comes to such a one after a bounded way, and
what a plan owes to the seats of earlier ones and not to the market is bounded, too. It adds a hundredth of a full round to each."""


class Lineage:
    """Facts in, a plan out. Lost at a restart, which is harmless: the next round begins from nothing."""

    def __init__(self, most_rounds: int = ROUNDS_GOING_ON) -> None:
        self._most_rounds = most_rounds
        self._former: Former | None = None
        self._rounds = 0
        """From the last round that began from nothing to the one that was posted last, both counted."""

    @property
    def former(self) -> Former | None:
        """What the next round goes on from; None: it begins from nothing."""
        return self._former if self._rounds < self._most_rounds else None

    def note_planned(self, plan: Plan) -> None:
        """A plan is about to be posted. Until some of it is mined its hash is on no chain, and no other round may go on from it. One without
        fills is never posted: then the plan before it still tells best where orders sit."""
        if plan.fills:
            self._former = None

    def note_mined(self, plan: Plan) -> None:
        """A batch of this plan is on the chain. Later rounds are sent by the same account, so that they are mined after it."""
        if self._former is None or self._former.plan != plan.sha256:
            self._rounds = self._rounds + 1 if plan.source.former else 1
            self._former = plan.former()
