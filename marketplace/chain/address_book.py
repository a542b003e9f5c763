"""Where a market lives, as a file: its addresses, and everything from which they follow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.chain.checksums import address_from_text
from marketplace.chain.constants import WINDOWS, MarketConstants
from marketplace.chain.create2 import PROXY
from marketplace.chain.finance import FinanceTerms, finance_from_json, finance_to_json
from marketplace.chain.vaults import terms_from_json, terms_to_json
from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.domain.ids import Address, Bytes32, bytes32
from marketplace.domain.units import Seconds, TokenUnits
from marketplace.domain.vaults import VaultTerms
from marketplace.domain.wire import camel, integer_from_wire

MOST_VAULTS = 64
"""In one book: gateways read each of them."""


@dataclass(frozen=True, slots=True)
class ContractRecord:
    """One contract as it was found on the chain after its creation."""

    name: str
    address: Address
    constructor_arguments: str
    """0x-hex of the ABI encoding: what explorers ask for."""
    code_hash: Bytes32
    """keccak of the code on the chain, immutables included (``EXTCODEHASH``)."""


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """What the contracts were made from: enough to compute their addresses and their code again."""

    salt: Bytes32
    constants: MarketConstants
    catalogue_owner: Address
    compiler: str
    contracts: tuple[ContractRecord, ...]
    finance: FinanceTerms | None = None
    """None where the market was deployed without."""
    vault_terms: tuple[VaultTerms, ...] = ()
    """Of the first of the book's vaults, in their order: those that were deployed with the market."""


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The addresses of one market on one chain, and the block in which its events begin."""

    chain_id: int
    market: Address
    token: Address
    catalogue: Address
    deployed_at_block: int
    record: DeploymentRecord | None = None
    """None in a book that somebody wrote by hand: clients need the addresses only."""
    opener: Address | None = None
    """The scheduler that whoever wrote the book trusts to open orders; None: it names none."""
    arbiter: Address | None = None
    """The arbiter that it trusts to rule; None: it names none."""
    spv_factory: Address | None = None
    """The factory of companies; None: the market was deployed without finance."""
    backstop_arbiter: Address | None = None
    """The arbiter whose silence pays what was guaranteed."""
    vaults: tuple[Address, ...] = ()
    """Those that whoever wrote the book shows to others. There may be more: anyone makes them."""

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        document = {
            "chainId": self.chain_id,
            "market": self.market,
            "token": self.token,
            "catalogue": self.catalogue,
            "deployedAtBlock": self.deployed_at_block,
            **{name: address for name, address in self._optional().items() if address},
            **({"vaults": list(self.vaults)} if self.vaults else {}),
        } | (_record_to_json(self.record) if self.record else {})
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".new")
        unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def _optional(self) -> dict[str, Address | None]:
        return {
            "opener": self.opener, "arbiter": self.arbiter,
            "spvFactory": self.spv_factory, "backstopArbiter": self.backstop_arbiter,
        }  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> AddressBook:
        """Read what ``write`` wrote. Raises ConfigError, naming the file and what is wrong with it."""
        try:
            return cls._of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, InvalidField) as exc:
            raise ConfigError([f"the address book {path} cannot be read: {exc!r}"]) from None

    @classmethod
    def _of(cls, document: Any) -> AddressBook:
        return cls(
            chain_id=_whole(document["chainId"], "chainId"),
            market=address_from_text(document["market"], field="market"),
            token=address_from_text(document["token"], field="token"),
            catalogue=address_from_text(document["catalogue"], field="catalogue"),
            deployed_at_block=_whole(document["deployedAtBlock"], "deployedAtBlock"),
            record=_record_from_json(document) if "salt" in document else None,
            opener=_role(document, "opener"),
            arbiter=_role(document, "arbiter"),
            spv_factory=_role(document, "spvFactory"),
            backstop_arbiter=_role(document, "backstopArbiter"),
            vaults=_vaults(document.get("vaults", [])),
        )


def constants_to_json(constants: MarketConstants) -> dict[str, Any]:
    """Seconds as numbers, money as a decimal string."""
    windows = {camel(name): seconds for name, seconds in constants.windows.items()}
    return windows | {"bondFloor": str(constants.bond_floor)}


def _record_to_json(record: DeploymentRecord) -> dict[str, Any]:
    return {
        "salt": record.salt,
        "deploymentProxy": PROXY,
        "compiler": record.compiler,
        "constants": constants_to_json(record.constants),
        "catalogueOwner": record.catalogue_owner,
        **({"finance": finance_to_json(record.finance)} if record.finance else {}),
        **({"vaultTerms": [terms_to_json(terms) for terms in record.vault_terms]} if record.vault_terms else {}),
        "contracts": {
            one.name: {
                "address": one.address,
                "constructorArguments": one.constructor_arguments,
                "codeHash": one.code_hash,
            }
            for one in record.contracts
        },
    }


def _record_from_json(document: Any) -> DeploymentRecord:
    constants = document["constants"]
    windows = {name: Seconds(_whole(constants[camel(name)], camel(name))) for name in WINDOWS}
    return DeploymentRecord(
        salt=bytes32(document["salt"], field="salt"),
        constants=MarketConstants(
            **windows, bond_floor=TokenUnits(integer_from_wire(constants["bondFloor"], "bondFloor"))
        ),
        catalogue_owner=address_from_text(document["catalogueOwner"], field="catalogueOwner"),
        compiler=str(document["compiler"]),
        contracts=tuple(
            ContractRecord(
                name,
                address_from_text(row["address"], field=f"contracts.{name}.address"),
                str(row["constructorArguments"]),
                bytes32(row["codeHash"], field=f"contracts.{name}.codeHash"),
            )
            for name, row in document["contracts"].items()
        ),
        finance=finance_from_json(document["finance"]) if "finance" in document else None,
        vault_terms=tuple(terms_from_json(terms) for terms in document.get("vaultTerms", [])),
    )


def _role(document: Any, name: str) -> Address | None:
    return address_from_text(document[name], field=name) if name in document else None


def _vaults(found: Any) -> tuple[Address, ...]:
    """Raises InvalidField."""
    if not isinstance(found, list) or len(found) > MOST_VAULTS:
        raise InvalidField("vaults", f"must be a list of at most {MOST_VAULTS} addresses")
    return tuple(dict.fromkeys(address_from_text(str(one), field="vaults") for one in found))


def _whole(value: Any, field: str) -> int:
    """A number of the book, as JSON's own or as a decimal string. Raises InvalidField."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return integer_from_wire(value, field)
