"""Leave to read a part of a lease: whose it is, for how long, and what a token must say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.chain.shares import MOST_SHARE_SECONDS, Part, Share, check_share, read_share, sign_share
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.units import UnixTime

DOMAIN = SigningDomain(31337, Address("0x" + "5f" * 20))
KEY, WALLET = Key(b"\x07" * 32), Address("0x" + "ac" * 20)
LEASE, NOW = Bytes32("0x" + "1e" * 32), UnixTime(1_700_000_000)
UNTIL = UnixTime(NOW + 60)
SHARE = sign_share(KEY, LEASE, Part.LOG, UNTIL, DOMAIN)


def nobody(account: Address, digest: Bytes32, signature: str) -> bool:
    """No account is a contract."""
    return False


def is_good(share: Share, now: int = NOW, lease: Bytes32 = LEASE, domain: SigningDomain = DOMAIN) -> bool:
    try:
        check_share(share, lease, UnixTime(now), domain, nobody)
    except Unauthorized:
        return False
    return True


def test_a_share_survives_the_way_into_a_url_and_back() -> None:
    """It is the same leave, whoever carries it."""
    assert read_share(SHARE.token) == SHARE


@pytest.mark.parametrize("part", [0, 1, 2, 3])
@pytest.mark.parametrize("word", ["", "work", "-1", "1" * 13, "\u0661", "0x1"])
def test_a_token_that_says_something_else_is_refused(part: int, word: str) -> None:
    """The work is nobody's to share, a time is at most twelve digits, and an account and a signature are what they are."""
    words = SHARE.token.split(".")
    words[part] = word
    for token in (".".join(words), SHARE.token + ".", SHARE.token.replace(".", "/")):
        with pytest.raises(InvalidField):
            read_share(token)


def test_a_share_is_good_until_its_second_and_for_a_week_at_most() -> None:
    """At its end it is over; longer than a week nobody can promise."""
    week = sign_share(KEY, LEASE, Part.LOG, UnixTime(NOW + MOST_SHARE_SECONDS), DOMAIN)

    assert [is_good(SHARE, UNTIL + after) for after in (-1, 0, 1)] == [True, False, False]
    assert [is_good(week, NOW + after) for after in (-1, 0)] == [False, True]


def test_a_share_is_for_what_was_signed() -> None:
    """Another part, lease, market or time, and another's name: none of it is under the signature."""
    others = [
        replace(SHARE, part=Part.OUTPUTS),
        replace(SHARE, until=UnixTime(UNTIL + 1)),
        replace(SHARE, account=WALLET),
    ]

    assert is_good(SHARE)
    assert not any(map(is_good, others))
    assert not is_good(SHARE, lease=Bytes32("0x" + "2e" * 32))
    assert not is_good(SHARE, domain=replace(DOMAIN, chain_id=1))


def test_a_contract_may_take_a_keys_signature_for_its_own() -> None:
    """Then, and only then, the key shares in its name."""
    share, asked = sign_share(KEY, LEASE, Part.LOG, UNTIL, DOMAIN, account=WALLET), list[tuple[Address, str]]()

    def is_approved(account: Address, digest: Bytes32, signature: str) -> bool:
        asked.append((account, signature))
        return account == WALLET

    check_share(share, LEASE, NOW, DOMAIN, is_approved)

    assert asked == [(WALLET, share.signature)]
    assert not is_good(share)
