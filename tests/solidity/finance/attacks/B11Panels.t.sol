// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IBackstopArbiter} from "../../../../contracts/finance/interfaces/IBackstopArbiter.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B11: panels that are silent, bribed, or nearly too late.
contract PanelsAttack is NaiveTest {
    /// @notice B11: under an arbiter without a backstop, a client alone halves what it guaranteed by a dispute that nobody rules on, at no cost.
    function testB11ANaiveArbiterIsSilent() external {
        arbiter = vm.addr(0xA2B1);
        offer = listAs(spv);
        uint256 before = market.balanceOf(client);
        Order memory order = disputedMonth();
        skip(RULING_WINDOW);
        market.lapse(order);

        vm.assertEq(before - market.balanceOf(client), earned(order, GUARANTEED / 2), "half, and the stake is back");
    }

    /// @notice B11: here the same costs the client the whole guarantee and its stake.
    function testB11HereSilencePays() external {
        uint256 before = market.balanceOf(client);
        Order memory order = disputedMonth();
        toTheStep();
        backstop.backstop(order);

        vm.assertEq(before - market.balanceOf(client), earned(order, GUARANTEED) + bond(order), "all, and the stake");
    }

    /// @notice B11: a bribed panel rules what it likes while it may; a word of its after that is too late, and the backstop's is final.
    function testB11ABribedPanelIsTooLate() external {
        Order memory order = disputedMonth();
        toTheStep();
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooLate.selector, timestamp(), timestamp()));
        ruleAs(panel, order, 0, true);
        backstop.backstop(order);
        bytes memory expected =
            abi.encodeWithSelector(IComputeMarket.NotDisputed.selector, market.orderId(order), Status.Closed);

        vm.expectRevert(expected);
        ruleAs(panel, order, 0, true);
        vm.expectRevert(expected);
        backstop.backstop(order);
    }

    /// @notice B11: at every second of the window exactly one of the two may rule, and after it neither.
    function testB11OneAtATime(uint256 wait) external {
        Order memory order = disputedMonth();
        wait = bound(wait, 0, RULING_WINDOW + 1);
        if (wait % 4 == 0) wait = RULING_WINDOW - STEP - 1 + wait % 3;
        skip(wait);
        bool byPanel = succeeds(panel, abi.encodeCall(IBackstopArbiter.rule, (order, 0, true)));
        bool byAnybody = succeeds(stranger, abi.encodeCall(IBackstopArbiter.backstop, (order)));

        vm.assertTrue(byPanel == (wait < RULING_WINDOW - STEP), "the panel");
        vm.assertTrue(byAnybody == (wait >= RULING_WINDOW - STEP && wait < RULING_WINDOW), "anybody");
    }

    /// @notice B11: the panel does not rule more than the market lets an arbiter, and takes nothing but its half of a stake.
    function testB11APanelTakesItsHalf() external {
        Order memory order = disputedMonth();
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, GUARANTEED + 1, 0, GUARANTEED)
        );
        ruleAs(panel, order, GUARANTEED + 1, false);
        ruleAs(panel, order, GUARANTEED, false);
        backstop.collect();

        vm.assertEq(dollar.balanceOf(panel), bond(order) / 2, "half of the loser's stake");
    }

    /// @notice A call that is undone again.
    function succeeds(address sender, bytes memory input) private returns (bool done) {
        uint256 state = vm.snapshotState();
        vm.prank(sender);
        (done,) = address(backstop).call(input);
        vm.revertToState(state);
    }
}
