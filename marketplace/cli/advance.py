"""`bourse advance`: money now against a lease that a company serves. Quoted and drawn on the chain, no gateway."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from marketplace.api.vaults import LoanAnswer, LoanTold
from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.events import EventFollower
from marketplace.chain.transactions import Mined
from marketplace.chain.vaults import ANY_RATE
from marketplace.chain.verbs import Call
from marketplace.cli import documents, tables
from marketplace.cli.numbers import whole_argument, whole_option
from marketplace.cli.session import JSON, KEY, CommandSession, with_session
from marketplace.cli.vault import ALL, Desk, VaultArgument, desk
from marketplace.domain import events as e
from marketplace.domain.advances import RULES, PayeeExit, exits_for_payee
from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32, bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.units import Bps, TokenUnits
from marketplace.domain.vaults import LoanState

app = typer.Typer(
    help="Money now against a lease: what a vault advances, and what stands behind it.", no_args_is_help=True
)

LeaseArgument = Annotated[str, typer.Argument(help="The lease's id (0x and 64 hex digits).", metavar="LEASE")]


@app.command()
@with_session(JSON)
def quote(session: CommandSession, vault: VaultArgument, lease: LeaseArgument) -> None:
    """Say how much its owner may draw now and which rule forbids more; and what is safe about this lease, exit by exit."""
    identifier = bytes32(lease, field="LEASE")
    with desk(session.settings, vault) as at:
        order, company = _served(at, identifier)
        block = at.market.chain.head()
        word, offer = at.market.lease_of(identifier, block), None
        offer = at.market.offer_of(word.offer, block)
        most, rule = at.vault.limit_of(order, company, block)
        reserve = TokenUnits(-(-most * at.vault.terms.reserve_bps // 10_000))
        locked = lock_of(order, word.price)
        bond = bond_of(locked, offer.bond_bps, at.terms.bond_floor) if offer else TokenUnits(0)
        exits = exits_for_payee(order, word, block.timestamp) if word.status is LeaseStatus.OPEN else ()
        sums = {
            "most": most,
            "reserve": reserve,
            "paidOut": most - reserve,
            "bond": bond,
            "netOfBond": most - reserve - bond,
        }
        document = {
            "vault": at.vault.address, "lease": identifier, "spv": company, "rule": rule, "ruleSays": RULES.get(rule),
            **{key: value for name, units in sums.items() for key, value in documents.money(name, units, at.terms).items()},
            "exits": [_exit_document(at, one) for one in exits],
        }  # fmt: skip
        words = (
            f"{checksum(company)} may draw {tables.amount(most, at.terms)}: {RULES.get(rule, f'V-{rule}')}\n"
            f"{tables.amount(most - reserve, at.terms)} of it is paid out; its own bond on this lease is {tables.amount(bond, at.terms)}, so that"
            f" net of the bond {tables.amount(most - reserve - bond, at.terms)} is new money"
        )
        session.answer(document, words, _exits_table(at, exits))


@app.command()
@with_session(JSON, KEY)
def draw(
    session: CommandSession,
    vault: VaultArgument,
    lease: LeaseArgument,
    amount: Annotated[str, typer.Argument(help="In the market's token, e.g. 200; or as much as is allowed: all.")],
    max_rate: Annotated[
        int, whole_option("max-rate", "The highest rate to take, in basis points a year.", most=ANY_RATE)
    ] = ANY_RATE,
    backer: Annotated[
        str | None,
        typer.Option("--backer", help="Whose cover the first draw takes, as `bourse advance back` put it up."),
    ] = None,
) -> None:
    """Draw, as the owner of the company, which has to allow the vault first. The company's income is pledged until all is repaid."""
    identifier = bytes32(lease, field="LEASE")
    with desk(session.settings, vault, sends=True) as at:
        order, company = _served(at, identifier)
        if backer is not None:
            at.send(at.vault.choose(identifier, address_from_text(backer, field="backer")))
        block = at.market.chain.head()
        units = at.vault.limit_of(order, company, block)[0] if amount == ALL else at.units(amount)
        _send_and_show(session, at, identifier, at.vault.draw(order, company, units, Bps(max_rate)))


@app.command()
@with_session(JSON, KEY)
def collect(
    session: CommandSession,
    vault: VaultArgument,
    number: Annotated[int, whole_argument("loan", "The loan's number.", least=1)],
) -> None:
    """Share out what the company has earned: running costs, what is owed, the owner. Anyone. A lease that is over is decided, too."""
    with desk(session.settings, vault, sends=True) as at:
        loan = at.vault.marks(number, at.market.chain.head()).loan
        is_over = at.market.lease_of(loan.lease).status is LeaseStatus.CLOSED
        call = at.vault.resolve(number) if is_over else at.vault.collect(number)
        if loan.state is LoanState.WRITTEN_OFF:
            call = at.vault.recover(number)
        _send_and_show(session, at, loan.lease, call)


