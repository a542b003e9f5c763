"""Companies around a market that was deployed without: a real factory, and who makes which."""

from __future__ import annotations

from dataclasses import replace

from marketplace.chain import company_verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.companies import Companies
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.finance import finance_terms
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.verification import blueprint_of
from marketplace.domain.ids import Address, Bytes32


def with_finance(chain: Chain, market: MarketContract, book: AddressBook, panel: Address) -> AddressBook:
    """Deploy factory and arbiter around this market, which knows of the factory from then on; the longer address book."""
    blueprint = replace(blueprint_of(book), finance=finance_terms(chain.chain_id, panel, None))
    plan = plan_deployment(chain, ANVIL_KEYS[0].address, blueprint)
    longer = carry_out(chain, ANVIL_KEYS[0], plan, known=book)
    market.companies = Companies(chain, longer.spv_factory)
    return longer


def make_company(market: MarketContract, owner: Address, *, operator: Key, by: Key, salt: int = 1) -> Address:
    """Have ``by`` make a company in this owner's name."""
    companies, salted = market.companies, Bytes32(f"0x{salt:064x}")
    assert companies.factory, "with finance"
    Sender(market.chain, by).send(company_verbs.create_company(companies.factory, owner, operator.address, salted))
    return companies.address_of(owner, salted)
