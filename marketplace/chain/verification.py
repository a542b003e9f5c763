"""Whether the code on a chain is the code that is built here, down to the constants that the constructors wrote into it.

The node is asked to run our creation code at the very address, without changing anything (``eth_call`` with that address's
code replaced): what the constructor returns is, byte for byte, what must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from eth_utils.crypto import keccak

from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import LATEST, Chain
from marketplace.chain.blueprint import CATALOGUE, DOLLAR, MARKET, Blueprint, PlannedContract
from marketplace.chain.catalogue import Catalogue
from marketplace.chain.contracts import ContractAbi, contract_abi
from marketplace.chain.create2 import first_child
from marketplace.chain.finance import ARBITER, FACTORY
from marketplace.chain.vaults import VAULT, VaultContract
from marketplace.domain.chain_errors import NodeRefused, TransactionReverted
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.wire import camel

CODE = "code"
_ADDRESS_BITS = 160
_NUMBER_BITS = 96


@dataclass(frozen=True, slots=True)
class Difference:
    """Something on the chain that is not what it should be."""

    contract: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.contract}: {self.what} is {self.found}, expected {self.expected}"


def blueprint_of(book: AddressBook) -> Blueprint:
    """What the book says that the contracts were made from. Raises InvalidField for a book that does not say it."""
    record = book.record
    if record is None:
        raise InvalidField("constants", "the address book does not say them: give --preset or every constant")
    is_ours = any(one.name == DOLLAR for one in record.contracts)
    token = None if is_ours else book.token
    return Blueprint(record.salt, record.constants, record.catalogue_owner, token, record.finance, record.vault_terms)


def differences(chain: Chain, book: AddressBook, blueprint: Blueprint) -> tuple[Difference, ...]:
    """All differences between the contracts that the book names and those that the blueprint makes; none when all is well.

    Raises NodeRefused where the node cannot simulate on replaced code, WrongChain where it serves another chain.
    """
    chain.require_chain_id(book.chain_id)
    return tuple(_all_differences(chain, book, blueprint))


def _all_differences(chain: Chain, book: AddressBook, blueprint: Blueprint) -> Iterator[Difference]:
    named = {
        CATALOGUE: book.catalogue, DOLLAR: book.token, MARKET: book.market,
        FACTORY: book.spv_factory, ARBITER: book.backstop_arbiter,
    } | {part.title: address for part, address in zip(blueprint.vaults, book.vaults, strict=False)}  # fmt: skip
    for part in blueprint.parts:
        address = named.get(part.title) or part.address
        found = tuple(_code_differences(chain, address, part))
        yield from found
        if not found and book.record and address != part.address:
            yield Difference(part.title, "address", part.address, address)
        if part.name == VAULT and not found:
            yield from _term_differences(chain, address, part)
        if part.name == CATALOGUE and not any(one.what == CODE for one in found):
            yield from _class_differences(chain, book.catalogue)
    yield from _hash_differences(chain, book)


def _code_differences(chain: Chain, address: Address, part: PlannedContract) -> Iterator[Difference]:
    found = bytes.fromhex(chain.code_at(address)[2:])
    if not found:
        yield Difference(part.title, CODE, f"a contract at {address}", "nothing")
        return
    expected = _constructed(chain, address, part)
    abi = contract_abi(part.name)
    if _without_immutables(abi, found) != _without_immutables(abi, expected):
        yield Difference(part.title, CODE, _described(expected), _described(found))
        return
    for name, places in abi.immutables.items():
        start, length = places[0]
        values = expected[start : start + length], found[start : start + length]
        if any(expected[at : at + size] != found[at : at + size] for at, size in places):
            yield Difference(part.title, name, *(_readable(value) for value in values))


def _constructed(chain: Chain, address: Address, part: PlannedContract) -> bytes:
    """What the constructor leaves at the address, immutables included. What it creates itself is not there yet, as it was not."""
    message: dict[str, Any] = {"to": address, "data": "0x"}
    replaced = {
        address: {"code": "0x" + part.creation_code.hex(), "state": {}, "nonce": "0x1"},
        first_child(address): {"code": "0x", "nonce": "0x0"},
    }
    try:
        answer = chain.rpc("eth_call", message, LATEST, replaced)
    except (TransactionReverted, NodeRefused) as exc:
        raise NodeRefused(
            "eth_call", 0, f"the node does not simulate on replaced code, which the check needs: {exc}"
        ) from None
    constructed = bytes.fromhex(answer[2:])
    if len(constructed) * 2 + 2 != len(contract_abi(part.name).deployed_bytecode):
        raise NodeRefused("eth_call", 0, "the node does not simulate on replaced code, which the check needs")
    return constructed


def _without_immutables(abi: ContractAbi, code: bytes) -> bytes:
    blanked = bytearray(code)
    for places in abi.immutables.values():
        for start, length in places:
            blanked[start : start + length] = bytes(len(blanked[start : start + length]))
    return bytes(blanked)


def _described(code: bytes) -> str:
    return f"{len(code)} bytes with keccak 0x{keccak(code).hex()}"


def _readable(value: bytes) -> str:
    """A number, an address, or a word."""
    number = int.from_bytes(value, "big")
    if number.bit_length() <= _NUMBER_BITS:
        return str(number)
    return f"0x{number:040x}" if number.bit_length() <= _ADDRESS_BITS else "0x" + value.hex()


def _term_differences(chain: Chain, vault: Address, part: PlannedContract) -> Iterator[Difference]:
    """A vault keeps its terms in another contract, which it creates itself: they are asked for."""
    (expected,), found = part.arguments, VaultContract(chain, vault).terms
    for name, value in asdict(expected).items():
        if (there := getattr(found, name)) != value:
            yield Difference(part.title, camel(name), str(value), str(there))


def _class_differences(chain: Chain, catalogue: Address) -> Iterator[Difference]:
    """The classes that we know must be there under their numbers; what was appended since is no difference."""
    found = Catalogue(chain, catalogue).classes()
    for known, there in zip(load_classes(), (*found, *(None,) * len(load_classes())), strict=False):
        if known != there:
            yield Difference(CATALOGUE, f"class {known.number}", known.name, there.name if there else "nothing")


def _hash_differences(chain: Chain, book: AddressBook) -> Iterator[Difference]:
    """What the book remembers of the code. Code at an address does not change, but a book can be of another chain with the same id."""
    for one in book.record.contracts if book.record else ():
        actual = "0x" + keccak(bytes.fromhex(chain.code_at(one.address)[2:])).hex()
        if actual != one.code_hash:
            yield Difference(one.name, "code hash in the address book", one.code_hash, actual)
