"""Telling the gateways why leases were given back: best effort, for a while, and never in anybody's way. That it is given back is decided in ``preflight`` and ``timekeeper``."""

from __future__ import annotations

import structlog

from marketplace.chain.statements import sign_decline
from marketplace.domain.blocks import BlockRef
from marketplace.domain.declines import Decline, ObstacleReason, SignedDecline, one_line
from marketplace.domain.errors import GatewayProblem, MarketplaceError
from marketplace.domain.units import UnixTime
from marketplace.provider.chores import Chore, distrusted
from marketplace.provider.gateways import GatewayLine
from marketplace.provider.preflight import Obstacle
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving, ServingKey

_log = structlog.get_logger()

TOLD_FOR_SECONDS = 3600
"""Block time after which nobody asks any more."""
TELL_SECONDS = 20.0
_WRONG = frozenset({400, 413, 415, 422})
"""What will stay refused. (404: a gateway that has not seen the chain's newest block.)"""
_ABOUT_THE_WORK = frozenset(
    {
        ObstacleReason.SPEC_INVALID,
        ObstacleReason.INPUT_INVALID,
        ObstacleReason.INPUT_CORRUPT,
        ObstacleReason.INPUT_NOT_DELIVERED,
        ObstacleReason.OUTPUT_NOT_SUPPORTED,
    }
)
"""Their details name paths of the work, which is its client's: anybody may read why a lease was declined."""


class DeclineNotices:
    """What is still to be told, oldest first. It is in memory only: a pair whose reason is lost rests, and that is all."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self._lines = tuple(_Told(line) for line in tools.gateways)
        self._told_until: dict[ServingKey, UnixTime] = {}

    def tell(self, serving: Serving, obstacle: Obstacle, now: UnixTime) -> None:
        """Sign it, and have it told by the steps to come."""
        if serving.key in self._told_until:
            return
        is_sealed = self._tools.home.serving(*serving.key).job_key.exists()
        detail = "" if is_sealed or obstacle.reason in _ABOUT_THE_WORK else one_line(obstacle.detail)
        decline = Decline(serving.lease, serving.opened_at, obstacle.reason, detail)
        signed = SignedDecline(decline, sign_decline(self._tools.key, decline, self._tools.domain))
        until = self._told_until[serving.key] = UnixTime(now + TOLD_FOR_SECONDS)
        for line in self._lines:
            line.waiting[serving.key] = (signed, until)

    def step(self, head: BlockRef) -> None:
        """Never fails: what is not told is told later, or not at all."""
        for line in self._lines:
            line.step(head)
        self._told_until = {key: until for key, until in self._told_until.items() if head.timestamp < until}


class _Told:
    """What one gateway is still to be told."""

    def __init__(self, line: GatewayLine) -> None:
        self.waiting: dict[ServingKey, tuple[SignedDecline, UnixTime]] = {}
        self._api = line.api
        self._posting: Chore[bool] = Chore(line.pool)
        self._at_hand: ServingKey | None = None

    def step(self, head: BlockRef) -> None:
        try:
            if self._posting.take(head.number):
                self._forget_one()
        except GatewayProblem as exc:
            _log.info("decline.not_told", reason=exc.reason, error=str(exc))
            if exc.status in _WRONG:
                self._forget_one()
        except MarketplaceError as exc:
            _log.debug("decline.not_told", reason=exc.reason)
        self.waiting = {key: row for key, row in self.waiting.items() if head.timestamp < row[1]}
        if self.waiting and not self._posting.is_under_way:
            self._at_hand = next(iter(self.waiting))
            api, signed = self._api, self.waiting[self._at_hand][0]
            self._posting.begin(lambda: distrusted(lambda: api.post_decline(signed)), head.number, seconds=TELL_SECONDS)

    def _forget_one(self) -> None:
        if self._at_hand is not None:
            self.waiting.pop(self._at_hand, None)
