// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Coverage} from "./Coverage.sol";

/// @notice One filling of the queue: of `pending` shares, `shares` left, for `assets` in all.
struct Filling {
    uint128 pending;
    uint128 shares;
    uint128 assets;
}

/// @notice What one holder has in the queue.
struct Ticket {
    // Shares that wait, and the first filling that they take part in and that this ticket has not seen.
    uint128 pending;
    uint64 next;
    // What left, and what it left for, and was not taken yet.
    uint128 shares;
    uint128 assets;
}

/// @title Queue
/// @notice Exits: whoever waits when the queue is filled leaves with the same part of its shares, at the same price (V-11). Nothing but arithmetic;
/// `marketplace/domain/finance.py` is its twin.
/// @dev Every filling is kept, and a ticket walks through those that it was pending in: no products of many roundings. All roundings are against who
/// leaves, so that the tickets never have more than the filling gave.
library Queue {
    uint256 internal constant LONGEST_WALK = 64;

    /// @notice How much of what is pending can leave for `cash`.
    /// @param pending shares that wait
    /// @param cash token base units that are free
    /// @param assets token base units for which all shares stand, one more than there are
    /// @param supply all shares, and the virtual ones
    /// @param exitBps the share of the price that stays, in basis points
    /// @return shares that leave
    /// @return paid token base units for all of them
    function fill(uint256 pending, uint256 cash, uint256 assets, uint256 supply, uint256 exitBps)
        internal
        pure
        returns (uint256 shares, uint256 paid)
    {
        uint256 wanted = _worthOf(pending, assets, supply, exitBps);
        // Nobody leaves for nothing: a price of 0 is one to wait out.
        if (wanted == 0) return (0, 0);
        if (wanted <= cash) return (pending, wanted);
        shares = Math.mulDiv(pending, cash, wanted);
        paid = Math.min(cash, _worthOf(shares, assets, supply, exitBps));
        if (paid == 0) shares = 0;
    }

    /// @notice What a holder's part of a filling is, and what still waits.
    function take(uint256 waiting, Filling memory filling)
        internal
        pure
        returns (uint256 left, uint256 shares, uint256 assets)
    {
        left = Math.mulDiv(waiting, filling.pending - filling.shares, filling.pending);
        shares = waiting - left;
        assets = Math.mulDiv(waiting, filling.assets, filling.pending);
    }

    /// @notice The ticket after the fillings that it has not seen, at most `LONGEST_WALK` of them.
    function walked(Ticket memory ticket, mapping(uint256 => Filling) storage fillings, uint256 count)
        internal
        view
        returns (Ticket memory)
    {
        uint256 next = ticket.next;
        uint256 end = Math.min(count, next + LONGEST_WALK);
        uint256 waiting = ticket.pending;
        for (; next < end && waiting != 0; ++next) {
            (uint256 left, uint256 shares, uint256 assets) = take(waiting, fillings[next]);
            waiting = left;
            // Safe: no sum of parts exceeds the sum of what the fillings gave, which fits.
            ticket.shares += uint128(shares);
            ticket.assets += uint128(assets);
        }
        ticket.pending = uint128(waiting);
        ticket.next = uint64(waiting == 0 ? count : next);
        return ticket;
    }

    /// What shares leave for.
    function _worthOf(uint256 shares, uint256 assets, uint256 supply, uint256 exitBps) private pure returns (uint256) {
        uint256 worth = Math.mulDiv(shares, assets, supply);
        return worth - Coverage.shareRoundedUp(worth, exitBps);
    }
}
