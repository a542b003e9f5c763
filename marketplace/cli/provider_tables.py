"""What people read of `bourse provider …`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketplace.chain.checksums import checksum
from marketplace.cli.provider_documents import class_name, summed
from marketplace.cli.tables import amount, clock, plain_table, short
from marketplace.domain.blocks import BlockRef
from marketplace.domain.earnings import Earnings
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.pricing import lock_of
from marketplace.domain.states import ServingState
from marketplace.domain.units import COIN_DECIMALS, Seconds, TokenUnits, UnixTime, text_from_seconds, text_from_units

if TYPE_CHECKING:
    from marketplace.provider.commands import Attended, Picture
    from marketplace.provider.images.cache import CachedImage


def status(value: Picture, account: Address, terms: MarketTerms) -> Group:
    """How a provider stands: its agent, its money, its offers, its leases."""
    head = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    head.add_column(style="bold")
    head.add_column(overflow="fold")
    head.add_row("provider", checksum(account))
    head.add_row("agent", _agent(value))
    if value.report and value.report.inventory:
        head.add_row("inventory", value.report.inventory)
    if value.report and value.report.inventory_problem:
        head.add_row("", Text(f"not in force: {value.report.inventory_problem}", style="red"))
    if value.pid and value.report and value.report.trouble:
        head.add_row("", Text(value.report.trouble, style="red"))
    head.add_row("free in the market", amount(value.free, terms))
    head.add_row("bonds held in leases", amount(value.held, terms))
    gas = text_from_units(value.coin_wei, COIN_DECIMALS)
    head.add_row("coin for gas", gas if value.coin_wei else Text(f"{gas}: it can neither list nor claim", style="red"))
    return Group(head, Text(), _offers(value, terms), Text(), leases(value.leases, value.block, terms))


def _agent(value: Picture) -> Text:
    standing = value.wishes.standing.value
    if not value.pid:
        return Text(f"none runs ({standing} when it is started)", style="red")
    is_leaving = value.report is not None and value.report.is_leaving
    behind = value.block.number - value.report.block_number if value.report else 0
    words = f"process {value.pid}, {'leaving' if is_leaving else standing}"
    if behind > 60:
        return Text(f"{words}; last heard of {behind} blocks ago", style="yellow")
    return Text(words, style="green" if standing == "open" and not is_leaving else "yellow")


def _offers(value: Picture, terms: MarketTerms) -> RenderableType:
    if not value.offers:
        return Text("No offers.")
    table = plain_table("offer", "GPU", "free", "price per GPU-hour", "on the market until", "")
    for offer in value.offers:
        is_alive = offer.is_alive(value.block.timestamp)
        declared = value.report.declared.get(offer.id) if value.report else None
        asked = declared is not None and declared != offer.price
        table.add_row(
            str(offer.id),
            class_name(offer.gpu_class),
            f"{offer.free} of {offer.gpus}",
            amount(offer.price, terms),
            f"{text_from_seconds(offer.expires_at - value.block.timestamp)} from now" if is_alive else "withdrawn",
            f"the inventory says {amount(declared, terms)}" if asked and declared is not None else "",
        )
    return table


def leases(rows: Sequence[Attended], head: BlockRef, terms: MarketTerms) -> RenderableType:
    """What is being served, or was."""
    if not rows:
        return Text("No leases.")
    table = plain_table("lease", "offer", "GPUs", "state", "since", "seconds", "of at most", "pays at most", "")
    for row in rows:
        serving = row.serving
        used = serving.used_seconds
        if used is None and serving.state is not ServingState.CLOSED:
            used = Seconds(max(0, head.timestamp - max(serving.opened_at, serving.order.starts_at)))
        table.add_row(
            short(serving.lease),
            str(serving.offer),
            f"{serving.order.gpus} × {class_name(row.gpu_class)}",
            serving.state.value,
            clock(serving.updated_at),
            "–" if used is None else str(used),
            str(serving.order.max_seconds),
            amount(lock_of(serving.order, serving.price), terms),
            serving.note,
        )
    return table


def cached_images(found: Sequence[CachedImage]) -> RenderableType:
    """What is kept of container images."""
    if not found:
        return Text("No images.")
    table = plain_table("image", "MiB", "used by", "last")
    for one in found:
        users = f"{len(one.users)} lease{'' if len(one.users) == 1 else 's'}" if one.users else "–"
        table.add_row(one.record.name, str(one.record.bytes >> 20), users, clock(UnixTime(one.used_at)))
    return table


def earnings(value: Earnings, by: str, balance: TokenUnits, terms: MarketTerms) -> Group:
    """The books, and the balance that they explain."""
    table = plain_table(by, "leases", "GPU-hours", "earned", "assigned to another")
    for name, count, seconds, units, elsewhere in summed(value.rows, by):
        shown = short(name) if by == "lease" else name
        table.add_row(
            shown, str(count), _hours(seconds), amount(units, terms), amount(elsewhere, terms) if elsewhere else ""
        )
    table.add_row("all", "", _hours(sum(row.gpu_seconds for row in value.rows)), amount(value.earned, terms), "")
    sums = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    sums.add_column(style="bold")
    sums.add_column(justify="right")
    for words, units in (
        ("deposited", value.deposited), ("withdrawn", -value.withdrawn), ("earned", value.earned),
        ("as client, opener or arbiter", value.other), ("held in live leases", -value.held), ("makes", value.balance),
    ):  # fmt: skip
        sums.add_row(words, amount(units, terms))
    sums.add_row("free balance", amount(balance, terms))
    is_same = value.balance == balance
    verdict = "the same" if is_same else "NOT the same: the node has not told every event"
    return Group(table, Text(), sums, Text(verdict, style="green" if is_same else "red"))


def _hours(gpu_seconds: int) -> str:
    """GPU-hours with four decimals, rounded down."""
    return f"{gpu_seconds // 3600}.{gpu_seconds % 3600 * 10_000 // 3600:04d}"
