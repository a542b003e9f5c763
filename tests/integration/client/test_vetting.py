"""What a gateway would refuse an order for is said before anything is signed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.domain.errors import GatewayProblem, InvalidField, MarketplaceError
from marketplace.domain.ids import bytes32_of
from marketplace.domain.offers import Offer
from marketplace.domain.units import Bps, Seconds
from tests.integration.client.conftest import Desk, Play
from tests.integration.gateway.conftest import DOLLAR, MACHINE, Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

RUN = ("run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"max_time": Seconds(2**31), "max_price": 3_000_000 * DOLLAR}, "ClientBalanceTooLow"),
        ({"max_time": Seconds(2**33)}, "InvalidField"),
        ({"max_price": 0}, "PriceOutOfBounds"),
        ({"min_time": Seconds(601)}, "BadAmounts"),
        ({"min_bond_bps": Bps(10_001)}, "BondTooSmall"),
        ({"expires_in": Seconds(0)}, "OrderExpired"),
        ({"sealed": True}, "InvalidField"),
        ({"cpus": MACHINE.cpus + 1}, "InvalidField"),
    ],
)
def test_a_refusal_comes_before_the_signature(desk: Desk, play: Play, changed: dict[str, Any], reason: str) -> None:
    """With the reason that the gateway would give; no job, and nothing was sent that could be opened."""
    with pytest.raises(MarketplaceError) as refused:
        desk.market.submit(play.request(**changed))

    assert refused.value.reason == reason
    assert desk.market.jobs() == ()
    assert desk.line.sent("POST", "/v1/orders") == []


def test_what_the_gateway_will_not_keep_is_not_signed_for(desk: Desk, play: Play) -> None:
    """The files that an order names are left first: a refusal of them leaves no signed order behind; a gateway that is away does."""
    desk.line.busy["PUT /v1/blobs/"] = 413
    with pytest.raises(GatewayProblem) as refused:
        desk.market.submit(play.request())

    assert refused.value.status == 413
    assert desk.market.jobs() == ()

    desk.line.busy["PUT /v1/blobs/"] = 503
    waiting = desk.market.submit(play.request())
    assert not waiting.is_posted


def test_a_machine_that_takes_sealed_jobs_is_enough(desk: Desk, play: Play, gateway: Gateway, shell: Shell) -> None:
    """One offer that names a recipient is enough for a sealed job, which says what has to run; pinned to another one it is refused."""
    machine = replace(MACHINE, recipient="age1" + "q" * 58)
    play.api.put_blob(machine.canonical(), public=True)
    gateway.list(spec=bytes32_of(machine.sha256))
    gateway.sync()

    ran = shell.run(*RUN, "--seal", "--", "true")
    assert ran.returncode == 0, ran.stderr
    assert "Keep `bourse watch` running" in ran.stderr
    with pytest.raises(InvalidField, match="takes sealed jobs"):
        desk.market.draft(play.request(sealed=True, offer=play.offer.id))


WRONG = (
    ("--output", "full"),
    ("--input", "linked"),
    ("--env", "WITHOUT"),
    ("--cpus", "60000"),
    ("--arbiter", "nobody"),
    ("--min-time", "11m"),
)


def test_a_wrong_argument_is_told_before_what_will_be_signed(shell: Shell, offers: tuple[Offer, Offer]) -> None:
    """Whatever is wrong with the words of the command, the line about the signature is not printed for it."""
    _folders(shell.folder)

    for wrong in WRONG:
        ran = shell.run(*RUN, *wrong, "--", "true")
        assert ran.returncode in (2, 3), ran.stderr
        assert "to be signed" not in ran.stderr, wrong
    assert shell.answer("ps", "--all", "--json") == []


def _folders(folder: Path) -> None:
    for name in ("full", "linked"):
        (folder / name).mkdir()
    (folder / "full" / "there.txt").write_text("there")
    (folder / "linked" / "away").symlink_to("/etc/hostname")
