// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @notice What one side can do alone, while scheduler, arbiter and the other side are silent for good (P-10), and what it can lose at most.
contract SilenceTest is LedgerTest {
    Order internal order;

    function setUp() public override {
        super.setUp();
        order = anOrder();
    }

    /// @notice I-8, P-10: from every live state, at any time, the client alone empties every lock.
    function testTheClientLeavesAlone(uint8 state, uint32 wait) external {
        reach(state);
        skip(bound(wait, 0, 20 days));
        exitAlone(client);
        assertEverythingIsPaidOut();
    }

    /// @notice I-8, P-10: so does the acceptor, for the client.
    function testTheAcceptorLeavesAlone(uint8 state, uint32 wait) external {
        reach(state);
        skip(bound(wait, 0, 20 days));
        exitAlone(acceptor);
        assertEverythingIsPaidOut();
    }

    /// @notice I-8, P-10: so does the provider.
    function testTheProviderLeavesAlone(uint8 state, uint32 wait) external {
        reach(state);
        skip(bound(wait, 0, 20 days));
        exitAlone(provider);
        assertEverythingIsPaidOut();
    }

    /// @notice I-8: so does a stranger, once nobody else moved until all intervals ended.
    function testAStrangerClearsUp(uint8 state) external {
        reach(state);
        skip(20 days + MAX_SECONDS + CLAIM_GRACE);
        exitAlone(stranger);
        assertEverythingIsPaidOut();
    }

    /// @notice P-23: a provider whose client is silent is paid for all that it did.
    function testASilentClientCannotKeepTheProvidersPay() external {
        open(order);
        skip(MAX_SECONDS);
        remember();

        exitAlone(provider);

        credit(provider, earned(order, MAX_SECONDS) + bond(order));
        credit(client, total(order) - earned(order, MAX_SECONDS));
        assertClosed(order, 0, MAX_SECONDS);
    }

    /// @notice I-6: however often an order is opened and declined, and however it ends, it costs the client at most T and one tip.
    function testTheMostThatAnOrderCosts(uint8 times, uint8 exit, uint32 when) external {
        uint256 before = market.balanceOf(client);
        for (uint256 i = 0; i < times % 5; ++i) {
            open(order);
            vm.prank(provider);
            market.decline(order);
            skip(1);
        }
        open(order);
        skip(bound(when, MIN_SECONDS, MAX_SECONDS));
        if (exit % 4 == 0) {
            vm.prank(client);
            market.terminate(order);
        } else if (exit % 4 == 1) {
            settle(aSettlement(order, uint32(timestamp() - leaseOf(order).openedAt), true));
        } else if (exit % 4 == 2) {
            exitAlone(provider);
        } else {
            skip(MAX_SECONDS + CLAIM_GRACE);
            market.expire(order);
        }

        vm.assertLe(before, market.balanceOf(client) + total(order) + TIP, "T and one tip");
    }

    /// @notice I-6: a lost dispute costs the client its own stake on top, and no more.
    function testTheMostThatADisputeCosts(uint32 when, uint32 awarded) external {
        uint256 before = market.balanceOf(client);
        open(order);
        uint32 elapsed = uint32(bound(when, START_GRACE, MAX_SECONDS));
        skip(elapsed);
        disputeAs(client, order);

        rule(order, uint32(bound(awarded, 0, elapsed)), false);

        vm.assertLe(before, market.balanceOf(client) + total(order) + TIP + bond(order), "T, one tip and the stake");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    /// @notice Brings the order into one of nine live states.
    function reach(uint8 state) private {
        state = state % 9;
        if (state == 8) {
            order.opener = provider;
            order.startsAt = uint40(NOW + 10 days);
            openAs(provider, aFill(order));
            return;
        }
        open(order);
        skip(1_000);
        if (state == 1 || state == 4) pay(order, 400);
        if (state == 2) {
            vm.prank(client);
            market.cancel(order);
            assignAs(provider, order, lender);
        }
        if (state == 3 || state == 4 || state == 6) claim(order, 700);
        if (state == 5 || state == 7) disputeAs(client, order);
        if (state == 6) disputeAs(acceptor, order);
        if (state == 7) pay(order, 800);
    }

    /// @notice What `who` can do alone to end the lease, and the times it has to wait for.
    function exitAlone(address who) private {
        Lease memory lease = leaseOf(order);
        uint256 start = lease.openedAt < order.startsAt ? order.startsAt : lease.openedAt;
        if (lease.status == Status.Open) {
            vm.startPrank(who);
            if (timestamp() >= start + MAX_SECONDS + CLAIM_GRACE) {
                market.expire(order);
            } else if (who == provider) {
                if (timestamp() < start + MIN_SECONDS) vm.warp(start + MIN_SECONDS);
                uint256 elapsed = timestamp() - start;
                market.claim(order, uint32(elapsed < MAX_SECONDS ? elapsed : MAX_SECONDS), RESULT);
            } else {
                market.terminate(order);
            }
            vm.stopPrank();
        }
        lease = leaseOf(order);
        if (lease.status == Status.Claimed) {
            if (timestamp() < lease.changedAt + CHALLENGE_WINDOW) vm.warp(lease.changedAt + CHALLENGE_WINDOW);
            Order[] memory orders = new Order[](1);
            orders[0] = order;
            vm.prank(who);
            market.finalize(orders);
        } else if (lease.status == Status.Disputed) {
            if (timestamp() < lease.changedAt + RULING_WINDOW) vm.warp(lease.changedAt + RULING_WINDOW);
            vm.prank(who);
            market.lapse(order);
        }
    }

    /// @notice The lease is closed, all GPUs are free, and after everybody took its balance nothing is left in the market.
    function assertEverythingIsPaidOut() private {
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
        vm.assertEq(market.offerOf(offer).free, GPUS, "all GPUs are free");
        address[6] memory all = [client, provider, acceptor, arbiter, opener, lender];
        for (uint256 i = 0; i < all.length; ++i) {
            uint256 balance = market.balanceOf(all[i]);
            vm.prank(all[i]);
            market.withdraw(all[i], balance);
        }
        vm.assertEq(dollar.balanceOf(address(market)), 0, "nothing is left");
    }
}
