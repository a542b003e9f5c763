"""The rules for names in bundles, and how much all bundles of a job may hold."""

from __future__ import annotations

import codecs
import os

import pytest

from marketplace.domain.bundle_rules import Allowance, checked_name, escaped, is_awkward
from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MAX_DEPTH, MAX_NAME_BYTES, MAX_NAME_PART_BYTES


@pytest.mark.parametrize(
    ("name", "delivered"),
    [("plain", "plain"), ("\\", r"\x5c"), ("\\\\", r"\x5c\x5c"), ("a\\b", r"a\x5cb"), ("\x1f", r"\x1f"), ("caf\udce9", r"caf\xe9"), ("", "")],
)  # fmt: skip
def test_an_escaped_name_gives_its_bytes_back(name: str, delivered: str) -> None:
    """Also one of backslashes alone."""
    assert escaped(name) == delivered
    assert codecs.escape_decode(delivered.encode())[0] == os.fsencode(name)  # type: ignore[attr-defined]


def test_control_characters_and_half_letters_are_awkward() -> None:
    """The last one of each range, and not the first letter behind it."""
    awkward = [
        letter
        for letter in map(chr, (0, 31, 32, 126, 127, 159, 160, 0xD7FF, 0xD800, 0xDFFF, 0xE000))
        if is_awkward(letter)
    ]

    assert [ord(letter) for letter in awkward] == [0, 31, 127, 159, 0xD800, 0xDFFF]


def test_a_name_is_as_long_and_as_deep_as_is_allowed() -> None:
    """And not by one more."""
    part = "p" * MAX_NAME_PART_BYTES
    whole = "/".join(["n" * 99] * ((MAX_NAME_BYTES + 1) // 100))
    whole += "n" * (MAX_NAME_BYTES - len(whole))
    deep = "/".join("d" * MAX_DEPTH)

    assert [len(checked_name(name)) for name in (part, deep)] == [1, MAX_DEPTH]
    checked_name(whole)
    for longer in (part + "p", whole + "n", deep + "/d", "", "a//b", "/a", "a/", ".", "a/..", "\x7f"):
        with pytest.raises(InvalidField):
            checked_name(longer)


def test_an_allowance_is_used_up_by_bundles_together() -> None:
    """To the last byte and the last entry; what is too much takes nothing, and says how much it all would be."""
    left = Allowance(100, 3)
    left.take(60, 2)
    with pytest.raises(InvalidField, match="holds 101 bytes of files; at most 100"):
        left.take(41)
    with pytest.raises(InvalidField, match="more than 3 files"):
        left.take(0, 2)
    left.take(40, 1)

    assert (left.bytes, left.entries) == (0, 0)
