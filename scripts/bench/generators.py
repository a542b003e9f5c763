"""Made-up markets. What is drawn is a parameter, the draw is a seed: equal parameters and seeds give equal snapshots.

There is one generator. ``Uniform`` is the market of the published table; ``Trace`` (like the log of a cluster) and ``Thin`` (many small
markets) are the same with other parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from marketplace.domain import editions
from marketplace.domain.units import BPS_WHOLE, GpuCount
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.assembly import MIN_SCORES, NOW, REPUTES, OfferRows, OrderRows, assembled, block_at, heartbeats_at
from scripts.bench.goods import classes_of, costs_of, vram_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = TypeVar("Row")
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Uniform:
    """Everything even: models, regions and sizes are equally popular, prices scatter around what a model costs.

    Orders of one burst are alike but for their time; here each order is a burst of its own.
    """

    orders: int = 1_000
    offers: int = 1_000
    models: int = 12
    """GPU models, from cheap to dear."""
    popularity: float = 0.0
    """Exponent of Zipf's law of the demand for models, 0: even. Supply follows it half way."""
    regions: int = 8
    reliability_levels: int = 3
    """Offers put up one of so many bond shares; orders ask for at least one of them."""
    gangs: tuple[int, ...] = (1, 2, 4, 8)
    """GPUs that an order needs together."""
    gang_weights: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    """How often each is drawn; equally often where there are fewer weights than sizes."""
    free: tuple[int, ...] = (1, 2, 4, 8)
    """GPUs that an offer has free."""
    free_weights: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)

    exact_share: float = 0.6
    """Of the orders, those for one model. The others take any with enough VRAM."""
    bitmap_share: float = 0.5
    """Of these, those that say so by a list of classes. The others take every class, and their spec asks for the VRAM."""
    region_share: float = 0.5
    """Of the orders, those bound to one region."""
    pinned_share: float = 0.0
    """Of the orders, those for one offer alone."""
    named_share: float = 0.0
    """Of the orders, those for one provider alone."""
    excluding_share: float = 0.0
    """Of the orders, those that exclude a provider."""
    scored_share: float = 0.0
    """Of the orders, those that ask for a provider of good repute; of the providers, two in three have one."""
    machine_kinds: int = 1
    """Different machines of each model and region: the second has twice the CPUs and memory of the first, and so on."""
    hungry_share: float = 0.0
    """Of the orders, those that ask for the CPUs of one of them."""

    ask_spread: float = 0.2
    """Standard deviation of the logarithm of an ask over the model's cost."""
    ask_likeness: float = 0.0
    """The part of it that a provider's offers share, from 0 to 1."""
    limit_level: float = 1.2
    """Median of an order's limit over the cost of the cheapest model that it takes."""
    limit_spread: float = 0.4
    going_spread: float = 0.0
    """Standard deviation of the logarithm of what all pay for a model over its cost: fashions."""
    price_step: int = 10_000
    """Prices are multiples of so many token units: people like round numbers, and ties need breaking."""

    burst_tail: float = 0.0
    """Exponent of the Pareto law of a burst's size: the smaller, the larger are the largest. 0: one order each."""
    bursts_per_client: float = 1.0
    provider_tail: float = 0.0
    """Exponent of the Pareto law of the number of a provider's offers. 0: ``offers_per_provider`` each."""
    offers_per_provider: int = 1
    client_money: float = 0.0
    """A client's balance over what all its orders would lock at their limits; 0: more than enough."""
    provider_money: float = 0.0
    """A provider's balance over the bonds of all its free GPUs, let for an hour at its ask; 0: more than enough."""
    delegated_share: float = 0.0
    """Of the orders, those that a delegate signed, one for each client."""
    delegate_money: float = 0.0
    """A delegate's budget over what all that it signed would lock at its limits; 0: more than enough."""

    seconds: int = 3_600
    """The median of an order's maximum; ``seconds_spread`` is the standard deviation of its logarithm."""
    seconds_spread: float = 0.0
    min_seconds: int = 0
    """Offers ask for up to so many guaranteed seconds, orders guarantee up to so many."""
    patience: int = DAY
    """Median of the seconds until an order expires."""
    patience_spread: float = 0.0
    own_specs: bool = True
    """Every order has a spec of its own, as on a real book. Otherwise equal demands share one."""

    def snapshot(self, seed: int) -> Snapshot:
        """The market of this seed."""
        rng = np.random.default_rng((seed, 0))
        offers = self.offer_rows(rng)
        return assembled(self.order_rows(rng, offers), offers, seed, own_specs=self.own_specs)

    def churned(self, snapshot: Snapshot, seed: int, share: float = 0.01) -> Snapshot:
        """The market a block later: so large a share of its orders and of its offers has gone, and as many others have come. All providers are
        heard of."""
        return _churned(self, snapshot, seed, share)

    def offer_rows(self, rng: np.random.Generator) -> OfferRows:
        """The offers, as columns. A provider is in one region."""
        provider = self._providers(rng)
        model = _popular(rng, self.models, self.popularity / 2, len(provider))
        free = _drawn(rng, self.free, self.free_weights, len(provider))
        own = rng.normal(0.0, self.ask_spread, len(provider))
        shared = rng.normal(0.0, self.ask_spread, _groups(provider))[provider]
        noise = shared * self.ask_likeness**0.5 + own * (1 - self.ask_likeness) ** 0.5
        return OfferRows(
            gpu_class=classes_of(self.models)[model],
            region=rng.integers(self.regions, size=_groups(provider))[provider],
            bond_bps=self._bonds()[rng.integers(self.reliability_levels, size=len(provider))],
            free=free,
            gpus=GpuCount(max(self.free)),
            ask=self._rounded(costs_of(self.models)[model] * np.exp(noise)),
            provider=provider,
            min_seconds=rng.integers(self.min_seconds + 1, size=len(provider)),
            machine=rng.integers(self.machine_kinds, size=len(provider)),
            repute=rng.integers(len(REPUTES), size=_groups(provider))[provider],
            money=self.provider_money,
        )

    def order_rows(self, rng: np.random.Generator, offers: OfferRows) -> OrderRows:
        """The orders, as columns: drawn burst by burst."""
        burst = _sizes(rng, self.orders, self.burst_tail, 1)
        count = _groups(burst)
        model = _popular(rng, self.models, self.popularity, count)
        is_exact = rng.random(count) < self.exact_share
        mask, vram = self._demands(rng, model, is_exact)
        accepted_at, expires_at = self._times(rng, burst)
        limit = self._going_prices(rng, model, is_exact) * rng.lognormal(0.0, self.limit_spread, count)
        return OrderRows(
            classes=mask[burst],
            vram_mib=vram[burst],
            region=_some(rng, self.region_share, rng.integers(self.regions, size=count))[burst],
            min_bond_bps=self._bonds()[rng.integers(self.reliability_levels, size=count)][burst],
            gpus=_drawn(rng, self.gangs, self.gang_weights, count)[burst],
            limit=self._rounded(limit)[burst],
            client=(rng.permutation(count) / self.bursts_per_client).astype(np.int64)[burst],
            pinned=_some(rng, self.pinned_share, rng.integers(self.offers, size=count))[burst],
            named=_some(rng, self.named_share, rng.choice(offers.provider, count))[burst],
            excluded=_some(rng, self.excluding_share, rng.choice(offers.provider, count))[burst],
            max_seconds=_spread(rng, self.seconds, self.seconds_spread, count)[burst],
            min_seconds=np.minimum(rng.integers(self.min_seconds + 1, size=count), 60)[burst],
            accepted_at=accepted_at,
            expires_at=expires_at,
            min_score=_some(rng, self.scored_share, rng.choice(MIN_SCORES, count))[burst],
            machine=_some(rng, self.hungry_share, rng.integers(self.machine_kinds, size=count))[burst],
            is_delegated=(rng.random(count) < self.delegated_share)[burst],
            money=self.client_money,
            delegate_money=self.delegate_money,
        )

    def _providers(self, rng: np.random.Generator) -> Ints:
        return rng.permutation(_sizes(rng, self.offers, self.provider_tail, self.offers_per_provider))

    def _bonds(self) -> Ints:
        """The bond shares of the reliability levels, in basis points: from nothing to half of the lock."""
        return np.linspace(0, BPS_WHOLE // 2, self.reliability_levels).astype(np.int64)

    def _demands(self, rng: np.random.Generator, model: Ints, is_exact: Flags) -> tuple[NDArray[Any], Ints]:
        """Class bitmaps, and the VRAM that specs ask for: of the model itself, or of all that have no less VRAM."""
        classes, vram = classes_of(self.models), vram_of(self.models)
        every = sum(1 << int(one) for one in classes)
        exact = np.array([1 << int(one) for one in classes], dtype=object)
        roomy = np.array([sum(1 << int(one) for one in classes[vram >= least]) for least in vram], dtype=object)
        is_bitmap = rng.random(len(model)) < self.bitmap_share
        masks = np.where(is_exact, exact[model], np.where(is_bitmap, roomy[model], every))
        return masks, np.where(is_exact | is_bitmap, 0, vram[model])

    def _going_prices(self, rng: np.random.Generator, model: Ints, is_exact: Flags) -> Floats:
        """What is usually paid for what each burst wants: its model, or the cheapest that has no less VRAM."""
        costs, vram = costs_of(self.models), vram_of(self.models)
        going = costs * self.limit_level * rng.lognormal(0.0, self.going_spread, self.models)
        cheapest = np.array([going[vram >= least].min() for least in vram])
        return np.where(is_exact, going[model], cheapest[model])

    def _times(self, rng: np.random.Generator, burst: Ints) -> tuple[Ints, Ints]:
        """When orders were accepted, those of a burst within a minute, and when they expire."""
        start = NOW - rng.integers(60, 6 * 3_600, size=_groups(burst))
        accepted_at = start[burst] + rng.integers(60, size=len(burst))
        return accepted_at, NOW + 60 + _spread(rng, self.patience, self.patience_spread, _groups(burst))[burst]

    def _rounded(self, price: Floats) -> Ints:
        return np.maximum(1, np.round(price / self.price_step)).astype(np.int64) * self.price_step


@dataclass(frozen=True, slots=True)
class Trace(Uniform):
    """Like the log of a cluster: bursts of equal jobs, few popular models, mostly single GPUs, some jobs for weeks, a few large providers."""

    popularity: float = 1.1
    gangs: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 16)
    gang_weights: tuple[float, ...] = (0.7, 0.1, 0.01, 0.08, 0.005, 0.005, 0.09, 0.01)
    free: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 16)
    free_weights: tuple[float, ...] = (0.2, 0.12, 0.06, 0.15, 0.05, 0.06, 0.06, 0.25, 0.05)
    region_share: float = 0.3
    ask_spread: float = 0.15
    ask_likeness: float = 0.8
    limit_level: float = 1.05
    limit_spread: float = 0.2
    going_spread: float = 0.2
    burst_tail: float = 1.2
    bursts_per_client: float = 2.0
    provider_tail: float = 1.2
    seconds: int = 1_800
    seconds_spread: float = 1.8
    patience: int = 7_200
    patience_spread: float = 1.5


