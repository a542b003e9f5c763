"""The JSON of `bourse provider …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.cli.documents import coin, instant, money, price
from marketplace.domain.blocks import BlockRef
from marketplace.domain.classes import load_classes
from marketplace.domain.earnings import Earning, Earnings
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.units import TokenUnits, UnixTime, iso_from_time
from marketplace.domain.wire import block_to_wire, offer_to_wire

if TYPE_CHECKING:
    from marketplace.provider.commands import Attended, Picture
    from marketplace.provider.images.cache import CachedImage


def status(value: Picture, account: Address, terms: MarketTerms) -> dict[str, Any]:
    """How a provider stands."""
    report = value.report
    return {
        "account": account,
        "running": bool(value.pid),
        "pid": int(value.pid) if value.pid.isdigit() else None,
        "standing": value.wishes.standing,
        "leaving": bool(value.pid and report and report.is_leaving),
        "heeded": report is not None and report.heeded >= value.wishes.number,
        "inventory": report.inventory if report else None,
        "inventoryProblem": report.inventory_problem if report else None,
        "trouble": report.trouble if report else None,
        "lastBlockNumber": report.block_number if report else None,
        "block": block_to_wire(value.block),
        **money("free", value.free, terms),
        **money("held", value.held, terms),
        **coin(value.coin_wei),
        "offers": [offer(one, value, terms) for one in value.offers],
        "leases": [lease(one, terms) for one in value.leases],
    }


def offer(value: Offer, picture: Picture, terms: MarketTerms) -> dict[str, Any]:
    """One of the provider's offers; ``alive``: on the market."""
    declared = picture.report.declared.get(value.id) if picture.report else None
    return offer_to_wire(value) | {
        "className": class_name(value.gpu_class),
        "alive": value.is_alive(picture.block.timestamp),
        **price("price", value.price, terms),
        **price("declaredPrice", declared, terms),
        **instant("expiresAt", value.expires_at),
    }


def lease(value: Attended, terms: MarketTerms) -> dict[str, Any]:
    """One serving, from the journal, and what the chain says of its lease."""
    serving = value.serving
    return {
        "lease": serving.lease,
        **instant("openedAt", serving.opened_at),
        "offer": serving.offer,
        "className": class_name(value.gpu_class),
        "gpus": serving.order.gpus,
        "client": serving.order.client,
        "state": serving.state,
        "onChain": value.lease.status.name.lower(),
        **instant("since", serving.updated_at),
        **price("price", serving.price, terms),
        **money("held", value.held, terms),
        **instant("startsAt", UnixTime(max(serving.opened_at, serving.order.starts_at))),
        "maxSeconds": serving.order.max_seconds,
        "minSeconds": serving.order.min_seconds,
        "usedSeconds": serving.used_seconds,
        "exitCode": serving.exit_code,
        "note": serving.note,
    }


def earnings(value: Earnings, by: str, balance: TokenUnits, at: BlockRef, terms: MarketTerms) -> dict[str, Any]:
    """The books, added up, and whether they are the balance."""
    return {
        "by": by,
        "rows": [
            {by: name, "leases": leases, "gpuSeconds": seconds, **money("earned", units, terms)}
            | money("assigned", elsewhere, terms)
            for name, leases, seconds, units, elsewhere in summed(value.rows, by)
        ],
        **money("earned", value.earned, terms),
        **money("deposited", value.deposited, terms),
        **money("withdrawn", value.withdrawn, terms),
        **money("other", value.other, terms),
        **money("held", value.held, terms),
        **money("balance", balance, terms),
        "explainsBalance": value.balance == balance,
        "block": block_to_wire(at),
    }


def summed(rows: tuple[Earning, ...], by: str) -> list[tuple[str, int, int, int, int]]:
    """What to add up by, how many leases, their GPU-seconds, what they earned, and what of it went to another account."""
    found: dict[str, list[Earning]] = {}
    for row in rows:
        found.setdefault(_key(row, by), []).append(row)
    return [
        (
            name,
            len({row.lease for row in some}),
            sum(row.gpu_seconds for row in some),
            sum(row.amount for row in some),
            sum(row.elsewhere for row in some),
        )
        for name, some in found.items()
    ]


def class_name(number: int | None) -> str:
    """What the catalogue calls it."""
    return next((row.name for row in load_classes() if row.number == number), "–" if number is None else str(number))


def _key(row: Earning, by: str) -> str:
    return {"lease": str(row.lease), "day": day_of(row.at), "class": class_name(row.gpu_class)}[by]


def day_of(at: UnixTime) -> str:
    """The day of a block time, in UTC."""
    return iso_from_time(at)[:10]


def cached_image(one: CachedImage) -> dict[str, object]:
    """A container image that is kept unpacked."""
    return {
        "image": one.record.name, "digest": f"sha256:{one.digest}", "bytes": one.record.bytes, "usedBy": list(one.users),
        "usedAt": one.used_at, "usedTime": iso_from_time(UnixTime(one.used_at)),
    }  # fmt: skip
