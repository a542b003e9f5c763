"""ssh's ProxyCommand in tests: stdin and stdout through a relay, as somebody whom its doors know by a header."""

from __future__ import annotations

import asyncio
import os
import sys

from marketplace.api.client.relay import bridged, connected


async def main(url: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb", 0))
    async with connected(url, {"Who": "client"}) as leg:
        await bridged(leg, reader, asyncio.StreamWriter(transport, protocol, None, loop))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
