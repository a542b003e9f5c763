"""Parts of files, and media types: what headers ask for, at every boundary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.gateway.negotiation import takes
from marketplace.gateway.problems import HttpRefusal
from marketplace.gateway.ranges import is_known, range_asked

TAG = '"abc"'


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=2-4", range(2, 5)),
        ("bytes=7-", range(7, 10)),
        ("bytes=7-99", range(7, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("Bytes= 0-9", range(10)),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),
        ("pages=1-2", None),
        ("bytes=x-", None),
        ("bytes=-", None),
        ("", None),
    ],
)
def test_one_range_of_bytes_is_served(asked: str, expected: range | None) -> None:
    """Of ten bytes; whatever is no range of ours gets all of them."""
    assert range_asked({"range": asked}, 10, TAG) == expected


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_behind_the_end_is_refused_with_the_length(asked: str) -> None:
    """A 416 that says how long the content is, for people and for libraries."""
    with pytest.raises(HttpRefusal) as refused:
        range_asked({"range": asked}, 10, TAG)

    assert (refused.value.status_code, refused.value.headers) == (416, {"Content-Range": "bytes */10"})


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_lies_within_the_content(size: int, first: int, last: int) -> None:
    """Whatever is asked, what is sent is a part of what there is."""
    try:
        found = range_asked({"range": f"bytes={first}-{last}"}, size, TAG)
    except HttpRefusal:
        assert size <= first <= last
        return
    assert (found is None) == (last < first)
    assert found is None or [*found] == [n for n in range(size) if first <= n <= last]


def test_a_range_of_another_content_is_none() -> None:
    """``If-Range`` with another tag, a weak one or a date: all is sent, so that no file is patched together from two."""
    for tag in ('"other"', f"W/{TAG}", "Wed, 01 Jan 2025 00:00:00 GMT"):
        assert range_asked({"range": "bytes=1-", "if-range": tag}, 10, TAG) is None
    assert range_asked({"range": "bytes=1-", "if-range": TAG}, 10, TAG) == range(1, 10)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(TAG, True), (f"W/{TAG}", True), (f'"x", {TAG}', True), ("*", True), ('"x"', False), ("abc", False), ("", False)],
)
def test_what_the_client_has_is_known_by_its_tag(asked: str, expected: bool) -> None:
    """Weak comparison, as the standard wants it for If-None-Match."""
    assert is_known({"if-none-match": asked}, TAG) is expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("*/*", True),
        ("application/*", True),
        ("text/html, application/json;q=0.1", True),
        ("Application/JSON ; charset=utf-8", True),
        ("text/html", False),
        ("application/json;q=0", False),
        ("*/*, application/json; q=0.000", False),
        ("application/*;q=0, application/json", True),
        ("nonsense", False),
    ],
)
def test_the_most_particular_range_of_media_types_decides(accepted: str, expected: bool) -> None:
    """Of an Accept header, for JSON."""
    assert takes(accepted, "application/json") is expected
