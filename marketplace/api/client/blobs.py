"""Files by hash: what is fetched is hashed before it is handed on, what is there already is not sent again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from marketplace.api.client.http import accepted, content_sha256
from marketplace.api.client.signed_http import SignedHttp
from marketplace.domain.errors import HashMismatch, InvalidField
from marketplace.domain.ids import Bytes32, Sha256, sha256_of

MAX_BLOB_BYTES = 1 << 30
_BINARY = {"Content-Type": "application/octet-stream"}


class GatewayBlobs:
    """One gateway's blobs, as one account may see them."""

    def __init__(self, line: SignedHttp, represented: dict[str, str]) -> None:
        self._line, self._represented = line, represented

    def has(self, name: Sha256) -> bool:
        """Whether the gateway has the blob from us, or for everybody."""
        answer = self._line.ask("HEAD", f"/v1/blobs/{name}")
        return answer.status not in (401, 404) and bool(accepted(answer))

    def put(self, content: bytes | Path, *, public: bool) -> Sha256:
        """Upload bytes or a file, unless the gateway has them from us; their name."""
        name = content_sha256(content)
        if not self.has(name):
            path = f"/v1/blobs/{name}" + ("?public=true" if public else "")
            accepted(self._line.write("PUT", path, content, {**_BINARY, **self._represented}))
        return name

    def fetch(self, name: Sha256, limit_bytes: int, lease: Bytes32 | None) -> bytes:
        """The blob, at most ``limit_bytes`` of it; raise HashMismatch when it is not what its name says."""
        content = b"".join(self._pieces(name, limit_bytes, lease))
        if sha256_of(content) != name:
            raise HashMismatch("blob", name, sha256_of(content))
        return content

    def fetch_into(self, name: Sha256, into: Path, limit_bytes: int, lease: Bytes32 | None) -> Path:
        """The blob as a file that appears under its name only when its hash is right."""
        with tempfile.NamedTemporaryFile(dir=into.parent, prefix=".partial-", delete=False) as stream:
            partial = Path(stream.name)
            try:
                for piece in self._pieces(name, limit_bytes, lease):
                    stream.write(piece)
                stream.flush()
                actual = content_sha256(partial)
                if actual != name:
                    raise HashMismatch("blob", name, actual)
                os.replace(partial, into)
            finally:
                partial.unlink(missing_ok=True)
        return into

    def _pieces(self, name: Sha256, limit_bytes: int, lease: Bytes32 | None) -> Iterator[bytes]:
        """Raw bytes: compression is transport, and an answer that unpacks beyond the limit is refused on the way."""
        path, seen = f"/v1/leases/{lease}/blobs/{name}" if lease else f"/v1/blobs/{name}", 0
        with self._line.stream(path) as pieces:
            for piece in pieces:
                seen += len(piece)
                if seen > limit_bytes:
                    raise InvalidField("blob", f"{name} is larger than {limit_bytes} bytes")
                yield piece
