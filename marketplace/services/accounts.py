"""What there is to know about an account and about a provider."""

from __future__ import annotations

from marketplace.api.accounts import AccountAnswer, BeatsAnswer, BeatTold, HeartbeatAnswer, ProviderAnswer
from marketplace.api.record import BlockTold
from marketplace.chain.blocks import Chain
from marketplace.chain.market import MarketContract
from marketplace.chain.request_signing import AHEAD_SECONDS, TIME_HEADER
from marketplace.domain.book import BookView
from marketplace.domain.errors import StoreUnavailable, Unauthorized
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.ledger import LeaseRecord, locked_in
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.reputation import NEWCOMER
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.services.offers import OfferDesk
from marketplace.services.participants import Participants
from marketplace.store.board import Board

OTHERS_TOLD = 8
"""Other providers whose signs of life are told beside the one that was asked for."""


class AccountDesk:
    """Shows accounts and providers, and notes signs of life."""

    def __init__(
        self, chain: Chain, market: MarketContract, board: Board, offers: OfferDesk, participants: Participants
    ) -> None:
        self._chain, self._market, self._board = chain, market, board
        self._offers, self._participants = offers, participants

    def account(self, address: Address) -> AccountAnswer:
        """What the account has free and what live leases hold of it, both of one view: between two blocks money only changes places.

        Without a view the free balance alone, as of the chain's newest block.
        """
        view = self._view_or_none()
        if view is None:
            block = self._chain.head()
            free = self._market.balance_of(address, at=block)
            return AccountAnswer.of(address, free, None, [], block, self._market.terms())
        mine = [record for record in view.leases.values() if record.lease.status.is_live and _is_party(record, address)]
        locked = TokenUnits(sum(self._locked_of(record, address, view) for record in mine))
        free = view.accounts.get(address, TokenUnits(0))
        return AccountAnswer.of(address, free, locked, [record.id for record in mine], view.block, self._market.terms())

    def stake(self, address: Address) -> TokenUnits:
        """What the account has in the market: free, and all that the market holds for live leases of which it is client or provider.

        While the projection is away, the free balance alone.
        """
        view = self._view_or_none()
        if view is None:
            return self._market.balance_of(address)
        offers, floor = {offer.id: offer for offer in view.offers}, self._market.terms().bond_floor
        mine = [record for record in view.leases.values() if record.lease.status.is_live and _is_party(record, address)]
        known = [record for record in mine if record.order is not None and record.lease.offer in offers]
        held = sum(locked_in(record, offers[record.lease.offer], floor) for record in known)
        return TokenUnits(view.accounts.get(address, TokenUnits(0)) + held)

    def provider(self, address: Address) -> ProviderAnswer:
        """A provider's offers, the number of leases that it serves, its last sign of life, and its reputation; a company's is its owner's."""
        view = self._offers.view()
        live = sum(1 for record in view.leases.values() if record.lease.status.is_live and record.provider == address)
        rows = [self._offers.row(offer, view) for offer in view.offers if offer.provider == address]
        offers = [self._offers.told(row, view) for row in rows]
        reputation = view.reputations.get(address, NEWCOMER).aged(view.block.timestamp)
        return ProviderAnswer.of(
            address,
            offers,
            live,
            reputation,
            view.block,
            view.heartbeats.get(address),
            self._market.terms(),
            self._board.owner(address),
        )

    def beat(self, provider: Address, signed_at: UnixTime | None = None, signature: str = "") -> HeartbeatAnswer:
        """Note that a provider was alive at the block time that it signed, or is now; its last sign of life.

        A beat that somebody sends again is exactly as old as it was. Raises Forbidden for who takes no part in the market, Unauthorized
        for a time to come.
        """
        block = self._chain.paced_head()
        self._participants.require(provider, block)
        at = block.timestamp if signed_at is None else signed_at
        if at > block.timestamp + AHEAD_SECONDS:
            raise Unauthorized(
                f"{TIME_HEADER} of a sign of life must be at most {AHEAD_SECONDS} s ahead of {block.timestamp}"
            )
        return HeartbeatAnswer.of(self._board.beat(provider, at, signed_at, signature))

    def beats(self, provider: Address) -> BeatsAnswer:
        """The provider's last sign of life, where there is one, and then the newest of others who have GPUs on offer, each as it was signed."""
        view, latest = self._offers.view(), self._chain.paced_head().timestamp + AHEAD_SECONDS
        told = {who: beat for who, beat in self._board.signed_beats().items() if beat[0] <= latest}
        offers = {offer.provider: offer.id for offer in view.offers if offer.is_alive(view.block.timestamp)}
        others = sorted((who for who in told if who in offers and who != provider), key=lambda who: -told[who][0])
        named = ([provider] if provider in told else []) + others[:OTHERS_TOLD]
        beats = [BeatTold.of(who, offers.get(who, OfferId(0)), *told[who]) for who in named]
        return BeatsAnswer(beats, BlockTold.of(view.block))

    def _view_or_none(self) -> BookView | None:
        try:
            return self._board.view()
        except StoreUnavailable:
            return None

    def _locked_of(self, record: LeaseRecord, address: Address, view: BookView) -> int:
        """This account's share of what the market holds for one live lease: the unpaid rest of T, or the bond, or both."""
        offer = next((row for row in view.offers if row.id == record.lease.offer), None)
        if record.order is None or offer is None:
            return 0
        terms = self._market.terms()
        bond = bond_of(lock_of(record.order, record.lease.price), offer.bond_bps, terms.bond_floor)
        of_client = locked_in(record, offer, terms.bond_floor) - bond
        return (of_client if record.order.client == address else 0) + (bond if record.provider == address else 0)


def _is_party(record: LeaseRecord, address: Address) -> bool:
    return address == record.provider or (record.order is not None and record.order.client == address)
