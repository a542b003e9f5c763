// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Filling, Queue} from "../../contracts/finance/libraries/Queue.sol";
import {Test} from "../solidity/Test.sol";

/// @notice Who leaves with what, for every number of 16 bits: what can be proven without dividing by an unknown. The rest is fuzzed at full width against its
/// twin in Python.
contract QueueProofs is Test {
    /// @notice V-11: no share is lost or made: what leaves and what waits is what waited.
    function check_whatLeavesAndWhatWaitsIsAll(uint16 waiting, uint16 pending, uint16 shares, uint16 assets)
        external
        pure
    {
        vm.assume(pending != 0 && shares <= pending && waiting <= pending);
        (uint256 left, uint256 gone,) = Queue.take(waiting, Filling(pending, shares, assets));

        assert(left + gone == waiting);
    }

    /// @notice F-9: of a queue that is filled as a whole nothing waits on.
    function check_ofAWholeFillingNothingWaits(uint16 waiting, uint16 pending, uint16 assets) external pure {
        vm.assume(pending != 0 && waiting <= pending);
        (uint256 left, uint256 gone,) = Queue.take(waiting, Filling(pending, pending, assets));

        assert(left == 0 && gone == waiting);
    }

    /// @notice F-10: who waits with nothing is given nothing, whatever others asked for.
    function check_whoAskedForNothingGetsNothing(uint16 pending, uint16 shares, uint16 assets) external pure {
        vm.assume(pending != 0 && shares <= pending);
        (uint256 left, uint256 gone, uint256 paid) = Queue.take(0, Filling(pending, shares, assets));

        assert(left == 0 && gone == 0 && paid == 0);
    }
}
