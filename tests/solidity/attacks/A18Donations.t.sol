// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A18: money that nobody asked for, and calls "for" others: entitlements come from the market's own ledger, and nobody's timers move.
contract DonationsAttack is AttackTest {
    /// @notice A18: tokens that are sent to the market raise nobody's balance, and nobody can withdraw them.
    function testA18DonationBelongsToNobody() external {
        donate(777);
        address[6] memory accounts = [client, provider, opener, acceptor, arbiter, stranger];
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 more = market.balanceOf(accounts[i]) + 1;
            bytes memory call = abi.encodeCall(market.withdraw, (accounts[i], more));
            vm.assertFalse(attempt(accounts[i], call), "no more than its own");
        }
        withdrawAll(client);
        withdrawAll(provider);

        vm.assertEq(dollar.balanceOf(address(market)), 777, "it stays");
    }

    /// @notice A18: a donation between any two steps of a lease changes nothing that anybody gets.
    function testA18DonationsDuringALease() external {
        donate(1);
        Order memory order = serve(anOrder(1));
        donate(10 * DOLLAR);
        skip(1_000);
        claim(order, 1_000);
        donate(3);
        dispute(order);
        donate(1_000 * DOLLAR);
        rule(order, 500, true);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 500) - bond(order), "as without");
        assertExact();
    }

    /// @notice A18: a deposit right after a donation is credited with the deposit only.
    function testA18DonationIsNotTheNextDeposit() external {
        donate(500);
        deposit(stranger, 100);

        vm.assertEq(market.balanceOf(stranger), 100, "its own");
        assertExact();
    }

    /// @notice A18: a deposit for another raises its balance only: not its leases, timers or budgets.
    function testA18DepositForAnother() external {
        Order memory order = serve(anOrder(1));
        authorize(client, delegate, 5, uint40(NOW + 5));
        Lease memory before = leaseOf(order);
        uint256 balance = market.balanceOf(client);
        skip(100);
        dollar.mint(stranger, 42);
        vm.startPrank(stranger);
        dollar.approve(address(market), 42);
        market.deposit(client, 42);
        vm.stopPrank();

        vm.assertEq(market.balanceOf(client), balance + 42, "credited");
        vm.assertEq(keccak256(abi.encode(leaseOf(order))), keccak256(abi.encode(before)), "the lease is as it was");
        (uint128 left, uint40 until) = market.budgetOf(client, delegate);
        vm.assertEq(left, 5, "the budget is as it was");
        vm.assertEq(until, NOW + 5, "and its time");
        assertExact();
    }

    /// @notice A18: deposits of nothing do nothing, however often, and for whomever.
    function testA18DustDeposits() external {
        Order memory order = serve(anOrder(1));
        uint256 balance = market.balanceOf(client);
        for (uint256 i = 0; i < 50; ++i) {
            vm.prank(stranger);
            market.deposit(client, 0);
        }

        vm.assertEq(market.balanceOf(client), balance, "nothing");
        terminate(order);
        assertExact();
    }

    /// @notice A18: nothing is deposited for the market itself, which calls nobody: it would be lost.
    function testA18DepositForTheMarketItself() external {
        dollar.mint(stranger, 9);
        vm.prank(stranger);
        dollar.approve(address(market), 9);

        vm.assertFalse(attempt(stranger, abi.encodeCall(market.deposit, (address(market), 9))), "refused");
        vm.assertEq(dollar.balanceOf(stranger), 9, "nothing is taken");
        assertExact();
    }

    /// @notice A18: neither a permit nor an authorization of the market's own tokens, which nobody can sign, makes the market an account.
    function testA18SignedDepositsForTheMarketItself() external {
        bytes memory permit = abi.encodeCall(market.depositWithPermit, (address(market), 0, NOW, 27, 0, 0));
        bytes memory authorization =
            abi.encodeCall(market.depositWithAuthorization, (address(market), 0, 0, NOW + 1, 0, 27, 0, 0));

        vm.assertFalse(attempt(stranger, permit), "no permit");
        vm.assertFalse(attempt(stranger, authorization), "no authorization");
        assertExact();
    }

    /// @notice A18: a withdrawal to the market itself would be a donation, and is refused.
    function testA18WithdrawalToTheMarketItself() external {
        vm.assertFalse(attempt(client, abi.encodeCall(market.withdraw, (address(market), 1))), "refused");
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR, "nothing is debited");
    }

    /// @notice A18: the market takes no ether, and ether that is forced on it changes nothing.
    function testA18Ether() external {
        (bool taken,) = address(market).call{value: 1}("");
        vm.assertFalse(taken, "no ether");
        (taken,) = address(market).call{value: 1}(abi.encodeCall(market.withdraw, (client, 0)));
        vm.assertFalse(taken, "nor with a verb");
        vm.deal(address(market), 1);

        terminate(serve(anOrder(1)));
        assertExact();
    }

    /// @notice A18: strangers' calls that are for anybody to make come to nothing before their time, and start no timer anew.
    function testA18StrangersMoveNoTimers() external {
        Order memory order = serve(anOrder(1));
        skip(1_000);
        claim(order, 1_000);
        bytes32 before = keccak256(abi.encode(leaseOf(order)));
        for (uint256 i = 0; i < 20; ++i) {
            skip(1 hours);
            finalize(order);
            attempt(stranger, abi.encodeCall(market.expire, (order)));
            attempt(stranger, abi.encodeCall(market.lapse, (order)));
            vm.assertEq(keccak256(abi.encode(leaseOf(order))), before, "nothing moved");
        }
        skip(4 hours);
        finalize(order);

        assertStatus(order, Status.Closed, "at its time");
    }

    /// @notice A18: nobody authorizes, lists or reprices for another: what a stranger says is about itself.
    function testA18StrangersSpeakForThemselves() external {
        authorize(stranger, delegate, 100, type(uint40).max);
        (uint128 left,) = market.budgetOf(client, delegate);
        vm.assertEq(left, 0, "not the client's delegate");
        uint40 number = list(stranger);

        vm.assertEq(market.offerOf(number).provider, stranger, "the stranger's offer");
        vm.assertFalse(attempt(stranger, abi.encodeCall(market.reprice, (offer, 0, 0))), "not the provider's");
    }

    function donate(uint256 amount) private {
        dollar.mint(address(this), amount);
        dollar.transfer(address(market), amount);
        donated += amount;
    }
}
