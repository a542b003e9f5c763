"""Blobs, signed requests, and the accounts that may send them."""

from __future__ import annotations

import gzip
import hashlib
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from marketplace.chain.request_signing import sign_request
from marketplace.chain.signing import SigningDomain
from marketplace.domain.ids import Sha256, sha256_of
from marketplace.domain.offers import Offer
from marketplace.gateway.streams import MOST_UPLOADS
from tests.integration.gateway.conftest import (
    CLIENT,
    DOLLAR,
    OPENER,
    OTHER_CLIENT,
    STRANGER,
    UPLOAD_LIMIT_BYTES,
    Gateway,
)
from tests.integration.gateway.test_bad_orders import refused


def put(gateway: Gateway, key: Any, content: bytes, query: str = "", **other: Any) -> httpx.Response:
    return gateway.write(
        key, "PUT", f"/v1/blobs/{sha256_of(content)}{query}", content, kind="application/octet-stream", **other
    )


def test_a_blob_comes_back(gateway: Gateway) -> None:
    """Kept under its hash once, found again, read by who brought it, and by everybody once that was said."""
    content = bytes(range(256)) * 1000
    name = sha256_of(content)

    assert gateway.http.head(f"/v1/blobs/{name}").status_code == 404
    first, again = put(gateway, CLIENT, content), put(gateway, CLIENT, content)
    assert gateway.read(CLIENT, f"/v1/blobs/{name}").content == content
    assert gateway.http.get(f"/v1/blobs/{name}").status_code == 404
    assert put(gateway, CLIENT, content, query="?public=true").status_code == 200

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == {"sha256": name, "bytes": len(content)}
    read = gateway.http.get(f"/v1/blobs/{name}")
    assert read.content == content
    assert read.headers["content-disposition"] == "attachment"
    assert read.headers["x-content-type-options"] == "nosniff"
    head = gateway.http.head(f"/v1/blobs/{name}")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(content)), b"")


def test_a_large_blob_is_packed_on_the_way_where_that_pays(gateway: Gateway) -> None:
    """Text shrinks for those who can unpack it; random bytes, small files and other clients get what is on the disk."""
    text, noise = b'{"order":"0x00"}' * 100_000, random.Random(1).randbytes(1 << 20)
    for content, asked, encoding in (
        (text, "gzip", "gzip"), (text, "br, gzip", "gzip"), (text, "identity", None), (text, "gzip;q=0", None),
        (noise, "gzip", None), (text[: 1 << 16], "gzip", None),
    ):  # fmt: skip
        gateway.keep(content, public=True)
        path = f"/v1/blobs/{sha256_of(content)}"

        with gateway.http.stream("GET", path, headers={"Accept-Encoding": asked}) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.headers.get("content-encoding") == encoding
        assert (gzip.decompress(sent) if encoding else sent) == content
        assert (len(sent) < len(content)) == bool(encoding)


def test_who_has_no_money_keeps_nobody_from_uploading(gateway: Gateway) -> None:
    """More half uploads of a stranger's than there are places for uploads, and a participant's file is taken all the same."""
    host, port = urlsplit(gateway.url).hostname, urlsplit(gateway.url).port
    content = b"never whole"
    path = f"/v1/blobs/{sha256_of(content)}"
    signed = sign_request(STRANGER, "PUT", path, sha256_of(content), gateway.now(), gateway.domain)
    lines = [
        f"PUT {path} HTTP/1.1",
        "Host: x",
        "Content-Length: 50",
        *(f"{name}: {value}" for name, value in signed.items()),
    ]
    with ExitStack() as held:
        for _ in range(MOST_UPLOADS + 8):
            line = held.enter_context(socket.create_connection((host, port)))
            line.sendall("\r\n".join(lines).encode() + b"\r\n\r\nnever")
        gateway.fund(CLIENT, DOLLAR)

        assert put(gateway, CLIENT, b"x" * 100_000).status_code == 201


