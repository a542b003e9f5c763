"""`bourse deploy`: bring a market onto a chain, look what that would cost, or check what is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from marketplace import wiring
from marketplace.chain.address_book import AddressBook, constants_to_json
from marketplace.chain.blocks import Chain
from marketplace.chain.blueprint import Blueprint
from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.constants import LOCAL_CHAINS, PRESETS, WINDOWS, MarketConstants, Preset
from marketplace.chain.create2 import default_salt, salt_of
from marketplace.chain.deployment import DeploymentPlan, carry_out, plan_deployment
from marketplace.chain.finance import FinanceTerms, finance_terms, finance_to_json
from marketplace.chain.settlement import inspect_token
from marketplace.chain.vaults import changed_by
from marketplace.chain.verification import Difference, blueprint_of, differences
from marketplace.cli.outcomes import ExitCode
from marketplace.cli.screen import json_text
from marketplace.cli.session import JSON, KEY, CommandSession, with_session
from marketplace.cli.vault import terms_file
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Bytes32, bytes32
from marketplace.domain.units import (
    COIN_DECIMALS,
    TokenUnits,
    seconds_from_text,
    text_from_seconds,
    text_from_units,
    units_from_text,
)

app = typer.Typer()

TEST_DOLLAR_DECIMALS = 6

Window = Annotated[str | None, typer.Option(help="90s, 15m, 1h, 7d; instead of the preset's.")]


@dataclass(frozen=True)
class _Wish:
    """What the command line asks for, as it stands there."""

    preset: Preset | None
    windows: dict[str, str | None]
    bond_floor: str | None
    token: str | None
    salt: str | None
    catalogue_owner: str | None
    finance: bool = False
    panel: str | None = None
    vaults: tuple[Path, ...] = ()

    @property
    def names_constants(self) -> bool:
        return self.preset is not None or self.bond_floor is not None or any(self.windows.values())


@app.command()
@with_session(JSON, KEY)
def deploy(
    session: CommandSession,
    preset: Annotated[
        Preset | None, typer.Option("--preset", help="A set of constants (default: local on a local chain, else l2).")
    ] = None,
    start_grace: Window = None,
    claim_grace: Window = None,
    challenge_window: Window = None,
    ruling_window: Window = None,
    bond_floor: Annotated[str | None, typer.Option("--bond-floor", help="Smallest bond, in whole tokens.")] = None,
    token: Annotated[
        str | None, typer.Option("--token", help="The ERC-20 to settle in; a local chain may do without.")
    ] = None,
    salt: Annotated[
        str | None, typer.Option("--salt", help="Text or 32 bytes of hex: another one gives other addresses.")
    ] = None,
    catalogue_owner: Annotated[
        str | None, typer.Option("--catalogue-owner", help="Who may append GPU classes (default: the deployer).")
    ] = None,
    finance: Annotated[
        bool, typer.Option("--finance", help="The factory of companies and the arbiter with a backstop, too.")
    ] = False,
    panel: Annotated[
        str | None,
        typer.Option("--panel", help="Who rules under that arbiter (default on a local chain: the deployer)."),
    ] = None,
    vault: Annotated[
        list[Path] | None,
        typer.Option("--vault", help="TOML: a vault of these terms, too (see docs/finance.md); repeat. With finance."),
    ] = None,
    rpc: Annotated[str | None, typer.Option("--rpc", help="The node (default: BOURSE_RPC_URLS).")] = None,
    address_book: Annotated[
        Path | None, typer.Option("--address-book", help="Default: BOURSE_ADDRESS_BOOK, else deployments/CHAINID.json.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and its cost, and send nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the chain with what is built here, and send nothing.")
    ] = False,
    verify_input: Annotated[
        Path | None,
        typer.Option("--verify-input", help="Write the compiler's standard JSON for explorers here, and ask no chain."),
    ] = None,
) -> None:
    """Create the market's contracts, at addresses that depend on nothing but what they are; again is harmless."""
    if verify_input:
        _write_verification(session, verify_input)
        return
    windows = dict(zip(WINDOWS, (start_grace, claim_grace, challenge_window, ruling_window), strict=True))
    wish = _Wish(
        preset, windows, bond_floor, token, salt, catalogue_owner, finance or bool(vault), panel, tuple(vault or ())
    )
    if rpc is None:
        session.settings.require("rpc_urls")
    chain = Chain([rpc] if rpc else session.settings.rpc_urls)
    path = address_book or session.settings.address_book or Path("deployments") / f"{chain.chain_id}.json"
    try:
        if check:
            _check(session, chain, path, wish)
        else:
            _deploy(session, chain, path, wish, dry_run=dry_run)
    finally:
        chain.close()


