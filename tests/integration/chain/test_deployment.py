"""A market comes onto a chain: at addresses known beforehand, once, whatever happens on the way, and can be checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.blueprint import Blueprint
from marketplace.chain.catalogue import Catalogue
from marketplace.chain.constants import LOCAL_CONSTANTS, PRESETS, Preset
from marketplace.chain.contracts import contract_abi
from marketplace.chain.create2 import (
    PROXY,
    PROXY_CODE,
    PROXY_DEPLOYER,
    PROXY_TRANSACTION,
    PROXY_TRANSACTION_WEI,
    create,
    default_salt,
    salt_of,
)
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_KEYS, start_anvil
from marketplace.chain.finance import FinanceTerms
from marketplace.chain.market import MarketContract
from marketplace.chain.settlement import inspect_token
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.verification import blueprint_of, differences
from marketplace.domain.chain_errors import InsufficientFunds, ProxyMissing, WrongChain
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.units import Seconds, TokenUnits

DEPLOYER, OTHER = ANVIL_KEYS[6], ANVIL_KEYS[7]
PUBLIC_CHAIN_ID = 424_242
_numbers = itertools.count(1)


@pytest.fixture
def blueprint() -> Blueprint:
    """A market that is nowhere yet."""
    return Blueprint(salt_of(f"deployment test {next(_numbers)}"), LOCAL_CONSTANTS, DEPLOYER.address)


@pytest.fixture
def public_chain(port: int, tmp_path: Path) -> Iterator[Chain]:
    """A chain that is not a local one, and on which nobody has put the proxy."""
    handle = start_anvil(
        port, tmp_path, block_time=None, chain_id=PUBLIC_CHAIN_ID, arguments=("--disable-default-create2-deployer",)
    )
    chain = Chain([handle.rpc_url])
    yield chain
    chain.close()
    handle.stop()


def put_proxy(chain: Chain) -> None:
    """As docs/how-to/deployment.md says."""
    chain.rpc("anvil_setBalance", PROXY_DEPLOYER, hex(PROXY_TRANSACTION_WEI))
    chain.rpc("eth_sendRawTransaction", PROXY_TRANSACTION)


def sent_by(chain: Chain, key: Key) -> int:
    return int(chain.rpc("eth_getTransactionCount", key.address, "latest"), 16)


def carried_out(
    chain: Chain, blueprint: Blueprint, key: Key = DEPLOYER, known: AddressBook | None = None
) -> AddressBook:
    return carry_out(chain, key, plan_deployment(chain, key.address, blueprint), known=known)


def test_a_plan_tells_addresses_and_cost_and_sends_nothing(chain: Chain, blueprint: Blueprint) -> None:
    """What the plan says is what the deployment does."""
    before = sent_by(chain, DEPLOYER)
    plan = plan_deployment(chain, DEPLOYER.address, blueprint)

    assert sent_by(chain, DEPLOYER) == before
    assert all(chain.code_at(part.address) == "0x" for part in blueprint.parts)
    assert [step.part.name for step in plan.missing] == ["GpuCatalogue", "TestDollar", "ComputeMarket"]
    assert 3_000_000 < plan.gas < 15_000_000
    assert 0 < plan.cost_wei < plan.required_wei < plan.available_wei

    money = int(chain.rpc("eth_getBalance", DEPLOYER.address, "latest"), 16)
    book = carry_out(chain, DEPLOYER, plan)
    spent = money - int(chain.rpc("eth_getBalance", DEPLOYER.address, "latest"), 16)

    assert (book.catalogue, book.token, book.market) == tuple(part.address for part in blueprint.parts)
    assert spent <= plan.cost_wei
    terms = MarketContract(chain, book.market).terms()
    assert (terms.token, terms.claim_grace, terms.bond_floor) == (book.token, 15, 100_000)
    assert Catalogue(chain, book.catalogue).classes() == load_classes()


def test_again_finds_the_same_contracts_and_sends_nothing(chain: Chain, blueprint: Blueprint) -> None:
    """Whoever runs it, with or without the book of the first time."""
    book = carried_out(chain, blueprint)
    before = sent_by(chain, DEPLOYER), sent_by(chain, OTHER)
    told: list[str] = []
    plan = plan_deployment(chain, DEPLOYER.address, blueprint)

    assert (plan.missing, plan.gas, plan.cost_wei, plan.required_wei) == ((), 0, 0, 0)
    assert carry_out(chain, DEPLOYER, plan, tell=told.append) == book
    assert carried_out(chain, blueprint, OTHER, known=book) == book
    assert (sent_by(chain, DEPLOYER), sent_by(chain, OTHER)) == before
    assert len(told) == 3
    assert all("there already" in line for line in told)


def test_the_first_block_is_found_on_the_chain(chain: Chain, blueprint: Blueprint) -> None:
    """A lost address book is written again as it was: events are read from the market's first block on."""
    book = carried_out(chain, blueprint)
    found = set()
    for _ in range(17):
        chain.rpc("anvil_mine", "0x1")
        found.add(carried_out(chain, blueprint).deployed_at_block)

    assert found == {book.deployed_at_block}
    assert chain.rpc("eth_getCode", book.market, hex(book.deployed_at_block - 1)) == "0x"
    assert chain.rpc("eth_getCode", book.market, hex(book.deployed_at_block)) != "0x"


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_deployment_that_was_cut_short_goes_on_where_it_was(chain: Chain, blueprint: Blueprint, done: int) -> None:
    """What is there is kept, what is missing is made; nothing is made twice."""
    sender = Sender(chain, DEPLOYER)
    for part in blueprint.parts[:done]:
        sender.send(create(part.salt, part.creation_code, part.name))
    before = sent_by(chain, DEPLOYER)

    book = carried_out(chain, blueprint)

    assert sent_by(chain, DEPLOYER) == before + 3 - done
    assert differences(chain, book, blueprint) == ()


