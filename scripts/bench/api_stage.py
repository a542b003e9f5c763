"""A market with offers, a file and a client, and everything that a gateway stands on: what `make bench PART=api` measures on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from marketplace.chain import verbs
from marketplace.chain.events import EventFollower
from marketplace.domain.bundles import Bundle
from marketplace.domain.ids import Bytes32, ClassNumber, Sha256, bytes32_of, sha256_of
from marketplace.domain.orders import SignedOrder
from marketplace.domain.spec import JobSpec, Machine, WorkName
from marketplace.domain.units import Bps, GpuCount, Seconds, UnixTime
from marketplace.domain.wire import order_to_wire
from marketplace.domain.work import Input, Work
from marketplace.gateway.desks import MarketRoles
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.redis_server import start_redis
from scripts.bench import api_words as w
from scripts.bench.api_load import request
from scripts.bench.api_servers import Behind
from scripts.bench.chain_stage import ARBITER, CLIENT, FAR, OPENER, PRICE, PROVIDER, Stage, order_of, running_stage

OFFERS, PAGE = 20, 100
BLOCK_SECONDS = 2
MACHINE = Machine("eu", "NVIDIA GeForce RTX 4090", 24_564, 4, 16, 65_536, 200_000)


@dataclass
class ApiStage:
    """One market whose projection is whole, and what was uploaded for its jobs."""

    market: Stage
    behind: Behind
    blobs: FolderBlobs
    spec: Bytes32
    file: Sha256
    projector: Projector
    reads: Sequence[str]
    """What is asked of the past and of the book, as full as a page gets."""

    def catch_up(self) -> None:
        """Let the projection be level with the chain and the journal."""
        while self.projector.step().within_seconds == 0:
            pass

    def path_of(self, blob: Sha256) -> Path:
        """Where the file is."""
        with self.blobs.open(blob) as file:
            return Path(file.name)

    def order_requests(self, count: int) -> Sequence[bytes]:
        """So many new orders, signed, each as a whole request."""
        domain, salts = self.market.market.domain, self.market.salts
        signed = [
            CLIENT.sign_order(replace(order_of(CLIENT, next(salts)), spec=self.spec), domain) for _ in range(count)
        ]
        bodies = [{"order": order_to_wire(one.order), "signature": one.signature} for one in signed]
        return [request("POST", "/v1/orders", json.dumps(body).encode()) for body in bodies]


@contextmanager
def running_api_stage() -> Iterator[ApiStage]:
    """Chain, Redis, journal and files, in folders of their own; gone afterwards."""
    with running_stage() as stage, ExitStack() as at_end:
        redis = start_redis(stage.folder / "redis")
        at_end.callback(redis.stop)
        board = at_end.enter_context(closing(Board(redis.url)))
        journal_url = f"sqlite:///{stage.folder}/operator.sqlite"
        journal = at_end.enter_context(closing(OperatorJournal(journal_url)))
        blobs = FolderBlobs(stage.folder / "blobs")
        spec, file = _uploaded(journal, blobs, stage.chain.head().timestamp)
        for _ in range(OFFERS):
            _list(stage)
        follower = EventFollower(stage.chain, stage.book.market, confirmations=1)
        projector = Projector(follower, journal, blobs, board, stage.market.terms(), opener=OPENER.address)
        roles = MarketRoles(stage.book.catalogue, OPENER.address, ARBITER.address)
        behind = Behind(stage.chain.rpc_url, stage.book.market, journal_url, redis.url, str(blobs.path), roles)
        orders = _lived(stage, journal, JobSpec(WorkName(Sha256("5a" * 32), 100)).canonical())
        found = ApiStage(stage, behind, blobs, bytes32_of(spec), file, projector, _reads(orders[0]))
        found.catch_up()
        board.beat(PROVIDER.address, stage.chain.head().timestamp)
        stage.chain.rpc("evm_setAutomine", False)
        stage.chain.rpc("evm_setIntervalMining", BLOCK_SECONDS)
        yield found


def _uploaded(journal: OperatorJournal, blobs: FolderBlobs, at: UnixTime) -> tuple[Sha256, Sha256]:
    """Have a job's documents here, and a file for everybody; the names of spec and file."""

    def keep(content: bytes, *, is_public: bool = False) -> Sha256:
        name = sha256_of(content)
        blobs.put(content, name, len(content))
        journal.uploads.note(name, CLIENT.address, len(content), at, is_public=is_public)
        return name

    bundle = Bundle(()).content()
    work = Work(("python", "train.py"), "5a" * 32, inputs=(Input("/job/in", len(bundle), (keep(bundle),)),))
    keep(work.canonical())
    keep(MACHINE.canonical(), is_public=True)
    return keep(JobSpec(work.name).canonical()), keep(bytes(range(256)) * (w.BLOB_BYTES >> 8), is_public=True)


def _lived(stage: Stage, journal: OperatorJournal, spec: bytes) -> Sequence[SignedOrder]:
    """Leases that opened and were settled, as many as two pages have, and orders that wait, as many as one."""
    served, waiting = stage.signed(2 * PAGE), stage.signed(PAGE + 1)
    at = stage.chain.head().timestamp
    for signed in (*served, *waiting):
        journal.add_order(signed, spec, at)
    for start in range(0, len(served), PAGE // 2):
        stage.serve(served[start : start + PAGE // 2], stage.listed(PAGE))
    return served


def _reads(order: SignedOrder) -> Sequence[str]:
    client, provider = CLIENT.address, PROVIDER.address
    return (
        f"/v1/book/RTX4090?depth={PAGE}", "/v1/prices/RTX4090", "/v1/history/RTX4090?bucket=60",
        f"/v1/leases?client={client}&limit={PAGE}", f"/v1/accounts/{client}/statement?limit={PAGE}",
        f"/v1/accounts/{client}/delegates", f"/v1/providers/{provider}/scores?limit={PAGE}", "/v1/solvency",
        f"/v1/orders/{order.id}/events", f"/v1/accounts/{provider}", f"/v1/providers/{provider}",
    )  # fmt: skip


def _list(stage: Stage) -> None:
    terms = verbs.list_offer(
        stage.book.market, gpu_class=ClassNumber(1), gpus=GpuCount(8), bond_bps=Bps(1_000), price=PRICE,
        min_seconds=Seconds(0), expires_at=FAR, arbiter=ARBITER.address, spec=bytes32_of(MACHINE.sha256),
    )  # fmt: skip
    stage.send(PROVIDER, terms)
