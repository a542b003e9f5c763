"""Money into the market and out of it, with tokens as awkward as those that people use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from marketplace.chain import verbs
from marketplace.chain.checksums import checksum
from marketplace.chain.deployment import LOCAL_CONSTANTS, AddressBook, deploy
from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS
from marketplace.chain.keystore import create_key
from marketplace.chain.signing import Key
from marketplace.chain.token import TokenContract
from marketplace.chain.transactions import Sender
from marketplace.chain.verbs import Call
from marketplace.client import DepositBy, Market
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import ZERO_ADDRESS, Address
from marketplace.domain.units import COIN_DECIMALS, TokenUnits, UnixTime
from tests.integration.contracts import create
from tests.integration.gateway.conftest import DEPLOYER, STRANGER, Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

ELSEWHERE = Address("0x" + "e1" * 20)


class Till:
    """One account, a market, and its token. ``sent`` counts the account's transactions."""

    def __init__(self, gateway: Gateway, book: AddressBook, folder: Path) -> None:
        self.chain, self.book, self.token = gateway.chain, book, TokenContract(gateway.chain, book.token)
        # No gateway: money needs the chain only.
        nobody = "http://127.0.0.1:9"
        self.market = Market.connect(nobody, [gateway.chain.rpc_url], STRANGER, folder, address_book=book)

    def sent(self) -> int:
        return int(self.chain.rpc("eth_getTransactionCount", STRANGER.address, "latest"), 16)

    def leave_allowance(self, units: int) -> None:
        call = verbs.approve(self.book.token, self.book.market, TokenUnits(units))
        Sender(self.chain, STRANGER).send(call)

    def allowance(self) -> int:
        return self.token.allowance(STRANGER.address, self.book.market)


def _mint(gateway: Gateway, token: Address, account: Address, units: int) -> None:
    Sender(gateway.chain, DEPLOYER).send(verbs.mint(token, account, TokenUnits(units)))


@pytest.fixture
def tether(gateway: Gateway, tmp_path: Path) -> Iterator[Till]:
    """A market in a token that wants an allowance to be 0 before it is changed, and that blocks accounts."""
    token = create(gateway.chain, DEPLOYER, "tests/integration/client/tether.sol", "Tether")
    till = Till(gateway, deploy(gateway.chain, DEPLOYER, LOCAL_CONSTANTS, token=token), tmp_path)
    _mint(gateway, token, STRANGER.address, 100)
    yield till
    till.market.close()


@pytest.fixture
def dollars(gateway: Gateway, tmp_path: Path) -> Iterator[Till]:
    """A market in a token as the standard has it."""
    till = Till(gateway, deploy(gateway.chain, DEPLOYER, LOCAL_CONSTANTS), tmp_path)
    _mint(gateway, till.book.token, STRANGER.address, 100)
    yield till
    till.market.close()


def test_an_allowance_that_is_left_over_stops_no_deposit(tether: Till) -> None:
    """USDT's rule: it is taken back first, and the deposit is made with exactly what it needs."""
    tether.leave_allowance(20)

    tether.market.deposit(TokenUnits(50))

    assert tether.market.balance().free == 50
    assert tether.allowance() == 0


@pytest.mark.parametrize(("left", "deposited", "expected"), [(0, 50, 2), (20, 50, 3), (20, 20, 1), (20, 5, 1)])
def test_only_a_token_that_wants_it_pays_for_taking_back(
    tether: Till, left: int, deposited: int, expected: int
) -> None:
    """Approvals are sent only where the allowance is too small, and a third transaction only where one is left over."""
    if left:
        tether.leave_allowance(left)
    before = tether.sent()

    tether.market.deposit(TokenUnits(deposited))

    assert tether.sent() - before == expected


def test_an_ordinary_token_is_approved_once(dollars: Till) -> None:
    """Where the token changes an allowance at once, nobody pays for taking it back first."""
    dollars.leave_allowance(20)
    before = dollars.sent()

    dollars.market.deposit(TokenUnits(50))

    assert dollars.sent() - before == 2
    assert dollars.market.balance().free == 50


@pytest.mark.parametrize("by", [DepositBy.PERMIT, DepositBy.AUTHORIZATION])
def test_a_signed_deposit_is_one_transaction(dollars: Till, by: DepositBy) -> None:
    """The leave to take the tokens is a signature in the deposit itself, and no allowance stays behind (EIP-2612, EIP-3009)."""
    before = dollars.sent()

    mined = dollars.market.wallet.deposit(TokenUnits(50), by)

    assert (dollars.market.balance().free, mined.is_earlier) == (50, False)
    assert (dollars.sent() - before, dollars.allowance()) == (1, 0)


def test_a_budget_beyond_what_the_contract_holds_is_refused_here(dollars: Till) -> None:
    """And a time beyond its words: nothing is sent for either, and the field is named."""
    wallet, before = dollars.market.wallet, dollars.sent()
    for budget, until, field in ((1 << 128, 9, "budget"), (5, 1 << 40, "until")):
        with pytest.raises(InvalidField) as caught:
            wallet.authorize(ELSEWHERE, TokenUnits(budget), UnixTime(until))
        assert caught.value.field == field

    wallet.authorize(ELSEWHERE, TokenUnits((1 << 128) - 1), UnixTime((1 << 40) - 1))

    assert (wallet.budget_of(ELSEWHERE).left, dollars.sent() - before) == ((1 << 128) - 1, 1)


