"""How busy a running job and its GPUs are: its provider's word, for the lease's parties."""

from __future__ import annotations

import json

import httpx
import pytest

from marketplace.api import job_use
from marketplace.api.client.gateway import GatewayApi
from marketplace.api.gpu_use import MOST_KEPT, GpuSampleDocument, GpuSamplesAnswer
from marketplace.chain.signing import Key
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.offers import Offer
from tests.integration.gateway.conftest import CLIENT, PROVIDER, STRANGER, Gateway, running
from tests.integration.gateway.forms import check_form


def sample(at: int, **changed: object) -> dict[str, object]:
    whole = {"busyPercent": 97, "memoryUsedMib": 20_000, "powerWatts": 400, "temperatureCelsius": 71}
    return {"at": at, "uuid": "GPU-a"} | whole | changed


def post(gateway: Gateway, lease: str, samples: list[object], key: Key = PROVIDER) -> httpx.Response:
    return gateway.write(key, "POST", f"/v1/leases/{lease}/gpus", json.dumps({"samples": samples}).encode())


def test_samples_reach_the_parties_and_nobody_else(gateway: Gateway, offer: Offer) -> None:
    """In the order in which they came; the newest are kept, and a stranger learns nothing."""
    lease = gateway.leased(offer).id
    first = post(gateway, lease, [sample(1), sample(2, powerWatts=None)])
    for hundred in range(3, 3 + MOST_KEPT // 60):
        post(gateway, lease, [sample(hundred)] * 60)
    with running(gateway.app) as url:
        ours, theirs, nobody = (GatewayApi(url, key=key) for key in (CLIENT, PROVIDER, STRANGER))
        found = [api.gpus.samples(lease) for api in (ours, theirs)]
        with pytest.raises(GatewayProblem) as refused:
            nobody.gpus.samples(lease)
        for api in (ours, theirs, nobody):
            api.close()

    check_form(GpuSamplesAnswer, first.json())
    assert len(found[0]) == MOST_KEPT
    assert found[0][-1] == GpuSampleDocument(2 + MOST_KEPT // 60, "GPU-a", 97, 20_000, 400, 71)
    assert found[0][0].at == 3
    assert found[0] == found[1]
    assert refused.value.reason == "NotFound"


def test_what_a_job_uses_reaches_the_parties_and_nobody_else(gateway: Gateway, offer: Offer) -> None:
    """By the same rules: the newest hour, from its provider alone, to its parties alone, each value bounded."""
    lease = gateway.leased(offer).id
    one = {"at": 1, "cpuMilliseconds": 1_500, "memoryUsedMib": 300, "cpus": 2, "memoryMib": 4_096}

    def post_use(samples: list[object], key: Key = PROVIDER) -> httpx.Response:
        return gateway.write(key, "POST", f"/v1/leases/{lease}/usage", json.dumps({"samples": samples}).encode())

    first = post_use([one, one | {"at": 2}])
    for ten in range(3, 3 + job_use.MOST_KEPT // 15):
        post_use([one | {"at": ten}] * 15)
    with running(gateway.app) as url:
        ours, nobody = (GatewayApi(url, key=key) for key in (CLIENT, STRANGER))
        found = ours.gpus.job_samples(lease)
        with pytest.raises(GatewayProblem) as refused:
            nobody.gpus.job_samples(lease)
        for api in (ours, nobody):
            api.close()

    check_form(job_use.JobSamplesAnswer, first.json())
    assert (len(found), found[0].at, found[-1]) == (
        job_use.MOST_KEPT,
        3,
        job_use.JobSampleDocument(2 + job_use.MOST_KEPT // 15, 1_500, 300, 2, 4_096),
    )
    assert refused.value.reason == "NotFound"
    assert post_use([one], STRANGER).status_code == 403
    for wrong in (
        [],
        [one] * 17,
        [one | {"cpuMilliseconds": -1}],
        [one | {"memoryUsedMib": None}],
        [one | {"more": 1}],
    ):
        assert post_use(wrong).status_code == 422


@pytest.mark.parametrize("key", [CLIENT, STRANGER])
def test_only_its_provider_tells(gateway: Gateway, offer: Offer, key: Key) -> None:
    """Anybody else's word is refused."""
    lease = gateway.leased(offer).id

    assert post(gateway, lease, [sample(1)], key).status_code == 403


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [sample(1)] * 65,
        [sample(-1)],
        [sample(1, uuid="x")],
        [sample(1, busyPercent=101)],
        [sample(1, more=1)],
        [{}],
    ],
)
def test_what_is_no_sample_is_refused(gateway: Gateway, offer: Offer, samples: list[object]) -> None:
    """Bounded in number and in each value."""
    answer = post(gateway, gateway.leased(offer).id, samples)

    assert (answer.status_code, answer.json()["reason"]) == (422, "InvalidField")
