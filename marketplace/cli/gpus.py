"""`bourse top` and `bourse gpu`: how busy a job's GPUs are, and what this machine's are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from marketplace import wiring
from marketplace.api.gpu_use import GpuSampleDocument
from marketplace.api.job_use import JobSampleDocument
from marketplace.cli.jobs import JobArgument
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.cli.tables import clock, plain_table
from marketplace.domain.classes import GpuClass
from marketplace.domain.wire import camel

if TYPE_CHECKING:
    from marketplace.provider.gpus.nvml import GpuSample, SeenGpu
    from marketplace.provider.gpus.rig import GpuRig

app = typer.Typer()


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def top(
    session: CommandSession,
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="With every block, until the job is over.")] = False,
) -> None:
    """Show how busy a running job and its GPUs are, in its provider's words: processors and memory; of each GPU use, memory, power, temperature."""
    with session.market() as market:
        found, shown = market.job(job), (list[GpuSampleDocument](), list[JobSampleDocument]())
        if follow and not session.as_json:
            for _ in market.steps(None):
                newest = found.gpu_samples(), found.use_samples()
                if newest != shown:
                    session.answer([], Group(_job_use(newest[1]), Text(), _use(newest[0])))
                shown = newest
                if found.is_terminal:
                    return
        samples, own = found.gpu_samples(), found.use_samples()
        told = {"samples": [_sample(one) for one in samples], "job": [_sample(one) for one in own]}
        session.answer({"id": found.id, "state": found.state} | told, Group(_job_use(own), Text(), _use(samples)))


@app.command()
@with_session(JSON)
def gpu(session: CommandSession) -> None:
    """Show this machine's GPUs: what the driver says of each, the class that it can be offered as, and how busy it is. Exit code 0 also where there are none."""
    rig = wiring.open_rig(session.settings)
    seen = rig.look()
    samples = {one.uuid: one for one in rig.sample(gpu.uuid for gpu in seen.gpus)} if seen.gpus else {}
    session.answer(
        {
            "driver": seen.driver,
            "cuda": seen.cuda,
            "trouble": rig.trouble,
            "gpus": [_gpu(one, samples.get(one.uuid)) for one in seen.gpus],
        },
        _machine(rig, samples),
    )


def _sample(one: GpuSampleDocument | JobSampleDocument) -> dict[str, Any]:
    return {camel(name): getattr(one, name) for name in one.__struct_fields__}


def _job_use(samples: Sequence[JobSampleDocument]) -> RenderableType:
    """What the job itself uses: its processors over the newest two samples and over all, its memory now and at most."""
    if not samples:
        return Text("Its provider tells nothing of its processors and memory yet.")
    table = plain_table("job", "at", "processors", "on average", "of", "memory", "at most", "of")
    last = samples[-1]
    table.add_row(
        "", clock(last.at), _busy(samples[-2:]), _busy(samples), str(last.cpus), f"{last.memory_used_mib} MiB",
        f"{max(one.memory_used_mib for one in samples)} MiB", f"{last.memory_mib} MiB",
    )  # fmt: skip
    return table


def _busy(samples: Sequence[JobSampleDocument]) -> str:
    """How many processors were busy between the first and the last of them, in tenths."""
    first, last = samples[0], samples[-1]
    tenths = max(0, last.cpu_milliseconds - first.cpu_milliseconds) // max(1, 100 * (last.at - first.at))
    return f"{tenths // 10}.{tenths % 10}" if last.at > first.at else "–"


def _use(samples: Sequence[GpuSampleDocument]) -> RenderableType:
    """The newest sample of each GPU, and over all that are kept how busy it was."""
    if not samples:
        return Text("Its provider tells nothing of its GPUs: they are declared, or the job does not run yet.")
    table = plain_table("GPU", "at", "busy", "on average", "memory", "at most", "power", "temperature")
    for uuid in dict.fromkeys(one.uuid for one in samples):
        own = [one for one in samples if one.uuid == uuid]
        busy = [one.busy_percent for one in own if one.busy_percent is not None]
        memory = [one.memory_used_mib for one in own if one.memory_used_mib is not None]
        last = own[-1]
        table.add_row(
            uuid, clock(last.at), _with(last.busy_percent, "%"), _with(sum(busy) // len(busy) if busy else None, "%"),
            _with(last.memory_used_mib, "MiB"), _with(max(memory, default=None), "MiB"), _with(last.power_watts, "W"),
            _with(last.temperature_celsius, "°C"),
        )  # fmt: skip
    return table


def _machine(rig: GpuRig, samples: dict[str, GpuSample]) -> RenderableType:
    seen = rig.seen
    if not seen.gpus:
        return Text(f"No GPU is to be seen here: {rig.trouble or 'the driver shows none'}.")
    head = Text(f"driver {seen.driver or '–'}, CUDA {seen.cuda or '–'}")
    table = plain_table("", "GPU", "name", "memory", "class", "busy", "power", "temperature", "computing for")
    for one in seen.gpus:
        use = samples.get(one.uuid)
        table.add_row(
            str(one.index), one.uuid, one.name, _with(one.memory_mib, "MiB"), _class_of(one), _with(use.busy_percent if use else None, "%"),
            _with(use.power_w if use else None, "W"), _with(one.temperature_c, "°C"),
            "–" if one.processes is None else ", ".join(map(str, one.processes)) or "nobody",
        )  # fmt: skip
    return Group(head, Text(), table)


def _class_of(one: SeenGpu) -> Text:
    found = one.gpu_class
    return Text(found.name) if isinstance(found, GpuClass) else Text(f"none: {found}", style="yellow")


def _gpu(one: SeenGpu, use: GpuSample | None) -> dict[str, Any]:
    found = one.gpu_class
    is_class = isinstance(found, GpuClass)
    return _camel(asdict(one)) | {
        "class": found.name if isinstance(found, GpuClass) else None,
        "refusal": None if is_class else str(found),
        "sample": use and _camel(asdict(use)),
    }


def _camel(fields: dict[str, Any]) -> dict[str, Any]:
    return {camel(name): value for name, value in fields.items()}


def _with(number: int | None, unit: str) -> str:
    return "–" if number is None else f"{number} {unit}"
