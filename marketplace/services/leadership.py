"""One acts, the others stand by: who leads, how a daemon follows its lead, and how it notices that it has lost it.

A leader that loses its lead begins anew when it gets it back, as a process that has just been started does: meanwhile another has
acted on the same journal and the same account. Safety never rests on the lead. Two schedulers of one key that act at once take each
other's nonces and the contract opens an order once; the projection's writes carry a fence.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

import structlog

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import LeadLost, StoreUnavailable
from marketplace.domain.repairs import Repairs
from marketplace.domain.wake import NextWake
from marketplace.store.board_lead import LeadTable, Took

LEAD_SECONDS = 6.0
"""A leader that is not heard of for so long is followed by another."""
MARGIN = 6
"""By this part of it a leader takes its lead for over earlier than the others do: clocks run unevenly, and messages take time."""
STANDBY_SECONDS = 1.0
"""How often one that stands by asks."""

Permit = Callable[[], None]
"""Asked before something is done that only the leader should do. Raises LeadLost, StoreUnavailable."""


class Lead(Protocol):
    """What can be led by one at a time."""

    @property
    def term(self) -> int:
        """Grows each time the lead is taken: who has kept it since has the same term."""

    def hold(self) -> bool:
        """Take it, or keep it; whether it is ours. Raises StoreUnavailable where that cannot be said."""

    def leave(self) -> None:
        """Give it back; what cannot be given back runs out."""


class BoardLead:
    """A lead on the board, for all who share its Redis. Threads may share it."""

    def __init__(
        self, table: LeadTable, name: str, *, seconds: float = LEAD_SECONDS, elapsed: Callable[[], float] = monotonic
    ) -> None:
        """``elapsed``: seconds that pass evenly, also while the process is suspended."""
        self._table, self._name, self._seconds, self._elapsed = table, name, seconds, elapsed
        self._token = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._until = self._renew_at = 0.0
        self._term = 0

    @property
    def term(self) -> int:
        return self._term

    @property
    def is_held(self) -> bool:
        """As far as we know, and without asking."""
        return self._elapsed() < self._until

    def hold(self) -> bool:
        with self._lock:
            now = self._elapsed()
            if now < min(self._renew_at, self._until):
                return True
            try:
                took = self._table.take(self._name, self._token, int(self._seconds * 1000))
            except StoreUnavailable:
                if self._elapsed() < self._until:
                    return True
                raise
            if took is Took.ANOTHERS:
                self._until = 0.0
                return False
            self._term += took is Took.TAKEN
            # From before it was asked: the board's own count began later.
            self._until, self._renew_at = now + self._seconds * (1 - 1 / MARGIN), now + self._seconds / 3
            return self._elapsed() < self._until

    def leave(self) -> None:
        with self._lock:
            was_held, self._until = self._until > 0, 0.0
        if was_held:
            try:
                self._table.leave(self._name, self._token)
            except StoreUnavailable:
                return

    @contextmanager
    def kept(self, is_alive: Callable[[], bool]) -> Iterator[None]:
        """Keep it while the block runs and ``is_alive``, also through long steps; give it back at the end."""
        done = threading.Event()
        thread = threading.Thread(target=self._keep, args=(done, is_alive), name="lead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.leave()

    def _keep(self, done: threading.Event, is_alive: Callable[[], bool]) -> None:
        while not done.wait(self._seconds / 6):
            if self.is_held and is_alive():
                try:
                    self.hold()
                except StoreUnavailable:
                    continue


class Acting(Protocol):
    """What a leader does."""

    def step(self) -> NextWake: ...

    @property
    def head(self) -> BlockRef | None:
        """The newest block that it has worked at."""

    @property
    def repairs(self) -> Repairs:
        """What it had to put right so far."""


class Led:
    """A daemon that acts while it leads, and stands by while another does. ``step`` is run by one thread."""

    def __init__(self, lead: Lead, begin: Callable[[Permit], Acting], name: str) -> None:
        """``begin`` makes what acts, anew for each term; it may raise what a step may."""
        self._lead, self._begin, self._name = lead, begin, name
        self._term = -1
        self._is_told = False
        self.service: Acting | None = None
        """What acts; None while another leads."""

    @property
    def role(self) -> str:
        return "leader" if self.service else "standby"

    def check(self) -> str | None:
        """A ``Check``."""
        return None if self.service else "another leads; this one stands by"

    def step(self) -> NextWake:
        log = structlog.get_logger()
        if not self._lead.hold():
            if self.service or not self._is_told:
                log.info(f"{self._name}.stands_by", was_leader=self.service is not None)
            self.service, self._is_told = None, True
            return NextWake(STANDBY_SECONDS)
        if self.service is None or self._term != self._lead.term:
            self.service, self._term = None, self._lead.term
            self.service = self._begin(self._permit_for(self._term))
            log.info(f"{self._name}.leads", term=self._term)
        return self.service.step()

    def _permit_for(self, term: int) -> Permit:
        """Good as long as the lead is kept: one that was lost and taken again is another term's."""

        def permit() -> None:
            if self._lead.term != term or not self._lead.hold() or self._lead.term != term:
                raise LeadLost(self._name)

        return permit
