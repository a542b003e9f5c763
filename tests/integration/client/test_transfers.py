"""Bundles to and from a gateway that loses its line: what is there is not sent again, what is wrong is not believed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.http import Retries
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.signing import SigningDomain
from marketplace.client.receipt_checks import ResultFolder
from marketplace.client.transfers import UploadProgress, fetch_part, send_bundle
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_outputs
from marketplace.domain.errors import GatewayProblem, HashMismatch, InvalidField
from marketplace.domain.ids import Address, Bytes32, sha256_of
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.units import UnixTime

PART = 64 * 1024
LEASE = Bytes32("0x" + "22" * 32)


class Shelf(ThreadingHTTPServer):
    """Keeps blobs by name as a gateway does, and remembers what it was asked; refuses uploads when it is full."""

    daemon_threads = True

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.room = 10**6
        super().__init__(("127.0.0.1", 0), Clerk)


class Clerk(BaseHTTPRequestHandler):
    """Answers for the shelf."""

    protocol_version = "HTTP/1.1"
    server: Shelf

    def do_HEAD(self) -> None:
        self._note()
        self._answer(200 if self._name in self.server.blobs else 404, b"")

    def do_GET(self) -> None:
        self._note()
        content = self.server.blobs.get(self._name)
        self._answer(404, b"{}") if content is None else self._answer(200, content)

    def do_PUT(self) -> None:
        self._note()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if len(self.server.blobs) >= self.server.room:
            self._answer(507, b"{}")
            return
        self.server.blobs[self._name] = content
        self._answer(201, b"{}")

    @property
    def _name(self) -> str:
        return self.path.rpartition("/")[2]

    def _note(self) -> None:
        self.server.asked.append((self.command, self._name))

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        """Nothing on the terminal."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    server = Shelf()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def api(shelf: Shelf) -> Iterator[GatewayApi]:
    host, port = shelf.server_address[:2]
    api = GatewayApi(
        f"http://{host!s}:{port}", key=ANVIL_KEYS[1], domain=SigningDomain(1, Address("0x" + "11" * 20)),
        block_time=lambda: UnixTime(1), retries=Retries(attempts=1),
    )  # fmt: skip
    yield api
    api.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of five parts, and of something that no bundle holds."""
    (tmp_path / "tree").mkdir()
    for number in range(4):
        (tmp_path / "tree" / f"{number}").write_bytes(os.urandom(PART))
    (tmp_path / "tree" / "link").symlink_to("nowhere")
    return tmp_path / "tree"


def test_upload_goes_on_where_it_broke_off(shelf: Shelf, api: GatewayApi, tree: Path, tmp_path: Path) -> None:
    """A gateway without room takes what it can; the next attempt sends what is missing, in order, and nothing else; whoever shows it is told."""
    bundle = bundle_outputs(tree, Allowance(1 << 20))
    parts = bundle.parts(PART)
    shelf.room = 2
    with pytest.raises(GatewayProblem):
        send_bundle(api, bundle, parts, tmp_path, PART)
    shelf.room = 100
    shelf.asked.clear()
    told: list[UploadProgress] = []
    send_bundle(api, bundle, parts, tmp_path, PART, told.append)

    assert [name for method, name in shelf.asked if method == "PUT"] == list(parts[2:])
    assert [upload.done_bytes for upload in told] == [0, PART, 2 * PART, 3 * PART, 4 * PART, bundle.bytes]
    assert told[-1] == UploadProgress(bundle.bytes, bundle.bytes, spared_bytes=2 * PART)
    assert b"".join(shelf.blobs[part] for part in parts) == bundle.content()
    assert list(tmp_path.glob(".part-*")) == []


def test_a_file_that_changes_is_not_sent_under_an_old_name(
    shelf: Shelf, api: GatewayApi, tree: Path, tmp_path: Path
) -> None:
    """Parts are hashed again on their way out: nothing leaves that is not what was named."""
    bundle = bundle_outputs(tree, Allowance(1 << 20))
    parts = bundle.parts(PART)
    (tree / "3").write_bytes(bytes(PART))
    with pytest.raises(InvalidField, match="changed while"):
        send_bundle(api, bundle, parts, tmp_path, PART)

    assert set(shelf.blobs) < set(parts)


def test_download_goes_on_where_it_broke_off(shelf: Shelf, api: GatewayApi, tree: Path, tmp_path: Path) -> None:
    """Parts that are here and verified are not fetched again; one that is missing or false stops it, and only for now."""
    bundle = bundle_outputs(tree, Allowance(1 << 20))
    parts, log = bundle.parts(PART), b"printed\n"
    send_bundle(api, bundle, parts, tmp_path, PART)
    shelf.blobs[sha256_of(log)] = log
    result = Result(
        0, EndedReason.EXITED, (Output("/job/out", bundle.bytes, parts),), LogFile(sha256_of(log), len(log), len(log))
    )
    folder = ResultFolder(tmp_path / "results", api, PART)
    good, shelf.blobs[parts[3]] = shelf.blobs[parts[3]], bytes(PART)
    with pytest.raises(HashMismatch):
        folder.fetch(result, LEASE)
    shelf.blobs[parts[3]] = good
    shelf.asked.clear()
    folder.fetch(result, LEASE)

    assert [name for method, name in shelf.asked] == [*parts[3:], sha256_of(log)]
    assert b"".join(folder.path(part).read_bytes() for part in parts) == bundle.content()
    assert {path.name for path in (tmp_path / "results").iterdir()} == {*parts, sha256_of(log)}


def test_a_part_of_another_size_is_refused(shelf: Shelf, api: GatewayApi, tmp_path: Path) -> None:
    """A part that is shorter or longer than the document says is no part of it, whatever its hash."""
    name = sha256_of(b"content")
    shelf.blobs[name] = b"content"
    for size in (6, 8):
        with pytest.raises(InvalidField):
            fetch_part(api, name, size, tmp_path, LEASE)


def test_more_than_one_real_part_travels(shelf: Shelf, api: GatewayApi, tmp_path: Path) -> None:
    """Seventy mebibytes go and come back in two parts of the size that the protocol says."""
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "sparse").open("wb") as sparse:
        sparse.truncate(70 << 20)
        sparse.write(b"end of the first block")
    bundle = bundle_outputs(tmp_path / "tree", Allowance(1 << 30))
    parts = bundle.parts()
    send_bundle(api, bundle, parts, tmp_path)
    result = Result(0, EndedReason.EXITED, (Output("/job/out", bundle.bytes, parts),), LogFile(sha256_of(b""), 0))
    shelf.blobs[sha256_of(b"")] = b""
    folder = ResultFolder(tmp_path / "results", api)
    folder.fetch(result, LEASE)

    sizes = [folder.path(part).stat().st_size for part in parts]
    assert sizes == [64 << 20, bundle.bytes - (64 << 20)]
    assert hashlib.sha256(folder.path(parts[1]).read_bytes()).hexdigest() == parts[1]
