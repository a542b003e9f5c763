"""Quotes are a hint of what a round will do, so they measure with its measures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.book import RejectionReason
from marketplace.domain.fills import check_widths, refusal_of_offer
from marketplace.domain.fitting import Circumstances, OfferRow, reason_against
from marketplace.domain.policy import DEFAULT
from marketplace.domain.spec import Constraints, JobSpec, Resources
from marketplace.domain.units import Bps, TokenUnits, UnixTime
from marketplace.services.quotes import QuoteRequest, draft, sentence_of
from tests.unit.engine.markets import BLOCK, CLASSES, MACHINE, NOW, PEOPLE, SPEC, an_offer

ROW = OfferRow(an_offer(), CLASSES[0], replace(MACHINE, egress_mib=100), NOW, Bps(9_000))
MOST = Resources(1, MACHINE.vram_mib, MACHINE.cpus, MACHINE.memory_mib, MACHINE.disk_mib, 100)
"""All that the row's machine has."""
HAS_MOST = JobSpec(SPEC.work, resources=MOST)


def reason(row: OfferRow = ROW, spec: JobSpec | None = None, least_bps: int = 0) -> str:
    """Why the offer would not serve; empty where it would."""
    pair = QuoteRequest(draft(3, 1, 60, None), True, spec, (), least_bps).pair(row)
    found = reason_against(pair, Circumstances(BLOCK, pair.order.opener))

    assert found is None or sentence_of(found, pair, TokenUnits(0))
    return found or ""


@pytest.mark.parametrize(
    ("why", "more"),
    [
        (RejectionReason.NOT_ENOUGH_VRAM, {"vram_mib": MOST.vram_mib + 1}),
        (RejectionReason.NOT_ENOUGH_CPUS, {"cpus": MOST.cpus + 1}),
        (RejectionReason.NOT_ENOUGH_MEMORY, {"memory_mib": MOST.memory_mib + 1}),
        (RejectionReason.NOT_ENOUGH_DISK, {"disk_mib": MOST.disk_mib + 1}),
        (RejectionReason.NETWORK_NOT_OFFERED, {"egress_mib": 101}),
    ],
)
def test_a_machine_serves_what_it_has_and_no_more(why: RejectionReason, more: dict[str, Any]) -> None:
    """To the last MiB. Of one whose description is not known only the VRAM is, by its class."""
    asked, unknown = JobSpec(SPEC.work, resources=replace(MOST, **more)), replace(ROW, machine=None)
    vram_alone = JobSpec(SPEC.work, resources=Resources(vram_mib=MOST.vram_mib))

    assert (reason(), reason(spec=HAS_MOST), reason(unknown), reason(unknown, vram_alone)) == ("", "", "", "")
    assert reason(spec=asked) == why
    assert reason(unknown, HAS_MOST) == reason(unknown, asked) == RejectionReason.MACHINE_UNKNOWN
    assert reason(replace(unknown, gpu_class=None), vram_alone) == RejectionReason.MACHINE_UNKNOWN


@pytest.mark.parametrize(
    ("why", "wanted"),
    [
        ("", {"regions": ("us", "eu")}),
        ("", {"providers": (PEOPLE[0], PEOPLE[1])}),
        ("", {"exclude_providers": (PEOPLE[1],)}),
        ("", {"min_reliability_bps": 9_000}),
        (RejectionReason.WRONG_REGION, {"regions": ("us",)}),
        (RejectionReason.PROVIDER_EXCLUDED, {"providers": (PEOPLE[1],)}),
        (RejectionReason.PROVIDER_EXCLUDED, {"providers": (PEOPLE[0],), "exclude_providers": (PEOPLE[0],)}),
        (RejectionReason.RELIABILITY_TOO_LOW, {"min_reliability_bps": 9_001}),
    ],
)
def test_a_spec_says_where_its_job_may_run(why: str, wanted: dict[str, Any]) -> None:
    """Regions, providers and how reliable they are; of an unknown machine nobody knows the region."""
    spec = JobSpec(SPEC.work, constraints=Constraints(**wanted))

    assert reason(spec=spec) == why
    if "regions" in wanted:
        assert reason(replace(ROW, machine=None), spec) == RejectionReason.MACHINE_UNKNOWN


def test_silence_and_a_low_score_count_before_there_is_a_spec() -> None:
    """The higher of both wishes for reliability counts; a provider is silent from the second after its last moment on."""
    strict = JobSpec(SPEC.work, constraints=Constraints(min_reliability_bps=9_001))

    assert (reason(least_bps=9_000), reason(least_bps=9_001)) == ("", RejectionReason.RELIABILITY_TOO_LOW)
    assert reason(spec=strict, least_bps=1) == RejectionReason.RELIABILITY_TOO_LOW
    heard = [UnixTime(NOW - DEFAULT.heartbeat_seconds - late) for late in (0, 1)]
    assert [reason(replace(ROW, last_heartbeat=at)) for at in (*heard, None)] == [
        "", RejectionReason.PROVIDER_SILENT, RejectionReason.PROVIDER_SILENT,
    ]  # fmt: skip


@pytest.mark.parametrize("offered", [{}, {"price": 2**80 - 1}, {"price": 0, "bond_bps": 0}])
def test_a_draft_is_an_order_that_every_offer_of_its_class_could_serve(offered: dict[str, Any]) -> None:
    """It asks for nothing but what was said: no bond, no opener, no end; a limit of its own is kept."""
    offer, order = an_offer(**offered), draft(1, 4, 60, None)

    assert refusal_of_offer(replace(order, arbiter=offer.arbiter), offer, UnixTime(2**39), PEOPLE[0]) is not None
    forever = replace(offer, expires_at=UnixTime(2**40))
    assert refusal_of_offer(replace(order, arbiter=offer.arbiter), forever, UnixTime(2**40 - 1), PEOPLE[0]) is None
    assert (order.classes, order.gpus, order.max_seconds, draft(1, 4, 60, 5).max_price) == (1, 4, 60, 5)
    assert (order.offer, order.tip, order.min_bond_bps, order.salt, order.starts_at, order.min_seconds) == (0,) * 6
    check_widths(order)


def test_a_region_is_preferred_where_client_or_spec_say_so() -> None:
    """Both are heard; where a machine is that nobody described, nobody knows."""
    spec = JobSpec(SPEC.work, constraints=Constraints(prefer_regions=("eu",)))
    asked = [
        QuoteRequest(draft(3, 1, 60, 5), True, *wishes)
        for wishes in ((spec,), (None, ("eu",)), (None, ("us",)), (None,))
    ]

    assert [one.prefers(ROW) for one in asked] == [True, True, False, False]
    assert not asked[0].prefers(replace(ROW, machine=None))
