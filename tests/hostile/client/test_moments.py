"""A client uses every verb that it has at the worst moment: the provider is paid what the chain says, to the unit, and goes on."""

from __future__ import annotations

from contextlib import suppress

from marketplace.chain import verbs
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.domain import events as e
from marketplace.domain.errors import GatewayError
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.units import Seconds, TokenUnits, UnixTime
from tests.integration.provider.conftest import agent_anvil, agent_redis, stage
from tests.integration.provider.stage import CLIENT, CONSTANTS, DOLLAR, FUNDS, INVENTORY, OPENER, PRICE, PROVIDER, Stage

__all__ = ["agent_anvil", "agent_redis", "stage"]

DELEGATE = ANVIL_KEYS[5]
QUICK = ("python", "-c", "print('done')")
WAITS = ("python", "-c", "import time; print('waiting', flush=True); time.sleep(600)")
ENDS = (e.LeaseSettled, e.LeaseFinalized, e.LeaseTerminated, e.LeaseLapsed)
ALWAYS = UnixTime(2**40 - 1)


def test_odd_moments(stage: Stage) -> None:
    """Cancelled before it opens, delegate revoked and balance withdrawn while it runs, terminated and disputed before a receipt, disputed
    in the challenge window, never countersigned: beside an honest lease, which settles."""
    market = stage.book.market
    inventory = INVENTORY.replace("count = 2", "count = 8").replace("cpus = 4", "cpus = 16")
    agent = stage.agent(inventory=inventory, patience_seconds=5)
    offer, spec, long = stage.listed(agent), stage.spec(*QUICK), stage.spec(*WAITS)
    cancelled = stage.order(spec)
    stage.send(CLIENT, verbs.cancel(market, cancelled.order))
    refused = stage.send(OPENER, verbs.open_fills(market, [Fill(cancelled, offer, PRICE)])).events
    assert e.FillRefused in map(type, refused)
    assert e.LeaseOpened not in map(type, refused)

    stage.send(CLIENT, verbs.authorize(market, DELEGATE.address, TokenUnits(50 * DOLLAR), ALWAYS))
    revoked = DELEGATE.sign_order(stage.order(spec, posts=False).order, stage.market.domain)
    stage.client_api.post_order(revoked)
    late, silent, honest = (stage.order(spec) for _ in range(3))
    early, ended = (stage.order(long) for _ in range(2))
    leases = (revoked, late, silent, honest, early, ended)
    for signed in leases:
        stage.open(signed, offer)
    stage.send(CLIENT, verbs.authorize(market, DELEGATE.address, TokenUnits(0), UnixTime(0)))
    journal = stage.journal(agent)
    stage.until(agent, lambda: sum(bool(row.pid) for row in journal.servings()) == len(leases), "all have begun")
    stage.send(CLIENT, verbs.terminate(market, ended.order))
    stage.jump(CONSTANTS.start_grace)
    stage.send(CLIENT, verbs.dispute(market, early.order))
    left = stage.market.balance_of(CLIENT.address) - DOLLAR  # for the stake of another dispute
    stage.send(CLIENT, verbs.withdraw(market, CLIENT.address, TokenUnits(left)))

    def go_on() -> None:
        agent.step()
        _countersign(stage, honest)

    stage.clock.until(lambda: stage.status(late.id) is LeaseStatus.CLAIMED, "what nobody signs is claimed", each=go_on)
    stage.send(CLIENT, verbs.dispute(market, late.order))
    stage.clock.until(lambda: all(_is_claimed(stage, one) for one in (revoked, silent)), "all are claimed", each=go_on)
    stage.jump(CONSTANTS.ruling_window)
    for disputed in (early, late):
        stage.send(OPENER, verbs.lapse(market, disputed.order))
    servings = stage.folder / "home" / "servings"
    stage.clock.until(lambda: not any(servings.iterdir()), "all is over, and cleaned up", each=go_on)

    paid = {signed.id: _paid(stage, signed) for signed in leases}
    used = {serving.lease: serving.used_seconds or 0 for serving in journal.servings()}
    assert paid[revoked.id] == used[revoked.id]
    assert paid[silent.id] == used[silent.id]
    assert paid[late.id] == used[late.id] // 2
    assert min(paid[early.id], paid[ended.id], paid[honest.id]) > 0
    earned = sum(earned_rounded_down(PRICE, signed.order.gpus, Seconds(paid[signed.id])) for signed in leases)
    assert stage.market.balance_of(PROVIDER.address) == FUNDS + earned
    assert stage.market.balance_of(CLIENT.address) == FUNDS - left - earned


def _is_claimed(stage: Stage, signed: SignedOrder) -> bool:
    return stage.status(signed.id) in (LeaseStatus.CLAIMED, LeaseStatus.CLOSED)


def _countersign(stage: Stage, signed: SignedOrder) -> None:
    with suppress(GatewayError):  # closed meanwhile, or not there yet
        for said in stage.client_api.receipts(signed.id):
            if said.role == "provider":
                signature = CLIENT.sign_receipt(said.receipt, stage.market.domain)
                stage.client_api.post_receipt(signed.id, said.receipt, "client", signature)


def _paid(stage: Stage, signed: SignedOrder) -> int:
    """The seconds that the chain paid for when it closed the lease."""
    (end,) = [event for kind in ENDS for event in stage.events(kind, Bytes32(signed.id))]
    return int(end.used_seconds if isinstance(end, e.LeaseSettled) else end.paid_seconds)  # type: ignore[attr-defined]
