"""What a running job uses of processors and memory, sampled beside its step and told to the gateways as it comes.

No money depends on it, and nothing waits for it: a sample that cannot be taken or told is one that is not there.
"""

from __future__ import annotations

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.job_use import JobSampleDocument
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import Lease
from marketplace.provider.attendance import Attendance
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

SAMPLE_SECONDS = 10
"""Block time between two samples."""
SEND_SECONDS = 10.0


def job_sampled(serving: Serving, attendance: Attendance, _: Lease, head: BlockRef) -> Serving:
    """One part of a running serving's step: take what has come, tell it, and sample anew where it is time."""
    execution, use = attendance.execution, attendance.job_use
    if execution is None:
        return serving
    for answer in use.sending.answers(head.number):
        if answer.problem:
            _log.debug("job_use.not_taken", gateway=answer.line.url, reason=str(answer.problem))
    if found := use.sampling.take(head.number):
        limits = execution.request.limits
        told = JobSampleDocument(
            use.sampled_at, found.cpu_milliseconds, found.memory_mib, limits.cpus, limits.memory_mib
        )
        use.sending.begin(lambda line: _sent(line.api, serving.lease, told), head.number, seconds=SEND_SECONDS)
    if head.timestamp >= use.sampled_at + SAMPLE_SECONDS and not use.sampling.is_under_way:
        use.sampled_at = head.timestamp
        use.sampling.begin(execution.used, head.number)
    return serving


def _sent(api: GatewayApi, lease: Bytes32, sample: JobSampleDocument) -> bool:
    api.gpus.post_job_samples(lease, [sample])
    return True
