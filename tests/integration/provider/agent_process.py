"""An agent as a process of its own, for tests that kill it: it kills itself (-9) when it logs a named event.

The names of its log events are the named points of its life; nothing in the agent knows about being killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import structlog

from marketplace.chain.deployment import AddressBook
from marketplace.daemon import Stop, run_forever
from tests.integration.provider.stage import INVENTORY, build_agent


def main(rpc_url: str, book: str, gateway_url: str, home: str, kill_at: str) -> None:
    def kill(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["event"] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return event

    structlog.configure(processors=[kill, structlog.processors.KeyValueRenderer(key_order=["event"])])
    agent = build_agent(rpc_url, AddressBook.read(Path(book)), gateway_url, Path(home), INVENTORY, {})
    run_forever(agent.step, "provider", Stop().on_signals())


main(*sys.argv[1:])
