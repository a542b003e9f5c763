"""A leg to a relay, from either end: bytes in, bytes out, as much at a time as the relay passes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from websockets.asyncio.client import ClientConnection, connect

from marketplace.domain.relaying import FRAME_BYTES, FRAMES, KEEPALIVE_SECONDS, MEET_SECONDS


def connected(url: str, headers: dict[str, str]) -> connect:
    """A WebSocket to a relay, bounded as its own end is."""
    return connect(
        url, additional_headers=headers, compression=None, max_size=FRAME_BYTES, max_queue=FRAMES,
        write_limit=FRAME_BYTES * FRAMES, ping_interval=KEEPALIVE_SECONDS, ping_timeout=2 * KEEPALIVE_SECONDS,
        open_timeout=MEET_SECONDS, close_timeout=5, proxy=None,
    )  # fmt: skip


async def bridged(leg: ClientConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes between a leg and a stream, until either ends; then both are closed."""

    async def up() -> None:
        while chunk := await reader.read(FRAME_BYTES):
            await leg.send(chunk)

    async def down() -> None:
        async for message in leg:
            if isinstance(message, str):
                return
            writer.write(message)
            await writer.drain()

    try:
        await either(up(), down())
    finally:
        writer.close()
        await leg.close()


async def either(*ways: Coroutine[None, None, None]) -> None:
    """Wait until one of them ends, however it does, and end the others."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
