"""A development network as a user starts it: `bourse devnet up`, real processes on free loopback ports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.spelling import misspelled

START_SECONDS = 120


@dataclass(frozen=True)
class Network:
    """A running market and the means to play with it from outside."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / ".devnet" / "state.json").read_text())
        return state

    @property
    def settings(self) -> dict[str, str]:
        settings: dict[str, str] = self.state["settings"]
        return settings

    def bourse(self, *arguments: str, timeout: int = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command line, run where the network is, as a user would."""
        done = subprocess.run(
            [sys.executable, "-m", "marketplace.cli.main", *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"bourse {' '.join(arguments)}: {done.stdout}\n{done.stderr}"
        return done

    def answer(self, *arguments: str, timeout: int = 120) -> Any:
        """What the command line says with ``--json``."""
        document = json.loads(self.bourse(arguments[0], "--json", *arguments[1:], timeout=timeout).stdout)
        assert misspelled(document) == []
        return document


def eventually(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Look every 0.2 s until there is something to see; fail with ``what`` when there is nothing in time."""
    pause = Event()
    for _ in range(int(seconds / 0.2)):
        found = look()
        if found:
            return found
        pause.wait(0.2)
    raise AssertionError(f"{what} within {seconds} s")


@pytest.fixture(scope="package")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One market for all acceptance tests, and gone when the last of them is done; each uses accounts, orders and providers of its own."""
    network = Network(tmp_path_factory.mktemp("network"))
    network.bourse("devnet", "up", "--detach", timeout=START_SECONDS)
    yield network
    network.bourse("devnet", "down")
