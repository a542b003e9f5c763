"""The one seam to the gateway: a request goes in, an answer or a typed error comes out.

Whatever a gateway sends, a request ends: its answer is bounded in bytes as it arrives, and in time as a whole.

Writes carry ``Bourse-*`` headers: a human-readable text over method, path, body hash, block time, chain and market,
signed with the account's key (EIP-191, ``chain.request_signing``). Block time comes from the gateway (or from the caller's own
chain), never from a clock.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import httpx

from marketplace.api.client.deadlines import Deadline, TimedTransport, answered_by
from marketplace.api.client.decompression import PIECE_BYTES, gathered, unpacked
from marketplace.api.events import ServerEvent, server_events
from marketplace.api.following import UPSTREAM_STATUSES
from marketplace.api.problems import ProblemTold
from marketplace.api.reading import MOST_BYTES, read
from marketplace.chain.signing import Key
from marketplace.domain.errors import GatewayProblem, GatewayUnavailable, UnreadableAnswer
from marketplace.domain.ids import Sha256, sha256_of
from marketplace.domain.units import UnixTime

Waiter = Callable[[float], object]
"""Waits for that many seconds, or less: ``threading.Event().wait`` of an event that stops the caller."""

BlockTime = Callable[[], UnixTime]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long to wait for the gateway, in seconds.

    Timeout()                     5 s to connect, 30 s between two pieces of an answer, a minute for all of a request
    Timeout(connect_seconds=1.0)  for a gateway next door

    What moves a body has longer, by what a line of ``least_bytes_per_second`` needs for the bytes that it has moved. A stream of
    events is followed for ``stream_seconds`` at most, and is then to be asked for again.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    total_seconds: float = 60.0
    stream_seconds: float = 900.0
    least_bytes_per_second: int = 1 << 15


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


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a whole body, neither of which has been believed yet."""

    status: int
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


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
        self._timeout, self._retries = timeout, retries
        self._wait = waiter or threading.Event().wait
        self._client = httpx.Client(
            base_url=self.base_url, timeout=httpx.Timeout(timeout.read_seconds, connect=timeout.connect_seconds),
            transport=transport or TimedTransport(), trust_env=False, headers={"Accept-Encoding": "gzip"},
        )  # fmt: skip

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
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """The answer, whatever its status below 502, at most ``most_bytes`` of it.

        Raise GatewayUnavailable when there is none after all attempts, or within the time that all of them together have.
        """
        waits, deadline = iter(()) if once else self._retries.waits(), self._deadline(self._timeout.total_seconds)
        while True:
            try:
                with answered_by(deadline):
                    return self._send_once(method, path, content, headers or {}, most_bytes, deadline)
            except UnreadableAnswer:
                raise  # it would say the same again
            except GatewayUnavailable:
                pause = next(waits, None)
                if pause is None or pause >= deadline.left_seconds:
                    raise
                self._wait(pause)

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, self._timeout.least_bytes_per_second)

    def _send_once(
        self,
        method: str,
        path: str,
        content: bytes | Path,
        headers: Mapping[str, str],
        most_bytes: int,
        deadline: Deadline,
    ) -> Answer:
        with (
            self._typed(),
            content.open("rb") if isinstance(content, Path) else BytesIO(content) as body,
            self._client.stream(method, path, content=_pieces(body, deadline) if content else None, headers=_sized(headers, content)) as response,
        ):  # fmt: skip
            answer = Answer(response.status_code, gathered(_unpacked(response, deadline), most_bytes))
        if answer.status in UPSTREAM_STATUSES:
            raise GatewayUnavailable(f"the gateway at {self.base_url} is not ready: {problem_of(answer).detail}")
        return answer

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Iterator[bytes]]:
        """A GET whose body is read in small pieces, without a bound on all of them: who reads counts.

        Raise GatewayProblem at its start, GatewayUnavailable at any time.
        """
        with self._opened(path, headers or {}, self._deadline(self._timeout.total_seconds)) as pieces:
            yield pieces

    def events(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[ServerEvent]:
        """The events of a GET, until it ends or its time is over; raises as ``stream`` does."""
        endless = Deadline(self._timeout.stream_seconds, least_bytes_per_second=1 << 62)
        with self._opened(path, headers or {}, endless) as pieces:
            yield from server_events(pieces)

    @contextmanager
    def _opened(self, path: str, headers: Mapping[str, str], deadline: Deadline) -> Iterator[Iterator[bytes]]:
        with self._typed(), closing(self._asked("GET", path, headers, deadline)) as response:
            pieces = _unpacked(response, deadline)
            if response.is_success:
                yield pieces
                return
            problem = problem_of(Answer(response.status_code, gathered(pieces, MOST_BYTES)))
            if response.status_code in UPSTREAM_STATUSES:
                raise GatewayUnavailable(f"the gateway at {self.base_url} is not ready: {problem.detail}")
            raise problem

    def _asked(self, method: str, path: str, headers: Mapping[str, str], deadline: Deadline) -> httpx.Response:
        with answered_by(deadline):
            return self._client.send(self._client.build_request(method, path, headers=dict(headers)), stream=True)

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise GatewayUnavailable(f"the gateway at {self.base_url} does not answer ({type(exc).__name__})") from exc


def _pieces(body: IO[bytes], deadline: Deadline) -> Iterator[bytes]:
    while piece := body.read(PIECE_BYTES):
        yield piece
        deadline.moved(len(piece))


def _sized(headers: Mapping[str, str], content: bytes | Path) -> dict[str, str]:
    """With the length that is sent: a body without one would come in chunks, and nobody could refuse it at its first byte."""
    length = content.stat().st_size if isinstance(content, Path) else len(content)
    return {**headers, "Content-Length": str(length)} if length else dict(headers)


def _unpacked(response: httpx.Response, deadline: Deadline) -> Iterator[bytes]:
    """The body as it arrives, unpacked with bounds; httpx's own readers unpack all that arrives, whatever it becomes."""
    assert isinstance(response.stream, httpx.SyncByteStream)
    return unpacked(_counted(response.stream, deadline), response.headers.get("content-encoding", ""))


def _counted(pieces: Iterable[bytes], deadline: Deadline) -> Iterator[bytes]:
    """The pieces, each of which is waited for until the deadline, and moves it. Between them the thread may do other things."""
    arriving = iter(pieces)
    while True:
        with answered_by(deadline):
            piece = next(arriving, None)
        if piece is None:
            return
        deadline.moved(len(piece))
        yield piece


def accepted(answer: Answer) -> Answer:
    """The answer itself when it is a success; raise GatewayProblem otherwise."""
    if answer.is_success:
        return answer
    raise problem_of(answer)


def problem_of(answer: Answer) -> GatewayProblem:
    """An RFC 9457 problem as the typed error; an answer that is none of ours keeps its status as the reason."""
    problem, reason = problem_in(answer), f"Http{answer.status}"
    reason = problem.reason or reason
    detail = (problem.detail or problem.title or "no detail").removeprefix(f"{reason}: ")
    return GatewayProblem(answer.status, reason, detail, problem.field)


def problem_in(answer: Answer) -> ProblemTold:
    """What the body says, as far as it is a problem of ours."""
    try:
        return read(ProblemTold, answer.content)
    except UnreadableAnswer:
        return ProblemTold()


def idempotency_key() -> str:
    """A fresh key, to be kept over the retries of one call."""
    return secrets.token_hex(16)


def content_sha256(content: bytes | Path) -> Sha256:
    """The sha256 of bytes or of a file, read in pieces."""
    if isinstance(content, bytes):
        return sha256_of(content)
    digest = hashlib.sha256()
    with content.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return Sha256(digest.hexdigest())