def test_a_creation_that_still_waits_is_not_sent_again(port: int, tmp_path: Path, blueprint: Blueprint) -> None:
    """An earlier run was killed after it had sent something: creating the same twice would burn the second one's gas."""
    handle = start_anvil(port, tmp_path, block_time=1)
    chain = Chain([handle.rpc_url])
    first = blueprint.catalogue
    call = create(first.salt, first.creation_code, first.name)
    message = {"from": DEPLOYER.address, "to": call.to, "data": "0x" + call.input.hex()}
    chain.rpc("eth_sendTransaction", message | {"gas": hex(8_000_000)})
    is_waiting = chain.code_at(first.address) == "0x"

    book = carried_out(chain, blueprint)

    assert is_waiting
    assert sent_by(chain, DEPLOYER) == 3
    assert differences(chain, book, blueprint) == ()
    chain.close()
    handle.stop()


def test_somebody_else_may_be_faster(chain: Chain, blueprint: Blueprint) -> None:
    """Whoever creates a contract at that address creates that contract: the plan that came too late is carried out all the same."""
    plan = plan_deployment(chain, DEPLOYER.address, blueprint)
    book = carried_out(chain, blueprint, OTHER)
    before = sent_by(chain, DEPLOYER)

    assert carry_out(chain, DEPLOYER, plan, known=book) == book
    assert sent_by(chain, DEPLOYER) == before


def test_a_chain_without_the_proxy_is_named_with_the_remedy(public_chain: Chain, blueprint: Blueprint) -> None:
    """The account to fund is named; after the documented transaction the deployment goes through."""
    token = other_token(public_chain)
    public = replace(blueprint, constants=PRESETS[Preset.L2].in_units(6), given_token=token)

    with pytest.raises(ProxyMissing) as raised:
        plan_deployment(public_chain, DEPLOYER.address, public)
    put_proxy(public_chain)
    book = carried_out(public_chain, public)

    assert PROXY_DEPLOYER in str(raised.value)
    assert str(PUBLIC_CHAIN_ID) in str(raised.value)
    assert book.token == token
    assert differences(public_chain, book, blueprint_of(book)) == ()


