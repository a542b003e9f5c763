"""`bourse image …`: bring container images to the market, so that jobs can name them and no registry is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.client.images import push_named

app = typer.Typer(help="Container images among the market's own files.", no_args_is_help=True)


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def push(
    session: CommandSession,
    image: Annotated[
        str, typer.Argument(help="A folder in OCI's layout, an archive of `docker save`, or registry.example/path:tag.")
    ],
) -> None:
    """Bring an image to the market's own files, and say by which name jobs run in it (`bourse run --image`).

    What is there already is not sent again: a push that broke off goes on where it was. The image is read by you, and by the
    parties of leases whose jobs name it.
    """
    with session.market() as market:
        pushed = push_named(market.api, image, session.say)
        document = {"image": str(pushed.name), "bytes": pushed.bytes, "sentBytes": pushed.sent_bytes}
        session.answer(
            document, f"{pushed.name}\n{pushed.bytes >> 20} MiB, of which {pushed.sent_bytes >> 20} MiB were sent"
        )
