"""The strict reader: every failure is one typed error that names the field and the rule."""

from __future__ import annotations

import zlib

import pytest

from marketplace.api.client.decompression import PIECE_BYTES, gathered, unpacked
from marketplace.api.events import MOST_EVENT_BYTES, ServerEvent, server_events
from marketplace.api.leases import JobKeyDocument, LogLength
from marketplace.api.orders import ExplanationTold
from marketplace.api.problems import ProblemTold
from marketplace.api.reading import MOST_BYTES, MOST_LEVELS, asked_in, read
from marketplace.api.receipts import ReceiptDocument
from marketplace.domain.errors import GatewayUnavailable, UnreadableAnswer

LEASE = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b'{"length":-1}', "length", ">= 0"),
        (b'{"length":9007199254740992}', "length", "<= 9007199254740991"),
        (b'{"length":"1"}', "length", "got `str`"),
        (b'{"length":1.0}', "length", "got `float`"),
        (b'{"length":true}', "length", "got `bool`"),
        (b'{"length":null}', "length", "got `null`"),
        (b"{}", "length", "is missing"),
        (b"[]", "body", "got `array`"),
        (b'{"length":NaN}', "body", "must be JSON"),
        (b'{"length":1} and more', "body", "must be JSON"),
        (b'{"length":1,"more":"\xff"}', "body", "must be JSON"),
        (b"", "body", "must be JSON"),
        (b'"' + b"\\" * 9, "body", "must be JSON"),
    ],
)
def test_a_lie_about_a_field_names_field_and_rule(body: bytes, field: str, rule: str) -> None:
    """A value out of its type or bounds is no value."""
    with pytest.raises(UnreadableAnswer) as refused:
        read(LogLength, body)

    assert refused.value.field == field
    assert rule in refused.value.rule
    assert isinstance(refused.value, GatewayUnavailable)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"length":1,"more":' * 20_000,
        b'{"length":1,"more":' + b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1) + b"}",
        b'"' * 100_001,
        b'\\"' * 100_000,
    ],
    ids=["open lists", "open objects", "one level too many", "quotes", "escaped quotes"],
)
def test_nesting_is_bounded_before_anything_is_parsed(body: bytes) -> None:
    """Brackets without end are one typed error, never a RecursionError, and cost no time."""
    with pytest.raises(UnreadableAnswer):
        read(LogLength, body)


def test_brackets_in_strings_are_no_nesting() -> None:
    """What a text says is not structure."""
    assert read(LogLength, b'{"length":7,"more":"' + b'[{\\"' * 1000 + b'"}').length == 7


def test_a_body_that_is_too_long_is_not_parsed() -> None:
    """Its size is looked at first."""
    with pytest.raises(UnreadableAnswer, match=f"at most {MOST_BYTES} bytes"):
        read(LogLength, b'{"length":1}'.ljust(MOST_BYTES + 1))


def test_what_was_signed_has_exactly_its_fields() -> None:
    """An unknown member of a receipt is refused by name, and a number that does not fit its field of the ABI."""
    receipt = '{"lease":"%s","offer":"%s","openedAt":"7","usedSeconds":"9","result":"%s","last":true%s}'

    assert read(ReceiptDocument, (receipt % (LEASE, 1, LEASE, "")).encode()).receipt.used_seconds == 9
    with pytest.raises(UnreadableAnswer, match="extra: is not a known field"):
        read(ReceiptDocument, (receipt % (LEASE, 1, LEASE, ',"extra":1')).encode())
    for wrong in (1 << 40, "01", "-1", "+1", "1e3", "٣", ""):
        with pytest.raises(UnreadableAnswer, match="offer: must be"):
            read(ReceiptDocument, (receipt % (LEASE, wrong, LEASE, "")).encode())


def test_fields_below_others_are_named_with_their_path() -> None:
    """So that who runs the gateway finds them."""
    body = f'{{"order":"{LEASE}","placedOn":1,"reasons":{{}},"nearestMiss":"","block":{{"number":-1}}}}'

    with pytest.raises(UnreadableAnswer) as refused:
        read(ExplanationTold, body.encode())

    assert refused.value.field == "block.number"


def test_a_problem_may_leave_everything_out() -> None:
    """A proxy's own error page has none of our members."""
    assert read(ProblemTold, b'{"message":"bad gateway"}').reason == ""


def test_gzip_comes_out_in_small_pieces() -> None:
    """A bomb is stopped at the bound, having held a piece of it in memory."""
    bomb = zlib.compress(b"\0" * (64 << 20), 9, 31)
    pieces = unpacked([bomb], "gzip")

    assert len(next(pieces)) <= PIECE_BYTES
    with pytest.raises(UnreadableAnswer, match="at most 1000 bytes"):
        gathered(unpacked([bomb], "gzip"), 1000)


@pytest.mark.parametrize("cut", [1, 2, 7, 10_000])
def test_gzip_is_undone_however_it_is_cut(cut: int) -> None:
    """What was packed comes back whole."""
    content = bytes(range(256)) * 2000
    packed = zlib.compress(content, 1, 31)
    pieces = [packed[at : at + cut] for at in range(0, len(packed), cut)]

    assert gathered(unpacked(pieces, "gzip"), len(content)) == content
    with pytest.raises(UnreadableAnswer, match="no end"):
        gathered(unpacked(pieces[:-1], "gzip"), len(content))


@pytest.mark.parametrize(("body", "encoding"), [(b"plain", "gzip"), (b"plain", "br"), (b"plain", "gzip, gzip")])
def test_only_what_we_can_bound_is_unpacked(body: bytes, encoding: str) -> None:
    """Other encodings, several at once, and what is not what it says are refused."""
    with pytest.raises(UnreadableAnswer):
        gathered(unpacked([body], encoding), 100)


def test_events_are_read_however_they_are_cut() -> None:
    """Comments and what nobody names are skipped, what is unfinished is nothing."""
    stream = b': ping\n\nevent: log\ndata: {"a":1}\nid: 7\n\ndata:x\r\ndata: y\r\n\r\nevent: end\ndata: cut off'
    expected = [ServerEvent("log", b'{"a":1}'), ServerEvent("message", b"x\ny")]

    for cut in (1, 3, 1000):
        assert list(server_events(stream[at : at + cut] for at in range(0, len(stream), cut))) == expected


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 60_000, b"data:\n" * 10_000], ids=["one line", "many lines"])
def test_an_event_without_end_is_stopped(piece: bytes) -> None:
    """At its bound, whether it is one line or many."""
    with pytest.raises(UnreadableAnswer, match=f"at most {MOST_EVENT_BYTES} bytes"):
        list(server_events(iter(lambda: piece, b"")))


def test_what_is_asked_may_have_hex_in_any_case() -> None:
    """As OpenAPI says of requests: `0X` and capitals are taken, and read as everybody else writes them; other words are left alone."""
    read = asked_in(JobKeyDocument, {"lease": "0X" + "AB" * 32, "key": "Some Words"})

    assert (read.lease, read.key) == ("0x" + "ab" * 32, "Some Words")
