"""`bourse wallet`: keys and money."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.chain.keystore import create_key
from marketplace.chain.signing import checksum
from marketplace.chain.transactions import Mined
from marketplace.cli import documents, tables
from marketplace.cli.session import KEY_FILE, PASSWORD_FILE, JsonOption, KeystoreOption, PasswordOption, Session
from marketplace.client import Market

app = typer.Typer(help="Keys and money: make a key, see the balance, deposit, withdraw.", no_args_is_help=True)

Amount = Annotated[str, typer.Argument(help="In the market's token, e.g. 20 or 12.50.")]


@app.command()
def new(
    keystore: Annotated[
        Path | None, typer.Option("--keystore", help="Where the key goes (default: below BOURSE_HOME).")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Its password; made at random where the file is not there.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a new key in an encrypted file; an existing one is never overwritten."""
    session = Session(json)
    key_file = keystore or session.settings.home / KEY_FILE
    word_file = password_file or key_file.with_name(PASSWORD_FILE)
    key = create_key(key_file, word_file)
    session.answer(
        {"account": key.address, "keystore": str(key_file), "passwordFile": str(word_file)},
        f"account   {checksum(key.address)}\nkeystore  {key_file}\npassword  {word_file}",
    )


@app.command()
def show(json: JsonOption = False, keystore: KeystoreOption = None, password_file: PasswordOption = None) -> None:
    """Show the account and its money, in the market and outside."""
    session = Session(json, keystore, password_file)
    with session.market() as market:
        _show(session, market)


@app.command()
def deposit(
    amount: Amount, json: JsonOption = False, keystore: KeystoreOption = None, password_file: PasswordOption = None
) -> None:
    """Move money from the wallet into the market."""
    session = Session(json, keystore, password_file)
    with session.market() as market:
        mined = market.deposit(market.amount(amount))
        _show(session, market, mined)


@app.command()
def withdraw(
    amount: Amount, json: JsonOption = False, keystore: KeystoreOption = None, password_file: PasswordOption = None
) -> None:
    """Move money from the free balance back into the wallet."""
    session = Session(json, keystore, password_file)
    with session.market() as market:
        mined = market.withdraw(market.amount(amount))
        _show(session, market, mined)


@app.command()
def fund(
    amount: Amount, json: JsonOption = False, keystore: KeystoreOption = None, password_file: PasswordOption = None
) -> None:
    """Make test dollars in the wallet; on a local chain only."""
    session = Session(json, keystore, password_file)
    with session.market() as market:
        mined = market.mint_test_dollars(market.amount(amount))
        _show(session, market, mined)


def _show(session: Session, market: Market, mined: Mined | None = None) -> None:
    value = market.balance()
    document = documents.balance(value, market.account, market.terms)
    if mined is not None:
        document["transaction"] = mined.tx_hash
        session.say(f"mined in block {mined.block.number}: {mined.tx_hash}")
    session.answer(document, tables.balance(value, market.account, market.terms))
