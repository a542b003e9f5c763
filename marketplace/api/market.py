"""Which market a gateway serves, and the GPU classes that are traded there."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from marketplace.api.fields import AddressText, BlockNumber, Cursor, Duration, GpuClassNumber, Uint128, Word
from marketplace.api.record import BlockTold, Record, money
from marketplace.domain.blocks import BlockRef
from marketplace.domain.classes import GpuClass
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.policy import DEFAULT
from marketplace.domain.units import TokenUnits


class TokenTold(Record, frozen=True):
    """The token that the market settles in."""

    address: AddressText
    symbol: Annotated[str, Meta(max_length=64)]
    decimals: Annotated[int, Meta(ge=0, le=77)]


class MarketAnswer(Record, frozen=True):
    """Addresses and constants of the contract, and whom the gateway works with. Compared with the client's own choice, never signed."""

    chain_id: Annotated[int, Meta(ge=1, lt=1 << 53)]
    market: AddressText
    token: TokenTold
    catalogue: AddressText
    deployed_at_block: BlockNumber
    start_grace: Duration
    claim_grace: Duration
    challenge_window: Duration
    ruling_window: Duration
    bond_floor: Uint128
    opener: AddressText
    """The scheduler's: name it in an order, and nobody else may open it (P-22)."""
    arbiter: AddressText
    """The one that this operator suggests."""
    block: BlockTold
    max_silence_seconds: Duration = DEFAULT.heartbeat_seconds
    """A provider that gave no sign of life for longer, in block time, is silent: its offers get no new work."""
    bond_floor_human: Word = ""
    relay: Word = ""
    """Where `bourse ssh` and providers meet, as a WebSocket's URL without a path; empty: nowhere."""

    @classmethod
    def of(
        cls, terms: MarketTerms, catalogue: Address, opener: Address, arbiter: Address, block: BlockRef, relay: str = ""
    ) -> MarketAnswer:
        return cls(
            chain_id=terms.chain_id, market=terms.market, token=TokenTold(terms.token, terms.token_symbol, terms.token_decimals),
            catalogue=catalogue, deployed_at_block=terms.deployed_at_block, start_grace=terms.start_grace, claim_grace=terms.claim_grace,
            challenge_window=terms.challenge_window, ruling_window=terms.ruling_window, bond_floor=Uint128(terms.bond_floor),
            opener=opener, arbiter=arbiter, block=BlockTold.of(block), bond_floor_human=money(terms.bond_floor, terms), relay=relay,
        )  # fmt: skip

    @property
    def terms(self) -> MarketTerms:
        return MarketTerms(
            chain_id=self.chain_id, market=self.market, token=self.token.address, token_symbol=self.token.symbol,
            token_decimals=self.token.decimals, deployed_at_block=self.deployed_at_block, start_grace=self.start_grace,
            claim_grace=self.claim_grace, challenge_window=self.challenge_window, ruling_window=self.ruling_window,
            bond_floor=TokenUnits(int(self.bond_floor)),
        )  # fmt: skip


class ClassTold(Record, frozen=True):
    """A row of the catalogue."""

    gpu_class: GpuClassNumber = field(name="class")
    name: Word
    vram_mib: Annotated[int, Meta(ge=0, lt=1 << 32)]

    @classmethod
    def of(cls, row: GpuClass) -> ClassTold:
        return cls(row.number, row.name, row.vram_mib)

    @property
    def row(self) -> GpuClass:
        return GpuClass(self.gpu_class, self.name, self.vram_mib)


class ClassPage(Record, frozen=True):
    items: list[ClassTold]
    next: Cursor = None
