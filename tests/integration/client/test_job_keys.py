"""A sealed job's key is for the provider that the chain names, and for nobody whom a gateway would put in its place."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from marketplace.client import Job, JobState
from marketplace.client.secret_values import SecretKeeper
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import bytes32_of
from marketplace.domain.job_secrets import read_entrusted
from marketplace.domain.offers import Offer
from marketplace.sealing import new_identity, recipient_of, unseal
from tests.integration.client.conftest import LOG, Desk, Play
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


def test_a_sealed_job_of_several_nodes_is_one_secret(desk: Desk, play: Play, gateway: Gateway) -> None:
    """One key for all nodes, handed over for each opening; what either node left is opened with it, and kept apart."""
    machine = replace(MACHINE, recipient=recipient_of(IDENTITY))
    play.api.put_blob(machine.canonical(), public=True)
    offers = [gateway.list(spec=bytes32_of(machine.sha256)) for _ in range(2)]
    group = desk.market.submit_group(play.request(sealed=True, command=("hush",)), 2)
    for job, offer in zip(group.jobs, offers, strict=True):
        play.open(desk, job, offer)
    desk.step()

    (secret,) = {unseal(sent, IDENTITY, "key").decode() for sent in keys_sent(desk)}
    assert len(keys_sent(desk)) == 2
    assert all(b"hush" not in desk.market.book.order(job.id).work for job in group.jobs)
    assert {job.work.command for job in group.jobs} == {("hush",)}

    play.pass_time(10)
    for job in group.jobs:
        play.hand_in(job, 5, seal_to=recipient_of(secret))
    assert group.wait(20) is JobState.SUCCEEDED
    files = group.download(play.folder / "out")
    assert [file.read_text() for file in files] == ["trained", "trained"]
    assert [list(job.logs()) for job in group.jobs] == [[LOG.decode()]] * 2


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


def test_secrets_go_the_same_way_and_the_journal_has_no_value(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Another process hands them over, too, if it finds the same values; one that does not says which it lacks."""
    machine = replace(MACHINE, recipient=recipient_of(IDENTITY))
    play.api.put_blob(machine.canonical(), public=True)
    (play.folder / "token").write_bytes(b"hush-file")
    secrets = {"FROM_FILE": play.folder / "token", "TOKEN": b"hush-value"}
    job = desk.market.submit(play.request(secrets=secrets))
    play.open(desk, job, gateway.list(spec=bytes32_of(machine.sha256)))
    desk.step()

    (sent,) = keys_sent(desk)
    told = read_entrusted(unseal(sent, IDENTITY, "key"))
    assert told.key is None
    assert told.secrets is not None
    assert told.secrets.values == {"FROM_FILE": b"hush-file", "TOKEN": b"hush-value"}
    assert job.secret_names == ("FROM_FILE", "TOKEN")
    files = [path.read_bytes() for path in desk.market.book.path.parent.rglob("*") if path.is_file()]
    assert [content for content in files if b"hush-value" in content] == []

    order = desk.market.book.order(job.orders[-1])
    other = SecretKeeper(desk.market.book, {"TOKEN": "hush-value"})
    assert other.of(order) == told.secrets
    for variables, why in (({}, "set the variable TOKEN"), ({"TOKEN": "another"}, "a value has changed")):
        with pytest.raises(InvalidField, match=why):
            SecretKeeper(desk.market.book, variables).of(order)
