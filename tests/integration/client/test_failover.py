"""A client with two gateways reads from whichever has what it asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.http import Retries
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import sha256_of
from tests.hostile.shelf import shelf

CONTENT = b"an output"
NAME = sha256_of(CONTENT)


@pytest.fixture(params=[0, 1])
def api(request: pytest.FixtureRequest) -> Iterator[GatewayApi]:
    """One gateway has the file, the other one nothing; they are asked in either order."""
    with shelf({NAME: CONTENT}) as full, shelf({}) as empty:
        urls = [full.base_url, empty.base_url]
        first, second = urls[request.param], urls[1 - request.param]
        several = GatewayApi(first, others=(second,), retries=Retries(attempts=1))
        yield several
        several.close()


def test_what_one_gateway_does_not_have_is_read_from_the_other(api: GatewayApi) -> None:
    """A provider leaves outputs at the gateways that take them; what none has is missing."""
    assert api.fetch_blob(NAME) == CONTENT
    with pytest.raises(GatewayProblem) as missing:
        api.fetch_blob(sha256_of(b"another"))
    assert missing.value.status == 404
