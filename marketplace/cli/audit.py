"""`bourse audit`: the market's books, or one round of its scheduler. Reads only; nothing is signed, no key is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from marketplace import wiring
from marketplace.chain.catalogue import Catalogue
from marketplace.chain.checksums import address_from_text
from marketplace.chain.market import MarketContract
from marketplace.cli import documents, tables
from marketplace.cli.numbers import whole_option
from marketplace.cli.outcomes import ExitCode
from marketplace.cli.session import JSON, CommandSession, with_session
from marketplace.client.opening import own_orders
from marketplace.domain.errors import InvalidField
from marketplace.domain.events import BatchOpened
from marketplace.domain.ids import ZERO_BYTES32, Address, Bytes32, bytes32
from marketplace.domain.market import MarketTerms
from marketplace.domain.wire import block_to_wire
from marketplace.services.books import Books

if TYPE_CHECKING:
    from scheduler.audit.findings import Report
    from scheduler.audit.word import OwnOrder

app = typer.Typer()

_COLOURS = {"ok": "green", "FAILED": "bold red", "warning": "yellow", "not checked": "dim"}


@app.command()
@with_session(JSON)
def audit(
    session: CommandSession,
    round_hash: Annotated[
        str | None,
        typer.Argument(help="A round, as BatchOpened has it; without one, the market's books.", metavar="ROUND"),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="The plan's file, instead of the gateway's.", exists=True, dir_okay=False),
    ] = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            "--snapshot",
            help="The snapshot's file, with its pages in a folder beside it, instead of the gateway's.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="A folder for the round's documents.", file_okay=False)
    ] = None,
    last: Annotated[
        int, whole_option("last", "Audit the last so many rounds that the scheduler posted.", most=1_000)
    ] = 0,
    opener: Annotated[
        str | None, typer.Option("--opener", help="With --last: whose (default: the gateway's scheduler).")
    ] = None,
) -> None:
    """Hold a round of the scheduler, or the market's books, against the chain. Exits with 5 where something does not hold."""
    if round_hash is not None and last:
        raise InvalidField("--last", "goes without a ROUND")
    if (plan is None) != (snapshot is None):
        raise InvalidField("--plan" if plan is None else "--snapshot", "is needed, too: a round has two documents")
    if last:
        holds = _latest(session, last, address_from_text(opener, field="--opener") if opener else None)
    elif round_hash is None:
        holds = _books(session)
    else:
        files = (plan, snapshot) if plan and snapshot else None
        holds = _round(session, bytes32(round_hash, field="ROUND"), files, save)
    if not holds:
        raise typer.Exit(ExitCode.LOST)


def _books(session: CommandSession) -> bool:
    books = wiring.audit(session.settings)
    terms = _terms(session)
    session.answer(_books_document(books, terms), _books_table(books, terms))
    return books.is_balanced and books.is_what_the_chain_says


def _terms(session: CommandSession) -> MarketTerms:
    market = wiring.open_chain_market(session.settings)
    try:
        return market.terms()
    finally:
        market.chain.close()


def _round(session: CommandSession, round_hash: Bytes32, files: tuple[Path, Path] | None, save: Path | None) -> bool:
    # Here, and not above: the engine's libraries take longer to load than most commands to run.
    from scheduler.audit.files import documents_in, save_documents
    from scheduler.audit.round import audit_round, fetch_documents, neighbours_of, reader_of
    from scheduler.audit.word import KnownElsewhere

    market, book = wiring.open_chain_market(session.settings), wiring.open_address_book(session.settings)
    catalogue = Catalogue(market.chain, book.catalogue)
    try:
        own = _own(session, market)
        if files:
            found = documents_in(*files)
            report = audit_round(round_hash, found, market, catalogue, None, KnownElsewhere(own))
        else:
            with session.gateway() as api:
                reader = reader_of(api)
                found = fetch_documents(api, round_hash, reader)
                beside = neighbours_of(api, market, round_hash, reader)
                report = audit_round(round_hash, found, market, catalogue, api, KnownElsewhere(own, beside))
    finally:
        market.chain.close()
    if save:
        save_documents(found, save)
    session.answer(_report_document(report), _report_table(report))
    return report.holds


def _own(session: CommandSession, market: MarketContract) -> list[OwnOrder]:
    from scheduler.audit.word import OwnOrder

    return [OwnOrder(kept.signed, kept.signed_at) for kept in own_orders(session.settings.home, market)]


