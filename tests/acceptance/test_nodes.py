"""A job of several machines from the command line: placed together, and ended together."""

from __future__ import annotations

import json
from pathlib import Path

from marketplace import wiring
from marketplace.client import JobState
from marketplace.config import from_env
from tests.acceptance.conftest import Network

TWO_MACHINES = ("--nodes", "2", "--gpu", "RTX4090", "--gpu", "H100-SXM-80GB", "--max-price", "2.50", "--max-time", "1m")
"""One provider of the development network has one of each."""

PART = (
    "import os; rank, size = int(os.environ['BOURSE_NODE_RANK']), int(os.environ['BOURSE_NODES']); "
    "open('/job/out/part', 'w').write(str(sum(range(rank, 1000, size))))"
)
ONE_FAILS = "import os, time; time.sleep(2 if os.environ['BOURSE_NODE_RANK'] == '1' else 50); raise SystemExit(3)"


def test_a_job_of_two_nodes_runs_on_two_machines_of_one_provider(network: Network, tmp_path: Path) -> None:
    """Each node does its part, both results are verified, and the leases were opened in one block."""
    network.bourse("wallet", "deposit", "5")

    done = network.answer("run", *TWO_MACHINES, "--output", str(tmp_path / "out"), "--", "python", "-c", PART)

    first, second = (node["attempts"][0]["servings"][0] for node in done["nodes"])
    assert (done["state"], done["failure"]) == ("succeeded", "")
    assert sum(int((tmp_path / "out" / f"node-{rank}" / "part").read_text()) for rank in range(2)) == sum(range(1000))
    assert len({node["result"]["provider"] for node in done["nodes"]}) == 1
    assert first["offer"] != second["offer"]
    assert first["openedAt"] == second["openedAt"]


def test_a_node_that_fails_ends_the_other(network: Network) -> None:
    """The command says which node failed and exits as it did; the other one is paid for the seconds it ran, and not for more."""
    network.bourse("wallet", "deposit", "5")

    done = network.bourse("run", "--json", *TWO_MACHINES, "--", "python", "-c", ONE_FAILS, timeout=100, check=False)

    document = json.loads(done.stdout)
    ended, failed = document["nodes"]
    assert done.returncode == 1
    assert document["failure"].startswith("node 1 of 2 failed: exit code 3")
    assert (ended["state"], failed["state"]) == (JobState.CANCELLED, JobState.FAILED)
    assert ended["attempts"][0]["exit"] == "LeaseTerminated"
    assert 0 < int(ended["paid"]) < int(ended["refunded"])
    assert wiring.audit(from_env({}, network.folder)).is_balanced