def test_something_else_in_the_proxys_place_is_not_trusted(public_chain: Chain, blueprint: Blueprint) -> None:
    """Code that is not the proxy's could create anything."""
    public_chain.rpc("anvil_setCode", PROXY, PROXY_CODE + "00")
    token = other_token(public_chain)

    with pytest.raises(ProxyMissing, match="something else"):
        plan_deployment(
            public_chain,
            DEPLOYER.address,
            replace(blueprint, constants=PRESETS[Preset.L2].in_units(6), given_token=token),
        )


def other_token(chain: Chain) -> Address:
    """A token that is there already."""
    made = Sender(chain, OTHER).send(verbs.Call(None, contract_abi("TestDollar").creation(), "create a token"))
    assert made.contract
    return made.contract


def test_who_cannot_pay_is_told_how_much_before_anything_is_sent(chain: Chain, blueprint: Blueprint) -> None:
    """A wei less than required is too little, and what is required is enough."""
    poor = Key(bytes([7]) * 31 + bytes([next(_numbers)]))
    required = plan_deployment(chain, poor.address, blueprint).required_wei
    chain.rpc("anvil_setBalance", poor.address, hex(required - 1))

    with pytest.raises(InsufficientFunds) as raised:
        carry_out(chain, poor, plan_deployment(chain, poor.address, blueprint))
    assert raised.value.available_wei == required - 1
    assert sent_by(chain, poor) == 0

    chain.rpc("anvil_setBalance", poor.address, hex(required))
    assert carried_out(chain, blueprint, poor).market == blueprint.market.address


def test_a_public_chain_needs_a_token_and_longer_windows(public_chain: Chain, blueprint: Blueprint) -> None:
    """Test dollars and windows of seconds are for local chains only."""
    with pytest.raises(InvalidField, match="name the ERC-20"):
        plan_deployment(public_chain, DEPLOYER.address, replace(blueprint, constants=PRESETS[Preset.L2].in_units(6)))
    with pytest.raises(InvalidField, match="from 60 s"):
        plan_deployment(public_chain, DEPLOYER.address, replace(blueprint, given_token=other_token(public_chain)))


def test_what_is_no_token_is_refused(chain: Chain, trading: Any, blueprint: Blueprint) -> None:
    """An account without code, and a contract that is something else."""
    for wrong, rule in ((OTHER.address, "no contract"), (trading.book.catalogue, r"decimals\(\)")):
        with pytest.raises(InvalidField, match=rule) as raised:
            plan_deployment(chain, DEPLOYER.address, replace(blueprint, given_token=wrong))
        assert raised.value.field == "token"


def test_a_given_token_comes_with_what_to_know_of_it(chain: Chain, trading: Any, blueprint: Blueprint) -> None:
    """Symbol and decimals are the token's own; the assumptions are said each time."""
    plan = plan_deployment(chain, DEPLOYER.address, replace(blueprint, given_token=trading.book.token))

    assert plan.token
    assert (plan.token.symbol, plan.token.decimals) == ("tUSD", 6)
    assert [step.part.name for step in plan.steps] == ["GpuCatalogue", "ComputeMarket"]
    assert "rebasing" in plan.warnings[0]
    assert not any("EIP-2612" in warning for warning in plan.warnings)


def token_code(decimals: int) -> str:
    """A contract that answers ``symbol()`` with ABC, and every other question with this number."""
    asked, at = "6000356 0e01c 6395d89b41 14 601a 57", "61{:04x} 6000 52 6020 6000 f3"
    symbol = "5b 6020 6000 52 6003 6020 52 62414243 60e8 1b 6040 52 6060 6000 f3"
    return "0x" + f"{asked} {at.format(decimals)} {symbol}".replace(" ", "")


