"""`bourse offers`, `bourse quote` and `bourse reputation`: what there is, what it costs, and from whom. Nothing is signed."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace import wiring
from marketplace.api.quotes import QuoteTold
from marketplace.chain.checksums import address_from_text
from marketplace.cli import documents, tables
from marketplace.cli.numbers import whole_argument, whole_option
from marketplace.cli.offer_page import offer_page
from marketplace.cli.outcomes import ExitCode
from marketplace.cli.session import JSON, CommandSession, with_session
from marketplace.client.measured import measured
from marketplace.client.reputation import reputation_from_chain
from marketplace.domain.blocks import BlockRef
from marketplace.domain.classes import class_named, classes_called
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.images import HOST_IMAGE, read_image
from marketplace.domain.reputation import Reputation
from marketplace.domain.units import BPS_WHOLE, PricePerGpuHour, seconds_from_text, units_from_text

app = typer.Typer()

MIN_RELIABILITY = whole_option(
    "min-reliability", "Least score of the provider, in basis points (9800 is 98 %).", most=BPS_WHOLE
)


@app.command()
@with_session(JSON)
def offers(
    session: CommandSession,
    gpu: Annotated[str | None, typer.Option("--gpu", help="Only offers of this GPU class.")] = None,
) -> None:
    """List the offers on the market."""
    number = class_named(gpu).number if gpu else None
    with session.gateway() as api, session.speakers() as speaker_of:
        rows, told = api.offers(number), api.market()
        seen = measured(api, rows, told.terms, speaker_of)
    now = told.block.timestamp
    session.answer([documents.offer(row, seen.get(row.id)) for row in rows], tables.offers(rows, told.terms, now, seen))


@app.command()
@with_session(JSON)
def offer(
    session: CommandSession,
    number: Annotated[int, whole_argument("offer", "The offer's number, as `bourse offers` shows it.", least=1)],
) -> None:
    """Show one offer: its terms, its machine, and what its provider's agent saw of its GPUs, if anybody looked."""
    with session.gateway() as api, session.speakers() as speaker_of:
        row, told = api.offer(OfferId(number)), api.market()
        seen = measured(api, [row], told.terms, speaker_of).get(row.id)
    now = told.block.timestamp
    session.answer(documents.offer(row, seen), offer_page(row, told.terms, now, seen))


@app.command()
@with_session(JSON)
def market(session: CommandSession) -> None:
    """Say which market the gateway serves: its addresses and windows, who opens orders there, and an arbiter that it knows.

    Opener and arbiter are the gateway's word: ask others before you trust them with a dispute.
    """
    with session.gateway() as api:
        told = api.market()
    session.answer(documents.told(told), tables.market(told))


@app.command()
@with_session(JSON)
def quote(
    session: CommandSession,
    gpu: Annotated[
        list[str], typer.Option("--gpu", help="GPU class, or all of a family (H100); repeat for several that would do.")
    ],
    max_time: Annotated[str, typer.Option("--max-time", help="The longest time to pay for: 90s, 10m, 2h30m.")],
    gpus: Annotated[int, whole_option("gpus", "GPUs needed together.", least=1)] = 1,
    max_price: Annotated[str | None, typer.Option("--max-price", help="The most per GPU-hour, e.g. 0.40.")] = None,
    prefer_region: Annotated[
        list[str] | None, typer.Option("--prefer-region", help="Rather there, if hardly dearer; repeat.")
    ] = None,
    min_reliability: Annotated[int, MIN_RELIABILITY] = 0,
    image: Annotated[
        str, typer.Option("--image", help="Say where this container image is warm: a job in it starts at once.")
    ] = HOST_IMAGE,
) -> None:
    """Say what a job would cost, offer by offer, and why some cannot serve it."""
    named = read_image(image, field="image")
    names = [known.name for name in gpu for known in classes_called(name)]
    seconds = seconds_from_text(max_time, field="max-time")
    with session.gateway() as api, session.speakers() as speaker_of:
        terms = api.market().terms
        price = units_from_text(max_price, terms.token_decimals, field="max-price") if max_price else None
        limit = PricePerGpuHour(price) if price is not None else None
        rows: list[QuoteTold] = []
        for name in names:
            rows += api.quotes(
                name, gpus=gpus, max_seconds=seconds, max_price=limit, prefer_regions=prefer_region or (),
                min_reliability_bps=min_reliability,
            )  # fmt: skip
        seen = measured(api, [row.offer for row in rows], terms, speaker_of)
        warm = api.warm_at(named.digest) if named else None
    session.answer(
        [documents.quote(row, seen.get(row.offer.id), warm) for row in rows], tables.quotes(rows, terms, seen, warm)
    )


@app.command()
@with_session(JSON)
def reputation(
    session: CommandSession,
    provider: Annotated[str, typer.Argument(help="The provider's address (0x and 40 hex digits).", metavar="ADDRESS")],
    check: Annotated[
        bool, typer.Option("--check", help="Compute it from the chain's events, too, and compare (needs the node).")
    ] = False,
) -> None:
    """Say how reliable a provider is, and why: what became of its leases, and what that weighs."""
    who = address_from_text(provider, field="ADDRESS")
    with session.gateway() as api:
        told, terms = api.provider(who), api.market().terms
    is_same = _computed(session, who, told.block.ref) == told.reputation if check else None
    session.answer(documents.reputation(told, is_same), tables.reputation(told, terms, is_same))
    if is_same is False:
        raise typer.Exit(ExitCode.LOST)


def _computed(session: CommandSession, provider: Address, at: BlockRef) -> Reputation:
    market = wiring.open_chain_market(session.settings)
    try:
        return reputation_from_chain(market, provider, at)
    finally:
        market.chain.close()
