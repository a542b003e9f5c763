// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket} from "../../../contracts/interfaces/IComputeMarket.sol";
import {Test} from "../Test.sol";
import {Crowd} from "./Crowd.sol";
import {CrowdMischief} from "./CrowdMischief.sol";
import {Snapshots} from "./CrowdPeople.sol";
import {ICrowdToken} from "./CrowdTokens.sol";

/// @notice What holds after any sequence of steps of any people. README.md says where each invariant is checked.
abstract contract InvariantsTest is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Crowd internal crowd;

    function tokenModel() internal pure virtual returns (string memory artifact, bool isBlacklisting);

    function setUp() public {
        vm.warp(1_800_000_000);
        (string memory artifact,) = tokenModel();
        address token = vm.deployCode(artifact);
        bytes memory arguments = abi.encode(token, 10 minutes, 20 minutes, 30 minutes, 60 minutes, uint256(0.5e6));
        IComputeMarket market = IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", arguments));
        crowd = new Crowd(market, ICrowdToken(token));
    }

    /// @notice Forge calls only the crowd.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    /// @notice What the crowd does only at the end, and what only one token can do.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        (, bool isBlacklisting) = tokenModel();
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(crowd);
        excluded[0].selectors = new bytes4[](isBlacklisting ? 2 : 3);
        excluded[0].selectors[0] = CrowdMischief.everybodyLeaves.selector;
        excluded[0].selectors[1] = CrowdMischief.everybodyElseIsSilent.selector;
        if (!isBlacklisting) excluded[0].selectors[2] = Crowd.blacklist.selector;
    }

    /// @notice After every step the market has what it owes (I-1) and nobody's balance was lowered but by itself (I-10). The steps themselves assert
    /// I-2, I-3, I-4, I-5, I-6, I-7, I-9, I-11 and I-12; `afterInvariant` asserts I-8.
    function invariant_MoneyAndGpusAddUp() external view {
        vm.assertEq(crowd.token().balanceOf(address(crowd.market())), crowd.owed(), "I-1: the market owes what it has");
        crowd.checkBalances();
    }

    /// @notice At the end of every run the books agree as a whole, anybody alone can leave, and then everybody leaves (I-8).
    function afterInvariant() external {
        crowd.checkEverything();
        Snapshots snapshots = Snapshots(address(vm));
        for (uint256 i = 0; i < crowd.people(); ++i) {
            uint256 snapshot = snapshots.snapshotState();
            crowd.everybodyElseIsSilent(i, timestamp());
            snapshots.revertToStateAndDelete(snapshot);
        }
        crowd.everybodyLeaves();
        vm.assertEq(
            crowd.token().balanceOf(address(crowd.market())),
            crowd.donated(),
            "I-8: nothing is left but what nobody owns"
        );
    }
}

/// @notice The campaign with a token as the standard has it.
contract NormalTokenInvariantsTest is InvariantsTest {
    function tokenModel() internal pure override returns (string memory, bool) {
        return ("CrowdTokens.sol:NormalToken", false);
    }
}

/// @notice The campaign with a token whose transfers return nothing.
contract SilentTokenInvariantsTest is InvariantsTest {
    function tokenModel() internal pure override returns (string memory, bool) {
        return ("CrowdTokens.sol:SilentToken", false);
    }
}

/// @notice The campaign with a token whose issuer blocks people (P-06).
contract BlacklistingTokenInvariantsTest is InvariantsTest {
    function tokenModel() internal pure override returns (string memory, bool) {
        return ("CrowdTokens.sol:BlacklistingToken", true);
    }
}
