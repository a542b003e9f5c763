"""Which parts a step of a serving has, by its state, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from marketplace.domain.blocks import BlockRef
from marketplace.domain.leases import Lease
from marketplace.domain.states import ServingState
from marketplace.provider.attendance import Attendance
from marketplace.provider.attendant import Attendant
from marketplace.provider.gpus.sampling import GpuSampler
from marketplace.provider.job_use import job_sampled
from marketplace.provider.progress import ProgressReceipts
from marketplace.provider.settler import Settler
from marketplace.provider.timekeeper import Timekeeper
from marketplace.store.journal.rows import Serving

Advance = Callable[[Serving, Attendance, Lease, BlockRef], Serving]
Part = tuple[str, Advance]
Parts = Mapping[ServingState, Sequence[Part]]


def parts_of(
    timekeeper: Timekeeper, attendant: Attendant, settler: Settler, progress: ProgressReceipts, sampler: GpuSampler
) -> tuple[Parts, Parts]:
    """What is seen to first, whatever else fails; and the parts that touch a job, a file or the gateway, each for itself."""
    claim, found, log = ("claim", settler.claimed_if_due), ("find", attendant.found), ("log", attendant.pump)
    receipt, deliver = ("receipt", settler.receipted), ("deliver", settler.delivered)
    countersign = ("countersign", settler.countersigned)
    pay: dict[ServingState, Sequence[Part]] = {
        ServingState.SEEN: (("decline", timekeeper.declining),),
        ServingState.RUNNING: (("meter", timekeeper.metered),),
    }
    rest: dict[ServingState, Sequence[Part]] = {
        ServingState.SEEN: (found, ("prepare", attendant.seen), ("prepaid", progress.prepaid), log),
        ServingState.RUNNING: (
            found,
            ("run", attendant.running),
            ("progress", progress.progressed),
            log,
            ("gpus", sampler.sampled),
            ("use", job_sampled),
        ),
        ServingState.EXITED: (found, receipt, deliver, log),
        ServingState.RECEIPTED: (found, receipt, deliver, countersign, log),
        ServingState.SETTLING: (found, receipt, deliver, log),
        ServingState.CLAIMED: (found, receipt, deliver, countersign, log),
    }
    return pay | {state: (claim,) for state in rest if state not in pay}, rest
