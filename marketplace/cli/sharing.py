"""`bourse share`: URLs with which somebody else may read what came of a job, for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace.chain.shares import MOST_SHARE_SECONDS, Part
from marketplace.cli.documents import instant
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256
from marketplace.domain.results import Result
from marketplace.domain.units import UnixTime, seconds_from_text

app = typer.Typer()


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def share(
    session: CommandSession,
    job: Annotated[str, typer.Argument(help="The job's number, id, or their beginning.")],
    lasting: Annotated[str, typer.Option("--for", help="How long, such as 1h; a week at most.")] = "1h",
    log: Annotated[bool, typer.Option("--log", help="Share the log instead of the outputs.")] = False,
) -> None:
    """Print URLs with which anybody may read the outputs, or the log, of a job for a while. They cannot be taken back.

    The first URL of outputs is the result document, the others are the files that it names: each output's tar, in its parts, which are to be
    put together in their order. Of a sealed job they are encrypted.
    """
    seconds = seconds_from_text(lasting, field="for")
    if not 1 <= seconds <= MOST_SHARE_SECONDS:
        raise InvalidField("for", "must be from 1s to 7d")
    with session.market() as market:
        lease = market.job(job).orders[-1]
        until = UnixTime(market.chain.head().timestamp + seconds)
        urls = market.api.share(lease, Part.LOG if log else Part.OUTPUTS, until)
        names = ["log"] if log else ["result document", *names_of(market.api.outputs(lease).result)]
        files = [{"name": name, "url": url} for name, url in zip(names, urls, strict=True)]
        told = [f"{name}\n  {url}" for name, url in zip(names, urls, strict=True)]
        document = {"lease": lease, **instant("until", until), "urls": urls, "files": files}
        session.answer(document, *told)


def names_of(result: Result) -> list[str]:
    """What each shared part is of, in the order in which parts are first named; one that several outputs have is shared once."""
    found: dict[Sha256, list[str]] = {}
    for output in result.outputs:
        for number, part in enumerate(output.parts, 1):
            many = f", part {number} of {len(output.parts)}" if len(output.parts) > 1 else ""
            found.setdefault(part, []).append(f"{output.path} (tar{many})")
    return [" and ".join(names) for names in found.values()]
