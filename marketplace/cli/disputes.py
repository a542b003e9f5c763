"""`bourse dispute | rule | lapse | backstop | collect | assign`: what happens to a lease on which the two sides do not agree, and who is paid."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace import wiring
from marketplace.chain import arbiter_verbs
from marketplace.chain.arbiter_verbs import panel_of
from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.transactions import Mined, Sender
from marketplace.cli import documents, tables
from marketplace.cli.numbers import whole_option
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.client import Market
from marketplace.domain import events as e
from marketplace.domain.errors import ConfigError, InvalidField, NotFound
from marketplace.domain.ids import Bytes32, bytes32
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import MAX_LEASE_SECONDS, Seconds, text_from_seconds

app = typer.Typer()

LeaseArgument = Annotated[
    str, typer.Argument(help="The lease's id (0x and 64 hex digits), or one of your own jobs as in bourse ps.")
]


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def dispute(
    session: CommandSession,
    lease: LeaseArgument,
) -> None:
    """Object to a running lease or to its provider's claim; stakes as much as the provider's bond, and the arbiter rules."""
    with session.market() as market:
        identifier = _lease_of(market, lease)
        _show(session, market, identifier, market.leases.dispute(identifier))


@app.command()
@with_session(JSON, KEY)
def rule(
    session: CommandSession,
    lease: LeaseArgument,
    seconds: Annotated[
        int,
        whole_option("seconds", "How many seconds are to be paid, in all.", most=MAX_LEASE_SECONDS),
    ],
    provider_at_fault: Annotated[
        bool,
        typer.Option(
            "--provider-at-fault/--client-at-fault", help="Whose stake goes to the other side, half of it to you."
        ),
    ],
) -> None:
    """Decide a dispute, as the arbiter that the order names."""
    with session.market() as market:
        identifier = _lease_of(market, lease)
        mined = market.leases.rule(identifier, Seconds(seconds), provider_at_fault=provider_at_fault)
        _show(session, market, identifier, mined)


@app.command()
@with_session(JSON, KEY)
def lapse(
    session: CommandSession,
    lease: LeaseArgument,
) -> None:
    """End a dispute on which nobody ruled in time: stakes go back, the disputed seconds are split. The scheduler does this, too."""
    with session.market() as market:
        identifier = _lease_of(market, lease)
        _show(session, market, identifier, market.leases.lapse(identifier))


@app.command()
@with_session(JSON, KEY)
def backstop(
    session: CommandSession,
    lease: LeaseArgument,
) -> None:
    """Have what was guaranteed paid, where the panel of an arbiter with a backstop did not rule in its time. Anyone; the scheduler does this, too."""
    with session.market() as market:
        identifier = _lease_of(market, lease)
        _show(session, market, identifier, market.leases.backstop(identifier))


@app.command()
@with_session(JSON, KEY)
def collect(
    session: CommandSession,
    arbiter: Annotated[
        str | None, typer.Option("--arbiter", help="An arbiter with a backstop (default: the address book's).")
    ] = None,
) -> None:
    """Pay out to the panel of an arbiter with a backstop what rulings brought: half of each loser's stake. Anyone; it goes to the panel alone."""
    market = wiring.open_chain_market(session.settings)
    try:
        rules = address_from_text(arbiter, field="arbiter") if arbiter else market.backstop_arbiter
        if rules is None:
            raise ConfigError(
                ["the address book names no arbiter with a backstop: `bourse deploy --finance` makes one"]
            )
        panel, block = panel_of(market.chain, rules), market.chain.head()
        amount, mined = market.balance_of(rules, block), None
        if amount:
            mined = Sender(market.chain, wiring.open_key(session.settings)).send(arbiter_verbs.collect(rules))
            block = mined.block
            amount = next((one.amount for one in mined.events if isinstance(one, e.Withdrawn)), amount)
        terms = market.terms()
    finally:
        market.chain.close()
    told = f"{tables.amount(amount, terms)} paid to the panel, {checksum(panel)}"
    session.answer(
        documents.fees(rules, panel, amount, mined, block, terms),
        f"{told}\nmined in block {block.number}: {mined.tx_hash}" if mined else "there is nothing to pay out",
    )


@app.command()
@with_session(JSON, KEY)
def assign(
    session: CommandSession,
    lease: LeaseArgument,
    payee: Annotated[str, typer.Argument(help="Who is to receive what the lease still earns.")],
) -> None:
    """Pass the right to a lease's future income on, as the one who has it: its provider at first. The bond stays the provider's."""
    receiver = address_from_text(payee, field="payee")
    with session.market() as market:
        identifier = _lease_of(market, lease)
        _show(session, market, identifier, market.leases.assign(identifier, receiver))


def _lease_of(market: Market, text: str) -> Bytes32:
    """The lease of one of this account's jobs, else the one with that id."""
    try:
        return market.job(text).orders[-1]
    except NotFound:
        try:
            return bytes32(text, field="lease")
        except InvalidField:
            raise NotFound("job or lease", text) from None


def _show(session: CommandSession, market: Market, lease: Bytes32, mined: Mined) -> None:
    """What the contract said about it."""
    event = mined.events[-1]
    told = _words(event, market.terms)
    session.answer(
        documents.event_of(lease, mined, event), f"{told}\nmined in block {mined.block.number}: {mined.tx_hash}"
    )


def _words(event: e.Event, terms: MarketTerms) -> str:
    def money(units: int) -> str:
        return tables.amount(units, terms)

    match event:
        case e.LeaseDisputed():
            return (
                f"disputed: {text_from_seconds(event.claimed_seconds)} are in question, {money(event.stake)} are staked;"
                f" the arbiter has {text_from_seconds(terms.ruling_window)}"
            )
        case e.LeaseRuled():
            loser = "provider" if event.provider_at_fault else "client"
            return (
                f"ruled, the {loser} is at fault: {text_from_seconds(event.paid_seconds)} are paid in all; now {money(event.paid)} to the payee,"
                f" {money(event.refund)} back to the client, {money(event.to_arbiter)} to the arbiter"
            )
        case e.LeaseLapsed():
            return (
                f"lapsed: {text_from_seconds(event.paid_seconds)} are paid in all; now {money(event.paid)} to the payee,"
                f" {money(event.refund)} back to the client, stakes returned"
            )
        case e.LeaseAssigned():
            return f"assigned: what the lease earns from now on goes to {checksum(event.payee)}"
        case _:
            return "done"
