"""Keys, EIP-712 digests of orders and receipts, and who signed them.

Digests are made by hand, because they are on every hot path and the types never change; tests hold them against the
contract's own ``orderId`` and ``receiptId`` and against eth-account's general encoder. A signature here is 65 bytes,
r ‖ s ‖ v with v 27 or 28 and a low s, written as 0x-hex, and nothing else (P-25).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from coincurve import PrivateKey, PublicKey
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import TokenUnits, UnixTime

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_ORDER_TYPE = (
    b"Order(address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,"
    b"uint80 maxPrice,uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,"
    b"address arbiter,bytes32 spec,uint256 salt)"
)
_RECEIPT_TYPE = b"Receipt(bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last)"

_DOMAIN_HEAD = keccak(_DOMAIN_TYPE) + keccak(b"ComputeMarket") + keccak(b"1")
_ORDER_HEAD = keccak(_ORDER_TYPE)
_RECEIPT_HEAD = keccak(_RECEIPT_TYPE)
_order_values = attrgetter(*(item.name for item in fields(Order)))
_receipt_values = attrgetter(*(item.name for item in fields(Receipt)))

_PERMIT_HEAD = keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
_AUTHORIZATION_HEAD = keccak(
    b"ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES = 65


@dataclass(frozen=True, slots=True)
class SigningDomain:
    """What a signature is bound to: one market on one chain (EIP-712 domain ``ComputeMarket``, version ``1``)."""

    chain_id: int
    market: Address


@dataclass(frozen=True, slots=True)
class TokenDomain:
    """What a token's permits and authorizations are bound to: its own EIP-712 domain."""

    name: str
    version: str
    chain_id: int
    token: Address

    @property
    def separator(self) -> bytes:
        """The token's DOMAIN_SEPARATOR."""
        names = keccak(self.name.encode()) + keccak(self.version.encode())
        return keccak(keccak(_DOMAIN_TYPE) + names + _word(self.chain_id) + _word(self.token))


@dataclass(frozen=True, slots=True)
class Permit:
    """An allowance, signed (EIP-2612)."""

    owner: Address
    spender: Address
    amount: TokenUnits
    nonce: int
    """The owner's next at the token; each is good once."""
    deadline: UnixTime
    """The last second in which it is good."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """A transfer that only its receiver can carry out, signed (EIP-3009 ``ReceiveWithAuthorization``)."""

    owner: Address
    to: Address
    amount: TokenUnits
    valid_after: UnixTime
    valid_before: UnixTime
    nonce: Bytes32
    """Any; each is good once. Random ones need no order among them."""


def order_id(order: Order, domain: SigningDomain) -> Bytes32:
    """The order's EIP-712 digest, which is its id and the id of its lease."""
    return Bytes32("0x" + _digest(_ORDER_HEAD, _order_values(order), domain).hex())


def receipt_id(receipt: Receipt, domain: SigningDomain) -> Bytes32:
    """The receipt's EIP-712 digest, which both sides sign."""
    return Bytes32("0x" + _digest(_RECEIPT_HEAD, _receipt_values(receipt), domain).hex())


@lru_cache(maxsize=1_024)
def recover(digest: Bytes32, signature: str) -> Address | None:
    """Who signed ``digest``, decided as the contract does: None unless 65 bytes with a low s name somebody. Worked out once, for whoever asks next, too."""
    return _signer_of(bytes.fromhex(digest[2:]), signature)


def recover_text(text: str, signature: str) -> Address | None:
    """Who signed ``text`` as a personal message (EIP-191); None as in ``recover``."""
    return _signer_of(_text_digest(text), signature)


def message_text(title: str, *lines: str, domain: SigningDomain) -> str:
    """A message that people can read, for one market: what it is, an empty line, its lines, chain and market. No newline at its end."""
    return "\n".join(
        (f"Compute Bourse {title}", "", *lines, f"Chain id: {domain.chain_id}", f"Market: {domain.market}")
    )


