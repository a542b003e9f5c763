"""One HTTP/1.1 connection as h11 reads and writes it, over a stream of any kind. Nothing is read faster than it is passed on."""

from __future__ import annotations

from typing import Final, Protocol, cast

import h11

from marketplace.exposure.door import HEAD_BYTES

CHUNK_BYTES: Final = 1 << 16

Event = h11.Event | type[h11.PAUSED]


class ByteSource(Protocol):
    """Where bytes come from: asyncio's reader, or asyncssh's."""

    async def read(self, n: int = -1, /) -> bytes: ...


class ByteSink(Protocol):
    """Where they go."""

    def write(self, chunk: bytes, /) -> None: ...

    async def drain(self) -> None: ...

    def close(self) -> None: ...


class Wire:
    """The connection of one side: the browser's, to which we are the server, or the job's."""

    def __init__(self, role: type[h11.CLIENT] | type[h11.SERVER], source: ByteSource, sink: ByteSink) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self.source, self.sink = source, sink

    async def heard(self) -> Event:
        """The next thing that the other end says. Raises h11.RemoteProtocolError, OSError."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            if self.http.they_are_waiting_for_100_continue:
                await self.say(h11.InformationalResponse(status_code=100, headers=[]))
            self.http.receive_data(await self.source.read(CHUNK_BYTES))
        return cast(Event, event)

    async def say(self, event: h11.Event) -> None:
        """Write it, and wait until there is room again. Raises h11.LocalProtocolError, OSError."""
        if piece := self.http.send(event):
            self.sink.write(piece)
            await self.sink.drain()

    @property
    def is_done(self) -> bool:
        """Whether both sides have said all of this exchange, and the connection may carry another one."""
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE
