"""`bourse wallet`: keys and money."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.keystore import create_key
from marketplace.chain.transactions import Mined
from marketplace.cli import documents, tables
from marketplace.cli.session import ACCOUNT, JSON, KEY, KEY_FILE, PASSWORD_FILE, CommandSession, with_session
from marketplace.client import DepositBy, Market
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime, iso_from_time, seconds_from_text

app = typer.Typer(help="Keys and money: make a key, see the balance, deposit, withdraw.", no_args_is_help=True)

DelegateArgument = Annotated[str, typer.Argument(help="The delegate's address: an account with a key, not a contract.")]
ALL = "all"
NO_GAS = (
    "this account has money and none of the chain's coin: it can pay no gas, so it can neither deposit nor withdraw."
    " Send it some coin"
)

AgainOption = Annotated[
    bool, typer.Option("--again", help="Do it once more, even where the same was sent before and is not heard of yet.")
]
Amount = Annotated[str, typer.Argument(help="In the market's token, e.g. 20 or 12.50.")]


@app.command()
@with_session(JSON)
def new(
    session: CommandSession,
    keystore: Annotated[
        Path | None, typer.Option("--keystore", help="Where the key goes (default: below BOURSE_HOME).")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Its password; made at random where the file is not there.")
    ] = None,
) -> None:
    """Make a new key in an encrypted file; an existing one is never overwritten."""
    key_file = keystore or session.settings.home / KEY_FILE
    word_file = password_file or key_file.with_name(PASSWORD_FILE)
    key = create_key(key_file, word_file)
    session.answer(
        {"account": key.address, "keystore": str(key_file), "passwordFile": str(word_file)},
        f"account   {checksum(key.address)}\nkeystore  {key_file}\npassword  {word_file}",
    )


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def show(session: CommandSession) -> None:
    """Show the account and its money, in the market and outside."""
    with session.market() as market:
        _show(session, market)
        # A program that polls has not understood: only what people read counts as said.
        if not session.as_json:
            market.wallet.acknowledge()


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def deposit(
    session: CommandSession,
    amount: Amount,
    permit: Annotated[
        bool, typer.Option("--permit", help="Sign the allowance (EIP-2612): one transaction instead of two.")
    ] = False,
    authorization: Annotated[
        bool, typer.Option("--authorization", help="Sign the transfer (EIP-3009): one transaction instead of two.")
    ] = False,
    again: AgainOption = False,
) -> None:
    """Move money from the wallet into the market."""
    if permit and authorization:
        raise InvalidField("permit", "and --authorization are two ways to say the same: choose one")
    by = DepositBy.PERMIT if permit else DepositBy.AUTHORIZATION if authorization else DepositBy.APPROVAL
    with session.market() as market:
        mined = market.wallet.deposit(market.amount(amount), by, again=again)
        _show(session, market, mined)


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def withdraw(
    session: CommandSession,
    amount: Annotated[str, typer.Argument(help="In the market's token, e.g. 20 or 12.50; or all that is free: all.")],
    to: Annotated[
        str | None, typer.Option("--to", help="Whom to pay (default: this account), e.g. where the token blocks it.")
    ] = None,
    again: AgainOption = False,
) -> None:
    """Move money from the free balance back into the wallet, or to another address."""
    with session.market() as market:
        units = market.balance().free if amount == ALL else market.amount(amount)
        if amount == ALL and not units:
            session.say("nothing is free: nothing was withdrawn")
            _show(session, market)
            return
        mined = market.withdraw(units, to, again=again)
        _show(session, market, mined)


@app.command()
@with_session(JSON, KEY)
def fund(
    session: CommandSession,
    amount: Amount,
    again: AgainOption = False,
) -> None:
    """Make test dollars in the wallet, and coin for gas where it has hardly any; on a local chain only."""
    with session.market() as market:
        mined = market.wallet.mint_test_dollars(market.amount(amount), again=again)
        _show(session, market, mined)


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def authorize(
    session: CommandSession,
    delegate: DelegateArgument,
    budget: Annotated[str, typer.Argument(help="The most that its orders may cost in all, e.g. 20; 0 takes it back.")],
    duration: Annotated[str, typer.Option("--for", help="How long it may sign: 90s, 2h30m, 7d.")] = "",
    again: AgainOption = False,
) -> None:
    """Let another key sign orders for this account, up to a hard budget that the contract keeps. It can withdraw nothing."""
    signer = address_from_text(delegate, field="delegate")
    with session.market() as market:
        units = market.amount(budget, field="budget")
        if units and not duration:
            raise InvalidField("for", "say how long the delegate may sign, e.g. --for 7d")
        seconds = seconds_from_text(duration, field="for") if units else 0
        mined = market.wallet.authorize(
            signer, units, UnixTime(market.chain.head().timestamp + seconds if units else 0), again=again
        )
        _say_mined(session, mined)
        _show_budget(session, market, signer, mined)


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def budget(
    session: CommandSession,
    delegate: DelegateArgument,
) -> None:
    """Show what a delegate may still spend of this account's money."""
    signer = address_from_text(delegate, field="delegate")
    with session.market() as market:
        _show_budget(session, market, signer)


def _show_budget(session: CommandSession, market: Market, delegate: Address, mined: Mined | None = None) -> None:
    left = market.wallet.budget_of(delegate)
    document = documents.budget(left, market.account, delegate, market.terms)
    if mined is not None:
        document["transaction"] = mined.tx_hash
    until = f" until {iso_from_time(left.until)}" if left.left else ""
    session.answer(document, f"{checksum(delegate)} may spend {tables.amount(left.left, market.terms)}{until}")


def _show(session: CommandSession, market: Market, mined: Mined | None = None) -> None:
    value = market.balance()
    document = documents.balance(value, market.account, market.terms) | _mandate(market)
    if mined is not None:
        document["transaction"] = mined.tx_hash
        document["sentEarlier"] = mined.is_earlier
        _say_mined(session, mined)
    if not market.mandate.is_own:
        session.say(_mandate_words(market))
    document["pending"] = [
        {"name": one.name, "nonce": one.nonce, "transaction": one.tx_hash, "blockNumber": one.block_number}
        for one in market.wallet.pending()
    ]
    if value.lacks_gas and market.mandate.is_own:
        document["warning"] = NO_GAS
        session.say(f"warning: {NO_GAS}")
    session.answer(document, tables.balance(value, market.account, market.terms))


def _mandate(market: Market) -> dict[str, Any]:
    """By what right the key acts for another account; nothing where the account is its own."""
    mandate = market.mandate
    if mandate.is_own:
        return {}
    left = documents.money("budgetLeft", mandate.budget().left, market.terms)
    return {"signer": mandate.signer, "isItsWallet": mandate.is_wallets} | left


def _mandate_words(market: Market) -> str:
    mandate, left = market.mandate, market.mandate.budget()
    if mandate.is_wallets:
        how = "the account takes its signature for its own"
    elif left.is_alive(market.chain.head().timestamp):
        how = f"as its delegate, for orders of {tables.amount(left.left, market.terms)} in all until {iso_from_time(left.until)}"
    else:
        how = "but it may sign nothing: it is no delegate, and the account does not take its signature"
    return f"{checksum(mandate.signer)} signs for this account: {how}"


def _say_mined(session: CommandSession, mined: Mined) -> None:
    session.say(f"mined in block {mined.block.number}: {mined.tx_hash}")
    if mined.is_earlier:
        session.say("an earlier command had sent it, and nothing was sent now; to do it once more, say --again")
