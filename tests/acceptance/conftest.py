"""A development network as a user starts it: `bourse devnet up`, real processes on free loopback ports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.spelling import misspelled

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
SHELL_SECONDS = 200


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


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """The code that a page asks to be run: (language, code), without starting and ending the market itself."""
    found = re.findall(r"```(sh|python)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [(kind, re.sub(r"^bourse devnet (up|down).*\n", "", code, flags=re.MULTILINE)) for kind, code in found]
    return [(kind, code) for kind, code in lines if code.strip()]


def run_by_reader(folder: Path, kind: str, code: str) -> str:
    """Run a page's code in a folder of the reader's, with ``bourse`` on its path and a home of its own; what it printed. It must not fail."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "bourse").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m marketplace.cli.main "$@"\n')
    (programs / "bourse").chmod(0o755)
    environment = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "BOURSE_HOME": str(folder / "home"), "HOME": str(folder),
        "COLUMNS": "140",
    }  # fmt: skip
    command = ["bash", "-euo", "pipefail", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SHELL_SECONDS, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="package")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One market for all acceptance tests, and gone when the last of them is done; each uses accounts, orders and providers of its own."""
    network = Network(tmp_path_factory.mktemp("network"))
    network.bourse("devnet", "up", "--detach", "--finance", timeout=START_SECONDS)
    yield network
    network.bourse("devnet", "down")
