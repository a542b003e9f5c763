"""`bourse provider …`: rent out GPUs, and look after what is rented out.

``processes`` and what stands below it is imported by who needs it: it brings the libraries of all servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace import wiring
from marketplace.chain.checksums import address_from_text
from marketplace.cli import documents, provider_documents, provider_tables, tables
from marketplace.cli.numbers import HealthPortOption, whole_argument, whole_option
from marketplace.cli.outcomes import ExitCode
from marketplace.cli.session import JSON, KEY, CommandSession, KeystoreOption, PasswordOption, with_session
from marketplace.client.measured import measured
from marketplace.config import from_env
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import OfferId, bytes32
from marketplace.domain.units import MAX_LEASE_SECONDS, PricePerGpuHour, Seconds, seconds_from_text, units_from_text
from marketplace.domain.wire import block_to_wire
from marketplace.telemetry import configure_logging

if TYPE_CHECKING:
    from marketplace.provider.commands import ProviderCommands

app = typer.Typer(help="Rent out GPUs.", no_args_is_help=True)

OfferArgument = Annotated[
    int, whole_argument("offer", "The offer's number, as `bourse provider status` shows it.", least=1)
]


@app.command()
def up(
    inventory: Annotated[
        Path, typer.Option("--inventory", help="What there is to rent out (TOML).", dir_okay=False, exists=True)
    ],
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    health_port: HealthPortOption = None,
    spv: Annotated[
        str | None,
        typer.Option("--spv", help="Serve as this company; the key is its operator's (`bourse spv create`)."),
    ] = None,
    grace: Annotated[
        str, typer.Option("--grace", help="How long jobs may go on after SIGTERM before they are handed back: 90s, 2h.")
    ] = "60s",
) -> None:
    """List the inventory's GPUs and serve the leases that open on them; stand by while another agent has this home folder.

    SIGTERM drains: no new leases, jobs finish or are handed back with a receipt. A second one quits at once. SIGHUP reads the
    inventory again, as does a change of the file. Exit code 7: leases or offers were left that somebody has to come back for in time.
    """
    configure_logging("provider")
    from marketplace import processes

    grace_seconds = seconds_from_text(grace, field="grace")
    settings = from_env().with_key(keystore, password_file)
    company = None if spv is None else address_from_text(spv, field="spv")
    if not processes.run_provider(settings, inventory, health_port, grace_seconds, company):
        raise typer.Exit(ExitCode.TIMED_OUT)


@app.command()
@with_session(JSON, KEY)
def status(session: CommandSession) -> None:
    """Show whether an agent runs, what is on offer, what is being served and what it holds. Exit code 4: no agent runs."""
    with _desk(session) as desk:
        seen, account, terms = desk.picture(), desk.key.address, desk.terms
    session.answer(provider_documents.status(seen, account, terms), provider_tables.status(seen, account, terms))
    if not seen.pid:
        raise typer.Exit(ExitCode.UNAVAILABLE)


@app.command()
@with_session(JSON, KEY)
def leases(
    session: CommandSession,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
) -> None:
    """List the leases that are being served, from the agent's journal and the chain."""
    with _desk(session) as desk:
        head, terms = desk.market.chain.head(), desk.terms
        rows = desk.leases(head, with_closed=every)
    document = [provider_documents.lease(row, terms) for row in rows]
    session.answer(document, provider_tables.leases(rows, head, terms))


@app.command("images")
@with_session(JSON)
def cached_images(session: CommandSession) -> None:
    """List the container images that are kept unpacked on this machine, the one used last first, and which of them jobs use."""
    from marketplace.provider.images.cache import images_in

    home = session.settings.home
    found = sorted(images_in(home / "images", home / "servings"), key=lambda one: -one.used_at)
    session.answer([provider_documents.cached_image(one) for one in found], provider_tables.cached_images(found))


class By(StrEnum):
    """What earnings are added up by."""

    LEASE = "lease"
    DAY = "day"
    CLASS = "class"


@app.command()
@with_session(JSON, KEY)
def earnings(
    session: CommandSession,
    by: Annotated[By, typer.Option("--by", help="What to add up by.")] = By.LEASE,
) -> None:
    """Add up what the chain says was earned, and hold it against the balance. Reads all of the market's events.

    Exit code 5: the events do not explain the balance.
    """
    with _desk(session) as desk:
        head, terms = desk.market.chain.head(), desk.terms
        books, balance = desk.earnings(head)
    session.answer(
        provider_documents.earnings(books, by, balance, head, terms),
        provider_tables.earnings(books, by, balance, terms),
    )
    if books.balance != balance:
        raise typer.Exit(ExitCode.LOST)


@app.command()
@with_session(JSON, KEY)
def pause(session: CommandSession) -> None:
    """Withdraw every offer, so that no new lease opens; those that are open are served. It stays so until `resume`.

    Exit code 7: the agent has not acted on it within 30 seconds; it will.
    """
    from marketplace.store.journal.wishes import AgentStanding

    with _desk(session) as desk:
        outcome = desk.stand(AgentStanding.PAUSED)
    _tell(session, "paused", outcome.value, "nothing is on offer until `bourse provider resume`")


