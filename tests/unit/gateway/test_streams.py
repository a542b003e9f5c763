"""Text that comes in pieces of bytes: no character is lost, doubled or cut in two."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketplace.gateway.streams import MOST_TEXT_BYTES, whole_text


def told(content: bytes, cuts: list[int]) -> list[str]:
    """The texts of the events that a log makes when it grows in these pieces."""
    texts, rest, start = [], b"", 0
    for end in [*sorted(cut % (len(content) + 1) for cut in cuts), len(content)]:
        rest += content[start:end]
        start = end
        text, used = whole_text(rest, is_last=False)
        texts.append(text)
        rest = rest[used:]
    texts.append(whole_text(rest, is_last=True)[0])
    return texts


@given(st.text(), st.lists(st.integers(min_value=0)))
def test_text_survives_any_cutting(text: str, cuts: list[int]) -> None:
    """Whatever the pieces, the events together are the text."""
    assert "".join(told(text.encode(), cuts)) == text


@given(st.binary(), st.lists(st.integers(min_value=0)))
def test_bytes_that_are_no_text_become_what_they_would_in_one_piece(content: bytes, cuts: list[int]) -> None:
    """A job may print anything; what is no UTF-8 is replaced, the same way however it arrived."""
    assert "".join(told(content, cuts)) == content.decode(errors="replace")


def test_one_event_stays_small() -> None:
    """A megabyte of log comes as several events."""
    text, used = whole_text(b"x" * (1 << 20), is_last=False)

    assert len(text) == used == MOST_TEXT_BYTES
