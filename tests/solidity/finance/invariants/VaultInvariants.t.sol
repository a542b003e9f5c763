// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {Test} from "../../Test.sol";
import {Crowd} from "../../invariants/Crowd.sol";
import {CrowdMischief} from "../../invariants/CrowdMischief.sol";
import {ICrowdToken} from "../../invariants/CrowdTokens.sol";
import {VaultCrowd} from "./VaultCrowd.sol";

/// @notice What holds after any sequence of steps around a vault and its market. README.md says where each invariant is checked.
abstract contract VaultInvariantsTest is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    VaultCrowd internal crowd;

    /// @notice The token, whether its issuer blocks people, and what the vault trusts of what is still to come (V-6).
    function model() internal pure virtual returns (string memory artifact, bool isBlacklisting, uint16 betaBps);

    function setUp() public {
        vm.warp(1_800_000_000);
        (string memory artifact,, uint16 betaBps) = model();
        address token = vm.deployCode(artifact);
        bytes memory arguments = abi.encode(token, 10 minutes, 20 minutes, 30 minutes, 60 minutes, uint256(0.5e6));
        IComputeMarket market = IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", arguments));
        crowd = new VaultCrowd(market, ICrowdToken(token), betaBps);
    }

    /// @notice Forge calls only the crowd.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    /// @notice What the crowd does only at the end, what only one token can do, and what takes long and is about the market alone: its own campaign does it.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        (, bool isBlacklisting,) = model();
        bytes4[10] memory left = [
            CrowdMischief.everybodyLeaves.selector,
            CrowdMischief.everybodyElseIsSilent.selector,
            VaultCrowd.vaultEnds.selector,
            CrowdMischief.openMixedBatch.selector,
            CrowdMischief.settleMixedBatch.selector,
            CrowdMischief.openNoise.selector,
            CrowdMischief.settleNoise.selector,
            CrowdMischief.alone.selector,
            Crowd.openWithTheLastUnit.selector,
            Crowd.blacklist.selector
        ];
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(crowd);
        excluded[0].selectors = new bytes4[](isBlacklisting ? 9 : 10);
        for (uint256 i = 0; i < excluded[0].selectors.length; ++i) {
            excluded[0].selectors[i] = left[i];
        }
    }

    /// @notice After every step market and vault have what they owe (F-1, F-4), and what the steps leave alone holds (F-3, F-5, F-8). The steps themselves
    /// assert the market's I-2 to I-12, and F-2, F-5 to F-13; `afterInvariant` asserts F-14 and F-16.
    function invariant_TheVaultHasWhatItOwes() external view {
        vm.assertEq(crowd.token().balanceOf(address(crowd.market())), crowd.owed(), "I-1: the market owes what it has");
        crowd.checkVault();
    }

    /// @notice At the end of every run everybody is silent, everything ends, and everybody leaves with what is theirs (F-14, F-16, I-8).
    function afterInvariant() external {
        crowd.checkEverything();
        crowd.checkLoans();
        crowd.vaultEnds();
        crowd.checkVault();
        crowd.checkLoans();
        crowd.everybodyLeaves();
        vm.assertEq(
            crowd.token().balanceOf(address(crowd.market())),
            crowd.donated(),
            "I-8: nothing is left but what nobody owns"
        );
    }
}

/// @notice The campaign with a token as the standard has it, and a vault that trusts nobody to go on.
contract VaultInvariantsNormalTest is VaultInvariantsTest {
    function model() internal pure override returns (string memory, bool, uint16) {
        return ("CrowdTokens.sol:NormalToken", false, 0);
    }
}

/// @notice The campaign with a token of 18 decimals whose transfers return nothing, and a vault that trusts half of what is to come.
contract VaultInvariantsSilentTest is VaultInvariantsTest {
    function model() internal pure override returns (string memory, bool, uint16) {
        return ("CrowdTokens.sol:SilentToken", false, 5_000);
    }
}

/// @notice The campaign with a token of two decimals whose issuer blocks people (P-06).
contract VaultInvariantsBlockingTest is VaultInvariantsTest {
    function model() internal pure override returns (string memory, bool, uint16) {
        return ("CrowdTokens.sol:BlacklistingToken", true, 0);
    }
}
