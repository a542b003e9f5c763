"""From a seed to a verdict.

python -m tests.faults.simulation.run 1 2 3         these seeds
python -m tests.faults.simulation.run 7 --say       with its history
python -m tests.faults.simulation.run 7 --shrink    which kinds of trouble its failure needs
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from marketplace.chain import verbs
from marketplace.domain.blocks import BlockRef
from marketplace.domain.states import ServingState
from marketplace.domain.units import TokenUnits
from tests.faults.simulation.dice import Dice, seeded_secrets
from tests.faults.simulation.mortality import watch_logs
from tests.faults.simulation.parties import AgentParty, ClientParty
from tests.faults.simulation.people import REFUSALS, Wish
from tests.faults.simulation.stage import Stage
from tests.faults.simulation.troubles import TROUBLES
from tests.faults.simulation.verdict import Judge, Verdict
from tests.faults.simulation.world import History, opened_world

QUIET_ROUNDS = 140
"""Rounds after the last trouble within which everything must be over."""
QUICK_ROUNDS = 40
SLOW_BLOCK_SECONDS = 15
WITHDRAWING_ROUNDS = 8


LIVE = tuple(state for state in ServingState if state is not ServingState.CLOSED)


@dataclass(frozen=True)
class Outcome:
    """What came of one seed; all of it can be handed to another process."""

    seed: int
    wrongs: tuple[str, ...]
    units_lost: int
    doubled: int
    kinds: dict[str, int]
    history: tuple[str, ...]
    seconds: float
    rounds: int

    @property
    def is_good(self) -> bool:
        return not self.wrongs


def simulate(seed: int, without: Collection[str] = (), turns: int | None = None) -> Outcome:
    """Run one seed to its end."""
    start, history, dice = monotonic(), History(), Dice(seed)
    folder = Path(tempfile.mkdtemp(prefix=f"bourse-seed-{seed}-"))
    watch_logs(history.lines)
    verdict, rounds = Verdict(), 0
    kinds: Counter[str] = Counter()
    try:
        with seeded_secrets(dice), opened_world(dice, folder, history) as world:
            stage = Stage(world, without)
            try:
                stage.play(*([turns] if turns is not None else []))
                stage.calm()
                rounds = quiesce(stage)
                verdict = Judge(stage).judge()
                if rounds >= QUIET_ROUNDS:
                    verdict.wrongs.append(f"it never came to rest: {', '.join(unrest(stage))}")
            finally:
                for party in stage.everybody():
                    party.die()
            kinds = Counter({str(fault): times for fault, times in world.node.rules.struck.items()}) + history.kinds
    except Exception as error:  # noqa: BLE001  the seed failed, whatever it was
        verdict.wrongs.append(f"simulation: {type(error).__name__}: {error}")
        history.say(traceback.format_exc())
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(
        seed, tuple(verdict.wrongs), verdict.units_lost, verdict.doubled, dict(kinds), tuple(history.lines),
        monotonic() - start, rounds,
    )  # fmt: skip


def quiesce(stage: Stage) -> int:
    """Let everybody finish, then let everybody leave with its money; how many rounds that took."""
    number = 0
    for number in range(QUIET_ROUNDS):
        _round(stage, 2 if number < QUICK_ROUNDS else SLOW_BLOCK_SECONDS)
        _try_again(stage)
        if number % 3 == 2 and not unrest(stage):
            break
    _withdraw_all(stage)
    for _ in range(2 + stage.confirmations):
        _round(stage, 2)
    return number + 1


def _round(stage: Stage, seconds: int) -> None:
    head = stage.world.block(seconds)
    stage.history.say(f"round at block {head.number}, {head.timestamp}")
    for party in stage.everybody():
        party.step()
    for party in stage.everybody():
        if isinstance(party, AgentParty):
            party.run(party.pool.run)


def _try_again(stage: Stage) -> None:
    for person in stage.people:
        for wish in person.wishes:
            if wish.is_open and wish.tries < 12:
                person.attempt(wish)


def _withdraw_all(stage: Stage) -> None:
    """Clients by their SDK, providers by the sender of their agent; what is not mined at once is tried again."""
    market = stage.world.market
    traders = [party for party in stage.parties.values() if isinstance(party, AgentParty | ClientParty)]
    under_way: dict[str, TokenUnits] = {}
    for _ in range(WITHDRAWING_ROUNDS):
        for party in traders:
            units = under_way.pop(party.name, None) or market.balance_of(party.key.address)
            if units and party.run(partial(_withdrawn, stage, party, units)) is None:
                under_way[party.name] = units
        _round(stage, 2)
        if not under_way and not any(market.balance_of(party.key.address) for party in traders):
            return


def _withdrawn(stage: Stage, party: AgentParty | ClientParty, units: TokenUnits) -> bool:
    """Whether it was done, rather than refused: then there is less to withdraw than there was."""
    try:
        if isinstance(party, ClientParty):
            party.market.withdraw(units)
        else:
            assert party.sender is not None
            party.sender.send(verbs.withdraw(stage.world.market.address, party.key.address, units))
    except REFUSALS:
        return False
    return True


def unrest(stage: Stage) -> list[str]:
    """What is not over yet."""
    found = [
        f"{wish.verb} {wish.amount}"
        for wish in stage.wishes()
        if isinstance(wish, Wish) and wish.is_open and wish.tries < 12
    ]
    head = stage.world.head
    for party in stage.parties.values():
        if isinstance(party, ClientParty):
            found += party.run(partial(_unsettled, party, head)) or []
        if isinstance(party, AgentParty):
            found += party.run(partial(_unserved, party)) or []
    return found


def _unsettled(client: ClientParty, head: BlockRef) -> list[str]:
    return [f"{client.name} {job.name} {job.state}" for job in client.market.jobs() if not job.is_settled(head)]


def _unserved(agent: AgentParty) -> list[str]:
    return [f"{agent.name} {one.lease[:8]} {one.state}" for one in agent.journal.servings(*LIVE)]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="seeds of the simulation")
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--say", action="store_true", help="print the history")
    parser.add_argument(
        "--shrink", action="store_true", help="leave out kinds of trouble that the failure does not need"
    )
    parser.add_argument("--turns", type=int)
    parser.add_argument("--without", default="", help="kinds of trouble to leave out, with commas")
    chosen = parser.parse_args(words)
    without = [kind for kind in chosen.without.split(",") if kind]
    bad = 0
    for seed in chosen.seeds:
        outcome = simulate(seed, without, chosen.turns)
        bad += not outcome.is_good
        tell(outcome, say=chosen.say)
        if chosen.shrink and not outcome.is_good:
            shrink(outcome)
    return 1 if bad else 0


def tell(outcome: Outcome, *, say: bool) -> None:
    if say:
        print("\n".join(outcome.history))
    state = "good" if outcome.is_good else "BAD"
    print(
        f"seed {outcome.seed}: {state} in {outcome.seconds:.1f} s, {outcome.rounds} rounds, {outcome.kinds}", flush=True
    )
    for wrong in outcome.wrongs:
        print("   ", wrong, flush=True)


def shrink(outcome: Outcome) -> None:
    """Leave out one kind after the other as long as the seed fails without it."""
    kinds = [kind for kind in (*TROUBLES, "geth pool") if kind in outcome.history[0]]
    without: list[str] = []
    for kind in kinds:
        tried = simulate(outcome.seed, [*without, kind])
        if not tried.is_good:
            without.append(kind)
            outcome = tried
    left = [kind for kind in kinds if kind not in without]
    print(
        f"seed {outcome.seed} fails with {', '.join(left) or 'no trouble at all'}:",
        *outcome.wrongs,
        sep="\n    ",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
