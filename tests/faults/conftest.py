"""A real anvil that mines when it is told to, and the faulty node before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import AnvilHandle, start_anvil
from tests.faults.proxy import FaultProxy
from tests.ports import free_port


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    """Mines every transaction at once."""
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("anvil"), block_time=None)
    yield handle
    handle.stop()


@pytest.fixture
def honest(anvil: AnvilHandle) -> Iterator[Chain]:
    """The node itself."""
    chain = Chain([anvil.rpc_url])
    yield chain
    chain.close()


@pytest.fixture
def node(anvil: AnvilHandle) -> Iterator[FaultProxy]:
    """The faulty node before it."""
    with FaultProxy(anvil.rpc_url, seed=1) as proxy:
        yield proxy


@pytest.fixture
def far(node: FaultProxy) -> Iterator[Chain]:
    """The chain as our own code sees it through the faulty node."""
    chain = Chain([node.url("test")], timeout_seconds=5)
    yield chain
    chain.close()
