"""From columns of numbers to a snapshot of the market's own objects, a hundred thousand orders in a few seconds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketplace.domain import editions
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.budgets import Budget
from marketplace.domain.classes import class_numbered, load_classes
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.ledger import Delegation
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.reputation import NEWCOMER, WHOLE, Reputation
from marketplace.domain.spec import Constraints, JobSpec, Machine, Resources, WorkName
from marketplace.domain.units import BPS_WHOLE, GpuCount, Seconds, TokenUnits, UnixTime
from scheduler.engine.documents.snapshot import Snapshot

Column = NDArray[Any]

NOW = UnixTime(1_800_000_000)
BLOCK_SECONDS = 2
FIRST_BLOCK = 1_000_000
OPENER, ARBITER = Address("0x" + "0e" * 20), Address("0x" + "a1" * 20)
TERMS = MarketTerms(
    chain_id=31337, market=Address("0x" + "33" * 20), token=Address("0x" + "44" * 20), token_symbol="tUSD",
    token_decimals=6, deployed_at_block=1, start_grace=Seconds(300), claim_grace=Seconds(900),
    challenge_window=Seconds(3_600), ruling_window=Seconds(86_400), bond_floor=TokenUnits(10_000),
)  # fmt: skip
RICH = TokenUnits(10**15)
REPUTES = (NEWCOMER, Reputation(NOW, heard=100 * WHOLE), Reputation(NOW, heard=1_000 * WHOLE))
"""Nothing known, served well, served well for long."""
MIN_SCORES = (9_000, 9_500, 9_900)
"""What the newcomer has, and what the next two have."""
SIGNATURE = "0x" + "5a" * 65
_PLACE = "0" * 64
"""Stands in a spec where the hash of an order's own work goes."""


@dataclass(frozen=True, slots=True)
class OfferRows:
    """A row per offer. ``provider`` and ``region`` are numbers; ``money`` is the generator's ``provider_money``."""

    gpu_class: Column
    region: Column
    bond_bps: Column
    free: Column
    gpus: GpuCount
    """Of every machine, free or not."""
    ask: Column
    provider: Column
    min_seconds: Column
    machine: Column
    """Which of the machines of its model and region it is."""
    repute: Column
    """Its provider's row in ``REPUTES``."""
    money: float


@dataclass(frozen=True, slots=True)
class OrderRows:
    """A row per order. ``region``, ``pinned`` (an offer's row), ``named`` and ``excluded`` (providers), ``min_score`` and ``machine`` are −1
    where nothing is asked."""

    classes: Column
    vram_mib: Column
    region: Column
    min_bond_bps: Column
    gpus: Column
    limit: Column
    client: Column
    pinned: Column
    named: Column
    excluded: Column
    max_seconds: Column
    min_seconds: Column
    accepted_at: Column
    expires_at: Column
    min_score: Column
    machine: Column
    is_delegated: Column
    money: float
    delegate_money: float


def assembled(orders: OrderRows, offers: OfferRows, seed: object, *, own_specs: bool, first_offer: int = 1) -> Snapshot:
    """The snapshot of these rows. Ids, addresses and salts are words made of the seed."""
    listed, machines = _offers(offers, first_offer, seed)
    book = _orders(orders, listed, seed, own_specs=own_specs)
    block = block_at(FIRST_BLOCK)
    return Snapshot(
        view=BookView(
            block=block,
            orders=editions.RowSet(book),
            offers=editions.RowSet(listed),
            accounts=editions.Table({**_client_money(book, orders.money), **_provider_money(listed, offers.money)}),
            leases={},
            machines=machines,
            heartbeats=heartbeats_at(block, (offer.provider for offer in listed)),
            budgets=_budgets(book, orders.delegate_money),
            reputations=editions.Table(
                (offer.provider, REPUTES[n])
                for offer, n in zip(listed, offers.repute.tolist(), strict=True)
                if REPUTES[n] is not NEWCOMER
            ),
        ),
        opener=OPENER,
        terms=TERMS,
        classes=load_classes(),
    )