def _latest(session: CommandSession, last: int, opener: Address | None) -> bool:
    """Round by round, each with a verdict. A batch under no round cannot be held against anything: whoever decided it says nothing."""
    from scheduler.audit.round import audit_round, fetch_documents, latest_batches, reader_of, snapshot_in
    from scheduler.audit.word import KnownElsewhere

    market, book = wiring.open_chain_market(session.settings), wiring.open_address_book(session.settings)
    catalogue = Catalogue(market.chain, book.catalogue)
    rows: list[tuple[BatchOpened, Report | None]] = []
    try:
        own = _own(session, market)
        with session.gateway() as api:
            batches = latest_batches(market, opener or api.market().opener, last)
            reader = reader_of(api)
            named = [batch for batch in batches if batch.round != ZERO_BYTES32]
            later, older = None, iter(named[1:])
            found = {named[0].round: fetch_documents(api, named[0].round, reader)} if named else {}
            for batch in batches:
                if batch.round == ZERO_BYTES32:
                    rows.append((batch, None))
                    continue
                # Of each round the documents are fetched once: it is somebody's neighbour before it is audited itself.
                if (before := next(older, None)) is not None:
                    found[before.round] = fetch_documents(api, before.round, reader)
                documents = found.pop(batch.round)
                beside = [later, snapshot_in(found[before.round]) if before else None]
                known = KnownElsewhere(own, [snapshot for snapshot in beside if snapshot is not None])
                rows.append((batch, audit_round(batch.round, documents, market, catalogue, api, known)))
                later = snapshot_in(documents)
    finally:
        market.chain.close()
    session.answer([_row_document(*row) for row in rows], _rows_table(rows))
    return all(report is not None and report.holds for _, report in rows)


def _row_document(batch: BatchOpened, report: Report | None) -> dict[str, Any]:
    holds, words = report is not None and report.holds, _failures(report)
    return {
        "round": batch.round,
        "block": block_to_wire(batch.ref.block),
        "opened": batch.opened,
        "holds": holds,
        "failed": words,
        "unproven": report is not None and report.is_unproven,
    }


def _failures(report: Report | None) -> list[str]:
    return ["no round"] if report is None else [str(check) for check in report.failed]


def _rows_table(rows: Sequence[tuple[BatchOpened, Report | None]]) -> Table:
    table = tables.plain_table("round", "block", "opened", "")
    for batch, report in rows:
        failures = _failures(report)
        verdict = Text(f"FAILED: {', '.join(failures)}", style="bold red") if failures else Text("ok", style="green")
        if report is not None and report.is_unproven:
            verdict = Text(
                "warning: its block has left the chain by a reorganisation, so not all was checked", style="yellow"
            )
        table.add_row(batch.round, str(batch.ref.block.number), str(batch.opened), verdict)
    return table


def _report_document(report: Report) -> dict[str, Any]:
    return {
        "round": report.round,
        "holds": report.holds,
        "reason": "" if report.holds else "AuditFailed",
        "failed": [str(check) for check in report.failed],
        "findings": [
            {"check": str(one.check), "verdict": str(one.verdict), "words": list(one.words)} for one in report.findings
        ],
    }


def _report_table(report: Report) -> Table:
    table = tables.plain_table("check", "", "what was found")
    for one in report.findings:
        table.add_row(str(one.check), Text(str(one.verdict), style=_COLOURS[str(one.verdict)]), "\n".join(one.words))
    return table


def _books_document(books: Books, terms: MarketTerms) -> dict[str, Any]:
    return {
        "block": block_to_wire(books.block),
        "accounts": len(books.accounts),
        **documents.money("free", sum(books.accounts.values()), terms),
        **documents.money("locked", books.locked, terms),
        **documents.money("held", books.held, terms),
        "isBalanced": books.is_balanced,
        "isWhatTheChainSays": books.is_what_the_chain_says,
    }


def _books_table(books: Books, terms: MarketTerms) -> Table:
    table = tables.plain_table("the market's books", "")
    table.add_row("as of block", str(books.block.number))
    table.add_row("accounts", str(len(books.accounts)))
    table.add_row("free, in all", tables.amount(sum(books.accounts.values()), terms))
    table.add_row("locked in live leases", tables.amount(books.locked, terms))
    table.add_row("held by the contract", tables.amount(books.held, terms))
    table.add_row("held is what is owed", "yes" if books.is_balanced else "NO")
    table.add_row("events and contract agree", "yes" if books.is_what_the_chain_says else "NO")
    return table
