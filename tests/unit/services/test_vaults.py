"""What is read off the chain for many who ask, once for each block."""

from __future__ import annotations

import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime
from marketplace.services.vaults import MOST_KEPT, ByBlock


def block(number: int) -> BlockRef:
    return BlockRef(number, Bytes32(f"0x{number:064x}"), UnixTime(number))


def test_an_answer_is_made_once_for_a_block_and_anew_for_another() -> None:
    """Also for one of the same number, where the chain was reorganised."""
    known, made = ByBlock(), list[str]()

    def say(what: str) -> str:
        made.append(what)
        return what

    other = BlockRef(1, Bytes32("0x" + "ff" * 32), UnixTime(1))
    told = [known.answer("vault", at, lambda: say("told")) for at in (block(1), block(1), other, block(2), block(2))]

    assert told == ["told"] * 5
    assert len(made) == 3


def test_a_no_is_not_kept_and_not_more_than_so_many_answers_are() -> None:
    """Whoever asks about everything fills no memory."""
    known, made = ByBlock(), list[int]()

    def refuse() -> str:
        raise NotFound("loan", "1")

    with pytest.raises(NotFound):
        known.answer("loan", block(1), refuse)
    for about in range(MOST_KEPT + 2):
        known.answer(about, block(1), lambda about=about: made.append(about))  # type: ignore[misc]
    for about in (0, MOST_KEPT + 1):
        known.answer(about, block(1), lambda about=about: made.append(about))  # type: ignore[misc]

    assert known.answer("loan", block(1), lambda: "there") == "there"
    assert made == [*range(MOST_KEPT + 2), MOST_KEPT + 1]