def _write_verification(session: CommandSession, path: Path) -> None:
    # Brings the compiler, which users need not have.
    from marketplace.chain.compiler import OPTIMIZER_RUNS, SMALL_RUNS, verification_input

    files: list[dict[str, Any]] = []
    words: list[str] = []
    for file, runs in ((path, OPTIMIZER_RUNS), (path.with_name(f"{path.stem}-vault{path.suffix}"), SMALL_RUNS)):
        found = verification_input(runs=runs)
        file.write_text(json_text(found.standard_json) + "\n", encoding="utf-8")
        contracts = [{"contract": name, "metadataSha256": told} for name, told in found.metadata_hashes.items()]
        files.append({"file": str(file), "compiler": found.compiler, "contracts": contracts})
        words.append(f"{file}: standard JSON for {found.compiler}")
        words += [f"{name}  metadata sha256 {told}" for name, told in found.metadata_hashes.items()]
    session.answer({**files[0], "vault": files[1]}, "\n".join(words))


def _deploy(session: CommandSession, chain: Chain, path: Path, wish: _Wish, *, dry_run: bool) -> None:
    key = wiring.open_key(session.settings)
    known = AddressBook.read(path) if path.exists() else None
    blueprint = _blueprint(chain, wish, key.address, known)
    plan = plan_deployment(chain, key.address, blueprint)
    _require_same_market(path, known, plan)
    for warning in plan.warnings:
        session.say(f"note: {warning}")
    if dry_run:
        session.answer(_plan_document(plan, path), _plan_table(plan), _plan_words(plan, path))
        return
    book = carry_out(chain, key, plan, known=known, tell=session.say)
    if known:  # whom whoever wrote it trusts stands nowhere else
        vaults = tuple(dict.fromkeys((*book.vaults, *known.vaults)))
        book = replace(book, opener=known.opener, arbiter=known.arbiter, vaults=vaults)
    if book != known:
        book.write(path)
    created = [step.part.title for step in plan.missing]
    document = _plan_document(plan, path) | {"created": created, "deployedAtBlock": book.deployed_at_block}
    told = f"created {', '.join(created)}" if created else "everything was there already; nothing was sent"
    session.answer(document, f"{told}\nmarket {book.market} on chain {book.chain_id}; the address book is {path}")


def _check(session: CommandSession, chain: Chain, path: Path, wish: _Wish) -> None:
    book = AddressBook.read(path)
    blueprint = _expected(chain, book, wish)
    found = differences(chain, book, blueprint)
    document = {
        "chainId": book.chain_id, "addressBook": str(path), "matches": not found,
        "constants": constants_to_json(blueprint.constants), "differences": [_difference_document(one) for one in found],
    }  # fmt: skip
    words = [str(one) for one in found] or [
        f"chain {book.chain_id} has what is built here, constants included: {book.market}"
    ]
    session.answer(document, "\n".join(words))
    if found:
        raise typer.Exit(ExitCode.REFUSED)


def _expected(chain: Chain, book: AddressBook, wish: _Wish) -> Blueprint:
    """What the book says, changed where the command line says otherwise."""
    if not wish.names_constants and not wish.token and not wish.salt and not wish.catalogue_owner:
        return blueprint_of(book)
    token = _address(wish.token, "token") or (blueprint_of(book).given_token if book.record else book.token)
    written = book.record.constants if book.record and not wish.preset else None
    salt = _salt(wish.salt) if wish.salt or not book.record else book.record.salt
    owner = _address(wish.catalogue_owner, "catalogue-owner") or (book.record.catalogue_owner if book.record else None)
    if owner is None:
        raise InvalidField("catalogue-owner", "the address book does not say it: give --catalogue-owner")
    return Blueprint(salt, _constants(chain, wish, token, written), owner, token)


def _blueprint(chain: Chain, wish: _Wish, deployer: Address, known: AddressBook | None) -> Blueprint:
    """What the command line asks for. With ``--finance`` and nothing else, around the market that the address book names."""
    written = known.record if known else None
    finance = _finance(chain, wish, deployer) if wish.finance else written.finance if written else None
    if known and written and wish.finance and not (wish.names_constants or wish.token or wish.salt):
        return _with_vaults(replace(blueprint_of(known), finance=written.finance or finance), wish.vaults)
    token = _address(wish.token, "token")
    owner = _address(wish.catalogue_owner, "catalogue-owner") or deployer
    vault_terms = written.vault_terms if written else ()
    planned = Blueprint(_salt(wish.salt), _constants(chain, wish, token), owner, token, finance, vault_terms)
    return _with_vaults(planned, wish.vaults)


def _with_vaults(blueprint: Blueprint, files: tuple[Path, ...]) -> Blueprint:
    """Those that the book names, and one for each file; the same terms are the same vault."""
    named = (changed_by(blueprint.usual_vault_terms(), terms_file(file)) for file in files)
    return replace(blueprint, vault_terms=tuple(dict.fromkeys((*blueprint.vault_terms, *named))))


def _finance(chain: Chain, wish: _Wish, deployer: Address) -> FinanceTerms:
    panel = _address(wish.panel, "panel")
    if panel is None and chain.chain_id not in LOCAL_CHAINS:
        raise InvalidField("panel", "say with --panel who rules on disputes under the arbiter: it can never be changed")
    return finance_terms(chain.chain_id, panel or deployer, wish.preset)


