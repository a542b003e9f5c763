"""Several gateways as one: who does not answer, or has not what is asked for, gives way to the next. What is signed is signed for the market, so that any of them may take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from marketplace.api.client.http import DEFAULT_RETRIES, Answer, GatewayHttp, Retries
from marketplace.api.events import ServerEvent
from marketplace.api.reading import MOST_BYTES
from marketplace.domain.errors import GatewayError, GatewayProblem, GatewayUnavailable

_MISSING = 404


class FailoverHttp(GatewayHttp):
    """Asks the gateway that answered last, and the others in their order where it does not; all of them again after a pause.

    What is to be read and is not there is asked of the others, too: a provider leaves outputs where they are taken."""

    def __init__(self, base_urls: Sequence[str], *, retries: Retries = DEFAULT_RETRIES, **settings: Any) -> None:
        super().__init__(base_urls[0], retries=retries, **settings)
        self._lines = [GatewayHttp(url, retries=Retries(attempts=1), **settings) for url in base_urls]
        self._first = 0

    def close(self) -> None:
        """Close all connections."""
        super().close()
        for line in self._lines:
            line.close()

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
        """The first answer, whatever its status below 502; raise GatewayUnavailable where there is none after all attempts."""
        waits, missing = iter(()) if once else self._retries.waits(), None
        while True:
            for place in self._places():
                try:
                    response = self._lines[place].send(
                        method, path, content=content, headers=headers, once=True, most_bytes=most_bytes
                    )
                except GatewayUnavailable as exc:
                    last = exc
                else:
                    if method == "GET" and response.status == _MISSING:
                        missing = missing or response
                        continue
                    if missing is None:
                        self._first = place
                        return response
                    if response.is_success:
                        return response
            if missing is not None:
                return missing
            pause = next(waits, None)
            if pause is None:
                raise last
            self._wait(pause)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Iterator[bytes]]:
        """A stream of the first gateway that begins one; where it breaks off later, the caller asks again."""
        last: GatewayError | None = None
        for place in self._places():
            opened = ExitStack()
            try:
                response = opened.enter_context(self._lines[place].stream(path, headers))
            except GatewayUnavailable as exc:
                last = last or exc
                continue
            except GatewayProblem as exc:
                if exc.status != _MISSING:
                    raise
                last = exc if last is None or isinstance(last, GatewayUnavailable) else last
                continue
            with opened:
                if not isinstance(last, GatewayProblem):
                    self._first = place
                yield response
            return
        assert last, "nobody has it"
        raise last

    def events(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[ServerEvent]:
        """The events of the gateway that answered last: who reads asks again where they break off."""
        yield from self._lines[self._first].events(path, headers)

    def _places(self) -> list[int]:
        return [(self._first + step) % len(self._lines) for step in range(len(self._lines))]


def http_to(base_urls: Sequence[str], **settings: Any) -> GatewayHttp:
    """How to speak to these gateways, the preferred one first."""
    return GatewayHttp(base_urls[0], **settings) if len(base_urls) == 1 else FailoverHttp(base_urls, **settings)
