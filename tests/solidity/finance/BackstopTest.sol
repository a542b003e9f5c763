// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IBackstopArbiter} from "../../../contracts/finance/interfaces/IBackstopArbiter.sol";
import {SpvTest} from "./SpvTest.sol";

/// @notice A company whose offer names an arbiter with a backstop, and a client that disputes.
abstract contract BackstopTest is SpvTest {
    uint256 internal constant STEP = 1 days;
    address internal panel = vm.addr(0x9A4E1);
    IBackstopArbiter internal backstop;

    function setUp() public virtual override {
        super.setUp();
        backstop = deployBackstop(panel, STEP);
        arbiter = address(backstop);
        offer = listAs(spv);
    }

    function deployBackstop(address who, uint256 step) internal returns (IBackstopArbiter) {
        bytes memory arguments = abi.encode(address(market), who, step);
        return IBackstopArbiter(vm.deployCode("BackstopArbiter.sol:BackstopArbiter", arguments));
    }

    function dispute(Order memory order) internal {
        vm.prank(client);
        market.dispute(order);
    }

    /// @notice Disputed as soon as the market lets a client.
    function disputedMonth() internal returns (Order memory order) {
        order = serveMonth();
        skip(START_GRACE);
        dispute(order);
    }

    function ruleAs(address sender, Order memory order, uint32 usedSeconds, bool providerAtFault) internal {
        vm.prank(sender);
        backstop.rule(order, usedSeconds, providerAtFault);
    }

    function toTheStep() internal {
        skip(RULING_WINDOW - STEP);
    }
}
