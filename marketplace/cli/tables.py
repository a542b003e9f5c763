"""What people read: tables, receipts and summaries. Takes values, gives rich renderables; prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from marketplace.api.accounts import ProviderAnswer
from marketplace.api.market import MarketAnswer
from marketplace.api.offers import OfferTold
from marketplace.api.quotes import QuoteTold
from marketplace.chain.checksums import checksum
from marketplace.client.breaches import node_name
from marketplace.client.job import Job
from marketplace.client.job_summary import Attempt, Balance, JobResult, JobSummary
from marketplace.client.spending import Sums
from marketplace.domain.book import RejectionReason
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.market import MarketTerms
from marketplace.domain.measurements import Measurement
from marketplace.domain.policy import is_silent
from marketplace.domain.reputation import HALF_LIFE_SECONDS, PRIOR_BAD, PRIOR_GOOD, Outcome, units_rounded_down
from marketplace.domain.results import EndedReason
from marketplace.domain.states import JobReason, JobState
from marketplace.domain.units import COIN_DECIMALS, UnixTime, text_from_bps, text_from_seconds, text_from_units

_COLOURS: dict[JobState, str] = {
    JobState.SUBMITTED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.UNPLACED: "magenta",
    JobState.LOST: "red",
    JobState.CANCELLED: "dim",
}

_EXITS: dict[str, str] = {
    "": "",
    "LeaseSettled": "settled",
    "LeaseFinalized": "claimed and finalized",
    "LeaseTerminated": "terminated",
    "LeaseDeclined": "declined",
    "LeaseExpired": "expired: the provider never came back",
    "OrderCancelled": "cancelled",
    "LeaseRuled": "ruled",
    "LeaseLapsed": "lapsed",
}


def amount(units: int, terms: MarketTerms) -> str:
    """``12.50 TUSD``."""
    return f"{text_from_units(units, terms.token_decimals)} {terms.token_symbol}"


def state(value: JobState) -> Text:
    """The state in its colour."""
    return Text(value.value, style=_COLOURS[value])


def short(identifier: str | None) -> str:
    """The beginning of an address or an id."""
    return f"{identifier[:10]}…" if identifier else "–"


def clock(at: int) -> str:
    """A block time as people's local time."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def offers(rows: Iterable[OfferTold], terms: MarketTerms, now: UnixTime, seen: Mapping[OfferId, Measurement]) -> Table:
    """The market's offers. GPUs that nobody measured are said to be declared; a provider that gives no sign of life is said to be silent."""
    table = plain_table(
        "offer", "GPU", "free", "price per GPU-hour", "bond", "CPUs", "memory", "disk", "region", "GPUs are", "heard",
        "reliable", "provider",
    )  # fmt: skip
    for row in rows:
        offer, machine = row, row.machine
        table.add_row(
            str(offer.id),
            row.class_name,
            f"{offer.free} of {offer.gpus}",
            amount(offer.price, terms),
            f"{offer.bond_bps / 100:g} %",
            str(machine.cpus) if machine else "–",
            gib(machine.memory_mib) if machine else "–",
            gib(machine.disk_mib) if machine else "–",
            machine.region if machine else "–",
            gpus_are(seen.get(offer.id), now),
            heard(row.last_heartbeat, now),
            text_from_bps(row.reliability_bps),
            short(offer.provider),
        )
    return table


def gpus_are(seen: Measurement | None, now: UnixTime) -> str:
    """Whether anybody looked, and how long ago."""
    return "declared" if seen is None else f"measured {text_from_seconds(max(0, now - seen.seen_at))} ago"


def gib(mib: int) -> str:
    """MiB as GiB with one decimal, rounded down."""
    return f"{mib // 1024}.{mib % 1024 * 10 // 1024} GiB"


def heard(last: UnixTime | None, now: UnixTime) -> Text:
    """When the provider was heard of last; one that is silent gets no work."""
    if last is None:
        return Text("SILENT: never", style="red")
    ago = f"{text_from_seconds(max(0, now - last))} ago"
    return Text(f"SILENT: {ago}", style="red") if is_silent(last, now) else Text(ago)


def market(told: MarketAnswer) -> Table:
    """Which market it is. Opener and arbiter are the gateway's word, everything else the chain's."""
    terms, table = told.terms, _plain()
    table.add_row("chain", str(terms.chain_id))
    table.add_row("market", checksum(terms.market))
    table.add_row("token", f"{checksum(terms.token)} ({terms.token_symbol}, {terms.token_decimals} decimals)")
    table.add_row("catalogue", checksum(told.catalogue))
    table.add_row("opener, says the gateway", checksum(told.opener))
    table.add_row("arbiter, says the gateway", checksum(told.arbiter))
    for words, seconds in (
        ("start grace", terms.start_grace), ("claim grace", terms.claim_grace),
        ("challenge window", terms.challenge_window), ("ruling window", terms.ruling_window),
    ):  # fmt: skip
        table.add_row(words, text_from_seconds(seconds))
    table.add_row("least bond", amount(terms.bond_floor, terms))
    table.add_row("block", str(told.block.number))
    return table


