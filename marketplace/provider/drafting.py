"""A first inventory, out of what was measured and what the market asks: commented, for its owner to read, change and own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from marketplace.domain.classes import GpuClass
from marketplace.domain.units import text_from_units
from marketplace.provider.gpus.nvml import SeenGpu, SeenMachine

BOND_BPS = 1_000
DAYS = 30
KEPT_FOR_THE_SYSTEM_MIB = 2_048
_DISK_PERCENT = 80


@dataclass(frozen=True, slots=True)
class DraftTerms:
    """What the draft takes from outside the GPUs: the machine, and the market as its gateway shows it."""

    region: str
    cpus: int
    memory_mib: int
    disk_mib: int
    """Free now."""
    arbiter: str
    asks: Mapping[str, tuple[int, ...]]
    """What is asked for each class now, by its name, in token units per GPU-hour."""
    token_decimals: int
    token_symbol: str


def draft_inventory(seen: SeenMachine, terms: DraftTerms) -> str:
    """The file's text. Where it must not be used as it is, a price is 0, which no agent takes."""
    memory = max(1_024, terms.memory_mib - KEPT_FOR_THE_SYSTEM_MIB)
    head = f"""\
# Written by `bourse provider init`, from what this machine shows. Read it: it is your word to the market.
# `bourse provider check --inventory FILE` says whether it holds; docs/how-to/provider.md says what each field means.

region = "{terms.region}"
cpus = {terms.cpus}
memory_mib = {memory}  # of {terms.memory_mib}: the rest is the system's
disk_mib = {terms.disk_mib * _DISK_PERCENT // 100}  # of {terms.disk_mib} that are free where the agent keeps its jobs
"""
    by_class: dict[str, list[SeenGpu]] = {}
    left_out = []
    for gpu in seen.gpus:
        if isinstance(gpu.gpu_class, GpuClass):
            by_class.setdefault(gpu.gpu_class.name, []).append(gpu)
        else:
            left_out.append(f"# GPU {gpu.index} ({gpu.uuid}) is left out: {gpu.gpu_class}\n")
    parts = [head, *left_out, *(_offer(name, gpus, terms) for name, gpus in by_class.items())]
    if not by_class:
        parts.append(
            "# No GPU here has a class: what you write below is declared, not measured.\n"
            + _offer("RTX4090", [], terms)
        )
    return "\n".join(parts)


def _offer(name: str, gpus: list[SeenGpu], terms: DraftTerms) -> str:
    asks = sorted(terms.asks.get(name, ()))
    named = "".join(f'  "{gpu.uuid}",  # {gpu.name}, {gpu.memory_mib} MiB\n' for gpu in gpus)
    uuids = f"gpus = [\n{named}]\n" if gpus else ""
    price, words = "0", "nobody offers this class now: say what you want, 0 is not taken"
    if asks:
        price, most = (text_from_units(ask, terms.token_decimals) for ask in (asks[0], asks[-1]))
        words = f"asked now: {price} to {most}, by {len(asks)} offer{'' if len(asks) == 1 else 's'}"
    return f"""\
[[offer]]
gpu = "{name}"
count = {len(gpus) or 1}
{uuids}price = "{price}"  # {terms.token_symbol} per GPU-hour; {words}
bond_bps = {BOND_BPS}  # your stake in each lease: {BOND_BPS // 100} % of what the client locks
arbiter = "{terms.arbiter}"  # who rules on disputes: the gateway's proposal, whether you trust it is for you to say
days = {DAYS}  # renewed while the agent runs
"""
