// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "../Test.sol";

/// @notice Must fail. It is left out of every ordinary run; tests/solidity/test_forge.py runs it, to know that a failing contract test is noticed.
contract CanaryTest is Test {
    /// @notice One is not two.
    function testThatMustFail() external pure {
        vm.assertEq(uint256(1), uint256(2), "the canary sings");
    }

    /// @notice Beside a failing test, others pass.
    function testThatPasses() external pure {
        vm.assertTrue(true, "fine");
    }
}
