"""Which way the agent goes while it runs: by its operator's commands, by signals, and by its inventory's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import structlog

from marketplace.provider.inventory import Inventory
from marketplace.provider.inventory_file import InventoryFile
from marketplace.provider.listing import Wanted
from marketplace.store.journal.wishes import AgentStanding, Wishes, WishTable

_log = structlog.get_logger()

GRACE_SECONDS = 60.0
"""How long jobs may go on after a signal."""
HAND_BACK_SECONDS = 30.0
"""How long after that their outputs, receipts and claims may take."""


class Leaving(Protocol):
    """What asks an agent to leave, and is told when it has (``daemon.GentleStop``)."""

    @property
    def is_asked(self) -> bool:
        """Whether a signal has asked."""

    @property
    def has_hangup(self) -> bool:
        """Whether there is a SIGHUP to take."""

    def take_hangup(self) -> bool: ...

    def leave(self, reason: str = "") -> None: ...


class _NobodyAsks:
    """For an agent whose steps somebody else makes."""

    is_asked = has_hangup = False

    def take_hangup(self) -> bool:
        return False

    def leave(self, reason: str = "") -> None:
        del reason


@dataclass(frozen=True, slots=True)
class Graces:
    """Seconds of this machine's clock: whoever waits for the process to end (systemd, a supervisor) counts those."""

    grace_seconds: float = GRACE_SECONDS
    hand_back_seconds: float = HAND_BACK_SECONDS


class Steering:
    """Everything that may be asked of an agent while it runs.

    .look()             once a step; whether the offers have to be brought in line
    .wanted             what is to be on offer
    .is_leaving         nothing new is begun; when nothing is left, the process ends
    .must_hand_back     a signal's grace is over: what still runs is stopped, metered and delivered
    .is_overdue         even that took too long
    """

    def __init__(
        self,
        desk: WishTable,
        inventory: Inventory,
        *,
        file: InventoryFile | None = None,
        leaving: Leaving | None = None,
        graces: Graces | None = None,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        """``file``: where the inventory is read again from; ``elapsed``: seconds that pass evenly."""
        self._desk, self._inventory, self.file = desk, inventory, file
        self._leaving: Leaving = leaving or _NobodyAsks()
        self._graces, self._elapsed = graces or Graces(), elapsed
        self._asked_at: float | None = None
        self.wishes = Wishes()
        self.number = 0
        """Grows whenever ``wanted`` may be another."""

    def look(self) -> bool:
        """Take in what has been asked since; whether ``wanted`` may be another. Raises StoreUnavailable."""
        before = self.wanted
        wishes = self._desk.wishes()
        if wishes != self.wishes:
            _log.info("agent.steered", standing=wishes.standing, prices=len(wishes.prices), wish=wishes.number)
        is_another = wishes.number != self.wishes.number
        self.wishes = wishes
        if self._asked_at is None and self._leaving.is_asked:
            self._asked_at = self._elapsed()
            _log.info("agent.leaving", grace_seconds=self._graces.grace_seconds)
        if self.file and self.file.look(is_asked=self._leaving.take_hangup()):
            self._inventory = self.file.inventory
        is_another = is_another or self.wanted != before
        self.number += is_another
        return is_another

    @property
    def has_news(self) -> bool:
        """Whether a signal has come that ``look`` has not taken in."""
        return self._leaving.has_hangup or (self._leaving.is_asked and self._asked_at is None)

    @property
    def wanted(self) -> Wanted:
        is_open = self.wishes.standing is AgentStanding.OPEN and self._asked_at is None
        return Wanted(self._inventory, is_open, dict(self.wishes.prices))

    @property
    def is_leaving(self) -> bool:
        return self._asked_at is not None or self.wishes.standing is AgentStanding.DRAINING

    @property
    def must_hand_back(self) -> bool:
        return self._has_passed(self._graces.grace_seconds)

    @property
    def is_overdue(self) -> bool:
        return self._has_passed(self._graces.grace_seconds + self._graces.hand_back_seconds)

    def leave(self) -> None:
        """The agent has finished, or given up finishing. One that a command has drained stays paused: it is the command's word."""
        if self.wishes.standing is AgentStanding.DRAINING:
            self._desk.stand(AgentStanding.PAUSED)
        self._leaving.leave("drained")

    def _has_passed(self, seconds: float) -> bool:
        return self._asked_at is not None and self._elapsed() - self._asked_at >= seconds
