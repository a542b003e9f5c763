"""`bourse spv …`: companies: providers that are code, each with an owner, a hot key that operates it, and money of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from marketplace import wiring
from marketplace.chain import company_verbs, verbs
from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.companies import Companies
from marketplace.chain.create2 import salt_of
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.verbs import Call
from marketplace.cli import documents
from marketplace.cli.session import JSON, KEY, CommandSession, with_session
from marketplace.domain.errors import ConfigError, NotFound
from marketplace.domain.ids import ZERO_ADDRESS, Address, bytes32
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import TokenUnits, units_from_text
from marketplace.services.vaults import company_at

app = typer.Typer(help="Companies: providers that are code.", no_args_is_help=True)

CompanyArgument = Annotated[str, typer.Argument(help="The company's address, as `bourse spv create` prints it.")]


@dataclass(frozen=True)
class _Desk:
    """The market and its factory, and who asks."""

    market: MarketContract
    factory: Address
    key: Key

    @property
    def companies(self) -> Companies:
        return self.market.companies

    @property
    def terms(self) -> MarketTerms:
        return self.market.terms()

    def send(self, *calls: Call) -> None:
        sender = Sender(self.market.chain, self.key)
        for call in calls:
            sender.send(call)

    def company(self, text: str) -> Address:
        """Raises InvalidField, NotFound."""
        found = address_from_text(text, field="spv")
        if not self.companies.is_company(found):
            raise NotFound("company of this market's factory", checksum(found))
        return found


@app.command()
@with_session(JSON, KEY)
def create(
    session: CommandSession,
    operator: Annotated[
        str | None, typer.Option("--operator", help="The hot key of the agent's machine (default: none yet).")
    ] = None,
    salt: Annotated[
        str, typer.Option("--salt", help="Text or 32 bytes of hex: another one is another company.")
    ] = "first",
) -> None:
    """Make a company of yours, for good: one for each project. Again with the same salt says where it is, and sends nothing."""
    with _desk(session) as desk:
        word = bytes32(salt, field="salt") if salt.startswith("0x") else salt_of(salt)
        hot = address_from_text(operator, field="operator") if operator else Address(ZERO_ADDRESS)
        address = desk.companies.address_of(desk.key.address, word)
        is_there = desk.companies.is_company(address)
        if not is_there:
            desk.send(company_verbs.create_company(desk.factory, desk.key.address, hot, word))
        found = _standing(desk, address)
    # Anybody may have made it before us, and named an operator: who funds it looks at that first.
    if operator and found["operator"] != hot:
        session.say(f"note: its operator is {found['operator']}: set yours with `bourse spv operator`")
    _show(session, found, "is there already" if is_there else "was made")


@app.command()
@with_session(JSON, KEY)
def operator(
    session: CommandSession,
    spv: CompanyArgument,
    key: Annotated[
        str, typer.Argument(help="The key that acts for it from now on; what the earlier one signed is void.")
    ],
) -> None:
    """Have another key act for a company of yours; also while its income is pledged."""
    _owners(
        session, spv, lambda desk, company: company_verbs.set_operator(company, address_from_text(key, field="key"))
    )


@app.command()
@with_session(JSON, KEY)
def allow(
    session: CommandSession,
    spv: CompanyArgument,
    vault: Annotated[str, typer.Argument(help="The only vault that may take its income in pledge; 0x0…0: none.")],
) -> None:
    """Let a vault take a company's income in pledge, when you draw on it."""
    _owners(session, spv, lambda desk, company: company_verbs.allow(company, address_from_text(vault, field="vault")))


@app.command()
@with_session(JSON, KEY)
def withdraw(
    session: CommandSession,
    spv: CompanyArgument,
    amount: Annotated[str, typer.Argument(help="How much of its free balance, e.g. 12.50.")],
) -> None:
    """Take money out of a company of yours, to your own address; refused while its income is pledged."""
    _owners(session, spv, lambda desk, company: company_verbs.withdraw(company, _units(desk, amount)))


@app.command()
@with_session(JSON, KEY)
def fund(
    session: CommandSession,
    spv: CompanyArgument,
    amount: Annotated[str, typer.Argument(help="How much of your tokens, e.g. 200.")],
) -> None:
    """Pay into a company's free balance, which its leases' bonds are taken from. Anyone may; only its owner gets it out again."""
    with _desk(session) as desk:
        company, units = desk.company(spv), _units(desk, amount)
        market = desk.market.address
        desk.send(verbs.approve(desk.terms.token, market, units), verbs.deposit(market, company, units))
        found = _standing(desk, company)
    _show(session, found, f"was paid {amount}")


@app.command()
@with_session(JSON, KEY)
def status(session: CommandSession, spv: CompanyArgument) -> None:
    """Show whose a company is, who operates it, what it has free, and to whom its income is pledged."""
    with _desk(session) as desk:
        found = _standing(desk, desk.company(spv))
    _show(session, found, "stands")


def _owners(session: CommandSession, spv: str, verb: Any) -> None:
    """One verb of the owner's, and how the company stands after it."""
    with _desk(session) as desk:
        company = desk.company(spv)
        desk.send(verb(desk, company))
        found = _standing(desk, company)
    _show(session, found, "is changed")


def _units(desk: _Desk, amount: str) -> TokenUnits:
    return units_from_text(amount, desk.terms.token_decimals, field="amount")


def _standing(desk: _Desk, company: Address) -> dict[str, Any]:
    """As of one block. Raises ChainUnavailable."""
    return documents.told(company_at(desk.market, company, desk.market.chain.head()))


def _show(session: CommandSession, found: dict[str, Any], how: str) -> None:
    pledged = f"{checksum(found['creditor'])}, lease {found['lease']}" if found["creditor"] else "to nobody"
    words = [
        f"{checksum(found['spv'])} {how}",
        f"owner     {checksum(found['owner'])}",
        f"operator  {checksum(found['operator'])}",
        f"free      {found['freeHuman']}",
        f"allowed   {checksum(found['allowed']) if found['allowed'] else 'no vault'}",
        f"pledged   {pledged}",
    ]
    session.answer(found, "\n".join(words))


@contextmanager
def _desk(session: CommandSession) -> Iterator[_Desk]:
    """Raises ConfigError where the market has no finance."""
    market = wiring.open_chain_market(session.settings)
    try:
        if market.companies.factory is None:
            raise ConfigError(["the address book names no factory of companies: `bourse deploy --finance` makes one"])
        yield _Desk(market, market.companies.factory, wiring.open_key(session.settings))
    finally:
        market.chain.close()