def text_id(text: str) -> Bytes32:
    """The digest of ``text`` as a personal message (EIP-191): what a contract is asked about (EIP-1271)."""
    return Bytes32("0x" + _text_digest(text).hex())


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction ready to broadcast: its bytes, and the hash by which the chain will know it."""

    tx_hash: Bytes32
    raw: str
    """0x-hex of the signed, typed envelope."""
    nonce: int


@dataclass(frozen=True, slots=True)
class TransactionFields:
    """What a signed transaction says."""

    nonce: int
    to: Address | None
    input: str
    """0x-hex."""
    gas: int
    most_fee_wei: int
    """Per gas, in all."""
    tip_wei: int


def read_transaction(raw: str) -> TransactionFields:
    """The fields of an EIP-1559 transaction that we signed, given as 0x-hex."""
    said = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    to = bytes(said["to"])
    return TransactionFields(
        nonce=int(said["nonce"]),
        to=Address("0x" + to.hex()) if to else None,
        input="0x" + bytes(said["data"]).hex(),
        gas=int(said["gas"]),
        most_fee_wei=int(said["maxFeePerGas"]),
        tip_wei=int(said["maxPriorityFeePerGas"]),
    )


class Key:
    """A private key that signs and never shows itself: ``repr`` is the address."""

    __slots__ = ("_account", "_secret", "address")

    def __init__(self, private_key: bytes | str) -> None:
        account: LocalAccount = Account.from_key(private_key)
        self._account = account
        self._secret = PrivateKey(bytes(account.key))
        self.address = Address(str(account.address).lower())

    def __repr__(self) -> str:
        return f"Key({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a key does not leave its process")

    def sign_order(self, order: Order, domain: SigningDomain) -> SignedOrder:
        """The order, binding. Whether the key is the client's is not looked at: a delegate may sign too."""
        identifier = order_id(order, domain)
        return SignedOrder(identifier, order, self._sign(bytes.fromhex(identifier[2:])))

    def sign_receipt(self, receipt: Receipt, domain: SigningDomain) -> str:
        return self._sign(_digest(_RECEIPT_HEAD, _receipt_values(receipt), domain))

    def sign_permit(self, permit: Permit, domain: TokenDomain) -> str:
        """Let the spender take the amount once (EIP-2612)."""
        return self._sign(_typed_digest(_PERMIT_HEAD, astuple(permit), domain.separator))

    def sign_authorization(self, authorization: Authorization, domain: TokenDomain) -> str:
        """Let the receiver take the amount itself, once (EIP-3009)."""
        return self._sign(_typed_digest(_AUTHORIZATION_HEAD, astuple(authorization), domain.separator))

    def sign_text(self, text: str) -> str:
        """Sign a message that people can read (EIP-191 ``personal_sign``)."""
        return self._sign(_text_digest(text))

    def sign_transaction(self, transaction: dict[str, Any]) -> SignedTransaction:
        """Sign an EIP-1559 transaction, given in eth-account's field names."""
        signed = self._account.sign_transaction(transaction)
        return SignedTransaction(
            Bytes32("0x" + bytes(signed.hash).hex()), "0x" + bytes(signed.raw_transaction).hex(), transaction["nonce"]
        )

    def _sign(self, digest: bytes) -> str:
        content = self._secret.sign_recoverable(digest, hasher=None)
        return "0x" + content[:64].hex() + f"{27 + content[64]:02x}"


@lru_cache(maxsize=64)
def _separator(domain: SigningDomain) -> bytes:
    return keccak(_DOMAIN_HEAD + _word(domain.chain_id) + _word(domain.market))


def _digest(head: bytes, values: tuple[int | str, ...], domain: SigningDomain) -> bytes:
    return _typed_digest(head, values, _separator(domain))


def _typed_digest(head: bytes, values: tuple[int | str, ...], separator: bytes) -> bytes:
    return keccak(b"\x19\x01" + separator + keccak(head + b"".join(map(_word, values))))


def _word(value: int | str) -> bytes:
    """One field as 32 bytes. Addresses and words of 32 bytes are hex strings here, and both are padded on the left."""
    if isinstance(value, str):
        return bytes.fromhex(value[2:]).rjust(32, b"\0")
    return value.to_bytes(32, "big")


def _text_digest(text: str) -> bytes:
    content = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(content)).encode() + content)


def _signer_of(digest: bytes, signature: str) -> Address | None:
    try:
        content = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return None
    if len(content) != SIGNATURE_BYTES or content[64] not in (27, 28):
        return None
    if int.from_bytes(content[32:64], "big") > _CURVE_ORDER // 2:
        return None
    try:
        signer = PublicKey.from_signature_and_message(content[:64] + bytes([content[64] - 27]), digest, hasher=None)
    except ValueError:
        return None
    return Address("0x" + keccak(signer.format(compressed=False)[1:])[-20:].hex())
