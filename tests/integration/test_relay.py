"""A relay on real sockets: who is let in, what is joined, what is bounded, and that both legs end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from marketplace.domain.errors import Forbidden, NotFound
from marketplace.domain.ids import Bytes32
from marketplace.domain.relaying import FRAME_BYTES, answer_path, caller_path, line_path, way_in
from marketplace.relay.meetings import Meetings
from marketplace.relay.server import TRY_AGAIN, Relay
from tests.ports import free_port

LEASE = Bytes32("0x" + "ab" * 32)
PATIENCE = 30


class Named:
    """Doors that know people by a header: whose signatures count is another test's subject."""

    def require_provider(self, headers: Mapping[str, str], lease: Bytes32) -> None:
        if headers.get("Who") != "provider":
            raise Forbidden("not the provider")

    def require_client(self, headers: Mapping[str, str], lease: Bytes32) -> None:
        if headers.get("Who") != "client":
            raise NotFound("lease", lease)


def at_relay(scene: Callable[[str, Relay], Awaitable[None]], meetings: Meetings | None = None) -> None:
    """Play a scene at a relay that is there for it only."""

    async def play() -> None:
        relay, port, stopping, ready = Relay(Named(), meetings), free_port(), asyncio.Event(), asyncio.Event()
        serving = asyncio.ensure_future(relay.serve("127.0.0.1", port, stopping, ready))
        await asyncio.wait_for(ready.wait(), PATIENCE)
        try:
            await asyncio.wait_for(scene(f"ws://127.0.0.1:{port}", relay), PATIENCE)
        finally:
            stopping.set()
            await asyncio.wait_for(serving, PATIENCE)
        assert relay.meetings.legs == 0

    asyncio.run(play())


def line(url: str) -> connect:
    return connect(url + line_path(LEASE), additional_headers={"Who": "provider"})


def caller(url: str) -> connect:
    return connect(url + caller_path(LEASE), additional_headers={"Who": "client"})


async def met(url: str, agent: ClientConnection) -> tuple[ClientConnection, ClientConnection]:
    """A client and the leg that the agent brings for it."""
    client = await caller(url)
    ticket = await agent.recv()
    return client, await connect(url + answer_path(LEASE, str(ticket)))


async def closed(leg: ClientConnection) -> int | None:
    """The code with which a leg was closed."""
    await leg.wait_closed()
    return leg.close_code


def test_two_legs_are_joined() -> None:
    """What is sent on one leg comes out of the other, several clients at a time, each with its own."""

    async def scene(url: str, _: Relay) -> None:
        async with line(url) as agent:
            pairs = [await met(url, agent) for _ in range(3)]
            for number, (client, answer) in enumerate(pairs):
                await client.send(b"up" * number)
                await answer.send(bytes([number]) * FRAME_BYTES)
            for number, (client, answer) in enumerate(pairs):
                assert await answer.recv() == b"up" * number
                assert await client.recv() == bytes([number]) * FRAME_BYTES
                await client.close()
                await closed(answer)

    at_relay(scene)


@pytest.mark.parametrize("side", [0, 1])
def test_both_legs_end_when_one_breaks(side: int) -> None:
    """A leg that is cut without a word takes the other with it."""

    async def scene(url: str, _: Relay) -> None:
        async with line(url) as agent:
            pair = await met(url, agent)
            pair[side].transport.abort()
            await closed(pair[1 - side])

    at_relay(scene)


def test_who_is_not_let_in() -> None:
    """Neither another provider, nor a stranger, nor a path or a ticket that there is not: each is told before there is a WebSocket."""

    async def scene(url: str, _: Relay) -> None:
        for path, who, status in (
            (line_path(LEASE), "client", 403),
            (caller_path(LEASE), "provider", 404),
            ("/v1/relay/0x12/line", "provider", 404),
            ("/", "client", 404),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url + path, additional_headers={"Who": who})
            assert refused.value.response.status_code == status
        async with connect(url + answer_path(LEASE, "A" * 43)) as guessed:
            await closed(guessed)

    at_relay(scene)


def test_a_ticket_is_good_once() -> None:
    """A second leg with the ticket of a meeting is closed, and the meeting goes on."""

    async def scene(url: str, _: Relay) -> None:
        async with line(url) as agent:
            client = await caller(url)
            ticket = str(await agent.recv())
            answer = await connect(url + answer_path(LEASE, ticket))
            await answer.send(b"first")
            assert await client.recv() == b"first"
            async with connect(url + answer_path(LEASE, ticket)) as late:
                await closed(late)
            await client.send(b"still")
            assert await answer.recv() == b"still"
            await client.close()
            await answer.close()

    at_relay(scene)


def test_nobody_to_meet_is_said_at_once() -> None:
    """A client of a lease without a line is told so, and not left waiting."""

    async def scene(url: str, _: Relay) -> None:
        async with caller(url) as client:
            assert await closed(client) == TRY_AGAIN
            assert "job_gone" in client.close_reason

    at_relay(scene)


def test_a_newer_line_takes_the_place_of_the_older() -> None:
    """An agent that comes back is met, whatever became of its old line."""

    async def scene(url: str, _: Relay) -> None:
        async with line(url) as old, line(url) as new:
            await closed(old)
            client, answer = await met(url, new)
            await client.send(b"hello")
            assert await answer.recv() == b"hello"
            await client.close()
            await answer.close()

    at_relay(scene)


def test_clients_of_one_lease_and_legs_of_a_relay_are_bounded() -> None:
    """One client too many is told to come again, and the others go on; so is one connection too many."""

    async def scene(url: str, relay: Relay) -> None:
        async with line(url) as agent:
            first = await met(url, agent)
            async with caller(url) as second:
                assert await closed(second) == TRY_AGAIN
            await first[0].send(b"on")
            assert await first[1].recv() == b"on"
            async with caller(url) as third:
                assert await closed(third) == TRY_AGAIN
                assert "connections" in third.close_reason
            await first[0].close()
            await closed(first[1])

    at_relay(scene, Meetings(most_callers=1, most_legs=4))


def test_a_reader_that_does_not_read_holds_its_writer() -> None:
    """What nobody takes is not piled up at the relay: the sender waits."""

    async def scene(url: str, _: Relay) -> None:
        async with line(url) as agent:
            client = await caller(url)
            answer = await connect(url + answer_path(LEASE, str(await agent.recv())), max_queue=1)

            async def flood() -> None:
                for _ in range(2_000):  # 125 MiB
                    await client.send(bytes(FRAME_BYTES))

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(flood(), 2)
            client.transport.abort()
            answer.transport.abort()

    at_relay(scene)


def test_ways_in() -> None:
    """Only the three paths lead in, each with what it needs."""
    assert way_in(answer_path(LEASE, "x" * 43)) == (LEASE, "answer", "x" * 43)
    assert way_in(line_path(LEASE)) == (LEASE, "line", "")
    for path in (f"/v1/relay/{LEASE}/answer", line_path(LEASE) + "/" + "x" * 43, caller_path(LEASE) + "/", "/v1/relay"):
        assert way_in(path) is None
