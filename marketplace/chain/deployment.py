"""Where a market lives: its address book, its constants, and the deployment that makes both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.verbs import Call
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.domain.ids import Address, address
from marketplace.domain.units import Seconds, TokenUnits


@dataclass(frozen=True, slots=True)
class MarketConstants:
    """The windows and the bond floor that a market is born with, and keeps."""

    start_grace: Seconds
    claim_grace: Seconds
    challenge_window: Seconds
    ruling_window: Seconds
    bond_floor: TokenUnits


LOCAL_CONSTANTS: Final = MarketConstants(Seconds(5), Seconds(15), Seconds(15), Seconds(30), TokenUnits(100_000))
"""For local chains, where a demonstration must not take days: 5 s, 15 s, 15 s, 30 s, 0.10 dollar."""


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The addresses of one market on one chain, and the block in which its events begin."""

    chain_id: int
    market: Address
    token: Address
    catalogue: Address
    deployed_at_block: int

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        document = {
            "chainId": self.chain_id,
            "market": self.market,
            "token": self.token,
            "catalogue": self.catalogue,
            "deployedAtBlock": self.deployed_at_block,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".new")
        unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)

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
            chain_id=int(document["chainId"]),
            market=address(document["market"], field="market"),
            token=address(document["token"], field="token"),
            catalogue=address(document["catalogue"], field="catalogue"),
            deployed_at_block=int(document["deployedAtBlock"]),
        )


def deploy(chain: Chain, deployer: Key, constants: MarketConstants, *, token: Address | None = None) -> AddressBook:
    """Create a market, with the catalogue, for ``token``; without one a TestDollar is made, for local chains only.

    ``deployer`` may append classes to the catalogue later; over the market nobody has any power (P-05).
    """
    sender = Sender(chain, deployer)
    classes = [(known.name, known.vram_mib) for known in load_classes()]
    catalogue, _ = _create(sender, "GpuCatalogue", deployer.address, classes)
    settlement = token or _create(sender, "TestDollar")[0]
    windows = (constants.start_grace, constants.claim_grace, constants.challenge_window, constants.ruling_window)
    market, block_number = _create(sender, "ComputeMarket", settlement, *windows, constants.bond_floor)
    return AddressBook(chain.chain_id, market, settlement, catalogue, block_number)


def _create(sender: Sender, name: str, *arguments: Any) -> tuple[Address, int]:
    mined = sender.send(Call(None, contract_abi(name).creation(*arguments), f"create {name}"))
    assert mined.contract is not None, "a transaction without a receiver creates a contract"
    return mined.contract, mined.block.number
