"""Messages to sign in with: what is read of them, and at what expense."""

from __future__ import annotations

import time

import pytest

from marketplace.chain.sign_in import MOST_TEXT, SignIn, read_sign_in
from marketplace.chain.signing import SigningDomain
from marketplace.domain.errors import Unauthorized
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
