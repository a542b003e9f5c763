"""The page in a real Chromium, on a market that runs, with a wallet of its own. One browser looks at everything; each test is one thing that it saw."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

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
    network.bourse("wallet", "deposit", "1")
    network.bourse("run", "--gpu", "RTX4090", "--max-price", "0.40", "--max-time", "1m", "--", "true")
    client = network.state["accounts"]["client"]["address"]
    orders = eventually(
        lambda: httpx.get(f"{gateway}/v1/orders?client={client}", trust_env=False).json()["items"], "an order"
    )
    return {
        "gateway": gateway, "rpc": rpc, "key": key, "job": orders[0]["id"], "client": client,
        "provider": network.state["accounts"]["provider-1"]["address"], "offer": offer,
    }  # fmt: skip


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


def test_hostile_words_are_shown_as_words(seen: dict[str, str]) -> None:
    """Markup, escapes and turned writing in every name and reason that a gateway tells are text, and run nothing."""
    assert seen["hostile words"] == ""


def test_a_page_of_ones_own_install_holds_the_gateway_to_the_address_book(seen: dict[str, str]) -> None:
    """`bourse page` shows the gateway's market and signs in through it, and shows nothing of one that names another market than the book."""
    assert seen["a page of one's own install"] == ""


def test_fingers_hit_what_they_aim_at(seen: dict[str, str]) -> None:
    """On a phone every tab and every button is at least 48 px high."""
    assert seen["touch targets"] == ""


def test_a_wallet_deposits_orders_reads_and_countersigns(seen: dict[str, str]) -> None:
    """Money goes in by permit, a refusal moves nothing, an order is signed for its worst cost, its log is read by a cookie that no script
    sees, its output is hashed before the receipt is signed, what a lying gateway would have signed is not, and the sum is right to the unit."""
    assert seen["acts with a wallet"] == ""


def test_a_provider_reprices_its_own_offer_and_takes_it_off_the_market(seen: dict[str, str]) -> None:
    """The price is the one that was typed, to the unit the token has; a gateway that names other decimals, or shows somebody
    else's offer as one's own, gets nothing sent; what is off the market says so."""
    assert seen["one's own offer"] == ""
