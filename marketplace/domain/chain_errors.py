"""What can go wrong with nodes and transactions: the branch of the tree in ``domain.errors`` that only who talks to a chain meets.

ChainError                     talking to the chain failed
├── ChainUnavailable           retryable
│   ├── RateLimited(retry_after_seconds)
│   └── AnswerTooLarge(method, limit_bytes)
├── ReorganisedTooDeep(block_number, kept_blocks)
├── WrongChain(expected, actual)
├── NodeRefused(method, code, message)
├── ProxyMissing(chain_id, proxy, remedy)
├── InsufficientFunds(account, required_wei, available_wei)
├── FeesTooHigh(required_wei, cap_wei)   retryable
├── TransactionReverted(error_name, arguments)
└── TransactionNotMined(tx_hash, waited_seconds)   retryable
"""

from __future__ import annotations

from marketplace.domain.errors import MarketplaceError


class ChainError(MarketplaceError):
    """Talking to the chain failed."""


class ChainUnavailable(ChainError):
    """No node answers. Try again."""

    retryable = True


class RateLimited(ChainUnavailable):
    """The node has had enough requests for now. Try again after ``retry_after_seconds``."""

    def __init__(self, sentence: str, retry_after_seconds: float) -> None:
        super().__init__(f"{sentence}; again after {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class AnswerTooLarge(ChainUnavailable):
    """The node's answer is longer than anybody reads. Ask for less at once: fewer blocks of logs, fewer calls in a batch."""

    def __init__(self, method: str, limit_bytes: int) -> None:
        super().__init__(f"the node answers {method} with more than {limit_bytes} bytes")
        self.method, self.limit_bytes = method, limit_bytes


class ReorganisedTooDeep(ChainError):
    """More blocks have left the chain than can be taken back one by one. Begin anew from the market's first block."""

    def __init__(self, block_number: int, kept_blocks: int) -> None:
        super().__init__(
            f"block {block_number} has left the chain, and so have all of the {kept_blocks} blocks before it that are remembered"
        )
        self.block_number, self.kept_blocks = block_number, kept_blocks


class WrongChain(ChainError):
    """The node serves another chain, or another contract, than the address book says."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, found {actual}")
        self.expected, self.actual = expected, actual


class NodeRefused(ChainError):
    """The node understands the request and refuses it: no funds for gas, say. Its own words follow."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method, self.code, self.message = method, code, message


class ProxyMissing(ChainError):
    """The chain has no deterministic deployment proxy, or something else at its address."""

    def __init__(self, chain_id: int, proxy: str, remedy: str) -> None:
        super().__init__(f"chain {chain_id} has no deterministic deployment proxy at {proxy}: {remedy}")
        self.chain_id, self.proxy, self.remedy = chain_id, proxy, remedy


class InsufficientFunds(ChainError):
    """The account cannot pay for the gas, in the chain's own coin. Send it some."""

    def __init__(self, account: str, required_wei: int, available_wei: int) -> None:
        super().__init__(f"account {account} needs {required_wei} wei for gas and has {available_wei}")
        self.account, self.required_wei, self.available_wei = account, required_wei, available_wei


class FeesTooHigh(ChainError):
    """Gas costs more now than the settings allow. Wait, or raise BOURSE_MOST_FEE_GWEI."""

    retryable = True

    def __init__(self, required_wei: int, cap_wei: int) -> None:
        super().__init__(f"gas costs {required_wei} wei, and at most {cap_wei} may be paid for it")
        self.required_wei, self.cap_wei = required_wei, cap_wei


class TransactionReverted(ChainError):
    """The contract said no. ``error_name`` is the custom error's name in the contract."""

    def __init__(self, error_name: str, arguments: dict[str, object] | None = None) -> None:
        self.error_name = error_name
        self.arguments = arguments or {}
        listed = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        super().__init__(f"{error_name}({listed})")

    @property
    def reason(self) -> str:
        return self.error_name


class TransactionNotMined(ChainError):
    """The transaction was sent and is not in a block yet. It may still be."""

    retryable = True

    def __init__(self, tx_hash: str, waited_seconds: int, said: str = "") -> None:
        super().__init__(
            f"transaction {tx_hash} is not mined after {waited_seconds} s"
            + (f"; the node says: {said}" if said else "")
        )
        self.tx_hash, self.waited_seconds, self.said = tx_hash, waited_seconds, said
