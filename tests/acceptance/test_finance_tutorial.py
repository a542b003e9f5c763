"""docs/finance-tutorial.md, typed into one shell by somebody who believes every word of it."""

from __future__ import annotations

import json

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.address_book import AddressBook
from marketplace.cli import documents
from tests.acceptance.conftest import ROOT, Network, blocks_of, run_by_reader

TUTORIAL = ROOT / "docs" / "finance-tutorial.md"


def test_every_command_of_the_finance_tutorial_works(network: Network) -> None:
    """In this order, in one shell: a company is funded, its lease reserved, money lent and drawn on it; and all of it comes back. The
    gateway tells of vault, loan and company by the names that the commands print, and of its owner's reputation (S-7)."""
    folder = network.folder / "finance"
    folder.mkdir()
    (folder / ".devnet").symlink_to(network.folder / ".devnet")
    said = run_by_reader(folder, "sh", "".join(code for _, code in blocks_of(TUTORIAL)))
    reserved = json.loads((folder / "reservation.json").read_text())
    (vault,) = AddressBook.read(network.folder / ".devnet" / "address-book.json").vaults
    api = GatewayApi(network.settings["gateway_url"])
    listed, told, loan = api.vaults(), api.vault(vault), api.loan(vault, 1)
    company, provider = api.company(reserved["provider"]), api.provider(reserved["provider"])
    api.close()

    assert reserved["state"] == "reserved"
    assert "provider.stopped" in (folder / "company.log").read_text()
    assert "may draw" in said
    assert "it is disputed, and the arbiter is silent" in said
    assert "repaid, at" in said
    assert "pledged   to nobody" in said.rpartition("owner     ")[2]
    assert ([one.vault for one in listed], told.loans, loan.state, loan.lease) == (
        [vault],
        [],
        "repaid",
        reserved["id"],
    )
    assert (company.creditor, [offer.class_name for offer in company.offers]) == (None, ["H200-SXM-141GB"])
    assert provider.owner == company.owner
    assert provider.reputation.tallies
    checked = network.answer("reputation", reserved["provider"], "--check")
    assert (checked["owner"], checked["isWhatTheChainSays"]) == (company.owner, True)
    for words, answer in (
        (("vault", "explain", vault), told),
        (("advance", "explain", vault, "1"), loan),
    ):
        assert json.loads(network.bourse(*words, "--json").stdout).keys() == documents.told(answer).keys()
