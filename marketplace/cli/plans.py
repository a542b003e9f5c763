"""What `bourse run` would do, before it does it: the price where none was said, and the plan of ``--dry-run``."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import typer
from rich.table import Table

from marketplace.api.record import price_text
from marketplace.chain.checksums import checksum
from marketplace.cli import documents, tables
from marketplace.cli.session import CommandSession
from marketplace.client import Draft, JobRequest, Market
from marketplace.client.warm_images import WarmOffers
from marketplace.domain.bundles import Bundle
from marketplace.domain.errors import InvalidField
from marketplace.domain.images import HOST_IMAGE
from marketplace.domain.units import TokenUnits, text_from_units

_SHOWN_IGNORED = 20


def with_asked_price(session: CommandSession, market: Market, request: JobRequest) -> JobRequest:
    """The request at what the cheapest offer asks that can serve it now; said. Raise InvalidField where there is none."""
    found = market.asked_price(request)
    asks = price_text(found.price, market.terms)
    session.say(
        f"no --max-price: offer {found.offer.id} ({found.offer.class_name}) asks {asks}, the least that would do"
    )
    return replace(request, max_price=found.price)


def require_consent(session: CommandSession, market: Market, draft: Draft, *, is_given: bool) -> None:
    """Have the price agreed to that nobody has said. Raise InvalidField where it is not, or nobody is there to ask."""
    price = text_from_units(draft.request.max_price, market.terms.token_decimals)
    if is_given:
        return
    if session.as_json or not sys.stdin.isatty():
        raise InvalidField("max-price", f"is missing: --max-price {price}, or --yes, which takes what is asked")
    cost = tables.amount(total_of(draft), market.terms)
    if not typer.confirm(f"Pay up to {price} per GPU-hour, {cost} at most?", err=True):
        raise InvalidField("max-price", "was not agreed to; nothing was signed")


def total_of(draft: Draft) -> TokenUnits:
    """The most that all of its leases can cost together."""
    return TokenUnits(draft.worst_cost * draft.leases_at_most)


def say_warm(session: CommandSession, market: Market, draft: Draft) -> None:
    """Say where the image is warm, where there is one."""
    if draft.request.image != HOST_IMAGE:
        session.say(f"image: {_warm(market.warm_offers(draft.request))}")


def _warm(found: WarmOffers | None) -> str:
    if found is None:
        return "the gateway does not tell where it is warm"
    able = len(found.warm) + len(found.cold)
    if not able:
        return "no offer can serve the job now, warm or not"
    others = "the others pull it first" if found.warm else "whichever serves it pulls it first"
    return f"warm at {len(found.warm)} of {able} offers that can serve the job now" + (
        f"; {others}" if found.cold else ""
    )


def show_plan(session: CommandSession, market: Market, draft: Draft) -> None:
    """The answer of ``--dry-run``: what would be sent, signed and paid at most."""
    terms, request, order = market.terms, draft.request, draft.order
    inputs = draft.prepared[0].inputs
    warm = market.warm_offers(request)
    ignored = [one.path for one in inputs.left_out] if isinstance(inputs, Bundle) else []
    document: dict[str, Any] = {
        "name": request.name,
        "command": list(request.command),
        "image": request.image,
        "imageWarmAt": warm and list(warm.warm),
        "imageColdAt": warm and list(warm.cold),
        "gpu": list(request.gpus_of),
        "gpus": request.gpus,
        "nodes": len(draft.prepared),
        "maxSeconds": request.max_time,
        **documents.price("maxPrice", request.max_price, terms),
        **documents.signed(order.opener, order.arbiter, draft.worst_cost, terms),
        "leasesAtMost": draft.leases_at_most,
        **documents.money("worstCostOfAll", total_of(draft), terms),
        "inputBytes": inputs.bytes if inputs else 0,
        "inputParts": len(draft.prepared[0].parts),
        "ignored": ignored,
        "specSha256": draft.prepared[0].spec.sha256,
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, told in _rows(market, draft, ignored, warm):
        table.add_row(name, told)
    session.answer(document, table, "Nothing was signed or sent.")


def _rows(market: Market, draft: Draft, ignored: list[str], warm: WarmOffers | None) -> list[tuple[str, str]]:
    terms, request, first = market.terms, draft.request, draft.prepared[0]
    size = (
        f"{first.inputs.bytes:,} bytes in {len(first.parts)} part{'s' if len(first.parts) > 1 else ''}"
        if first.inputs
        else "none"
    )
    more = f" and {len(ignored) - _SHOWN_IGNORED} more" if len(ignored) > _SHOWN_IGNORED else ""
    machines = f"{len(draft.prepared)} machines, " if len(draft.prepared) > 1 else ""
    classes = ", ".join(request.gpus_of) if len(request.gpus_of) <= 8 else f"any of {len(request.gpus_of)} classes"
    return [
        ("command", "none: a session" if request.session else " ".join(request.command) or "the image's own"),
        ("image", request.image + ("" if request.image == HOST_IMAGE else f" ({_warm(warm)})")),
        ("GPUs", f"{machines}{request.gpus} × {classes}"),
        ("inputs", size),
        ("ignored", (", ".join(ignored[:_SHOWN_IGNORED]) + more) or "nothing"),
        ("time", f"at most {request.max_time} s"),
        ("price", f"at most {price_text(request.max_price, terms)}"),
        ("arbiter", checksum(draft.order.arbiter)),
        ("worst cost", f"{tables.amount(draft.worst_cost, terms)} a lease"),
        ("all leases", f"{tables.amount(total_of(draft), terms)} for at most {draft.leases_at_most}"),
    ]
