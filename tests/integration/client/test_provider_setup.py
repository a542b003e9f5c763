"""`bourse provider init` and `check` where a market is named."""

from __future__ import annotations

from pathlib import Path

from marketplace.domain.offers import Offer
from marketplace.provider.gpus.nvml import Nvml
from marketplace.provider.inventory import read_inventory
from tests.integration.client.conftest import Gateway
from tests.integration.shell import Shell
from tests.nvml import MACHINES, nvml_at
from tests.nvml.cdi import cdi_at


def test_a_first_inventory_is_the_machines_at_the_markets_price(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer], tmp_path: Path
) -> None:
    """Written once, with UUIDs, the lowest ask and the gateway's arbiter; then checked against machine and market, with a canary on each GPU."""
    for listed in offers:
        gateway.board.beat(listed.provider, gateway.now())
    gpus = MACHINES["two 4090"]["gpus"]
    nvml = nvml_at(tmp_path / "nvml", "two 4090")
    cdi = cdi_at(tmp_path / "cdi", [(gpu["uuid"], gpu["minor"]) for gpu in gpus])
    here = Shell(shell.folder, shell.environment | {"BOURSE_NVML": str(nvml), "BOURSE_CDI": str(cdi)})
    file = tmp_path / "mine.toml"
    told = here.answer("provider", "init", "--inventory", str(file), "--region", "us-east", "--json")
    again = here.run("provider", "init", "--inventory", str(file))
    (offer,) = read_inventory(file.read_bytes(), decimals=6, seen=Nvml(nvml).look()).offers
    found = here.answer("provider", "check", "--inventory", str(file), "--json")
    levels = {one["about"]: one["level"] for one in found}

    assert told["gpus"] == list(offer.gpus) == [gpu["uuid"] for gpu in gpus]
    assert (offer.price, offer.machine.region) == (min(one.price for one in offers), "us-east")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert (levels["node"], levels["gateway"], levels["money"], levels["offer[0]"]) == ("good",) * 4
    assert levels["GPU 1 in the sandbox"] == "advice", "there is no CUDA on these"
