"""One market for OWASP's ten risks of APIs (2023): a lease with everything that only its parties may read, and outsiders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from marketplace.chain.devnet import AnvilHandle, increase_time
from marketplace.domain.ids import bytes32_of, sha256_in
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.results import Result
from marketplace.domain.units import GpuCount
from marketplace.domain.work import Work
from marketplace.store.redis_server import RedisHandle
from tests.integration.gateway.conftest import CLIENT, OTHER_CLIENT, OTHER_PROVIDER, PROVIDER, Gateway, opened_gateway

OUTSIDERS = (OTHER_CLIENT, OTHER_PROVIDER)
"""A client and a provider with money of their own, and no part in the lease."""
SECRET = "launch-codes"


@dataclass(frozen=True)
class Private:
    """A lease that is over but for its payment: work with a secret, an input, a log, an output, and both receipts."""

    lease: SignedOrder
    offer: Offer
    work: Work
    result: Result

    @property
    def blobs(self) -> tuple[str, ...]:
        """The names of all that the parties may read."""
        given = (self.work.name.sha256, *(part for item in self.work.inputs for part in item.parts))
        return (*given, *self.result.blobs())


@pytest.fixture(scope="package")
def gateway(
    gateway_anvil: AnvilHandle, gateway_redis: RedisHandle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One market for all of this folder."""
    with opened_gateway(gateway_anvil, gateway_redis, tmp_path_factory.mktemp("owasp")) as found:
        found.uploaders = (CLIENT,)
        for key in OUTSIDERS:
            found.fund(key, 100_000_000)
        yield found


@pytest.fixture(scope="package")
def private(gateway: Gateway) -> Private:
    offer = gateway.list(gpus=GpuCount(64))
    work = gateway.work(env={"TOKEN": SECRET}, salt="0f" * 32)
    spec = gateway.spec(work=work.name)
    lease = gateway.leased(offer, spec=bytes32_of(spec.sha256))
    increase_time(gateway.chain, 10)
    gateway.sync()
    log = f"/v1/leases/{lease.id}/logs?offset=0"
    assert gateway.write(PROVIDER, "POST", log, b"epoch 1\n", kind="application/octet-stream").status_code == 200
    result = gateway.result()
    receipt = gateway.receipt(lease.id, 5, bytes32_of(result.sha256))
    assert gateway.post_receipt(PROVIDER, receipt, "provider", result).status_code == 201
    assert gateway.post_receipt(CLIENT, receipt, "client").status_code == 201
    assert sha256_in(lease.order.spec) == spec.sha256
    return Private(lease, offer, work, result)
