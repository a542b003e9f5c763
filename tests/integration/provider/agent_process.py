"""Agents as processes of their own, for tests that kill them: one kills itself (-9) when it logs a named event.

The names of its log events are the named points of its life; nothing in the agent knows about being killed. This process
only forks them, one for each line of its input, so that starting one costs no second of imports.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from marketplace.chain.deployment import AddressBook
from marketplace.daemon import Stop, run_forever
from tests.integration.provider.stage import INVENTORY, build_agent

PATIENT, LATE = {"patience_seconds": 100_000}, {"away_seconds": 100_000}
SHORT_SLICES = {"slice_seconds": 4}


def run_agent(rpc_url: str, book: str, gateway_url: str, home: str, kill_at: str) -> None:
    """Run one agent until SIGTERM, or until it logs ``kill_at``. A leading ``~`` makes it a patient one; a ``+`` one that takes up what was
    left to itself for however long its start takes here."""
    policy: dict[str, int] = SHORT_SLICES | (PATIENT if "~" in kill_at else {}) | (LATE if "+" in kill_at else {})
    point = kill_at.lstrip("~+")

    def kill(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event["event"] == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return event

    structlog.configure(processors=[kill, structlog.processors.KeyValueRenderer(key_order=["event"])])
    agent = build_agent(rpc_url, AddressBook.read(Path(book)), gateway_url, Path(home), INVENTORY, policy)
    run_forever(agent.step, "provider", Stop().on_signals())
    agent.close()


def main(rpc_url: str, book: str, gateway_url: str, home: str) -> None:
    """Fork an agent per line; ``pid`` and, when it has ended, ``ended`` (its wait status) appear beside its home."""
    place = Path(home).parent
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run_agent(rpc_url, book, gateway_url, home, line.strip())
            os._exit(0)
        tell(place / "pid", child)
        tell(place / "ended", os.waitpid(child, 0)[1])


def tell(path: Path, number: int) -> None:
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(str(number))
    unfinished.replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
