"""What OpenAPI says of numbers, of signatures and of records, before any gateway runs."""

from __future__ import annotations

import re

import pytest

from marketplace.api.fields import Uint80, decimal_pattern
from marketplace.api.offers import OfferTold
from marketplace.api.sessions import MOST_MESSAGE
from marketplace.chain.request_signing import verify_request
from marketplace.chain.sign_in import MOST_TEXT
from marketplace.domain.ids import Sha256
from marketplace.domain.units import UnixTime
from marketplace.gateway import signing_told
from marketplace.gateway.openapi import REF, _components, _of_answer, _of_request


@pytest.mark.parametrize("most", [9, 10, 255, 65_535, (1 << 40) - 1, (1 << 128) - 1])
def test_a_pattern_is_as_wide_as_the_contract(most: int) -> None:
    """Every integer up to the most fits, the next one does not, nor does one with a leading zero."""
    pattern = re.compile(decimal_pattern(most))

    assert all(pattern.fullmatch(str(number)) for number in (0, 1, 9, most // 10, most // 2, most - 1, most))
    assert not any(pattern.fullmatch(text) for text in (str(most + 1), str(most * 10), "01", "-1", "", "1 "))


def test_a_pattern_of_256_bits_takes_all_of_them_and_is_no_longer_than_one_of_128() -> None:
    """Generators of values drop an exact one of that length; what is longer, or begins with more, does not fit either."""
    pattern, most = decimal_pattern((1 << 256) - 1), (1 << 256) - 1

    assert all(re.fullmatch(pattern, str(number)) for number in (0, 1, 10**76, 10**77, most // 2, most - 1, most))
    begins_with_more = (int(str(most)[:20]) + 1) * 10**58
    assert not any(
        re.fullmatch(pattern, str(number)) for number in (most * 10, begins_with_more, 9 * 10**77, "01", "-1")
    )
    assert len(pattern) < len(decimal_pattern((1 << 128) - 1))


def test_a_challenge_may_be_as_long_in_openapi_as_at_the_gateway() -> None:
    """A message of the longest length fits both."""
    assert MOST_MESSAGE == MOST_TEXT


def test_the_test_vectors_are_what_a_gateway_takes() -> None:
    """Headers and text of every vector; and no line's end behind the last line of what is signed."""
    vectors = signing_told.schemes()["bourseSignature"]["x-test-vectors"]
    for vector in vectors:
        domain, at = signing_told._VECTOR_DOMAIN, UnixTime(int(vector["headers"]["Bourse-Time"]))
        sender = verify_request(
            vector["headers"], vector["method"], vector["path"], Sha256(vector["bodySha256"]), at, domain
        )

        assert sender == vector["headers"]["Bourse-Account"]
        assert vector["text"].endswith(f"Market: {domain.market}")
    assert len(vectors) >= 2


def test_a_hashed_document_may_lack_what_its_writer_left_out() -> None:
    """A machine without a recipient, or a way out, is written without one, in the bytes that its hash is over."""
    machine = _components(["OfferTold"], _of_answer)["MachineDocument"]

    assert set(machine["properties"]) - set(machine["required"]) == {"egress_mib", "recipient"}


def test_an_answer_says_all_of_its_members_and_maybe_more() -> None:
    """Nothing that is always written is optional, and a newer gateway may say more; a request has exactly its fields."""
    told = _components(["OfferTold"], _of_answer)
    asked = _components(["DraftQuoteRequest"], _of_request)

    assert set(told["OfferTold"]["required"]) == set(told["OfferTold"]["properties"])
    assert len(told["OfferTold"]["properties"]) == len(OfferTold.__struct_fields__)
    assert not any("additionalProperties" in schema for schema in told.values() if "properties" in schema)
    assert told["OfferTold"]["properties"]["price"] == {"$ref": REF + Uint80.__name__}
    assert asked["DraftQuoteRequest"]["required"] == ["gpu", "maxSeconds"]
    assert asked["DraftQuoteRequest"]["additionalProperties"] is False


def test_a_hashed_document_in_a_request_has_exactly_its_fields_and_no_nul() -> None:
    """It is read as strictly as what is asked for by itself: what OpenAPI let pass would be refused."""
    asked, told = _components(["ReceiptSubmission"], _of_request), _components(["ReceiptSubmission"], _of_answer)

    assert asked["OutputDocument"]["additionalProperties"] is False
    assert not re.fullmatch(asked["OutputDocument"]["properties"]["path"]["pattern"], "a\0b")
    assert "additionalProperties" not in told["OutputDocument"]
