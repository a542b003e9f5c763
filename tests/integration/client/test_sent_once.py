"""`bourse wallet` sends money once: a command that died is found again by the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from time import monotonic

import pytest

from marketplace.domain.units import TokenUnits
from tests.integration.gateway.conftest import CLIENT, Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]


def die_while_waiting(shell: Shell, gateway: Gateway, *words: str) -> None:
    """Run the command while no block comes, and kill it when its transaction waits in the pool."""
    command = [sys.executable, "-m", "marketplace.cli.main", *words]
    running = subprocess.Popen(
        command,
        cwd=shell.folder,
        env=os.environ | shell.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline, waiting = monotonic() + 60, threading.Event()
    while int(gateway.chain.rpc("txpool_status")["pending"], 16) == 0:
        assert running.poll() is None, "it ended by itself"
        assert monotonic() < deadline, "it sent nothing"
        waiting.wait(0.05)
    running.kill()
    running.wait()


@pytest.mark.parametrize("is_mined_meanwhile", [False, True], ids=["still waiting", "mined meanwhile"])
def test_a_withdrawal_whose_command_died_is_not_made_twice(
    shell: Shell,
    gateway: Gateway,
    is_mined_meanwhile: bool,
) -> None:
    """Killed between sending and the block, typed again: 5 are gone, not 10, and the answer says so; --again makes it 10."""
    free = gateway.market.balance_of(CLIENT.address)
    gateway.chain.rpc("evm_setAutomine", False)
    try:
        die_while_waiting(shell, gateway, "wallet", "withdraw", "0.000005")
        if is_mined_meanwhile:
            gateway.chain.rpc("evm_mine")
    finally:
        gateway.chain.rpc("evm_setAutomine", True)
    if not is_mined_meanwhile:
        gateway.chain.rpc("evm_mine")

    typed_again = shell.run("wallet", "withdraw", "0.000005", "--json")

    assert typed_again.returncode == 0, typed_again.stderr
    assert json.loads(typed_again.stdout)["sentEarlier"] is True
    assert "an earlier command sent withdraw" in typed_again.stderr
    assert "--again" in typed_again.stderr
    assert gateway.market.balance_of(CLIENT.address) == free - 5
    once_more = shell.answer("wallet", "withdraw", "0.000005", "--again", "--json")
    assert once_more["sentEarlier"] is False
    assert gateway.market.balance_of(CLIENT.address) == TokenUnits(free - 10)


def test_looking_at_the_wallet_says_what_became_of_it(shell: Shell, gateway: Gateway) -> None:
    """`wallet show` names it with its block, to programs as often as they ask; told to people, the same words mean another one."""
    free = gateway.market.balance_of(CLIENT.address)
    gateway.chain.rpc("evm_setAutomine", False)
    try:
        die_while_waiting(shell, gateway, "wallet", "withdraw", "0.000005")
    finally:
        gateway.chain.rpc("evm_mine")
        gateway.chain.rpc("evm_setAutomine", True)

    (told,) = shell.answer("wallet", "show", "--json")["pending"]
    assert told["name"].startswith(f"withdraw 5 to {CLIENT.address}")
    assert "is in block" in shell.run("wallet", "show").stderr
    assert "earlier" not in shell.run("wallet", "show").stderr
    shell.answer("wallet", "withdraw", "0.000005", "--json")

    assert gateway.market.balance_of(CLIENT.address) == free - 10
