"""`bourse provider check` and `bourse provider init`: before the first `up`, and whenever something is odd."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from rich.console import RenderableType
from rich.text import Text

from marketplace import wiring
from marketplace.chain.checksums import checksum
from marketplace.chain.token import coin_of
from marketplace.cli.outcomes import ExitCode
from marketplace.cli.session import JSON, KEY, CommandSession, with_session
from marketplace.cli.tables import amount, plain_table
from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import ConfigError, ToolMissing

if TYPE_CHECKING:
    from marketplace.provider.checking import MachineFinding
    from marketplace.provider.drafting import DraftTerms
    from marketplace.provider.gpus.nvml import SeenMachine
    from marketplace.provider.gpus.rig import GpuRig

app = typer.Typer()

_STYLES = {"good": "green", "advice": "yellow", "problem": "red"}


@app.command()
@with_session(JSON, KEY)
def check(
    session: CommandSession,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="Hold this inventory against the machine, too.", dir_okay=False)
    ] = None,
) -> None:
    """Look at this machine as a provider's, and say what to do about each finding. Runs canaries in the sandbox; changes nothing.

    Exit code 2: there is a problem; something cannot be rented out as it is.
    """
    found = list(_findings(session, inventory))
    session.answer([_document(one) for one in found], _table(found))
    if any(one.level == "problem" for one in found):
        raise typer.Exit(ExitCode.USAGE)


@app.command()
@with_session(JSON)
def init(
    session: CommandSession,
    inventory: Annotated[Path, typer.Option("--inventory", help="The file to write.", dir_okay=False)] = Path(
        "inventory.toml"
    ),
    region: Annotated[str, typer.Option("--region", help="Where this machine is, as clients will read it.")] = "eu",
) -> None:
    """Write a first inventory, commented: this machine's GPUs by UUID, at the market's prices. Nothing is overwritten."""
    from marketplace.provider.drafting import draft_inventory

    if inventory.exists():
        raise ConfigError([f"{inventory} is there already, and is left as it is"])
    seen = wiring.open_rig(session.settings).look()
    inventory.write_text(draft_inventory(seen, _terms(session, seen, region)))
    measured = [gpu.uuid for gpu in seen.gpus if isinstance(gpu.gpu_class, GpuClass)]
    session.answer(
        {"inventory": str(inventory), "gpus": measured},
        f"wrote {inventory}: {len(measured)} measured GPU{'' if len(measured) == 1 else 's'}; read it, then: bourse provider check --inventory {inventory}",
    )


def _findings(session: CommandSession, inventory: Path | None) -> Iterator[MachineFinding]:
    from marketplace.provider.checking import findings_of_inventory, good, problem
    from marketplace.provider.home import holder_of
    from marketplace.provider.inventory import load_inventory

    rig, settings = wiring.open_rig(session.settings), session.settings
    yield from _of_machine(rig, has_agent=bool(holder_of(settings.home)))
    yield from _of_market(session)
    if inventory is not None:
        try:
            found = load_inventory(inventory, decimals=_decimals(session), seen=rig.seen)
        except ConfigError as exc:
            yield problem("inventory", "; ".join(exc.problems), "mend the file: docs/how-to/provider.md has its fields")
        else:
            yield from findings_of_inventory(found, rig)
    pid = holder_of(settings.home)
    yield good("home", f"{settings.home}: " + (f"its agent is process {pid}" if pid else "no agent runs"))


def _of_machine(rig: GpuRig, *, has_agent: bool) -> Iterator[MachineFinding]:
    from marketplace import processes
    from marketplace.provider.checking import findings_of_machine, problem
    from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
    from marketplace.provider.executors.cgroups import find_cgroups
    from marketplace.provider.runtime import load_runtime

    try:
        with TemporaryDirectory() as records:
            runtime = load_runtime(processes.RUNTIME_FOLDER)
            executor = BubblewrapExecutor(runtime, records=Path(records), cgroups=find_cgroups())
            yield from findings_of_machine(executor, rig, has_agent=has_agent)
    except ToolMissing as exc:
        yield problem("sandbox", str(exc), exc.remedy)


def _of_market(session: CommandSession) -> Iterator[MachineFinding]:
    """As far as the settings name one: a machine can be looked at before there is any."""
    from marketplace.provider.checking import advice, asked, good, problem

    settings = session.settings
    if not settings.rpc_urls or not settings.address_book:
        yield advice("market", "no market is named", "set BOURSE_ADDRESS_BOOK, BOURSE_RPC_URLS and BOURSE_GATEWAY_URL")
        return

    def node() -> MachineFinding:
        market = wiring.open_chain_market(settings)
        try:
            return good("node", f"chain {market.chain.chain_id} at block {market.chain.head().number}")
        finally:
            market.chain.close()

    def gateway() -> MachineFinding:
        with session.gateway() as api:
            return (
                good("gateway", f"{settings.gateway_url} answers")
                if api.ready("receipts")
                else problem(
                    "gateway",
                    f"{settings.gateway_url} is not ready for receipts",
                    "name another one in BOURSE_GATEWAY_URLS",
                )
            )

    def money() -> MachineFinding:
        market, key = wiring.open_chain_market(settings), wiring.open_key(settings)
        try:
            free, coin = market.balance_of(key.address), coin_of(market.chain, key.address, market.chain.head())
            said = f"{checksum(key.address)} has {amount(free, market.terms())} free, and {coin} wei for gas"
            if not coin:
                return problem(
                    "money", said, "send it some of the chain's coin: without it it can neither list nor claim"
                )
            if not free:
                return problem("money", said, "bourse wallet deposit AMOUNT: leases need a bond of yours")
            return good("money", said)
        finally:
            market.chain.close()

    yield asked("node", node, "see BOURSE_RPC_URLS")
    yield asked("gateway", gateway, "see BOURSE_GATEWAY_URL")
    yield asked(
        "money", money, "bourse wallet new makes a key; BOURSE_KEYSTORE and BOURSE_KEYSTORE_PASSWORD_FILE name it"
    )


def _decimals(session: CommandSession) -> int:
    """Of the market's token; those of most stablecoins where no market is named."""
    if not session.settings.gateway_url:
        return 6
    with session.gateway() as api:
        return api.market().terms.token_decimals


def _terms(session: CommandSession, seen: SeenMachine, region: str) -> DraftTerms:
    from marketplace.provider.drafting import DraftTerms

    with session.gateway() as api:
        told = api.market()
        classes = {gpu.gpu_class for gpu in seen.gpus if isinstance(gpu.gpu_class, GpuClass)}
        asks = {
            known.name: tuple(
                int(offer.price) for offer in api.offers(known.number) if offer.listed and not offer.silent
            )
            for known in classes
        }
    place = session.settings.home
    while not place.exists():
        place = place.parent
    return DraftTerms(
        region=region, cpus=os.cpu_count() or 1, memory_mib=psutil.virtual_memory().total >> 20,
        disk_mib=shutil.disk_usage(place).free >> 20, arbiter=checksum(told.arbiter), asks=asks,
        token_decimals=told.terms.token_decimals, token_symbol=told.terms.token_symbol,
    )  # fmt: skip


def _document(one: MachineFinding) -> dict[str, str]:
    return {"level": one.level.value, "about": one.about, "found": one.said, "todo": one.todo}


def _table(found: list[MachineFinding]) -> RenderableType:
    table = plain_table("", "about", "found", "what to do")
    for one in found:
        table.add_row(Text(one.level.value, style=_STYLES[one.level.value]), one.about, one.said, one.todo)
    return table
