"""`bourse deploy` as somebody types it: plans, deployments, checks, and every way in which it says no."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, mine, start_anvil
from marketplace.chain.keystore import create_key, load_key
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.vaults import VaultContract
from marketplace.chain.verbs import Call
from marketplace.chain.verification import blueprint_of, differences
from marketplace.cli.session import CommandSession
from marketplace.domain.units import TokenUnits
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

ROOT = Path(__file__).parents[3]
RICH_WEI = 10**20
PUBLIC = ("--preset", "l2")
PANEL = ANVIL_KEYS[8].address


def deployer(folder: Path, chain: Chain, wei: int = RICH_WEI) -> Key:
    key = create_key(folder / "key.json", folder / "word", work_factor=2)
    chain.rpc("anvil_setBalance", key.address, hex(wei))
    return key


@pytest.fixture
def key(tmp_path: Path, chain: Chain) -> Key:
    """A new account that can pay: its catalogue, and with a salt of its own its market, is nowhere yet."""
    return deployer(tmp_path, chain)


@pytest.fixture
def shell(tmp_path: Path, anvil: AnvilHandle, key: Key) -> Shell:
    settings = {
        "BOURSE_RPC_URLS": anvil.rpc_url,
        "BOURSE_KEYSTORE": str(tmp_path / "key.json"),
        "BOURSE_KEYSTORE_PASSWORD_FILE": str(tmp_path / "word"),
        "BOURSE_HOME": str(tmp_path / "home"),
    }
    return Shell(tmp_path, settings)


@pytest.fixture
def salt(key: Key) -> tuple[str, str]:
    return "--salt", f"for {key.address}"


@pytest.fixture
def public(tmp_path: Path, port: int) -> Iterator[tuple[Shell, Chain]]:
    """The same on a chain that is not a local one."""
    handle = start_anvil(port, tmp_path / "public", block_time=None, chain_id=424_242)
    chain = Chain([handle.rpc_url])
    deployer(tmp_path / "public", chain)
    settings = {
        "BOURSE_RPC_URLS": handle.rpc_url,
        "BOURSE_KEYSTORE": str(tmp_path / "public/key.json"),
        "BOURSE_KEYSTORE_PASSWORD_FILE": str(tmp_path / "public/word"),
    }
    yield Shell(tmp_path, settings), chain
    chain.close()
    handle.stop()


def nonce(chain: Chain, key: Key) -> int:
    return int(chain.rpc("eth_getTransactionCount", key.address, "latest"), 16)


def test_a_plan_a_deployment_and_a_check(shell: Shell, chain: Chain, key: Key, salt: tuple[str, str]) -> None:
    """Three documents that agree; the book is at deployments/<chain id>.json and clients can use it."""
    plan = shell.answer("deploy", *salt, "--dry-run", "--json")
    sent = nonce(chain, key)
    done = shell.answer("deploy", *salt, "--json")
    check = shell.answer("deploy", "--check", "--json")
    book = AddressBook.read(shell.folder / "deployments/31337.json")

    assert sent == 0
    assert (
        done["created"] == [row["name"] for row in plan["contracts"]] == ["GpuCatalogue", "TestDollar", "ComputeMarket"]
    )
    assert {name: done[name] for name in ("market", "token", "catalogue", "constants")} == {
        name: plan[name] for name in ("market", "token", "catalogue", "constants")
    }
    assert int(plan["costWei"]) > 0
    assert plan["constants"] == {
        "startGrace": 5, "claimGrace": 15, "challengeWindow": 15, "rulingWindow": 30, "bondFloor": "100000",
    }  # fmt: skip
    assert (book.market, book.deployed_at_block) == (done["market"], done["deployedAtBlock"])
    assert check == {
        "chainId": 31337, "addressBook": "deployments/31337.json", "matches": True, "constants": plan["constants"],
        "differences": [],
    }  # fmt: skip


def test_finance_is_added_to_the_market_of_the_book(shell: Shell, chain: Chain, salt: tuple[str, str]) -> None:
    """Later and without a word on the market itself; what the book said stays, and the check knows all of it from then on."""
    path = shell.folder / "deployments/31337.json"
    market = shell.answer("deploy", *salt, "--json")["market"]
    replace(AddressBook.read(path), arbiter=PANEL).write(path)
    done = shell.answer("deploy", "--finance", "--panel", PANEL, "--json")
    check = shell.answer("deploy", "--check", "--json")
    again = shell.answer("deploy", "--finance", "--json")
    book = AddressBook.read(path)

    assert (done["market"], done["created"]) == (market, ["SpvFactory", "BackstopArbiter"])
    assert done["finance"] == {"panel": PANEL, "step": 10, "slack": 2}
    assert check["matches"]
    assert (again["created"], book.arbiter) == ([], PANEL)
    assert book.spv_factory
    assert book.backstop_arbiter
    assert "0x" not in {chain.code_at(book.spv_factory), chain.code_at(book.backstop_arbiter)}


def test_vaults_are_deployed_with_the_market_and_checked(shell: Shell, chain: Chain, salt: tuple[str, str]) -> None:
    """One for each file of terms, in the book in this order; one that somebody added by hand stays; and a vault with other terms is named, term by term."""
    path = shell.folder / "deployments/31337.json"
    (shell.folder / "careful.toml").write_text(f'obligors = ["{PANEL}"]\n', encoding="utf-8")
    (shell.folder / "bold.toml").write_text(f'obligors = ["{PANEL}"]\nbeta_bps = 5000\n', encoding="utf-8")
    files = "--vault", "careful.toml", "--vault", "bold.toml"
    done = shell.answer("deploy", *salt, "--panel", PANEL, *files, "--json")
    book = AddressBook.read(path)
    replace(book, vaults=(*book.vaults, PANEL)).write(path)
    again = shell.answer("deploy", *files, "--json")
    check = shell.answer("deploy", "--check", "--json")
    kept = AddressBook.read(path)
    replace(kept, vaults=(kept.vaults[1], *kept.vaults[1:])).write(path)
    wrong = shell.answer("deploy", "--check", "--json", code=3)

    assert done["created"][-2:] == ["AdvanceVault", "AdvanceVault 2"]
    assert (again["created"], check["matches"]) == ([], True)
    assert kept.vaults == (*book.vaults, PANEL)
    assert VaultContract(chain, kept.vaults[1]).terms == blueprint_of(kept).vault_terms[1]
    assert ("betaBps", "0", "5000") in {(one["what"], one["expected"], one["found"]) for one in wrong["differences"]}


def in_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> CommandSession:
    """A command's session, as it opens where this shell is."""
    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(shell.folder)
    return CommandSession()


