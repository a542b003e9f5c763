"""A key that acts for an account which is not its own: a wallet's owner (EIP-1271), and a delegate with a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.chain.checksums import checksum
from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS
from marketplace.chain.keystore import create_key
from marketplace.chain.signing import Key
from marketplace.client import JobState, Market
from marketplace.domain.errors import Forbidden, Refused
from marketplace.domain.ids import Address
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import earned_rounded_down, worst_cost_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import Seconds, TokenUnits, UnixTime
from marketplace.services.uploads import STRANGER_LIMIT_BYTES
from tests.integration.client.conftest import ROOTS, Desk, Line, Play
from tests.integration.contracts import wallet_of
from tests.integration.gateway.conftest import (
    ACCEPTOR,
    ARBITER,
    CLIENT,
    DEPLOYER,
    DOLLAR,
    OPENER,
    OTHER_CLIENT,
    STRANGER,
    Gateway,
)
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

OWNER, DELEGATE = OTHER_CLIENT, ACCEPTOR
KINDS = ("wallet", "delegate")

Connect = Callable[[Key, Address], Desk]


@pytest.fixture(scope="module")
def accounts(gateway: Gateway) -> dict[str, tuple[Key, Address]]:
    """Who signs, and for which account, by kind."""
    wallet, units = wallet_of(gateway.chain, OWNER), TokenUnits(50 * DOLLAR)
    for call in (
        verbs.mint(gateway.book.token, DEPLOYER.address, units),
        verbs.approve(gateway.book.token, gateway.book.market, units),
        verbs.deposit(gateway.book.market, wallet, units),
    ):
        gateway.send(DEPLOYER, call)
    return {"wallet": (OWNER, wallet), "delegate": (DELEGATE, CLIENT.address)}


@pytest.fixture
def budget(gateway: Gateway) -> Iterator[Callable[[int], None]]:
    """Gives the delegate a budget of the client's money; it has plenty to begin with, and none in the end."""

    def give(units: int) -> None:
        until = UnixTime(gateway.now() + 100_000)
        gateway.send(CLIENT, verbs.authorize(gateway.book.market, DELEGATE.address, TokenUnits(units), until))

    give(20 * DOLLAR)
    yield give
    give(0)


@pytest.fixture
def connect(gateway: Gateway, tmp_path: Path) -> Iterator[Connect]:
    opened: list[Market] = []

    def opening(key: Key, account: Address) -> Desk:
        market = Market.connect(
            gateway.url,
            [gateway.chain.rpc_url],
            key,
            tmp_path,
            address_book=gateway.book,
            account=checksum(account),
            roots=ROOTS,
        )
        opened.append(market)
        return Desk(market, Line(), lambda: opening(key, account))

    yield opening
    for market in opened:
        market.close()


def _ran(play: Play, desk: Desk, used: int) -> None:
    """A job of the desk's, opened, worked on, countersigned and settled."""
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(used + 1)
    play.hand_in(job, used)
    desk.step()
    play.settle(desk, job)
    desk.step()

    assert job.state is JobState.SUCCEEDED
    assert job.is_settled(play.gateway.chain.head())


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_orders_for_another_account(
    play: Play, gateway: Gateway, accounts: dict[str, tuple[Key, Address]], connect: Connect, kind: str
) -> None:
    """Ordered, countersigned and settled by the key; the account's money pays, to the unit, and the key's does not."""
    key, account = accounts[kind]
    before, own = gateway.market.balance_of(account), gateway.market.balance_of(key.address)
    desk = connect(key, account)

    _ran(play, desk, 11)

    (job,) = desk.market.jobs()
    order = play.order_of(desk, job)
    assert (order.client, order.acceptor) == (account, key.address)
    cost = earned_rounded_down(play.offer.price, order.gpus, Seconds(11))
    assert before - gateway.market.balance_of(account) == cost == job.sums().paid
    assert gateway.market.balance_of(key.address) == own
    assert desk.market.balance().free == before - cost


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_running", [False, True])
def test_a_key_calls_off_what_it_ordered(
    play: Play, accounts: dict[str, tuple[Key, Address]], connect: Connect, kind: str, is_running: bool
) -> None:
    """Cancelled before it runs, terminated afterwards: the key is the acceptor of its orders."""
    desk = connect(*accounts[kind])
    job = desk.market.submit(play.request())
    if is_running:
        play.open(desk, job)

    assert job.cancel() is JobState.CANCELLED
    assert job.attempts()[0].exit == ("LeaseTerminated" if is_running else "OrderCancelled")


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_does_not_touch_the_accounts_money(
    gateway: Gateway, accounts: dict[str, tuple[Key, Address]], connect: Connect, kind: str
) -> None:
    """Withdrawing and giving budgets is the account's own to do; the reason is told and nothing is sent. Paying in is open to all."""
    key, account = accounts[kind]
    market = connect(key, account).market
    sent = gateway.chain.rpc("eth_getTransactionCount", key.address, "latest")

    with pytest.raises(Forbidden, match="itself can withdraw"):
        market.withdraw(TokenUnits(1))
    with pytest.raises(Forbidden, match="itself can give a budget"):
        market.wallet.authorize(STRANGER.address, TokenUnits(1), UnixTime(2**40 - 1))
    assert gateway.chain.rpc("eth_getTransactionCount", key.address, "latest") == sent

    before = market.balance().free
    market.wallet.mint_test_dollars(TokenUnits(7))
    market.deposit(TokenUnits(7))
    assert market.balance().free == before + 7


