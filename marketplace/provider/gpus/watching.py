"""A look at the machine's GPUs now and then, beside the agent's step: which offers are fit, and what can be said to be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from marketplace.domain.blocks import BlockRef
from marketplace.domain.units import UnixTime
from marketplace.provider.capacity import Capacity
from marketplace.provider.chores import Chore
from marketplace.provider.gpus.rig import GpuSight
from marketplace.provider.inventory import InventoryOffer
from marketplace.provider.toolbox import Toolbox

_log = structlog.get_logger()

LOOK_SECONDS = 60
"""Block time between two looks."""

GpuSights = Mapping[InventoryOffer, GpuSight]


class GpuWatch:
    """Looks as a chore, and holds the offers against what was seen. One step of it never waits, and never fails."""

    def __init__(self, tools: Toolbox, capacity: Capacity) -> None:
        self._rig, self._capacity = tools.rig, capacity
        self._looking: Chore[GpuSights] = Chore(tools.pools.machine)
        self._look_at = UnixTime(0)
        self.sights: GpuSights = {}
        self.seen_at: BlockRef | None = None
        """The newest block that was known when the last look began."""
        self._began: BlockRef | None = None

    def has_looked_at(self, offers: Sequence[InventoryOffer]) -> bool:
        """Whether it is known of all of these whether they are fit."""
        return self.sights.keys() >= set(offers)

    @property
    def unfit(self) -> frozenset[InventoryOffer]:
        """The offers that must not be on the market now."""
        return frozenset(offer for offer, sight in self.sights.items() if sight.unfit)

    @property
    def trouble(self) -> str:
        """Why offers are not on the market; empty where all are fit."""
        said = (
            f"{offer.count} x {offer.gpu.name}: {sight.unfit}" for offer, sight in self.sights.items() if sight.unfit
        )
        return "; ".join(said)

    def step(self, head: BlockRef, offers: Sequence[InventoryOffer]) -> bool:
        """Look if it is time, or if there are other offers; whether offers became fit or unfit."""
        before = self.unfit
        sights = self._looking.take(head.number)
        if sights is not None:
            self._tell(sights)
            self.sights, self.seen_at = sights, self._began
        is_new = set(offers) != set(self.sights)
        if (is_new or head.timestamp >= self._look_at) and not self._looking.is_under_way:
            self._look_at, self._began = UnixTime(head.timestamp + LOOK_SECONDS), head
            rig, in_use = self._rig, self._capacity.gpus_in_use()

            def look() -> GpuSights:
                rig.look()
                return {offer: rig.sight(offer, in_use) for offer in offers}

            self._looking.begin(look, head.number)
        return self.unfit != before

    def _tell(self, sights: GpuSights) -> None:
        for offer, sight in sights.items():
            before = self.sights.get(offer)
            if before is not None and before.unfit == sight.unfit and before.is_measured == sight.is_measured:
                continue
            if sight.unfit:
                _log.error(
                    "offer.not_fit",
                    gpu=offer.gpu.name,
                    gpus=offer.gpus,
                    reason=sight.unfit.reason,
                    why=str(sight.unfit),
                )
            else:
                _log.info("offer.seen", gpu=offer.gpu.name, gpus=offer.gpus, measured=sight.is_measured)
