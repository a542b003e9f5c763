"""An agent on a machine whose GPUs the driver shows: what it picks, says to be measured, takes off the market, and gives to jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.chain.events import EventFollower
from marketplace.client.measured import measured
from marketplace.domain.ids import OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.gpus.nvml import Nvml
from marketplace.provider.gpus.rig import GpuRig
from marketplace.services.projection import Projector
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Fault, Rule
from tests.integration.provider.stage import INVENTORY, PROVIDER, Stage
from tests.nvml import MACHINES, gpu_of, nvml_at
from tests.nvml.cdi import cdi_at

FIRST, SECOND = (gpu["uuid"] for gpu in MACHINES["two 4090"]["gpus"])
ONE = INVENTORY.replace("count = 2", f'count = 1\ngpus = ["{SECOND}"]')


def rig_at(place: Path) -> GpuRig:
    rig = GpuRig(Nvml(nvml_at(place, "two 4090")), [cdi_at(place / "cdi", [(FIRST, 3), (SECOND, 5)])])
    rig.look()
    return rig


@pytest.fixture
def projector(stage: Stage) -> Projector:
    """Whoever keeps the projection: the gateway shows offers by it."""
    gateway = stage.gateway
    return Projector(
        EventFollower(stage.chain, stage.market.address, confirmations=1), gateway.journal, gateway.blobs, gateway.board,
        stage.market.terms(), opener=None,
    )  # fmt: skip


def is_alive(stage: Stage, offer: OfferId) -> bool:
    listed = stage.market.offer_of(offer)
    return listed is not None and listed.is_alive(stage.chain.head().timestamp)


def agent_on(stage: Stage, place: Path) -> ProviderAgent:
    return stage.agent(inventory=ONE, rig=rig_at(place))


def test_gpus_that_the_driver_shows_are_said_to_be_measured(stage: Stage, projector: Projector, tmp_path: Path) -> None:
    """The provider's signed word names the offer's GPU, driver and block. While the GPU is gone its offer is off the market, and then up again."""
    agent = agent_on(stage, tmp_path / "rig")
    listed = stage.listed(agent)

    def seen() -> object:
        projector.step()
        return measured(stage.client_api, stage.client_api.offers(), stage.market.terms()).get(listed)

    stage.until(agent, seen, "the gateway shows the measurement")
    found = seen()
    nvml_at(tmp_path / "rig", {"gpus": [gpu_of("two 4090", 0)]})
    stage.jump(60)
    stage.until(agent, lambda: not is_alive(stage, listed), "the offer is withdrawn")
    trouble = stage.journal(agent).desk.report().trouble
    nvml_at(tmp_path / "rig", "two 4090")
    stage.jump(60)
    stage.until(agent, lambda: is_alive(stage, listed), "the offer is on the market again")

    assert [gpu.uuid for gpu in found.gpus] == [SECOND]
    assert (found.driver, found.cuda, found.gpus[0].memory_mib) == ("550.54.15", "12.4", 24_564)
    assert stage.market.offer_of(listed).provider == PROVIDER.address
    assert trouble == f"1 x RTX4090: GPU {SECOND} is not there: see nvidia-smi -L"
    assert stage.journal(agent).desk.report().trouble == ""


def test_a_gpu_that_is_back_while_its_offer_is_taken_down_is_offered_at_once(stage: Stage, tmp_path: Path) -> None:
    """The transaction that withdraws takes its time. What is seen meanwhile counts when it is through, not only ten minutes later."""
    with FaultProxy(stage.rpc_url) as node:
        agent = agent_on(replace(stage, rpc_url=node.url()), tmp_path / "rig")
        listed, before = stage.listed(agent), sent(stage)
        nvml_at(tmp_path / "rig", {"gpus": [gpu_of("two 4090", 0)]})
        stage.jump(60)
        node.rules.add(Rule(Fault.DELAY, "eth_sendRawTransaction", times=1, setting=4_000))
        stage.until(agent, lambda: stage.journal(agent).desk.report().trouble, "it is seen to be gone")
        nvml_at(tmp_path / "rig", "two 4090")
        stage.jump(60)
        stage.until(agent, lambda: sent(stage) >= before + 2, "the offer is withdrawn, and put up again")

        assert is_alive(stage, listed)


def sent(stage: Stage) -> int:
    """How many transactions of the provider's are mined."""
    return int(stage.chain.rpc("eth_getTransactionCount", PROVIDER.address, "latest"), 16)


def test_a_job_finds_its_gpu_and_no_other(stage: Stage, tmp_path: Path) -> None:
    """From the lease to the sandbox: the offer's GPU is the second one, the job sees that one's device file, and its log ends with how busy it was."""
    agent = agent_on(stage, tmp_path / "rig")
    signed = stage.lease(agent, "sh", "-c", "ls /dev | grep nvidia; echo $CUDA_VISIBLE_DEVICES; sleep 2")
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "it is settled", signs=True)

    own, note = stage.log_of(signed.id).split("[provider] ")

    assert own == f"nvidia5\nnvidiactl\n{SECOND}\n"
    assert note.startswith(f"GPU {SECOND}: 97 % busy, at most 1 MiB, 402 W, 36 °C (")
    told = stage.client_api.gpus.samples(signed.id)
    assert {(one.uuid, one.busy_percent, one.power_watts) for one in told} == {(SECOND, 97, 402)}
    assert sorted(one.at for one in told) == [one.at for one in told]
