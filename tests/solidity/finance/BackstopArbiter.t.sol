// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, IComputeMarket, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IBackstopArbiter} from "../../../contracts/finance/interfaces/IBackstopArbiter.sol";
import {BackstopTest} from "./BackstopTest.sol";

/// @notice A-1 to A-3: who rules until when, and what the panel's silence pays.
contract BackstopArbiterTest is BackstopTest {
    // -------------------------------------------------------------------------------------------------------------------------------------- rule

    /// @notice A-1: the panel rules as the market lets an arbiter, to the last second of its time.
    function testThePanelRules() external {
        Order memory order = disputedMonth();
        skip(RULING_WINDOW - STEP - 1);
        ruleAs(panel, order, 0, true);

        assertStatus(order, Status.Closed, "ruled");
        vm.assertEq(market.balanceOf(address(backstop)), bond(order) / 2, "its fee");
    }

    /// @notice A-1: nobody else rules.
    function testRuleByAnybodyElseReverts() external {
        Order memory order = disputedMonth();

        vm.expectRevert(abi.encodeWithSelector(IBackstopArbiter.NotPanel.selector, client, panel));
        ruleAs(client, order, 0, true);
    }

    /// @notice A-1: from the step on the panel is too late.
    function testRuleFromTheStepOnReverts() external {
        Order memory order = disputedMonth();
        toTheStep();

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooLate.selector, timestamp(), timestamp()));
        ruleAs(panel, order, 0, true);
    }

    /// @notice Neither verb does anything about a lease that is not disputed.
    function testWhatIsNotDisputedReverts() external {
        Order memory order = serveMonth();
        bytes memory expected =
            abi.encodeWithSelector(IComputeMarket.NotDisputed.selector, market.orderId(order), Status.Open);

        vm.expectRevert(expected);
        ruleAs(panel, order, 0, true);
        vm.expectRevert(expected);
        backstop.backstop(order);
    }

    /// @notice It rules where the order names it, and nowhere else: the market sees to that.
    function testAnotherArbitersDisputeReverts() external {
        arbiter = vm.addr(0xA2B1);
        offer = listAs(spv);
        Order memory order = disputedMonth();
        toTheStep();

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotArbiter.selector, address(backstop), arbiter));
        backstop.backstop(order);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- backstop

    /// @notice A-1: from the step on anybody has it rule what was guaranteed; the provider has E(min) + 2B - floor(B/2).
    function testBackstopPaysTheGuarantee() external {
        Order memory order = disputedMonth();
        uint256 before = market.balanceOf(address(spv));
        toTheStep();
        vm.expectEmit(address(backstop));
        emit IBackstopArbiter.Backstopped(market.orderId(order), GUARANTEED, stranger);
        vm.prank(stranger);
        backstop.backstop(order);

        uint256 stake = bond(order);
        uint256 won = earned(order, GUARANTEED) + 2 * stake - stake / 2;
        vm.assertEq(market.balanceOf(address(spv)) - before, won, "the provider's");
        assertStatus(order, Status.Closed, "closed");
    }

    /// @notice A-1: a second before the step it is the panel's.
    function testBackstopBeforeTheStepReverts() external {
        Order memory order = disputedMonth();
        toTheStep();
        uint256 from = timestamp();
        skipBack(1);

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooEarly.selector, from - 1, from));
        backstop.backstop(order);
    }

    /// @notice A-1: when the window ends the market lets no arbiter rule any more, and the lease lapses.
    function testBackstopAfterTheWindowReverts() external {
        Order memory order = disputedMonth();
        skip(RULING_WINDOW);

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooLate.selector, timestamp(), timestamp()));
        backstop.backstop(order);
        market.lapse(order);
        assertStatus(order, Status.Closed, "lapsed");
    }

    /// @notice A-1: of a lease that was disputed after the guaranteed seconds, it rules what had elapsed.
    function testBackstopPaysWhatElapsed() external {
        Order memory order = serveMonth();
        skip(25 days);
        dispute(order);
        toTheStep();
        backstop.backstop(order);

        vm.assertEq(leaseOf(order).paidSeconds, 25 days, "all of it");
    }

    /// @notice A-1: a claim waives what was guaranteed and not claimed.
    function testBackstopPaysWhatWasClaimed() external {
        Order memory order = serveMonth();
        skip(GUARANTEED);
        claimAs(operator, order, 5 days);
        dispute(order);
        toTheStep();
        backstop.backstop(order);

        vm.assertEq(leaseOf(order).paidSeconds, 5 days, "as claimed");
    }

    /// @notice A-1: m is the market's own: whenever it is disputed, and whatever was paid, a lapse right after would split exactly what the backstop rules.
    function testBackstopRulesTheMarketsMost(uint32 paid, uint32 wait) external {
        Order memory order = serveMonth();
        paid = uint32(bound(paid, 0, GUARANTEED));
        if (paid > 0) pay(order, paid);
        skip(bound(wait, START_GRACE, MONTH + CLAIM_GRACE - 1));
        dispute(order);
        uint256 state = vm.snapshotState();
        toTheStep();
        backstop.backstop(order);
        uint32 most = leaseOf(order).paidSeconds;
        vm.revertToState(state);
        skip(RULING_WINDOW);
        market.lapse(order);

        vm.assertEq(leaseOf(order).paidSeconds, paid + (most - paid) / 2, "half of it");
    }

    /// @notice A-1: of a term lease the guaranteed seconds count from its start.
    function testBackstopOfATermLease() external {
        Order memory order = aMonth();
        order.startsAt = uint40(NOW + 3 days);
        Fill[] memory fills = aBatch(order);
        vm.prank(operator);
        spv.open(fills, ROUND);
        vm.warp(order.startsAt + GUARANTEED - 1);
        dispute(order);
        toTheStep();
        backstop.backstop(order);

        vm.assertEq(leaseOf(order).paidSeconds, GUARANTEED, "guaranteed");
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- collect

    /// @notice A-2: anybody sends its fees to the panel.
    function testCollectPaysThePanel() external {
        Order memory order = disputedMonth();
        toTheStep();
        backstop.backstop(order);
        uint256 fee = bond(order) / 2;
        vm.expectEmit(address(backstop));
        emit IBackstopArbiter.FeesCollected(fee);
        vm.prank(stranger);
        uint256 amount = backstop.collect();

        vm.assertEq(amount, fee, "what it says");
        vm.assertEq(dollar.balanceOf(panel), fee, "what the panel has");
        vm.assertEq(market.balanceOf(address(backstop)), 0, "nothing stays");
    }

    // ------------------------------------------------------------------------------------------------------------------------------- constructor

    /// @notice The step leaves both sides a second at least, and there is a panel.
    function testConstructionIsChecked() external {
        deployBackstop(panel, RULING_WINDOW - 1);
        IBackstopArbiter shortest = deployBackstop(panel, 1);
        vm.assertEq(shortest.STEP(), 1, "step");
        vm.assertEq(shortest.panel(), panel, "panel");
        vm.assertEq(shortest.market(), address(market), "market");

        vm.expectRevert();
        deployBackstop(panel, RULING_WINDOW);
        vm.expectRevert();
        deployBackstop(panel, 0);
        vm.expectRevert();
        deployBackstop(address(0), 1);
    }

    function skipBack(uint256 time) private {
        vm.warp(timestamp() - time);
    }
}
