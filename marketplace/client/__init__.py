"""The SDK: what a client of the market uses. ``__all__`` can be read aloud."""

from marketplace.api.client.gateway import GatewayApi, Retries, Timeout
from marketplace.client.calls import CallTerms
from marketplace.client.changes import JobChange
from marketplace.client.executor import JobExecutor, JobFuture
from marketplace.client.group import JobGroup
from marketplace.client.job import Job
from marketplace.client.job_summary import Attempt, Balance, JobResult, JobSummary, Progress
from marketplace.client.market import Market
from marketplace.client.remote import RemoteFunction
from marketplace.client.request import JobRequest
from marketplace.client.session import ClientSession
from marketplace.client.spending import Sums
from marketplace.client.submitting import Draft
from marketplace.client.trust import TrustRoots
from marketplace.client.wallet import DepositBy, Wallet
from marketplace.domain.errors import JobFailed, RemoteError, ResultRefused
from marketplace.domain.states import JobReason, JobState

__all__ = [
    "Attempt",
    "Balance",
    "CallTerms",
    "ClientSession",
    "DepositBy",
    "Draft",
    "GatewayApi",
    "Job",
    "JobChange",
    "JobExecutor",
    "JobFailed",
    "JobFuture",
    "JobGroup",
    "JobReason",
    "JobRequest",
    "JobResult",
    "JobState",
    "JobSummary",
    "Market",
    "Progress",
    "RemoteError",
    "RemoteFunction",
    "ResultRefused",
    "Retries",
    "Sums",
    "Timeout",
    "TrustRoots",
    "Wallet",
]
