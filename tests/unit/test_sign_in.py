"""Messages to sign in with: what is read of them, and at what expense."""

from __future__ import annotations

import time

import pytest

from marketplace.chain.sign_in import MOST_TEXT, SignIn, read_sign_in
from marketplace.chain.signing import SigningDomain
from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime

MARKET = SigningDomain(31337, Address("0x" + "ab" * 20))
MOST_SECONDS = 1.0
"""Of this process's own time; unchecked, the parser takes more than two seconds for each."""


def challenge(site: str = "http://localhost:8000") -> SignIn:
    return SignIn(Address("0x" + "11" * 20), site, MARKET, "5a" * 32, UnixTime(1_700_000_000), UnixTime(1_700_003_600))


@pytest.mark.parametrize("site", ["http://localhost", "https://gpu.market.example:8443", "http://" + "a" * 120])
def test_a_challenge_is_read_as_it_was_written(site: str) -> None:
    """Whatever the gateway's name is."""
    assert read_sign_in(challenge(site).text(), MARKET) == challenge(site)


LINES = dict(line.partition(": ")[::2] for line in challenge().text().splitlines() if ": " in line)
"""What the challenge says, by name."""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Chain ID: 31337", "Chain ID: 1"),
        ("market:31337", "market:1"),
        (MARKET.market, "0x" + "ac" * 20),
        ("localhost:8000 wants", "localhost:8001 wants"),
        ("URI: http://localhost:8000", "URI: http://elsewhere:8000"),
        (f"Expiration Time: {LINES['Expiration Time']}\n", ""),
        (
            f"Expiration Time: {LINES['Expiration Time']}",
            f"Expiration Time: {LINES['Expiration Time']}\nNot Before: {LINES['Issued At']}",
        ),
        ("Resources:", "Request ID: 7\nResources:"),
        ("\nResources:\n- urn", "\nResources:\n- urn:another\n- urn"),
        (f"Issued At: {LINES['Issued At']}", "Issued At: yesterday"),
        (f"Nonce: {LINES['Nonce']}", "Nonce: 5a"),
        ("Version: 1", "Version: 2"),
    ],
    ids=lambda text: text[:24],
)
def test_a_message_that_says_something_else_is_refused(old: str, new: str) -> None:
    """Another chain, market or site, two sites, no end, a beginning, and whatever else a challenge does not say."""
    text = challenge().text()
    assert old in text
    with pytest.raises(Unauthorized):
        read_sign_in(text.replace(old, new, 1), MARKET)


@pytest.mark.parametrize("text", ["a" * (MOST_TEXT + 1), challenge().text() + "\u00e9"])
def test_a_novel_and_other_letters_are_no_message(text: str) -> None:
    """They are not even looked at."""
    with pytest.raises(InvalidField, match="at most 2000 ASCII"):
        read_sign_in(text, MARKET)


@pytest.mark.parametrize("letter", ["0", "a.", "\n"])
def test_a_long_word_is_refused_before_it_costs_anything(letter: str) -> None:
    """The parser's time grows with the square of a word's length: what has no challenge's form never gets there."""
    words = (letter * MOST_TEXT)[:MOST_TEXT]
    in_place = challenge().text().replace("Read what", "Read " + letter * 600)[:MOST_TEXT]
    begun = time.process_time()

    for text in (words, in_place):
        with pytest.raises(Unauthorized, match="EIP-4361"):
            read_sign_in(text, MARKET)

    assert time.process_time() - begun < MOST_SECONDS
