// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Settlement, Status} from "../interfaces/IComputeMarket.sol";
import {LeaseWord} from "./Leases.sol";
import {OfferWord, TermsWord} from "./Offers.sol";
import {Orders} from "./Orders.sol";
import {Signatures} from "./Signatures.sol";

/// @title Refusals
/// @notice What speaks against an item of a batch, as far as order, lease, offer and receipt tell; the market adds what balances and the client's signature say (P-20).
/// @dev Each check stands alone: where several fail, any of their reasons is a true one. Cheapest first.
library Refusals {
    using Orders for Order;

    /// @notice What the order alone, and what became of it so far, have against its opening by the caller.
    /// @param provider whose offer it would be opened on
    function ofOrder(Order calldata order, LeaseWord lease, address provider) internal view returns (Refusal) {
        uint256 maxSeconds = order.maxSecondsOf();
        if (order.gpusOf() == 0 || maxSeconds == 0 || order.minSecondsOf() > maxSeconds) return Refusal.BadAmounts;
        // The word holds no later time.
        if (block.timestamp > type(uint32).max) return Refusal.BadAmounts;
        if (block.timestamp >= order.expiresAtOf()) return Refusal.OrderExpired;
        if (msg.sender != order.openerOf()) {
            if (order.openerOf() == address(0)) {
                if (order.tipOf() != 0) return Refusal.TipWithoutOpener;
            } else if (msg.sender != order.clientOf()) {
                return Refusal.OpenerNotAllowed;
            }
        }
        if (order.startsAtOf() > block.timestamp && msg.sender != provider) return Refusal.TermLeaseNotByProvider;
        if (!lease.isIn(Status.None)) return lease.isIn(Status.Closed) ? Refusal.OrderClosed : Refusal.OrderLive;
        // Receipts name the second of the opening: two servings must not share it.
        if (lease.openedAt() == block.timestamp) return Refusal.TooSoon;
        return Refusal.None;
    }

    /// @notice What order and offer have against each other. No need to look whether the arbiter is 0 or the provider: `list` refuses both.
    function ofMatch(Fill calldata fill, OfferWord offer, TermsWord terms) internal view returns (Refusal) {
        Order calldata order = fill.order;
        uint256 price = fill.price;
        if (order.offerOf() != 0 && order.offerOf() != fill.offer) return Refusal.WrongOffer;
        // An offer that was never listed expired at 0.
        if (block.timestamp >= offer.expiresAt()) return Refusal.OfferNotAlive;
        if (order.classes >> offer.class() & 1 == 0) return Refusal.ClassNotAccepted;
        if (offer.free() < order.gpusOf()) return Refusal.NotEnoughGpus;
        if (offer.bondBps() < order.minBondBpsOf()) return Refusal.BondTooSmall;
        if (price > order.maxPriceOf() || price < terms.price()) return Refusal.PriceOutOfBounds;
        if (order.minSecondsOf() < terms.minSeconds()) return Refusal.MinSecondsTooSmall;
        if (order.arbiterOf() != terms.arbiter()) return Refusal.WrongArbiter;
        return Refusal.None;
    }

    /// @notice What the lease has against settling so many seconds, in a last receipt or in one of progress.
    function ofSeconds(LeaseWord lease, Order calldata order, uint32 usedSeconds, bool last)
        internal
        view
        returns (Refusal)
    {
        if (!lease.isLive()) return Refusal.NotLive;
        // Progress is strictly more than what was paid.
        if (usedSeconds < lease.paidSeconds() || (usedSeconds == lease.paidSeconds() && !last)) {
            return Refusal.SecondsOutOfBounds;
        }
        return usedSeconds > lease.mostSecondsOf(order) ? Refusal.SecondsOutOfBounds : Refusal.None;
    }

    /// @notice Whether those agree to a receipt whose money it moves, by calling or by signing: the client's side always, the provider to close.
    function ofSignatures(Settlement calldata settlement, bytes32 digest, bool last, address provider)
        internal
        view
        returns (Refusal)
    {
        if (!settlement.order.isClientSide(msg.sender)) {
            if (!Signatures.isSignedByClientSide(settlement.order, digest, settlement.clientSignature)) {
                return Refusal.BadClientSignature;
            }
        }
        if (last && msg.sender != provider) {
            if (!Signatures.isSignedBy(provider, digest, settlement.providerSignature)) {
                return Refusal.BadProviderSignature;
            }
        }
        return Refusal.None;
    }
}
