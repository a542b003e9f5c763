"""How the processes speak: one JSON object per line on stderr, or a readable line on a terminal; repeated warnings are folded."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from marketplace.domain.printable import harmless
from marketplace.repeated_warnings import Folding


class _Library(logging.Handler):
    """What libraries have to say goes the same way as our own lines, and is folded with them."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            record.getMessage(),
            reason=str(record.msg)[:80],
            logger=record.name,
            exc_info=record.exc_info,
        )


def configure_logging(process: str, *, level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging once per process. Logs go to stderr: stdout is for answers."""
    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Folding(),
            _named(process),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # A logger that is kept would keep this stream, too, for whoever sets up logging anew.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Library()])


def _harmless(_logger: Any, _method: str, line: Any) -> Any:
    """Strangers have written into these lines, too, and a terminal would obey them."""
    return {name: harmless(value) if isinstance(value, str) else value for name, value in line.items()}


def _named(process: str) -> Any:
    """Every line says whose it is; a context variable would be unknown to threads."""

    def add(_logger: Any, _method: str, line: Any) -> Any:
        line["process"] = process
        return line

    return add
