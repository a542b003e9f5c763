"""`bourse offers` and `bourse quote`: what there is, and what it would cost. Nothing is signed."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace.cli import documents, tables
from marketplace.cli.session import JsonOption, Session
from marketplace.client.answers import Quote
from marketplace.domain.classes import class_named
from marketplace.domain.units import PricePerGpuHour, seconds_from_text, units_from_text

app = typer.Typer()


@app.command()
def offers(
    gpu: Annotated[str | None, typer.Option("--gpu", help="Only offers of this GPU class.")] = None,
    json: JsonOption = False,
) -> None:
    """List the offers on the market."""
    session = Session(json)
    number = class_named(gpu).number if gpu else None
    with session.gateway() as api:
        rows, terms = api.offers(number), api.market().terms
    session.answer([documents.offer(row) for row in rows], tables.offers(rows, terms))


@app.command()
def quote(
    gpu: Annotated[list[str], typer.Option("--gpu", help="GPU class; repeat for several that would do.")],
    max_time: Annotated[str, typer.Option("--max-time", help="The longest time to pay for: 90s, 10m, 2h30m.")],
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="GPUs needed together.")] = 1,
    max_price: Annotated[str | None, typer.Option("--max-price", help="The most per GPU-hour, e.g. 0.40.")] = None,
    prefer_region: Annotated[
        list[str] | None, typer.Option("--prefer-region", help="Rather there, if hardly dearer; repeat.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what a job would cost, offer by offer, and why some cannot serve it."""
    session = Session(json)
    names = [class_named(name).name for name in gpu]
    seconds = seconds_from_text(max_time, field="max-time")
    with session.gateway() as api:
        terms = api.market().terms
        price = units_from_text(max_price, terms.token_decimals, field="max-price") if max_price else None
        limit = PricePerGpuHour(price) if price is not None else None
        rows: list[Quote] = []
        for name in names:
            rows += api.quotes(
                name, gpus=gpus, max_seconds=seconds, max_price=limit, prefer_regions=prefer_region or ()
            )
    session.answer([documents.quote(row, terms) for row in rows], tables.quotes(rows, terms))
