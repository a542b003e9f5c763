"""docs/finance-tutorial.md, typed into one shell by somebody who believes every word of it."""

from __future__ import annotations

import json

from tests.acceptance.conftest import ROOT, Network, blocks_of, run_by_reader

TUTORIAL = ROOT / "docs" / "finance-tutorial.md"


def test_every_command_of_the_finance_tutorial_works(network: Network) -> None:
    """In this order, in one shell: a company is funded, its lease reserved, money lent and drawn on it; and all of it comes back."""
    folder = network.folder / "finance"
    folder.mkdir()
    (folder / ".devnet").symlink_to(network.folder / ".devnet")
    said = run_by_reader(folder, "sh", "".join(code for _, code in blocks_of(TUTORIAL)))
    reserved = json.loads((folder / "reservation.json").read_text())

    assert reserved["state"] == "reserved"
    assert "may draw" in said
    assert "it is disputed, and the arbiter is silent" in said
    assert "repaid, at" in said
    assert "pledged   to nobody" in said.rpartition("owner     ")[2]
