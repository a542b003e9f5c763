"""An account's money, in the market and outside: what there is, and what moves it in and out."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import StrEnum

from marketplace.chain import verbs
from marketplace.chain.checksums import address_from_text
from marketplace.chain.constants import LOCAL_CHAINS
from marketplace.chain.signing import Authorization, Permit
from marketplace.chain.token import TokenContract, coin_of, make_local_coin
from marketplace.chain.transactions import Mined
from marketplace.chain.verbs import Call
from marketplace.client.job_summary import Balance
from marketplace.client.session import ClientSession
from marketplace.client.unconfirmed import locked_now
from marketplace.domain.budgets import Budget
from marketplace.domain.errors import ConfigError, InsufficientBalance, InvalidField
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing
from marketplace.domain.units import PricePerGpuHour, TokenUnits, UnixTime, units_from_text

BUDGET_BITS, TIME_BITS = 128, 40
SIGNED_SECONDS = 3600
"""Block time for which a signed deposit is good."""


class DepositBy(StrEnum):
    """How the market gets leave to take the tokens."""

    APPROVAL = "approval"
    """A transaction before the deposit; any ERC-20."""
    PERMIT = "permit"
    """A signed allowance (EIP-2612), in the deposit's own transaction."""
    AUTHORIZATION = "authorization"
    """A signed transfer (EIP-3009), in the deposit's own transaction; needs no order among them."""


class Wallet:
    """The money of one session's account."""

    def __init__(self, session: ClientSession) -> None:
        self._session, self._market = session, session.market

    def amount(self, text: str, *, field: str = "amount") -> TokenUnits:
        """``"20.50"`` in the token's base units."""
        return units_from_text(text, self._market.terms().token_decimals, field=field)

    def price(self, text: str, *, field: str = "max_price") -> PricePerGpuHour:
        """``"0.40"`` per GPU-hour in the token's base units."""
        return PricePerGpuHour(self.amount(text, field=field))

    def balance(self) -> Balance:
        """What this account has, all at one block."""
        session, block = self._session, self._session.chain.head()
        locked = locked_now(self._market, session.book, block)
        wallet = self._token.balance_of(session.account, block)
        coin_wei = coin_of(session.chain, session.mandate.signer, block)
        return Balance(self._market.balance_of(session.account, block), locked, wallet, coin_wei)

    def pending(self) -> Sequence[Outgoing]:
        """This account's transactions that were sent from here and whose end nobody was told."""
        return self._session.sender.pending()

    def acknowledge(self) -> None:
        """Say that whoever wanted them knows of the pending transactions that are mined: their like is done anew from now on."""
        self._session.sender.acknowledge()

    def tend(self) -> None:
        """Look after what was sent: send again what a node forgot, or a reorganisation took back. Raise ChainUnavailable."""
        self._session.sender.tend(self._session.chain.head())

    def deposit(self, amount: TokenUnits, by: DepositBy = DepositBy.APPROVAL, *, again: bool = False) -> Mined:
        """Move tokens from the key's wallet to the account's free balance.

        After approving exactly as many, where that is needed and nothing is signed for it: an allowance that is left over is taken back first
        where the token wants it so (USDT). The same deposit, sent before and not heard of since, is waited for (``Mined.is_earlier``) and
        not made a second time, unless ``again``. Raise InvalidField (``token``) where the token takes no signatures.
        """
        sender, payer = self._session.sender, self._session.mandate.signer
        name = f"deposit {amount} to {self._session.account} in {self._market.address}"
        call = verbs.deposit(self._market.address, self._session.account, amount)
        if again or sender.earlier(call, name) is None:
            wallet = self._token.balance_of(payer)
            if wallet < amount:
                raise InsufficientBalance(payer, amount, wallet)
            if by is not DepositBy.APPROVAL:
                call = self._signed_deposit(amount, by)
            else:
                for approval in self._token.approvals(payer, self._market.address, amount):
                    sender.send(approval)
        return sender.send(call, name=name, again=again)

    def _signed_deposit(self, amount: TokenUnits, by: DepositBy) -> Call:
        """The deposit with the owner's signature in it. It credits the owner, so the account must be its own."""
        self._session.mandate.require_own("deposit by a signature")
        market, key, token = self._market.address, self._session.key, self._token
        domain = token.domain
        until = UnixTime(self._session.chain.head().timestamp + SIGNED_SECONDS)
        if by is DepositBy.PERMIT:
            permit = Permit(key.address, market, amount, token.permit_nonce(key.address), until)
            return verbs.deposit_with_permit(market, key.address, amount, until, key.sign_permit(permit, domain))
        nonce, always = Bytes32("0x" + secrets.token_hex(32)), UnixTime(0)
        authorization = Authorization(key.address, market, amount, always, until, nonce)
        return verbs.deposit_with_authorization(
            market, key.address, amount, valid_after=always, valid_before=until, nonce=nonce,
            signature=key.sign_authorization(authorization, domain),
        )  # fmt: skip

    def withdraw(self, amount: TokenUnits, to: str | None = None, *, again: bool = False) -> Mined:
        """Move tokens from the free balance into the wallet, or to another address: the token may have blocked this account.

        The same withdrawal, sent before and not heard of since, is waited for, as in ``deposit``.
        Raise InvalidField (``to``) for an address from which nobody could move them on.
        """
        self._session.mandate.require_own("withdraw its money")
        receiver = self._session.mandate.receiver(to)
        call = verbs.withdraw(self._market.address, receiver, amount)
        name = f"withdraw {amount} to {receiver} from {self._market.address}"
        if again or self._session.sender.earlier(call, name) is None:
            self._session.require_free(amount)
        return self._session.sender.send(call, name=name, again=again)

    def authorize(self, delegate: Address, budget: TokenUnits, until: UnixTime, *, again: bool = False) -> Mined:
        """Let a delegate's key sign orders for this account: up to a hard budget, until a time. A budget of 0 takes it back.

        What an order may cost at most is charged once, at its first opening by a delegate, and never restored (I-7).
        """
        self._session.mandate.require_own("give a budget")
        signer = address_from_text(delegate, field="delegate")
        if budget >= 1 << BUDGET_BITS:
            raise InvalidField("budget", f"{budget} token units; the contract holds {BUDGET_BITS} bits")
        if until >= 1 << TIME_BITS:
            raise InvalidField("until", f"{until}; the contract holds {TIME_BITS} bits")
        call = verbs.authorize(self._market.address, signer, budget, until)
        # By what is granted: the same words, typed again a minute later, mean another time.
        return self._session.sender.send(call, name=f"authorize {self._market.address} {signer} {budget}", again=again)

    def budget_of(self, delegate: Address) -> Budget:
        """What the delegate may still spend of this account's money."""
        return self._market.budget_of(self._session.account, address_from_text(delegate, field="delegate"))

    def mint_test_dollars(self, amount: TokenUnits, *, again: bool = False) -> Mined:
        """Make test dollars in the key's wallet, and coin for gas where it has hardly any; local chains only."""
        if self._session.chain.chain_id not in LOCAL_CHAINS:
            raise ConfigError(
                [f"chain {self._session.chain.chain_id} is not a local one: its dollars cannot be made here"]
            )
        make_local_coin(self._session.chain, self._session.mandate.signer)
        return self._session.sender.send(
            verbs.mint(self._token.address, self._session.mandate.signer, amount), again=again
        )

    @property
    def _token(self) -> TokenContract:
        return TokenContract(self._session.chain, self._market.terms().token)
