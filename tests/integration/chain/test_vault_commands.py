"""`bourse vault` and `bourse advance` as a lender and a company's owner type them, on a real chain and without a gateway."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle
from marketplace.chain.keystore import create_key
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.token import TokenContract
from marketplace.chain.verbs import Call, approve, deposit, dispute, mint, rule, settle
from marketplace.domain.events import LeaseDisputed
from marketplace.domain.ids import ZERO_BYTES32, Address
from marketplace.domain.orders import Order
from marketplace.domain.units import Bps, Seconds, TokenUnits
from tests.integration.chain.conftest import DOLLAR, FAR, SPEC, Trading
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

SPV = contract_abi("ProviderSpv")
DAY = 86_400


@pytest.fixture
def owner(tmp_path: Path, chain: Chain) -> Key:
    key = create_key(tmp_path / "key.json", tmp_path / "word", work_factor=2)
    chain.rpc("anvil_setBalance", key.address, hex(10**20))
    return key


@pytest.fixture
def shell(tmp_path: Path, anvil: AnvilHandle, owner: Key) -> Shell:
    """Whoever types owns the company, and has money to lend."""
    settings = {
        "BOURSE_RPC_URLS": anvil.rpc_url,
        "BOURSE_KEYSTORE": str(tmp_path / "key.json"),
        "BOURSE_KEYSTORE_PASSWORD_FILE": str(tmp_path / "word"),
        "BOURSE_HOME": str(tmp_path / "home"),
        "BOURSE_ADDRESS_BOOK": str(tmp_path / "deployments/31337.json"),
    }
    shell = Shell(tmp_path, settings)
    panel = ANVIL_KEYS[8].address
    shell.answer("deploy", "--finance", "--panel", panel, "--salt", f"for {owner.address}", "--json")
    return shell


@pytest.fixture
def trading(shell: Shell, chain: Chain) -> Trading:
    book = AddressBook.read(shell.folder / "deployments/31337.json")
    market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block)
    return Trading(chain, book, market, TokenContract(chain, book.token), salts=itertools.count(1))


def company(trading: Trading, owner: Key) -> Address:
    """The owner's company, with a bond's worth in the market and an offer of four GPUs."""
    factory = trading.book.spv_factory
    assert factory
    abi = contract_abi("SpvFactory")
    trading.send(owner, Call(factory, abi.call("create", owner.address, owner.address, ZERO_BYTES32), "create"))
    (made,) = abi.answer("spvOf", trading.chain.call(factory, abi.call("spvOf", owner.address, ZERO_BYTES32)))
    trading.send(owner, mint(trading.book.token, owner.address, TokenUnits(5_000 * DOLLAR)))
    trading.send(owner, approve(trading.book.token, trading.book.market, TokenUnits(2_000 * DOLLAR)))
    trading.send(owner, deposit(trading.book.market, made, TokenUnits(2_000 * DOLLAR)))
    listing = SPV.call("list", 1, 4, 2_000, 2 * DOLLAR, 0, FAR, trading.book.backstop_arbiter, SPEC)
    trading.send(owner, Call(made, listing, "list"))
    return Address(made)


def served(trading: Trading, spv: Address) -> Order:
    """A month of the client's, opened on the company's first offer."""
    trading.fund(trading.client, 10_000 * DOLLAR)
    arbiter = trading.book.backstop_arbiter
    signed = trading.signed(
        max_seconds=Seconds(30 * DAY), min_seconds=Seconds(20 * DAY), arbiter=arbiter, min_bond_bps=Bps(0)
    )
    offers = (trading.market.offer_of(number) for number in itertools.count(1))  # type: ignore[arg-type]
    offer = next(one for one in offers if one and one.provider == spv)
    trading.open(signed, offer)
    return signed.order


def later(chain: Chain, seconds: int) -> None:
    chain.rpc("evm_increaseTime", seconds)
    chain.rpc("evm_mine")


def test_a_lender_and_a_company_meet_at_a_vault(shell: Shell, trading: Trading, owner: Key, chain: Chain) -> None:
    """From a vault's terms to money back: quoted, drawn, paid by the client, collected, left; all the sums are the contract's."""
    spv = company(trading, owner)
    (shell.folder / "terms.toml").write_text(
        f'obligors = ["{trading.client.address}"]\nmax_tenor = "60d"\nwindow = "60s"\nloan_cap_bps = 9000\nobligor_cap_bps = 9000\n',
        encoding="utf-8",
    )
    vault = shell.answer("vault", "create", "--terms", "terms.toml", "--json")["vault"]
    said = shell.answer("vault", "terms", vault, "--json")["terms"]
    lent = shell.answer("vault", "deposit", vault, "2000", "--json")
    order = served(trading, spv)
    lease = trading.market.order_id(order)
    later(chain, 10)
    quote = shell.answer("advance", "quote", vault, lease, "--json")
    trading.send(owner, Call(spv, SPV.call("allow", vault), "allow"))
    drawn = shell.answer("advance", "draw", vault, lease, "all", "--json")
    later(chain, DAY)
    trading.send(trading.client, paid(trading, order, DAY))
    collected = shell.answer("advance", "collect", vault, str(drawn["loan"]), "--json")
    left = shell.answer("vault", "exit", vault, "500", "--json")
    later(chain, 120)
    filled = shell.answer("vault", "process", vault, "--json")
    taken = shell.answer("vault", "take", vault, "--json")

    assert (said["obligors"], said["window"], said["dscrBps"]) == ([trading.client.address], 60, 12_000)
    assert lent["cash"] == str(2_000 * DOLLAR)
    assert (quote["rule"], quote["netOfBond"].startswith("-")) == (7, True)
    assert drawn["principal"] == quote["most"]
    assert int(collected["owed"]) < int(drawn["owed"])
    assert left["position"]["pendingShares"] != "0"
    assert int(filled["position"]["claimable"]) > 499 * DOLLAR
    assert (taken["position"]["claimable"], taken["position"]["credit"]) == ("0", "0")
    assert "of it free" in shell.run("vault", "explain", vault).stdout
    assert "are sure to come" in shell.run("advance", "explain", vault, str(drawn["loan"])).stdout


def test_a_vault_without_obligors_lends_what_is_covered(
    shell: Shell, trading: Trading, owner: Key, chain: Chain
) -> None:
    """Nothing without a cover; as much as reserve and cover hold with one. Repaid early, the cover is the backer's again, and the company free."""
    spv, order = company(trading, owner), None
    (shell.folder / "terms.toml").write_text("loan_cap_bps = 9000\nobligor_cap_bps = 9000\n", encoding="utf-8")
    vault = shell.answer("vault", "create", "--terms", "terms.toml", "--json")["vault"]
    shell.answer("vault", "deposit", vault, "1000", "--json")
    order = served(trading, spv)
    lease = trading.market.order_id(order)
    later(chain, 10)
    without = shell.answer("advance", "quote", vault, lease, "--json")
    covered = [shell.answer("advance", "back", vault, lease, "100", "--json")]
    covered.append(shell.answer("advance", "unback", vault, lease, "--json"))
    covered.append(shell.answer("advance", "back", vault, lease, "50", "--json"))
    shell.answer("spv", "allow", spv, vault, "--json")
    drawn = shell.answer("advance", "draw", vault, lease, "all", "--backer", owner.address, "--json")
    part = shell.answer("advance", "repay", vault, str(drawn["loan"]), "20", "--json")
    repaid = shell.answer("advance", "repay", vault, str(drawn["loan"]), "all", "--json")
    taken = shell.answer("vault", "take", vault, "--json")

    assert (without["most"], without["rule"]) == ("0", 2)
    assert [one["cover"] for one in covered] == [str(100 * DOLLAR), "0", str(50 * DOLLAR)]
    assert (drawn["obligor"], drawn["cover"]) == (None, str(50 * DOLLAR))
    assert 50 * DOLLAR < int(drawn["principal"]) <= 50 * DOLLAR + int(drawn["reserve"])
    assert int(part["owed"]) < int(drawn["owed"]) - 19 * DOLLAR
    assert (repaid["state"], repaid["owed"], repaid["cover"]) == ("repaid", "0", "0")
    assert (taken["position"]["credit"], taken["loans"]) == ("0", [])
    assert shell.answer("spv", "status", spv, "--json")["creditor"] is None


