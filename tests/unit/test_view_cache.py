"""How long an answer of the market's views is known to stand, going by headers alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from marketplace.chain.bloom import bits_of
from marketplace.chain.headers import Header
from marketplace.chain.heads import Ancestry
from marketplace.chain.view_cache import BELIEVED_BLOCKS, ViewCache
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime

MARKET, LEASE, OTHER = "0x" + "3a" * 20, "0x" + "1e" * 32, "0x" + "2e" * 32
WORDS = (MARKET, LEASE)
ANSWER = ("open",)


def header(number: int, *words: str, branch: int = 0) -> Header:
    """A block with logs of these words; its parent is of the same branch, down to block 2."""
    bloom = 0
    for word in words:
        bloom |= bits_of(word)
    parent = number - 1
    return Header(ref(number, branch), ref(parent, branch if parent > 2 else 0).hash, bloom, 1, 30_000_000)


def ref(number: int, branch: int = 0) -> BlockRef:
    return BlockRef(number, Bytes32(f"0x{branch << 64 | number:064x}"), UnixTime(number))


def remembering(headers: Sequence[Header]) -> ViewCache:
    """After these heads, with an answer as of the first."""
    ancestry = Ancestry()
    for number, one in enumerate(headers):
        ancestry.follow(one, float(number))
    answers = ViewCache(ancestry.between)
    answers.keep("question", headers[0].ref, ANSWER)
    return answers


def test_an_answer_stands_until_a_block_may_tell_of_a_change() -> None:
    """Logs of others, and of the market about something else, change nothing; one of the market about the subject may."""
    answers = remembering([header(1), header(2, OTHER), header(3, MARKET, OTHER), header(4, MARKET, LEASE)])

    assert answers.find("question", ref(1), WORDS) == ANSWER
    assert answers.find("question", ref(3), WORDS) == ANSWER
    assert answers.find("question", ref(4), WORDS) is None
    assert answers.find("another", ref(3), WORDS) is None


def test_what_never_changes_stands_whatever_is_logged() -> None:
    """As who listed an offer."""
    answers = remembering([header(1), header(2, MARKET, LEASE)])

    assert answers.find("question", ref(2), ()) == ANSWER


def test_an_answer_does_not_stand_across_a_header_that_was_not_seen() -> None:
    """Nobody knows what that block changed."""
    answers = remembering([header(1), header(3)])

    assert answers.find("question", ref(3), WORDS) is None


@pytest.mark.parametrize("words", [WORDS, ()])
def test_an_answer_of_a_block_that_left_the_chain_is_forgotten(words: Sequence[str]) -> None:
    """The block is none of the new head's ancestors: neither leases nor offers are what they were."""
    ancestry = Ancestry()
    for number, one in enumerate([header(2), header(3), header(3, branch=7), header(4, branch=7)]):
        ancestry.follow(one, float(number))
    answers = ViewCache(ancestry.between)
    answers.keep("question", ref(3), ANSWER)

    assert answers.find("question", ref(4, branch=7), words) is None


def test_no_more_is_remembered_than_was_asked_lately() -> None:
    """Questions are forgotten in the order in which they were answered; a doubtful answer at once."""
    answers = ViewCache(lambda since, upto: [])
    for number in range(8_193):
        answers.keep(number, ref(1), (number,))
    answers.forget(5)

    assert [answers.find(number, ref(1), WORDS) for number in (0, 1, 5, 8_192)] == [None, (1,), None, (8_192,)]


def test_an_older_block_is_asked_about() -> None:
    """What holds now need not have held then."""
    answers = remembering([header(1), header(2)])
    answers.keep("question", ref(2), ANSWER)

    assert answers.find("question", ref(1), WORDS) is None


def test_after_a_while_it_is_asked_for_all_the_same() -> None:
    """A node that tells wrong headers is not believed for ever, however often the answer was used meanwhile."""
    answers = remembering([header(number) for number in range(1, BELIEVED_BLOCKS + 3)])

    assert answers.find("question", ref(1 + BELIEVED_BLOCKS), WORDS) == ANSWER
    assert answers.find("question", ref(2 + BELIEVED_BLOCKS), WORDS) is None
