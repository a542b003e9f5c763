"""By what key a lease's machine is known, and who comes in at a relay: by the chain's word on who serves and who ordered."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.ssh import HostKeyTold
from marketplace.chain.request_signing import sign_request
from marketplace.chain.signing import Key
from marketplace.chain.statements import sign_host_key
from marketplace.client.ssh import checked_host_key
from marketplace.domain.errors import Forbidden, NotFound, Unauthorized
from marketplace.domain.ids import Bytes32
from marketplace.domain.offers import Offer
from marketplace.domain.relaying import caller_path, line_path
from marketplace.domain.ssh import EntryReason, EntryRefused, HostKey
from marketplace.domain.units import UnixTime
from marketplace.relay.doors import doors_over
from tests.integration.gateway.conftest import (
    CLIENT,
    OTHER_CLIENT,
    OTHER_PROVIDER,
    PROVIDER,
    STRANGER,
    Gateway,
    running,
)
from tests.integration.gateway.forms import check_form

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcE8xQbX0m1o4mI0lFZ0v4oG1Yw2n8g9yK5dR0o3b7c"


def post(gateway: Gateway, said: HostKey, key: Key = PROVIDER, **changed: object) -> httpx.Response:
    told = {
        "lease": said.lease, "key": said.key, "validUntil": said.valid_until,
        "signature": sign_host_key(key, said, gateway.domain),
    }  # fmt: skip
    headers = {"Content-Type": "application/json"}
    return gateway.http.post(
        f"/v1/leases/{said.lease}/host-key", content=json.dumps(told | changed).encode(), headers=headers
    )


def test_the_providers_word_is_kept_and_believed_by_its_signature(gateway: Gateway, offer: Offer) -> None:
    """The newest one is told to anybody; a client takes it for its signature, while it is valid, and takes no other."""
    lease = gateway.leased(offer).id
    said = HostKey(lease, LINE, UnixTime(gateway.now() + 3600))
    first, newer = post(gateway, replace(said, valid_until=said.valid_until - 1)), post(gateway, said)
    with running(gateway.app) as url:
        api = GatewayApi(url)
        found = checked_host_key(lease, gateway.market, api)
        gateway.board.keep_host_key(replace(api.host_key(lease), host_key=replace(said, key=LINE[:-1] + "d")))
        with pytest.raises(EntryRefused) as forged:
            checked_host_key(lease, gateway.market, api)
        assert post(gateway, replace(said, valid_until=gateway.now())).status_code == 201
        with pytest.raises(EntryRefused) as stale:
            checked_host_key(lease, gateway.market, api)
        api.close()

    check_form(HostKeyTold, newer.json())
    assert (first.status_code, newer.status_code) == (201, 201)
    assert found == said
    assert (forged.value.why, stale.value.why) == (EntryReason.HOST_KEY, EntryReason.HOST_KEY)


def test_nobody_else_says_it(gateway: Gateway, offer: Offer) -> None:
    """Another account's word, another lease's path, a key that is none, and a lease that there is not are refused, and nothing is kept."""
    lease = gateway.leased(offer).id
    said = HostKey(lease, LINE, UnixTime(gateway.now() + 3600))
    nowhere = Bytes32("0x" + "77" * 32)
    answers = [
        *(post(gateway, said, key) for key in (CLIENT, OTHER_PROVIDER, STRANGER)),
        post(gateway, said, validUntil=said.valid_until + 1),
        post(gateway, said, lease=nowhere),
        post(gateway, replace(said, key="ssh-dss AAAA")),
        post(gateway, replace(said, lease=nowhere)),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 403, 403, 422, 404]
    assert gateway.http.get(f"/v1/leases/{lease}/host-key").status_code == 404


def test_who_comes_in_at_a_relay(gateway: Gateway, offer: Offer) -> None:
    """The serving provider keeps the line, the client's side calls; nobody else does either, nor with a signature for another path."""
    lease = gateway.leased(offer).id
    doors = doors_over(gateway.market, gateway.journal, gateway.board, gateway.blobs)

    def signed(key: Key, path: str) -> dict[str, str]:
        return sign_request(key, "GET", path, b"", gateway.now(), gateway.domain)

    doors.require_provider(signed(PROVIDER, line_path(lease)), lease)
    doors.require_client(signed(CLIENT, caller_path(lease)), lease)
    for key in (CLIENT, OTHER_PROVIDER, STRANGER):
        with pytest.raises(Forbidden):
            doors.require_provider(signed(key, line_path(lease)), lease)
    for key in (PROVIDER, OTHER_CLIENT, STRANGER):
        with pytest.raises(Forbidden):
            doors.require_client(signed(key, caller_path(lease)), lease)
    with pytest.raises(Unauthorized):
        doors.require_client(signed(CLIENT, line_path(lease)), lease)
    with pytest.raises(NotFound):
        doors.require_provider(signed(PROVIDER, line_path(Bytes32("0x" + "78" * 32))), Bytes32("0x" + "78" * 32))
