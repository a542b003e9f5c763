"""`bourse vault`: lend through a vault, leave it, and see what it holds. The chain is asked, no gateway."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from marketplace import wiring
from marketplace.api.vaults import VaultAnswer, VaultTermsTold
from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.market import MarketContract
from marketplace.chain.token import TokenContract
from marketplace.chain.transactions import Mined, Sender
from marketplace.chain.vaults import VaultContract, changed_by, creation, usual_tenor, usual_terms
from marketplace.chain.verbs import Call
from marketplace.cli import documents, tables
from marketplace.cli.session import JSON, KEY, CommandSession, with_session
from marketplace.config import Settings
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import TokenUnits, iso_from_time, text_from_seconds, units_from_text
from marketplace.domain.vaults import LoanMarks, LoanState, VaultBooks, VaultTerms, has_obligor

app = typer.Typer(help="Lend through a vault, leave it, see what it holds.", no_args_is_help=True)

ALL = "all"
VaultArgument = Annotated[str, typer.Argument(help="The vault's address (0x and 40 hex digits).", metavar="VAULT")]


@dataclass(frozen=True)
class Desk:
    """A vault, the market that it lends around, and whoever stands before it."""

    market: MarketContract
    vault: VaultContract
    sender: Sender | None = None

    @property
    def terms(self) -> MarketTerms:
        return self.market.terms()

    def units(self, text: str) -> TokenUnits:
        return units_from_text(text, self.terms.token_decimals, field="amount")

    def pay_from_wallet(self, units: TokenUnits) -> None:
        """Let the vault take so much out of the sender's wallet."""
        assert self.sender, "commands that send open the desk with a key"
        token = TokenContract(self.market.chain, self.terms.token)
        for call in token.approvals(self.sender.address, self.vault.address, units):
            self.send(call)

    def send(self, call: Call) -> Mined:
        assert self.sender, "commands that send open the desk with a key"
        return self.sender.send(call)


@contextmanager
def desk(settings: Settings, vault: str, *, sends: bool = False) -> Iterator[Desk]:
    """Opened with the key where the command sends, and closed in the end. Raises InvalidField for a vault of another market."""
    address = address_from_text(vault, field="VAULT")
    key = wiring.open_key(settings) if sends else None
    market = wiring.open_chain_market(settings)
    try:
        found = VaultContract(market.chain, address)
        if found.terms.market != market.address:
            raise InvalidField("VAULT", f"it lends around another market, {found.terms.market}")
        sender = Sender(market.chain, key, fees=wiring.fee_policy(settings)) if key else None
        yield Desk(market, found, sender)
    finally:
        market.chain.close()


@app.command()
@with_session(JSON, KEY)
def create(
    session: CommandSession,
    terms: Annotated[
        Path | None,
        typer.Option("--terms", help="TOML: obligors, shares in basis points, windows. See docs/finance.md."),
    ] = None,
    arbiter: Annotated[
        str | None, typer.Option("--arbiter", help="Default: the address book's, with a backstop.")
    ] = None,
) -> None:
    """Make a vault. Its terms can never be changed, and it has no owner; without obligors it lends what is covered only."""
    named = terms_file(terms) if terms else {}
    key, book = wiring.open_key(session.settings), wiring.open_address_book(session.settings)
    rules = address_from_text(arbiter, field="arbiter") if arbiter else book.backstop_arbiter
    if book.spv_factory is None or rules is None:
        raise ConfigError(["the address book names no factory of companies: `bourse deploy --finance` makes one"])
    market = wiring.open_chain_market(session.settings)
    try:
        usual = usual_terms(book.market, book.spv_factory, rules, usual_tenor(market.terms()))
        wished = changed_by(usual, named)
        mined = Sender(market.chain, key, fees=wiring.fee_policy(session.settings)).send(creation(wished))
        assert mined.contract, "a creation that was mined has made a contract"
        found = VaultContract(market.chain, mined.contract)
        session.answer(
            {"vault": found.address, "transaction": mined.tx_hash} | _terms_document(found.terms),
            f"vault {checksum(found.address)}",
            _terms_table(found.terms),
        )
    finally:
        market.chain.close()


def terms_file(path: Path) -> dict[str, Any]:
    """What a file says of a vault's terms. Raises InvalidField for one that cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidField("terms", f"{path} cannot be read: {exc}") from None


@app.command()
@with_session(JSON)
def terms(session: CommandSession, vault: VaultArgument) -> None:
    """Show all that a vault is, for good: whose word it lends on, how much, for how long, and what leaving costs."""
    with desk(session.settings, vault) as at:
        session.answer({"vault": at.vault.address} | _terms_document(at.vault.terms), _terms_table(at.vault.terms))


@app.command()
@with_session(JSON, KEY)
def deposit(
    session: CommandSession,
    vault: VaultArgument,
    amount: Annotated[str, typer.Argument(help="In the market's token, e.g. 200 or 12.50.")],
) -> None:
    """Lend: money for shares at the price of now. Refused while less stands behind some loan than is owed on it (V-10)."""
    with desk(session.settings, vault, sends=True) as at:
        assert at.sender, "opened to send"
        units, account = at.units(amount), at.sender.address
        at.pay_from_wallet(units)
        _show(session, at, account, at.send(at.vault.deposit(units, account)))


@app.command("exit")
@with_session(JSON, KEY)
def leave(
    session: CommandSession,
    vault: VaultArgument,
    amount: Annotated[str, typer.Argument(help="What the shares are worth now, e.g. 200; or all of them: all.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="Take back shares that wait, instead.")] = False,
) -> None:
    """Ask to leave: the shares wait until the queue is filled, at the price of then, pro rata with all who wait (V-11)."""
    with desk(session.settings, vault, sends=True) as at:
        assert at.sender, "opened to send"
        account, block = at.sender.address, at.market.chain.head()
        position = at.vault.position(account, block)
        most = position.pending if cancel else position.shares
        shares = most if amount == ALL else at.vault.shares_for(at.units(amount), block)
        if not 0 < shares <= most:
            raise InvalidField(
                "amount", f"{amount} is not within the {tables.amount(position.worth, at.terms)} that are there"
            )
        call = at.vault.cancel_redeem(shares, account) if cancel else at.vault.request_redeem(shares, account)
        _show(session, at, account, at.send(call))


@app.command("process")
@with_session(JSON, KEY)
def fill_queue(session: CommandSession, vault: VaultArgument) -> None:
    """Fill the queue of those who leave, out of the vault's free money. Anyone, once a window; not while a lease is disputed."""
    with desk(session.settings, vault, sends=True) as at:
        assert at.sender, "opened to send"
        _show(session, at, at.sender.address, at.send(at.vault.process_queue()))


