"""What every command shares: its settings, the options that all have, and where its answer goes."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer
from rich.console import RenderableType

from marketplace import wiring
from marketplace.chain.blocks import Chain
from marketplace.chain.companies import Companies
from marketplace.cli import tables
from marketplace.cli.screen import Harmless, console, json_text
from marketplace.client import GatewayApi, Market
from marketplace.config import Settings, from_env
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.errors import InsufficientBalance
from marketplace.domain.ids import Address
from marketplace.domain.printable import harmless, harmless_line
from marketplace.telemetry import configure_logging

JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
KeystoreOption = Annotated[
    Path | None, typer.Option("--keystore", help="Keystore file (default: BOURSE_KEYSTORE).", dir_okay=False)
]
PasswordOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file", help="Its password's file (default: BOURSE_KEYSTORE_PASSWORD_FILE).", dir_okay=False
    ),
]

AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        help="Act for this account: a contract that takes the key's signature, or whose delegate the key is.",
    ),
]

Shared = tuple[inspect.Parameter, ...]


def _option(name: str, kind: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


JSON: Final[Shared] = (_option("json", JsonOption, default=False),)
KEY: Final[Shared] = (
    _option("keystore", KeystoreOption, default=None),
    _option("password_file", PasswordOption, default=None),
)
ACCOUNT: Final[Shared] = (_option("account", AccountOption, default=None),)

PIPE_COLUMNS = 200
"""Into a pipe or a file, tables are as wide as they like."""

KEY_FILE, PASSWORD_FILE = "key.json", "key.password"
"""Below ``BOURSE_HOME``: where `bourse wallet new` puts a key, and where it is looked for when no setting names one."""


class CommandSession:
    """One command's settings and screen. stdout is for the answer, stderr for everything that happens on the way."""

    def __init__(
        self,
        json: bool = False,
        keystore: Path | None = None,
        password_file: Path | None = None,
        account: str | None = None,
    ) -> None:
        # Warnings only: what happens on the way is said by the commands themselves.
        configure_logging("cli", level=logging.WARNING)
        self.as_json, self.account = json, account
        self.given = {"--keystore": keystore, "--password-file": password_file, "--account": account}
        """For a command that starts another one in the same name."""
        self.settings = _with_home_key(from_env().with_key(keystore, password_file))
        self._out = console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
        self.err = console(is_error=True)

    def answer(self, document: Mapping[str, Any] | list[Any], *rendered: RenderableType) -> None:
        """The command's one answer: the document with ``--json``, otherwise what people read."""
        if self.as_json:
            print(json_text(document))
            return
        for item in rendered:
            self._out.print(Harmless(item))

    def write(self, text: str, *, is_raw: bool = False) -> None:
        """A piece of a job's own output: harmless, unless it is wanted as it is. stdout is for the one document where there is one."""
        stream = self.output
        stream.write(text if is_raw else harmless(text))
        stream.flush()

    @property
    def output(self) -> TextIO:
        """Where a job's own output goes."""
        return sys.stderr if self.as_json else sys.stdout

    def say(self, text: str) -> None:
        """Something that happens on the way."""
        self.err.print(harmless_line(text))

    @contextmanager
    def market(self) -> Iterator[Market]:
        """The market, opened with the key in the account's name, and closed in the end."""
        self.settings.require("gateway_url", "rpc_urls", "address_book", "keystore", "keystore_password_file")
        market = wiring.open_market(self.settings, account=self.account)
        try:
            self._tell_pending(market)
            yield market
        except InsufficientBalance as exc:
            required, available = (tables.amount(units, market.terms) for units in (exc.required, exc.available))
            exc.add_note(f"{required} are needed, {available} are there")
            raise
        finally:
            market.close()

    def _tell_pending(self, market: Market) -> None:
        """What earlier commands sent and did not see mined: it is looked after first, and said."""
        try:
            market.wallet.tend()
        except ChainError as exc:
            self.say(f"what earlier commands sent cannot be looked after now: {exc}")
        for one in market.wallet.pending():
            where = (
                f"waits since block {one.since_block}"
                if one.block_number is None
                else f"is in block {one.block_number}"
            )
            self.say(f"an earlier command sent {one.name} (nonce {one.nonce}, {one.tx_hash}): it {where}")

    @contextmanager
    def gateway(self) -> Iterator[GatewayApi]:
        """The gateway alone, for commands that need no key."""
        self.settings.require("gateway_url")
        api = GatewayApi(self.settings.gateway_url)
        try:
            yield api
        finally:
            api.close()

    @contextmanager
    def speakers(self) -> Iterator[Callable[[Address], Address]]:
        """Whose key speaks for a provider, as the chain has it (S-5b). Where no chain is named, or it does not answer, each speaks for itself."""
        names_chain = self.settings.rpc_urls and self.settings.address_book
        factory = wiring.open_address_book(self.settings).spv_factory if names_chain else None
        if factory is None:
            yield lambda provider: provider
            return
        chain = Chain(self.settings.rpc_urls)
        companies = Companies(chain, factory)

        def speaker_of(provider: Address) -> Address:
            try:
                return companies.speaker_of(provider)
            except ChainError as exc:
                self.say(f"whether providers are companies cannot be asked now: {exc}")
                return provider

        try:
            yield speaker_of
        finally:
            chain.close()


def _with_home_key(settings: Settings) -> Settings:
    """The key that `bourse wallet new` made, where nothing else names one."""
    keystore, password = settings.home / KEY_FILE, settings.home / PASSWORD_FILE
    if settings.keystore is None and settings.keystore_password_file is None and keystore.is_file():
        return replace(settings, keystore=keystore, keystore_password_file=password)
    return settings


def with_session(*shared: Shared) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options after its own, and the session that they make as its first argument."""
    options = [option for one in shared for option in one]

    def given(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        # After what has a default nothing without one may follow, but by keyword.
        seen = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *options]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            session = CommandSession(**{option.name: values.pop(option.name) for option in options})
            command(session, **values)

        # What typer reads.
        run.__signature__ = inspect.Signature(seen)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in seen}
        return run

    return given
