"""Orders that are signed and that no gateway has taken yet: said as they are, and never ordered twice."""

from __future__ import annotations

import json

import pytest

from marketplace.cli.outcomes import ExitCode, exit_code_of_job
from marketplace.client import JobState
from marketplace.domain.offers import Offer
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import Desk, Play
from tests.integration.client.doorman import doorman
from tests.integration.gateway.conftest import Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

RUN = ("run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_gateway_in_trouble_is_no_refusal(desk: Desk, play: Play, status: int) -> None:
    """The order is signed and kept, the job says why it stands still, and the next step brings it to the book."""
    desk.line.busy["POST /v1/orders"] = status
    job = desk.market.submit(play.request())

    assert (job.state, job.is_posted) == (JobState.SUBMITTED, False)
    assert "does not answer" in job.note

    desk.line.busy.clear()
    desk.step()

    assert (job.is_posted, job.note) == (True, "")
    assert play.api.order(job.id).state == "book"


def test_an_order_that_no_gateway_ever_took_says_so_in_the_end(desk: Desk, play: Play) -> None:
    """Nobody refused it: the job's last word is why it never came to the book, and the shell hears 4, and not 3 as when nobody wants it."""
    desk.line.busy["POST /v1/orders"] = 503
    job = desk.market.submit(play.request(expires_in=Seconds(30)))
    desk.line.busy.clear()
    wanted_by_nobody = desk.market.submit(play.request(expires_in=Seconds(30)))
    desk.line.busy["POST /v1/orders"] = 503
    play.pass_time(31)
    desk.step()

    assert job.state is JobState.UNPLACED
    assert job.history[-1].note.startswith("no gateway ever took it: ")
    assert exit_code_of_job(job) is ExitCode.UNAVAILABLE
    assert exit_code_of_job(wanted_by_nobody) is ExitCode.REFUSED


def test_the_command_line_does_not_say_that_it_is_on_the_book(
    gateway: Gateway, offers: tuple[Offer, Offer], shell: Shell
) -> None:
    """`run` says that it is signed and not taken, with exit code 7, `ps` too; when the gateway is back `ps` brings it there."""
    with doorman(gateway.url) as door:
        shell.environment["BOURSE_GATEWAY_URL"] = door.url
        door.turned_away.append("POST /v1/orders")
        ran = shell.run(*RUN, "--no-wait", "--json", "--", "true")
        listed = shell.run("ps").stdout
        (waiting,) = shell.answer("ps", "--json")
        door.turned_away.clear()
        (taken,) = shell.answer("ps", "--json")

    job = json.loads(ran.stdout)
    assert ran.returncode == 7
    assert "signed; the gateway has not taken it yet: " in ran.stderr
    assert "is on the book" not in ran.stderr
    assert "signed; the gateway has not taken it yet: " in listed
    assert (job["posted"], waiting["posted"], taken["posted"]) == (False, False, True)
    assert "the journal does not answer" in waiting["standsStill"]
    assert taken["standsStill"] == ""
    assert gateway.http.get(f"/v1/orders/{job['id']}").json()["state"] == "book"
