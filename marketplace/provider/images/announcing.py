"""Says at the gateways which images are unpacked here, so that quotes can say where a job starts at once. Best effort, off the step."""

from __future__ import annotations

from typing import Final

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.warm_images import MOST_WARM_IMAGES
from marketplace.domain.blocks import BlockRef
from marketplace.domain.units import UnixTime
from marketplace.provider.gateways import AtEach
from marketplace.provider.images.cache import images_in
from marketplace.provider.toolbox import Toolbox

_log = structlog.get_logger()

ANNOUNCE_SECONDS: Final = 60
"""Block time between two announcements; a gateway keeps one for far longer."""
SEND_SECONDS: Final = 10.0


class ImageAnnouncer:
    """One part of an agent's housekeeping."""

    def __init__(self, tools: Toolbox) -> None:
        self._folder = tools.home.folder
        self._sending: AtEach[bool] = AtEach(tools.gateways)
        self._at = UnixTime(0)

    def step(self, head: BlockRef) -> None:
        """Announce, where it is time."""
        for reply in self._sending.answers(head.number):
            if reply.problem:
                _log.debug("images.not_announced", gateway=reply.line.url, reason=str(reply.problem))
        if head.timestamp >= self._at:
            self._at = UnixTime(head.timestamp + ANNOUNCE_SECONDS)
            self._sending.begin(lambda line: self._announce(line.api), head.number, seconds=SEND_SECONDS)

    def _announce(self, api: GatewayApi) -> bool:
        """On a gateway's thread: looks at the disk."""
        here = sorted(images_in(self._folder / "images", self._folder / "servings"), key=lambda image: -image.used_at)
        api.post_warm_images([image.digest for image in here[:MOST_WARM_IMAGES]])
        return True
