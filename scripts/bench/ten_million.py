"""Ten million open orders, in numbers: what was measured of one order, one fill and one round, and what follows. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.bench.sizes import short

COMMAND = "make bench PART=scale"
GROUP = "scale"
SIZES = ((100_000, 10_000), (300_000, 30_000), (1_000_000, 100_000))
"""Orders and offers of the measured rounds."""
OPEN_ORDERS, OPEN_OFFERS = 10_000_000, 1_000_000
BLOCK_GAS = 60_000_000
TRANSACTION_GAS = 16_777_216
"""The most that one transaction may use (EIP-7825)."""
BLOCK_SECONDS = (12, 2)
"""Of Ethereum's main chain, and of the usual rollup."""
BATCH_FILLS = 100
CALLS_PER_BATCH = 5
"""RPC calls of the scheduler: an estimate, a header, a tip, the transaction, a receipt. More receipts while it is not mined."""


_OF_EACH_SIZE = {
    "seconds": "seconds of a round that reads its whole book anew",
    "seconds_again": "seconds of the round after it, the book unchanged",
    "auction_seconds": "of these, seconds in auctions, all shards in one process",
    "one_shard_seconds": "seconds in auctions where all orders are one shard",
}
_OF_ONE = {
    "book_bytes": "bytes of memory that an open order and its share of the offers take in the scheduler's book",
    "round_bytes": "bytes that a round takes beside, at its peak, for each order",
    "snapshot_bytes": "bytes of a scheduler's first snapshot, all pages, for each order",
    "plan_bytes": "bytes of a plan for each fill",
    "calldata_bytes": "bytes of calldata for each fill",
    "order_bytes": "bytes sent to a Ray worker and back for each order and auction",
    "offer_bytes": "bytes sent to each Ray node for each offer and auction",
    "fills_percent": "orders that the round fills, percent of all",
    "shards": "shards of the measured market: 24 models in 20 regions",
    "largest_shard_percent": "orders of the largest shard, percent of all",
}