@pytest.mark.parametrize(
    ("decimals", "told"),
    [
        (0, "0 decimals: what a second earns"),
        (5, "5 decimals: what a second"),
        (6, ""),
        (18, ""),
        (19, "highest is 120892 ABC"),
        (255, "highest is 0 ABC"),
    ],
)
def test_coarse_and_fine_tokens_are_warned_of(chain: Chain, decimals: int, told: str) -> None:
    """Below six decimals seconds may earn nothing, above eighteen prices may not fit; between them there is nothing to say."""
    place = Address("0x" + "7c" * 20)
    chain.rpc("anvil_setCode", place, token_code(decimals))

    found = inspect_token(chain, place)

    assert (found.symbol, found.decimals, len(found.warnings)) == ("ABC", decimals, 2 if told else 1)
    assert told in found.warnings[-1]


# -- the check --------------------------------------------------------------------------------------------------------


@pytest.fixture
def book(chain: Chain, blueprint: Blueprint) -> AddressBook:
    return carried_out(chain, blueprint)


def told(chain: Chain, book: AddressBook, blueprint: Blueprint) -> set[tuple[str, str, str, str]]:
    return {(one.contract, one.what, one.expected, one.found) for one in differences(chain, book, blueprint)}


def test_what_was_deployed_is_what_is_built_here(chain: Chain, book: AddressBook, tmp_path: Path) -> None:
    """The book alone says what to expect, also after it was written and read."""
    book.write(tmp_path / "book.json")

    assert differences(chain, book, blueprint_of(AddressBook.read(tmp_path / "book.json"))) == ()


def test_other_constants_are_named_one_by_one(chain: Chain, book: AddressBook, blueprint: Blueprint) -> None:
    """With what is there and what should be."""
    other = replace(blueprint.constants, challenge_window=Seconds(16), bond_floor=TokenUnits(7))

    assert told(chain, book, replace(blueprint, constants=other)) == {
        ("ComputeMarket", "CHALLENGE_WINDOW", "16", "15"),
        ("ComputeMarket", "BOND_FLOOR", "7", "100000"),
    }
    assert told(chain, book, replace(blueprint, catalogue_owner=OTHER.address)) == {
        ("GpuCatalogue", "owner", OTHER.address, DEPLOYER.address)
    }
    assert told(chain, book, replace(blueprint, given_token=OTHER.address)) == {
        ("ComputeMarket", "token", OTHER.address, book.token)
    }


def test_finance_is_made_with_its_market_and_checked_like_it(chain: Chain, blueprint: Blueprint) -> None:
    """From nothing: the arbiter's cost is bounded before the market that its constructor asks is there; each constant that differs is named."""
    terms = FinanceTerms(OTHER.address, Seconds(10), Seconds(2))
    whole = replace(blueprint, finance=terms)
    plan = plan_deployment(chain, DEPLOYER.address, whole)
    book = carried_out(chain, whole)
    used = int(chain.rpc("eth_getTransactionReceipt", last_sent(chain))["gasUsed"], 16)

    assert [step.part.name for step in plan.missing][-2:] == ["SpvFactory", "BackstopArbiter"]
    assert used <= plan.missing[-1].gas
    assert told(chain, book, blueprint_of(book)) == set()
    assert told(chain, book, replace(blueprint, finance=replace(terms, step=Seconds(11)))) == {
        ("BackstopArbiter", "STEP", "11", "10")
    }
    with pytest.raises(InvalidField, match="less than the ruling window"):
        plan_deployment(chain, DEPLOYER.address, replace(blueprint, finance=replace(terms, step=Seconds(30))))