def test_a_stranger_orders_for_nobody(
    play: Play, accounts: dict[str, tuple[Key, Address]], connect: Connect, budget: Callable[[int], None]
) -> None:
    """Without a budget, and without a contract that takes its signature, nothing is signed away and nothing is written down."""
    for account in (CLIENT.address, accounts["wallet"][1]):
        desk = connect(STRANGER, account)
        with pytest.raises(Forbidden, match="may not sign orders"):
            desk.market.submit(play.request())
        assert desk.market.jobs() == ()


def test_a_delegate_stays_within_its_budget(
    play: Play, accounts: dict[str, tuple[Key, Address]], connect: Connect, budget: Callable[[int], None]
) -> None:
    """What its order may cost at most has to be left (I-7); one unit less and it is refused before anything is sent."""
    desk = connect(*accounts["delegate"])
    first = desk.market.submit(play.request())
    worst = worst_cost_of(play.order_of(desk, first))
    first.cancel()

    budget(worst - 1)
    with pytest.raises(Refused) as over:
        desk.market.submit(play.request())
    budget(worst)

    assert over.value.refusal is Refusal.OverBudget
    assert desk.market.submit(play.request()).is_posted


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_for_another_account_may_be_as_large_as_its_own(
    play: Play, accounts: dict[str, tuple[Key, Address]], connect: Connect, kind: str, tmp_path: Path
) -> None:
    """The key has no money in the market; the account whose order it is has."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "words").write_bytes(bytes(range(256)) * (STRANGER_LIMIT_BYTES // 128))
    desk = connect(*accounts[kind])

    assert desk.market.submit(play.request(inputs=tmp_path / "in")).is_posted


@pytest.mark.usefixtures("budget")
def test_each_account_has_its_own_jobs(
    play: Play, accounts: dict[str, tuple[Key, Address]], connect: Connect, gateway: Gateway
) -> None:
    """A key's own jobs and those that it ordered for others are not mixed up."""
    key, account = accounts["delegate"]
    other = connect(key, account)
    job = other.market.submit(play.request())

    assert connect(key, key.address).market.jobs() == ()
    assert [one.id for one in other.again().market.jobs()] == [job.id]


@pytest.fixture
def shell(gateway: Gateway, tmp_path: Path) -> Shell:
    create_key(tmp_path / "key.json", tmp_path / "word", private_key=ANVIL_PRIVATE_KEYS[5], work_factor=2**12)
    gateway.book.write(tmp_path / "book.json")
    settings = {
        "BOURSE_RPC_URLS": gateway.chain.rpc_url, "BOURSE_GATEWAY_URL": gateway.url,
        "BOURSE_ADDRESS_BOOK": str(tmp_path / "book.json"), "BOURSE_KEYSTORE": str(tmp_path / "key.json"),
        "BOURSE_KEYSTORE_PASSWORD_FILE": str(tmp_path / "word"), "BOURSE_HOME": str(tmp_path / "home"),
        "BOURSE_OPENER": OPENER.address, "BOURSE_ARBITER": ARBITER.address,
    }  # fmt: skip
    return Shell(tmp_path, settings)


def test_the_command_line_acts_for_a_wallet(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer], accounts: dict[str, tuple[Key, Address]]
) -> None:
    """`--account`: run, ps, cancel and wallet show are the wallet's; what the key may not do has a reason and exit code 3."""
    owner, wallet = accounts["wallet"]
    option = ("--account", checksum(wallet))
    run = ("run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait", "--json")

    job = shell.answer(*run, *option, "--", "true")
    (listed,) = shell.answer("ps", "--json", *option)
    own = shell.answer("ps", "--json")
    shown = shell.answer("wallet", "show", "--json", *option)
    words = shell.run("wallet", "show", *option).stderr
    cancelled = shell.answer("cancel", "1", "--json", *option)
    refused = shell.answer("wallet", "withdraw", "1", "--json", *option, code=3)["error"]
    mistyped = shell.answer("ps", "--json", "--account", checksum(wallet).swapcase().replace("0X", "0x"), code=2)[
        "error"
    ]

    assert gateway.http.get(f"/v1/orders/{job['id']}").json()["order"]["client"] == wallet
    assert (listed["id"], own, cancelled["state"]) == (job["id"], [], "cancelled")
    assert (shown["account"], shown["signer"], shown["isItsWallet"]) == (wallet, owner.address, True)
    assert int(shown["free"]) == gateway.market.balance_of(wallet)
    assert "takes its signature for its own" in words
    assert refused["reason"] == "Forbidden"
    assert mistyped["field"] == "account"
