"""A sealed job's key is for the provider that the chain names, and for nobody whom a gateway would put in its place."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx

from marketplace.client import Job
from marketplace.domain.ids import bytes32_of
from marketplace.domain.models import Offer
from marketplace.sealing import new_identity, recipient_of, unseal
from tests.integration.client.conftest import Desk, Play
from tests.integration.gateway.conftest import MACHINE, Gateway

IDENTITY = new_identity()
"""The provider's own key."""


def sealed_job(desk: Desk, play: Play, offer: Offer) -> Job:
    """A sealed job whose lease is open on this offer, as far as the client has come with it."""
    job = desk.market.submit(play.request(sealed=True))
    play.open(desk, job, offer)
    return job


def keys_sent(desk: Desk) -> list[str]:
    return [json.loads(request.content)["key"] for request in desk.line.sent("POST", "/key")]


def test_a_key_goes_to_the_recipient_that_the_offer_names(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Once for each opening, sealed to it: its provider reads it at the gateway, and opens it to the job's key."""
    machine = replace(MACHINE, recipient=recipient_of(IDENTITY))
    play.api.put_blob(machine.canonical(), public=True)
    job = sealed_job(desk, play, gateway.list(spec=bytes32_of(machine.sha256)))
    desk.step()

    (sent,) = keys_sent(desk)
    assert play.api.job_key(job.orders[-1]) == sent
    assert unseal(sent, IDENTITY, "key").decode() == desk.market.book.job_key(job.id)
    assert job.note == ""


def test_a_gateway_cannot_name_another_recipient(desk: Desk, play: Play) -> None:
    """The description that it makes up has another hash than the chain's offer: no key leaves, and the job says why."""
    forged = replace(MACHINE, recipient=recipient_of(new_identity())).canonical()

    def forge(request: httpx.Request, content: bytes) -> bytes | None:
        return forged if request.url.path == f"/v1/blobs/{MACHINE.sha256}" else None

    desk.line.tampers.append(forge)
    job = sealed_job(desk, play, play.offer)
    assert keys_sent(desk) == []
    assert "not handed over" in job.note
    assert MACHINE.sha256 in job.note

    desk.line.tampers.clear()
    desk.step()
    assert keys_sent(desk) == []
    assert "takes no sealed jobs" in job.note
