"""What `make bench PART=api` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

GROUP, COMMAND = "api", "make bench PART=api"
CONNECTIONS = 32
BLOB_BYTES = 64 << 10

ORDERS_RATIO = f"{GROUP}.orders_ratio"
OFFERS_RATIO = f"{GROUP}.offers_ratio"
BLOB_RATIO = f"{GROUP}.blob_ratio"
READS_RATIO = f"{GROUP}.reads_ratio"
ORDERS_PER_SECOND = f"{GROUP}.orders_per_second"

AT_LEAST = {ORDERS_RATIO: 0.25, OFFERS_RATIO: 0.8, BLOB_RATIO: 0.8, READS_RATIO: 0.5}


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    beside = f"one worker, {CONNECTIONS} connections, as a share of a bare FastAPI route in the same server"
    return {
        ORDERS_RATIO: f"new orders taken a second, on the disk before they are answered; {beside} that validates the same body",
        OFFERS_RATIO: f"`GET /v1/offers` answered a second; {beside} that sends the same bytes",
        BLOB_RATIO: f"public files of {BLOB_BYTES >> 10} KiB sent a second; {beside} that sends the same file",
        READS_RATIO: f"the slowest of the reads of book, price, history, leases, statement, delegates, scores, solvency and an order's events, pages of 100 rows, answered a second; {beside} that sends the same bytes",
        ORDERS_PER_SECOND: "new orders taken a second, on the disk before they are answered; one worker",
    }


def missed(key: str, value: float) -> bool:
    """Whether a figure is on the wrong side of its bar."""
    return value < AT_LEAST.get(key, value)
