"""A real redis-server, emptied for every test; and, for the projector, a real chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from marketplace.store.board import Board
from marketplace.store.redis_server import RedisHandle, start_redis
from tests.integration.chain.conftest import anvil, chain, new_trading, trading

__all__ = ["anvil", "chain", "new_trading", "trading"]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    handle = start_redis(tmp_path_factory.mktemp("redis"))
    yield handle
    handle.stop()


@pytest.fixture
def raw_redis(redis_server: RedisHandle) -> Iterator[Redis]:
    """For doing to Redis what the board never would."""
    client = Redis.from_url(redis_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def board(redis_server: RedisHandle, raw_redis: Redis) -> Iterator[Board]:
    opened = Board(redis_server.url)
    yield opened
    opened.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisHandle]:
    """A server of the test's own, for killing."""
    handle = start_redis(tmp_path / "own-redis")
    yield handle
    handle.stop()
