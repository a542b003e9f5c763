"""The machine's own GPUs: what the driver counts, and whose they are among the agents of one machine."""

from __future__ import annotations

import structlog

from marketplace.domain.errors import ToolMissing
from marketplace.provider.inventory import measure

_log = structlog.get_logger()


def look_at_gpus() -> None:
    """Say in the log what stands behind the inventory: at best a driver that counts GPUs, never a measurement of them."""
    try:
        _log.info("gpus.counted", seen_by_driver=measure(), inventory="declared, not measured")
    except ToolMissing as exc:
        _log.info("gpus.not_measured", why=str(exc))
