"""An agent's signs of life: signed, and left at every gateway."""

from __future__ import annotations

import structlog

from marketplace.domain.blocks import BlockRef
from marketplace.domain.units import UnixTime
from marketplace.provider.gateways import AtEach
from marketplace.provider.toolbox import Toolbox

_log = structlog.get_logger()

BEAT_SECONDS = 10.0


class Heartbeats:
    """Best effort: to a gateway that hangs no less often than to the others."""

    def __init__(self, tools: Toolbox) -> None:
        self._every_seconds = tools.policy.heartbeat_seconds
        self._beating: AtEach[UnixTime] = AtEach(tools.gateways)
        self._beat_at = UnixTime(0)

    @property
    def is_finished(self) -> bool:
        """Whether an answer has come that no step has seen."""
        return self._beating.is_finished

    def step(self, head: BlockRef) -> None:
        """Beat, where it is time."""
        for answer in self._beating.answers(head.number):
            if answer.problem:
                _log.debug("heartbeat.not_taken", gateway=answer.line.url, reason=str(answer.problem))
        if head.timestamp >= self._beat_at:
            self._beat_at = UnixTime(head.timestamp + self._every_seconds)
            self._beating.begin(lambda line: line.api.heartbeat(), head.number, seconds=BEAT_SECONDS)
