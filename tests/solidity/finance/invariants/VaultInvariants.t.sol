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

    function allSteps() private pure returns (bytes4[24] memory) {
        return [
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
    }

    /// @notice Its steps, those that make something to act on and let time pass more often.
    function targetSelectors() external view returns (FuzzSelector[] memory targeted) {
        bytes4[24] memory steps = allSteps();
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

    /// @notice The crowd is no idle one: in a few lives of some hundred steps each verb of the vault, and each end of a lease, succeeded.
    function testEveryVerbSucceeds() external {
        string[25] memory verbs = [
            "deposit",
            "requestRedeem",
            "cancelRedeem",
            "process",
            "redeem",
            "withdraw",
            "takeCredit",
            "back",
            "unback",
            "choose",
            "draw",
            "collect",
            "repay",
            "resolve",
            "recover",
            "open",
            "pay",
            "settle last",
            "claim",
            "claimDue",
            "dispute",
            "rule",
            "terminate",
            "expire",
            "finalize"
        ];
        uint256[25] memory counts;
        for (uint256 life = 0; life < 8; ++life) {
            setUp();
            for (uint256 i = 0; i < 500; ++i) {
                takeStep(uint256(keccak256(abi.encode(life, i))));
            }
            for (uint256 i = 0; i < verbs.length; ++i) {
                counts[i] += crowd.done(verbs[i]);
            }
        }
        for (uint256 i = 0; i < verbs.length; ++i) {
            vm.assertTrue(counts[i] != 0, verbs[i]);
        }
    }

    function takeStep(uint256 dice) private {
        bytes4[24] memory steps = allSteps();
        (bool isDone,) = address(crowd).call(abi.encodeWithSelector(steps[dice % steps.length], dice));
        vm.assertTrue(isDone, "every step holds");
    }
}
