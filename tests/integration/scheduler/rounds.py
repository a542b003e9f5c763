"""Rounds by hand, honest and not: a scheduler that may lie in every document, post what it likes, and be audited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Any

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain import verbs
from marketplace.chain.catalogue import Catalogue
from marketplace.chain.signing import Key
from marketplace.domain.canonical import canonical_json
from marketplace.domain.classes import load_classes
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, bytes32_of, sha256_of
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from scheduler.audit.findings import Check, Report, Verdict
from scheduler.audit.replayed import Documents
from scheduler.audit.round import audit_round, fetch_documents, reader_of
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from tests.integration.gateway.conftest import running
from tests.integration.scheduler.floor import ARBITER, OPENER, Floor

ROOT = Path(__file__).parents[3]


def snapshot_of(floor: Floor) -> Snapshot:
    """What an honest scheduler that has just been started would look at."""
    view = floor.board.view()
    assert view is not None
    return Snapshot(view, OPENER.address, floor.terms, classes=load_classes(), head=floor.chain.head())


def with_view(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return replace(snapshot, view=replace(snapshot.view, **changes))


def written_down(floor: Floor, snapshot: Snapshot, plan: bytes) -> Bytes32:
    """Both documents where the gateway finds them, and the snapshot's pages; the round."""
    name = bytes32_of(sha256_of(plan))
    for content in (*snapshot.pages.values(), snapshot.canonical()):
        floor.publish(content)
    floor.journal.add_round(name, plan, snapshot.view.block.number)
    return name


def posted(floor: Floor, fills: Sequence[Fill], round_hash: Bytes32, *, by: Key = OPENER) -> None:
    """A batch in this round's name. The signatures are the journal's: a snapshot has none."""
    signed = {fill.signed.id: floor.journal.order(fill.signed.id) for fill in fills}
    whole = [fill._replace(signed=row.signed) for fill in fills if (row := signed[fill.signed.id])]
    floor.send(by, verbs.open_fills(floor.market.address, whole, round_hash))


def held(floor: Floor, snapshot: Snapshot) -> tuple[Plan, Bytes32]:
    """Clear this snapshot, true or not, write the round down and post it whole."""
    plan = clear(snapshot)
    name = written_down(floor, snapshot, plan.canonical())
    posted(floor, plan.fills, name)
    return plan, name


def altered(content: bytes, change: Callable[[Any], object]) -> bytes:
    """A document with a change, still canonical."""
    document = json.loads(content)
    change(document)
    return canonical_json(document)


@contextmanager
def gateway_over(floor: Floor) -> Iterator[GatewayApi]:
    """A real gateway over the floor's stores."""
    roles = MarketRoles(floor.book.catalogue, OPENER.address, ARBITER.address)
    app = create_app(desks_over(floor.market, floor.journal, floor.board, floor.blobs, roles, clock=time))
    with running(app) as url, closing(GatewayApi(url)) as api:
        yield api


@dataclass(frozen=True)
class Auditor:
    """Somebody with a node, a gateway and the address book."""

    floor: Floor
    api: GatewayApi

    def fetch(self, round_hash: Bytes32) -> Documents:
        return fetch_documents(self.api, round_hash, reader_of(self.api))

    def audits(self, round_hash: Bytes32, documents: Documents | None = None) -> Report:
        found = documents or self.fetch(round_hash)
        catalogue = Catalogue(self.floor.chain, self.floor.book.catalogue)
        return audit_round(round_hash, found, self.floor.market, catalogue, None if documents else self.api)


def warned(report: Report) -> set[Check]:
    return {finding.check for finding in report.findings if finding.verdict is Verdict.WARNING}


def bourse_audit(floor: Floor, folder: Path, words: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own; ``folder`` holds the address book."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOURSE_")}
    environment = kept | {
        "PYTHONPATH": str(ROOT), "BOURSE_RPC_URLS": floor.chain.rpc_url, "BOURSE_ADDRESS_BOOK": "book.json", "BOURSE_HOME": "home",
    } | settings  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "marketplace.cli.main", "audit", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
