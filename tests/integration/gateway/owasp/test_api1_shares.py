"""API1:2023 again: leave to read that a party gives by its signature, and no more than that."""

from __future__ import annotations

from contextlib import closing

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.devnet import increase_time
from marketplace.chain.shares import MOST_SHARE_SECONDS, Part, Share, read_share, sign_share
from marketplace.chain.signing import Key
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256_of
from marketplace.domain.units import UnixTime
from tests.integration.gateway.conftest import CLIENT, OTHER_CLIENT, PROVIDER, Gateway
from tests.integration.gateway.owasp.conftest import Private


def shared(gateway: Gateway, private: Private, part: Part, key: Key = CLIENT, lasting: int = 600) -> list[str]:
    until = UnixTime(gateway.now() + lasting)
    with closing(GatewayApi(gateway.url, key=CLIENT)) as api:
        own = api.share(private.lease.id, part, until)
    by_key = sign_share(key, private.lease.id, part, until, gateway.domain).token
    return [url.split("share=")[0] + "share=" + by_key for url in own]


def statuses(gateway: Gateway, urls: list[str]) -> set[int]:
    return {gateway.http.get(url).status_code for url in urls}


def test_whoever_has_the_url_reads_what_was_shared(gateway: Gateway, private: Private) -> None:
    """Without an account: the result and its files, or the log; hashes as ever."""
    result, output = shared(gateway, private, Part.OUTPUTS)
    (log,) = shared(gateway, private, Part.LOG)

    assert gateway.http.get(result).json()["resultSha256"] == private.result.sha256
    assert sha256_of(gateway.http.get(output).content) == private.result.outputs[0].parts[0]
    assert gateway.http.get(log).text.startswith("epoch 1\n")


def test_a_share_opens_nothing_else(gateway: Gateway, private: Private) -> None:
    """Neither the other part, nor the work and the inputs, nor another lease, nor a blob by itself."""
    token = shared(gateway, private, Part.OUTPUTS)[0].split("share=")[1]
    of_log = shared(gateway, private, Part.LOG)[0].split("share=")[1]
    lease, other = f"/v1/leases/{private.lease.id}", gateway.leased(private.offer)
    work, part, output, log = private.blobs

    assert statuses(gateway, [f"{lease}/blobs/{name}?share={token}" for name in (work, part, log)]) == {404}
    assert statuses(gateway, [f"{lease}/blobs/{name}?share={of_log}" for name in (work, part, output)]) == {404}
    assert statuses(gateway, [f"{lease}/logs?follow=false&share={token}", f"{lease}/outputs?share={of_log}"]) == {404}
    assert statuses(
        gateway, [f"/v1/leases/{other.id}/outputs?share={token}", f"/v1/leases/0x{'7' * 64}/outputs?share={token}"]
    ) == {401}
    assert statuses(gateway, [f"/v1/blobs/{output}?share={token}"]) == {422}  # a parameter that this route has not


@pytest.mark.parametrize("key", [OTHER_CLIENT, PROVIDER], ids=["outsider", "provider"])
def test_only_the_clients_side_shares(gateway: Gateway, private: Private, key: Key) -> None:
    """A stranger's leave is as good as none, and tells it nothing; nor are results the provider's to share."""
    assert statuses(gateway, shared(gateway, private, Part.OUTPUTS, key)) == {404}
    assert statuses(
        gateway, [url.replace(private.lease.id, "0x" + "7" * 64) for url in shared(gateway, private, Part.OUTPUTS)]
    ) == {401}


def test_a_share_ends(gateway: Gateway, private: Private) -> None:
    """By block time, after a week at most, and not later because somebody changed the number."""
    urls = shared(gateway, private, Part.OUTPUTS, lasting=60)
    share = read_share(urls[0].split("share=")[1])
    longer = Share(share.account, share.part, UnixTime(share.until + 1), share.signature).token

    assert statuses(gateway, [urls[0].replace(share.token, longer)]) == {401}
    assert statuses(gateway, shared(gateway, private, Part.OUTPUTS, lasting=MOST_SHARE_SECONDS + 1)) == {401}
    assert statuses(gateway, urls) == {200}
    increase_time(gateway.chain, 61)
    gateway.sync()
    assert statuses(gateway, urls) == {401}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "outputs",
        "work.1.0x" + "1" * 40 + ".0x",
        "outputs.x.0x" + "1" * 40 + ".0x00",
        "outputs.1.me.0x00",
        "a.b.c.d.e",
    ],
)
def test_what_is_no_share_is_refused(gateway: Gateway, private: Private, token: str) -> None:
    """Malformed, or of a part that nobody shares."""
    with pytest.raises(InvalidField):
        read_share(token)
    assert statuses(gateway, [f"/v1/leases/{private.lease.id}/outputs?share={token}"]) == {422}