def test_a_token_that_takes_no_signatures_says_so(tether: Till) -> None:
    """USDT's kind: nothing is sent, and the sentence names the other way."""
    before = tether.sent()

    with pytest.raises(InvalidField, match="use approve and deposit"):
        tether.market.wallet.deposit(TokenUnits(50), DepositBy.PERMIT)
    assert tether.sent() == before


def test_a_deposit_is_signed_from_the_command_line(shell: Shell, dollars: Till) -> None:
    """One of the two signatures at a time; what was deposited is shown."""
    both = shell.answer("wallet", "deposit", "0.00005", "--permit", "--authorization", "--json", code=2)
    told = shell.answer("wallet", "deposit", "0.00005", "--permit", "--json")

    assert both["error"]["field"] == "permit"
    assert (told["free"], dollars.market.balance().free, dollars.allowance()) == ("50", 50, 0)


def test_a_blocked_accounts_money_goes_elsewhere(tether: Till) -> None:
    """The token pays the account nothing any more; its money in the market is still its own."""
    tether.market.deposit(TokenUnits(50))
    blocking = Call(tether.book.token, _set_blocked(STRANGER), "setBlocked")
    Sender(tether.chain, DEPLOYER).send(blocking)

    with pytest.raises(TransactionReverted):
        tether.market.withdraw(TokenUnits(50))
    tether.market.withdraw(TokenUnits(30), checksum(ELSEWHERE))

    assert tether.token.balance_of(ELSEWHERE) == 30
    assert tether.market.balance().free == 20


def _set_blocked(key: Key) -> bytes:
    return (
        keccak(b"setBlocked(address,bool)")[:4]
        + bytes.fromhex(key.address[2:]).rjust(32, b"\0")
        + b"\1".rjust(32, b"\0")
    )


@pytest.mark.parametrize("lost", ["zero", "market", "token", "mistyped", "nobody"])
def test_money_is_not_sent_where_it_would_be_lost(dollars: Till, lost: str) -> None:
    """The zero address, the market and the token are refused before anything is sent, and so is a mistyped address."""
    dollars.market.deposit(TokenUnits(10))
    to = {
        "zero": ZERO_ADDRESS, "market": dollars.book.market, "token": checksum(dollars.book.token),
        "mistyped": "0x3c44CdDdB6a900fa2b585dd299e03d12FA4293BC", "nobody": "nobody",
    }[lost]  # fmt: skip
    before = dollars.sent()

    with pytest.raises(InvalidField) as refused:
        dollars.market.withdraw(TokenUnits(5), to)

    assert refused.value.field == "to"
    assert dollars.sent() == before
    assert dollars.market.balance().free == 10


@pytest.fixture
def shell(gateway: Gateway, dollars: Till, tmp_path: Path) -> Shell:
    create_key(tmp_path / "key.json", tmp_path / "word", private_key=ANVIL_PRIVATE_KEYS[4], work_factor=2**12)
    dollars.book.write(tmp_path / "book.json")
    settings = {
        "BOURSE_RPC_URLS": gateway.chain.rpc_url, "BOURSE_GATEWAY_URL": gateway.url,
        "BOURSE_ADDRESS_BOOK": str(tmp_path / "book.json"), "BOURSE_KEYSTORE": str(tmp_path / "key.json"),
        "BOURSE_KEYSTORE_PASSWORD_FILE": str(tmp_path / "word"), "BOURSE_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    return Shell(tmp_path, settings)


def test_all_that_is_free_is_withdrawn_by_one_word(shell: Shell, dollars: Till) -> None:
    """`withdraw all --to`: to the unit; a second time there is nothing, and nothing is sent."""
    dollars.market.deposit(TokenUnits(37))

    done = shell.answer("wallet", "withdraw", "all", "--to", ELSEWHERE, "--json")
    before = dollars.sent()
    again = shell.answer("wallet", "withdraw", "all", "--json")

    assert (done["free"], again["free"]) == ("0", "0")
    assert dollars.token.balance_of(ELSEWHERE) == 37
    assert "transaction" not in again
    assert dollars.sent() == before
    assert shell.answer("wallet", "withdraw", "1", "--to", ZERO_ADDRESS, "--json", code=2)["error"]["field"] == "to"


def test_the_wallet_tells_of_the_coin_for_gas(shell: Shell, gateway: Gateway, dollars: Till) -> None:
    """In table and document; tokens without any coin are stuck, and that is said in plain words."""
    rich = shell.answer("wallet", "show", "--json")
    wei = int(gateway.chain.rpc("eth_getBalance", STRANGER.address, "latest"), 16)
    table = shell.run("wallet", "show").stdout
    gateway.chain.rpc("anvil_setBalance", STRANGER.address, "0x0")
    try:
        poor = shell.run("wallet", "show", "--json")
        stuck = shell.answer("wallet", "show", "--json")
    finally:
        gateway.chain.rpc("anvil_setBalance", STRANGER.address, hex(wei))

    assert rich["coinWei"] == str(wei)
    assert float(rich["coinHuman"]) == pytest.approx(wei / 10**COIN_DECIMALS)
    assert "warning" not in rich
    assert "coin for gas" in table
    assert stuck["coinWei"] == "0"
    assert "no gas" in stuck["warning"]
    assert "warning" in poor.stderr
