"""`bourse reserve` and `bourse reservations`: GPUs from a day on, for a term, opened beforehand by the provider that will serve it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from marketplace.api.record import iso
from marketplace.cli import documents, tables
from marketplace.cli import run_options as o
from marketplace.cli.following import require_running, telling_refused
from marketplace.cli.numbers import whole_option
from marketplace.cli.offers import MIN_RELIABILITY
from marketplace.cli.run import ssh_keys_of
from marketplace.cli.secret_options import secrets_of
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.cli.streaming import uploading
from marketplace.client import Draft, Job, JobRequest, Market
from marketplace.client.gpu_choices import gpus_chosen
from marketplace.client.images import resolved
from marketplace.client.request import NO_TIME
from marketplace.client.reserved import ReservationStanding, ReservationState, is_prepaid, reservations_of
from marketplace.config import variables
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import OfferId
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.market import MarketTerms
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.units import (
    BPS_WHOLE,
    MAX_LEASE_SECONDS,
    Bps,
    GpuCount,
    Seconds,
    TokenUnits,
    UnixTime,
    seconds_from_text,
    text_from_seconds,
)

app = typer.Typer()

SECONDS_PER_DAY = 86_400
PREPAY_SECONDS = 60.0
"""How long the command waits until what was promised up front is signed for; `bourse watch` does it afterwards."""
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))? ?%")


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def reserve(
    session: CommandSession,
    gpu: o.GpuOption,
    begins: Annotated[
        str, typer.Option("--from", help="When it begins: 2027-01-01, 2027-01-01T08:00:00Z (UTC), or 2h from now.")
    ],
    max_price: Annotated[str, typer.Option("--max-price", help="The most per GPU-hour, e.g. 2.10.")],
    count: Annotated[int, whole_option("count", "GPUs needed together, on one machine.", least=1, most=o.MAX_GPUS)] = 1,
    days: Annotated[int | None, whole_option("days", "How long it is, in days.", least=1)] = None,
    term: Annotated[str | None, typer.Option("--for", help="How long it is, instead of --days: 12h, 30d.")] = None,
    min_days: Annotated[int | None, whole_option("min-days", "How much of it is guaranteed, in days.")] = None,
    guaranteed: Annotated[
        str | None, typer.Option("--min", help="How much of it is guaranteed, instead of --min-days: 6h, 20d.")
    ] = None,
    upfront: Annotated[
        str, typer.Option("--upfront", help="Share of the term that is paid as soon as it is opened, for good: 20%.")
    ] = "0%",
    expires_in: Annotated[
        str, typer.Option("--expires-in", help="How long providers may take to open it; never beyond --from.")
    ] = "1d",
    offer: Annotated[int, whole_option("offer", "Only on this offer; 0: on any that fits.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Sign without being asked.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until a provider opens it.")] = True,
    dry_run: o.DryRunOption = False,
    image: o.ImageOption = "host",
    ssh_key: o.SshKeyOption = None,
    inputs: o.InputOption = None,
    pip: o.PipOption = None,
    region: o.RegionOption = None,
    vram: o.VramOption = 0,
    cpus: o.CpusOption = 1,
    memory: o.MemoryOption = 1024,
    disk: o.DiskOption = 1024,
    min_bond: o.MinBondOption = 0,
    min_reliability: Annotated[int, MIN_RELIABILITY] = 0,
    secret: o.SecretOption = None,
    egress: o.EgressOption = None,
    egress_mib: o.EgressMibOption = 1024,
    name: o.NameOption = "",
) -> None:
    """Order a machine from a day on, for a term. A provider that accepts it opens it beforehand: its GPUs are held, and all of the money
    is locked, from then on. It is sat at like a rented machine."""
    choice, share = gpus_chosen(gpu, vram), _share(upfront)
    seconds = _length(days, term, "days")
    least = _length(min_days, guaranteed, "min-days") if min_days or guaranteed else NO_TIME
    with session.market() as market:
        starts_at = _instant(begins, market.chain.head().timestamp)
        request = JobRequest(
            command=(), session=SessionTerms(Seconds(0)), image=resolved(image, session.say), gpus_of=choice.classes, gpus=GpuCount(count),
            name=name or f"{gpu[0]} from {iso(starts_at)}", max_price=market.price(max_price, field="max-price"), max_time=seconds,
            min_time=least, starts_at=starts_at, upfront=Seconds(seconds * share // BPS_WHOLE), offer=OfferId(offer), inputs=inputs,
            pip=pip, regions=tuple(region or ()), vram_mib=choice.vram_mib, cpus=cpus, memory_mib=memory, disk_mib=disk, min_bond_bps=Bps(min_bond),
            min_reliability_bps=min_reliability, retries=0, expires_in=seconds_from_text(expires_in, field="expires-in"),
            secrets=secrets_of(secret or [], variables()), egress=tuple(egress or ()), egress_mib=egress_mib,
            ssh_keys=ssh_keys_of(session.settings.home, ssh_key or [], is_own=True),
        )  # fmt: skip
        draft = market.draft(request, say=session.say)
        plan = _plan(draft, market.terms)
        if dry_run:
            session.answer(plan, _plan_table(draft, market.terms), "Nothing was signed or sent.")
            return
        for words, told in _plan_rows(draft, market.terms):
            session.say(f"{words}: {told}")
        if not yes and not session.as_json and sys.stdin.isatty() and not typer.confirm("Sign it?", err=True):
            raise InvalidField("reservation", "was not agreed to; nothing was signed")
        with telling_refused(session, market), uploading(session, draft) as line:
            job = market.sign(draft, line.show)
        assert isinstance(job, Job), "one machine"
        if wait:
            _wait_opened(session, market, job)
        found = reservations_of(market.session, (job,), market.chain.head())
        session.answer(
            _document(found[0], market.terms) | {"plan": plan}, _table(found, market.terms), Text(_next(job))
        )


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def reservations(
    session: CommandSession,
    all_of_them: Annotated[bool, typer.Option("--all", "-a", help="Those that are over, too.")] = False,
) -> None:
    """List your reservations, after moving them along once."""
    with session.market() as market:
        block = next(market.steps(0))
        found = [
            one for one in reservations_of(market.session, market.jobs(), block)
            if all_of_them or one.state is not ReservationState.OVER
        ]  # fmt: skip
        session.answer([_document(one, market.terms) for one in found], _table(found, market.terms))


def require_agreed_end(session: CommandSession, market: Market, job: Job) -> None:
    """Say what ending a reservation pays, and have that agreed to where somebody is there to ask. Raise InvalidField where it is not."""
    for one in reservations_of(market.session, (job,), market.chain.head()):
        if one.ending_costs:
            cost, paid = (tables.amount(units, market.terms) for units in (one.ending_costs, one.paid))
            session.say(f"a reservation: ending it now pays {cost} in all, of which {paid} are paid")
            if not session.as_json and sys.stdin.isatty() and not typer.confirm("End it?", err=True):
                raise InvalidField("job", "goes on; nothing was sent")


def _wait_opened(session: CommandSession, market: Market, job: Job) -> None:
    """Until it is opened, and what was promised up front is signed for; leave with its summary where it comes to nothing."""
    require_running(session, market, job)
    for _ in market.steps(PREPAY_SECONDS):
        if is_prepaid(market.session, job):
            return
    session.say("what was promised up front is not signed for yet: `bourse watch` does that")


def _next(job: Job) -> str:
    return f"pay for it as it goes: bourse watch    sit at it when it has begun: bourse ssh {job.number}    where it stands: bourse reservations"


# Reading the options


def _length(days: int | None, text: str | None, field: str) -> Seconds:
    """So many days, or a duration: one of both. Raises InvalidField."""
    if (days is None) == (text is None):
        raise InvalidField(field, "or the duration instead must be given, and not both")
    seconds = seconds_from_text(text, field=field) if text is not None else Seconds((days or 0) * SECONDS_PER_DAY)
    if seconds > MAX_LEASE_SECONDS:
        raise InvalidField(field, "is longer than a lease can be")
    return seconds


def _share(text: str) -> int:
    """``20%`` or ``12.5%`` in basis points. Raises InvalidField."""
    found = _PERCENT.fullmatch(text)
    share = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else BPS_WHOLE + 1
    if share > BPS_WHOLE:
        raise InvalidField("upfront", f"{text[:20]!r} is not a share such as 20%, of the whole term")
    return share


def _instant(text: str, now: UnixTime) -> UnixTime:
    """A day or a time, of UTC unless it says otherwise, or a duration from now on. Raises InvalidField."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return UnixTime(now + seconds_from_text(text, field="from"))
    instant = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    if not now < instant <= MAX_LEASE_SECONDS:
        raise InvalidField("from", "must lie ahead, and before the year 2106")
    return UnixTime(instant)


