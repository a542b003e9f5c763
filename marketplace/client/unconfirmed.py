"""What the contract says at this moment of a client's orders, beside what its confirmed blocks say."""

from __future__ import annotations

from marketplace.chain.market import MarketContract
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.client.spending import is_over, servings_of, sums_of
from marketplace.domain.blocks import BlockRef
from marketplace.domain.leases import Lease
from marketplace.domain.pricing import earned_rounded_down, lock_of
from marketplace.domain.units import TokenUnits


def locked_now(market: MarketContract, book: JobJournal, block: BlockRef) -> TokenUnits:
    """What live leases of this book's orders hold of the client's money at this block: a lock without a lease is none."""
    orders = [order for kept in book.jobs() for order in book.orders(kept.job.id)]
    return TokenUnits(sum(_locked(market, book, order, block) for order in orders))


def _locked(market: MarketContract, book: JobJournal, order: KeptOrder, block: BlockRef) -> TokenUnits:
    value, moves = order.signed.order, book.moves(order.signed.id)
    told = sums_of(value, moves).locked
    if not told and is_over(value, moves, block.timestamp):
        return TokenUnits(0)
    lease = market.lease_of(order.signed.id, block)
    if not lease.status.is_live:
        return TokenUnits(0)
    return told or TokenUnits(
        lock_of(value, lease.price) - earned_rounded_down(lease.price, value.gpus, lease.paid_seconds)
    )


def provisional(market: MarketContract, book: JobJournal, order: KeptOrder, head: BlockRef) -> str:
    """What the newest block says of the order that no confirmed block says yet; empty where both say the same."""
    cursor = book.past.cursor()
    if cursor is not None and cursor.number >= head.number:
        return ""
    lease, servings = market.lease_of(order.signed.id, head), servings_of(book.moves(order.signed.id))
    was_live = bool(servings) and not servings[-1].exit
    return _news(lease, was_live, servings[-1].opened_at if servings else 0)


def _news(lease: Lease, was_live: bool, opened_at: int) -> str:
    if lease.status.is_live and not (was_live and lease.opened_at == opened_at):
        return "provisional: its lease is open, in a block that is not confirmed yet"
    if was_live and not lease.status.is_live:
        return "provisional: its lease is over, in a block that is not confirmed yet"
    return ""
