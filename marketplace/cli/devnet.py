"""`bourse devnet`: a whole market on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from marketplace import devnet
from marketplace.cli.session import JSON, CommandSession, with_session
from marketplace.config import DEVNET_FOLDER
from marketplace.daemon import Stop
from marketplace.domain.wire import camel

app = typer.Typer(help="A whole market on this machine: chain, gateway, scheduler, providers.", no_args_is_help=True)

FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", help="Where it keeps everything (default: .devnet, here or above).", file_okay=False),
]
ProcessArgument = Annotated[str, typer.Argument(help="A process, as `bourse devnet status` names it.")]
_HERE = Path(DEVNET_FOLDER)


@app.command()
@with_session(JSON)
def up(
    session: CommandSession,
    folder: FolderOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready, and leave it running.")
    ] = False,
    finance: Annotated[
        bool,
        typer.Option("--finance", help="With companies, an arbiter with a backstop, and a vault (docs/finance.md)."),
    ] = False,
) -> None:
    """Start a market from nothing: worthless development keys, test dollars, three providers with declared GPUs."""
    if detach:
        session.say("starting a market; this takes some seconds")
        devnet.start_detached(folder or _HERE, finance=finance)
        _status(session, devnet.look(folder or _HERE))
        return
    session.say(f"starting a market in {folder or _HERE}; Ctrl-C ends it")
    devnet.supervise(
        folder or _HERE,
        Stop().on_signals(),
        lambda _: _status(session, devnet.look(folder or _HERE)),
        finance=finance,
    )


@app.command()
@with_session(JSON)
def down(session: CommandSession, folder: FolderOption = None) -> None:
    """End the market; its files stay until the next one starts."""
    place = folder or _nearest()
    was_running = devnet.is_running(place)
    devnet.stop_detached(place)
    session.answer({"stopped": was_running}, "stopped" if was_running else "no market was running here")


@app.command()
@with_session(JSON)
def status(session: CommandSession, folder: FolderOption = None) -> None:
    """Show what runs, where, and in whose name."""
    place = folder or _nearest()
    _status(session, devnet.look(place) | {"running": devnet.is_running(place)})


@app.command()
@with_session(JSON)
def hold(session: CommandSession, name: ProcessArgument, folder: FolderOption = None) -> None:
    """Kill a process (SIGKILL) and keep it down, as when its machine is gone."""
    pid = devnet.hold(folder or _nearest(), name)
    was = f"pid {pid}" if pid else "down already"
    session.answer(
        {"held": name, "pid": pid}, f"{name} ({was}) is dead; `bourse devnet release {name}` lets it start again"
    )


@app.command()
@with_session(JSON)
def release(session: CommandSession, name: ProcessArgument, folder: FolderOption = None) -> None:
    """Let a held process start again."""
    devnet.release(folder or _nearest(), name)
    session.answer({"released": name}, f"{name} starts again")


def _nearest() -> Path:
    """The development network that the other commands use too: here, or in the nearest folder above."""
    here = Path.cwd()
    return next((place / _HERE for place in (here, *here.parents) if (place / _HERE / "state.json").is_file()), _HERE)


def _document(state: dict[str, Any]) -> dict[str, Any]:
    """The state by the names that all answers have; in its file, settings are named as such."""
    accounts = {role: _camel(account) for role, account in state["accounts"].items()}
    return _camel(state) | {"settings": _camel(state["settings"]), "accounts": accounts}


def _camel(row: dict[str, Any]) -> dict[str, Any]:
    return {camel(name): value for name, value in row.items()}


def _status(session: CommandSession, state: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("process", "state", "pid", "restarts", "health", "log"):
        table.add_column(column)
    for name, row in state["processes"].items():
        table.add_row(name, row["state"], str(row["pid"] or ""), str(row["restarts"]), row["health"] or "", row["log"])
    held = [name for name, row in state["processes"].items() if row["state"] == "held"]
    told = f"gateway {state['settings']['gateway_url']}\nchain   {state['settings']['rpc_urls']}\nready   {state['ready']}\n"
    told += "".join(f"{name} is held down: `bourse devnet release {name}` lets it start again\n" for name in held)
    session.answer(_document(state), told, table)
