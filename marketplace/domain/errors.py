"""The error tree. Catch broadly at the root, narrowly at a leaf.

MarketplaceError
├── DomainError                    the request is wrong and will stay wrong
│   ├── InvalidField(field, rule)
│   ├── Refused(refusal, detail)
│   ├── InvalidTransition(kind, id, from_state, to_state)
│   ├── InsufficientBalance(account, required, available)
│   ├── NotFound(kind, id)
│   ├── MissingBlob(field, sha256)
│   ├── HashMismatch(what, expected, actual)
│   ├── ImageUnusable(trouble, why)
│   ├── Unauthorized(rule)
│   ├── Forbidden(rule)
│   ├── OverQuota(account, needed, left), TooManyRequests(rule, wait_seconds)   both in domain.excess
│   └── IdempotencyMismatch(key)
├── ChainError                     talking to the chain failed
│   ├── ChainUnavailable           retryable
│   │   ├── RateLimited(retry_after_seconds)
│   │   └── AnswerTooLarge(method, limit_bytes)
│   ├── ReorganisedTooDeep(block_number, kept_blocks)
│   ├── WrongChain(expected, actual)
│   ├── NodeRefused(method, code, message)
│   ├── ProxyMissing(chain_id, proxy, remedy)
│   ├── InsufficientFunds(account, required_wei, available_wei)
│   ├── FeesTooHigh(required_wei, cap_wei)   retryable
│   ├── TransactionReverted(error_name, arguments)
│   └── TransactionNotMined(tx_hash, waited_seconds)   retryable
├── StoreError
│   ├── Conflict(kind, id)         retryable
│   ├── StoreUnavailable(store)    retryable
│   └── LeadLost(name)             retryable
├── GatewayError                   the gateway answered with a problem, or not at all
│   ├── GatewayUnavailable         retryable
│   │   └── UnreadableAnswer(field, rule)
│   ├── GatewayProblem(status, reason, detail, field)
│   └── GatewayDiffers(what, ours, told)
├── ClusterUnavailable(address, detail)   retryable
├── ConfigError(problems)
│   └── HomeInUse(folder, holder)
├── ToolMissing(tool, remedy)
├── DeadlinePassed(what, waited_seconds)
├── Stopping                       retryable
└── JobFailed(job_id, reason)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from marketplace.domain.images import ImageTrouble
    from marketplace.domain.refusals import Refusal


class MarketplaceError(Exception):
    """Anything that goes wrong in this package and has a name."""

    retryable: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """The stable code of this error on the wire: its class name, unless a subclass knows better."""
        return type(self).__name__


class DomainError(MarketplaceError):
    """The request is wrong and will stay wrong however often it is sent."""


class InvalidField(DomainError):
    """A field breaks a rule. Mend the field and send again."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class Refused(DomainError):
    """The contract would refuse, or has refused, with one of the protocol's refusal codes."""

    def __init__(self, refusal: Refusal, field: str = "", detail: str = "") -> None:
        super().__init__(f"{refusal.name}: {refusal.sentence}" + (f" ({detail})" if detail else ""))
        self.refusal = refusal
        self.field = field
        self.detail = detail

    @property
    def reason(self) -> str:
        return self.refusal.name


class InvalidTransition(DomainError):
    """The thing is in a state from which it cannot go there."""

    def __init__(self, kind: str, identifier: str, from_state: str, to_state: str) -> None:
        super().__init__(f"{kind} {identifier} cannot go from {from_state} to {to_state}")
        self.kind, self.identifier, self.from_state, self.to_state = kind, identifier, from_state, to_state


class InsufficientBalance(DomainError):
    """The free balance does not cover the amount. Deposit, or wait until a lock is released."""

    def __init__(self, account: str, required: int, available: int) -> None:
        super().__init__(f"account {account} needs {required} token units and has {available} free")
        self.account, self.required, self.available = account, required, available