@app.command()
@with_session(JSON, KEY)
def resume(session: CommandSession) -> None:
    """Put the inventory on offer again. Exit code 7: the agent has not acted on it within 30 seconds; it will."""
    from marketplace.store.journal.wishes import AgentStanding

    with _desk(session) as desk:
        outcome = desk.stand(AgentStanding.OPEN)
    alone = "no agent runs: `bourse provider up` puts the inventory on offer"
    _tell(session, "open", outcome.value, "the inventory is on offer", alone)


@app.command()
@with_session(JSON, KEY)
def drain(
    session: CommandSession,
    wait: Annotated[str, typer.Option("--wait", help="Wait so long for the agent's end: 90s, 2h.")] = "",
) -> None:
    """Pause; when every lease is over, or claimed and delivered, the agent ends with exit code 0.

    Exit code 7: the agent has not acted on it, has not ended within --wait, or none runs although leases need one.
    """
    from marketplace.provider.commands import WishOutcome
    from marketplace.store.journal.wishes import AgentStanding

    seconds = seconds_from_text(wait, field="wait") if wait else 0
    with _desk(session) as desk:
        outcome = desk.stand(AgentStanding.DRAINING)
        has_ended = desk.await_end(seconds) if seconds else None
        left = len(desk.leases(desk.market.chain.head()))
    is_late = outcome is WishOutcome.WAITING or has_ended is False or (outcome is WishOutcome.ALONE and left > 0)
    words = (
        f"nothing is on offer; {left} lease{'' if left == 1 else 's'} to finish" if left else "nothing is left to do"
    )
    if outcome is WishOutcome.ALONE and left:
        words += ", and no agent runs: start it with `bourse provider up`, it stays paused"
    _tell(session, "draining", outcome.value, words, words, is_late=is_late, leases=left, ended=has_ended)


@app.command()
@with_session(JSON, KEY)
def reprice(
    session: CommandSession,
    offer: OfferArgument,
    price: Annotated[
        str, typer.Argument(help="The new price per GPU-hour, e.g. 0.40; or inventory: the file's again.")
    ],
) -> None:
    """Ask another price for an offer from now on; leases that are open keep theirs. It holds until the file's price changes.

    Exit code 7: the agent has not acted on it within 30 seconds; it will.
    """
    with _desk(session) as desk:
        units = None if price == "inventory" else units_from_text(price, desk.terms.token_decimals, field="price")
        if units == 0:
            raise ConfigError(["the price must be above 0: `bourse provider pause` takes offers away"])
        outcome = desk.reprice(OfferId(offer), None if units is None else PricePerGpuHour(units))
        told = "the inventory's price" if units is None else f"{tables.amount(units, desk.terms)} per GPU-hour"
    _tell(session, "repriced", outcome.value, f"offer {offer} is at {told}", offer=offer)


@app.command()
@with_session(JSON, KEY)
def offers(session: CommandSession) -> None:
    """List this account's own offers, as the gateway shows them."""
    with session.market() as market:
        rows, now = market.api.offers(provider=market.account), market.chain.head().timestamp
        seen = measured(market.api, rows, market.terms)
        session.answer(
            [documents.offer(row, seen.get(row.id)) for row in rows], tables.offers(rows, market.terms, now, seen)
        )


@app.command()
@with_session(JSON, KEY)
def claim(
    session: CommandSession,
    lease: Annotated[str, typer.Argument(help="The lease's id: 0x and 64 hex digits.")],
    seconds: Annotated[
        int | None, whole_option("seconds", "Seconds used (default: all on the meter).", most=MAX_LEASE_SECONDS)
    ] = None,
) -> None:
    """Claim a lease's pay by hand, for a result that was posted; the agent does this by itself when a client is silent."""
    with session.market() as market:
        mined = market.leases.claim(bytes32(lease, field="lease"), None if seconds is None else Seconds(seconds))
        session.answer(
            {"lease": lease, "transaction": mined.tx_hash, "block": block_to_wire(mined.block)},
            f"claimed in block {mined.block.number}; it can be finalized when the challenge window is over",
        )


def _tell(
    session: CommandSession,
    wish: str,
    outcome: str,
    words: str,
    alone: str = "",
    *,
    is_late: bool | None = None,
    **more: object,
) -> None:
    """One answer of the commands that steer, and their exit code."""
    how = {
        "heeded": words,
        "waiting": "the agent has not acted on it yet; it will at its next step: see its log",
        "alone": alone or f"no agent runs: done by this command; {words}",
    }
    session.answer({"wish": wish, "outcome": outcome, **more}, f"{wish}: {how[outcome]}")
    if outcome == "waiting" if is_late is None else is_late:
        raise typer.Exit(ExitCode.TIMED_OUT)


@contextmanager
def _desk(session: CommandSession) -> Iterator[ProviderCommands]:
    """The desk of the home that the settings name. Raises ConfigError where no agent has ever run in it, or one of another key."""
    from marketplace.provider.commands import ProviderCommands
    from marketplace.store.journal.agent import AGENT_JOURNAL, open_agent_journal

    settings = session.settings
    if not (settings.home / AGENT_JOURNAL).is_file():
        raise ConfigError([f"no agent has run in {settings.home} (BOURSE_HOME): `bourse provider up` starts one"])
    market, key = wiring.open_chain_market(settings), wiring.open_key(settings)
    journal = open_agent_journal(settings.home)
    try:
        sender = wiring.open_sender(settings, market, key, journal.outbox)
        desk = ProviderCommands(market, key, journal, sender, settings.home)
        desk.check_key()
        yield desk
    finally:
        journal.close()
        market.chain.close()
