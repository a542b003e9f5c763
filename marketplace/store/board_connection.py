"""The connection to Redis: one place where commands go out and where its failures get their name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from time import monotonic
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from marketplace.domain.errors import ConfigError, StoreUnavailable

ANSWER_SECONDS: Final = 5
"""Redis answers in microseconds; one that needs longer is stuck, and whoever asks should hear of it."""

SILENT_SECONDS: Final = 5.0
"""After an answer that did not come in time, who asks is told so at once for this long; then one of them asks again."""

WAIT_LIMIT_MS: Final = 30_000
"""The longest blocking read. Who wants to wait longer asks again."""


class RedisConnection:
    """Commands to one Redis; reconnects by itself. Threads may share it."""

    def __init__(self, url: str) -> None:
        """Does not connect yet. Raises ConfigError for a URL that is none."""
        self._silence = _Silence()
        self._client = _client(url, ANSWER_SECONDS)
        self._scripts = dict[str, Any]()
        # Blocking reads have their own connections: they may stay silent for long without being broken.
        self._waiting = _client(url, WAIT_LIMIT_MS // 1000 + ANSWER_SECONDS)

    def call(self, *words: Any) -> Any:
        """One command. Raises StoreUnavailable."""
        with self._silence.broken():
            return self._client.execute_command(*words)

    def together(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several commands in one step that nothing else comes between (MULTI … EXEC). Raises StoreUnavailable."""
        with self._silence.broken(), self._client.pipeline(transaction=True) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)
            return list(pipeline.execute())

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """One script of ``store/lua``, which runs whole or not at all. Raises StoreUnavailable."""
        with self._silence.broken():
            return self._script(script)(keys=keys, args=arguments)

    def wait_stream(self, after: dict[str, str], wait_ms: int, limit: int) -> list[tuple[str, str, dict[bytes, bytes]]]:
        """The entries of streams beyond given ids as (stream, id, fields), waiting up to ``wait_ms`` where there are none."""
        blocking = ("BLOCK", min(wait_ms, WAIT_LIMIT_MS)) if wait_ms > 0 else ()
        client = self._waiting if blocking else self._client
        with self._silence.broken():
            found = client.execute_command("XREAD", "COUNT", limit, *blocking, "STREAMS", *after, *after.values())
        pairs = found.items() if isinstance(found, dict) else (found or ())
        return [(name.decode(), entry.decode(), words) for name, entries in pairs for entry, words in entries]

    def close(self) -> None:
        self._client.close()
        self._waiting.close()

    def _script(self, name: str) -> Any:
        """The script, known by its hash; the client loads it (again) where the server does not know it."""
        if name not in self._scripts:
            self._scripts[name] = self._client.register_script(_lua(name))
        return self._scripts[name]


def _client(url: str, timeout_seconds: int) -> Any:
    """A client; ``Any`` because redis-py leaves ``execute_command`` without types."""
    try:
        # One new attempt at once: a connection from before a restart of Redis is dead, a fresh one works.
        return Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 1)
        )  # fmt: skip
    except ValueError as exc:
        raise ConfigError([f"the Redis URL cannot be used: {exc}"]) from exc


def _lua(name: str) -> str:
    return (files("marketplace.store") / "lua" / f"{name}.lua").read_text()


class _Silence:
    """Names what goes wrong, and lets nobody wait for a server that has fallen silent, but one now and then who finds out whether it still is.

    Out of memory, read-only, loading, gone: for the board's users it is all one, as nothing on it is the only copy. A server that
    refuses does so at once; one that hangs would hold up everybody who only wanted to leave a hint.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ask_at: float | None = None
        """When somebody may try again; None while it answers."""

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Around each command. Raises StoreUnavailable."""
        with self._lock:
            if self._ask_at is not None:
                if monotonic() < self._ask_at:
                    raise StoreUnavailable("board (it did not answer in time)")
                self._ask_at = monotonic() + SILENT_SECONDS
        try:
            yield
        except RedisError as exc:
            with self._lock:
                self._ask_at = monotonic() + SILENT_SECONDS if isinstance(exc, RedisTimeout) else None
            raise StoreUnavailable(f"board ({exc})") from exc
        with self._lock:
            self._ask_at = None
