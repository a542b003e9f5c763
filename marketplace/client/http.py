"""The one seam to the gateway: a request goes in, an answer or a typed error comes out.

Writes carry ``Bourse-*`` headers: a human-readable text over method, path, body hash, block time, chain and market,
signed with the account's key (EIP-191, ``chain.requests``). Block time comes from the gateway (or from the caller's own
chain), never from a clock.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx

from marketplace.chain.requests import sign_request
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.errors import ConfigError, GatewayProblem, GatewayUnavailable
from marketplace.domain.ids import Address, Sha256, sha256_of
from marketplace.domain.units import UnixTime

Waiter = Callable[[float], object]
"""Waits for that many seconds, or less: ``threading.Event().wait`` of an event that stops the caller."""

BlockTime = Callable[[], UnixTime]

UPSTREAM_STATUSES = frozenset({502, 503, 504})
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long to wait for the gateway, in seconds.

    Timeout()                     5 s to connect, 30 s between two pieces of an answer
    Timeout(connect_seconds=1.0)  for a gateway next door
    """

    connect_seconds: float = 5.0
    read_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to ask again when the gateway does not answer. Only requests that may be sent twice are.

    Retries()             five times within about six seconds
    Retries(attempts=1)   never
    """

    attempts: int = 6
    first_wait_seconds: float = 0.2
    longest_wait_seconds: float = 3.0

    def waits(self) -> Iterator[float]:
        """The pauses between the attempts, each twice the one before."""
        for attempt in range(self.attempts - 1):
            yield min(self.first_wait_seconds * 2**attempt, self.longest_wait_seconds)


DEFAULT_TIMEOUT = Timeout()
DEFAULT_RETRIES = Retries()


class GatewayHttp:
    """Sends requests to one gateway, signed where it is asked to, again where that is safe."""

    def __init__(
        self,
        base_url: str,
        *,
        key: Key | None = None,
        timeout: Timeout = DEFAULT_TIMEOUT,
        retries: Retries = DEFAULT_RETRIES,
        waiter: Waiter | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key
        self._retries = retries
        self._wait = waiter or threading.Event().wait
        limits = httpx.Timeout(timeout.read_seconds, connect=timeout.connect_seconds)
        self._client = httpx.Client(base_url=self.base_url, timeout=limits, transport=transport, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Path = b"",
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> httpx.Response:
        """The answer, whatever its status below 502; raise GatewayUnavailable when there is none after all attempts."""
        waits = iter(()) if once else self._retries.waits()
        while True:
            try:
                return self._send_once(method, path, content, headers or {})
            except GatewayUnavailable:
                pause = next(waits, None)
                if pause is None:
                    raise
                self._wait(pause)

    def _send_once(self, method: str, path: str, content: bytes | Path, headers: Mapping[str, str]) -> httpx.Response:
        try:
            with content.open("rb") if isinstance(content, Path) else BytesIO(content) as body:
                response = self._client.request(method, path, content=body if content else None, headers=dict(headers))
        except httpx.TransportError as exc:
            raise GatewayUnavailable(f"the gateway at {self.base_url} does not answer ({type(exc).__name__})") from exc
        if response.status_code in UPSTREAM_STATUSES:
            raise GatewayUnavailable(f"the gateway at {self.base_url} is not ready: {_detail_of(response)}")
        return response

    @contextmanager
    def stream(self, path: str) -> Iterator[httpx.Response]:
        """A GET whose body is read in pieces; raise GatewayProblem at its start, GatewayUnavailable at any time."""
        try:
            with self._client.stream("GET", path) as response:
                if response.status_code in UPSTREAM_STATUSES:
                    raise GatewayUnavailable(f"the gateway at {self.base_url} is not ready")
                if not response.is_success:
                    response.read()
                    raise problem_of(response)
                yield response
        except httpx.TransportError as exc:
            raise GatewayUnavailable(f"the gateway at {self.base_url} does not answer ({type(exc).__name__})") from exc


def accepted(response: httpx.Response) -> httpx.Response:
    """The response itself when it is a success; raise GatewayProblem otherwise."""
    if response.is_success:
        return response
    raise problem_of(response)


def json_of(response: httpx.Response) -> Any:
    """The JSON of a success; raise GatewayProblem for a problem and for an answer that is not JSON."""
    accepted(response)
    try:
        return response.json()
    except ValueError as exc:
        raise GatewayProblem(response.status_code, "NotJson", "the gateway's answer is not JSON") from exc


def problem_of(response: httpx.Response) -> GatewayProblem:
    """An RFC 9457 problem as the typed error; an answer that is none of ours keeps its status as the reason."""
    body = _object_of(response)
    reason = str(body.get("reason") or body.get("code") or f"Http{response.status_code}")
    field = str(body.get("field") or "")
    return GatewayProblem(response.status_code, reason, _detail_of(response).removeprefix(f"{reason}: "), field)


def problem_number(response: httpx.Response, *names: str) -> int | None:
    """The first of these members of a problem that is an integer."""
    body = _object_of(response)
    return next((body[name] for name in names if isinstance(body.get(name), int)), None)


def _object_of(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _detail_of(response: httpx.Response) -> str:
    body = _object_of(response)
    return str(body.get("detail") or body.get("title") or response.reason_phrase or "no detail")


class RequestSigner:
    """Makes the headers of a write. The block time is kept until the gateway says that it is stale."""

    def __init__(
        self,
        key: Key | None,
        domain: Callable[[], SigningDomain],
        block_time: BlockTime,
        account: Address | None = None,
    ) -> None:
        self._key, self._domain, self._block_time, self._account = key, domain, block_time, account
        self._kept: UnixTime | None = None

    def headers(self, method: str, path: str, body_sha256: Sha256) -> dict[str, str]:
        """Headers for this very request; raise ConfigError without a key."""
        if self._key is None:
            raise ConfigError(["this needs a key: set BOURSE_KEYSTORE and BOURSE_KEYSTORE_PASSWORD_FILE"])
        at = self._kept if self._kept is not None else self.refresh()
        return sign_request(self._key, method, path, body_sha256, at, self._domain(), account=self._account)

    def refresh(self) -> UnixTime:
        """Ask for the block time again."""
        self._kept = self._block_time()
        return self._kept


def idempotency_key() -> str:
    """A fresh key, to be kept over the retries of one call."""
    return secrets.token_hex(16)


def json_body(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def content_sha256(content: bytes | Path) -> Sha256:
    """The sha256 of bytes or of a file, read in pieces."""
    if isinstance(content, bytes):
        return sha256_of(content)
    digest = hashlib.sha256()
    with content.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return Sha256(digest.hexdigest())