def last_sent(chain: Chain) -> str:
    """The transaction in the newest block that has any."""
    number = chain.head().number
    while True:
        block = chain.rpc("eth_getBlockByNumber", hex(number), False)
        if block["transactions"]:
            return str(block["transactions"][-1])
        number -= 1


def test_another_contract_in_the_markets_place_is_found(chain: Chain, book: AddressBook, blueprint: Blueprint) -> None:
    """Whatever else it can do."""
    (found,) = differences(chain, replace(book, market=book.token), blueprint)
    (nothing,) = differences(chain, replace(book, market=OTHER.address), blueprint)

    assert (found.contract, found.what) == ("ComputeMarket", "code")
    assert (nothing.contract, nothing.what, nothing.found) == ("ComputeMarket", "code", "nothing")


def test_one_byte_of_code_is_found(chain: Chain, book: AddressBook, blueprint: Blueprint) -> None:
    """The last byte, and one in the middle of an immutable; the book's own hash says so too."""
    code = bytearray.fromhex(chain.code_at(book.market)[2:])
    code[-1] ^= 1
    chain.rpc("anvil_setCode", book.market, "0x" + code.hex())

    assert [one.what for one in differences(chain, book, blueprint)] == ["code", "code hash in the address book"]

    code[-1] ^= 1
    start, length = contract_abi("ComputeMarket").immutables["BOND_FLOOR"][-1]
    code[start + length - 1] ^= 1
    chain.rpc("anvil_setCode", book.market, "0x" + code.hex())

    assert [one.what for one in differences(chain, book, blueprint)] == ["BOND_FLOOR", "code hash in the address book"]


def test_the_same_code_at_another_address_is_not_the_recorded_market(
    chain: Chain, book: AddressBook, blueprint: Blueprint
) -> None:
    """A market with the same constants whose salt is not the book's: all may be well with it, and it is another one."""
    other = carried_out(chain, replace(blueprint, salt=salt_of("somebody else's"), given_token=book.token))

    (found,) = differences(chain, replace(book, market=other.market), blueprint)

    assert (found.what, found.expected, found.found) == ("address", book.market, other.market)


def test_classes_may_be_appended_and_not_exchanged(chain: Chain, book: AddressBook, blueprint: Blueprint) -> None:
    """A newer class is no difference; a class under another's number is."""
    append = contract_abi("GpuCatalogue").call("append", [("NEWER", 1)])
    Sender(chain, DEPLOYER).send(verbs.Call(book.catalogue, append, "append"))

    assert differences(chain, book, blueprint) == ()

    chain.rpc("anvil_setStorageAt", book.catalogue, "0x" + "0" * 64, "0x" + "3".rjust(64, "0"))
    found = differences(chain, book, blueprint)
    assert {one.what for one in found} == {f"class {known.number}" for known in load_classes()[3:]}
    assert {one.found for one in found} == {"nothing"}


def test_a_book_of_another_chain_is_refused(chain: Chain, book: AddressBook, blueprint: Blueprint) -> None:
    """Addresses are the same on every chain: the number tells them apart."""
    with pytest.raises(WrongChain):
        differences(chain, replace(book, chain_id=1), blueprint)
    with pytest.raises(InvalidField, match="does not say"):
        blueprint_of(replace(book, record=None))


def test_a_local_market_of_the_default_salt_is_the_same_everywhere(port: int, tmp_path: Path, chain: Chain) -> None:
    """Two chains, one blueprint: the addresses do not depend on the chain or on what the deployer did there before."""
    same = Blueprint(default_salt(), LOCAL_CONSTANTS, DEPLOYER.address)
    here = carried_out(chain, same)
    handle = start_anvil(port, tmp_path, block_time=None, chain_id=1337)
    there = Chain([handle.rpc_url])
    book = carried_out(there, same, OTHER)

    assert (book.market, book.token, book.catalogue) == (here.market, here.token, here.catalogue)
    assert book.chain_id != here.chain_id
    there.close()
    handle.stop()