@app.command()
@with_session(JSON, KEY)
def take(session: CommandSession, vault: VaultArgument) -> None:
    """Take what left the queue, and what the vault keeps for this account as an owner, a backer or a keeper."""
    with desk(session.settings, vault, sends=True) as at:
        assert at.sender, "opened to send"
        account = at.sender.address
        position, mined = at.vault.position(account, at.market.chain.head()), None
        if position.claimable:
            mined = at.send(at.vault.withdraw(position.claimable, account))
        if position.credit:
            mined = at.send(at.vault.take_credit(account))
        _show(session, at, account, mined)


@app.command()
@with_session(JSON)
def explain(
    session: CommandSession,
    vault: VaultArgument,
    account: Annotated[str | None, typer.Option("--account", help="Whose shares to show, too.")] = None,
) -> None:
    """Say what a share is worth and why: free money, and of each loan what is owed, what is sure to come, what stands behind it."""
    with desk(session.settings, vault) as at:
        _show(session, at, address_from_text(account, field="account") if account else None, None)


# -- the answers ------------------------------------------------------------------------------------------------------


def _show(session: CommandSession, at: Desk, account: Address | None, mined: Mined | None) -> None:
    block = at.market.chain.head()
    books = at.vault.books(block)
    document = _books_document(at, books, block) | ({"transaction": mined.tx_hash} if mined else {})
    words = [_books_words(at, books)]
    if account:
        position = at.vault.position(account, block)
        document["position"] = {
            "account": account, "shares": str(position.shares), "pendingShares": str(position.pending),
            **documents.money("worth", position.worth, at.terms), **documents.money("claimable", position.claimable, at.terms),
            **documents.money("credit", position.credit, at.terms),
        }  # fmt: skip
        words.append(
            f"{checksum(account)} has shares worth {tables.amount(position.worth, at.terms)}, may take"
            f" {tables.amount(position.claimable + position.credit, at.terms)}, and {position.pending} shares of it wait"
        )
    session.answer(document, "\n".join(words), *([_loans_table(at, books)] if books.loans else []))


def _books_document(at: Desk, books: VaultBooks, block: BlockRef) -> dict[str, Any]:
    return documents.told(VaultAnswer.at(at.vault.address, at.vault.terms, books, block, at.terms))


def _books_words(at: Desk, books: VaultBooks) -> str:
    lines = [
        f"{'vault':<12}{checksum(at.vault.address)}",
        f"{'worth':<12}{tables.amount(books.assets, at.terms)}, of it free {tables.amount(books.cash, at.terms)}",
        f"{'a share':<12}{tables.amount(books.price(at.terms.token_decimals), at.terms)}, for each token that bought one at first",
        f"{'queue':<12}{books.pending} shares wait; it may be filled from {iso_from_time(books.window_ends_at)} on",
    ]
    if books.is_impaired:
        lines.append(f"{'impaired':<12}less stands behind a loan than is owed: nobody enters now")
    return "\n".join(lines)


def _loans_table(at: Desk, books: VaultBooks) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("loan", "company", "owed", "due", "covered", "rests on"):
        table.add_column(column)
    for number, marks in books.loans.items():
        sums = (tables.amount(units, at.terms) for units in (marks.owed, marks.due, marks.covered))
        table.add_row(str(number), tables.short(marks.loan.spv), *sums, _rests_on(marks))
    return table


def _rests_on(marks: LoanMarks) -> str:
    if marks.loan.state is LoanState.WRITTEN_OFF:
        return "nothing: written off"
    return tables.short(marks.loan.obligor) if has_obligor(marks.loan) else "its cover"


def _terms_document(found: VaultTerms) -> dict[str, Any]:
    return {"terms": documents.told(VaultTermsTold.of(found))}


def _terms_table(found: VaultTerms) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, value in asdict(found).items():
        table.add_row(name.replace("_", " "), _term_words(name, value))
    return table


def _term_words(name: str, value: Any) -> str:
    if name == "obligors":
        return ", ".join(checksum(one) for one in value) or "nobody: only covered lending"
    if name in ("market", "factory", "arbiter"):
        return checksum(value)
    if name in ("max_tenor", "window"):
        return text_from_seconds(value)
    if name == "max_loans":
        return str(value)
    return f"{value / 100:g} %" + (" a year" if name.endswith("_rate") else "")
