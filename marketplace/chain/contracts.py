"""What the compiler knows of a contract, and how its calls, answers and constructors are written in the ABI.

Domain values go in and plain values come out: addresses lower case, bytes as 0x-hex, structs as tuples in the ABI's
field order. ``marketplace/chain/abi`` holds the files, made by ``compiler``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from marketplace.domain.chain_errors import ChainUnavailable

FOLDER = Path(__file__).with_name("abi")
SELECTOR_BYTES = 4


@dataclass(frozen=True)
class Parameter:
    """One input or output: its name, its canonical ABI type, and, for structs, the parts."""

    name: str
    type: str
    parts: tuple[Parameter, ...]
    indexed: bool

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Parameter:
        parts = tuple(cls.of(part) for part in item.get("components", ()))
        kind = str(item["type"])
        if kind.startswith("tuple"):
            kind = "(" + ",".join(part.type for part in parts) + ")" + kind.removeprefix("tuple")
        return cls(str(item["name"]), kind, parts, bool(item.get("indexed", False)))

    @property
    def is_list(self) -> bool:
        return self.type.endswith("[]")


@dataclass(frozen=True)
class Signature:
    """A function, an error or an event of a contract."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Signature:
        inputs = tuple(Parameter.of(part) for part in item.get("inputs", ()))
        outputs = tuple(Parameter.of(part) for part in item.get("outputs", ()))
        return cls(str(item.get("name", "")), inputs, outputs)

    @property
    def hash(self) -> bytes:
        """keccak of the canonical signature: an event's topic; its first four bytes are a selector."""
        return keccak(f"{self.name}({','.join(part.type for part in self.inputs)})".encode())

    @property
    def selector(self) -> bytes:
        return self.hash[:SELECTOR_BYTES]


class ContractAbi:
    """One contract's functions, errors and events by name, and its creation code."""

    def __init__(self, artifact: Mapping[str, Any]) -> None:
        abi: list[Mapping[str, Any]] = artifact["abi"]
        self.document = abi
        """As the compiler wrote it, and as libraries of other languages take it: functions, events, and errors."""
        self.name = str(artifact["contractName"])
        self.compiler = str(artifact["compiler"])
        self.deployed_bytecode = str(artifact["deployedBytecode"])
        self.immutables: Mapping[str, Sequence[tuple[int, int]]] = {
            name: [(start, length) for start, length in places] for name, places in artifact["immutables"].items()
        }
        """Where the deployed code holds what the constructor puts there: offset and length, in bytes."""
        self._bytecode = bytes.fromhex(str(artifact["bytecode"]).removeprefix("0x"))
        self.functions = _named(abi, "function")
        self.errors = _named(abi, "error")
        self.events = _named(abi, "event")
        self._constructor = next((Signature.of(item) for item in abi if item["type"] == "constructor"), None)

    def call(self, function: str, *arguments: Any) -> bytes:
        """The input of a call: selector and arguments."""
        signature = self.functions[function]
        return signature.selector + _encoded(signature.inputs, arguments)

    def answer(self, function: str, output: bytes) -> tuple[Any, ...]:
        """What a call returned, one item per output. Raises ChainUnavailable where it is not what the function returns."""
        try:
            return decoded(self.functions[function].outputs, output)
        except (DecodingError, OverflowError, ValueError) as exc:
            raise ChainUnavailable(f"the node answers {function} with what it does not return") from exc

    def creation(self, *arguments: Any) -> bytes:
        """The input of the transaction that creates the contract."""
        return self._bytecode + self.constructor_arguments(*arguments)

    def constructor_arguments(self, *arguments: Any) -> bytes:
        """The constructor's arguments, encoded as explorers ask for them."""
        return _encoded(self._constructor.inputs if self._constructor else (), arguments)


@lru_cache(maxsize=16)
def contract_abi(name: str) -> ContractAbi:
    """Read a contract's file, by its name in ``compiler.CONTRACTS``."""
    return ContractAbi(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def decoded(parameters: Sequence[Parameter], content: bytes) -> tuple[Any, ...]:
    """Values of these types, in the forms that the rest of the project uses."""
    values = decode([part.type for part in parameters], content)
    return tuple(_plain(value) for value in values)


def _named(abi: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Signature]:
    return {str(item["name"]): Signature.of(item) for item in abi if item["type"] == kind}


def _encoded(parameters: Sequence[Parameter], arguments: Sequence[Any]) -> bytes:
    values = [_abi_value(part, value) for part, value in zip(parameters, arguments, strict=True)]
    return encode([part.type for part in parameters], values)


def _abi_value(parameter: Parameter, value: Any) -> Any:
    """A domain value as eth_abi wants it: bytes instead of hex, tuples instead of dataclasses."""
    if parameter.is_list:
        item = Parameter(parameter.name, parameter.type.removesuffix("[]"), parameter.parts, False)
        return [_abi_value(item, each) for each in value]
    if parameter.parts:
        values = astuple(value) if is_dataclass(value) and not isinstance(value, type) else value
        return tuple(_abi_value(part, each) for part, each in zip(parameter.parts, values, strict=True))
    if parameter.type.startswith("bytes") and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value
