"""One simulation: the parties in their world, and the order in which the seed lets things happen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random

from tests.faults.rules import Fault, Rule
from tests.faults.simulation.parties import (
    AgentParty,
    ClientParty,
    GatewayParty,
    IndexerParty,
    Party,
    SchedulerParty,
)
from tests.faults.simulation.people import Person
from tests.faults.simulation.troubles import TROUBLES
from tests.faults.simulation.world import CLIENTS, PROVIDERS, History, World

LONGEST_LOOK_SECONDS = 4
"""Of block time: less than a claim has on the local chain."""
TURNS = 170
MOST_JOBS = 6
HOSTILE_SEEDS = 500
"""From this seed on there is more trouble. Earlier ones stay what they were."""


@dataclass
class Stage:
    """Everybody, and what the seed has in mind for them."""

    world: World
    without: Collection[str] = ()
    """Kinds of trouble that are left out, to see which ones a failure needs."""
    confirmations: int = 0
    """0: as the seed says."""
    parties: dict[str, Party] = field(default_factory=dict)
    people: list[Person] = field(default_factory=list)
    away: dict[str, int] = field(default_factory=dict)
    """Processes that are down, and for how many turns more."""
    has_second_leader: bool = False
    _windows: list[tuple[Rule, int]] = field(default_factory=list)
    _wishes: int = 0
    _stepped_at: dict[str, int] = field(default_factory=dict)
    """The block time of each process's last step."""

    def __post_init__(self) -> None:
        world, stream = self.world, self.world.dice.of("temper")
        self.confirmations = stream.choice((1, 1, 2, 3)) if not self.confirmations else self.confirmations
        gateway = GatewayParty("gateway", world, self.confirmations)
        agents = [
            AgentParty(f"agent-{n}", world, self.confirmations, key, gateway.url) for n, key in enumerate(PROVIDERS, 1)
        ]
        clients = [
            ClientParty(f"client-{n}", world, self.confirmations, key, gateway.url) for n, key in enumerate(CLIENTS, 1)
        ]
        indexer, scheduler, second = (
            IndexerParty("indexer", world, self.confirmations),
            SchedulerParty("scheduler", world, self.confirmations),
            SchedulerParty("scheduler-2", world, self.confirmations),
        )
        self.second = second
        self.parties = {one.name: one for one in (gateway, indexer, scheduler, *agents, *clients)}
        self.people = [Person(client, world) for client in clients]
        self.kinds = [
            kind for kind in stream.sample(sorted(TROUBLES), stream.choice((3, 4, 6, 9))) if kind not in self.without
        ]
        self.trouble = stream.choice((0.03, 0.06, 0.1))
        if world.dice.seed >= HOSTILE_SEEDS:
            self._be_hostile(world.dice.of("hostility"))
        self.is_strict = stream.random() < 0.6
        if self.is_strict and "geth pool" not in self.without:
            world.node.rules.add(Rule(Fault.GETH_POOL, ".*"))
        self.history.say(
            f"seed {world.dice.seed}: confirmations {self.confirmations}, trouble {self.trouble}, {', '.join(self.kinds)}"
            f"{', as geth' if self.is_strict else ''}{', two nodes' if world.has_two_nodes else ''}"
        )

    def _be_hostile(self, stream: Random) -> None:
        """More kinds of trouble, more of each, and for some seeds two nodes for everybody, of which one may fail alone."""
        kinds = stream.sample(sorted(TROUBLES), stream.choice((4, 8, 14, len(TROUBLES))))
        self.kinds = [kind for kind in kinds if kind not in self.without]
        self.trouble = stream.choice((0.06, 0.12, 0.2))
        self.world.has_two_nodes = stream.random() < 0.35

    @property
    def history(self) -> History:
        return self.world.history

    @property
    def names(self) -> list[str]:
        return list(self.parties)

    def everybody(self) -> list[Party]:
        """All processes that there are by now."""
        return [*self.parties.values(), *([self.second] if self.has_second_leader else [])]

    def wishes(self) -> list:  # type: ignore[type-arg]
        return [wish for person in self.people for wish in person.wishes]

    # Chance

    def play(self, turns: int = TURNS) -> None:
        """So many turns, each one thing."""
        self.parties["gateway"].step()
        for turn in range(turns):
            self._close_windows()
            self._turn(turn, self.world.dice.of("turn", turn))

    def _turn(self, turn: int, stream: Random) -> None:
        drawn = stream.random()
        if self.kinds and drawn < self.trouble:
            kind = stream.choice(self.kinds)
            self.history.say(f"{turn} trouble: {kind}")
            TROUBLES[kind](self, stream)
        elif drawn < self.trouble + 0.12:
            self.history.say(f"{turn} a wish")
            self._want(stream)
        elif drawn < self.trouble + 0.45:
            head = self.world.block()
            self.history.say(f"{turn} block {head.number} at {head.timestamp}")
            self._wake_agents(head.timestamp)
        else:
            self._step(turn, stream)

    def _wake_agents(self, now: int) -> None:
        """An agent that is there looks at the chain more often than a claim takes: chance alone must not be its absence."""
        for agent in (party for party in self.parties.values() if isinstance(party, AgentParty)):
            if self.away.get(agent.name, 0) == 0 and now - self._stepped_at.get(agent.name, now) > LONGEST_LOOK_SECONDS:
                self.history.say(f"  {agent.name} looks")
                agent.step()
                self._stepped_at[agent.name] = now

    def _step(self, turn: int, stream: Random) -> None:
        some = [party for party in self.everybody() if self.away.get(party.name, 0) == 0]
        chosen = stream.sample(some, min(len(some), stream.choice((1, 2, 4, 8))))
        self.away = {name: left - 1 for name, left in self.away.items() if left > 1}
        self.history.say(f"{turn} step {', '.join(party.name for party in chosen)}")
        for party in chosen:
            party.step()
        self._stepped_at |= dict.fromkeys((party.name for party in chosen), self.world.now)

    def _want(self, stream: Random) -> None:
        person = stream.choice(self.people)
        if self.away.get(person.party.name):
            return
        open_wishes = [wish for wish in person.wishes if wish.is_open]
        if open_wishes and stream.random() < 0.5:
            person.attempt(stream.choice(open_wishes))
            return
        verb = stream.choice(("order", "order", "order", "withdraw", "withdraw", "deposit", "authorize", "cancel"))
        if verb == "order":
            if sum(one.jobs for one in self.people) < MOST_JOBS:
                person.order(stream)
        elif verb == "cancel":
            person.cancel(stream)
        else:
            self._wishes += 1
            person.wish(verb, self._wishes, stream)

    # Windows of faults

    def open_window(self, rule: Rule, turns: int) -> None:
        """A fault of the node, for so many turns."""
        self.history.say(
            f"  {rule.fault} on {rule.methods} for {rule.lines}, {rule.chance}, {turns} turns {rule.setting or rule.message}"
        )
        self._windows.append((self.world.node.rules.add(rule), turns))

    def _close_windows(self) -> None:
        still = []
        for rule, left in self._windows:
            if left > 0:
                still.append((rule, left - 1))
            else:
                self.world.node.rules.remove(rule)
        self._windows = still

    # The end

    def calm(self) -> None:
        """From here on the node is honest, everybody is up, and nothing happens any more but what must."""
        self.world.node.rules.clear()
        self._windows.clear()
        self.away.clear()
        self.world.calm_fees()
        for party in self.everybody():
            party.life.armed = ""
        self.history.say("calm")