def paid(trading: Trading, order: Order, used: int) -> Call:
    return settle(trading.book.market, [trading.receipted(order, used, last=False)])


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("terms", "nobody"), "VAULT"),
        (("create", "--terms", "bad.toml"), "terms"),
        (("create", "--terms", "greedy.toml"), "terms.exit_bps"),
        (("create", "--terms", "full.toml"), "terms.max_loans"),
        (("create", "--terms", "none.toml"), "terms"),
    ],
)
def test_what_is_no_vault_and_no_term_is_said(shell: Shell, words: tuple[str, ...], field: str) -> None:
    """An address that is none, a term that there is not, or that no vault may have, and a file that is not there are wrong usage, and named."""
    for name, content in (
        ("bad", "colour = 1\n"),
        ("greedy", "exit_bps = 10001\n"),
        ("full", "max_loans = 33\n"),
    ):
        (shell.folder / f"{name}.toml").write_text(content, encoding="utf-8")

    answer: Any = shell.answer("vault", *words, "--json", code=2)

    assert answer["error"]["field"] == field


def test_what_rulings_brought_goes_to_the_panel(shell: Shell, trading: Trading, owner: Key, chain: Chain) -> None:
    """Half of the loser's stake, whoever asks; and nothing is sent where there is nothing (A-2)."""
    spv, panel = company(trading, owner), ANVIL_KEYS[8]
    before = shell.answer("collect", "--json")
    order = served(trading, spv)
    later(chain, 60)
    disputed = trading.send(trading.client, dispute(trading.book.market, order)).events[0]
    assert isinstance(disputed, LeaseDisputed)
    arbiter = trading.book.backstop_arbiter
    assert arbiter
    ruling = rule(trading.book.market, order, Seconds(0), provider_at_fault=True)
    trading.send(panel, replace(ruling, to=arbiter))
    had = trading.token.balance_of(panel.address)
    told = shell.answer("collect", "--arbiter", arbiter, "--json")

    assert (before["amount"], before["transaction"]) == ("0", None)
    assert (told["arbiter"], told["panel"], told["amount"]) == (arbiter, panel.address, str(disputed.stake // 2))
    assert trading.token.balance_of(panel.address) - had == disputed.stake // 2
    assert trading.market.balance_of(arbiter) == 0
    assert "nothing to pay out" in shell.run("collect").stdout