@app.command()
@with_session(JSON, KEY)
def back(
    session: CommandSession,
    vault: VaultArgument,
    lease: LeaseArgument,
    amount: Annotated[str, typer.Argument(help="In the market's token, e.g. 200.")],
) -> None:
    """Put up a first loss for a lease: the cover of its loan, lost before any lender loses, and paid a share of the interest. Anyone, before the
    first draw; the company's owner chooses whose cover it takes."""
    identifier = bytes32(lease, field="LEASE")
    with desk(session.settings, vault, sends=True) as at:
        order, units = _served(at, identifier)[0], at.units(amount)
        at.pay_from_wallet(units)
        _show_cover(session, at, identifier, at.send(at.vault.back(order, units)))


@app.command()
@with_session(JSON, KEY)
def unback(session: CommandSession, vault: VaultArgument, lease: LeaseArgument) -> None:
    """Take a cover back that no draw has taken."""
    identifier = bytes32(lease, field="LEASE")
    with desk(session.settings, vault, sends=True) as at:
        _show_cover(session, at, identifier, at.send(at.vault.unback(identifier)))


@app.command()
@with_session(JSON, KEY)
def repay(
    session: CommandSession,
    vault: VaultArgument,
    number: Annotated[int, whole_argument("loan", "The loan's number.", least=1)],
    amount: Annotated[str, typer.Argument(help="In the market's token, e.g. 200; or all that is owed: all.")],
) -> None:
    """Pay a loan back early, out of the wallet. Anyone; when nothing is owed any more, the company is free."""
    with desk(session.settings, vault, sends=True) as at:
        marks = at.vault.marks(number, at.market.chain.head())
        # Interest grows until it is mined, and no more is taken than is owed then.
        units = TokenUnits(marks.owed + marks.owed // 100 + 1) if amount == ALL else at.units(amount)
        at.pay_from_wallet(units)
        _send_and_show(session, at, marks.loan.lease, at.vault.repay(number, units))


@app.command()
@with_session(JSON)
def explain(
    session: CommandSession,
    vault: VaultArgument,
    number: Annotated[int, whole_argument("loan", "The loan's number.", least=1)],
) -> None:
    """Say what a loan is: what was drawn and is owed, on what it rests, and what covers it now."""
    with desk(session.settings, vault) as at:
        _show(session, at, number, {})


def _send_and_show(session: CommandSession, at: Desk, lease: Bytes32, call: Call) -> None:
    mined = at.send(call)
    block = at.market.chain.head()
    number = at.vault.loan_on(lease, at.market.lease_of(lease, block).opened_at, block)
    _show(session, at, number, {"transaction": mined.tx_hash})


def _show_cover(session: CommandSession, at: Desk, lease: Bytes32, mined: Mined) -> None:
    assert at.sender, "opened to send"
    backer = at.sender.address
    cover = at.vault.cover_of(lease, backer, at.market.chain.head())
    document = {
        "vault": at.vault.address, "lease": lease, "backer": backer, **documents.money("cover", cover, at.terms),
        "transaction": mined.tx_hash,
    }  # fmt: skip
    words = f"{checksum(backer)} covers lease {lease} with {tables.amount(cover, at.terms)}, until a draw takes it"
    session.answer(document, words)


def _show(session: CommandSession, at: Desk, number: int, told: dict[str, Any]) -> None:
    block = at.market.chain.head()
    marks = at.vault.marks(number, block)
    if not marks.loan.state:
        raise NotFound("loan", str(number))
    loan = marks.loan
    lines = [
        f"{'loan':<10}{number}, {loan.state.name.lower().replace('_', ' ')}, at {loan.rate_bps / 100:g} % a year",
        f"{'company':<10}{checksum(loan.spv)}, which serves {loan.lease}",
        f"{'owed':<10}{tables.amount(marks.owed, at.terms)}",
        f"{'due':<10}{tables.amount(marks.due, at.terms)} are sure to come, whatever anybody says from now on",
        f"{'held':<10}{tables.amount(loan.reserve, at.terms)} reserve, {tables.amount(loan.cover, at.terms)} cover",
        f"{'covered':<10}{tables.amount(marks.covered, at.terms)}"
        + (", less than is owed: impaired" if marks.is_impaired else ""),
    ]
    document = documents.told(LoanAnswer.at(at.vault.address, LoanTold.of(number, marks, at.terms), block))
    session.answer(document | told, "\n".join(lines))


def _served(at: Desk, lease: Bytes32) -> tuple[Order, Address]:
    """The order, from the market's own log, and who serves it. Raises NotFound."""
    block = at.market.chain.head()
    offer = at.market.offer_of(at.market.lease_of(lease, block).offer, block)
    follower = EventFollower(at.market.chain, at.market.address, confirmations=1)
    for event in follower.history(at.terms.deployed_at_block, block.number):
        if isinstance(event, e.LeaseOpened) and event.lease == lease and offer:
            return event.order, offer.provider
    raise NotFound("lease", lease)


def _exit_document(at: Desk, one: PayeeExit) -> dict[str, Any]:
    return {"ending": one.ending, "by": one.by, **documents.money("toPayee", one.to_payee, at.terms)}


def _exits_table(at: Desk, exits: tuple[PayeeExit, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("if", "by whose word", "the payee still gets"):
        table.add_column(column)
    for one in exits:
        table.add_row(one.ending, one.by, tables.amount(one.to_payee, at.terms))
    return table
