// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LeaseWord, Leases} from "../../contracts/libraries/Leases.sol";
import {Test} from "../solidity/Test.sol";

/// @notice The lease's word, for every word there is: reading loses nothing, and each step changes its own bits only.
contract LeaseProofs is Test {
    uint256 private constant STATUS = 7;
    uint256 private constant TIP_PAID = 1 << 3;
    uint256 private constant NO_REOPEN = 1 << 4;
    uint256 private constant ASSIGNED = 1 << 5;
    uint256 private constant BY_ACCEPTOR = 1 << 6;
    uint256 private constant CHARGED = 1 << 7;
    uint256 private constant OPENED_AT = uint256(type(uint32).max) << 128;
    uint256 private constant PAID_SECONDS = uint256(type(uint32).max) << 160;
    uint256 private constant CLAIMED_SECONDS = uint256(type(uint32).max) << 192;
    uint256 private constant CHANGED_AT = uint256(type(uint32).max) << 224;

    /// @notice What is read from a word makes the same word again: every bit belongs to a field.
    function check_readingLosesNothing(LeaseWord word) external pure {
        vm.assume(hasStatus(word));
        Lease memory lease = word.unpacked();
        uint256 flags = (lease.tipPaid ? TIP_PAID : 0) | (lease.noReopen ? NO_REOPEN : 0);
        flags |= (lease.assigned ? ASSIGNED : 0) | (lease.byAcceptor ? BY_ACCEPTOR : 0);
        flags |= lease.charged ? CHARGED : 0;
        uint256 numbers = uint256(lease.offer) << 8 | uint256(lease.price) << 48 | uint256(lease.openedAt) << 128;
        numbers |= uint256(lease.paidSeconds) << 160 | uint256(lease.claimedSeconds) << 192;
        numbers |= uint256(lease.changedAt) << 224;

        assert(uint256(lease.status) | flags | numbers == LeaseWord.unwrap(word));
    }

    /// @notice P-24, I-7: a new serving is open, its tip is paid, and it says offer, price, second and whether a budget was charged, and nothing else.
    function check_openedSaysWhatWasPutIn(uint40 offer, uint80 price, uint32 time, bool charged) external pure {
        LeaseWord word = Leases.opened(offer, price, time, charged);

        assert(word.status() == Status.Open && word.tipPaid() && word.charged() == charged);
        assert(word.offer() == offer && word.price() == price && word.openedAt() == time);
        assert(changed(LeaseWord.wrap(0), word) & (NO_REOPEN | ASSIGNED | BY_ACCEPTOR) == 0);
        assert(word.paidSeconds() == 0 && word.claimedSeconds() == 0 && word.changedAt() == 0);
    }

    /// @notice I-5: cancelling a lease that is open sets one bit.
    function check_withNoReopenSetsItsBit(LeaseWord word) external pure {
        LeaseWord next = word.withNoReopen();

        assert(next.noReopen());
        assert(changed(word, next) & ~NO_REOPEN == 0);
    }

    /// @notice Assigning sets one bit.
    function check_withAssignedSetsItsBit(LeaseWord word) external pure {
        LeaseWord next = word.withAssigned();

        assert(next.assigned());
        assert(changed(word, next) & ~ASSIGNED == 0);
    }

    /// @notice P-03: a payment moves paidSeconds, whatever it was before, and nothing else.
    function check_withPaidSecondsMovesThemOnly(LeaseWord word, uint32 total) external pure {
        LeaseWord next = word.withPaidSeconds(total);

        assert(next.paidSeconds() == total);
        assert(changed(word, next) & ~PAID_SECONDS == 0);
    }

    /// @notice A claim of an open word moves status, claimedSeconds and changedAt only.
    function check_claimedMovesItsFieldsOnly(LeaseWord word, uint32 total, uint32 time) external pure {
        vm.assume(word.status() == Status.Open && word.claimedSeconds() == 0 && word.changedAt() == 0);
        LeaseWord next = word.claimed(total, time);

        assert(next.status() == Status.Claimed && next.claimedSeconds() == total && next.changedAt() == time);
        assert(changed(word, next) & ~(STATUS | CLAIMED_SECONDS | CHANGED_AT) == 0);
    }

    /// @notice A dispute moves status, claimedSeconds, changedAt and byAcceptor only, whatever a claim had put there.
    function check_disputedMovesItsFieldsOnly(LeaseWord word, uint32 total, uint32 time, bool isByAcceptor)
        external
        pure
    {
        vm.assume(hasStatus(word) && !word.byAcceptor());
        LeaseWord next = word.disputed(total, time, isByAcceptor);

        assert(next.status() == Status.Disputed && next.byAcceptor() == isByAcceptor);
        assert(next.claimedSeconds() == total && next.changedAt() == time);
        assert(changed(word, next) & ~(STATUS | BY_ACCEPTOR | CLAIMED_SECONDS | CHANGED_AT) == 0);
    }

    /// @notice I-5: closing moves status and paidSeconds only: the word still says how the lease ended.
    function check_closedMovesItsFieldsOnly(LeaseWord word, uint32 total) external pure {
        LeaseWord next = word.closed(total);

        assert(next.status() == Status.Closed && next.paidSeconds() == total);
        assert(changed(word, next) & ~(STATUS | PAID_SECONDS) == 0);
    }

    /// @notice P-24, I-7: a decline keeps tipPaid, charged and openedAt and clears all else.
    function check_declinedKeepsTipChargeAndOpening(LeaseWord word) external pure {
        LeaseWord next = word.declined();

        assert(LeaseWord.unwrap(next) == LeaseWord.unwrap(word) & (TIP_PAID | CHARGED | OPENED_AT));
        assert(next.status() == Status.None && !next.isLive());
    }

    /// @notice Open, Claimed and Disputed are live; None and Closed are not.
    function check_liveIsNeitherNoneNorClosed(LeaseWord word) external pure {
        vm.assume(hasStatus(word));
        Status status = word.status();

        assert(word.isLive() == (status == Status.Open || status == Status.Claimed || status == Status.Disputed));
    }

    /// @notice I-4: nobody can agree on more seconds than the client pays for, and never on fewer than it guarantees.
    function check_mostSecondsStayInTheirBounds(LeaseWord word, Order calldata order, uint64 time) external {
        vm.assume(order.minSeconds <= order.maxSeconds);
        vm.warp(time);
        uint256 most = word.mostSecondsOf(order);

        assert(word.elapsedOf(order) <= most && most <= order.maxSeconds);
        assert(most >= order.minSeconds);
    }

    /// @notice I-5: what may be paid for never falls while time passes, so that what was paid stays within bounds.
    function check_mostSecondsNeverFall(LeaseWord word, Order calldata order, uint64 time, uint64 later) external {
        vm.assume(time <= later);
        vm.warp(time);
        uint256 before = word.mostSecondsOf(order);
        vm.warp(later);

        assert(word.mostSecondsOf(order) >= before);
    }

    /// @notice Exit table, m: never less than was paid or is in dispute, never more than maxSeconds; the guarantee whole where the dispute came before it had
    /// passed, and no part of it otherwise.
    function check_mostOwedCountsAnEarlyGuarantee(LeaseWord word, Order calldata order) external pure {
        vm.assume(order.minSeconds <= order.maxSeconds);
        vm.assume(word.paidSeconds() <= order.maxSeconds && word.claimedSeconds() <= order.maxSeconds);
        uint256 most = word.mostOwedOf(order);
        uint256 inDispute = word.claimedSeconds() > word.paidSeconds() ? word.claimedSeconds() : word.paidSeconds();
        bool isEarly = word.changedAt() < word.startOf(order) + order.minSeconds;

        assert(most >= inDispute && most <= order.maxSeconds);
        if (isEarly && order.minSeconds > inDispute) assert(most == order.minSeconds);
        else assert(most == inDispute);
    }

    /// @notice Nothing is metered before the start; all of it at the end; the end is maxSeconds after the start.
    function check_meteringRunsFromStartToEnd(LeaseWord word, Order calldata order, uint64 time) external {
        vm.warp(time);
        uint256 start = word.startOf(order);
        uint256 end = word.endOf(order);

        assert(start >= word.openedAt() && start >= order.startsAt && end - start == order.maxSeconds);
        if (time <= start) assert(word.elapsedOf(order) == 0);
        else if (time < end) assert(word.elapsedOf(order) == time - start);
        else assert(word.elapsedOf(order) == order.maxSeconds);
    }

    function changed(LeaseWord before, LeaseWord later) private pure returns (uint256) {
        return LeaseWord.unwrap(before) ^ LeaseWord.unwrap(later);
    }

    /// Three bits can hold more than there are statuses; the market never stores those.
    function hasStatus(LeaseWord word) private pure returns (bool) {
        return LeaseWord.unwrap(word) & STATUS <= uint256(Status.Closed);
    }
}
