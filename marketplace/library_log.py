"""What the SDK and the chain client note on the way, as parts of somebody else's program: silent there until it asks.

A process of ours configures structlog (``telemetry.configure_logging``), and gets it that way. Any other program asks the standard library:
``logging.basicConfig(level=logging.INFO)``, or a handler on the logger ``marketplace``.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

logging.getLogger("marketplace").addHandler(logging.NullHandler())


class LibraryLog:
    """Notes events with their facts under a module's name."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **facts: Any) -> None:
        self._note(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._note(logging.WARNING, event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._note(logging.ERROR, event, facts)

    def exception(self, event: str, **facts: Any) -> None:
        """An error, with the traceback of the exception that is being handled."""
        self._note(logging.ERROR, event, facts | {"exc_info": True})

    def _note(self, level: int, event: str, facts: dict[str, Any]) -> None:
        if structlog.is_configured():
            structlog.get_logger().log(level, event, **facts)
            return
        trace = facts.pop("exc_info", None)
        told = " ".join(f"{name}={value}" for name, value in facts.items())
        self._logger.log(level, "%s %s", event, told, exc_info=trace)