@dataclass(frozen=True, slots=True)
class Thin(Uniform):
    """Many small markets that do not touch: every order wants one model in one region."""

    models: int = 24
    regions: int = 20
    exact_share: float = 1.0
    region_share: float = 1.0


GENERATORS: dict[str, type[Uniform]] = {"uniform": Uniform, "trace": Trace, "thin": Thin}


def generator(name: str, orders: int, offers: int, **parameters: str) -> Uniform:
    """The generator of this name and size, with parameters as they are typed: ``gangs=1,3,5``. Raises ValueError for one that is not there."""
    default = GENERATORS[name](orders=orders, offers=offers)
    unknown = set(parameters) - {field.name for field in fields(default)}
    if unknown:
        raise ValueError(f"no such parameter: {', '.join(sorted(unknown))}")
    return replace(default, **{key: _read(getattr(default, key), text) for key, text in parameters.items()})


def _read(default: Any, text: str) -> Any:
    if isinstance(default, tuple):
        number = float if "." in text else int
        return tuple(number(part) for part in text.split(",") if part)
    return text == "true" if isinstance(default, bool) else type(default)(text)


# Draws ----------------------------------------------------------------------------------------------------------------


def _drawn(rng: np.random.Generator, values: tuple[int, ...], weights: tuple[float, ...], count: int) -> Ints:
    """So many of these values, by weight."""
    shares = np.array(weights if len(weights) == len(values) else [1.0] * len(values))
    return rng.choice(np.array(values), count, p=shares / shares.sum())


