"""Compile the engine's inner loops into numba's cache, by clearing a small market: the first round of a market should not wait for it."""

from scheduler.engine.clear import clear
from scripts.bench.generators import Uniform

if __name__ == "__main__":
    plan = clear(Uniform(60, 30).snapshot(0))
    print(f"engine: compiled; {len(plan.fills)} fills in a first market")
