"""The local chain: anvil as a child process, its ten funded keys, and moving its time. Never for anything else."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from eth_account import Account

from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.constants import LOCAL_CONSTANTS, MarketConstants
from marketplace.chain.deployment import deploy
from marketplace.chain.signing import Key
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.errors import ConfigError, DeadlinePassed, ToolMissing

__all__ = [
    "ANVIL_KEYS", "ANVIL_PRIVATE_KEYS", "LOCAL_CHAIN_ID", "LOCAL_CONSTANTS", "AddressBook", "AnvilHandle", "MarketConstants", "anvil_binary",
    "deploy", "increase_time", "mine", "start_anvil",
]  # fmt: skip

LOCAL_CHAIN_ID: Final = 31337

# Known to everybody: whatever these keys hold on a public chain is stolen at once.
_LOCAL_ONLY_MNEMONIC = "test test test test test test test test test test test junk"
_ACCOUNTS = 10
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_PACKAGED = _PROJECT_ROOT / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
_PR_SET_PDEATHSIG = 1
_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None)
_START_SECONDS = 20
_STOP_SECONDS = 5
_MINED_AT_ONCE = 100


def _anvil_private_keys() -> tuple[bytes, ...]:
    Account.enable_unaudited_hdwallet_features()
    paths = (f"m/44'/60'/0'/0/{number}" for number in range(_ACCOUNTS))
    return tuple(bytes(Account.from_mnemonic(_LOCAL_ONLY_MNEMONIC, account_path=path).key) for path in paths)


ANVIL_PRIVATE_KEYS: Final = _anvil_private_keys()
"""The private keys that anvil funds, and that everybody knows. LOCAL CHAIN ONLY."""

ANVIL_KEYS: Final = tuple(Key(private_key) for private_key in ANVIL_PRIVATE_KEYS)
"""The accounts that anvil funds. LOCAL CHAIN ONLY."""


@dataclass(frozen=True)
class AnvilHandle:
    """A running anvil. ``stop`` it, or it ends with the thread that started it."""

    pid: int
    rpc_url: str
    log: Path
    process: subprocess.Popen[bytes]
    states: Path

    def stop(self) -> None:
        """End it, by force if it does not listen, and forget the old states that it wrote down, which may be gigabytes."""
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait(_STOP_SECONDS)
        shutil.rmtree(self.states, ignore_errors=True)


def anvil_binary() -> Path:
    """Where anvil is: on PATH, else in the npm package. Never npm's wrapper: killing that leaves anvil alive."""
    found = shutil.which("anvil")
    if found and "node_modules" not in found:
        return Path(found)
    if _PACKAGED.is_file():
        return _PACKAGED
    raise ToolMissing("anvil", "run `make setup`, or put Foundry's anvil on PATH")


def start_anvil(
    port: int,
    folder: Path,
    *,
    block_time: int | None = 1,
    chain_id: int = LOCAL_CHAIN_ID,
    keeps_history: bool = False,
    arguments: tuple[str, ...] = (),
) -> AnvilHandle:
    """Start a fresh chain on a loopback port and wait until it answers; ``folder`` receives its log and old states.

    ``block_time`` is in seconds; None mines each transaction at once, and block time then stands still in between. ``keeps_history``: answer
    for the state of any block, not only of the last few hundred: anvil writes all of it down for each, below ``folder``.
    Raises ToolMissing, ConfigError when the port is taken, or DeadlinePassed when anvil does not answer.
    """
    _require_free(port)
    folder.mkdir(parents=True, exist_ok=True)
    log, states = folder / "anvil.log", folder / f"states-{port}"
    command = [
        str(anvil_binary()), "--silent", "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id),
        "--accounts", str(_ACCOUNTS), "--mnemonic", _LOCAL_ONLY_MNEMONIC,
        "--cache-path", str(states), *arguments,  # else it fills the home directory, and leaves it full
    ]  # fmt: skip
    if not keeps_history:
        command += ["--max-persisted-states", "0"]
    if block_time is not None:
        command += ["--block-time", str(block_time)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
    handle = AnvilHandle(process.pid, f"http://127.0.0.1:{port}", log, process, states)
    _wait_until_it_answers(handle)
    return handle


def mine(chain: Chain, blocks: int = 1) -> BlockRef:
    """Make anvil mine blocks now; returns the new head."""
    for mined in range(0, blocks, _MINED_AT_ONCE):
        # A busy machine takes longer for thousands than an answer is waited for, and would go on mining behind our back.
        chain.rpc("anvil_mine", hex(min(_MINED_AT_ONCE, blocks - mined)))
    return chain.head()


def increase_time(chain: Chain, seconds: int) -> BlockRef:
    """Move anvil's time forward and mine a block in it; returns the new head."""
    chain.rpc("evm_increaseTime", seconds)
    return mine(chain)


def _require_free(port: int) -> None:
    """Without this, whoever has the port would answer for the chain that could not start."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise ConfigError([f"port {port} cannot be used for the local chain: {exc.strerror}"]) from None


def _die_with_parent() -> None:
    # In the child, before anvil runs. Where the system has no prctl, stopping by handle still works.
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_it_answers(handle: AnvilHandle) -> None:
    chain, waiting = Chain([handle.rpc_url], timeout_seconds=2), threading.Event()
    deadline = monotonic() + _START_SECONDS
    while True:
        try:
            chain.head()
            return
        except ChainUnavailable:
            if handle.process.poll() is not None:
                said = handle.log.read_text(errors="replace")[-500:]
                raise ChainUnavailable(f"anvil ended with code {handle.process.returncode}: {said}") from None
            if monotonic() >= deadline:
                handle.stop()
                raise DeadlinePassed("an answer of anvil", _START_SECONDS) from None
        waiting.wait(0.05)
