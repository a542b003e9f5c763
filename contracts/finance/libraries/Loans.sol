// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Lease, Status} from "../../interfaces/IComputeMarket.sol";
import {Metering} from "../../libraries/Metering.sol";
import {Loan, LoanState} from "../interfaces/IAdvanceVault.sol";
import {Coverage} from "./Coverage.sol";

/// @title Loans
/// @notice What a loan and the lease that it rests on come to at a second. They read what is stored, and store nothing.
library Loans {
    /// @notice Which serving of which order a loan rests on.
    function keyOf(bytes32 lease, uint256 openedAt) internal pure returns (bytes32) {
        return keccak256(abi.encode(lease, openedAt));
    }

    /// @notice E of the lease.
    function earnedOf(Loan memory loan, uint256 usedSeconds) internal pure returns (uint256) {
        // Safe: every caller passes at most maxSeconds.
        return Metering.earnedRoundedDown(loan.price, loan.gpus, uint32(usedSeconds));
    }

    /// @notice How many seconds have been metered by now.
    function elapsedOf(Loan memory loan, uint256 time) internal pure returns (uint256) {
        return Math.min(Math.saturatingSub(time, loan.startsAt), loan.maxSeconds);
    }

    /// @notice What is surely still to come, by the worst exit that needs nobody's word: nothing while Disputed, Closed, or past the deadline.
    function dueOf(Loan memory loan, Lease memory lease, uint256 claimGrace, uint256 time)
        internal
        pure
        returns (uint256)
    {
        uint256 usedSeconds;
        if (lease.openedAt != loan.openedAt) return 0;
        if (lease.status == Status.Open) {
            if (time >= uint256(loan.startsAt) + loan.maxSeconds + claimGrace) return 0;
            usedSeconds = Math.max(elapsedOf(loan, time), loan.minSeconds);
        } else if (lease.status == Status.Claimed) {
            usedSeconds = lease.claimedSeconds;
        } else {
            return 0;
        }
        return earnedOf(loan, Math.max(usedSeconds, lease.paidSeconds)) - earnedOf(loan, lease.paidSeconds);
    }

    /// @notice How many of the seconds that were paid for have been served: by the clock, and of a lease that was claimed or disputed, by what that said.
    function servedOf(Loan memory loan, Lease memory lease, uint256 time) internal pure returns (uint256) {
        uint256 metered = lease.changedAt == 0 ? elapsedOf(loan, time) : lease.claimedSeconds;
        return Math.min(lease.paidSeconds, metered);
    }

    /// @notice Income that was paid since the pledge and not shared yet, and how much of it is served.
    /// @return unshared all of it
    /// @return served the part that is served
    function unsharedOf(Loan memory loan, Lease memory lease, uint256 time)
        internal
        pure
        returns (uint256 unshared, uint256 served)
    {
        unshared = Math.saturatingSub(earnedOf(loan, lease.paidSeconds), loan.shared);
        served = Math.saturatingSub(earnedOf(loan, servedOf(loan, lease, time)), loan.shared);
    }

    /// @notice What stands behind the loan at `time`.
    /// @param free the company's free balance in the market
    function coveredOf(
        Loan memory loan,
        Lease memory lease,
        uint256 claimGrace,
        uint256 free,
        uint256 opexBps,
        uint256 time
    ) internal pure returns (uint256) {
        (uint256 unshared,) = unsharedOf(loan, lease, time);
        uint256 due = dueOf(loan, lease, claimGrace, time);
        return Coverage.coveredRoundedDown(due, free, unshared, opexBps, loan.reserve, loan.cover);
    }

    /// @notice Interest up to `time`. It stops growing where its field ends, so that no debt can become too large to be paid.
    function interestOf(Loan memory loan, uint256 time) internal pure returns (uint256) {
        if (loan.state != LoanState.Drawn) return 0;
        uint256 grown = Coverage.interestRoundedUp(loan.principal, loan.rateBps, time - loan.accruedAt);
        return Math.min(loan.interest + grown, type(uint96).max);
    }

    /// @notice What is owed at `time`, rounded up.
    function owedOf(Loan memory loan, uint256 time) internal pure returns (uint256) {
        return loan.state == LoanState.Drawn ? loan.principal + interestOf(loan, time) : 0;
    }
}