def size_key(name: str, orders: int) -> str:
    """``scale.seconds_100k``."""
    return f"{GROUP}.{name}_{short((orders, orders)).split('_')[0]}"


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    sizes = {
        size_key(name, orders): f"{words}, {orders:,} orders on {offers:,} offers"
        for name, words in _OF_EACH_SIZE.items()
        for orders, offers in SIZES
    }
    return sizes | {f"{GROUP}.{name}": words for name, words in _OF_ONE.items()}


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures by short names."""

    values: Mapping[str, Any]

    def scale(self, name: str, orders: int = 0) -> float:
        key = size_key(name, orders) if orders else f"{GROUP}.{name}"
        return float(self.values[key]["value"])

    @property
    def fill_gas(self) -> int:
        return int(self.values["gas.fill_100x100"]["value"])

    @property
    def receipt_gas(self) -> int:
        return int(self.values["gas.receipt_100x100"]["value"])

    @property
    def fills_per_block(self) -> int:
        """As many as fit if nothing else is in the block."""
        return BLOCK_GAS // self.fill_gas

    @property
    def jobs_per_block(self) -> int:
        """Of jobs that come and go: one fill and one receipt each."""
        return BLOCK_GAS // (self.fill_gas + self.receipt_gas)


def rounds_table(figures: Mapping[str, Any]) -> str:
    """The measured rounds, in Markdown."""
    if size_key("seconds", SIZES[0][0]) not in figures:
        return ""
    found = Figures(figures)
    text = "| orders × offers | round, all new | round after it | of it auctions | auctions if all is one shard | µs an order, all new |\n"
    text += "|---|" + "---:|" * 5 + "\n"
    for orders, offers in SIZES:
        cells = [f"{found.scale(name, orders):.2f} s" for name in _OF_EACH_SIZE]
        text += f"| {orders:,} × {offers:,} | {' | '.join(cells)} | {found.scale('seconds', orders) / orders * 10**6:.1f} |\n"
    return text


def table(figures: Mapping[str, Any]) -> str:
    """What follows for ten million orders, in Markdown. Every value is computed here from figures that were measured."""
    if size_key("seconds", SIZES[0][0]) not in figures:
        return ""
    found = Figures(figures)
    rows = [*_engine(found), *_bytes(found), *_chain(found)]
    return "| at 10,000,000 orders × 1,000,000 offers | computed | from |\n|---|---:|---|\n" + "".join(
        f"| {what} | {value} | {source} |\n" for what, value, source in rows
    )


def _engine(found: Figures) -> list[tuple[str, str, str]]:
    few, many = SIZES[0][0], SIZES[-1][0]
    times, parts = OPEN_ORDERS / many, OPEN_ORDERS // few
    one, auction = found.scale("seconds", many) * times, found.scale("auction_seconds", many) * times
    apart = found.scale("seconds", few)
    return [
        ("a round in one process, all new", f"{one:,.0f} s", f"{times:.0f} × the round of {many:,} orders: at least, for rounds grow a little faster than their books"),
        ("the same, auctions on Ray and free of cost", f"{one - auction:,.0f} s", "what is not auction stays in one process"),
        ("CPU seconds of a round, split by shards", f"{parts * apart:,.0f} s", f"{parts} × the round of {few:,} orders"),
        ("schedulers of one core for a round of 1 s", f"{parts * apart:,.0f}", "each with its own shards"),
        ("orders of each", f"{OPEN_ORDERS / (parts * apart):,.0f}", ""),
        (
            "orders of the largest shard, if the market is as measured",
            f"{OPEN_ORDERS * found.scale('largest_shard_percent') / 100:,.0f}",
            "shards do not become more when orders do",
        ),
    ]  # fmt: skip


def _bytes(found: Figures) -> list[tuple[str, str, str]]:
    book, beside = found.scale("book_bytes") * OPEN_ORDERS, found.scale("round_bytes") * OPEN_ORDERS
    orders, offers = found.scale("order_bytes") * OPEN_ORDERS, found.scale("offer_bytes") * OPEN_OFFERS
    return [
        ("memory of the book, all schedulers together", f"{book / 10**9:,.1f} GB", "bytes an order"),
        ("memory of a round beside it", f"{beside / 10**9:,.1f} GB", "bytes an order"),
        ("an auction on Ray: orders out, places back", f"{orders / 10**6:,.0f} MB", f"{found.scale('order_bytes'):.0f} bytes an order"),
        ("an auction on Ray: to every node", f"{offers / 10**6:,.0f} MB", f"{found.scale('offer_bytes'):.0f} bytes an offer"),
        ("a scheduler's first snapshot, all pages", f"{found.scale('snapshot_bytes') * OPEN_ORDERS / 10**9:,.1f} GB", "bytes an order"),
    ]  # fmt: skip


def _chain(found: Figures) -> list[tuple[str, str, str]]:
    fills, jobs = found.fills_per_block, found.jobs_per_block
    batches = -(-fills // BATCH_FILLS)
    planned = round(OPEN_ORDERS * found.scale("fills_percent") / 100)
    blocks = -(-planned // fills)
    slow, fast = BLOCK_SECONDS
    return [
        ("fills in a block of 60M gas", f"{fills:,}", f"{found.fill_gas:,} gas a fill, in batches of {BATCH_FILLS}, nothing else in the block"),
        ("fills in the largest transaction", f"{TRANSACTION_GAS // found.fill_gas:,}", "16,777,216 gas (EIP-7825)"),
        (f"batches of {BATCH_FILLS} in a block", f"{batches}", ""),
        ("gas of a batch", f"{found.fill_gas * BATCH_FILLS:,}", ""),
        ("RPC calls of the scheduler a block", f"{batches * CALLS_PER_BATCH}", f"{CALLS_PER_BATCH} a batch, and one more for each look at a receipt that is not there yet"),
        ("calldata of fills a block", f"{fills * found.scale('calldata_bytes') / 10**3:,.0f} kB", f"{found.scale('calldata_bytes'):,.0f} bytes a fill"),
        ("fills of a plan", f"{planned:,}", "the others are outbid or find no room"),
        ("blocks to post it", f"{blocks:,}", ""),
        (f"hours, at {slow} s and at {fast} s a block", f"{blocks * slow / 3600:,.1f} and {blocks * fast / 3600:,.1f}", ""),
        ("jobs a block when as many come as go", f"{jobs:,}", f"a fill and a receipt each, {found.receipt_gas:,} gas a receipt"),
        (f"jobs a second, at {slow} s and at {fast} s a block", f"{jobs / slow:,.0f} and {jobs / fast:,.0f}", ""),
    ]  # fmt: skip
