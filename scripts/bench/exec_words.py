"""What `make bench PART=exec` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

from collections.abc import Mapping

COMMAND = "make bench PART=exec"

SSH_RATE = "exec.ssh_mb_per_second"
SSH_ECHO = "exec.ssh_echo_ms"
UNPACK_RATE = "exec.unpack_mb_per_second"
WARM_SECONDS = "exec.image_start_seconds_warm"
HOST_SECONDS = "exec.host_start_seconds"

AT_LEAST = {SSH_RATE: 50, UNPACK_RATE: 20}
AT_MOST = {SSH_ECHO: 5}
MOST_MORE_SECONDS = 1.0
"""Of a start in an image that is there, beside one in the job runtime."""


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    return {
        SSH_RATE: "megabytes a second by ssh out of a job or into it, whichever is slower",
        SSH_ECHO: "milliseconds until a typed byte comes back from a job by ssh, median",
        UNPACK_RATE: "megabytes a second, unpacked, at which an image that has come becomes a tree",
        WARM_SECONDS: "seconds of a job that does nothing, in an image that is there",
        HOST_SECONDS: "seconds of the same job in the job runtime",
    }


def missed(values: Mapping[str, float]) -> list[str]:
    """The figures that are on the wrong side of their bars."""
    slow = [key for key, bar in AT_LEAST.items() if values[key] < bar]
    late = [key for key, bar in AT_MOST.items() if values[key] > bar]
    return slow + late + [WARM_SECONDS] * (values[WARM_SECONDS] > values[HOST_SECONDS] + MOST_MORE_SECONDS)
