"""What a market is going to settle in: whether an ERC-20 will do, and what people should know about it first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from marketplace.chain.blocks import Chain
from marketplace.chain.token import TokenContract
from marketplace.domain.chain_errors import TransactionReverted, WrongChain
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address

_NO_ANSWER = (TransactionReverted, WrongChain, DecodingError)

COARSE_DECIMALS: Final = 6
FINE_DECIMALS: Final = 18

_ASSUMPTION = (
    "{symbol}: the market assumes that balances change by transfers only and that one transfer moves what it says to the account it names;"
    " a rebasing token must not be used, and whoever can freeze or upgrade the token has that power over this market's money too"
)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """An existing token, as it describes itself, and what to know before money is in it."""

    address: Address
    symbol: str
    decimals: int
    warnings: tuple[str, ...]


def inspect_token(chain: Chain, address: Address) -> TokenFacts:
    """Read what a market needs of its token. Raises InvalidField (``token``) where that is not there."""
    if chain.code_at(address) == "0x":
        raise InvalidField("token", f"there is no contract at {address} on chain {chain.chain_id}")
    token = TokenContract(chain, address)
    decimals: int = _answer(token, "decimals")
    symbol: str = _answer(token, "symbol")
    if not 0 <= decimals < 1 << 8:
        raise InvalidField("token", f"{address} says that it has {decimals} decimals; ERC-20 says from 0 to 255")
    return TokenFacts(address, symbol, decimals, tuple(_warnings(chain, address, symbol, decimals)))


def _answer(token: TokenContract, view: str) -> Any:
    try:
        return getattr(token, view)
    except _NO_ANSWER:
        raise InvalidField(
            "token", f"{token.address} does not answer {view}(): gateway, SDK and command line read it"
        ) from None


def _warnings(chain: Chain, address: Address, symbol: str, decimals: int) -> list[str]:
    """What is good to know of any token, and of this one."""
    told = [_ASSUMPTION.format(symbol=symbol)]
    if decimals < COARSE_DECIMALS:
        told.append(
            f"{symbol} has {decimals} decimals: what a second earns may round down to nothing until the lease closes"
        )
    if decimals > FINE_DECIMALS:
        told.append(
            f"{symbol} has {decimals} decimals: prices are 80 bits wide, the highest is {(2**80 - 1) // 10**decimals} {symbol}"
        )
    if not _answers(chain, address, "DOMAIN_SEPARATOR()"):
        told.append(
            f"{symbol} has no EIP-2612 permit; if it swallows unknown calls, as WETH9 does, anyone can turn an allowance for the market"
            " into a deposit to its owner's own account"
        )
    if not _answers(chain, address, "authorizationState(address,bytes32)", bytes(64)):
        told.append(f"{symbol} has no EIP-3009 authorizations: depositWithAuthorization will revert")
    return told


def _answers(chain: Chain, address: Address, view: str, arguments: bytes = b"") -> bool:
    try:
        return len(chain.call(address, keccak(view.encode())[:4] + arguments)) >= 32
    except _NO_ANSWER:
        return False
