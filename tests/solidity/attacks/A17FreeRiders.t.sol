// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A17: who takes without giving. Fair exchange needs a third party; what the market promises instead is a bound on the loss.
contract FreeRidersAttack is AttackTest {
    uint32 private constant SLICE = 60;

    /// @notice A17, P-23: a client that takes the result and signs nothing pays for the time, by claim and finalize: the provider loses nothing.
    function testA17SilentClientPays() external {
        Order memory order = serve(aFreeOrder(1));
        skip(1_000);
        claim(order, 1_000);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 1_000), "every second");
    }

    /// @notice A17: a client that terminates right before the end pays for all the time that has elapsed.
    function testA17TerminateBeforeTheEnd() external {
        Order memory order = serve(aFreeOrder(1));
        skip(MAX_SECONDS - 1);
        terminate(order);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, MAX_SECONDS - 1), "every second");
    }

    /// @notice A17: a client that opens and terminates at once pays what the offer asks to be guaranteed, every time.
    function testA17OpenAndTerminateCostsMinSeconds() external {
        for (uint256 i = 0; i < 10; ++i) {
            terminate(serve(aFreeOrder(i)));
        }

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + 10 * earned(served[0], MIN_SECONDS), "ten times");
    }

    /// @notice A17: a provider that claims without having worked is disputed in time: the client gets everything and half of the bond.
    function testA17ClaimWithoutWork() external {
        Order memory order = serve(aFreeOrder(1));
        skip(1_000);
        claim(order, 1_000);
        skip(CHALLENGE_WINDOW - 1);
        dispute(order);
        rule(order, 0, true);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR + bond(order) - bond(order) / 2, "more than everything");
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR - bond(order), "the bond is lost");
    }

    /// @notice A17: paid by the slice, a client whose provider vanishes has paid for nothing but the slices that it saw, and is compensated for the rest.
    function testA17ClientsLossIsNoSlice() external {
        Order memory order = serve(aFreeOrder(1));
        for (uint32 slice = 1; slice <= 10; ++slice) {
            skip(SLICE);
            pay(order, slice * SLICE);
        }
        skip(MAX_SECONDS + CLAIM_GRACE);
        market.expire(order);

        uint256 compensation = bond(order) < total(order) ? bond(order) : total(order);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - earned(order, 10 * SLICE) + compensation, "ten slices");
        assertExact();
    }

    /// @notice A17: paid in advance by the slice, a client's loss to a provider that vanishes, without any dispute, is less than one slice.
    function testA17PrepaidClientsLossIsLessThanASlice() external {
        Order memory order = serve(aFreeOrder(1));
        pay(order, MIN_SECONDS);
        skip(1);
        uint256 before = market.balanceOf(client);
        terminate(order);

        vm.assertEq(market.balanceOf(client) - before, total(order) - earned(order, SLICE), "all but the slice is back");
    }

    /// @notice A17: paid by the slice, a provider whose client stops signing has one unpaid slice at most when it sees that, and claims it too.
    function testA17ProvidersLossIsNoSlice() external {
        Order memory order = serve(aFreeOrder(1));
        skip(SLICE);
        pay(order, SLICE);
        skip(SLICE);
        claim(order, 2 * SLICE);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 2 * SLICE), "both slices");
    }

    /// @notice A17: what a client's unfounded dispute can withhold from a provider, before a silent arbiter, is half of the unpaid time: with slices,
    /// half of a slice.
    function testA17DisputeWithholdsHalfASlice() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        pay(order, uint32(START_GRACE));
        skip(SLICE);
        dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);

        uint256 due = earned(order, START_GRACE + SLICE);
        uint256 got = market.balanceOf(provider) - 1_000 * DOLLAR;
        vm.assertLe(due - got, earned(order, SLICE / 2) + 1, "half a slice");
        assertExact();
    }

    /// @notice A17: a provider that leaves early by claiming what it did is paid for that, and for no second more.
    function testA17ProviderLeavesEarly() external {
        Order memory order = serve(aFreeOrder(1));
        skip(1_000);
        claim(order, 300);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - earned(order, 300), "300 seconds");
    }

    /// @notice A17: a provider that was prepaid cannot decline with the money: it comes back out of the bond.
    function testA17PrepaidProviderCannotRunAway() external {
        Order memory order = serve(aFreeOrder(1));
        pay(order, MIN_SECONDS);
        decline(order);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR, "everything is back");
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR, "and nothing was earned");
        assertExact();
    }

    /// @notice A17: one that was prepaid more than its bond cannot decline at all.
    function testA17ProviderPaidBeyondItsBondCannotDecline() external {
        Order memory order = aFreeOrder(1);
        order.minSeconds = MAX_SECONDS;
        serve(order);
        pay(order, MAX_SECONDS);

        vm.assertTrue(earned(order, MAX_SECONDS) > bond(order), "paid beyond the bond");
        vm.assertFalse(attempt(provider, abi.encodeCall(market.decline, (order))), "cannot decline");
    }

    /// @notice A17: a payee that was sold a lease's income cannot be cheated of it by the provider assigning it again.
    function testA17IncomeIsSoldOnce() external {
        Order memory order = serve(aFreeOrder(1));
        assign(order, provider, payee);
        vm.assertFalse(
            attempt(provider, abi.encodeCall(market.assign, (order, provider))), "not the provider's any more"
        );
        skip(1_000);
        settle(aSettlement(order, 1_000, true));

        vm.assertEq(market.balanceOf(payee), earned(order, 1_000), "the payee's");
    }

    /// @notice A17: a later serving of the order pays its provider again: the payee bought the income of one serving.
    function testA17IncomeOfALaterServing() external {
        Order memory order = serve(aFreeOrder(1));
        assign(order, provider, payee);
        decline(order);
        skip(1);
        serve(order);
        served.pop();
        skip(1_000);
        settle(aSettlement(order, 1_000, true));

        vm.assertEq(market.balanceOf(payee), 0, "nothing of the second serving");
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 1_000), "it is the provider's");
    }
}
