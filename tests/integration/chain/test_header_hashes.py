"""Headers are held against their hashes, on chains whose headers are hashed as usual."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import mine
from marketplace.chain.header_chain import HeaderChain
from marketplace.chain.headers import standard_hash
from marketplace.domain.chain_errors import ChainUnavailable
from tests.integration.chain.tampering import Reply, Tamperer, saying, tampering

LIES = {
    "timestamp": "0x7fffffff",
    "baseFeePerGas": "0x1",
    "gasLimit": "0xffffff",
    "logsBloom": "0x" + "f" * 512,
    "parentHash": "0x" + "ab" * 32,
}
OWN_FIELD = "hash"


@pytest.fixture
def liar(chain: Chain) -> Iterator[Tamperer]:
    mine(chain, 3)
    with tampering(chain.rpc_url) as server:
        yield server


def telling(server: Tamperer, change: Any) -> None:
    """Every header, also in a batch, is told as ``change`` makes it."""

    def tamper(asked: Any) -> Reply:
        told = server.node_says(asked)
        for one in told if isinstance(told, list) else [told]:
            if isinstance(one["result"], dict) and "logsBloom" in one["result"]:
                one["result"] |= change(one["result"])
        return saying(told)

    server.tamper = tamper


@pytest.mark.parametrize("field", LIES)
@pytest.mark.parametrize("is_first", [True, False], ids=["at first", "later"])
def test_a_field_that_is_not_the_blocks_is_no_answer(
    liar: Tamperer, open_chain: Any, chain: Chain, field: str, is_first: bool
) -> None:
    """An honest hash and one false field, as head, by number, by hash and in a batch: an outage, over when the node is honest again."""
    far, head = open_chain(liar.url), chain.head()
    if not is_first:
        far.header(0)
    telling(liar, lambda header: {field: LIES[field]} if header["number"] != "0x0" else {})
    for ask in (far.head, lambda: far.header(head.number), lambda: far.header(head.hash)):
        with pytest.raises(ChainUnavailable, match="hash"):
            ask()
    headers = HeaderChain(far)
    with pytest.raises(ChainUnavailable, match="hash"):
        headers.newest_standing([head])
    liar.tamper = lambda _: None

    assert far.head() == head
    assert headers.newest_standing([head]) == head


def test_a_chain_that_hashes_otherwise_is_used_all_the_same(liar: Tamperer, open_chain: Any) -> None:
    """No header of it, the genesis block's neither, hashes to its name as usual: nothing is checked, and nothing refused."""
    telling(liar, lambda header: {OWN_FIELD: "0x" + hashlib.sha256(header["hash"].encode()).hexdigest()})
    far = open_chain(liar.url)

    assert far.head() == far.header("latest").ref
    assert far.header(0).ref.number == 0


def test_one_header_that_hashes_to_its_name_binds_all(liar: Tamperer, open_chain: Any, chain: Chain) -> None:
    """A node that lied from its first header on, its genesis block included, is held to the form as soon as an honest one was told."""
    telling(liar, lambda header: {"gasLimit": LIES["gasLimit"]})
    far = open_chain(liar.url)
    assert far.header("latest").gas_limit == int(LIES["gasLimit"], 16)
    liar.tamper = lambda _: None
    far.header("latest")

    telling(liar, lambda header: {"gasLimit": LIES["gasLimit"]})
    with pytest.raises(ChainUnavailable, match="hash"):
        far.header("latest")


def test_a_local_chains_headers_hash_to_their_names(chain: Chain) -> None:
    """Also after a reorganisation, and where base fee, time and gas limit were set by hand."""
    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**11))
    mine(chain)
    mine(chain, 3)
    chain.rpc("anvil_reorg", 2, [])
    newest = chain.head().number

    for number in range(newest + 1):
        header = chain.rpc("eth_getBlockByNumber", hex(number), False)
        assert standard_hash(header) == header["hash"]