def test_a_company_is_made_funded_and_looked_after(
    shell: Shell, chain: Chain, key: Key, salt: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bourse spv`: made once, its owner changes operator and vault and takes out what is free; what is no company is none, and speaks for itself."""
    done = shell.answer("deploy", *salt, "--finance", "--json")
    at_market = replace(shell, environment=shell.environment | {"BOURSE_ADDRESS_BOOK": "deployments/31337.json"})
    made = at_market.answer("spv", "create", "--operator", PANEL, "--json")
    again = at_market.answer("spv", "create", "--json")
    company = made["spv"]
    Sender(chain, key).send(verbs.mint(done["token"], key.address, TokenUnits(5_000_000)))
    funded = at_market.answer("spv", "fund", company, "5", "--json")
    allowed = at_market.answer("spv", "allow", company, PANEL, "--json")
    changed = at_market.answer("spv", "operator", company, key.address, "--json")
    at_market.answer("spv", "withdraw", company, "2", "--json")
    status = at_market.answer("spv", "status", company, "--json")
    stranger = at_market.answer("spv", "status", key.address, "--json", code=2)
    with in_environment(at_market, monkeypatch).speakers() as speaker_of:
        spoken_for = [speaker_of(who) for who in (company, PANEL)]

    assert (made["owner"], made["operator"], made["creditor"], made["free"]) == (key.address, PANEL, None, "0")
    assert again["spv"] == company
    assert (funded["free"], funded["freeHuman"]) == ("5000000", "5.00 tUSD")
    assert (allowed["allowed"], changed["operator"], status["free"]) == (PANEL, key.address, "3000000")
    assert stranger["error"]["reason"] == "NotFound"
    assert spoken_for == [key.address, PANEL]


def test_again_says_so_and_sends_nothing(shell: Shell, chain: Chain, key: Key, salt: tuple[str, str]) -> None:
    """Idempotent, with the book and without it; the book is the same each time, to the byte."""
    shell.answer("deploy", *salt, "--json")
    book = shell.folder / "deployments/31337.json"
    before = nonce(chain, key), book.read_bytes()

    again = shell.run("deploy", *salt)
    book.unlink()
    without = shell.answer("deploy", *salt, "--json")

    assert "nothing was sent" in again.stdout
    assert without["created"] == []
    assert (nonce(chain, key), book.read_bytes()) == before


def test_where_a_market_begins_is_found_on_a_node_that_has_forgotten_the_past(
    shell: Shell, chain: Chain, key: Key, salt: tuple[str, str]
) -> None:
    """Its old states are gone; the one in which the contract appeared is not."""
    mine(chain, 1_500)
    first = shell.answer("deploy", *salt, "--json")
    (shell.folder / "deployments/31337.json").unlink()

    assert first["deployedAtBlock"] > 1_500
    assert shell.answer("deploy", *salt, "--json")["deployedAtBlock"] == first["deployedAtBlock"]


def test_a_deployment_killed_halfway_is_finished_by_the_next_one(
    shell: Shell, chain: Chain, line: Any, key: Key, salt: tuple[str, str]
) -> None:
    """Killed when a creation had gone out and no answer had come back: each contract is created once all the same."""
    line.lose_answers.add("eth_sendRawTransaction")
    environment = shell.environment | {
        "BOURSE_RPC_URLS": f"http://127.0.0.1:{line.server_address[1]}",
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "marketplace.cli.main", "deploy", *salt], cwd=shell.folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    was_cut = line.was_cut.wait(30)
    process.send_signal(signal.SIGKILL)
    process.wait(10)

    assert was_cut
    assert not (shell.folder / "deployments").exists()
    assert nonce(chain, key) == 1

    done = shell.answer("deploy", *salt, "--json")

    assert done["created"] == ["TestDollar", "ComputeMarket"]
    assert nonce(chain, key) == 3
    assert shell.answer("deploy", "--check", "--json")["matches"]


def test_a_check_that_fails_names_the_difference_and_ends_with_3(shell: Shell, salt: tuple[str, str]) -> None:
    """Other constants, and another contract under the market's name."""
    shell.answer("deploy", *salt, "--json")
    path = shell.folder / "deployments/31337.json"
    document = json.loads(path.read_text())

    found = shell.answer("deploy", "--check", "--challenge-window", "99s", "--json", code=3)
    path.write_text(json.dumps(document | {"market": document["catalogue"]}))
    plain = shell.run("deploy", "--check")

    assert not found["matches"]
    assert found["differences"] == [
        {"contract": "ComputeMarket", "what": "CHALLENGE_WINDOW", "expected": "99", "found": "15"}
    ]
    assert plain.returncode == 3
    assert plain.stdout.startswith("ComputeMarket: code is ")


def test_an_address_book_is_never_written_over_with_another_market(shell: Shell, salt: tuple[str, str]) -> None:
    """It is how people find their money."""
    shell.answer("deploy", *salt, "--json")
    book = (shell.folder / "deployments/31337.json").read_bytes()

    refused = shell.answer("deploy", *salt, "--ruling-window", "31s", "--json", code=2)
    beside = shell.answer("deploy", *salt, "--ruling-window", "31s", "--address-book", "other.json", "--json")

    assert refused["error"]["field"] == "address-book"
    assert (shell.folder / "deployments/31337.json").read_bytes() == book
    assert AddressBook.read(shell.folder / "other.json").market == beside["market"]
    assert beside["created"] == ["ComputeMarket"]


def test_the_address_book_of_the_settings_is_used(shell: Shell, salt: tuple[str, str]) -> None:
    """BOURSE_ADDRESS_BOOK is where all commands look."""
    done = shell.run("deploy", *salt, "--json", BOURSE_ADDRESS_BOOK=str(shell.folder / "mine.json"))

    assert AddressBook.read(shell.folder / "mine.json").market == json.loads(done.stdout)["market"]


WRONG: list[tuple[tuple[str, ...], int, str, str]] = [
    (("--start-grace", "soon"), 2, "InvalidField", "start_grace"),
    (("--start-grace", "16s"), 2, "InvalidField", "start_grace"),
    (("--ruling-window", "400d"), 2, "InvalidField", "ruling_window"),
    (("--bond-floor", "0"), 2, "InvalidField", "bond_floor"),
    (("--bond-floor", "0.0000001"), 2, "InvalidField", "bond_floor"),
    (("--salt", "0x12"), 2, "InvalidField", "salt"),
    (("--token", "0x12"), 2, "InvalidField", "token"),
    (("--token", "0x" + "12" * 20), 2, "InvalidField", "token"),
    (("--catalogue-owner", "me"), 2, "InvalidField", "catalogue-owner"),
    (("--rpc", "http://127.0.0.1:9"), 4, "ChainUnavailable", ""),
    (("--keystore", "missing.json"), 2, "ConfigError", ""),
    (("--check",), 2, "ConfigError", ""),
]


@pytest.mark.parametrize(("words", "code", "reason", "field"), WRONG, ids=lambda case: str(case))
def test_what_is_wrong_is_named(
    shell: Shell, chain: Chain, key: Key, words: tuple[str, ...], code: int, reason: str, field: str
) -> None:
    """The field and the rule, in one document, and nothing is sent."""
    error = shell.answer("deploy", *words, "--json", code=code)["error"]

    assert (error["reason"], error["field"]) == (reason, field)
    assert nonce(chain, key) == 0


def test_a_wrong_password_opens_nothing(shell: Shell) -> None:
    """And the error names the files, not what is in them."""
    (shell.folder / "word").write_text("a wrong word")

    done = shell.run("deploy", "--json")

    assert done.returncode == 2
    assert "key.json cannot be opened with the password in" in json.loads(done.stdout)["error"]["detail"]
    assert "a wrong word" not in done.stdout + done.stderr


def test_too_little_money_is_said_with_the_numbers(shell: Shell, chain: Chain, key: Key, salt: tuple[str, str]) -> None:
    """In the chain's own coin; a plan needs no money."""
    chain.rpc("anvil_setBalance", key.address, "0x7b")

    plan = shell.answer("deploy", *salt, "--dry-run", "--json")
    error = shell.answer("deploy", *salt, "--json", code=3)["error"]

    assert error["reason"] == "InsufficientFunds"
    assert f"needs {plan['requiredWei']} wei for gas and has 123" in error["detail"]


def test_a_public_chain_gets_no_local_market(public: tuple[Shell, Chain]) -> None:
    """The local preset is refused there, until every constant is given by hand; test dollars are refused anyway."""
    shell, chain = public
    constants = (
        "--start-grace", "2m", "--claim-grace", "3m", "--challenge-window", "4m", "--ruling-window", "5m", "--bond-floor", "1",
    )  # fmt: skip
    bare = shell.answer("deploy", "--json", code=2)["error"]
    local = shell.answer("deploy", "--preset", "local", "--json", code=2)["error"]
    partly = shell.answer("deploy", "--preset", "local", *constants[2:], "--json", code=2)["error"]
    by_hand = shell.answer("deploy", "--preset", "local", *constants, "--json", code=2)["error"]

    assert (bare["field"], local["field"], partly["field"], by_hand["field"]) == ("token", "preset", "preset", "token")
    assert "--start-grace" in partly["rule"]
    assert "--claim-grace" not in partly["rule"]
    assert not (shell.folder / "deployments").exists()
    assert chain.head().number == 0


def test_a_market_on_a_public_chain_settles_in_the_token_that_is_named(public: tuple[Shell, Chain]) -> None:
    """With the constants of an L2, in that token's units, and what to know of the token is said."""
    shell, chain = public
    elsewhere = shell.folder / "elsewhere.json"
    token = _token(chain, Path(shell.environment["BOURSE_KEYSTORE"]))

    done = shell.run("deploy", "--token", token, "--address-book", str(elsewhere), "--json")
    book = AddressBook.read(elsewhere)
    terms = MarketContract(chain, book.market).terms()

    assert done.returncode == 0, done.stderr
    assert "rebasing" in done.stderr
    assert json.loads(done.stdout)["created"] == ["GpuCatalogue", "ComputeMarket"]
    assert (terms.token, terms.challenge_window, terms.ruling_window, terms.bond_floor) == (
        token,
        86_400,
        604_800,
        500_000,
    )
    assert differences(chain, book, blueprint_of(book)) == ()
    assert shell.answer("deploy", "--check", "--address-book", str(elsewhere), *PUBLIC, "--json")["matches"]


def _token(chain: Chain, keystore: Path) -> str:
    """Somebody's ERC-20."""
    key = load_key(keystore, keystore.with_name("word"))
    made = Sender(chain, key).send(Call(None, contract_abi("TestDollar").creation(), "create a token"))
    assert made.contract
    return made.contract