def quotes(
    rows: Sequence[QuoteTold], terms: MarketTerms, seen: Mapping[OfferId, Measurement], warm: frozenset[Address] | None
) -> RenderableType:
    """What a job would cost, offer by offer, and why some cannot serve it; ``warm``: whose machines have the image that was named."""
    if not rows:
        return Text("No offer of these GPU classes is on the market.")
    table = plain_table("offer", "GPU", "GPUs are", "price per GPU-hour", "locked at most", "provider's bond", "")
    for row in rows:
        table.add_row(
            str(row.offer.id),
            row.class_name,
            "measured" if row.offer.id in seen else "declared",
            amount(row.offer.price, terms),
            "–" if row.locked is None else amount(row.locked, terms),
            "–" if row.bond is None else amount(row.bond, terms),
            _serves(row, warm) if row.can_serve else Text(_why_not(row), style="yellow"),
        )
    return table


def _serves(row: QuoteTold, warm: frozenset[Address] | None) -> Text:
    image = "" if warm is None else ", image warm" if row.offer.provider in warm else ", pulls the image first"
    return Text(f"can serve{image}", style="green")


def _why_not(row: QuoteTold) -> str:
    return f"{_words(row.reason)}{': ' + row.detail if row.detail else ''}"


_OUTCOMES: dict[Outcome, str] = {
    Outcome.SETTLED: "settled: both sides signed",
    Outcome.CLAIMED: "claimed, and nobody objected",
    Outcome.CLEARED: "disputed, and found not at fault",
    Outcome.TERMINATED: "terminated by the client, and paid",
    Outcome.SELF_DEALT: "served to itself: counts nothing",
    Outcome.DECLINED: "declined",
    Outcome.LAPSED: "disputed, and nobody ruled",
    Outcome.EXPIRED: "expired: it never came back",
    Outcome.AT_FAULT: "disputed, and found at fault",
}


def reputation(value: ProviderAnswer, terms: MarketTerms, is_same: bool | None) -> Group:
    """A provider's score, and the evidence for it in money, each outcome by itself."""
    told = value.reputation

    def weight(units: int) -> str:
        return amount(units_rounded_down(units, terms.bond_floor), terms)

    head = _plain()
    head.add_row("provider", checksum(value.address))
    if value.owner:
        head.add_row("owner", f"{checksum(value.owner)}: one reputation for it and all its companies")
    head.add_row("reliability", text_from_bps(told.score_bps(value.block.timestamp)))
    head.add_row("offers", ", ".join(str(row.id) for row in value.offers) or "none")
    head.add_row("last sign of life", clock(value.last_heartbeat) if value.last_heartbeat else "never")
    head.add_row("went well", f"{weight(told.heard)} are heard, no client for more than an eighth of them")
    head.add_row("failed", weight(told.failed))
    head.add_row("believed of a newcomer", f"{weight(PRIOR_GOOD)} went well, {weight(PRIOR_BAD)} failed")
    head.add_row("half-life", text_from_seconds(HALF_LIFE_SECONDS))
    if is_same is not None:
        head.add_row("the chain's events", "say the same" if is_same else Text("say something else", style="red"))
    rows = plain_table("leases", "what became of them", "weigh now")
    for outcome in Outcome:
        if outcome in told.tallies:
            tally = told.tallies[outcome]
            rows.add_row(str(tally.count), _OUTCOMES[outcome], weight(tally.weight))
    return Group(head, Text(), rows if told.tallies else Text("No lease of this provider has ended yet."))


def jobs(rows: Iterable[Job], terms: MarketTerms) -> Table:
    """A client's jobs."""
    table = plain_table("#", "job", "name", "state", "since", "paid", "refunded", "compensation", "")
    for row in rows:
        kept, sums = row.kept, row.sums()
        last = kept.job.history[-1]
        table.add_row(
            str(kept.number),
            short(row.id),
            node_name(kept),
            state(kept.job.state),
            clock(last.at),
            amount(sums.paid, terms),
            amount(sums.refunded, terms),
            amount(sums.compensation, terms),
            _standing_of(row) or last.note,
        )
    return table


def standing(is_posted: bool, note: str) -> str:
    """Where an order is that waits to be served."""
    if is_posted:
        return "on the book"
    return (
        f"signed; {note}"
        if note.startswith("refused")
        else f"signed; the gateway has not taken it yet: {note or 'it was not asked'}"
    )


def _standing_of(row: Job) -> str:
    """What has to be said of a job whose order is nowhere but here; nothing otherwise."""
    return standing(False, row.note) if row.state is JobState.SUBMITTED and not row.is_posted else ""


