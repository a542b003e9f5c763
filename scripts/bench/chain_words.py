"""What `make bench PART=chain` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

GROUP, COMMAND = "chain", "make bench PART=chain"
LEASES = 1_000
EVENTS = 100_000
TRANSACTIONS = 100
ORDERS = 100
JOB_SECONDS = 10
BLOCK_SECONDS = 2

EVENTS_RATIO = f"{GROUP}.events_ratio"
PROJECTION = f"{GROUP}.projection_per_second"
SENDS_RATIO = f"{GROUP}.sends_ratio"
CALLS_PER_ORDER = f"{GROUP}.calls_per_order"
IDLE_CALLS = f"{GROUP}.idle_calls_per_block"
COUNTERSIGNED = f"{GROUP}.countersigned_after_blocks"

AT_LEAST = {EVENTS_RATIO: 10, PROJECTION: 10_000, SENDS_RATIO: 4}
AT_MOST = {CALLS_PER_ORDER: 20, IDLE_CALLS: 3, COUNTERSIGNED: 1}


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    network = "one gateway, scheduler, indexer, two agents and one client"
    return {
        EVENTS_RATIO: f"{LEASES:,} leases opened and settled: as many times as fast as web3's `get_logs` their events are read",
        PROJECTION: f"events a second that the indexer applies to the projection, of {EVENTS:,}",
        SENDS_RATIO: f"{TRANSACTIONS} transactions of one key: as many times as fast in ordered batches as one by one",
        CALLS_PER_ORDER: f"node calls for an order, of {ORDERS} of {JOB_SECONDS}-second jobs, by {network}, together",
        IDLE_CALLS: f"node calls a block of {BLOCK_SECONDS} s, nothing to do, by the process of these that makes the most",
        COUNTERSIGNED: "blocks from the provider's receipt to the client's signature, median of these orders",
    }


def missed(key: str, value: float) -> bool:
    """Whether a figure is on the wrong side of its bar."""
    return value < AT_LEAST.get(key, value) or value > AT_MOST.get(key, value)
