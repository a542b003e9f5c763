"""What no agent can run, however well it is paid: said when an order is made, before it is matched and declined at somebody's gas."""

from __future__ import annotations

from collections.abc import Iterable

from marketplace.domain.errors import InvalidField
from marketplace.domain.spec import JobSpec, Machine, Resources

_MEASURES = (
    ("cpus", "CPUs"),
    ("memory_mib", "MiB of memory"),
    ("disk_mib", "MiB of disk"),
    ("vram_mib", "MiB of GPU memory"),
    ("egress_mib", "MiB of network for a job"),
)


def require_runnable(spec: JobSpec) -> None:
    """Raise InvalidField for what the spec asks for and no agent supports yet."""
    if spec.checkpoint is not None:
        raise InvalidField("spec.checkpoint", "is named: no provider keeps checkpoints yet; leave it out")


def require_room(needs: Resources, machines: Iterable[Machine | None]) -> None:
    """Raise InvalidField where every machine on offer is too small for it. A machine that nobody described may be large enough, and none at all
    may still come."""
    known = list(machines)
    described = [machine for machine in known if machine is not None]
    if not described or len(described) < len(known):
        return
    for name, words in _MEASURES:
        wanted, most = getattr(needs, name), max(getattr(machine, name) for machine in described)
        if wanted > most:
            raise InvalidField(
                f"spec.resources.{name}", f"is {wanted}: no machine on offer has more than {most} {words}"
            )