def _popular(rng: np.random.Generator, models: int, exponent: float, count: int) -> Ints:
    """Models by Zipf's law. Which ones are popular is drawn too."""
    shares = np.arange(1, models + 1, dtype=np.float64) ** -exponent
    return np.random.default_rng(models).permutation(models)[rng.choice(models, count, p=shares / shares.sum())]


def _some(rng: np.random.Generator, share: float, values: Ints) -> Ints:
    """The values for this share, −1 for the others."""
    return np.where(rng.random(len(values)) < share, values, -1)


def _spread(rng: np.random.Generator, median: int, spread: float, count: int) -> Ints:
    """Log-normal whole seconds, from a minute to four weeks."""
    return np.clip(median * rng.lognormal(0.0, spread, count), 60, 28 * DAY).astype(np.int64)


def _sizes(rng: np.random.Generator, count: int, tail: float, each: int) -> Ints:
    """The group of each of ``count`` things, in which groups are of Pareto sizes or all of one size; none is larger than a twentieth."""
    if not tail:
        return np.arange(count) // each
    sizes = np.minimum(1 + rng.pareto(tail, count), max(1, count // 20)).astype(np.int64)
    return np.repeat(np.arange(count), sizes)[:count]


def _groups(group: Ints) -> int:
    return int(group.max()) + 1 if len(group) else 0


def _churned(market: Uniform, snapshot: Snapshot, seed: int, share: float) -> Snapshot:
    rng = np.random.default_rng((seed, 1))
    view = snapshot.view
    gone_orders = set(rng.choice(len(view.orders), round(len(view.orders) * share), replace=False).tolist())
    gone_offers = set(rng.choice(len(view.offers), round(len(view.offers) * share), replace=False).tolist())
    small = replace(market, orders=max(1, len(gone_orders)), offers=max(1, len(gone_offers)), pinned_share=0.0)
    rows = small.offer_rows(rng)
    next_offer = 1 + max((offer.id for offer in view.offers), default=0)
    others = assembled(small.order_rows(rng, rows), rows, (seed, 1), own_specs=market.own_specs, first_offer=next_offer)
    new, block = others.view, block_at(view.block.number + 1)
    later = replace(
        view,
        block=block,
        orders=_after(view.orders, gone_orders, new.orders[: len(gone_orders)]),
        offers=_after(view.offers, gone_offers, new.offers[: len(gone_offers)]),
        accounts=editions.Table.after(view.accounts, new.accounts),
        budgets={**view.budgets, **new.budgets},
        reputations=editions.Table.after(view.reputations, new.reputations),
        machines={**view.machines, **new.machines},
        heartbeats=heartbeats_at(block, (*view.heartbeats, *new.heartbeats)),
    )
    return replace(snapshot, view=later)


def _after(rows: Sequence[Row], gone: Collection[int], come: Sequence[Row]) -> editions.RowSet[Row]:
    """The rows without those at these places, and with others."""
    stay = [row for n, row in enumerate(rows) if n not in gone]
    return editions.RowSet.after(rows, (*stay, *come), [rows[n] for n in gone], come)