def test_the_chain_is_not_asked_about_who_is_known_to_take_part(gateway: Gateway) -> None:
    """Who sends a job's files sends many; only of one that the projection does not know yet the node is asked."""
    gateway.sync()
    before = gateway.chain.calls.by_method["eth_call"]
    for content in (b"one of several", b"two of several"):
        assert put(gateway, CLIENT, content).status_code == 201

    assert gateway.chain.calls.by_method["eth_call"] == before


def test_an_empty_blob_is_a_blob(gateway: Gateway) -> None:
    """A job may well have written nothing."""
    assert put(gateway, CLIENT, b"").status_code == 201
    assert gateway.read(CLIENT, f"/v1/blobs/{sha256_of(b'')}").content == b""


def test_a_streamed_blob_needs_no_length(gateway: Gateway) -> None:
    """Chunked, in pieces of every size, at the sender's limit to the byte."""
    content = hashlib.sha256(b"seed").digest() * (UPLOAD_LIMIT_BYTES // 32)
    path = f"/v1/blobs/{sha256_of(content)}"
    headers = sign_request(CLIENT, "PUT", path, sha256_of(content), gateway.now(), gateway.domain)

    def pieces() -> Iterator[bytes]:
        position, size = 0, 1
        while position < len(content):
            yield content[position : position + size]
            position, size = position + size, size * 3

    assert gateway.http.put(path, content=pieces(), headers=headers).status_code == 201
    assert gateway.blobs.size(sha256_of(content)) == UPLOAD_LIMIT_BYTES


def test_a_blob_beyond_the_limit_is_refused(gateway: Gateway) -> None:
    """Promised or counted, one byte more than the sender may send; a stranger may send little."""
    large, small = b"x" * (UPLOAD_LIMIT_BYTES + 1), b"x" * (64 * 1024 + 1)

    refused(gateway, lambda: put(gateway, CLIENT, large), 413, "BodyTooLarge", "body")
    path = f"/v1/blobs/{sha256_of(large)}"
    headers = sign_request(CLIENT, "PUT", path, sha256_of(large), gateway.now(), gateway.domain)
    refused(
        gateway, lambda: gateway.http.put(path, content=iter([large[:-1], large[-1:]]), headers=headers), 413, "BodyTooLarge", "body",
    )  # fmt: skip
    refused(gateway, lambda: put(gateway, STRANGER, small), 413, "BodyTooLarge", "body")
    assert put(gateway, STRANGER, small[:-1]).status_code == 201


def test_a_blob_is_what_its_name_says(gateway: Gateway) -> None:
    """Content of another hash leaves nothing behind."""
    name, content = sha256_of(b"what was promised"), b"what came instead"

    def upload() -> httpx.Response:
        return gateway.write(CLIENT, "PUT", f"/v1/blobs/{name}", content, body_sha256=name)

    refused(gateway, upload, 422, "HashMismatch", "blob")


@pytest.mark.parametrize(
    "name", ["x", "ab" * 31, "AB" * 32, "0x" + "ab" * 32, "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "ab" * 33]
)
def test_a_name_is_a_hash(gateway: Gateway, name: str) -> None:
    """Anything else is no blob, and no path either."""
    before = gateway.everything()

    for method in ("GET", "HEAD", "PUT"):
        answer = gateway.write(CLIENT, method, f"/v1/blobs/{name}", b"x" if method == "PUT" else b"")
        assert answer.status_code in (404, 405, 422), (method, name)
        assert answer.headers["content-type"] == "application/problem+json"
    assert before == gateway.everything()


def test_an_upload_that_breaks_off_leaves_nothing(gateway: Gateway) -> None:
    """The connection ends in the middle: no half of a file is left, and the gateway goes on."""
    content = b"y" * 100_000
    path = f"/v1/blobs/{sha256_of(content)}"
    headers = sign_request(CLIENT, "PUT", path, sha256_of(content), gateway.now(), gateway.domain)
    before = gateway.everything()
    where = urlsplit(gateway.url)
    with socket.create_connection((where.hostname, where.port)) as line:
        lines = [
            f"PUT {path} HTTP/1.1",
            "Host: x",
            f"Content-Length: {len(content)}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content[:50_000])

    assert put(gateway, CLIENT, b"the next one").status_code == 201
    gone = gateway.http.head(path).status_code
    assert gone == 404
    after = gateway.everything()
    assert set(after["blobs"]) - set(before["blobs"]) <= {  # type: ignore[call-overload]
        file
        for file in after["blobs"]
        if "incoming" in file or sha256_of(b"the next one") in file  # type: ignore[attr-defined]
    }


WRITES = (
    ("POST", "/v1/heartbeats", b"{}"),
    ("PUT", f"/v1/blobs/{sha256_of(b'z')}", b"z"),
    ("DELETE", "/v1/orders/0x" + "1" * 64, b""),
)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write[0])
def test_a_write_needs_its_senders_signature(gateway: Gateway, offer: Offer, write: tuple[str, str, bytes]) -> None:
    """Over this method, path, body, time, chain and market, by this account; nothing else will do."""
    method, path, body = write
    now, domain, good = gateway.now(), gateway.domain, sha256_of(body)
    kind = {"Content-Type": "application/json"}

    def sent(headers: dict[str, str]) -> httpx.Response:
        return gateway.http.request(method, path, content=body, headers={**kind, **headers})

    def signed(
        method: str = method, path: str = path, digest: Sha256 = good, at: int = now, where: SigningDomain = domain
    ) -> dict[str, str]:
        return sign_request(CLIENT, method, path, digest, at, where)  # type: ignore[arg-type]

    fine = signed()
    wrong: dict[str, dict[str, str]] = {
        "no headers": {},
        "no signature": {name: value for name, value in fine.items() if name != "Bourse-Signature"},
        "stale": signed(at=now - 121),
        "from the future": signed(at=now + 121),
        "another time than signed": {**fine, "Bourse-Time": str(now - 1)},
        "no time": {**fine, "Bourse-Time": "now"},
        "a time in other digits": {**fine, "Bourse-Time": "1" * 40},
        "another method": signed(method="PATCH"),
        "another path": signed(path=path + "/x"),
        "another query": signed(path=path + "?x=1"),
        "another body": signed(digest=sha256_of(b"another")),
        "another chain": signed(where=SigningDomain(1, domain.market)),
        "another market": signed(where=SigningDomain(domain.chain_id, OPENER.address)),
        "another account": {**fine, "Bourse-Account": OTHER_CLIENT.address},
        "no account": {**fine, "Bourse-Account": "me"},
        "not hex": {**fine, "Bourse-Signature": "0xzz"},
        "zeros": {**fine, "Bourse-Signature": "0x" + "00" * 65},
    }

    for name, headers in wrong.items():
        problem = refused(gateway, lambda it=headers: sent(it), 401, "Unauthorized", "Bourse-Signature")  # type: ignore[misc]
        assert problem["rule"], name


def test_only_who_takes_part_has_a_heart(gateway: Gateway, offer: Offer) -> None:
    """A stranger's sign of life would only fill the board."""
    told = gateway.write(CLIENT, "POST", "/v1/heartbeats", b"{}")

    assert told.status_code == 200
    assert told.json()["at"] == gateway.now()
    assert gateway.board.heartbeats()[CLIENT.address] == gateway.now()
    refused(gateway, lambda: gateway.write(STRANGER, "POST", "/v1/heartbeats", b"{}"), 403, "Forbidden", "")
    refused(gateway, lambda: gateway.write(CLIENT, "POST", "/v1/heartbeats", b'{"at":1}'), 422, "InvalidField", "at")