def _constants(
    chain: Chain, wish: _Wish, token: Address | None, written: MarketConstants | None = None
) -> MarketConstants:
    """The preset's, or those of a book, with what the command line names laid over."""
    is_local = chain.chain_id in LOCAL_CHAINS
    preset = wish.preset or (Preset.LOCAL if is_local else Preset.L2)
    left_open = [name for name, text in (wish.windows | {"bond_floor": wish.bond_floor}).items() if text is None]
    if preset is Preset.LOCAL and not is_local and left_open and written is None:
        options = ", ".join(_option(name) for name in left_open)
        raise InvalidField(
            "preset", f"local is for local chains and this is chain {chain.chain_id}; to insist, give {options} too"
        )
    decimals = inspect_token(chain, token).decimals if token else TEST_DOLLAR_DECIMALS
    base = written or PRESETS[preset].in_units(decimals)
    named = {name: seconds_from_text(text, field=name) for name, text in wish.windows.items() if text is not None}
    floor = base.bond_floor if wish.bond_floor is None else _floor(wish.bond_floor, decimals)
    return replace(base, **named, bond_floor=floor)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _floor(text: str, decimals: int) -> TokenUnits:
    return units_from_text(text, decimals, field="bond_floor")


def _salt(text: str | None) -> Bytes32:
    if text is None:
        return default_salt()
    return bytes32(text, field="salt") if text.startswith("0x") else salt_of(text)


def _address(text: str | None, field: str) -> Address | None:
    return None if text is None else address_from_text(text, field=field)


def _require_same_market(path: Path, known: AddressBook | None, plan: DeploymentPlan) -> None:
    """An address book is how people find their money: it is never written over with another market."""
    market = plan.blueprint.market.address
    if known and (known.chain_id, known.market) != (plan.chain_id, market):
        raise InvalidField(
            "address-book",
            f"{path} names the market {known.market} on chain {known.chain_id}, and this one would be {market} on chain"
            f" {plan.chain_id}; give another path",
        )


# -- the answers ------------------------------------------------------------------------------------------------------


def _difference_document(one: Difference) -> dict[str, str]:
    return {"contract": one.contract, "what": one.what, "expected": one.expected, "found": one.found}


def _plan_document(plan: DeploymentPlan, path: Path) -> dict[str, Any]:
    blueprint = plan.blueprint
    return {
        "chainId": plan.chain_id, "deployer": plan.deployer, "addressBook": str(path), "salt": blueprint.salt,
        "market": blueprint.market.address, "token": blueprint.token, "catalogue": blueprint.catalogue.address,
        "tokenSymbol": plan.token.symbol if plan.token else None, "catalogueOwner": blueprint.catalogue_owner,
        "constants": constants_to_json(blueprint.constants),
        "finance": finance_to_json(blueprint.finance) if blueprint.finance else None,
        "contracts": [
            {"name": step.part.title, "address": step.part.address, "isThere": step.is_there, "gas": step.gas} for step in plan.steps
        ],
        "gas": plan.gas, "costWei": str(plan.cost_wei), "requiredWei": str(plan.required_wei),
        "availableWei": str(plan.available_wei), "warnings": list(plan.warnings),
    }  # fmt: skip


def _plan_table(plan: DeploymentPlan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("contract", "address", "gas"):
        table.add_column(column)
    for step in plan.steps:
        table.add_row(step.part.title, step.part.address, "there already" if step.is_there else f"{step.gas:,}")
    return table


def _plan_words(plan: DeploymentPlan, path: Path) -> str:
    constants, token = plan.blueprint.constants, plan.token
    symbol, decimals = (token.symbol, token.decimals) if token else ("tUSD", TEST_DOLLAR_DECIMALS)
    rows = [f"{name:<17}{text_from_seconds(seconds)}" for name, seconds in constants.windows.items()]
    rows.append(f"{'bond_floor':<17}{text_from_units(constants.bond_floor, decimals)} {symbol}")
    rows.append(f"{'token':<17}{checksum(plan.blueprint.token)} ({symbol})")
    rows.append(f"{'catalogue owner':<17}{checksum(plan.blueprint.catalogue_owner)}")
    if plan.blueprint.finance:
        terms = plan.blueprint.finance
        rows.append(
            f"{'panel':<17}{checksum(terms.panel)}, until {text_from_seconds(terms.step)} before the ruling window ends"
        )
        rows.append(f"{'slack':<17}{text_from_seconds(terms.slack)}")
    rows.append(f"{'chain':<17}{plan.chain_id}, address book {path}")
    cost, balance = (text_from_units(wei, COIN_DECIMALS) for wei in (plan.cost_wei, plan.available_wei))
    rows.append(
        f"{'cost':<17}{plan.gas:,} gas, about {cost} of the chain's coin; {checksum(plan.deployer)} has {balance}"
    )
    return "\n".join(rows) + "\nnothing was sent"
