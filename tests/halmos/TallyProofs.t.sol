// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BudgetWord, Budgets} from "../../contracts/libraries/Budgets.sol";
import {VolumeWord} from "../../contracts/libraries/Volumes.sol";
import {Test} from "../solidity/Test.sol";

/// @notice The words that only count: what a delegate may still spend, and what was paid in a class.
contract TallyProofs is Test {
    /// @notice I-7: a budget reads as it was given, and every charge lowers it by exactly what it costs, and leaves its time.
    function check_aChargeLowersTheBudgetByItsCost(uint128 budget, uint40 until, uint128 cost) external pure {
        vm.assume(cost <= budget);
        BudgetWord given = Budgets.packed(budget, until);
        BudgetWord charged = given.spent(cost);

        assert(given.left() == budget && given.until() == until);
        assert(charged.left() == budget - cost && charged.until() == until);
    }

    /// @notice I-7: no charge above what is left is made, not even by a caller that did not look.
    function check_noChargeExceedsTheBudget(BudgetWord word, uint256 cost) external view {
        vm.assume(cost > word.left());
        bool isCharged;
        try this.spend(word, cost) {
            isCharged = true;
        } catch {}

        assert(!isCharged);
    }

    /// @notice I-11: a payment adds to both halves, each modulo 2 ** 128, and neither spills into the other.
    function check_volumesAddUpApart(VolumeWord word, uint256 amount, uint256 usage) external pure {
        VolumeWord next = word.plus(amount, usage);

        unchecked {
            assert(next.paid() == word.paid() + uint128(amount));
            assert(next.gpuSeconds() == word.gpuSeconds() + uint128(usage));
        }
    }

    function spend(BudgetWord word, uint256 cost) external pure returns (BudgetWord) {
        return word.spent(cost);
    }
}