def balance(value: Balance, account: Address, terms: MarketTerms) -> Table:
    """An account's money."""
    table = _plain()
    table.add_row("account", checksum(account))
    table.add_row("free in the market", amount(value.free, terms))
    table.add_row("locked in live leases", amount(value.locked, terms))
    table.add_row("in the wallet", amount(value.wallet, terms))
    table.add_row("coin for gas", text_from_units(value.coin_wei, COIN_DECIMALS))
    return table


def ended(value: JobResult) -> str:
    """Whose doing the end was, and the job's exit code where it ended by itself."""
    code = "" if value.exit_code is None else f"exit code {value.exit_code}"
    by = f"by the {value.ended.by}: {_words(value.ended)}" if value.ended is not EndedReason.EXITED else "by itself"
    return " · ".join(filter(None, (by, code)))


def receipt(value: JobResult, sums: Sums | None, terms: MarketTerms) -> Panel:
    """What was done, for how long, and what it cost; ``sums`` None while the money has not moved yet."""
    table = _plain()
    table.add_row("lease", value.lease)
    table.add_row("provider", checksum(value.provider) if value.provider else "–")
    table.add_row("ended", ended(value))
    for one in value.left_out:
        table.add_row("not delivered", f"{one.path}: {one.why}")
    if value.log.missing_bytes:
        table.add_row("log", f"{value.log.missing_bytes} bytes are missing in the middle")
    table.add_row("time on the meter", f"{value.used_seconds} s ({text_from_seconds(value.used_seconds)})")
    table.add_row("price per GPU-hour", amount(value.price, terms))
    table.add_row("cost", amount(value.cost, terms))
    if sums is None:
        table.add_row("money", "not settled yet: bourse explain shows it later")
    else:
        table.add_row("paid · refunded", f"{amount(sums.paid, terms)} · {amount(sums.refunded, terms)}")
        if sums.compensation:
            table.add_row("compensation", f"{amount(sums.compensation, terms)} out of a provider's bond")
    table.add_row("result sha256", value.result)
    table.add_row(
        "signed by us", "yes, after verifying every hash" if value.is_countersigned else "no: the chain settled it"
    )
    return Panel(table, title="receipt", title_align="left", expand=False)


def job_summary(value: JobSummary, terms: MarketTerms) -> Group:
    """All there is to tell about a job, oldest first."""
    name = f"{value.name} · {value.group}" if value.group else value.name
    head = Text.assemble(f"job {value.number} · {name} · ", state(value.state), f"\n{value.job}\n")
    history = plain_table("time", "state", "why", "")
    for event in value.history:
        history.add_row(clock(event.at), state(event.state), _words(event.reason), event.note)
    parts: list[RenderableType] = [head, history, _attempts(value.attempts, terms)]
    if value.explanation is not None:
        parts.append(_explanation(value))
    parts.append(_money(value, terms))
    if value.result is not None:
        parts.append(receipt(value.result, value.sums if value.is_settled else None, terms))
    return Group(*parts)


def _attempts(rows: Iterable[Attempt], terms: MarketTerms) -> Table:
    table = plain_table(
        "order", "at most", "provider", "opened", "price", "ended", "paid", "refunded", "compensation", ""
    )
    for row in rows:
        last = row.servings[-1] if row.servings else None
        table.add_row(
            f"{row.number}: {short(row.order)}",
            amount(row.max_price, terms),
            short(row.provider),
            clock(last.opened_at) if last else "never",
            amount(last.price, terms) if last else "–",
            _EXITS.get(row.exit, row.exit),
            amount(row.sums.paid, terms),
            amount(row.sums.refunded, terms),
            amount(row.sums.compensation, terms),
            row.note if row.is_posted else standing(False, row.note),
        )
    return table


def _explanation(value: JobSummary) -> Text:
    assert value.explanation is not None
    lines = ["What the last round said:"]
    lines += [
        f"  {_words(name)}: {count} offer{'s' if count != 1 else ''}"
        for name, count in value.explanation.reasons.items()
    ]
    if value.explanation.placed_on is not None:
        lines.append(f"  placed on offer {value.explanation.placed_on}")
    if value.explanation.nearest_miss:
        lines.append(
            f"  {'nearest miss' if value.explanation.placed_on is None else 'why'}: {value.explanation.nearest_miss}"
        )
    return Text("\n".join(lines) + "\n")


def _money(value: JobSummary, terms: MarketTerms) -> Text:
    sums = value.sums
    told = [f"paid {amount(sums.paid, terms)}", f"refunded {amount(sums.refunded, terms)}"]
    if sums.compensation:
        told.append(f"compensated with {amount(sums.compensation, terms)}")
    if sums.tips:
        told.append(f"tips {amount(sums.tips, terms)}")
    if sums.locked:
        told.append(f"still locked {amount(sums.locked, terms)}")
    return Text(f"Money: {', '.join(told)}.\n")


def _words(reason: str) -> str:
    """A reason's name as words: ``ProviderSilent`` and ``provider_silent`` as ``provider silent``."""
    if isinstance(reason, JobReason | RejectionReason):
        reason = reason.value
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in reason)
    return spaced.replace("_", " ").strip()


def plain_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    return table
