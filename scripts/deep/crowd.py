"""A crowd of connections that want nothing but to be in the way: `python -m scripts.deep.crowd KIND URL MARKET CHAIN BLOCK_TIME SECONDS`.

streams    of the market's events, opened again when they are refused
heads      of requests, a letter now and then
uploads    of keys without money, signed, a byte now and then
readers    that ask for a large answer and take nothing of it
pipelines  of reads, sixteen at once and again, whatever is answered
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from marketplace.chain.request_signing import sign_request
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.ids import Sha256, address
from marketplace.domain.units import UnixTime

CONNECTIONS = 256
PIPELINED = 16
PAUSE_SECONDS = 0.5
ADDRESS = "127.0.0.2"
"""Where the crowd is from: not from where honest requests are, which have their own share of what an address may ask."""
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Visit = Callable[[Line, int], Awaitable[None]]


async def streams(line: Line, _: int) -> None:
    line[1].write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    while await line[0].read(4096):
        pass


async def heads(line: Line, _: int) -> None:
    await _drip(line, b"GET /v1/offers HTTP/1.1\r\nX: ")


async def readers(line: Line, _: int) -> None:
    line[1].write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(3600)


async def pipelines(line: Line, _: int) -> None:
    """Never more than a gateway keeps waiting, so that it is not simply hung up on."""
    request = b"GET /v1/offers HTTP/1.1\r\nHost: x\r\n\r\n"
    while not line[0].at_eof():
        line[1].write(request * PIPELINED)
        await line[1].drain()
        for _ in range(PIPELINED):
            await line[0].readuntil(b"HTTP/1.1 ")


def uploads(domain: SigningDomain, now: UnixTime) -> Visit:
    """Each with a key of its own, which nobody has ever heard of."""

    async def upload(line: Line, number: int) -> None:
        name = Sha256(f"{number:064x}")
        signed = sign_request(Key((number + 1).to_bytes(32, "big")), "PUT", f"/v1/blobs/{name}", name, now, domain)
        lines = [
            f"PUT /v1/blobs/{name} HTTP/1.1",
            "Host: x",
            "Content-Length: 60000",
            *(f"{key}: {value}" for key, value in signed.items()),
        ]
        await _drip(line, "\r\n".join(lines).encode() + b"\r\n\r\n")

    return upload


async def _drip(line: Line, first: bytes) -> None:
    line[1].write(first)
    while not line[0].at_eof():
        line[1].write(b"a")
        await line[1].drain()
        try:
            await asyncio.wait_for(line[0].read(4096), PAUSE_SECONDS)
        except TimeoutError:
            continue


async def crowd(url: str, visit: Visit, seconds: float) -> None:
    """So many at once, each coming again when it is sent away."""
    told = urlsplit(url)

    async def one(number: int) -> None:
        while True:
            try:
                line = await asyncio.open_connection(told.hostname, told.port, local_addr=(ADDRESS, 0))
                try:
                    await visit(line, number)
                finally:
                    line[1].close()
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)

    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    except TimeoutError:
        return


def main(words: list[str]) -> None:
    kind, url, market, chain_id, now, seconds = words
    domain = SigningDomain(int(chain_id), address(market))
    kinds: dict[str, Visit] = {
        "streams": streams, "heads": heads, "readers": readers, "pipelines": pipelines, "uploads": uploads(domain, UnixTime(int(now))),
    }  # fmt: skip
    os.nice(10)
    asyncio.run(crowd(url, kinds[kind], float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
