"""Signed deposits, delegates, wallets, disputes and assignments: the verbs as Python says them, and what the contract answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.signing import Authorization, Permit, order_id
from marketplace.chain.token import TokenContract
from marketplace.domain import events
from marketplace.domain.budgets import NO_BUDGET, Budget
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.errors import InvalidField
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import Seconds, TokenUnits, UnixTime

DOLLAR = 1_000_000
NEVER_ENDS = UnixTime(2**48)
DELEGATE, PAYEE, RELAYER = ANVIL_KEYS[4], ANVIL_KEYS[5], ANVIL_KEYS[6]
NONCE = Bytes32("0x" + "0c" * 32)
MAGIC = "1626ba7e".ljust(64, "0")


def wallet_answering(chain: Chain, word: str, address: str = "0x" + "e1" * 20) -> Address:
    """A contract that answers every question with this word."""
    chain.rpc("anvil_setCode", address, f"0x7f{word}5f5260205ff3")
    return Address(address)


def reverted(trading: Any, key: Any, call: verbs.Call) -> TransactionReverted:
    with pytest.raises(TransactionReverted) as raised:
        trading.send(key, call)
    return raised.value


# -- deposits ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def permit(trading: Any) -> Permit:
    """The client's permission to take three dollars, with the nonce that is next."""
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, TokenUnits(5 * DOLLAR)))
    nonce = trading.token.permit_nonce(trading.client.address)
    return Permit(trading.client.address, trading.book.market, TokenUnits(3 * DOLLAR), nonce, NEVER_ENDS)


def test_a_stranger_relays_a_deposit_with_a_permit(trading: Any, permit: Permit) -> None:
    """The owner pays no gas, and only its own account is credited (P-01)."""
    signature = trading.client.sign_permit(permit, trading.token.domain)
    call = verbs.deposit_with_permit(trading.book.market, permit.owner, permit.amount, permit.deadline, signature)

    mined = trading.send(RELAYER, call)

    (deposited,) = mined.events
    assert isinstance(deposited, events.Deposited)
    assert (deposited.account, deposited.amount) == (permit.owner, 3 * DOLLAR)
    assert trading.free(trading.client) == 3 * DOLLAR
    assert reverted(trading, RELAYER, call).error_name == "NotPermitted"


def test_a_permit_that_was_used_up_first_does_not_block_its_owner(trading: Any, permit: Permit) -> None:
    """Whoever saw it in the pool may have spent it at the token: the allowance is there, and the owner goes on."""
    signature = trading.client.sign_permit(permit, trading.token.domain)
    trading.send(trading.client, verbs.approve(trading.book.token, trading.book.market, permit.amount))
    stale = replace(permit, nonce=permit.nonce + 1)
    call = verbs.deposit_with_permit(
        trading.book.market,
        permit.owner,
        permit.amount,
        permit.deadline,
        trading.client.sign_permit(stale, trading.token.domain),
    )

    assert reverted(trading, RELAYER, call).arguments == {"caller": RELAYER.address, "owner": permit.owner}
    trading.send(trading.client, call)
    assert trading.free(trading.client) == 3 * DOLLAR
    assert signature != trading.client.sign_permit(stale, trading.token.domain)


def test_a_stranger_relays_a_deposit_with_an_authorization_once(trading: Any) -> None:
    """For the market only, and each nonce once (EIP-3009)."""
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, TokenUnits(5 * DOLLAR)))
    market, owner = trading.book.market, trading.client.address
    authorization = Authorization(owner, market, TokenUnits(2 * DOLLAR), UnixTime(0), NEVER_ENDS, NONCE)
    call = verbs.deposit_with_authorization(
        market, owner, authorization.amount, valid_after=UnixTime(0), valid_before=NEVER_ENDS, nonce=NONCE,
        signature=trading.client.sign_authorization(authorization, trading.token.domain),
    )  # fmt: skip

    trading.send(RELAYER, call)

    assert trading.free(trading.client) == 2 * DOLLAR
    assert reverted(trading, RELAYER, call).error_name
    assert trading.free(trading.client) == 2 * DOLLAR


def test_a_signature_that_is_no_signature_is_not_sent() -> None:
    """v, r and s are taken from 65 bytes, or not at all."""
    somebody = DELEGATE.address

    with pytest.raises(InvalidField) as raised:
        verbs.deposit_with_permit(somebody, somebody, TokenUnits(1), NEVER_ENDS, "0x1234")
    assert raised.value.field == "signature"


def test_a_token_without_a_domain_of_ours_is_refused(trading: Any) -> None:
    """Its permits would be signed in vain: the catalogue stands for a token that knows none."""
    with pytest.raises(InvalidField, match="no signed permits"):
        _ = TokenContract(trading.chain, trading.book.catalogue).domain


