"""Rounds over HTTP: the very bytes whose hash is on the chain."""

from __future__ import annotations

from contextlib import closing

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import Bytes32, bytes32_of, sha256_of
from marketplace.domain.rounds import RoundSums
from marketplace.domain.units import TokenUnits
from tests.integration.gateway.conftest import Gateway


def written_down(gateway: Gateway, content: bytes, block: int) -> Bytes32:
    name = bytes32_of(sha256_of(content))
    gateway.journal.add_round(name, content, block)
    return name


def test_a_round_comes_back_byte_for_byte(gateway: Gateway) -> None:
    """Whoever has the hash from the chain needs to believe nobody."""
    content = b'{"b":1,"a":"\xc3\xa9"}'
    name = written_down(gateway, content, 3)
    read = gateway.http.get(f"/v1/rounds/{name}")

    assert (read.status_code, read.content, read.headers["content-type"]) == (200, content, "application/json")
    assert "immutable" in read.headers["cache-control"]
    with closing(GatewayApi(gateway.url)) as api:
        assert api.fetch_round(name) == content


def test_an_unknown_round_is_a_problem(gateway: Gateway) -> None:
    """404 by name; what is no hash is refused before anybody looks for it."""
    nobody = Bytes32("0x" + "00" * 32)

    with closing(GatewayApi(gateway.url)) as api, pytest.raises(GatewayProblem) as caught:
        api.fetch_round(nobody)
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    assert gateway.http.get("/v1/rounds/0x12").status_code == 422


def test_rounds_are_listed_newest_first(gateway: Gateway) -> None:
    """Page by page, each once; the SDK follows the pages as far as it was asked to."""
    names = [written_down(gateway, b'{"round":%d}' % number, 1_000 + number // 2) for number in range(7)]

    first = gateway.http.get("/v1/rounds?limit=3").json()
    second = gateway.http.get(f"/v1/rounds?limit=3&after={first['next']}").json()
    listed = [row["round"] for row in first["items"] + second["items"]]
    assert (first["items"][0]["round"], first["items"][0]["block"], first["items"][0]["bytes"]) == (names[6], 1_003, 11)
    assert first["items"][0]["fills"] is None
    assert set(listed) == {*names[2:], min(names[:2])}
    with closing(GatewayApi(gateway.url)) as api:
        assert [entry.round for entry in api.rounds(limit=6)] == listed
    assert gateway.http.get("/v1/rounds?after=12").status_code == 422


def test_a_round_says_what_it_came_to(gateway: Gateway) -> None:
    """Fills, GPUs, and what both sides gain; of a round of an older scheduler nobody knows."""
    summed = b'{"round":"summed"}'
    gateway.journal.add_round(
        bytes32_of(sha256_of(summed)), summed, 2_000, RoundSums(2, 5, TokenUnits(1_500_000), TokenUnits(0))
    )
    newest = gateway.http.get("/v1/rounds?limit=1").json()["items"][0]
    assert (newest["fills"], newest["gpus"], newest["clientGain"], newest["providerGain"]) == (2, 5, "1500000", "0")
    assert newest["clientGainHuman"] == "1.50 tUSD"
