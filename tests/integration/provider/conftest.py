"""One anvil and one Redis for all of the agent's tests, one market and one gateway for each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import deploy
from marketplace.chain.devnet import AnvilHandle, start_anvil
from marketplace.chain.market import MarketContract
from marketplace.store.redis_server import RedisHandle, start_redis
from tests.integration.provider.stage import CLIENT, CONSTANTS, DEPLOYER, PROVIDER, Clockwork, RunningGateway, Stage


@pytest.fixture(scope="session")
def agent_anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    handle = start_anvil(port, tmp_path_factory.mktemp("anvil"), block_time=None)
    chain = Chain([handle.rpc_url])
    chain.rpc("anvil_setBlockTimestampInterval", 1)
    chain.close()
    yield handle
    handle.stop()


@pytest.fixture(scope="session")
def agent_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    handle = start_redis(tmp_path_factory.mktemp("redis"))
    yield handle
    handle.stop()


@pytest.fixture
def stage(agent_anvil: AnvilHandle, agent_redis: RedisHandle, tmp_path: Path) -> Iterator[Stage]:
    with Redis.from_url(agent_redis.url) as redis:
        redis.flushall()
    chain = Chain([agent_anvil.rpc_url])
    book = deploy(chain, DEPLOYER, CONSTANTS)
    market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block)
    gateway = RunningGateway(market, book.catalogue, agent_redis.url, tmp_path)
    gateway.start()
    api = GatewayApi(gateway.url, key=CLIENT, domain=market.domain, block_time=lambda: chain.head().timestamp)
    stage = Stage(chain, book, market, gateway, tmp_path, Clockwork(chain), api, agent_anvil.rpc_url)
    stage.fund(CLIENT)
    stage.fund(PROVIDER)
    yield stage
    stage.close()
    gateway.close()
