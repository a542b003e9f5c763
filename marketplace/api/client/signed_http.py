"""Requests in an account's name: signed, and signed anew where the gateway says that the block time is stale.

What only the parties of a lease may read is asked for in the same way. Without a key nothing is signed, and what is public can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from marketplace.api.client.http import Answer, BlockTime, GatewayHttp, accepted, content_sha256, idempotency_key
from marketplace.api.events import ServerEvent
from marketplace.api.reading import MOST_BYTES
from marketplace.chain.request_signing import sign_request
from marketplace.chain.shares import Part, Share, sign_share
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_of
from marketplace.domain.units import UnixTime

_NO_BODY = sha256_of(b"")


class RequestSigner:
    """Makes the headers of a signed request. The block time is kept until the gateway says that it is stale."""

    def __init__(
        self,
        key: Key | None,
        domain: Callable[[], SigningDomain],
        block_time: BlockTime,
        account: Address | None = None,
    ) -> None:
        self._key, self._domain, self._block_time, self._account = key, domain, block_time, account
        self._kept: UnixTime | None = None

    @property
    def has_key(self) -> bool:
        return self._key is not None

    def headers(self, method: str, path: str, body_sha256: Sha256) -> dict[str, str]:
        """Headers for this very request; raise ConfigError without a key."""
        at = self._kept if self._kept is not None else self.refresh()
        return sign_request(self._own_key(), method, path, body_sha256, at, self._domain(), account=self._account)

    def share(self, lease: Bytes32, part: Part, until: UnixTime) -> Share:
        """Leave to read a part of a lease, in the account's name; raise ConfigError without a key."""
        return sign_share(self._own_key(), lease, part, until, self._domain(), account=self._account)

    def refresh(self) -> UnixTime:
        """Ask for the block time again."""
        self._kept = self._block_time()
        return self._kept

    def _own_key(self) -> Key:
        if self._key is None:
            raise ConfigError(["this needs a key: set BOURSE_KEYSTORE and BOURSE_KEYSTORE_PASSWORD_FILE"])
        return self._key


class SignedHttp:
    """The line to one gateway, for one account."""

    def __init__(self, http: GatewayHttp, signer: RequestSigner) -> None:
        self._http, self._signer = http, signer

    def write(self, method: str, path: str, content: bytes | Path, headers: dict[str, str]) -> Answer:
        """A signed write."""
        return self._send(method, path, content, {**headers, "Idempotency-Key": idempotency_key()}, MOST_BYTES)

    def ask(self, method: str, path: str, most_bytes: int = MOST_BYTES) -> Answer:
        """A read, in the account's name where there is a key."""
        if not self._signer.has_key:
            return self._http.send(method, path, most_bytes=most_bytes)
        return self._send(method, path, b"", {}, most_bytes)

    def get(self, path: str, most_bytes: int = MOST_BYTES) -> bytes:
        """The body of a read that succeeds; raise GatewayProblem, GatewayUnavailable."""
        return accepted(self.ask("GET", path, most_bytes)).content

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """A read in small pieces, in the account's name where there is a key; raises as ``GatewayHttp.stream`` does."""
        with self._http.stream(path, self.fresh_headers(path)) as pieces:
            yield pieces

    def events(self, path: str) -> Iterator[ServerEvent]:
        """The events of a read, in the account's name where there is a key."""
        yield from self._http.events(path, self.fresh_headers(path))

    def fresh_headers(self, path: str) -> dict[str, str]:
        """Headers over a block time that was asked for just now: a long answer is not begun twice."""
        if not self._signer.has_key:
            return {}
        self._signer.refresh()
        return self._signer.headers("GET", path, _NO_BODY)

    def _send(self, method: str, path: str, content: bytes | Path, headers: dict[str, str], most_bytes: int) -> Answer:
        """A stale block time (401) is asked for again, once."""
        digest = content_sha256(content)
        for is_last in (False, True):
            signed = {**headers, **self._signer.headers(method, path, digest)}
            answer = self._http.send(method, path, content=content, headers=signed, most_bytes=most_bytes)
            if answer.status != 401 or is_last:
                break
            self._signer.refresh()
        return answer
