"""A hundred transactions of one key, signed, journalled, mined and seen to be: in ordered batches, and one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from marketplace.chain import verbs
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain.units import TokenUnits
from marketplace.store.journal.operator import OperatorJournal
from scripts.bench.chain_stage import CLIENT, PROVIDER, Stage, running_stage

TURNS = 3


def measured(transactions: int) -> dict[str, float]:
    """Seconds of both ways on one chain, the best of a few turns. Raises ValueError where one of them was not mined."""
    with running_stage() as stage:
        seconds: dict[str, list[float]] = {"batches": [], "one by one": []}
        for turn in range(TURNS):
            for name, key in (("batches", CLIENT), ("one by one", PROVIDER)):
                seconds[name].append(_timed(stage, f"{name} {turn}".replace(" ", "-"), key, transactions))
    return {name: min(many) for name, many in seconds.items()}


def _timed(stage: Stage, name: str, key: Key, transactions: int) -> float:
    """With a journal of its own, on disk, as an operator's."""
    calls = [verbs.withdraw(stage.book.market, key.address, TokenUnits(number + 1)) for number in range(transactions)]
    with closing(OperatorJournal(f"sqlite:///{stage.folder}/{name}.sqlite")) as journal:
        sender = Sender(stage.chain, key, journal.outbox)
        begun = time.perf_counter()
        ended = sender.send_all(calls) if name.startswith("batches") else [sender.send(call) for call in calls]
        seconds = time.perf_counter() - begun
    _require_mined(ended)
    return seconds


def _require_mined(ended: Sequence[object]) -> None:
    failed = [one for one in ended if not isinstance(one, Mined)]
    if failed:
        raise ValueError(f"{len(failed)} of {len(ended)} transactions failed: {failed[0]!r}")
