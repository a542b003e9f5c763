"""What all tests share: a kind (its folder), and for unit tests a wall around the network."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

gc.set_threshold(20_000, 20, 20)
"""With Python's own, looking for garbage takes a seventh of a worker's time."""

TESTS = Path(__file__).parent
KINDS = ("unit", "integration", "differential", "faults", "hostile", "acceptance", "architecture", "solidity")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the differential test runs; the default is short."""
    parser.addoption("--sequences", type=int, default=20, help="random call sequences of tests/differential")
    parser.addoption("--first-seed", type=int, default=0, help="the seed of the first of them")


TOGETHER = {"acceptance": "the network", "solidity": "forge"}
"""Kinds of which only one worker runs any: one market is enough for two cores, and forge works in one folder."""
LONGEST_FIRST = (
    "the network",
    "forge",
    "faults/test_rows.py",
    "integration/provider/test_reorganised.py",
    "faults/test_simulation.py",
    "integration/provider/test_serving.py",
    "integration/chain/test_heads.py",
    "integration/scheduler/test_ray_auction.py",
    "integration/test_bubblewrap_agent.py",
    "integration/chain/test_sending_lies.py",
    "integration/gateway/test_outages.py",
    "integration/gateway/test_any_request.py",
    "integration/provider/test_crashes.py",
    "integration/provider/test_sealed.py",
    "integration/provider/test_measuring.py",
    "hostile/gateway/test_fields.py",
)
"""What takes a worker half a minute or more begins before the rest, so that in the end none works alone."""


structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback
"""Whatever fails on purpose is logged: coloured, with all values of all frames, that takes longer than the test."""


@pytest.hookimpl(tryfirst=True)  # before the workers are told of the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's kind is its folder, so that nobody can forget to say it; the tests of a file stay with one worker."""
    for item in items:
        kind = item.path.relative_to(TESTS).parts[0]
        if kind not in KINDS:
            raise pytest.UsageError(f"{item.path}: tests live in one of {', '.join(KINDS)}")
        item.add_marker(kind)
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    if gone := [group for group in LONGEST_FIRST if "/" in group and not (TESTS / group).exists()]:
        raise pytest.UsageError(f"tests/conftest.py: of the longest tests these are gone: {', '.join(gone)}")
    if hasattr(config, "workerinput"):  # with one worker, the quick ones first
        turns = {group: turn for turn, group in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: turns.get(group_of(item), len(turns)))


def pytest_collection_finish() -> None:
    """What is loaded and collected by now stays: there is no garbage in it to look for."""
    gc.collect()
    gc.freeze()


def group_of(item: pytest.Item) -> str:
    """The tests that one worker runs, one after the other."""
    file = item.path.relative_to(TESTS)
    return TOGETHER.get(file.parts[0]) or str(file)


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that connects to anything is not one."""
    if request.node.get_closest_marker("unit") is None:
        return

    def refuse(_: socket.socket, address: Any) -> None:
        raise AssertionError(f"a unit test connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _no_settings_from_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the BOURSE_ variables of who runs it."""
    import os

    for name in [name for name in os.environ if name.startswith("BOURSE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """No test finds its log lines where another one has sent them."""
    yield
    structlog.reset_defaults()
