"""`bourse share`: URLs with which somebody else may read what came of a job, for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace.chain.shares import MOST_SHARE_SECONDS, Part
from marketplace.cli.session import AccountOption, CommandSession, JsonOption, KeystoreOption, PasswordOption
from marketplace.domain.errors import InvalidField
from marketplace.domain.units import UnixTime, iso_from_time, seconds_from_text

app = typer.Typer()


@app.command()
def share(
    job: Annotated[str, typer.Argument(help="The job's number, id, or their beginning.")],
    lasting: Annotated[str, typer.Option("--for", help="How long, such as 1h; a week at most.")] = "1h",
    log: Annotated[bool, typer.Option("--log", help="Share the log instead of the outputs.")] = False,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Print URLs with which anybody may read the outputs, or the log, of a job for a while. They cannot be taken back.

    The first URL of outputs is the result document, the others are the files that it names.
    """
    seconds, session = seconds_from_text(lasting, field="for"), CommandSession(json, keystore, password_file, account)
    if not 1 <= seconds <= MOST_SHARE_SECONDS:
        raise InvalidField("for", "must be from 1s to 7d")
    with session.market() as market:
        lease = market.job(job).orders[-1]
        until = UnixTime(market.chain.head().timestamp + seconds)
        urls = market.api.share(lease, Part.LOG if log else Part.OUTPUTS, until)
        session.answer({"lease": lease, "until": until, "untilTime": iso_from_time(until), "urls": urls}, *urls)
