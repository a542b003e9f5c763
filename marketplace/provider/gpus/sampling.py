"""How busy a running job's GPUs are, sampled beside its step: told to the gateways as it comes, and in sum in the job's log at its end.

No money depends on it, and nothing waits for it: a sample that cannot be taken or told is one that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.gpu_use import MOST_SENT, GpuSampleDocument
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import ToolMissing
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import Lease
from marketplace.domain.units import UnixTime
from marketplace.provider.attendance import Attendance
from marketplace.provider.chores import Chore
from marketplace.provider.gpus.nvml import GpuSample, is_uuid
from marketplace.provider.gpus.use import noted
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

SAMPLE_SECONDS = 5
"""Block time between two samples."""
SEND_SECONDS = 10.0


class GpuSampler:
    """One part of a running serving's step."""

    def __init__(self, tools: Toolbox) -> None:
        self._rig = tools.rig

    def sampled(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Take what has come, tell it, and sample anew where it is time."""
        execution, use = attendance.execution, attendance.gpu_use
        gpus = tuple(filter(is_uuid, execution.request.gpus)) if execution else ()
        if not gpus:
            return serving
        for answer in use.sending.answers(head.number):
            if answer.problem:
                _log.debug("gpu_use.not_taken", gateway=answer.line.url, reason=str(answer.problem))
        if found := self._taken(use.sampling, head):
            told = [_document(one, use.sampled_at) for one in found][:MOST_SENT]
            use.sending.begin(lambda line: _sent(line.api, serving.lease, told), head.number, seconds=SEND_SECONDS)
        if head.timestamp >= use.sampled_at + SAMPLE_SECONDS and not use.sampling.is_under_way:
            use.sampled_at = head.timestamp
            rig, folder = self._rig, attendance.folder
            use.sampling.begin(lambda: noted(folder, rig.sample(gpus)), head.number)
        return serving

    def _taken(self, sampling: Chore[Sequence[GpuSample]], head: BlockRef) -> Sequence[GpuSample] | None:
        try:
            return sampling.take(head.number)
        except ToolMissing as exc:
            _log.debug("gpu_use.not_sampled", why=str(exc))
            return None


def _sent(api: GatewayApi, lease: Bytes32, samples: list[GpuSampleDocument]) -> bool:
    api.gpus.post_samples(lease, samples)
    return True


def _document(one: GpuSample, at: UnixTime) -> GpuSampleDocument:
    busy = None if one.busy_percent is None else min(100, one.busy_percent)
    return GpuSampleDocument(at, one.uuid, busy, one.memory_used_mib, one.power_w, one.temperature_c)