def block_at(number: int) -> BlockRef:
    """A block and its time: the first of a market is mined at ``NOW``."""
    return BlockRef(number, Bytes32(f"0x{number:064x}"), UnixTime(NOW + (number - FIRST_BLOCK) * BLOCK_SECONDS))


def heartbeats_at(block: BlockRef, providers: Iterable[Address]) -> dict[Address, UnixTime]:
    """All of them heard of a second before the block."""
    return dict.fromkeys(providers, UnixTime(block.timestamp - 1))


def person(kind: str, seed: object, number: int) -> Address:
    """The address of a client or of a provider."""
    return Address("0x" + _word(kind, seed, number)[:40])


def region_name(number: int) -> str:
    return f"region-{number:02d}"


def _word(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _offers(rows: OfferRows, first: int, seed: object) -> tuple[list[Offer], dict[Sha256, Machine]]:
    """The offers, and the machines that they describe: one for each model and region."""
    kinds = sorted(set(_rows((rows.gpu_class, rows.region, rows.machine))))
    machines = {kind: _machine(*kind, gpus=rows.gpus) for kind in kinds}
    specs = {kind: machine.sha256 for kind, machine in machines.items()}
    words = {kind: bytes32_of(name) for kind, name in specs.items()}
    people = {one: person("provider", seed, one) for one in np.unique(rows.provider).tolist()}
    columns = (
        rows.gpu_class, rows.region, rows.machine, rows.bond_bps, rows.free, rows.ask, rows.provider, rows.min_seconds,
    )  # fmt: skip
    offers = [
        Offer(
            id=OfferId(first + n),
            provider=people[provider],
            gpu_class=ClassNumber(gpu_class),
            gpus=rows.gpus,
            free=free,
            bond_bps=bond_bps,
            expires_at=UnixTime(NOW + 10**6),
            arbiter=ARBITER,
            price=ask,
            min_seconds=min_seconds,
            spec=words[gpu_class, region, machine],
        )
        for n, (gpu_class, region, machine, bond_bps, free, ask, provider, min_seconds) in enumerate(_rows(columns))
    ]
    return offers, {specs[kind]: machine for kind, machine in machines.items()}


def _machine(gpu_class: int, region: int, number: int, *, gpus: int) -> Machine:
    model, cpus = class_numbered(gpu_class), cpus_of(number)
    return Machine(region_name(region), model.name, model.vram_mib, gpus, cpus, 2_048 * cpus, 2**20 * gpus, True)


def cpus_of(machine: int) -> int:
    return 64 * (machine + 1)


def _orders(rows: OrderRows, offers: list[Offer], seed: object, *, own_specs: bool) -> list[BookOrder]:
    people = {one: person("client", seed, one) for one in np.unique(rows.client).tolist()}
    specs = _Specs(seed, own_specs=own_specs)
    demands = _rows((rows.gpus, rows.vram_mib, rows.machine, rows.region, rows.named, rows.excluded, rows.min_score))
    terms = _rows((
        rows.client, rows.classes, rows.pinned, rows.gpus, rows.max_seconds, rows.min_seconds, rows.limit,
        rows.min_bond_bps, rows.expires_at, rows.accepted_at, rows.is_delegated,
    ))  # fmt: skip
    book = list[BookOrder]()
    for n, (demand, term) in enumerate(zip(demands, terms, strict=True)):
        client, classes, pinned, gpus, max_seconds, min_seconds, limit, min_bond_bps, *times, is_delegated = term
        expires_at, accepted_at = times
        delegate = person("delegate", seed, client) if is_delegated else None
        spec, word = specs.of(n, demand)
        order = Order(
            client=people[client], classes=classes, offer=offers[pinned].id if pinned >= 0 else OfferId(0), gpus=gpus,
            max_seconds=max_seconds, min_seconds=min_seconds, max_price=limit, min_bond_bps=min_bond_bps,
            starts_at=UnixTime(0), expires_at=expires_at, tip=TokenUnits(0), opener=ZERO_ADDRESS,
            acceptor=ZERO_ADDRESS, arbiter=ARBITER, spec=word, salt=n,
        )  # fmt: skip
        signed = SignedOrder(Bytes32("0x" + _word("order", seed, n)), order, SIGNATURE)
        book.append(BookOrder(signed, spec, accepted_at, delegate))
    return book


class _Specs:
    """Job specs by what they ask for, each made once; or one for every order, written as a gateway would have read it."""

    def __init__(self, seed: object, *, own_specs: bool) -> None:
        self._seed = seed
        self._own = own_specs
        self._made: dict[tuple[int, ...], tuple[JobSpec, bytes, Bytes32]] = {}

    def of(self, number: int, demand: tuple[int, ...]) -> tuple[JobSpec, Bytes32]:
        """The spec of this order, and its hash as the order has it."""
        if demand not in self._made:
            spec = JobSpec(_work(_PLACE), resources=self._resources(demand), constraints=self._constraints(demand))
            self._made[demand] = spec, spec.canonical(), bytes32_of(spec.sha256)
        spec, content, word = self._made[demand]
        if not self._own:
            return spec, word
        name = f"{number + 1:064d}"
        own = JobSpec(_work(name), resources=self._resources(demand), constraints=self._constraints(demand))
        return own, bytes32_of(sha256_of(content.replace(_PLACE.encode(), name.encode())))

    def _resources(self, demand: tuple[int, ...]) -> Resources:
        gpus, vram_mib, machine, *_ = demand
        return Resources(gpus=gpus, vram_mib=vram_mib, cpus=cpus_of(machine) if machine >= 0 else 1)

    def _constraints(self, demand: tuple[int, ...]) -> Constraints:
        *_, region, named, excluded, min_score = demand
        return Constraints(
            regions=(region_name(region),) if region >= 0 else (),
            min_reliability_bps=max(0, min_score),
            providers=(person("provider", self._seed, named),) if named >= 0 else (),
            exclude_providers=(person("provider", self._seed, excluded),) if excluded >= 0 else (),
        )


def _work(name: str) -> WorkName:
    """Some work of this name; nobody reads it."""
    return WorkName(Sha256(name), 100)


def _client_money(book: Iterable[BookOrder], share: float) -> dict[Address, TokenUnits]:
    """What each client has free: this share of all that its orders might lock."""
    wanted = Counter[Address]()
    for order in book:
        wanted[order.signed.order.client] += worst_cost_of(order.signed.order)
    return {who: TokenUnits(round(units * share)) if share else RICH for who, units in wanted.items()}


def _budgets(book: Iterable[BookOrder], share: float) -> dict[Delegation, Budget]:
    """What each delegate may spend: this share of all that it signed for."""
    wanted = Counter[Delegation]()
    for order in book:
        if order.delegate:
            wanted[order.signed.order.client, order.delegate] += worst_cost_of(order.signed.order)
    until = UnixTime(NOW + 10**6)
    return {pair: Budget(TokenUnits(round(units * share)) if share else RICH, until) for pair, units in wanted.items()}


def _provider_money(offers: Iterable[Offer], share: float) -> dict[Address, TokenUnits]:
    """What each provider has free: this share of the bonds for an hour of all its free GPUs."""
    wanted = Counter[Address]()
    for offer in offers:
        wanted[offer.provider] += max(
            TERMS.bond_floor * offer.free, offer.price * offer.free * offer.bond_bps // BPS_WHOLE
        )
    return {who: TokenUnits(round(units * share)) if share else RICH for who, units in wanted.items()}


def _rows(columns: Iterable[Column]) -> Iterable[tuple[Any, ...]]:
    """The rows of these columns, as plain integers."""
    return zip(*(column.tolist() for column in columns), strict=True)
