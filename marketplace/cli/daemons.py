"""`bourse gateway | indexer | scheduler`: the processes of a market, until they are told to stop.

``processes`` is imported by who runs one: it brings the libraries of all servers.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from marketplace.cli.numbers import HealthPortOption, whole_option
from marketplace.config import from_env
from marketplace.telemetry import configure_logging

app = typer.Typer()


@app.command()
def gateway(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, whole_option("port", "Port to listen on.", least=1, most=65535)] = 8000,
    workers: Annotated[int, whole_option("workers", "Processes that serve, behind one port.", least=1, most=64)] = 1,
) -> None:
    """Serve the market over HTTP."""
    configure_logging("gateway")
    from marketplace import processes

    raise typer.Exit(processes.run_gateway(from_env(), host=host, port=port, workers=workers))


@app.command()
def relay(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, whole_option("port", "Port to listen on.", least=1, most=65535)] = 8022,
) -> None:
    """Join those who sit at a job by ssh to its provider: the gateways that name it in BOURSE_RELAY_URL send both here."""
    configure_logging("relay")
    from marketplace import processes

    processes.run_relay(from_env(), host=host, port=port)


@app.command()
def page(
    gateway: Annotated[str, typer.Option("--gateway", help="Whose market (default: BOURSE_GATEWAY_URL).")] = "",
    port: Annotated[int, whole_option("port", "Port to listen on.", least=1, most=65535)] = 8900,
) -> None:
    """Serve the page from this install, with your own address book, over a gateway that serves the rest. Ctrl-C ends it."""
    configure_logging("page")
    from marketplace import processes

    settings = from_env()
    processes.run_own_page(replace(settings, gateway_url=gateway or settings.gateway_url), port, say=print)


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
