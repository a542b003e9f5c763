"""The market from the command line, as a user starts it, to the last unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace import wiring
from marketplace.chain.address_book import AddressBook
from marketplace.chain.create2 import default_salt
from marketplace.chain.verification import blueprint_of
from marketplace.config import from_env
from tests.acceptance.conftest import Network
from tests.integration.client.test_packages import hashed, wheel, written


@pytest.mark.parametrize("sealing", [(), ("--seal",)], ids=["open", "sealed"])
def test_a_job_runs_and_is_paid_for_to_the_unit(network: Network, tmp_path: Path, sealing: tuple[str, ...]) -> None:
    """deposit, run with a package of its own, get: the file comes back, the client pays floor(price × seconds / 3600), the provider earns just that (P-03)."""
    network.bourse("wallet", "deposit", "5")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "word.txt").write_text("bourse")
    wheels = written(tmp_path, hashed(wheel(tmp_path)))
    program = "import mini, pathlib; print(mini.WORD); pathlib.Path('/job/out/upper.txt').write_text(pathlib.Path('word.txt').read_text().upper())"
    before = wiring.audit(from_env({}, network.folder))

    done = network.answer(
        "run", "--gpu", "RTX4090", "--max-price", "0.40", "--max-time", "1m", "--input", str(tmp_path / "in"),
        "--output", str(tmp_path / "out"), "--pip", str(wheels), *sealing, "--", "python", "-c", program,
    )  # fmt: skip

    assert (tmp_path / "out" / "upper.txt").read_text() == "BOURSE"
    result = done["result"]
    cost = int(result["price"]) * result["usedSeconds"] // 3600
    assert int(result["cost"]) == cost
    network.bourse("watch", "--once")
    after = wiring.audit(from_env({}, network.folder))
    client = network.state["accounts"]["client"]["address"]
    moved = {
        who: free - before.accounts.get(who, 0)
        for who, free in after.accounts.items()
        if free != before.accounts.get(who, 0)
    }
    assert moved == {client: -cost, result["provider"]: cost}
    assert after.is_balanced
    assert after.is_what_the_chain_says


def test_a_machine_is_rented_and_ended(network: Network, tmp_path: Path) -> None:
    """rent waits until the machine is there, with a secret that went to it sealed; end pays for the time until then, and no more."""
    network.bourse("wallet", "deposit", "5")
    (tmp_path / "token").write_text("hush-value")
    rented = network.answer(
        "rent", "--gpu", "RTX4090", "--max-price", "0.40", "--for", "10m", "--secret", f"TOKEN=@{tmp_path / 'token'}"
    )
    assert rented["state"] == "running"

    network.answer("end", str(rented["number"]))
    network.bourse("watch", "--once")
    told = network.answer("explain", str(rented["number"]))
    assert told["state"] == "cancelled"
    assert 0 < int(told["paid"]) < 34_000 * 10 // 60 + 10_000


def test_the_scheduler_is_held_to_its_own_rounds(network: Network) -> None:
    """P-22: whatever it posted so far can be replayed from what the gateway hands out, and is what the chain says."""
    network.bourse("wallet", "deposit", "1")
    network.answer("run", "--gpu", "RTX4090", "--max-price", "0.40", "--max-time", "1m", "--", "true")
    rounds = network.answer("audit", "--last", "20")
    report = network.answer("audit", rounds[0]["round"])

    assert rounds
    assert [row["failed"] for row in rounds if not row["holds"]] == []
    assert {row["verdict"] for row in report["findings"] if row["check"] != "heartbeats"} == {"ok"}


def test_the_development_network_has_the_contracts_that_are_built_here(network: Network) -> None:
    """`bourse devnet up` deploys with the library of `bourse deploy`: the same addresses as anywhere, and the check agrees."""
    check = network.answer("deploy", "--check")
    book = AddressBook.read(Path(network.settings["address_book"]))

    assert check["matches"]
    assert blueprint_of(book).market.address == book.market
    assert blueprint_of(book).salt == default_salt()