class NotFound(DomainError):
    """There is no such thing here."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"there is no {kind} {identifier}")
        self.kind, self.identifier = kind, identifier


class MissingBlob(DomainError):
    """A file that the request names by hash has not been uploaded. Upload it first."""

    def __init__(self, field: str, sha256: str) -> None:
        super().__init__(f"{field}: blob {sha256} has not been uploaded")
        self.field, self.sha256 = field, sha256
        self.rule = "must be uploaded before it is named"


class HashMismatch(DomainError):
    """Content does not hash to its name. Somebody changed it on the way."""

    def __init__(self, what: str, expected: str, actual: str) -> None:
        super().__init__(f"{what} should hash to {expected} and hashes to {actual}")
        self.what, self.expected, self.actual = what, expected, actual


class ImageUnusable(DomainError):
    """A container image cannot be used here; ``trouble`` says of which kind that is."""

    def __init__(self, trouble: ImageTrouble, why: str) -> None:
        super().__init__(why)
        self.trouble = trouble


class Unauthorized(DomainError):
    """The request carries no valid proof of who sends it."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Forbidden(DomainError):
    """The sender is known and may not do this."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class IdempotencyMismatch(DomainError):
    """The same Idempotency-Key came before with another body. Use a new key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key {key} was used before with another request")
        self.key = key


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


class StoreError(MarketplaceError):
    """Reading or writing a store failed."""


class Conflict(StoreError):
    """Somebody else changed it first. Load it again."""

    retryable = True

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} {identifier} was changed by somebody else")
        self.kind, self.identifier = kind, identifier


class StoreUnavailable(StoreError):
    """The store does not answer. Try again."""

    retryable = True

    def __init__(self, store: str) -> None:
        super().__init__(f"the {store} does not answer")
        self.store = store


class LeadLost(StoreError):
    """Another daemon leads by now: this one was silent for too long. It stands by."""

    retryable = True

    def __init__(self, name: str) -> None:
        super().__init__(f"this {name} does not lead any more")
        self.name = name


class GatewayError(MarketplaceError):
    """The gateway did not do what it was asked."""


class GatewayUnavailable(GatewayError):
    """The gateway does not answer. Try again, or go to the chain without it."""

    retryable = True


class UnreadableAnswer(GatewayUnavailable):
    """What the gateway sent is no answer: it breaks a rule of its own form. It says as little as no answer at all."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"the gateway's answer cannot be read: {field}: {rule}")
        self.field, self.rule = field, rule


class GatewayProblem(GatewayError):
    """The gateway answered with an RFC 9457 problem."""

    def __init__(self, status: int, reason: str, detail: str, field: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.status, self.code, self.detail, self.field = status, reason, detail, field

    @property
    def reason(self) -> str:
        return self.code


class GatewayDiffers(GatewayError):
    """The gateway works with somebody else than whom our settings name. Nothing was signed: ask whom you trust, or use another gateway."""

    def __init__(self, what: str, ours: str, told: str) -> None:
        super().__init__(f"the gateway names {told} as {what}, and we name {ours}: nothing was signed")
        self.what, self.ours, self.told = what, ours, told


class ClusterUnavailable(MarketplaceError):
    """The cluster that holds the scheduler's auctions does not answer, or was lost on the way. Try again."""

    retryable = True

    def __init__(self, address: str, detail: str) -> None:
        super().__init__(f"the Ray cluster at {address} cannot be used: {detail}")
        self.address, self.detail = address, detail


class ConfigError(MarketplaceError):
    """Settings are missing or wrong; all of them are listed at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class HomeInUse(ConfigError):
    """Another agent works in this folder. One key is one agent, one agent is one home folder."""

    def __init__(self, folder: str, holder: str) -> None:
        super().__init__(
            [f"another agent (process {holder}) is using {folder}: one key is one agent, one agent is one home folder"]
        )
        self.folder, self.holder = folder, holder


class ToolMissing(MarketplaceError):
    """A program that is needed is not on this machine."""

    def __init__(self, tool: str, remedy: str) -> None:
        super().__init__(f"{tool} is missing: {remedy}")
        self.tool, self.remedy = tool, remedy


class DeadlinePassed(MarketplaceError):
    """Something did not happen in the time it was given."""

    def __init__(self, what: str, waited_seconds: int) -> None:
        super().__init__(f"{what} did not happen within {waited_seconds} s")
        self.what, self.waited_seconds = what, waited_seconds


class Stopping(MarketplaceError):
    """This process has been asked to end: it begins nothing new."""

    retryable = True


class JobFailed(MarketplaceError):
    """The job ended without the result that was asked for."""

    def __init__(self, job_id: str, why: str) -> None:
        super().__init__(f"job {job_id}: {why}")
        self.job_id, self.why = job_id, why
