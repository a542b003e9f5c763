// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Metering} from "../../contracts/libraries/Metering.sol";
import {Test} from "../solidity/Test.sol";

/// @notice What can be proven of the arithmetic on money without multiplying two unknowns; the rest is fuzzed.
contract MeteringProofs is Test {
    /// @notice P-04: the bond is never below the floor, whatever total and share are.
    function check_theBondIsNeverBelowTheFloor(uint128 total, uint16 bondBps, uint256 floor) external pure {
        assert(Metering.bondRoundedDown(total, bondBps, floor) >= floor);
    }

    /// @notice P-04: without a share the bond is the floor.
    function check_withoutAShareTheBondIsTheFloor(uint128 total, uint256 floor) external pure {
        assert(Metering.bondRoundedDown(total, 0, floor) == floor);
    }

    /// @notice Exit table: what a silent provider pays is neither more than its bond nor more than T.
    function check_compensationIsTheSmaller(uint256 total, uint256 bond) external pure {
        uint256 compensation = Metering.compensation(total, bond);

        assert(compensation <= total && compensation <= bond);
        assert(compensation == total || compensation == bond);
    }

    /// @notice Exit table: the winner's and the arbiter's part of both stakes are both stakes, and the winner never loses by winning.
    function check_aRulingSharesBothStakes(uint128 stake) external pure {
        uint256 fee = Metering.feeRoundedDown(stake);
        assert(fee <= stake);
        uint256 winner = uint256(stake) + stake - fee;

        assert(winner + fee == 2 * uint256(stake));
        assert(winner >= stake && fee * 2 <= stake && stake - fee * 2 <= 1);
    }

    /// @notice Exit table: a lapse pays for what was paid at least, for what is disputed at most, and halves the rest.
    function check_aLapseSplitsTheDisputedSeconds(uint32 paidSeconds, uint32 disputedSeconds) external pure {
        uint32 split = Metering.splitRoundedDown(paidSeconds, disputedSeconds);

        assert(split >= paidSeconds);
        if (disputedSeconds <= paidSeconds) assert(split == paidSeconds);
        else assert(uint256(split) * 2 <= uint256(paidSeconds) + disputedSeconds);
        if (disputedSeconds > paidSeconds) assert(uint256(split) * 2 + 1 >= uint256(paidSeconds) + disputedSeconds);
    }

    /// @notice P-03: no seconds earn nothing and cost nothing.
    function check_noSecondsEarnNothing(uint80 price, uint16 gpus) external pure {
        assert(Metering.earnedRoundedDown(price, gpus, 0) == 0);
        assert(Metering.totalRoundedUp(price, gpus, 0) == 0);
    }
}
