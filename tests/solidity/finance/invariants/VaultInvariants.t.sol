// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "../../Test.sol";
import {VaultCrowd} from "./VaultCrowd.sol";

/// @notice What holds after any sequence of steps around a vault.
contract VaultInvariantsTest is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    VaultCrowd internal crowd;

    function setUp() public {
        crowd = new VaultCrowd();
    }

    /// @notice Forge calls only the crowd.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    /// @notice Its steps, those that make something to act on and let time pass more often.
    function targetSelectors() external view returns (FuzzSelector[] memory targeted) {
        bytes4[24] memory steps = [
            VaultCrowd.enters.selector,
            VaultCrowd.asksOut.selector,
            VaultCrowd.stays.selector,
            VaultCrowd.fills.selector,
            VaultCrowd.takes.selector,
            VaultCrowd.takesCredit.selector,
            VaultCrowd.donates.selector,
            VaultCrowd.opens.selector,
            VaultCrowd.pays.selector,
            VaultCrowd.agrees.selector,
            VaultCrowd.claims.selector,
            VaultCrowd.objects.selector,
            VaultCrowd.rules.selector,
            VaultCrowd.ends.selector,
            VaultCrowd.backs.selector,
            VaultCrowd.draws.selector,
            VaultCrowd.collects.selector,
            VaultCrowd.repays.selector,
            VaultCrowd.resolves.selector,
            VaultCrowd.recovers.selector,
            VaultCrowd.passes.selector,
            VaultCrowd.opens.selector,
            VaultCrowd.draws.selector,
            VaultCrowd.passes.selector
        ];
        targeted = new FuzzSelector[](1);
        targeted[0].addr = address(crowd);
        targeted[0].selectors = new bytes4[](steps.length);
        for (uint256 i = 0; i < steps.length; ++i) {
            targeted[0].selectors[i] = steps[i];
        }
    }

    /// @notice After every step the vault has what it owes, to the unit (F-4), and every company that owes it is pledged to it (F-3). The steps themselves
    /// assert F-2, F-5, F-6, F-7, F-8, F-12, F-13 and F-16; `afterInvariant` asserts F-14.
    function invariant_TheVaultHasWhatItOwes() external view {
        crowd.checkEverything();
    }

    /// @notice At the end of every run everybody is silent, and everything ends (F-14).
    function afterInvariant() external {
        crowd.everybodyIsSilent();
        crowd.checkEverything();
    }
}
