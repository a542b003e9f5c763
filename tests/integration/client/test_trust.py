"""Whom an order names is the client's own word: a gateway that says otherwise is refused, and nothing is signed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketplace.chain.checksums import checksum
from marketplace.client.trust import Roles, TrustRoots
from marketplace.domain.errors import ConfigError, GatewayDiffers, Refused
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.refusals import Refusal
from tests.integration.client.conftest import Desk, Play
from tests.integration.client.doorman import Doorman
from tests.integration.gateway.conftest import ARBITER, OPENER, PROVIDER, STRANGER, Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

RUN = ("run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait")


@pytest.mark.parametrize("role", ["opener", "arbiter"])
def test_a_gateway_that_names_others_gets_no_order(desk_behind: Desk, door: Doorman, play: Play, role: str) -> None:
    """The error names both words, and neither a signature nor a job is made."""
    door.tell("GET /v1/market", lambda told: told.update({role: STRANGER.address}))

    with pytest.raises(GatewayDiffers) as differs:
        desk_behind.market.submit(play.request())

    ours = {"opener": OPENER, "arbiter": ARBITER}[role]
    assert (differs.value.what, differs.value.ours, differs.value.told) == (
        role, checksum(ours.address), checksum(STRANGER.address),
    )  # fmt: skip
    assert desk_behind.market.jobs() == ()
    assert not any(told.startswith("POST /v1/orders") for told in door.seen)


def test_a_client_that_trusts_nobody_in_particular_signs_nothing() -> None:
    """Without a choice there is none: what is missing is listed, and a request's own choice fills it."""
    with pytest.raises(ConfigError, match=r"BOURSE_OPENER.*BOURSE_ARBITER"):
        TrustRoots().roles()
    assert TrustRoots(opener=OPENER.address).roles(arbiter=ARBITER.address) == Roles(OPENER.address, ARBITER.address)
    TrustRoots(opener=ZERO_ADDRESS).check(Roles(OPENER.address, ARBITER.address))  # anybody may open it


def test_a_request_names_its_own(desk: Desk, play: Play) -> None:
    """What a request says goes before the settings, and is what is signed."""
    job = desk.market.submit(play.request(opener=ZERO_ADDRESS))

    assert (job.signed.opener, job.signed.arbiter) == (ZERO_ADDRESS, ARBITER.address)


def test_an_opener_that_the_gateway_does_not_work_with_is_refused(desk: Desk, play: Play) -> None:
    """A request's own opener is compared as that of the settings is: before anything is signed."""
    with pytest.raises(GatewayDiffers):
        desk.market.submit(play.request(opener=STRANGER.address))

    assert desk.market.jobs() == ()


def test_a_pinned_offer_is_looked_up_on_the_chain(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Its arbiter is the chain's word: one that the client does not trust is refused before anything is signed."""
    other = gateway.list(PROVIDER, arbiter=STRANGER.address)

    with pytest.raises(Refused) as refused:
        desk.market.submit(play.request(offer=other.id))

    assert refused.value.refusal is Refusal.WrongArbiter
    assert desk.market.jobs() == ()
    assert desk.market.submit(play.request(offer=play.offer.id)).signed.offer == play.offer.id


def test_what_will_be_signed_is_shown_before(shell: Shell, offers: tuple[Offer, Offer], play: Play, desk: Desk) -> None:
    """Opener, arbiter and worst cost, on stderr before the order is on the book, and in the answer of ``--json``."""
    ran = shell.run(*RUN, "--json", "--", "true")
    told: dict[str, Any] = json.loads(ran.stdout)

    shown = ran.stderr.index("to be signed: ")
    assert shown < ran.stderr.index("is on the book")
    assert f"opener {checksum(OPENER.address)}, arbiter {checksum(ARBITER.address)}, worst cost 0.50 " in ran.stderr
    assert (told["opener"], told["arbiter"], told["worstCost"]) == (OPENER.address, ARBITER.address, "500000")
    assert worst_cost_of(desk.market.submit(play.request()).signed) == 500_000


def test_the_command_line_refuses_a_gateway_that_names_another_arbiter(
    shell: Shell, door: Doorman, offers: tuple[Offer, Offer]
) -> None:
    """Exit code 2, both addresses in the sentence, and nothing was sent."""
    shell.environment["BOURSE_GATEWAY_URL"] = door.url
    door.tell("GET /v1/market", lambda told: told.update({"arbiter": STRANGER.address}))

    ran = shell.run(*RUN, "--", "true")

    assert ran.returncode == 2
    assert checksum(ARBITER.address) in ran.stderr
    assert checksum(STRANGER.address) in ran.stderr
    assert not any(told.startswith("POST /v1/orders") for told in door.seen)


def test_the_command_line_says_that_a_refused_order_lives(
    shell: Shell, door: Doorman, offers: tuple[Offer, Offer]
) -> None:
    """Exit code 3 as for any refusal, the sentence that its signature can still be opened, and one word that ends it for good."""
    shell.environment["BOURSE_GATEWAY_URL"] = door.url
    door.answer("POST /v1/orders", 409, b'{"status": 409, "reason": "NotLive", "detail": "so there"}')

    ran = shell.run(*RUN, "--", "true")
    (listed,) = shell.answer("ps", "--json")
    cancelled = shell.answer("cancel", "1", "--json")

    assert ran.returncode == 3
    assert "whatever the gateway says" in ran.stderr
    assert "bourse cancel 1 ends it for good" in ran.stderr
    assert (listed["state"], listed["posted"]) == ("submitted", False)
    assert listed["standsStill"].startswith("refused (NotLive: so there)")
    assert cancelled["state"] == "cancelled"
