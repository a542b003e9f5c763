"""The short way of a new order, held against the long one."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from marketplace.domain.orders import Order
from marketplace.domain.wire import ORDER_FIELDS, order_from_wire, order_to_wire, signature_from_wire
from marketplace.gateway.bodies import _read_object, only_fields
from marketplace.gateway.taking import _submission_in
from tests.unit.store.rows import signed

SIGNATURE = "0x" + "Ab" * 65
GOOD = json.dumps({"order": order_to_wire(signed(1).order), "signature": SIGNATURE}).encode()
WORDS = """ " \\ \\u0022 \\u0063 \\n \\/ \\ud800 \xe9 \u212a \u0663 \ufeff \0 , : { } {} [] null true 1e3 0 - + A X _ /**/
    "order": "client": "gpus":"1", "signature":"0x", """
JUNK = st.sampled_from(
    [*(piece.encode() for piece in WORDS.split()), b" ", b"\t", b"\n", b"\x0b", b"\xff", b"\xed\xa0\x80"]
)
PLACES = st.integers(0, len(GOOD))
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "over", "cut"]), PLACES, JUNK), min_size=1, max_size=4)


def _request() -> Request:
    headers = [(b"content-type", b"application/json")]
    return Request(
        {
            "type": "http", "method": "POST", "path": "/v1/orders", "raw_path": b"/v1/orders", "query_string": b"",
            "headers": headers,
        }
    )  # fmt: skip


def _the_long_way(body: bytes) -> tuple[Order, str]:
    document = _read_object(_request(), body)
    only_fields(document, required=("order", "signature"))
    return order_from_wire(document["order"]), signature_from_wire(document["signature"])


@settings(max_examples=1_000, deadline=None)
@given(CHANGES)
def test_what_the_short_way_takes_the_long_way_reads_the_same(changes: list[tuple[str, int, bytes]]) -> None:
    """Whatever is put, written over or cut out of a good body: nothing gets in by being read quickly."""
    body = GOOD
    for how, at, junk in changes:
        end = {"put": at, "over": at + len(junk), "cut": at + 1}[how]
        body = body[:at] + (b"" if how == "cut" else junk) + body[end:]
    taken = _submission_in(_request(), body)

    assert taken is None or (taken.order, taken.signature) == _the_long_way(body)


def test_no_field_is_taken_twice() -> None:
    """Also where all that it says is said in the same number of signs, for another is missing, or a name is written as escapes."""
    order = order_to_wire(signed(1).order)
    for name in ORDER_FIELDS:
        spelt = "".join(f"\\u{ord(letter):04x}" for letter in name)
        escaped = GOOD.replace(f'"{name}"'.encode(), f'"{spelt}"'.encode())
        assert _submission_in(_request(), escaped)
        for more in (name, spelt):
            twice = escaped.replace(b'"order": {', f'"order": {{"{more}": "{order[name]}", '.encode())
            assert _submission_in(_request(), twice) is None
            for other in ORDER_FIELDS.keys() - {name}:
                without = twice.replace(f'"{other}": "{order[other]}", '.encode(), b"")
                assert _submission_in(_request(), without) is None
