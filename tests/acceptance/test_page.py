"""The page in a real Chromium, on a market that runs, with a wallet of its own. One browser looks at everything; each test is one thing that it saw."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from marketplace import wiring
from marketplace.chain.address_book import AddressBook
from marketplace.client import JobRequest
from marketplace.client.request import order_again
from marketplace.config import from_env
from marketplace.domain.ids import Bytes32, sha256_of
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.spec import read_spec
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime
from marketplace.domain.work import read_work, work_name
from tests.acceptance.conftest import Network, eventually
from tests.acceptance.test_strangers import CAST, FAUCET, run
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
LOOK = ROOT / "web/browser/look.mjs"
WITHIN_SECONDS = 500
UNSERVED_CLASS = 51
"""RX7900XTX, the last of the catalogue."""

pytestmark = pytest.mark.timeout(2 * WITHIN_SECONDS)
"""One browser does all of it before the first test is over."""


@pytest.fixture(scope="module")
def seen(network: Network) -> dict[str, str]:
    """What the browser saw, by name: "" where all was well, else what was not."""
    node, told = shutil.which("node"), prepared(network)
    assert node
    with own_page(network) as own:
        done = subprocess.run(
            [node, str(LOOK)], input=json.dumps(told | {"own": own}), capture_output=True, text=True,
            timeout=WITHIN_SECONDS, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    saw: dict[str, str] = json.loads(done.stdout)
    return saw


@contextmanager
def own_page(network: Network) -> Iterator[str]:
    """The page of this install over the network's gateway, as `bourse page` serves it: its address."""
    port = free_port()
    words = [sys.executable, "-m", "marketplace.cli.main", "page", "--port", str(port)]
    with subprocess.Popen(words, cwd=network.folder, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout
        try:
            assert f"http://127.0.0.1:{port}/" in serving.stdout.readline()
            eventually(lambda: is_served(port), "the page of this install")
            yield f"http://127.0.0.1:{port}"
        finally:
            serving.terminate()


def is_served(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == httpx.codes.OK
    except httpx.ConnectError:
        return False


def prepared(network: Network) -> dict[str, object]:
    """What there is to look at: a job of the network's client, and a wallet with coin, tokens and an offer of its own."""
    settings, key = network.settings, "0x" + token_hex(32)
    gateway, rpc = settings["gateway_url"], settings["rpc_urls"]
    address = run(CAST, "wallet", "address", "--private-key", key)
    token = httpx.get(gateway + "/v1/market", trust_env=False).json()["token"]["address"]
    for words in ((address, "--value", "1ether"), (token, "mint(address,uint256)", address, "5000000")):
        run(CAST, "send", "--rpc-url", rpc, "--private-key", FAUCET, *words)
    offer = listed_by_hand(gateway, rpc, key, address)
    job, retry = ordered_twice(network)
    return {
        "gateway": gateway, "rpc": rpc, "key": key, "job": job, "retry": retry, "client": network.state["accounts"]["client"]["address"],
        "provider": network.state["accounts"]["provider-1"]["address"], "offer": offer, "vault": lent_through(network), "company": made(network),
    }  # fmt: skip


def speaking_as(network: Network, role: str) -> tuple[str, ...]:
    account = network.state["accounts"][role]
    return "--keystore", account["keystore"], "--password-file", account["password_file"]


def lent_through(network: Network) -> str:
    """The network's vault, with something in it."""
    (vault,) = AddressBook.read(network.folder / ".devnet" / "address-book.json").vaults
    network.bourse("vault", "deposit", vault, "3", *speaking_as(network, "lender"))
    return vault


def made(network: Network) -> str:
    """A company that nobody runs, nor ever will."""
    done = network.bourse("spv", "create", "--salt", "of nobody", "--json", *speaking_as(network, "owner"))
    return str(json.loads(done.stdout)["spv"])


def ordered_twice(network: Network) -> tuple[Bytes32, Bytes32]:
    """A job that everybody may read: an order that was served, and one that follows it as a retry does, whose limit nobody meets; and a
    reservation, for so little that nobody opens it."""
    market = wiring.open_market(from_env({}, network.folder))
    try:
        market.deposit(market.amount("1"))
        request = JobRequest(
            command=("true",), name="twice <b>told</b>", public=True, gpus_of=("RTX4090",), max_price=market.price("0.40"), max_time=Seconds(60),
        )  # fmt: skip
        job = market.submit(request)
        list(market.wait_all([job], WITHIN_SECONDS, settled=True))
        first = market.book.orders(job.id)[-1]
        begins = UnixTime(market.chain.head().timestamp + 20 * 3600)
        market.submit(
            JobRequest(
                command=(), session=SessionTerms(), gpus_of=("RTX4090",), max_price=market.price("0.01"), starts_at=begins,
                max_time=Seconds(3600), min_time=Seconds(1800), retries=0,
            )
        )  # fmt: skip
        work = replace(read_work(first.work), previous=first.signed.id).canonical()
        spec = replace(read_spec(first.spec), work=work_name(work)).canonical()
        market.api.put_blob(work)
        market.api.put_blob(spec, public=True)
        now = market.chain.head().timestamp
        low = replace(first.signed.order, max_price=PricePerGpuHour(1))
        again = order_again(low, sha256_of(spec), now=now, expires_in=Seconds(3600))
        return first.signed.id, market.api.post_order(
            market.session.key.sign_order(again, market.session.market.domain)
        )
    finally:
        market.close()


def listed_by_hand(gateway: str, rpc: str, key: str, address: str) -> int:
    """An offer of the wallet's own, of a class that nobody else offers and that nobody serves: which."""
    market = httpx.get(gateway + "/v1/market", trust_env=False).json()
    terms = (UNSERVED_CLASS, 1, 1000, 900_000, 0, 2**40 - 1, market["arbiter"], "0x" + "5a" * 32)
    verb = "list(uint8,uint16,uint16,uint80,uint16,uint40,address,bytes32)"
    run(CAST, "send", "--rpc-url", rpc, "--private-key", key, market["market"], verb, *terms)
    found = eventually(
        lambda: httpx.get(f"{gateway}/v1/offers?provider={address}", trust_env=False).json()["items"], "an offer"
    )
    return int(found[0]["id"])


def test_what_the_views_say_and_add_up_is_right() -> None:
    """Sentences, amounts, instants, the ladder, histories and stories: the page's own unit tests (Vitest)."""
    node = shutil.which("node")
    assert node
    done = subprocess.run(
        [node, "node_modules/vitest/vitest.mjs", "run"], cwd=ROOT / "web", capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout[-4_000:]


@pytest.mark.parametrize("size", ["light", "dark", "phone"])
def test_every_view_can_be_read_by_everybody(seen: dict[str, str], size: str) -> None:
    """No view has a serious finding of axe, breaks the policy of what may be loaded, fails, or is wider than its screen."""
    assert seen[f"every view, {size}"] == ""


def test_the_market_is_said_in_a_sentence_and_goes_on_with_the_chain(seen: dict[str, str]) -> None:
    """The view begins with what one GPU costs, the book has its fixed lines, the block moves on by itself, and `/` finds a class."""
    assert seen["the market"] == ""


def test_a_gateway_that_goes_away_is_said_in_words(seen: dict[str, str]) -> None:
    """Where the stream is cut a band says so, nothing can be signed, what was shown stays, and all is well when it is back."""
    assert seen["a gateway that goes away"] == ""


def test_a_stream_that_stays_open_and_says_nothing_is_given_up(seen: dict[str, str]) -> None:
    """No block for ten seconds is said in words with the last one's number, nothing can be signed, and a new stream is opened by itself."""
    assert seen["a stream that falls silent"] == ""


def test_blocks_that_leave_the_chain_are_named_and_what_they_told_is_gone(seen: dict[str, str]) -> None:
    """After a reorganisation the page says which blocks were replaced, and goes on with blocks that the chain has."""
    assert seen["a reorganisation"] == ""


def test_a_retry_is_an_attempt_of_the_same_job(seen: dict[str, str]) -> None:
    """Two orders whose works are hashed by the page and follow one another are one job by its name, in the list and in its own view, to
    the unit; where a gateway hands over another work than was signed, they are two."""
    assert seen["a job ordered twice"] == ""


def test_how_busy_a_jobs_gpus_are_is_drawn_and_said(seen: dict[str, str]) -> None:
    """What a provider samples of a job and its GPUs is a line over time and numbers beside it; where it tells nothing, the page says that."""
    assert seen["GPUs at work"] == ""


def test_hostile_words_are_shown_as_words(seen: dict[str, str]) -> None:
    """Markup, escapes and turned writing in every name and reason that a gateway tells are text, and run nothing."""
    assert seen["hostile words"] == ""


def test_a_page_of_ones_own_install_holds_the_gateway_to_the_address_book(seen: dict[str, str]) -> None:
    """`bourse page` shows the gateway's market and signs in through it, and shows nothing of one that names another market than the book."""
    assert seen["a page of one's own install"] == ""


def test_reservations_are_shown_with_what_they_guarantee(seen: dict[str, str]) -> None:
    """All that wait, those of a class below its book, and an account's own, each with its guarantee and worst cost to the unit; its own view
    says from when it is and until when a provider may open it."""
    assert seen["reservations"] == ""


def test_vaults_and_companies_are_shown_with_what_stands_behind_a_loan(seen: dict[str, str]) -> None:
    """From the market to the vault, its price over time and its loans, to the company that borrowed, to the provider that it is; that nobody enters
    an impaired vault is said."""
    assert seen["a vault and a company"] == ""


def test_fingers_hit_what_they_aim_at(seen: dict[str, str]) -> None:
    """On a phone every tab and every button is at least 48 px high."""
    assert seen["touch targets"] == ""


def test_a_wallet_deposits_orders_reads_and_countersigns(seen: dict[str, str]) -> None:
    """Money goes in by permit, a refusal moves nothing, an order with a file and a name is signed for its worst cost, one in an image by its
    tag is not, its log is read by a cookie that no script sees, its output is hashed before the receipt is signed, what a lying gateway would have signed is not, and the sum is right to the unit."""
    assert seen["acts with a wallet"] == ""


def test_a_lease_that_runs_is_disputed_at_a_stake_that_is_named_before(seen: dict[str, str]) -> None:
    """What is in question, the stake and the time left are said before the wallet is asked, the evidence is a file, and an address lets others
    read the log, of a silent provider it says what comes of it; afterwards the page says who rules until when and what each way out pays."""
    assert seen["a dispute with a wallet"] == ""


def test_a_provider_reprices_its_own_offer_and_takes_it_off_the_market(seen: dict[str, str]) -> None:
    """The price is the one that was typed, to the unit the token has; a gateway that names other decimals, or shows somebody
    else's offer as one's own, gets nothing sent; what is off the market says so."""
    assert seen["one's own offer"] == ""