# -- delegates and wallets --------------------------------------------------------------------------------------------


def test_a_delegate_spends_its_budget_and_no_more(trading: Any) -> None:
    """T at maxPrice and the tip are charged at each opening, whatever it costs then (I-7)."""
    market, client = trading.book.market, trading.client
    trading.fund(client, 10 * DOLLAR)
    trading.fund(trading.provider, DOLLAR)
    offer = trading.list()
    cost = 3 * DOLLAR // 6
    until = UnixTime(trading.chain.head().timestamp + 1_000)
    trading.send(client, verbs.authorize(market, DELEGATE.address, TokenUnits(2 * cost - 1), until))
    first, second = (DELEGATE.sign_order(trading.order(), trading.market.domain) for _ in range(2))

    opened = trading.open(first, offer)
    refused = trading.open(second, offer)

    assert [type(event).__name__ for event in opened.events] == ["BudgetSpent", "LeaseOpened", "BatchOpened"]
    assert trading.market.budget_of(client.address, DELEGATE.address) == Budget(TokenUnits(cost - 1), until)
    assert refused.events[0].reason is Refusal.OverBudget
    assert trading.market.budget_of(client.address, PAYEE.address) == NO_BUDGET

    trading.send(client, verbs.authorize(market, DELEGATE.address, TokenUnits(0), until))
    assert trading.open(second, offer).events[0].reason is Refusal.BadSignature
    assert trading.market.budget_of(client.address, DELEGATE.address) == NO_BUDGET


@pytest.mark.parametrize(
    ("word", "is_approved"), [(MAGIC, True), ("1" + MAGIC[1:], True), (MAGIC[:8] + "1" * 56, False), ("00" * 32, False)]
)
def test_a_wallet_is_asked_as_the_market_asks_it(trading: Any, word: str, is_approved: bool) -> None:
    """The whole word counts (P-25); our answer is the market's."""
    wallet = wallet_answering(trading.chain, word)
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, TokenUnits(9 * DOLLAR)))
    trading.send(trading.client, verbs.approve(trading.book.token, trading.book.market, TokenUnits(9 * DOLLAR)))
    trading.send(trading.client, verbs.deposit(trading.book.market, wallet, TokenUnits(9 * DOLLAR)))
    trading.fund(trading.provider, DOLLAR)
    order = replace(trading.order(), client=wallet)
    signed = SignedOrder(order_id(order, trading.market.domain), order, "0x1234")

    found = trading.open(signed, trading.list()).events[0]

    assert is_approved_by(trading.chain, wallet, signed.id, "0x1234", trading.chain.head()) is is_approved
    assert isinstance(found, events.LeaseOpened) is is_approved


def test_who_is_no_contract_approves_nothing(trading: Any) -> None:
    """Neither does a contract that fails, or that says less than a word."""
    at, digest = trading.chain.head, NONCE
    failing, short = Address("0x" + "e2" * 20), Address("0x" + "e3" * 20)
    trading.chain.rpc("anvil_setCode", failing, "0x5f5ffd")
    trading.chain.rpc("anvil_setCode", short, "0x631626ba7e5f526004601cf3")
    greedy = Address("0x" + "e4" * 20)
    trading.chain.rpc("anvil_setCode", greedy, "0x5b5f56")

    assert not any(
        is_approved_by(trading.chain, who, digest, "0x", at()) for who in (PAYEE.address, failing, short, greedy)
    )


# -- disputes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(trading: Any) -> SignedOrder:
    """An order that has been open for 100 of its 600 seconds."""
    trading.fund(trading.client, 10 * DOLLAR)
    trading.fund(trading.provider, DOLLAR)
    signed: SignedOrder = trading.signed()
    opened = trading.open(signed, trading.list())
    trading.at(opened.block.timestamp + 100)
    return signed


EARNED, BOND, LOCKED = 2 * DOLLAR * 100 // 3600, 100_000, 2 * DOLLAR // 6 + 1


@pytest.mark.parametrize("provider_at_fault", [True, False])
def test_an_arbiter_rules(trading: Any, running: SignedOrder, provider_at_fault: bool) -> None:
    """The loser's B goes to the winner, half of it to the arbiter; the seconds are the arbiter's to say (exit table)."""
    market, arbiter = trading.book.market, trading.arbiter
    disputed = trading.send(trading.client, verbs.dispute(market, running.order))
    ruled = trading.send(arbiter, verbs.rule(market, running.order, Seconds(40), provider_at_fault=provider_at_fault))

    paid, won = 2 * DOLLAR * 40 // 3600, BOND // 2
    assert isinstance(disputed.events[0], events.LeaseDisputed)
    assert (disputed.events[0].claimed_seconds, disputed.events[0].stake) == (100, BOND)
    assert isinstance(ruled.events[0], events.LeaseRuled)
    assert ruled.events[0].provider_at_fault is provider_at_fault
    assert trading.free(trading.client) == 10 * DOLLAR - paid + (won if provider_at_fault else -BOND)
    assert trading.free(trading.provider) == DOLLAR + paid + (-BOND if provider_at_fault else won)
    assert trading.free(arbiter) == BOND // 2
    assert trading.market.status_of(running.order) is LeaseStatus.CLOSED


