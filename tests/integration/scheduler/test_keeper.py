"""Deadlines that somebody must act on: the scheduler does, and loses a race to others gladly."""

from __future__ import annotations

from dataclasses import replace

from marketplace.chain import company_verbs, verbs
from marketplace.chain.companies import Companies
from marketplace.chain.contracts import contract_abi
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.finance import finance_terms
from marketplace.chain.verification import blueprint_of
from marketplace.domain.events import LeaseExpired, LeaseFinalized, LeaseLapsed, LeaseRuled
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.units import Seconds, TokenUnits
from scheduler.service import SchedulerService
from tests.integration.scheduler.floor import ARBITER, CLIENT, DOLLAR, OPENER, PROVIDERS, Floor

RESULT = "0x" + "4e" * 32


def _opened(floor: Floor, service: SchedulerService, **changes: object) -> SignedOrder:
    order = floor.order(**changes)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.OPEN
    floor.index()
    return order


def test_the_lease_of_a_silent_provider_is_expired_and_its_client_compensated(floor: Floor) -> None:
    """From the deadline on, and not a second before (P-10)."""
    floor.list(bond_bps=5_000)
    service = floor.scheduler()
    order = _opened(floor, service, max_seconds=60)
    opened_at = floor.lease(order).opened_at
    bond = floor.free(PROVIDERS[0])
    deadline = opened_at + 60 + floor.terms.claim_grace

    floor.reach(deadline - 1)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.OPEN

    floor.reach(deadline)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.CLOSED
    locked = -(-DOLLAR * 60 // 3_600)
    lost = max(locked // 2, DOLLAR // 10)
    assert floor.free(CLIENT) == 100 * DOLLAR + min(lost, locked)
    assert floor.free(PROVIDERS[0]) == bond + lost - min(lost, locked)


def test_claims_that_nobody_challenged_are_finalized_in_one_batch(floor: Floor) -> None:
    """Two claims, one transaction, when the challenge window is over."""
    floor.list()
    service = floor.scheduler()
    orders = [_opened(floor, service) for _ in range(2)]
    floor.pass_time(10)
    for order in orders:
        floor.send(PROVIDERS[0], verbs.claim(floor.market.address, order.order, Seconds(5), RESULT))
    floor.index()
    service.step()
    assert [floor.lease(order).status for order in orders] == [LeaseStatus.CLAIMED] * 2

    floor.pass_time(floor.terms.challenge_window)
    floor.index()
    service.step()
    paid = [event for event in floor.events() if isinstance(event, LeaseFinalized)]
    assert {event.lease for event in paid} == {order.id for order in orders}
    assert len({event.ref.tx_hash for event in paid}) == 1


def test_a_dispute_on_which_nobody_rules_lapses(floor: Floor) -> None:
    """From the end of the ruling window on, and not a second before: stakes go back, the seconds are split (P-10)."""
    floor.list()
    service = floor.scheduler()
    order = _opened(floor, service)
    floor.pass_time(10)
    floor.send(CLIENT, verbs.dispute(floor.market.address, order.order))
    disputed = floor.lease(order)
    end = disputed.changed_at + floor.terms.ruling_window

    floor.reach(end - 1)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.DISPUTED

    floor.reach(end)
    floor.index()
    service.step()
    half = disputed.claimed_seconds // 2
    assert floor.lease(order).status is LeaseStatus.CLOSED
    assert floor.lease(order).paid_seconds == half > 0
    assert floor.free(CLIENT) == 100 * DOLLAR - DOLLAR * half // 3_600
    assert floor.free(PROVIDERS[0]) == 100 * DOLLAR + DOLLAR * half // 3_600
    assert [event.lease for event in floor.events() if isinstance(event, LeaseLapsed)] == [order.id]


def test_being_second_is_no_failure(floor: Floor) -> None:
    """Somebody else expired one lease and finalized another a moment ago; the projection does not show it yet."""
    floor.list()
    service = floor.scheduler()
    overdue, claimed = _opened(floor, service, max_seconds=60), _opened(floor, service)
    floor.pass_time(10)
    floor.send(PROVIDERS[0], verbs.claim(floor.market.address, claimed.order, Seconds(5), RESULT))
    floor.pass_time(90)
    floor.index()
    floor.send(CLIENT, verbs.expire(floor.market.address, overdue.order))
    floor.send(CLIENT, verbs.finalize(floor.market.address, [claimed.order]))
    service.step()
    service.step()

    closed = [event for event in floor.events() if isinstance(event, LeaseExpired | LeaseFinalized)]
    assert len(closed) == 2
    assert [floor.lease(order).status for order in (overdue, claimed)] == [LeaseStatus.CLOSED] * 2


def test_what_was_tried_is_not_tried_again_before_the_projection_has_moved(floor: Floor) -> None:
    """One transaction for what expires and one for what is finalized, however often the daemon looks."""
    floor.list()
    service = floor.scheduler()
    overdue, claimed = _opened(floor, service, max_seconds=60), _opened(floor, service)
    floor.pass_time(10)
    floor.send(PROVIDERS[0], verbs.claim(floor.market.address, claimed.order, Seconds(5), RESULT))
    floor.pass_time(90)
    floor.index()
    blocks = floor.chain.head().number
    for _ in range(3):
        service.step()

    assert [floor.lease(order).status for order in (overdue, claimed)] == [LeaseStatus.CLOSED] * 2
    assert floor.chain.head().number == blocks + 2


def test_a_dispute_on_which_a_panel_does_not_rule_pays_what_was_guaranteed(floor: Floor) -> None:
    """From STEP before the ruling window ends on, under the arbiter with a backstop only: all of the guarantee, and not half of it (A-1)."""
    terms = finance_terms(floor.chain.chain_id, OPENER.address, None)
    blueprint = replace(blueprint_of(floor.book), finance=terms)
    plan = plan_deployment(floor.chain, ANVIL_KEYS[0].address, blueprint)
    arbiter = carry_out(floor.chain, ANVIL_KEYS[0], plan, known=floor.book).backstop_arbiter
    floor.market.backstop_arbiter = arbiter
    floor.list(arbiter=arbiter)
    floor.list(PROVIDERS[1])
    service = floor.scheduler()
    guaranteed, other = (
        _opened(floor, service, arbiter=arbiter, min_seconds=600),
        _opened(floor, service, min_seconds=600),
    )
    floor.pass_time(10)
    for order in (guaranteed, other):
        floor.send(CLIENT, verbs.dispute(floor.market.address, order.order))
    begins = floor.lease(guaranteed).changed_at + floor.terms.ruling_window - terms.step

    floor.reach(begins - 1)
    floor.index()
    service.step()
    assert floor.lease(guaranteed).status is LeaseStatus.DISPUTED

    floor.reach(begins)
    floor.index()
    service.step()
    assert (floor.lease(guaranteed).status, floor.lease(guaranteed).paid_seconds) == (LeaseStatus.CLOSED, 600)
    assert floor.lease(other).status is LeaseStatus.DISPUTED
    (ruled,) = (event for event in floor.events() if isinstance(event, LeaseRuled))
    assert (ruled.lease, ruled.provider_at_fault) == (guaranteed.id, False)


def _company(floor: Floor) -> Address:
    """A company of the first provider's, operated by the second, with ten dollars, on a market with finance."""
    owner, operator, salt = PROVIDERS[0], PROVIDERS[1], Bytes32("0x" + "22" * 32)
    finance = finance_terms(floor.chain.chain_id, ARBITER.address, None)
    blueprint = replace(blueprint_of(floor.book), finance=finance)
    plan = plan_deployment(floor.chain, ANVIL_KEYS[0].address, blueprint)
    factory = carry_out(floor.chain, ANVIL_KEYS[0], plan, known=floor.book).spv_factory
    assert factory
    floor.market.companies = Companies(floor.chain, factory)
    company = floor.market.companies.address_of(owner.address, salt)
    floor.send(owner, company_verbs.create_company(factory, owner.address, operator.address, salt))
    units = TokenUnits(10 * DOLLAR)
    floor.send(owner, verbs.mint(floor.terms.token, owner.address, units))
    floor.send(owner, verbs.approve(floor.terms.token, floor.market.address, units))
    floor.send(owner, verbs.deposit(floor.market.address, company, units))
    return company


def test_a_silent_operators_pledged_lease_is_claimed_before_it_falls_to_the_client(floor: Floor) -> None:
    """From the middle of the grace on; of two leases of the same company the pledged one only (S-4)."""
    owner, operator, lender, company = PROVIDERS[0], PROVIDERS[1], PROVIDERS[2], _company(floor)
    at_one_dollar = {
        "gpu_class": 1,
        "gpus": 4,
        "bond_bps": 1_000,
        "price": DOLLAR,
        "min_seconds": 0,
        "expires_at": 2**40 - 1,
    }
    spec = {"arbiter": ARBITER.address, "spec": "0x" + "33" * 32}
    floor.send(operator, verbs.list_offer(company, **at_one_dollar, **spec))
    (offer,) = (one for one in floor.market.offers_of(range(1, 3), floor.chain.head()).values() if one)
    pledged, other = floor.order(max_seconds=60), floor.order(max_seconds=60)
    floor.send(
        OPENER, verbs.open_fills(floor.market.address, [Fill(one, offer.id, DOLLAR) for one in (pledged, other)])
    )
    opened_at = floor.lease(pledged).opened_at
    floor.send(owner, company_verbs.allow(company, lender.address))
    pledge = contract_abi("ProviderSpv").call("pledge", pledged.id, opened_at, pledged.order)
    floor.send(lender, verbs.Call(company, pledge, "pledge"))
    service, halfway = floor.scheduler(), opened_at + 60 + floor.terms.claim_grace - floor.terms.claim_grace // 2

    floor.reach(halfway - 1)
    floor.index()
    service.step()
    assert floor.lease(pledged).status is LeaseStatus.OPEN

    floor.reach(halfway)
    floor.index()
    service.step()
    claimed = floor.lease(pledged)
    assert (claimed.status, claimed.claimed_seconds) == (LeaseStatus.CLAIMED, 60)
    assert floor.lease(other).status is LeaseStatus.OPEN
