"""The simulation's market without chance: a test says what happens when, and in the end the same judge looks at everything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from marketplace.client import Job
from tests.faults.simulation.dice import Dice, seeded_secrets
from tests.faults.simulation.mortality import watch_logs
from tests.faults.simulation.parties import AgentParty, ClientParty, IndexerParty, SchedulerParty
from tests.faults.simulation.run import quiesce
from tests.faults.simulation.stage import Stage
from tests.faults.simulation.troubles import TROUBLES
from tests.faults.simulation.verdict import Judge
from tests.faults.simulation.world import History, World, opened_world


@dataclass
class Script:
    """A market that goes on turn by turn, everybody one step in each."""

    stage: Stage
    absent: Collection[str] = field(default_factory=tuple)

    @property
    def world(self) -> World:
        return self.stage.world

    @property
    def client(self) -> ClientParty:
        return self.stage.people[0].party

    @property
    def scheduler(self) -> SchedulerParty:
        found = self.stage.parties["scheduler"]
        assert isinstance(found, SchedulerParty)
        return found

    @property
    def indexer(self) -> IndexerParty:
        found = self.stage.parties["indexer"]
        assert isinstance(found, IndexerParty)
        return found

    def jobs(self) -> tuple[Job, ...]:
        """The first client's."""
        return self.client.run(self.client.market.jobs) or ()

    def turn(self) -> None:
        """A block, and a step of everybody who is not absent."""
        self.world.block(2)
        for party in self.stage.everybody():
            if party.name not in self.absent:
                party.step()
                if isinstance(party, AgentParty) and party.is_up:
                    party.run(party.pool.run)

    def turns(self, number: int) -> None:
        for _ in range(number):
            self.turn()

    def until(self, what: str, is_so: Callable[[], object], most: int = 80) -> None:
        """Turn after turn until it is so."""
        for _ in range(most):
            if is_so():
                return
            self.turn()
        raise AssertionError(f"{what} did not come true:\n" + "\n".join(self.stage.history.lines[-25:]))

    def open_market(self) -> None:
        """Everybody is up, and both offers stand."""
        self.stage.parties["gateway"].step()
        self.until("two offers stand", lambda: len(self._offers()) == 2)

    def _offers(self) -> list[object]:
        market = self.world.market
        return [offer for offer in map(market.offer_of, (1, 2)) if offer]  # type: ignore[arg-type]

    def busy(self) -> None:
        """Two jobs of the first client, one of the second."""
        first, second = self.stage.people
        first.order_one("works", 6)
        second.order_one("fails", 4)
        first.order_one("works", 10)

    def finish(self) -> None:
        """No more troubles: everything comes to its end, and everything is right."""
        self.stage.calm()
        quiesce(self.stage)
        verdict = Judge(self.stage).judge()
        told = "\n".join(self.stage.history.lines[-120:])
        assert verdict.is_good, "\n".join((told, *(f"WRONG {wrong}" for wrong in verdict.wrongs)))


@contextmanager
def script(folder: Path, *, confirmations: int = 1, seed: int = 0) -> Iterator[Script]:
    """A market of the simulation, open and idle."""
    history, dice = History(), Dice(seed)
    watch_logs(history.lines)
    with seeded_secrets(dice), opened_world(dice, folder, history) as world:
        stage = Stage(world, without=(*TROUBLES, "geth pool"), confirmations=confirmations)
        try:
            played = Script(stage)
            played.open_market()
            yield played
        finally:
            for party in stage.everybody():
                party.die()