def test_a_silent_arbiter_costs_nobody_a_stake(trading: Any, running: SignedOrder) -> None:
    """After the ruling window anyone may end it: the disputed seconds are split (lapse)."""
    market = trading.book.market
    at = trading.send(trading.client, verbs.dispute(market, running.order)).block.timestamp
    trading.at(at + 29)
    early = reverted(trading, RELAYER, verbs.lapse(market, running.order))
    trading.at(at + 30)
    lapsed = trading.send(RELAYER, verbs.lapse(market, running.order))

    assert (early.error_name, early.arguments["from"]) == ("TooEarly", at + 30)
    assert isinstance(lapsed.events[0], events.LeaseLapsed)
    assert lapsed.events[0].paid_seconds == 50
    assert trading.free(trading.client) == 10 * DOLLAR - 2 * DOLLAR * 50 // 3600
    assert trading.free(trading.provider) == DOLLAR + 2 * DOLLAR * 50 // 3600


def test_an_assigned_lease_pays_its_payee(trading: Any, running: SignedOrder) -> None:
    """The bond stays the provider's; the payee may pass the right on, and nobody else (P-23)."""
    market, provider = trading.book.market, trading.provider
    assigned = trading.send(provider, verbs.assign(market, running.order, PAYEE.address))
    again = reverted(trading, provider, verbs.assign(market, running.order, provider.address))
    trading.at(assigned.block.timestamp + 10)
    trading.send(trading.client, verbs.terminate(market, running.order))

    assert isinstance(assigned.events[0], events.LeaseAssigned)
    assert (assigned.events[0].sender, assigned.events[0].payee) == (provider.address, PAYEE.address)
    assert again.arguments == {"caller": provider.address, "payee": PAYEE.address}
    assert trading.free(provider) == DOLLAR
    assert trading.free(PAYEE) == 2 * DOLLAR * 110 // 3600
    assert trading.market.payee_of(running.id) is None


def test_what_a_dispute_does_not_allow_is_said_by_name(trading: Any, running: SignedOrder) -> None:
    """Each error of the new verbs comes back typed, with its numbers."""
    market, order = trading.book.market, running.order
    unheard = trading.order()

    assert reverted(trading, RELAYER, verbs.dispute(market, order)).error_name == "NotClientSide"
    assert reverted(trading, RELAYER, verbs.dispute(market, unheard)).error_name == "NotDisputable"
    assert reverted(trading, RELAYER, verbs.lapse(market, order)).error_name == "NotDisputed"
    assert reverted(trading, RELAYER, verbs.assign(market, order, PAYEE.address)).error_name == "NotPayee"
    assert reverted(trading, RELAYER, verbs.assign(market, unheard, PAYEE.address)).error_name == "NotLive"
    assert reverted(trading, trading.client, verbs.withdraw(market, market, TokenUnits(1))).error_name == "PaidToMarket"

    trading.send(trading.client, verbs.dispute(market, order))
    stranger = reverted(trading, RELAYER, verbs.rule(market, order, Seconds(1), provider_at_fault=True))
    beyond = reverted(trading, trading.arbiter, verbs.rule(market, order, Seconds(101), provider_at_fault=True))

    assert (stranger.error_name, stranger.arguments["arbiter"]) == ("NotArbiter", trading.arbiter.address)
    assert (beyond.error_name, beyond.arguments) == ("SecondsOutOfBounds", {"attempted": 101, "least": 0, "most": 100})


def test_a_term_lease_is_opened_by_its_provider(trading: Any) -> None:
    """It blocks GPUs for later, so nobody else may: not even the client (P-21)."""
    trading.fund(trading.client, 10 * DOLLAR)
    trading.fund(trading.provider, DOLLAR)
    offer = trading.list()
    signed = trading.signed(starts_at=UnixTime(trading.chain.head().timestamp + 500))
    fill = verbs.open_fills(trading.book.market, [Fill(signed, offer.id, offer.price)])

    assert trading.send(trading.client, fill).events[0].reason is Refusal.TermLeaseNotByProvider
    assert isinstance(trading.send(trading.provider, fill).events[0], events.LeaseOpened)
