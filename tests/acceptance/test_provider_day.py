"""A provider's day, as docs/how-to/provider.md tells it: on a running market, from the command line and by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from marketplace import wiring
from marketplace.client import JobRequest
from marketplace.config import from_env
from marketplace.domain.units import Seconds, TokenUnits
from tests.acceptance.conftest import Network, eventually
from tests.spelling import misspelled

NAME = "provider-3"
"""The only one with an H100: what asks for one comes to it."""
PROGRAM = "echo so far > /job/out/part.txt; echo begun; sleep 1000"


@dataclass
class Provider:
    """One provider of the network, run by the test instead of the network's supervisor."""

    network: Network
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        account, home = self.network.state["accounts"][NAME], self.network.folder / ".devnet" / NAME
        return {
            **os.environ, "BOURSE_HOME": str(home), "BOURSE_KEYSTORE": account["keystore"],
            "BOURSE_KEYSTORE_PASSWORD_FILE": account["password_file"], "BOURSE_GPU_LOCKS": str(home / "gpus"),
        }  # fmt: skip

    @property
    def inventory(self) -> Path:
        return self.network.folder / ".devnet" / NAME / "inventory.toml"

    def up(self) -> None:
        with (self.network.folder / "provider.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "marketplace.cli.main", "provider", "up", "--inventory", str(self.inventory), "--grace", "1s"],
                cwd=self.network.folder, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip

    def says(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "marketplace.cli.main", "provider", words[0], "--json", *words[1:]],
            cwd=self.network.folder, env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode in codes, f"{words}: {done.stdout}\n{done.stderr}"
        document = json.loads(done.stdout)
        assert misspelled(document) == []
        return document


@pytest.fixture
def provider(network: Network) -> Iterator[Provider]:
    network.bourse("devnet", "hold", NAME)
    one = Provider(network)
    one.up()
    yield one
    if one.process:
        one.process.kill()
        one.process.wait()
    network.bourse("devnet", "release", NAME)


def test_a_provider_pauses_reprices_and_leaves_without_losing_anything(network: Network, provider: Provider) -> None:
    """Commands and a hang-up change what is on offer while the agent runs; SIGTERM hands its job back, paid and delivered, with status 0."""
    assert provider.process
    eventually(lambda: provider.says("status", codes=(0, 4))["running"], "the agent runs")
    (h100,) = (row["id"] for row in provider.says("status")["offers"] if row["className"].startswith("H100"))
    assert provider.says("pause")["outcome"] == "heeded"
    assert [row["alive"] for row in provider.says("status")["offers"]] == [False, False]
    assert provider.says("resume")["outcome"] == "heeded"
    assert provider.says("reprice", str(h100), "1.50")["outcome"] == "heeded"
    provider.process.send_signal(signal.SIGHUP)

    market = wiring.open_market(from_env({}, network.folder))
    market.deposit(TokenUnits(5_000_000))
    request = JobRequest(
        command=("sh", "-c", PROGRAM), gpus_of=("H100-SXM-80GB",), max_price=market.price("3"), max_time=Seconds(600), retries=0
    )  # fmt: skip
    job = market.submit(request)
    lease = job.orders[-1]
    eventually(
        lambda: (lease, "running") in [(row["lease"], row["state"]) for row in provider.says("leases")], "the job runs"
    )
    provider.process.send_signal(signal.SIGTERM)
    for _ in market.wait_all([job], 120, settled=True):
        pass
    status = provider.process.wait(60)
    provider.process = None
    paid = job.sums().paid
    market.close()

    assert status == 0
    assert paid > 0
    assert not provider.says("status", codes=(4,))["running"]
    earned = provider.says("earnings")
    assert earned["explainsBalance"]
    assert str(paid) in [row["earned"] for row in earned["rows"]]
