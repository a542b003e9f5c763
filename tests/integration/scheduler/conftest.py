"""A real anvil that mines each transaction at once, a real Redis, and a trading floor of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import start_anvil
from marketplace.store.redis_server import RedisHandle, start_redis
from tests.integration.scheduler.floor import Floor
from tests.ports import free_port


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("anvil"), block_time=None)
    yield Chain([handle.rpc_url])
    handle.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisHandle]:
    handle = start_redis(tmp_path / "redis")
    yield handle
    handle.stop()


@pytest.fixture
def floor(chain: Chain, redis_server: RedisHandle, tmp_path: Path) -> Iterator[Floor]:
    floor = Floor.opened(chain, redis_server.url, tmp_path)
    yield floor
    chain.rpc("evm_setAutomine", True)
    floor.set_block_gas_limit(30_000_000)
    floor.board.close()
    floor.journal.close()