# What is shown


def _costs(draft: Draft) -> tuple[TokenUnits, TokenUnits]:
    """What the guarantee and the upfront part come to at the highest price."""
    order, upfront = draft.order, draft.request.upfront
    return (
        earned_rounded_down(order.max_price, order.gpus, order.min_seconds),
        earned_rounded_down(order.max_price, order.gpus, upfront),
    )


def _plan(draft: Draft, terms: MarketTerms) -> dict[str, Any]:
    order, (guaranteed, upfront) = draft.order, _costs(draft)
    return {
        "gpu": list(draft.request.gpus_of),
        "gpus": order.gpus,
        **documents.instant("startsAt", order.starts_at),
        **documents.instant("expiresAt", order.expires_at),
        "maxSeconds": order.max_seconds,
        "minSeconds": order.min_seconds,
        "upfrontSeconds": draft.request.upfront,
        **documents.price("maxPrice", order.max_price, terms),
        **documents.signed(order.opener, order.arbiter, draft.worst_cost, terms),
        **documents.money("guaranteedCost", guaranteed, terms),
        **documents.money("upfrontCost", upfront, terms),
    }


def _plan_rows(draft: Draft, terms: MarketTerms) -> list[tuple[str, str]]:
    order, request, (guaranteed, upfront) = draft.order, draft.request, _costs(draft)
    classes = ", ".join(request.gpus_of) if len(request.gpus_of) <= 8 else f"any of {len(request.gpus_of)} classes"
    return [
        ("GPUs", f"{order.gpus} × {classes}, for {text_from_seconds(order.max_seconds)} from {iso(order.starts_at)}"),
        ("opened", f"by {iso(order.expires_at)}, by any provider that accepts it; nothing is locked before"),
        (
            "worst cost",
            f"{tables.amount(draft.worst_cost, terms)}: the whole term at the highest price, locked from the opening on",
        ),
        (
            "guaranteed",
            f"{tables.amount(guaranteed, terms)} at most, for {text_from_seconds(order.min_seconds)}: what ending it early costs once it is opened",
        ),
        (
            "up front",
            f"{tables.amount(upfront, terms)} at most, for {text_from_seconds(request.upfront)}: signed as soon as it is opened, and never back",
        ),
    ]


