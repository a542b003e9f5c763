"""Telling the gateways what was measured: for each offer whose GPUs the driver shows, the agent's signed word, as of a block."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.statements import sign_measurement
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import OfferId
from marketplace.domain.measurements import MOST_MEASURED, MeasuredGpu, Measurement, SignedMeasurement
from marketplace.domain.units import UnixTime
from marketplace.provider.gateways import AtEach, GatewayLine
from marketplace.provider.gpus.nvml import SeenGpu, SeenMachine
from marketplace.provider.gpus.watching import GpuWatch
from marketplace.provider.inventory import InventoryOffer
from marketplace.provider.toolbox import Toolbox

_log = structlog.get_logger()

REPEAT_SECONDS = 600
"""Block time after which it is said again, as of a newer block."""
AGAIN_SECONDS = 10
"""Block time after which what a gateway did not take is offered again."""
SEND_SECONDS = 10.0


class Measuring:
    """One step of it never waits, and never fails. Money does not depend on it."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self._sending: AtEach[bool] = AtEach(tools.gateways)
        self._said: tuple[SignedMeasurement, ...] = ()
        self._told: set[GatewayLine] = set()
        self._repeat_at = self._send_at = UnixTime(0)

    def step(self, head: BlockRef, watch: GpuWatch, standing: Mapping[OfferId, InventoryOffer]) -> None:
        """``standing``: which listing is which part of the inventory."""
        for answer in self._sending.answers(head.number):
            if answer.found:
                self._told.add(answer.line)
            else:
                _log.info("measurement.not_taken", gateway=answer.line.url, reason=str(answer.problem))
        found = self._measured(watch, standing)
        is_news = [one.gpus for one in found] != [one.measurement.gpus for one in self._said]
        if not found:
            self._said = ()  # what is not there any more is not said any more; gateways forget it
        elif is_news or head.timestamp >= self._repeat_at:
            self._repeat_at, self._send_at, self._told = (
                UnixTime(head.timestamp + REPEAT_SECONDS),
                head.timestamp,
                set(),
            )
            key, domain = self._tools.key, self._tools.domain
            self._said = tuple(SignedMeasurement(one, sign_measurement(key, one, domain)) for one in found)
            _log.info("gpus.measured", offers=[one.offer for one in found], block=found[0].block)
        if self._said and head.timestamp >= self._send_at:
            said, self._send_at = self._said, UnixTime(head.timestamp + AGAIN_SECONDS)
            self._sending.begin(lambda line: _sent(line.api, said), head.number, seconds=SEND_SECONDS, but=self._told)

    def _measured(self, watch: GpuWatch, standing: Mapping[OfferId, InventoryOffer]) -> tuple[Measurement, ...]:
        seen, at = self._tools.rig.seen, watch.seen_at
        sights = [(offer, part, watch.sights.get(part)) for offer, part in sorted(standing.items())]
        return tuple(
            _measurement(offer, part, at, seen, sight.gpus)
            for offer, part, sight in sights
            if at and sight and sight.is_measured and len(sight.gpus) <= MOST_MEASURED
        )


def _measurement(
    offer: OfferId, part: InventoryOffer, at: BlockRef, seen: SeenMachine, gpus: tuple[SeenGpu, ...]
) -> Measurement:
    return Measurement(
        offer, part.machine.sha256, at.number, at.timestamp, seen.driver, seen.cuda, tuple(map(_public, gpus))
    )


def _public(gpu: SeenGpu) -> MeasuredGpu:
    """What of a GPU is told to everybody: nothing that changes from minute to minute."""
    return MeasuredGpu(
        gpu.uuid, gpu.name, gpu.memory_mib or 0, gpu.capability, gpu.pcie_generation, gpu.pcie_lanes, gpu.nvlinks, gpu.has_ecc
    )  # fmt: skip


def _sent(api: GatewayApi, said: tuple[SignedMeasurement, ...]) -> bool:
    for one in said:
        api.gpus.post_measurement(one)
    return True
