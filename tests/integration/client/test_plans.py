"""`bourse run` before it signs: job files, the plan, and a price that nobody said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from marketplace.cli.plans import require_consent
from marketplace.cli.session import CommandSession
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256
from marketplace.domain.offers import Offer
from marketplace.domain.units import PricePerGpuHour
from tests.integration.client.conftest import Desk, Gateway, Play
from tests.integration.gateway.conftest import DOLLAR
from tests.integration.shell import Shell

JOB = """
command: [python, train.py]
gpu: [RTX4090, A10]
max-price: 3
max-time: 10m
retries: 2
env: {SEED: 1}
name: from a file
wait: false
"""


@pytest.fixture
def folder(shell: Shell, tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(JOB)
    (tmp_path / "work" / ".git").mkdir(parents=True)
    (tmp_path / "work" / "train.py").write_text("pass")
    return tmp_path


def test_a_dry_run_shows_what_it_would_cost_and_signs_nothing(
    shell: Shell, folder: Path, offers: tuple[Offer, Offer]
) -> None:
    """The plan of a job file, to the last unit; no job is in the journal afterwards."""
    plan = shell.answer("run", "-f", "job.yaml", "--input", "work", "--max-time", "1h", "--dry-run", "--json")

    assert plan["command"] == ["python", "train.py"]
    assert (plan["gpu"], plan["name"], plan["maxSeconds"]) == (["RTX4090", "A10"], "from a file", 3600)
    assert (plan["maxPrice"], plan["worstCost"]) == (str(3 * DOLLAR), str(3 * DOLLAR))
    assert (plan["leasesAtMost"], plan["worstCostOfAll"]) == (3, str(9 * DOLLAR))
    assert (plan["inputParts"], plan["ignored"]) == (1, [".git"])
    assert shell.answer("ps", "--all", "--json") == []
    shown = shell.run("run", "-f", "job.yaml", "--dry-run").stdout
    assert "Nothing was signed or sent." in shown
    assert "9.00" not in shown  # at ten minutes it is less
    assert "1.50 tUSD for at most 3" in shown


def test_the_plan_says_where_the_image_is_warm(shell: Shell, folder: Path, play: Play) -> None:
    """By the offers that can serve the job now, in one line and in the document; without an image there is nothing to say."""
    for api in (play.api, play.other_api):
        api.heartbeat()
    play.api.post_warm_images([Sha256("a" * 64)])
    words = ("run", "--gpu", "RTX4090", "--max-price", "3", "--max-time", "1m", "--dry-run")
    image = ("--image", f"blob@sha256:{'a' * 64}")
    plan = shell.answer(*words, *image, "--json", "--", "true")
    shown = " ".join(shell.run(*words, *image, "--", "true").stdout.split())
    cold = shell.answer(*words, "--image", f"blob@sha256:{'b' * 64}", "--json", "--", "true")
    bare = shell.answer(*words, "--json", "--", "true")
    sent = shell.run(*words[:-1], *image, "--no-wait", "--", "true").stderr

    assert (plan["imageWarmAt"], len(plan["imageColdAt"])) == ([play.offer.id], 1)
    assert "warm at 1 of 2 offers that can serve the job now; the others pull it first" in shown
    assert (cold["imageWarmAt"], len(cold["imageColdAt"])) == ([], 2)
    assert (bare["imageWarmAt"], bare["imageColdAt"]) == (None, None)
    assert "image: warm at 1 of 2 offers" in sent


def test_the_plan_of_a_rented_machine(shell: Shell, folder: Path, play: Play) -> None:
    """Says the same of a session, which has no command; nothing is signed."""
    play.api.heartbeat()
    words = (
        "rent",
        "--gpu",
        "RTX4090",
        "--for",
        "1h",
        "--max-price",
        "3",
        "--image",
        f"blob@sha256:{'c' * 64}",
        "--dry-run",
    )
    plan, shown = shell.answer(*words, "--json"), shell.run(*words).stdout

    assert (plan["command"], plan["worstCost"], plan["imageWarmAt"]) == ([], str(3 * DOLLAR), [])
    assert play.offer.id in plan["imageColdAt"]
    assert "none: a session" in shown
    assert "whichever serves it pulls it first" in shown
    assert shell.answer("ps", "--all", "--json") == []


def test_a_gateway_that_tells_nothing_of_images_holds_up_no_order(desk: Desk, play: Play) -> None:
    """What it answers instead of a list is as good as none: the plan says that it is not told."""
    request = play.request(image=f"blob@sha256:{'a' * 64}")
    desk.line.tampers.append(lambda _, content: content.replace(b'"providers"', b'"provider"'))

    assert desk.market.warm_offers(request) is None


def test_a_job_file_is_run(shell: Shell, folder: Path, offers: tuple[Offer, Offer]) -> None:
    """With every option as if it had been typed; what is typed goes before, the command too."""
    shell.answer("run", "--json", "-f", "job.yaml", "--name", "typed", "--", "true", "-x")

    job = shell.answer("ps", "--json")[0]
    assert job["name"] == "typed"
    assert job["retries"] == 2
    assert shell.answer("explain", "1", "--json")["command"] == ["true", "-x"]


def test_a_job_file_that_says_what_nobody_knows_is_refused(shell: Shell, folder: Path) -> None:
    """With the nearest name, and nothing sent."""
    (folder / "job.yaml").write_text(JOB + "max-prize: 1\n")

    done = shell.run("run", "-f", "job.yaml")
    assert done.returncode == 2
    assert "the nearest is 'max-price'" in done.stderr


def test_a_price_that_nobody_said_is_asked_for_or_agreed_to(shell: Shell, folder: Path, play: Play) -> None:
    """Where nobody is there to ask, it is named and nothing is signed; with --yes it is what the cheapest offer asks."""
    play.api.heartbeat()
    words = ("run", "--gpu", "cheapest", "--max-time", "10m", "--no-wait")
    refused = shell.run(*words, "--", "true")
    assert refused.returncode == 2
    assert "--max-price 2.00, or --yes" in refused.stderr
    assert shell.answer("ps", "--all", "--json") == []

    taken = shell.answer(*words, "--yes", "--json", "--", "true")
    assert taken["worstCost"] == str(-(-2 * DOLLAR // 6))
    assert "offer" in shell.run(*words, "--dry-run", "--", "true").stderr


@pytest.mark.parametrize("said", ["y", "n"])
def test_on_a_terminal_the_price_is_asked_for(
    desk: Desk, play: Play, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all that it can come to, retries too; who says no has signed nothing."""
    master, slave = os.openpty()
    os.write(master, f"{said}\n".encode())
    draft = desk.market.draft(play.request(max_price=PricePerGpuHour(2 * DOLLAR)))
    with open(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        if said == "y":
            require_consent(CommandSession(), desk.market, draft, is_given=False)
        else:
            with pytest.raises(InvalidField, match="nothing was signed"):
                require_consent(CommandSession(), desk.market, draft, is_given=False)
    os.close(master)

    assert "Pay up to 2.00 per GPU-hour, 0.666668 tUSD at most?" in capsys.readouterr().err


def test_without_an_offer_that_fits_a_price_has_to_be_said(
    shell: Shell, folder: Path, offers: tuple[Offer, Offer]
) -> None:
    """Nothing is guessed from offers that cannot serve it."""
    done = shell.run("run", "--gpu", "A10", "--max-time", "10m", "--yes", "--", "true")

    assert done.returncode == 2
    assert "no offer can serve the job now" in done.stderr


def test_a_gateway_cannot_make_an_offer_dearer(desk: Desk, play: Play, gateway: Gateway) -> None:
    """The price is the chain's: an offer that is told at less than it asks is not the one that is taken."""
    for api in (play.api, play.other_api):
        api.heartbeat()
    told = desk.market.asked_price(play.request())
    assert told.price == gateway.market.offer_of(told.offer.id).price

    def cheaper(request: object, content: bytes) -> bytes:
        return content.replace(f'"price":"{told.price}"'.encode(), b'"price":"1"')

    desk.line.tampers.append(cheaper)
    assert desk.market.asked_price(play.request()).offer.id != told.offer.id
