"""Stays with one job from its start to its end, whatever becomes of the agent that started it.

Run as a program of its own (``python -I -m … RECORD MARK``), in its own session. It starts the sandbox, watches log,
disk, memory and time, and writes how the job ended into the record. It ends the job when the agent says so by a signal
(``guard.ASK``, ``guard.INSIST``), and when no agent has attended to it for too long. Signals that a terminal or a
service manager sends to all processes of an agent are not for it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from marketplace.provider.executors.base import EndReason, ExecutionResult
from marketplace.provider.executors.guard import GuardWishes
from marketplace.provider.executors.passing import secrets_passed
from marketplace.provider.executors.records import JobRecord, read_plan
from marketplace.provider.executors.sandbox import start_sandbox
from marketplace.provider.executors.watch import Watch
from marketplace.provider.executors.way_out import JobWayOut

_NOT_STARTED = 1
_STDIN = 0
"""Where its agent has left the job's secrets."""


def main(record: JobRecord) -> None:
    """Run the record's job to its end."""
    wishes = GuardWishes()
    if record.verdict() is not None:
        return  # an agent found nobody here, and has told the end already
    record.write_verdict(_ran(record, wishes))


def _ran(record: JobRecord, wishes: GuardWishes) -> ExecutionResult:
    plan = read_plan(record.plan.read_bytes())
    plan = replace(plan, request=replace(plan.request, secrets=secrets_passed(_STDIN)))
    try:
        way_out = JobWayOut(plan)
        watch = Watch(plan.request, wishes, lambda: start_sandbox(plan), record.is_attended, way_out.open)
    except OSError as exc:
        return ExecutionResult(_NOT_STARTED, EndReason.LOST, (), f"the sandbox could not be started: {exc}")
    result = watch.until_over()
    return replace(result, egress_bytes=way_out.close())


if __name__ == "__main__":
    main(JobRecord(Path(sys.argv[1])))
