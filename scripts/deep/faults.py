"""Seeds of the simulation in tests/faults, 300 and those that failed once: what failed, what it cost, and how many kinds of trouble there were.

python -m scripts.deep.faults --seeds 10 --first 5000     some others, for a look; writes nothing
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections import Counter
from collections.abc import Sequence

from marketplace.chain.devnet import anvil_binary
from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, run, say
from tests.faults.simulation.crew import FAILED_ONCE, Crew

FIRST_SEED, SEEDS = 1_000, 300


def faults() -> Measured:
    """Run the seeds; a single one that fails fails the part."""
    return measured((*FAILED_ONCE, *range(FIRST_SEED, FIRST_SEED + SEEDS)))


def measured(seeds: Sequence[int]) -> Measured:
    """The figures of these seeds. Raises NotHeld, naming those that failed and why."""
    crew, wrongs, kinds = Crew(seeds), list[str](), Counter[str]()
    lost = doubled = 0
    try:
        for number, outcome in enumerate(crew.outcomes(), 1):
            kinds.update(outcome.kinds)
            lost, doubled = lost + outcome.units_lost, doubled + outcome.doubled
            found = [f"seed {outcome.seed}: {wrong}" for wrong in outcome.wrongs]
            wrongs += found
            for one in found:
                say("faults", one)
            if number % 10 == 0:
                say("faults", f"{number} of {len(seeds)} seeds, {len(wrongs)} wrongs, {len(kinds)} kinds of trouble")
    finally:
        crew.close()
    if wrongs:
        raise NotHeld("\n".join(wrongs))
    return Measured(
        {
            "faults.seeds": len(seeds), "faults.units_lost": lost, "faults.doubled": doubled, "faults.kinds": len(kinds),
        },
        {"anvil": anvil_version(), "compute-bourse": version()},
    )  # fmt: skip


def anvil_version() -> str:
    """The node that everything ran on."""
    return run([anvil_binary(), "--version"], seconds=60).stdout.split()[2]


def version() -> str:
    """The market's own."""
    return importlib.metadata.version("compute-bourse")


def main(words: Sequence[str] | None = None) -> int:
    """Some seeds, for a look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    chosen = parser.parse_args(words)
    try:
        print(dict(measured(range(chosen.first, chosen.first + chosen.seeds)).values))
    except NotHeld as wrongs:
        print(wrongs)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
