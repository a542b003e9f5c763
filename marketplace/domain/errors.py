"""The error tree. Catch broadly at the root, narrowly at a leaf.

MarketplaceError
├── DomainError                    the request is wrong and will stay wrong
│   ├── InvalidField(field, rule)
│   │   └── OtherVersion(field, found, known)
│   ├── Refused(refusal, detail)
│   ├── InvalidTransition(kind, id, from_state, to_state)
│   ├── InsufficientBalance(account, required, available)
│   ├── NotFound(kind, id)
│   ├── MissingBlob(field, sha256)
│   ├── HashMismatch(what, expected, actual)
│   ├── ImageUnusable(trouble, why)
│   ├── Unauthorized(rule)
│   ├── Forbidden(rule)
│   ├── OverQuota(account, needed, left)
│   ├── TooManyRequests(rule, wait_seconds)   retryable
│   └── IdempotencyMismatch(key)
├── ChainError                     talking to the chain failed: in domain.chain_errors
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
├── RegistryUnavailable(host, why)        retryable
├── ConfigError(problems)
│   └── HomeInUse(folder, holder)
├── ToolMissing(tool, remedy)
├── DeadlinePassed(what, waited_seconds)
├── Stopping                       retryable
├── JobFailed(job_id, reason)
├── ResultRefused(job_id, field, rule)
└── RemoteError(type_name, text, remote_traceback)
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


class OtherVersion(InvalidField):
    """A document of another version than this release reads. Use the release that wrote it."""

    def __init__(self, field: str, found: int, known: int) -> None:
        super().__init__(
            field, f"is {found}, and this release reads {known} only: use the release that wrote the document"
        )
        self.found = found
        self.known = known


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


class RegistryUnavailable(MarketplaceError):
    """A registry of container images does not answer, or is broken. Try again."""

    retryable = True

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"the registry {host} does not serve: {why}")
        self.host = host


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


class OverQuota(DomainError):
    """The account has no room for more at this gateway. Have more at stake in the market, or wait until what nothing refers to is deleted."""

    def __init__(self, account: str, needed: int, left: int) -> None:
        super().__init__(f"{account} has room for {left} bytes here, {needed} are needed")
        self.account, self.needed, self.left = account, needed, left
        self.rule = f"must be at most {left} bytes: have more at stake in the market, or wait"


class TooManyRequests(DomainError):
    """More requests than one sender may make in this time. Wait, and ask again."""

    retryable = True

    def __init__(self, rule: str, wait_seconds: int) -> None:
        super().__init__(f"{rule}: wait {wait_seconds} s")
        self.rule, self.wait_seconds = rule, wait_seconds


class IdempotencyMismatch(DomainError):
    """The same Idempotency-Key came before with another body. Use a new key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key {key} was used before with another request")
        self.key = key


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


class ResultRefused(MarketplaceError):
    """What a provider's machine sent back is not what a call may be answered with; it was not read any further."""

    def __init__(self, job_id: str, field: str, rule: str) -> None:
        super().__init__(f"job {job_id}: {field}: {rule}")
        self.job_id, self.field, self.rule = job_id, field, rule


class RemoteError(MarketplaceError):
    """A function that was called on somebody else's machine raised there. All of it is text, and that machine's word."""

    def __init__(self, type_name: str, text: str, remote_traceback: str) -> None:
        super().__init__(f"{type_name}: {text}")
        self.type_name, self.text, self.remote_traceback = type_name, text, remote_traceback
        self.add_note(f"where it ran:\n{remote_traceback}")
