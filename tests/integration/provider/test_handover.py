"""What a job has made reaches its client whatever ended it, and whatever else lies beside it."""

from __future__ import annotations

from pathlib import Path

from marketplace.chain import verbs
from marketplace.domain.bundle_parts import PartStream
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.results import EndedReason, Result
from marketplace.domain.spec import Resources
from marketplace.domain.states import ServingState
from marketplace.domain.unpacking import unpack_bundle
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import CLIENT, Stage

HALF = "open('/job/out/half', 'w').write('half of it'); print('half', flush=True); import time; time.sleep(600)"
ODD = """
import os, socket
os.chdir('/job/out')
open('model', 'w').write('weights')
os.symlink('model', 'latest')
os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')
open(b'caf\\xe9', 'w').write('latin')
open('two\\nlines', 'w').write('lines')
os.truncate(os.open('sparse', os.O_CREAT | os.O_WRONLY), 10 << 20)
[os.link(name, f'{name}-{n}') for name in ('model', 'sparse') for n in range(2)]
raise SystemExit(125)
"""


def unpacked(stage: Stage, lease: Bytes32, result: Result) -> dict[str, str]:
    """The only output's files, as a client gets them."""
    (output,) = result.outputs
    parts = [stage.client_api.fetch_blob_into(part, stage.folder / part, lease=lease) for part in output.parts]
    with PartStream(parts) as stream:
        names = unpack_bundle(stream, stage.folder / "unpacked", Allowance(64 << 20))
    return {name: (stage.folder / "unpacked" / name).read_text() for name in names}


def test_nothing_is_lost_beside_what_cannot_be_delivered(stage: Stage) -> None:
    """A link, a fifo and a socket are named one by one; odd names, sparse files and hard links arrive, with the job's own exit code."""
    agent = stage.agent()
    signed = stage.lease(agent, "python", "-c", ODD)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    result = stage.result(signed.id)

    assert (result.exit_code, result.reason) == (125, EndedReason.EXITED), stage.log_of(signed.id)
    assert {one.path for one in result.outputs[0].left_out} == {"latest", "fifo", "socket"}
    files = unpacked(stage, signed.id, result)
    assert {name: len(files.pop(name)) for name in ("sparse", "sparse-0", "sparse-1")} == dict.fromkeys(
        ("sparse", "sparse-0", "sparse-1"), 10 << 20
    )
    assert files == {
        "model": "weights", "model-0": "weights", "model-1": "weights", r"caf\xe9": "latin", r"two\x0alines": "lines",
    }  # fmt: skip


def test_a_job_over_its_disk_delivers_what_fits(stage: Stage) -> None:
    """Who writes more than the order's disk is ended by that limit, is told so, and gets what it wrote before."""
    agent = stage.agent()
    script = "open('/job/out/a', 'w').write('first'); open('/job/out/b', 'wb').write(bytes(40 << 20)); import time; time.sleep(600)"
    signed = stage.order(stage.spec("python", "-c", script, resources=Resources(memory_mib=256, disk_mib=16)))
    stage.open(signed, stage.listed(agent))
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    result = stage.result(signed.id)

    assert (result.exit_code, result.reason) == (None, EndedReason.DISK_LIMIT), stage.log_of(signed.id)
    assert unpacked(stage, signed.id, result)["a"] == "first"


def test_a_cancelled_job_delivers_what_is_there(stage: Stage) -> None:
    """A client that calls its job off gets what it had written by then, named by a receipt that its provider signed."""
    agent = stage.agent()
    signed = stage.lease(agent, "python", "-c", HALF)
    log: Path = stage.folder / "home" / "servings"
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "the job runs")
    stage.until(agent, lambda: any(path.stat().st_size for path in log.glob("*/runs/*/log")), "it has printed")
    stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.until(agent, lambda: not any(log.iterdir()), "job and folder are gone")
    (offered,) = stage.client_api.receipts(signed.id)
    result = stage.client_api.outputs(signed.id).result

    assert offered.role == "provider"
    assert offered.receipt.result[2:] == result.sha256
    assert (result.exit_code, result.reason) == (None, EndedReason.CANCELLED)
    assert unpacked(stage, signed.id, result) == {"half": "half of it"}


def test_what_is_left_is_handed_over_by_the_next_agent(stage: Stage) -> None:
    """An agent that ends after its lease was closed, and before any gateway took the leftovers, leaves them to the next one:
    the receipt that names them is in its journal, and offered again."""
    with hostile(stage.gateway.url) as gateway:
        agent = stage.agent(gateway_url=gateway.url)
        signed = stage.lease(agent, "python", "-c", HALF)
        servings: Path = stage.folder / "home" / "servings"
        stage.until(agent, lambda: any(path.stat().st_size for path in servings.glob("*/runs/*/log")), "it has printed")
        gateway.is_away = True
        stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
        stage.until(agent, lambda: stage.journal(agent).servings(ServingState.CLOSED), "the serving is closed")
        agent.close()
        following = stage.agent(gateway_url=gateway.url)
        stage.until(following, lambda: stage.journal(following).receipts(signed.id), "the receipt is in the journal")
        gateway.is_away = False
        stage.until(following, lambda: not any(servings.iterdir()), "all is handed over, and the folder is gone")
    (offered,), (kept,) = stage.client_api.receipts(signed.id), stage.journal(following).receipts(signed.id)
    result = stage.client_api.outputs(signed.id).result

    assert (kept.receipt, kept.ended) == (offered.receipt, EndedReason.CANCELLED)
    assert unpacked(stage, signed.id, result) == {"half": "half of it"}
    assert not stage.journal(following).handovers.all()
