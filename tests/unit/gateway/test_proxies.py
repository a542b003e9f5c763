"""Whose word about a sender's address is taken, and how far."""

from __future__ import annotations

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.gateway.proxies import MOST_HOPS, TrustedProxies, proxies_in

PROXIES = proxies_in("192.0.2.1, 10.0.0.0/8, 2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "6.6.6.6, 203.0.113.9, 10.9.9.9 ,2001:db8::7", "203.0.113.9"),
        ("192.0.2.1", "10.0.0.7, 192.0.2.1", "10.0.0.7"),
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9, junk, 10.0.0.7", "10.0.0.7"),
        ("192.0.2.1", "203.0.113.9,", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9:80", "192.0.2.1"),
        ("192.0.2.1", "fe80::1%eth0", "192.0.2.1"),
        ("192.0.2.1", "\xe9" * 30_000, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9," + "10.0.0.1," * MOST_HOPS + "10.0.0.2", "10.0.0.1"),
        ("192.0.2.1", "::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_last_hop_that_is_no_proxy_is_the_sender(peer: str, forwarded: str, sender: str) -> None:
    """Read from the right, and no further than trusted peers wrote; what cannot be read counts as the proxy's own."""
    assert PROXIES.sender(peer, [forwarded.encode("latin-1")]) == sender


def test_several_headers_are_one_list() -> None:
    """In the order in which they were sent; and where nobody is named, nobody is believed."""
    assert PROXIES.sender("10.0.0.1", [b"6.6.6.6", b"203.0.113.9", b"10.0.0.2"]) == "203.0.113.9"
    assert TrustedProxies().sender("10.0.0.1", [b"6.6.6.6"]) == "10.0.0.1"


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.1/8", "proxy.example", "10.0.0.1;10.0.0.2", "1"]
)
def test_what_nobody_should_trust_is_refused(text: str) -> None:
    """Everybody, half of everybody, a network with a host in it, and what is no address."""
    with pytest.raises(InvalidField):
        proxies_in(text)
