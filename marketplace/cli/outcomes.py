"""Exit codes, and errors in plain words. One table from what happened to what a shell sees."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from marketplace.client import Job, JobReason, JobState
from marketplace.domain import chain_errors
from marketplace.domain import errors as e
from marketplace.domain.ssh import EntryRefused


class ExitCode(IntEnum):
    """What `bourse` returns to the shell."""

    OK = 0
    JOB_FAILED = 1
    """The job ran, was verified and paid for, and ended with an exit code other than 0."""
    USAGE = 2
    """The command line, a file or a setting is wrong; nothing was sent."""
    REFUSED = 3
    """The market will not have it, or nobody would serve it."""
    UNAVAILABLE = 4
    """The chain or the gateway does not answer. Try again; nothing is lost."""
    LOST = 5
    """The providers fell silent or left what does not verify, and no retry is left."""
    CANCELLED = 6
    TIMED_OUT = 7
    """What was waited for did not happen in time; it may still. Also an order that is signed and that no gateway has taken yet."""
    BUG = 70


OF_STATE: dict[JobState, ExitCode] = {
    JobState.SUCCEEDED: ExitCode.OK,
    JobState.FAILED: ExitCode.JOB_FAILED,
    JobState.UNPLACED: ExitCode.REFUSED,
    JobState.LOST: ExitCode.LOST,
    JobState.CANCELLED: ExitCode.CANCELLED,
    JobState.SUBMITTED: ExitCode.TIMED_OUT,
    JobState.RUNNING: ExitCode.TIMED_OUT,
}


def exit_code_of_job(job: Job) -> ExitCode:
    """What the shell is told about a job. Nobody can have refused an order that no gateway ever took."""
    if job.state is JobState.UNPLACED and not job.is_posted and job.history[-1].reason is JobReason.ORDER_EXPIRED:
        return ExitCode.UNAVAILABLE
    return OF_STATE[job.state]


_OF_ERROR: tuple[tuple[type[e.MarketplaceError], ExitCode], ...] = (
    (chain_errors.ChainUnavailable, ExitCode.UNAVAILABLE),
    (chain_errors.TransactionNotMined, ExitCode.UNAVAILABLE),
    (chain_errors.WrongChain, ExitCode.UNAVAILABLE),
    (e.GatewayUnavailable, ExitCode.UNAVAILABLE),
    (e.StoreError, ExitCode.UNAVAILABLE),
    (chain_errors.TransactionReverted, ExitCode.REFUSED),
    (chain_errors.InsufficientFunds, ExitCode.REFUSED),
    (chain_errors.ProxyMissing, ExitCode.REFUSED),
    (chain_errors.ChainError, ExitCode.UNAVAILABLE),
    (e.Refused, ExitCode.REFUSED),
    (e.InsufficientBalance, ExitCode.REFUSED),
    (e.InvalidTransition, ExitCode.REFUSED),
    (e.Unauthorized, ExitCode.REFUSED),
    (e.Forbidden, ExitCode.REFUSED),
    (EntryRefused, ExitCode.REFUSED),
    (e.HashMismatch, ExitCode.LOST),
    (e.JobFailed, ExitCode.LOST),
    (e.DeadlinePassed, ExitCode.TIMED_OUT),
    (e.MarketplaceError, ExitCode.USAGE),
)
"""The first class that fits decides."""

_ADVICE: dict[str, str] = {
    "ClientBalanceTooLow": "bourse wallet deposit AMOUNT",
    "InsufficientBalance": "bourse wallet show; on a local chain: bourse wallet fund AMOUNT",
    "InsufficientFunds": "send the account some of the chain's coin; bourse deploy --dry-run shows what it takes",
    "ConfigError": "docs/reference/settings.md has them all; where there are none, bourse devnet up --detach starts a market",
    "ChainUnavailable": "check BOURSE_RPC_URLS, or bourse devnet status",
    "RateLimited": "your node limits requests: wait, or name more nodes in BOURSE_RPC_URLS",
    "GatewayUnavailable": "check BOURSE_GATEWAY_URL, or bourse devnet status",
    "ClassNotAccepted": "bourse offers shows which classes are on the market",
    "PriceOutOfBounds": "bourse quote shows what it costs",
    "OfferNotAlive": "bourse offers shows what is on the market",
    "OrderExpired": "order again, with a longer --expires-in",
    "NotFound": "bourse ps --all lists your jobs, bourse provider status a provider's offers",
    "DeadlinePassed": "bourse watch waits on; bourse ps shows where it stands",
    "JobFailed": "bourse explain JOB tells why",
    "TooEarly": "attempted and from are block times: try again when the chain has got there",
    "NotDisputed": "bourse explain tells where the lease stands; bourse dispute opens a dispute",
    "OverBudget": "the account's owner raises it: bourse wallet authorize DELEGATE BUDGET --for 7d",
    "TransactionNotMined": "it may still be mined: bourse wallet show",
}
"""What to do next, by reason."""


def exit_code_of(error: e.MarketplaceError) -> ExitCode:
    """What the shell is told about an error."""
    if isinstance(error, e.GatewayProblem):
        return _of_problem(error)
    return next(code for kind, code in _OF_ERROR if isinstance(error, kind))


def _of_problem(problem: e.GatewayProblem) -> ExitCode:
    if problem.status >= 500 or problem.status == 200:
        return ExitCode.UNAVAILABLE
    is_wrong = problem.reason in ("InvalidField", "MissingBlob", "HashMismatch", "NotFound") or problem.status in (
        400,
        404,
    )
    return ExitCode.USAGE if is_wrong else ExitCode.REFUSED


def line_of(error: e.MarketplaceError) -> str:
    """The error in one line: reason, field, rule."""
    notes = " ".join(getattr(error, "__notes__", ()))
    text = notes or str(error) or (type(error).__doc__ or "").strip().split("\n")[0]
    field = getattr(error, "field", "")
    named = f" [{field}]" if field and not text.startswith(f"{field}:") and f": {field}:" not in text else ""
    told = text if text.startswith(error.reason) else f"{error.reason}: {text}"
    return f"{told}{named}"


def advice_for(error: e.MarketplaceError) -> str:
    """What to do next; empty where the error's own sentence says it."""
    return _ADVICE.get(error.reason, _ADVICE.get(type(error).__name__, ""))


def error_document(error: e.MarketplaceError) -> dict[str, Any]:
    """The error for ``--json``."""
    return {
        "error": {
            "reason": error.reason,
            "detail": str(error),
            "field": getattr(error, "field", ""),
            "rule": getattr(error, "rule", ""),
            "advice": advice_for(error),
            "retryable": error.retryable,
            "exitCode": int(exit_code_of(error)),
        }
    }
