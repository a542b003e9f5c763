"""`bourse`: the console script. Its commands are in the modules beside; errors become one line and an exit code here."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer

from marketplace.cli import (
    advance,
    audit,
    daemons,
    deploy,
    devnet,
    disputes,
    exposing,
    gpus,
    images,
    jobs,
    offers,
    provider,
    provider_setup,
    renting,
    reserving,
    run,
    sharing,
    spv,
    ssh,
    vault,
    wallet,
)
from marketplace.cli.outcomes import ExitCode, advice_for, error_document, exit_code_of, line_of
from marketplace.cli.screen import json_text
from marketplace.domain.errors import InvalidField, MarketplaceError
from marketplace.domain.printable import harmless_line

HELP = """A market for GPU-hours without a middleman who holds the money.

Exit codes: 0 done · 1 the job ran and failed · 2 wrong usage or settings · 3 refused or not placed · 4 chain or gateway
unavailable · 5 lost, or does not hold · 6 cancelled · 7 not done in time.
"""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for commands in (
    run.app,
    renting.app,
    reserving.app,
    jobs.app,
    ssh.app,
    exposing.app,
    gpus.app,
    sharing.app,
    disputes.app,
    offers.app,
    audit.app,
    daemons.app,
    deploy.app,
):
    app.registered_commands += commands.registered_commands
app.add_typer(wallet.app, name="wallet")
provider.app.registered_commands += provider_setup.app.registered_commands
app.add_typer(images.app, name="image")
app.add_typer(provider.app, name="provider")
app.add_typer(spv.app, name="spv")
app.add_typer(devnet.app, name="devnet")
app.add_typer(vault.app, name="vault")
app.add_typer(advance.app, name="advance")


def main() -> None:
    """Run the command line; never a traceback for an error that has a name."""
    as_json = wants_json(sys.argv[1:])
    try:
        # Typer's own way of ending writes prose for people.
        sys.exit(app(standalone_mode=not as_json) or ExitCode.OK)
    except typer.TyperException as error:
        sys.exit(report(usage_error(error), as_json=as_json))
    except typer.Abort:
        sys.exit(ExitCode.JOB_FAILED)
    except MarketplaceError as error:
        sys.exit(report(error, as_json=as_json))
    except BrokenPipeError:
        sys.exit(ExitCode.OK)  # whoever read our answer has read enough
    except OSError as error:
        sys.exit(report_file(error, as_json=as_json))
    except Exception:  # noqa: BLE001 - a bug of ours: say so with its own exit code, and not with that of a failed job
        traceback.print_exc()
        sys.exit(ExitCode.BUG)


def usage_error(error: typer.TyperException) -> InvalidField:
    """A command line that cannot be read, as a typed error: the option or argument at fault, and what is wrong with it."""
    said = getattr(error, "format_message", lambda: str(error))()
    parameter = getattr(error, "param", None)
    return InvalidField(getattr(error, "option_name", None) or getattr(parameter, "name", None) or "command line", said)


def report_file(error: OSError, *, as_json: bool) -> ExitCode:
    """A file or folder that the user named, or the home, cannot be used; without a file's name it is a bug of ours."""
    if error.filename is None:
        traceback.print_exception(error)
        return ExitCode.BUG
    return report(InvalidField(str(error.filename), f"cannot be used: {error.strerror}"), as_json=as_json)


def report(error: MarketplaceError, *, as_json: bool) -> ExitCode:
    """Print an error: a line on stderr, or the one JSON document on stdout."""
    if as_json:
        print(json_text(error_document(error)))
    else:
        print(f"bourse: {harmless_line(line_of(error))}", file=sys.stderr)
        if advice := advice_for(error):
            print(f"  next: {advice}", file=sys.stderr)
    return exit_code_of(error)


def wants_json(words: Sequence[str]) -> bool:
    """Whether ``--json`` is among our own words; those after ``--`` are the job's."""
    own = list(words)
    return "--json" in (own[: own.index("--")] if "--" in own else own)


if __name__ == "__main__":
    main()
