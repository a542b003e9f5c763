"""Vaults and companies as anybody asks a gateway about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import time

import httpx
import pytest

from marketplace.api.accounts import ProviderAnswer
from marketplace.api.vaults import VaultAnswer, VaultPage
from marketplace.chain import company_verbs, verbs
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.events import EventFollower
from marketplace.chain.finance import finance_terms
from marketplace.chain.market import MarketContract
from marketplace.chain.transactions import Sender
from marketplace.chain.vaults import VaultContract, changed_by
from marketplace.chain.verification import blueprint_of
from marketplace.domain.ids import ZERO_BYTES32, Address
from marketplace.domain.offers import Offer
from marketplace.domain.units import TokenUnits
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.services.projection import Projector
from tests.integration.companies import make_company
from tests.integration.gateway.conftest import ARBITER, DEPLOYER, OPENER, PROVIDER, STRANGER, Gateway, running
from tests.integration.gateway.forms import check_form

LENT = TokenUnits(5_000_000)


@pytest.fixture(scope="module")
def vault(gateway: Gateway) -> Address:
    """Around the gateway's own market, with something lent through it."""
    terms = finance_terms(gateway.chain.chain_id, ARBITER.address, None)
    planned = replace(blueprint_of(gateway.book), finance=terms)
    wished = changed_by(planned.usual_vault_terms(), {"obligors": [STRANGER.address], "max_loans": 3})
    blueprint = replace(planned, vault_terms=(wished,))
    gateway.book = carry_out(
        gateway.chain, DEPLOYER, plan_deployment(gateway.chain, DEPLOYER.address, blueprint), known=gateway.book
    )
    (address,) = gateway.book.vaults
    sender = Sender(gateway.chain, DEPLOYER)
    sender.send(verbs.mint(gateway.book.token, DEPLOYER.address, LENT))
    sender.send(verbs.approve(gateway.book.token, address, LENT))
    sender.send(VaultContract(gateway.chain, address).deposit(LENT, DEPLOYER.address))
    follower = EventFollower(gateway.chain, gateway.book.market, confirmations=1, factory=gateway.book.spv_factory)
    gateway.projector = Projector(
        follower, gateway.journal, gateway.blobs, gateway.board, gateway.market.terms(), opener=OPENER.address
    )
    gateway.sync()
    return address


@pytest.fixture(scope="module")
def http(gateway: Gateway, vault: Address) -> Iterator[httpx.Client]:
    """A gateway whose operator shows this vault."""
    book = gateway.book
    market = MarketContract(
        gateway.chain, book.market, deployed_at_block=book.deployed_at_block, spv_factory=book.spv_factory
    )
    roles = MarketRoles(book.catalogue, OPENER.address, ARBITER.address, vaults=(vault,))
    app = create_app(desks_over(market, gateway.journal, gateway.board, gateway.blobs, roles, clock=time))
    with running(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        yield client


def test_a_vault_is_told_as_the_chain_has_it(http: httpx.Client, gateway: Gateway, vault: Address) -> None:
    """Its terms, free money, price and queue at one block; and anew at the next one."""
    listed, told = http.get("/v1/vaults").json(), http.get(f"/v1/vaults/{vault}").json()
    sender = Sender(gateway.chain, DEPLOYER)
    contract = VaultContract(gateway.chain, vault)
    sender.send(contract.request_redeem(10**12, DEPLOYER.address))
    later = http.get(f"/v1/vaults/{vault}").json()

    check_form(VaultPage, listed)
    check_form(VaultAnswer, told)
    assert [row["vault"] for row in listed["items"]] == [vault]
    assert (told["cash"], told["assets"], told["price"], told["loans"]) == (str(LENT), str(LENT), "1000000", [])
    assert (told["terms"]["obligors"], told["terms"]["maxLoans"]) == ([STRANGER.address], 3)
    assert (told["pendingShares"], later["pendingShares"]) == ("0", str(10**12))
    assert later["block"]["number"] > told["block"]["number"]


def test_a_company_is_told_with_its_offers(http: httpx.Client, gateway: Gateway) -> None:
    """Whose it is and who speaks for it; a provider that is a key is no company."""
    factory = gateway.book.spv_factory
    assert factory
    call = company_verbs.create_company(factory, DEPLOYER.address, PROVIDER.address, ZERO_BYTES32)
    Sender(gateway.chain, DEPLOYER).send(call)
    gateway.sync()
    market = MarketContract(gateway.chain, gateway.book.market, spv_factory=factory)
    company = market.companies.address_of(DEPLOYER.address, ZERO_BYTES32)
    told = http.get(f"/v1/companies/{company}").json()

    assert (told["owner"], told["operator"], told["creditor"]) == (DEPLOYER.address, PROVIDER.address, None)
    assert (told["spv"], told["free"], told["offers"]) == (company, "0", [])
    assert http.get(f"/v1/companies/{PROVIDER.address}").status_code == 404


def test_a_company_is_told_with_its_owners_reputation(http: httpx.Client, gateway: Gateway, offer: Offer) -> None:
    """Also what the owner's own key failed, and whose it is; the owner itself has no owner (S-7)."""
    gateway.send(PROVIDER, verbs.decline(gateway.book.market, gateway.leased(offer).order))
    market = MarketContract(gateway.chain, gateway.book.market, spv_factory=gateway.book.spv_factory)
    company = make_company(market, PROVIDER.address, operator=PROVIDER, by=PROVIDER)
    gateway.sync()
    told, own = (http.get(f"/v1/providers/{who}").json() for who in (company, PROVIDER.address))

    check_form(ProviderAnswer, told)
    assert (told["owner"], own["owner"]) == (PROVIDER.address, None)
    assert told["reputation"] == own["reputation"]
    assert told["reputation"]["outcomes"]["declined"]["count"] == 1


def test_what_the_operator_does_not_name_is_not_asked_for(http: httpx.Client, gateway: Gateway, vault: Address) -> None:
    """Another contract, a loan that there is not, and every vault at a gateway that names none."""
    answers = [
        http.get(f"/v1/vaults/{gateway.book.market}"),
        http.get(f"/v1/vaults/{vault}/loans/1"),
        gateway.http.get(f"/v1/vaults/{vault}"),
    ]

    assert [(answer.status_code, answer.json()["reason"]) for answer in answers] == [(404, "NotFound")] * 3
    assert gateway.http.get("/v1/vaults").json()["items"] == []
