"""What `bourse run` can be told: its options, each with its words and its bounds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.job_files import take_job_file
from marketplace.cli.numbers import whole_option
from marketplace.domain.egress import MAX_EGRESS_MIB
from marketplace.domain.spec import MAX_NODES
from marketplace.domain.units import BPS_WHOLE

MAX_GPUS, MAX_RETRIES = 2**16 - 1, 1_000


class Silence(StrEnum):
    """What `bourse run` does about a provider that has fallen silent."""

    ELSEWHERE = "elsewhere"
    TERMINATE = "terminate"


CommandArgument = Annotated[
    list[str] | None, typer.Argument(help="The command, after --. It runs in /job/in.", metavar="-- COMMAND…")
]

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="Job file: these options, in YAML. What is said here goes before.", exists=True,
        dir_okay=False, is_eager=True, callback=take_job_file,
    ),
]  # fmt: skip
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan and the worst cost; sign and send nothing.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Take the price that is asked where none is said.")]

# What it needs, and what it may cost

GpuOption = Annotated[
    list[str],
    typer.Option(
        "--gpu",
        help="GPU class, or all of a family (H100), 24GB (at least), or cheapest; repeat for several that would do.",
    ),
]
MaxPriceOption = Annotated[
    str | None, typer.Option("--max-price", help="The most per GPU-hour, e.g. 0.40 (default: what is asked now).")
]
MaxTimeOption = Annotated[str, typer.Option("--max-time", help="The longest time to pay for: 90s, 10m, 2h30m.")]
GpusOption = Annotated[int, whole_option("gpus", "GPUs needed together, on one machine.", least=1, most=MAX_GPUS)]
NodesOption = Annotated[
    int, whole_option("nodes", "Machines needed together, of one provider.", least=1, most=MAX_NODES)
]
VramOption = Annotated[int, whole_option("vram", "MiB of memory each GPU needs.")]
CpusOption = Annotated[int, whole_option("cpus", "CPUs the job needs.", least=1)]
MemoryOption = Annotated[int, whole_option("memory", "MiB of memory the job needs.", least=16)]
DiskOption = Annotated[int, whole_option("disk", "MiB of disk the job needs.", least=1)]

# What goes in, and what comes out

InputOption = Annotated[
    Path | None, typer.Option("--input", help="Folder whose content becomes /job/in.", file_okay=False, exists=True)
]
OutputOption = Annotated[Path | None, typer.Option("--output", help="Folder for what the job leaves in /job/out.")]
ImageOption = Annotated[
    str, typer.Option("--image", help="Container image, by what `bourse image push` said; host: the job runtime.")
]
EntrypointOption = Annotated[
    bool, typer.Option("--entrypoint", help="Start the image's own entrypoint, with the command as its words.")
]
PipOption = Annotated[
    Path | None,
    typer.Option(
        "--pip",
        help="Requirements file, with hashes: its wheels are fetched here and sent along.",
        dir_okay=False,
        exists=True,
    ),
]
EnvOption = Annotated[list[str] | None, typer.Option("--env", help="NAME=VALUE for the job; repeat.")]
SshOption = Annotated[
    bool, typer.Option("--ssh", help="Let me sit at it while it runs (bourse ssh), by a key of this home's own.")
]
SshKeyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--ssh-key", help="A public key (.pub) of somebody who may, too; repeat.", dir_okay=False, exists=True
    ),
]
SealOption = Annotated[
    bool, typer.Option("--seal", help="Encrypt all of it to the provider that serves it; the log comes at the end.")
]
SecretOption = Annotated[
    list[str] | None,
    typer.Option("--secret", help="NAME, the value of that variable, or NAME=@FILE; repeat. A file in /job/secrets."),
]
EgressOption = Annotated[
    list[str] | None,
    typer.Option("--egress", help="HOST:PORT that the job may connect to; repeat. Else it has no network."),
]
EgressMibOption = Annotated[
    int, whole_option("egress-mib", "MiB that it may send and receive then.", least=1, most=MAX_EGRESS_MIB)
]
NameOption = Annotated[str, typer.Option("--name", help="What to call the job.")]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait, countersign and download, or only submit.")]

# Whom it may run with

RegionOption = Annotated[list[str] | None, typer.Option("--region", help="Only providers there; repeat.")]
PreferRegionOption = Annotated[
    list[str] | None, typer.Option("--prefer-region", help="Rather there, if hardly dearer; repeat.")
]
MinTimeOption = Annotated[str | None, typer.Option("--min-time", help="Guaranteed to the provider, if it asks for it.")]
MinBondOption = Annotated[int, whole_option("min-bond", "Smallest bond accepted, in basis points.", most=BPS_WHOLE)]
TipOption = Annotated[str, typer.Option("--tip", help="To the scheduler, when the lease opens.")]
OpenerOption = Annotated[
    str | None, typer.Option("--opener", help="Who alone may open the order (default: BOURSE_OPENER).")
]
ArbiterOption = Annotated[
    str | None, typer.Option("--arbiter", help="Who rules on the lease (default: BOURSE_ARBITER).")
]

# What becomes of it

ExpiresInOption = Annotated[str, typer.Option("--expires-in", help="How long the order may wait to be served.")]
RetriesOption = Annotated[
    int,
    whole_option("retries", "Fresh orders when a provider falls silent or says that it failed.", most=MAX_RETRIES),
]
SilenceOption = Annotated[
    Silence,
    typer.Option("--on-silence", help="Order elsewhere beside a silent provider's lease, or terminate that first."),
]
