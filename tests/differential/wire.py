"""How the model's values look on the chain: calls as ABI bytes, signatures as 65 bytes or as something else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

from coincurve import PrivateKey
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from marketplace.chain import signing
from marketplace.chain.contracts import contract_abi
from marketplace.chain.signing import SigningDomain
from marketplace.domain import orders, receipts
from marketplace.domain.ids import Address
from tests.differential.shapes import Authorization, Fill, Order, Permit, Receipt, Settlement, Signature, Word

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_PERMIT = keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
_AUTHORIZATION = keccak(
    b"ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same message, to another chain's market: its digest is another."""

    message: Hashable


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction: a verb of the market or of the token, by whom, and the model's values that go with it."""

    verb: str
    by: str
    values: tuple[Any, ...]
    of_token: bool = False


@dataclass(frozen=True)
class Wire:
    """The addresses and keys of one deployment."""

    market: str
    token: str
    token_domain: bytes
    """The token's own EIP-712 domain separator."""
    chain_id: int
    keys: Mapping[str, PrivateKey]

    def order_id(self, order: Order) -> Word:
        return str(signing.order_id(domain_order(order), SigningDomain(self.chain_id, Address(self.market))))

    def sent(self, call: Call) -> tuple[str, str, bytes]:
        """Sender, receiver and content of the transaction."""
        contract, to = ("TestDollar", self.token) if call.of_token else ("ComputeMarket", self.market)
        values = [part for value in call.values for part in self._parts(value)]
        return call.by, to, contract_abi(contract).call(call.verb, *values)

    def _parts(self, value: Any) -> list[Any]:
        """A value of the model as the ABI's arguments; a token's signature travels as v, r and s."""
        if isinstance(value, Signature):
            content = self.signed(value)
            return [content[64], content[:32], content[32:64]]
        if isinstance(value, tuple | list):
            return [[self._plain(item) for item in value]]
        return [self._plain(value)]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Order):
            return astuple(value)
        if isinstance(value, Fill):
            return astuple(value.order), value.offer, value.price, self.signed(value.signature)
        if isinstance(value, Settlement):
            signatures = self.signed(value.client_signature), self.signed(value.provider_signature)
            return astuple(value.order), value.used_seconds, value.result, value.last, *signatures
        return value

    def signed(self, signature: Signature) -> bytes:
        """The bytes of a signature, in the form that it is to have."""
        if signature.form == "empty":
            return b""
        content = self._plainly_signed(signature)
        r, s, v = content[:32], int.from_bytes(content[32:64], "big"), content[64]
        forms = {
            "plain": content,
            "long": content + b"\x00",
            "short": content[:64],
            "odd_v": content[:64] + bytes([v - 27]),
            "high_s": r + (_CURVE_ORDER - s).to_bytes(32, "big") + bytes([27 + 28 - v]),
        }
        return forms[signature.form]

    def _plainly_signed(self, signature: Signature) -> bytes:
        content: bytes = self.keys[signature.signer].sign_recoverable(self.digest(signature.message), hasher=None)
        return content[:64] + bytes([27 + content[64]])

    def digest(self, message: Any) -> bytes:
        """What is signed. An order's message is its id, which is its digest already."""
        chain_id = self.chain_id
        if isinstance(message, Elsewhere):
            chain_id, message = chain_id + 1, message.message
        domain = SigningDomain(chain_id, Address(self.market))
        if isinstance(message, Order):
            return _bytes(signing.order_id(domain_order(message), domain))
        if isinstance(message, Receipt):
            return _bytes(signing.receipt_id(_domain_receipt(message), domain))
        if isinstance(message, Permit | Authorization):
            return self._token_digest(message)
        return _bytes(message)

    def _token_digest(self, message: Permit | Authorization) -> bytes:
        is_permit = isinstance(message, Permit)
        third = ["uint256", "uint256", "uint256"] if is_permit else ["uint256", "uint256", "uint256", "bytes32"]
        values = [_bytes(value) if isinstance(value, str) and len(value) == 66 else value for value in astuple(message)]
        struct = encode(["bytes32", "address", "address", *third], [_PERMIT if is_permit else _AUTHORIZATION, *values])
        return keccak(b"\x19\x01" + self.token_domain + keccak(struct))


@lru_cache(maxsize=4096)
def domain_order(order: Order) -> orders.Order:
    """The same order as the rest of the project writes it."""
    return orders.Order(*astuple(order))


def _domain_receipt(receipt: Receipt) -> receipts.Receipt:
    return receipts.Receipt(*astuple(receipt))


def _bytes(word: str) -> bytes:
    return bytes.fromhex(word[2:])
