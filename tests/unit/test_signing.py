"""Ids and signatures of orders and receipts, held against eth-account's general EIP-712 encoder."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.signing import Key, SigningDomain, order_id, receipt_id, recover, recover_text
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import Seconds, UnixTime

DOMAIN = SigningDomain(31337, Address("0x" + "5f" * 20))
KEY = Key(b"\x07" * 32)
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def typed(fields: str) -> list[dict[str, str]]:
    """The fields of an EIP-712 type, as libraries want them."""
    return [{"name": field.split()[1], "type": field.split()[0]} for field in fields.split(",")]


ORDER_TYPE = typed(
    "address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,"
    "uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,"
    "bytes32 spec,uint256 salt"
)
RECEIPT_TYPE = typed("bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last")


def hexes(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda content: "0x" + content.hex())


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


ORDERS = st.builds(
    Order,
    client=hexes(20),
    classes=unsigned(256),
    offer=unsigned(40),
    gpus=unsigned(16),
    max_seconds=unsigned(32),
    min_seconds=unsigned(32),
    max_price=unsigned(80),
    min_bond_bps=unsigned(16),
    starts_at=unsigned(40),
    expires_at=unsigned(40),
    tip=unsigned(96),
    opener=hexes(20),
    acceptor=hexes(20),
    arbiter=hexes(20),
    spec=hexes(32),
    salt=unsigned(256),
)
RECEIPTS = st.builds(
    Receipt,
    lease=hexes(32),
    offer=unsigned(40),
    opened_at=unsigned(40),
    used_seconds=unsigned(32),
    result=hexes(32),
    last=st.booleans(),
)
RECEIPT = Receipt(Bytes32("0x" + "01" * 32), OfferId(3), UnixTime(9), Seconds(60), Bytes32("0x" + "02" * 32), True)


def reference_digest(kind: str, fields: list[dict[str, str]], values: list[Any], domain: SigningDomain) -> str:
    message = {field["name"]: value for field, value in zip(fields, values, strict=True)}
    signable = encode_typed_data(
        domain_data={
            "name": "ComputeMarket",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": checksum(domain.market),
        },
        message_types={kind: fields},
        message_data=message,
    )
    return "0x" + keccak(b"\x19" + signable.version + signable.header + signable.body).hex()


def reference_value(value: Any) -> Any:
    return bytes.fromhex(value[2:]) if isinstance(value, str) and len(value) == 66 else value


@given(order=ORDERS)
@settings(max_examples=60, deadline=None)
def test_an_order_id_is_what_any_eip712_library_computes(order: Order) -> None:
    """Independent clients need nothing of ours to know an order's id."""
    values = [reference_value(getattr(order, name)) for name in Order.__slots__]

    assert order_id(order, DOMAIN) == reference_digest("Order", ORDER_TYPE, values, DOMAIN)


@given(receipt=RECEIPTS)
@settings(max_examples=60, deadline=None)
def test_a_receipt_id_is_what_any_eip712_library_computes(receipt: Receipt) -> None:
    """Independent clients need nothing of ours to sign a receipt."""
    values = [reference_value(getattr(receipt, name)) for name in Receipt.__slots__]

    assert receipt_id(receipt, DOMAIN) == reference_digest("Receipt", RECEIPT_TYPE, values, DOMAIN)


@given(order=ORDERS)
@settings(max_examples=30, deadline=None)
def test_a_signed_order_names_its_signer(order: Order) -> None:
    """Who signed is recovered from the id and the signature alone."""
    signed = KEY.sign_order(order, DOMAIN)

    assert recover(signed.id, signed.signature) == KEY.address
    assert signed.order == order


def test_a_signature_is_bound_to_chain_market_and_content() -> None:
    """The same receipt has another id on another chain, on another market, and with another last bit."""
    others = {
        receipt_id(RECEIPT, DOMAIN),
        receipt_id(RECEIPT, SigningDomain(1, DOMAIN.market)),
        receipt_id(RECEIPT, SigningDomain(DOMAIN.chain_id, Address("0x" + "60" * 20))),
        receipt_id(replace(RECEIPT, last=False), DOMAIN),
    }

    assert len(others) == 4


def test_signatures_are_65_bytes_with_a_low_s_and_v_27_or_28() -> None:
    """The contract accepts no other form (P-25)."""
    for used in range(20):
        receipt = Receipt(RECEIPT.lease, OfferId(1), UnixTime(1), Seconds(used), RECEIPT.result, False)
        content = bytes.fromhex(KEY.sign_receipt(receipt, DOMAIN)[2:])

        assert len(content) == 65
        assert content[64] in (27, 28)
        assert int.from_bytes(content[32:64], "big") <= CURVE_ORDER // 2


def test_other_forms_of_a_good_signature_name_nobody() -> None:
    """High s, v of 0 or 1, a byte too many or too few, zeros and rubbish are refused, as in the contract (P-25)."""
    digest = receipt_id(RECEIPT, DOMAIN)
    good = bytes.fromhex(KEY.sign_receipt(RECEIPT, DOMAIN)[2:])
    high_s = (CURVE_ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    bad = [
        good[:32] + high_s + bytes([55 - good[64]]),
        good[:64] + bytes([good[64] - 27]),
        good + b"\0",
        good[:64],
        bytes(65),
        bytes(64) + b"\x1b",
        b"\xff" * 32 + good[32:],
        b"",
    ]

    assert recover(digest, "0x" + good.hex()) == KEY.address
    assert [recover(digest, "0x" + content.hex()) for content in bad] == [None] * len(bad)
    assert recover(digest, "0xnothex") is None


def test_texts_are_signed_as_personal_messages() -> None:
    """Wallets sign and verify the same text (EIP-191), whatever letters are in it."""
    text = "Bourse\n\nGPU-Stunden für 3 €"
    signature = KEY.sign_text(text)

    assert recover_text(text, signature) == KEY.address
    assert Account.recover_message(encode_defunct(text=text), signature=signature).lower() == KEY.address
    assert recover_text(text + ".", signature) != KEY.address


def test_a_key_never_shows_itself() -> None:
    """Neither repr nor str nor pickle gives the secret away."""
    assert repr(KEY) == str(KEY) == f"Key({KEY.address})"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_checksums_are_eip55() -> None:
    """The address of the standard's own example keeps its capitals."""
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

    assert checksum(Address(address.lower())) == address
    assert address_from_text(address) == address.lower()


@given(st.binary(min_size=20, max_size=20), st.data())
def test_a_checksum_that_does_not_fit_is_found(account: bytes, draw: st.DataObject) -> None:
    """All lower and all upper case carry none; in mixed case every letter's case counts, and the field is named (EIP-55)."""
    plain = Address("0x" + account.hex())
    written = checksum(plain)
    letters = [at for at, letter in enumerate(written) if at > 1 and letter.isalpha()]

    assert (
        address_from_text(written) == address_from_text("0x" + plain[2:].upper()) == address_from_text(plain) == plain
    )
    at = draw.draw(st.sampled_from(letters or [0]))
    slipped = written[:at] + written[at].swapcase() + written[at + 1 :]
    if at and slipped[2:] not in (plain[2:], plain[2:].upper()):
        with pytest.raises(InvalidField) as caught:
            address_from_text(slipped, field="delegate")
        assert caught.value.field == "delegate"


@pytest.mark.parametrize(
    "text", ["", "0x", "nobody", "0x" + "g" * 40, "0x" + "1" * 39, "0x" + "1" * 41, "0x" + "١" * 40, " 0x" + "1" * 40]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """0x and 40 hex digits, and nothing around them."""
    with pytest.raises(InvalidField):
        address_from_text(text)
