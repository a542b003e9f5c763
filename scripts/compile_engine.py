"""Compile the engine's inner loops into numba's cache, by clearing a small market: the first round of a market should not wait for it."""

from pathlib import Path

from scripts.bench.generators import Uniform

ENGINE = Path(__file__).parents[1] / "scheduler" / "engine"


def main() -> None:
    # What an older version left there may name types that are gone, and numba stumbles over those before it looks at dates.
    for stale in ENGINE.rglob("__pycache__/*.nb[ic]"):
        stale.unlink()
    from scheduler.engine.clear import clear

    plan = clear(Uniform(60, 30).snapshot(0))
    print(f"engine: compiled; {len(plan.fills)} fills in a first market")


if __name__ == "__main__":
    main()
