"""Gas of whole transactions, as the gas tests write it down."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, forge_versions
from scripts.gas_snapshot import committed, measured

SENTENCES: Mapping[str, str] = {
    "gas.fill_100x100": "fill, batch of 100, 100 clients and 100 providers",
    "gas.receipt_100x100": "receipt, batch of 100, 100 clients and 100 providers",
    "gas.fill_10x10": "fill, batch of 100, 10 clients and 10 providers",
    "gas.receipt_10x10": "receipt, batch of 100, 10 clients and 10 providers",
    "gas.single_job": "a job alone: opened and settled, two transactions",
}

TASK, TASKS = "gas.task_of_100", 100
"""Commands on one lease are no transactions: its two are shared by all of them."""


def gas() -> Measured:
    """Measure anew; the tree's snapshot must say the same, to the unit."""
    try:
        now = measured()
    except subprocess.CalledProcessError as failed:
        raise NotHeld(f"the gas tests fail: {failed.stdout!r}") from failed
    if now != committed():
        raise NotHeld("tests/solidity/gas.json is not what forge measures: `make gas` writes it anew")
    values = {key: now[sentence] for key, sentence in SENTENCES.items()}
    return Measured({**values, TASK: values["gas.single_job"] // TASKS}, forge_versions())
