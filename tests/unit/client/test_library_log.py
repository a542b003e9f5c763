"""The SDK in somebody else's program: it says nothing there, unless it is asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

import marketplace
from marketplace.library_log import LibraryLog

LOG = LibraryLog("marketplace.client.somewhere")


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_nothing_is_printed_unless_asked(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither on stdout nor on stderr, warnings and errors neither; a handler of the program's gets the event and its facts."""
    told: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        LOG.warning("order.refused", order="0x12")
        LOG.error("step.crashed")
        root.addHandler(listener)
        LOG.warning("order.refused", order="0x12")
    finally:
        root.handlers = before

    assert told == ["order.refused order=0x12"]
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_process_of_ours_gets_it_as_it_configured(capfd: pytest.CaptureFixture[str]) -> None:
    """Once structlog is configured, events go there with their facts as they are."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer(key_order=["event"])])

    LOG.info("job.advanced", state="running")

    assert capfd.readouterr().out == "event='job.advanced' state='running'\n"


def test_the_sdk_speaks_by_no_other_way() -> None:
    """No module of the SDK, or of what it stands on, asks structlog itself or prints."""
    root = Path(marketplace.__file__).parent
    files = [*(root / "client").glob("*.py"), *(root / "chain").glob("*.py")]

    assert [path.name for path in files if "import structlog" in (text := path.read_text()) or " print(" in text] == []
