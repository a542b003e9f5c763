"""`python -m scripts.bench.floods`: rounds that somebody tries to hold up, by orders and offers made to take long. About half a minute.

What they have in common is that they cost whoever sends them next to nothing: orders that are not filled pay nothing.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from eth_utils.address import to_checksum_address

from marketplace.domain.book import BookOrder
from marketplace.domain.ids import Address, sha256_in
from marketplace.domain.offers import Offer
from marketplace.domain.spec import Constraints, Group, Resources
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench import flood_words as f
from scripts.bench.generators import Uniform
from scripts.bench.trial import WARM_UP_SEED
from scripts.bench.versions import versions
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures

SEED, DOLLAR = 1, 10**6
ONE_MARKET: dict[str, Any] = {"models": 1, "regions": 1, "reliability_levels": 1, "exact_share": 0, "region_share": 0}
MOST_GPUS = 65_535
NODES = 16
"""Of a group."""
MACHINES = 20
"""Of a provider; one of them has room for a large node, and every group has two such."""


def main(arguments: list[str]) -> int:
    """Measure, print, and write unless another size than the published was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.floods", description=__doc__)
    parser.add_argument(
        "--scale", type=int, default=1, help="divide the number of orders and offers by it, and print only"
    )
    options = parser.parse_args(arguments)
    clear(Uniform(orders=300, offers=100).snapshot(WARM_UP_SEED))
    values: dict[str, Number] = {}
    for name, words in f.FLOODS.items():
        values[f.key(name)] = round(_seconds(FLOODS[name](f.ORDERS // options.scale, f.OFFERS // options.scale)), 2)
        print(f"{values[f.key(name)]:>7.2f} s  {words}", flush=True)
    if options.scale == 1:
        write_figures(Measured(values, versions()), f.COMMAND)
        tables.main([])
    return 0


def _seconds(snapshot: Snapshot) -> float:
    gc.collect()
    begun = time.perf_counter()
    clear(snapshot)
    return time.perf_counter() - begun


# The floods -----------------------------------------------------------------------------------------------------------


def usual(orders: int, offers: int) -> Snapshot:
    return Uniform(orders=orders, offers=offers).snapshot(SEED)


def sizes(orders: int, offers: int) -> Snapshot:
    """Machines of more GPUs than there are, with thousands of orders on each, and gangs of many sizes that bid for them."""
    snapshot = usual(orders, offers)
    gpus = [2 + turn % 250 * 260 if turn < orders // 2 else 1 for turn in range(orders)]
    book = [_asking(order, gpus=GpuCount(count)) for order, count in zip(snapshot.view.orders, gpus, strict=True)]
    giants = [replace(offer, gpus=GpuCount(MOST_GPUS), free=GpuCount(MOST_GPUS)) for offer in snapshot.view.offers]
    return _of(snapshot, book, giants)


def excluding(orders: int, offers: int) -> Snapshot:
    """Every order a demand of its own, and every offer a pool of its own."""
    return Uniform(orders=orders, offers=offers, excluding_share=1.0).snapshot(SEED)


def wide(orders: int, offers: int) -> Snapshot:
    """The same where an order accepts nearly all offers, and gangs of many sizes."""
    many = tuple(range(1, 121))
    market = Uniform(orders=orders, offers=offers, excluding_share=0.2, gangs=many, gang_weights=(), free=(120,), free_weights=(), **ONE_MARKET)  # fmt: skip
    return market.snapshot(SEED)


def chain(orders: int, offers: int) -> Snapshot:
    """Prices that pass from provider to provider, one in each pass: a place is wanted at both ends by one order more than there are."""
    snapshot = Uniform(orders=offers + 2, offers=offers, **ONE_MARKET).snapshot(SEED)
    who = [Address(to_checksum_address(f"0x{turn + 16**39:040x}")) for turn in range(offers)]
    listed = [
        replace(offer, provider=who[turn], gpus=GpuCount(1), free=GpuCount(1), price=PricePerGpuHour(DOLLAR + (offers - turn) * 10))
        for turn, offer in enumerate(snapshot.view.offers)
    ]  # fmt: skip
    wanted = [(who[turn], who[min(turn + 1, offers - 1)]) for turn in range(offers)] + [(who[0],), (who[-1],)]
    limits = [9 * DOLLAR + turn for turn in range(offers)] + [8 * DOLLAR] * 2
    book = [
        _asking(
            replace(order, spec=replace(order.spec, resources=Resources(), constraints=Constraints(providers=providers))),
            gpus=GpuCount(1), max_price=PricePerGpuHour(limit),
        )
        for order, providers, limit in zip(snapshot.view.orders, wanted, limits, strict=True)
    ]  # fmt: skip
    return _of(snapshot, book, listed, heard=who)


def penniless(orders: int, offers: int) -> Snapshot:
    """Nothing can be filled, and every order has to be tried anew."""
    snapshot = Uniform(orders=orders, offers=offers, **ONE_MARKET).snapshot(SEED)
    who = snapshot.view.offers[0].provider
    listed = [
        replace(offer, provider=who, bond_bps=Bps(1_000), price=PricePerGpuHour(1_000))
        for offer in snapshot.view.offers
    ]
    book = [
        _asking(order, max_seconds=Seconds(200_000 - turn), max_price=PricePerGpuHour(10 * DOLLAR - turn), min_bond_bps=Bps(0))
        for turn, order in enumerate(snapshot.view.orders)
    ]  # fmt: skip
    return _of(snapshot, book, listed, money={who: TokenUnits(0)})


def preferring(orders: int, offers: int) -> Snapshot:
    """The dear region has one machine; the others are cheap, and all orders would rather not be there."""
    snapshot = Uniform(orders=orders, offers=offers, **ONE_MARKET | {"regions": 2}).snapshot(SEED)
    regions = {machine.region for machine in snapshot.view.machines.values()}
    dear, client = min(regions), snapshot.view.orders[0].signed.order.client
    listed = [
        replace(offer, price=PricePerGpuHour(10 * DOLLAR if snapshot.view.machines[sha256_in(offer.spec)].region == dear else 1_000))
        for offer in snapshot.view.offers
    ]  # fmt: skip
    preferring = Constraints(prefer_regions=(dear,))
    book = [
        _asking(replace(order, spec=replace(order.spec, constraints=preferring)), client=client, max_price=PricePerGpuHour(20 * DOLLAR))
        for order in snapshot.view.orders
    ]  # fmt: skip
    return _of(snapshot, book, listed, money={client: TokenUnits(400 * DOLLAR)})


def groups(orders: int, offers: int) -> Snapshot:
    """Jobs of sixteen nodes, two of them large, where every provider has enough machines, and one that is large enough."""
    snapshot = Uniform(orders=orders // 5, offers=offers, **ONE_MARKET).snapshot(SEED)
    who = [offer.provider for offer in snapshot.view.offers[::MACHINES]]
    listed = [
        replace(
            offer, provider=who[turn // MACHINES], gpus=GpuCount(8), free=GpuCount(4 if turn % MACHINES else 8),
            price=PricePerGpuHour(10_000),
        )
        for turn, offer in enumerate(snapshot.view.offers)
    ]  # fmt: skip
    book = list(snapshot.view.orders)
    for turn in range(orders * 4 // 25 // NODES * NODES):
        first = book[turn - turn % NODES]
        group = Group(f"{turn // NODES:064x}", NODES, turn % NODES)
        asked = replace(book[turn], spec=replace(book[turn].spec, constraints=Constraints(), group=group))
        gpus = GpuCount(8 if turn % NODES < 2 else 1)
        book[turn] = _asking(
            asked, client=first.signed.order.client, gpus=gpus, max_price=PricePerGpuHour(1_000 * DOLLAR)
        )
    return _of(snapshot, book, listed)


FLOODS: dict[str, Callable[[int, int], Snapshot]] = {
    "usual": usual, "sizes": sizes, "excluding": excluding, "wide": wide, "chain": chain,
    "penniless": penniless, "preferring": preferring, "groups": groups,
}  # fmt: skip


def _asking(order: BookOrder, **changes: Any) -> BookOrder:
    return replace(order, signed=replace(order.signed, order=replace(order.signed.order, **changes)))


def _of(
    snapshot: Snapshot,
    orders: Sequence[BookOrder],
    offers: Sequence[Offer],
    *,
    heard: Sequence[Address] = (),
    money: Mapping[Address, TokenUnits] | None = None,
) -> Snapshot:
    """The same with these rows; everybody can pay who is not named with less ``money``."""
    view = snapshot.view
    everybody = [
        *view.accounts,
        *(offer.provider for offer in offers),
        *(order.signed.order.client for order in orders),
    ]
    accounts = {**dict.fromkeys(everybody, TokenUnits(10**15)), **(money or {})}
    heartbeats = {**view.heartbeats, **dict.fromkeys(heard, view.block.timestamp)}
    return replace(
        snapshot,
        view=replace(view, orders=tuple(orders), offers=tuple(offers), accounts=accounts, heartbeats=heartbeats),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
