"""The settlement token, any ERC-20."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from eth_abi.exceptions import DecodingError

from marketplace.chain import verbs
from marketplace.chain.blocks import LATEST, Chain
from marketplace.chain.contracts import Parameter, Signature, contract_abi, decoded
from marketplace.chain.signing import TokenDomain
from marketplace.chain.verbs import Call
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import TransactionReverted, WrongChain
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.units import COIN_DECIMALS, TokenUnits

# TestDollar is an ERC-20 like any other, as far as reading goes.
_ABI = contract_abi("TestDollar")
_VERSION = Signature("version", (), (Parameter("", "string", (), False),))
_FIRST_VERSION = "1"
LOCAL_COINS = 10
"""What a development key gets: enough for tens of thousands of transactions."""


class TokenContract:
    """One ERC-20. Reads take ``at``, the block to read at, or None for the newest."""

    def __init__(self, chain: Chain, address: Address) -> None:
        self.chain = chain
        self.address = address

    @cached_property
    def decimals(self) -> int:
        return int(self._read("decimals"))

    @cached_property
    def symbol(self) -> str:
        return str(self._read("symbol"))

    def balance_of(self, account: Address, at: BlockRef | None = None) -> TokenUnits:
        return TokenUnits(self._read("balanceOf", account, at=at))

    def allowance(self, owner: Address, spender: Address, at: BlockRef | None = None) -> TokenUnits:
        """What ``spender`` may still take from ``owner``."""
        return TokenUnits(self._read("allowance", owner, spender, at=at))

    def approvals(self, owner: Address, spender: Address, amount: TokenUnits) -> tuple[Call, ...]:
        """What ``owner`` has to send before ``spender`` can take ``amount``: nothing where it may already.

        Some tokens (USDT) refuse to change an allowance that is not 0 into another that is not 0: where one is left over and the token
        would refuse, it is taken back first. Others are not asked to pay for that.
        """
        left = self.allowance(owner, spender)
        if left >= amount:
            return ()
        wanted = verbs.approve(self.address, spender, amount)
        if not left or self._takes(owner, wanted):
            return (wanted,)
        return verbs.approve(self.address, spender, TokenUnits(0)), wanted

    def _takes(self, owner: Address, approval: Call) -> bool:
        """Whether the token would do it now: it does not revert, and does not answer false. To answer nothing is to agree (USDT)."""
        message = {"from": owner, "to": approval.to, "data": "0x" + approval.input.hex()}
        try:
            answer = str(self.chain.rpc("eth_call", message, LATEST))
        except TransactionReverted:
            return False
        return answer == "0x" or int(answer, 16) != 0

    def permit_nonce(self, owner: Address, at: BlockRef | None = None) -> int:
        """The nonce that the owner's next permit must carry (EIP-2612)."""
        return int(self._read("nonces", owner, at=at))

    @cached_property
    def domain(self) -> TokenDomain:
        """What the token's permits and authorizations are bound to.

        Read as EIP-5267 tells it, else from name() and version(), and held against DOMAIN_SEPARATOR. Raises InvalidField (``token``)
        for a token that takes no signatures, or whose domain is another one.
        """
        name, version = self._domain_words()
        domain = TokenDomain(name, version, self.chain.chain_id, self.address)
        if self._try(_ABI.functions["DOMAIN_SEPARATOR"]) != ("0x" + domain.separator.hex(),):
            raise InvalidField(
                "token", f"{self.address} takes no signed permits that could be made here: use approve and deposit"
            )
        return domain

    def _domain_words(self) -> tuple[str, str]:
        told = self._try(_ABI.functions["eip712Domain"])
        if told is not None:
            _, name, version, *_ = told
            return str(name), str(version)
        name, version = self._try(_ABI.functions["name"]), self._try(_VERSION)
        return str(name[0] if name else ""), str(version[0] if version else _FIRST_VERSION)

    def _try(self, view: Signature) -> tuple[Any, ...] | None:
        """What the token says, or None where it has no such view."""
        try:
            return decoded(view.outputs, self.chain.call(self.address, view.selector))
        except (TransactionReverted, WrongChain, DecodingError):
            return None

    def _read(self, view: str, *arguments: Any, at: BlockRef | None = None) -> Any:
        (answer,) = _ABI.answer(view, self.chain.call(self.address, _ABI.call(view, *arguments), at))
        return answer


def coin_of(chain: Chain, account: Address, at: BlockRef) -> int:
    """What the account has of the chain's own coin, in wei: gas is paid in it."""
    return int(chain.rpc("eth_getBalance", account, {"blockHash": at.hash}), 16)


def make_local_coin(chain: Chain, account: Address) -> bool:
    """Give an account coin for gas, where it has less than one; only a development node can. Whether it did. Raises ChainUnavailable."""
    if coin_of(chain, account, chain.head()) >= 10**COIN_DECIMALS:
        return False
    chain.rpc("anvil_setBalance", account, hex(LOCAL_COINS * 10**COIN_DECIMALS))
    return True
