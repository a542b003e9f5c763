"""`bourse gateway | indexer | scheduler | provider up`: the processes of a market, until they are told to stop.

``processes`` is imported by who runs one: it brings the libraries of all servers.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli import documents, tables
from marketplace.cli.numbers import whole_option
from marketplace.cli.outcomes import ExitCode
from marketplace.cli.session import JsonOption, KeystoreOption, PasswordOption, Session
from marketplace.config import from_env
from marketplace.domain.ids import bytes32
from marketplace.domain.units import MAX_LEASE_SECONDS, Seconds, seconds_from_text
from marketplace.telemetry import configure_logging

app = typer.Typer()
provider_app = typer.Typer(help="Rent out GPUs.", no_args_is_help=True)


HealthPortOption = Annotated[
    int | None,
    whole_option(
        "health-port", "Answer /live and /ready on this port of 127.0.0.1 (0: any; default: not at all).", most=65535
    ),
]


@app.command()
def gateway(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, whole_option("port", "Port to listen on.", least=1, most=65535)] = 8000,
) -> None:
    """Serve the market over HTTP."""
    configure_logging("gateway")
    from marketplace import processes

    processes.run_gateway(from_env(), host=host, port=port)


@app.command()
def indexer(health_port: HealthPortOption = None) -> None:
    """Follow the chain and keep the projection of the market; stand by while another indexer does."""
    configure_logging("indexer")
    from marketplace import processes

    processes.run_indexer(from_env(), health_port)


class Engine(StrEnum):
    """Where auctions are held. The plans are the same."""

    LOCAL = "local"
    RAY = "ray"


@app.command()
def scheduler(
    engine: Annotated[
        Engine, typer.Option("--engine", help="Where auctions are held: in this process, or on a Ray cluster.")
    ] = Engine.LOCAL,
    ray_address: Annotated[
        str,
        typer.Option(
            "--ray-address", help="The cluster: host:port (default: BOURSE_RAY_ADDRESS, or the one of this machine)."
        ),
    ] = "",
    health_port: HealthPortOption = None,
) -> None:
    """Clear the market and post the fills; expire and finalize what is due; stand by while another scheduler of this account does."""
    configure_logging("scheduler")
    from marketplace import processes

    settings = from_env()
    settings = replace(settings, ray_address=ray_address or settings.ray_address)
    processes.run_scheduler(settings, on_ray=engine is Engine.RAY, health_port=health_port)


@provider_app.command()
def up(
    inventory: Annotated[
        Path, typer.Option("--inventory", help="What there is to rent out (TOML).", dir_okay=False, exists=True)
    ],
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    health_port: HealthPortOption = None,
    grace: Annotated[
        str, typer.Option("--grace", help="How long jobs may go on after SIGTERM before they are handed back: 90s, 2h.")
    ] = "60s",
) -> None:
    """List the inventory's GPUs and serve the leases that open on them; stand by while another agent has this home folder.

    SIGTERM drains: no new leases, jobs finish or are handed back with a receipt. A second one quits at once. SIGHUP reads the
    inventory again, as does a change of the file. Exit code 7: leases were left that somebody has to come back for in time.
    """
    configure_logging("provider")
    from marketplace import processes

    grace_seconds = seconds_from_text(grace, field="grace")
    settings = from_env().with_key(keystore, password_file)
    if processes.run_provider(settings, inventory, health_port, grace_seconds):
        raise typer.Exit(ExitCode.TIMED_OUT)


@provider_app.command()
def offers(json: JsonOption = False, keystore: KeystoreOption = None, password_file: PasswordOption = None) -> None:
    """List this account's own offers."""
    session = Session(json, keystore, password_file)
    with session.market() as market:
        rows = market.api.offers(provider=market.account)
        session.answer([documents.offer(row) for row in rows], tables.offers(rows, market.terms))


@provider_app.command()
def claim(
    lease: Annotated[str, typer.Argument(help="The lease's id: 0x and 64 hex digits.")],
    seconds: Annotated[
        int | None, whole_option("seconds", "Seconds used (default: all on the meter).", most=MAX_LEASE_SECONDS)
    ] = None,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
) -> None:
    """Claim a lease's pay by hand, for a result that was posted; the agent does this by itself when a client is silent."""
    session = Session(json, keystore, password_file)
    with session.market() as market:
        mined = market.leases.claim(bytes32(lease, field="lease"), None if seconds is None else Seconds(seconds))
        session.answer(
            {"lease": lease, "transaction": mined.tx_hash, "block": mined.block.number},
            f"claimed in block {mined.block.number}; it can be finalized when the challenge window is over",
        )
