// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A15, I-8: whoever dies, whenever: everybody else gets its money out, and what is the dead one's waits for it.
contract StuckFundsAttack is AttackTest {
    Order private order;

    function setUp() public override {
        super.setUp();
        order = aFreeOrder(1);
        order.acceptor = acceptor;
        deposit(acceptor, 100 * DOLLAR);
    }

    // --------------------------------------------------------------------------------------------------------------------------- somebody is gone

    /// @notice A15: without any scheduler a client opens its own order, and every exit goes without one.
    function testA15SchedulerIsGone() external {
        Fill memory fill = aFill(order);
        fill.signature = "";
        openAs(client, fill);
        served.push(order);
        terminate(order);

        assertAllOut(client, provider);
    }

    /// @notice A15: a client whose provider is gone terminates at any time before the deadline.
    function testA15ProviderIsGoneTerminate() external {
        serve(order);
        vm.warp(deadline() - 1);
        terminate(order);

        assertAllOut(client, acceptor);
    }

    /// @notice A15: after the deadline, anybody has a client whose provider is gone made whole and compensated.
    function testA15ProviderIsGoneExpire() external {
        serve(order);
        vm.warp(deadline() + 1_000 days);
        vm.prank(stranger);
        market.expire(order);

        uint256 compensation = bond(order) < total(order) ? bond(order) : total(order);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR + compensation, "whole, and compensated");
        assertAllOut(client, acceptor);
    }

    /// @notice A15: a client whose provider and arbiter are gone disputes, and gets at least half of the time in dispute back.
    function testA15ProviderAndArbiterAreGone() external {
        serve(order);
        skip(1_000);
        dispute(order);
        skip(RULING_WINDOW);
        vm.prank(client);
        market.lapse(order);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - earned(order, 500), "half of it");
        assertAllOut(client, acceptor);
    }

    /// @notice A15: a provider whose client is gone claims, and finalizes.
    function testA15ClientIsGone() external {
        serve(order);
        vm.warp(deadline() - 1);
        claim(order, MAX_SECONDS);
        skip(CHALLENGE_WINDOW);
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        vm.prank(provider);
        market.finalize(orders);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, MAX_SECONDS), "paid in full");
        assertAllOut(provider, acceptor);
    }

    /// @notice A15: a provider whose client disputed and is gone, and whose arbiter is gone, is let out by the lapse.
    function testA15DisputerAndArbiterAreGone() external {
        serve(order);
        skip(1_000);
        claim(order, 1_000);
        dispute(order);
        skip(RULING_WINDOW);
        vm.prank(provider);
        market.lapse(order);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 500), "half of it, and the bond");
        assertAllOut(provider, acceptor);
    }

    /// @notice A15: an acceptor that disputed and is gone does not hold the client's money, and its stake waits for it.
    function testA15DisputingAcceptorIsGone() external {
        serve(order);
        skip(1_000);
        vm.prank(acceptor);
        market.dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);

        vm.assertEq(market.balanceOf(acceptor), 100 * DOLLAR, "its stake");
        assertAllOut(client, provider);
    }

    /// @notice A15: where everybody is gone, a stranger closes every lease, open, claimed or disputed, and the balances wait.
    function testA15EverybodyIsGone() external {
        for (uint256 i = 0; i < 3; ++i) {
            serve(aFreeOrder(10 + i));
        }
        skip(1_000);
        claim(served[0], 1_000);
        dispute(served[1]);
        vm.warp(NOW + 365 days);
        vm.startPrank(stranger);
        Order[] memory orders = new Order[](1);
        orders[0] = served[0];
        market.finalize(orders);
        market.lapse(served[1]);
        market.expire(served[2]);
        vm.stopPrank();

        vm.assertEq(market.balanceOf(stranger), 0, "for no reward");
        assertAllOut(client, provider);
    }

    /// @notice A15: a payee that can never withdraw keeps what is its own only.
    function testA15PayeeIsABlackHole() external {
        serve(order);
        assign(order, provider, address(0xDEAD));
        crowd.push(address(0xDEAD));
        skip(600);
        settle(aSettlement(order, 600, true));

        vm.assertEq(market.balanceOf(address(0xDEAD)), earned(order, 600), "the income is gone where it was sent");
        withdrawAll(client);
        withdrawAll(provider);
        withdrawAll(acceptor);
        vm.assertEq(dollar.balanceOf(address(market)), earned(order, 600), "and nothing else");
    }

    // --------------------------------------------------------------------------------------------------------------------------- something is odd

    /// @notice A15: a provider that takes its offer off the market keeps every exit of its leases.
    function testA15OfferTakenOff() external {
        serve(order);
        vm.prank(provider);
        market.reprice(offer, type(uint80).max, 0);
        skip(600);
        settle(aSettlement(order, 600, true));

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 600), "at the price of its opening");
        assertAllOut(client, provider);
    }

    /// @notice A15: an order that was cancelled while it was open keeps every exit.
    function testA15CancelledWhileOpen() external {
        for (uint256 how = 0; how < 5; ++how) {
            uint256 state = vm.snapshotState();
            serve(order);
            cancel(order);
            cancel(order);
            if (how == 0) decline(order);
            skip(1_000);
            if (how == 1) terminate(order);
            if (how == 2) settle(aSettlement(order, 1_000, true));
            if (how == 3) dispute(order);
            if (how == 3) rule(order, 0, true);
            skip(10 days);
            if (how == 4) market.expire(order);
            assertStatus(order, Status.Closed, "closed");
            vm.assertFalse(attempt(client, abi.encodeCall(market.cancel, (order))), "for good");
            assertAllOut(client, provider);
            vm.revertToState(state);
        }
    }

    /// @notice A15: a term lease whose client is gone is claimed after it was served.
    function testA15TermLeaseWithoutItsClient() external {
        order.startsAt = uint40(NOW + 10 days);
        openAs(provider, aFill(order));
        served.push(order);
        vm.warp(order.startsAt + MAX_SECONDS);
        claim(order, MAX_SECONDS);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        assertAllOut(client, provider);
    }

    /// @notice A15: a term lease whose provider is gone is terminated before it starts, or expires after it should have ended.
    function testA15TermLeaseWithoutItsProvider() external {
        order.startsAt = uint40(NOW + 10 days);
        openAs(provider, aFill(order));
        served.push(order);
        vm.assertFalse(attempt(client, abi.encodeCall(market.dispute, (order))), "nothing to dispute yet");
        uint256 state = vm.snapshotState();
        terminate(order);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - earned(order, MIN_SECONDS), "what was guaranteed");
        assertAllOut(client, provider);
        vm.revertToState(state);

        vm.warp(order.startsAt + MAX_SECONDS + CLAIM_GRACE);
        market.expire(order);
        assertAllOut(client, provider);
    }

    /// @notice A15, I-8: the longest that money can be kept from its owner by others is maxSeconds + CLAIM_GRACE + CHALLENGE_WINDOW + RULING_WINDOW.
    function testA15LongestTime() external {
        serve(order);
        vm.warp(deadline() - 1);
        claim(order, MAX_SECONDS);
        skip(CHALLENGE_WINDOW - 1);
        dispute(order);
        uint256 end = NOW + MAX_SECONDS + CLAIM_GRACE + CHALLENGE_WINDOW + RULING_WINDOW;
        vm.warp(end - 3);
        vm.assertFalse(attempt(stranger, abi.encodeCall(market.lapse, (order))), "not yet");
        vm.warp(end - 2);
        market.lapse(order);

        assertAllOut(client, provider);
    }

    /// @notice A15: one account in all roles gets everything out.
    function testA15OneAccountInAllRoles() external {
        offer = list(client);
        (order.acceptor, order.opener, order.tip) = (client, client, TIP);
        serve(order);
        assign(order, client, client);
        skip(1_000);
        dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR, "to the unit");
        assertAllOut(client, provider);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function deadline() private pure returns (uint256) {
        return NOW + MAX_SECONDS + CLAIM_GRACE;
    }

    /// The two withdraw everything at once, without any other's help, and what is left in the market is what the others could withdraw.
    function assertAllOut(address one, address another) private {
        assertExact();
        withdrawAll(one);
        withdrawAll(another);
        uint256 left;
        for (uint256 i = 0; i < crowd.length; ++i) {
            left += market.balanceOf(crowd[i]);
        }
        vm.assertEq(dollar.balanceOf(address(market)), left, "nothing is locked any more");
    }
}
