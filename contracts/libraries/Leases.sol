// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IComputeMarket, Lease, Order, Status} from "../interfaces/IComputeMarket.sol";
import {Orders} from "./Orders.sol";

/// @notice A lease in one storage word. No function on it has an effect: they take a word and return a word or a part of it, so that storing one
/// is the only effect, and a visible line.
/// @dev From the lowest bit: status 3, tipPaid 1, noReopen 1, assigned 1, byAcceptor 1, charged 1, offer 40, price 80, openedAt 32, paidSeconds 32,
/// claimedSeconds 32, changedAt 32: all 256.
type LeaseWord is uint256;

using Leases for LeaseWord global;

/// @title Leases
/// @notice Reads and makes lease words.
library Leases {
    using Orders for Order;

    uint256 private constant STATUS_MASK = 7;
    uint256 private constant TIP_PAID = 1 << 3;
    uint256 private constant NO_REOPEN = 1 << 4;
    uint256 private constant ASSIGNED = 1 << 5;
    uint256 private constant BY_ACCEPTOR = 1 << 6;
    uint256 private constant CHARGED = 1 << 7;
    uint256 private constant OFFER = 8;
    uint256 private constant PRICE = 48;
    uint256 private constant OPENED_AT = 128;
    uint256 private constant PAID_SECONDS = 160;
    uint256 private constant CLAIMED_SECONDS = 192;
    uint256 private constant CHANGED_AT = 224;
    uint256 private constant SECONDS_MASK = type(uint32).max;

    // Reading

    function status(LeaseWord word) internal pure returns (Status) {
        return Status(LeaseWord.unwrap(word) & STATUS_MASK);
    }

    /// @notice Whether the status is this one: cheaper than reading it, which checks that it is a status at all.
    function isIn(LeaseWord word, Status expected) internal pure returns (bool) {
        return LeaseWord.unwrap(word) & STATUS_MASK == uint256(expected);
    }

    function isLive(LeaseWord word) internal pure returns (bool) {
        return !isIn(word, Status.None) && !isIn(word, Status.Closed);
    }

    function tipPaid(LeaseWord word) internal pure returns (bool) {
        return LeaseWord.unwrap(word) & TIP_PAID != 0;
    }

    function noReopen(LeaseWord word) internal pure returns (bool) {
        return LeaseWord.unwrap(word) & NO_REOPEN != 0;
    }

    function assigned(LeaseWord word) internal pure returns (bool) {
        return LeaseWord.unwrap(word) & ASSIGNED != 0;
    }

    function byAcceptor(LeaseWord word) internal pure returns (bool) {
        return LeaseWord.unwrap(word) & BY_ACCEPTOR != 0;
    }

    function charged(LeaseWord word) internal pure returns (bool) {
        return LeaseWord.unwrap(word) & CHARGED != 0;
    }

    function offer(LeaseWord word) internal pure returns (uint40) {
        return uint40(LeaseWord.unwrap(word) >> OFFER);
    }

    function price(LeaseWord word) internal pure returns (uint80) {
        return uint80(LeaseWord.unwrap(word) >> PRICE);
    }

    function openedAt(LeaseWord word) internal pure returns (uint32) {
        return uint32(LeaseWord.unwrap(word) >> OPENED_AT);
    }

    function paidSeconds(LeaseWord word) internal pure returns (uint32) {
        return uint32(LeaseWord.unwrap(word) >> PAID_SECONDS);
    }

    function claimedSeconds(LeaseWord word) internal pure returns (uint32) {
        return uint32(LeaseWord.unwrap(word) >> CLAIMED_SECONDS);
    }

    function changedAt(LeaseWord word) internal pure returns (uint32) {
        return uint32(LeaseWord.unwrap(word) >> CHANGED_AT);
    }

    function unpacked(LeaseWord word) internal pure returns (Lease memory) {
        return Lease({
            status: status(word),
            tipPaid: tipPaid(word),
            noReopen: noReopen(word),
            assigned: assigned(word),
            byAcceptor: byAcceptor(word),
            charged: charged(word),
            offer: offer(word),
            price: price(word),
            openedAt: openedAt(word),
            paidSeconds: paidSeconds(word),
            claimedSeconds: claimedSeconds(word),
            changedAt: changedAt(word)
        });
    }

    // Measuring

    /// @notice When metering starts.
    function startOf(LeaseWord word, Order calldata order) internal pure returns (uint256) {
        return Math.max(openedAt(word), order.startsAtOf());
    }

    /// @notice The first second that is not metered any more.
    function endOf(LeaseWord word, Order calldata order) internal pure returns (uint256) {
        return startOf(word, order) + order.maxSecondsOf();
    }

    /// @notice How many seconds have been metered by now.
    function elapsedOf(LeaseWord word, Order calldata order) internal view returns (uint256) {
        uint256 start = startOf(word, order);
        if (block.timestamp <= start) return 0;
        unchecked {
            return Math.min(block.timestamp - start, order.maxSecondsOf());
        }
    }

    /// @notice The most that both sides may agree on. No need to cut it at maxSeconds: neither elapsed nor minSeconds exceeds that.
    function mostSecondsOf(LeaseWord word, Order calldata order) internal view returns (uint256) {
        return Math.max(elapsedOf(word, order), order.minSecondsOf());
    }

    /// @notice m of the exit table: how many seconds of a disputed lease are paid, in dispute or guaranteed. 32 bits, because none of them exceeds maxSeconds.
    /// @dev Guaranteed ones count if it was disputed before they had passed. From then on elapsed covers them, and a claim, which waives them, comes no earlier.
    function mostOwedOf(LeaseWord word, Order calldata order) internal pure returns (uint32) {
        uint32 most = atLeastPaid(word, claimedSeconds(word));
        uint32 guaranteed = order.minSecondsOf();
        return guaranteed > most && changedAt(word) < startOf(word, order) + guaranteed ? guaranteed : most;
    }

    /// @notice `usedSeconds`, but what is paid stays paid.
    function atLeastPaid(LeaseWord word, uint32 usedSeconds) internal pure returns (uint32) {
        return uint32(Math.max(usedSeconds, paidSeconds(word)));
    }

    /// @notice Who staked the dispute.
    function disputerOf(LeaseWord word, Order calldata order) internal pure returns (address) {
        return byAcceptor(word) ? order.acceptorOf() : order.clientOf();
    }

    /// @notice Now, as the word holds times.
    function timeNow() internal view returns (uint32) {
        if (block.timestamp > type(uint32).max) {
            revert IComputeMarket.TimeTooLate({attempted: block.timestamp, allowed: type(uint32).max});
        }
        return uint32(block.timestamp);
    }

    // Making

    /// @notice A new serving. Of an earlier one only its flags remain: its tip was paid, and so is this one's; and what was charged to a budget is charged.
    function opened(uint40 offerId, uint80 pricePerGpuHour, uint32 time, bool isCharged)
        internal
        pure
        returns (LeaseWord)
    {
        return LeaseWord.wrap(
            uint256(Status.Open) | TIP_PAID | (isCharged ? CHARGED : 0) | uint256(offerId) << OFFER
                | uint256(pricePerGpuHour) << PRICE | uint256(time) << OPENED_AT
        );
    }

    function withNoReopen(LeaseWord word) internal pure returns (LeaseWord) {
        return LeaseWord.wrap(LeaseWord.unwrap(word) | NO_REOPEN);
    }

    function withAssigned(LeaseWord word) internal pure returns (LeaseWord) {
        return LeaseWord.wrap(LeaseWord.unwrap(word) | ASSIGNED);
    }

    function withPaidSeconds(LeaseWord word, uint32 total) internal pure returns (LeaseWord) {
        return LeaseWord.wrap(LeaseWord.unwrap(word) & ~(SECONDS_MASK << PAID_SECONDS) | uint256(total) << PAID_SECONDS);
    }

    /// @notice Of an open word, whose claimedSeconds and changedAt are still 0.
    function claimed(LeaseWord word, uint32 total, uint32 time) internal pure returns (LeaseWord) {
        return _withStatus(
            LeaseWord.wrap(LeaseWord.unwrap(word) | uint256(total) << CLAIMED_SECONDS | uint256(time) << CHANGED_AT),
            Status.Claimed
        );
    }

    /// @notice Of an open word or a claimed one, whose changedAt this replaces. `total` are the seconds in dispute.
    function disputed(LeaseWord word, uint32 total, uint32 time, bool isByAcceptor) internal pure returns (LeaseWord) {
        uint256 rest = LeaseWord.unwrap(word) & ~(SECONDS_MASK << CLAIMED_SECONDS | SECONDS_MASK << CHANGED_AT);
        uint256 disputer = isByAcceptor ? BY_ACCEPTOR : 0;
        return _withStatus(
            LeaseWord.wrap(rest | disputer | uint256(total) << CLAIMED_SECONDS | uint256(time) << CHANGED_AT),
            Status.Disputed
        );
    }

    /// @notice The word keeps what it says, so that anybody can still see how the lease ended.
    function closed(LeaseWord word, uint32 totalPaid) internal pure returns (LeaseWord) {
        return _withStatus(withPaidSeconds(word, totalPaid), Status.Closed);
    }

    /// @notice Never opened, as it were; but the tip stays paid (P-24), a budget stays charged (I-7), and openedAt tells the next serving from this one.
    function declined(LeaseWord word) internal pure returns (LeaseWord) {
        return LeaseWord.wrap(LeaseWord.unwrap(word) & (TIP_PAID | CHARGED | SECONDS_MASK << OPENED_AT));
    }

    function _withStatus(LeaseWord word, Status next) private pure returns (LeaseWord) {
        return LeaseWord.wrap(LeaseWord.unwrap(word) & ~STATUS_MASK | uint256(next));
    }
}