def _plan_table(draft: Draft, terms: MarketTerms) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for words, told in _plan_rows(draft, terms):
        table.add_row(words, told)
    return table


def _document(value: ReservationStanding, terms: MarketTerms) -> dict[str, Any]:
    order, lease = value.order, value.lease
    return {
        "job": value.job.number,
        "id": value.job.id,
        "name": value.job.name,
        "state": value.state,
        "gpus": order.gpus,
        **documents.instant("startsAt", order.starts_at),
        **documents.instant("endsAt", value.ends_at),
        **documents.instant("expiresAt", order.expires_at),
        "maxSeconds": order.max_seconds,
        "minSeconds": order.min_seconds,
        "upfrontSeconds": value.upfront_seconds,
        "paidSeconds": lease.paid_seconds,
        "offer": lease.offer or None,
        "provider": value.provider,
        **documents.price("price", lease.price or None, terms),
        **documents.price("maxPrice", order.max_price, terms),
        **documents.money("guaranteedCost", value.guaranteed, terms),
        **documents.money("paid", value.paid, terms),
        **documents.money("endingCosts", value.ending_costs, terms),
        "standsStill": value.job.note,
    }


def _table(rows: Iterable[ReservationStanding], terms: MarketTerms) -> Table:
    table = tables.plain_table(
        "job", "name", "state", "GPUs", "from", "term", "guaranteed", "price", "paid", "provider", ""
    )
    for row in rows:
        table.add_row(
            str(row.job.number), row.job.name, row.state.value, str(row.order.gpus), iso(row.order.starts_at) or "–",
            text_from_seconds(row.order.max_seconds), f"{text_from_seconds(row.order.min_seconds)} · {tables.amount(row.guaranteed, terms)}",
            tables.amount(row.lease.price, terms) if row.lease.price else f"≤ {tables.amount(row.order.max_price, terms)}",
            tables.amount(row.paid, terms), tables.short(row.provider), row.job.note,
        )  # fmt: skip
    return table
