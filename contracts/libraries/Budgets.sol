// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What a delegate may still spend, and until when, in one storage word: `until` in the 40 bits above the 128 of `left`.
type BudgetWord is uint256;

using Budgets for BudgetWord global;

/// @title Budgets
/// @notice Reads and makes budget words.
library Budgets {
    uint256 private constant UNTIL = 128;

    function left(BudgetWord word) internal pure returns (uint128) {
        return uint128(BudgetWord.unwrap(word));
    }

    function until(BudgetWord word) internal pure returns (uint40) {
        return uint40(BudgetWord.unwrap(word) >> UNTIL);
    }

    function packed(uint128 budget, uint40 end) internal pure returns (BudgetWord) {
        return BudgetWord.wrap(uint256(budget) | uint256(end) << UNTIL);
    }

    /// @notice With `cost` less to spend, which the caller has seen to be there.
    function spent(BudgetWord word, uint256 cost) internal pure returns (BudgetWord) {
        return packed(uint128(left(word) - cost), until(word));
    }
}
