// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B07: whoever knows of a loss first leaves first, and leaves it to the others.
contract B07RunsAttack is VaultAttack {
    /// @notice From the naive vault the first who leaves takes everything, at yesterday's price.
    function testFromTheNaiveVaultTheFirstLeavesWhole() external {
        Order memory order = naiveMonth(client, CLIENT_KEY);
        vm.startPrank(provider);
        uint256 number = naive.request(order, address(0));
        naive.refresh(number);
        naive.draw(number);
        vm.stopPrank();
        disputeNow(order);
        vm.prank(alice);
        vm.assertEq(naive.withdraw(10_000 * DOLLAR), 10_000 * DOLLAR, "the first is whole");
        rule(order, 0, true);
        naive.writeOff(number);
        vm.prank(bob);
        vm.assertTrue(naive.withdraw(10_000 * DOLLAR) < 7_300 * DOLLAR, "the second bears everything");
    }

    /// @notice V-11: here a client that is also a depositor, asks out, disputes and fills the queue, leaves at the price that was ruled, as everybody.
    function testHereTheDisputerLeavesAsEverybody() external {
        enter(client, 10_000 * DOLLAR);
        (Order memory order, uint256 loan) = lend(1_100 * DOLLAR);
        leave(client, vault.balanceOf(client));
        disputeNow(order);
        (,, uint256 from) = vault.queue();
        from = (timestamp() > from ? timestamp() : from) + RULING_WINDOW;
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.WindowOpen.selector, timestamp(), from));
        vault.process();
        leave(bob, vault.balanceOf(bob));
        rule(order, 0, true);
        vault.resolve(loan);
        fillQueue();
        vm.assertEq(vault.maxWithdraw(client), vault.maxWithdraw(bob), "one price, to the unit");
    }

    /// @notice V-11: a dispute does not let its maker buy the others out cheaply: nobody enters meanwhile, and nobody leaves at the mark.
    function testADisputeBuysNobodyOut() external {
        (Order memory order,) = lend(1_100 * DOLLAR);
        leave(bob, vault.balanceOf(bob));
        disputeNow(order);
        vm.expectRevert(IAdvanceVault.Impaired.selector);
        vm.prank(client);
        vault.deposit(DOLLAR, client);
        (,, uint256 from) = vault.queue();
        vm.warp(from + RULING_WINDOW - 1);
        vm.expectRevert();
        vault.process();
    }

    /// @notice A deposit around `collect` gains nothing: income is in the price before it comes in.
    function testADepositAroundCollectGainsNothing() external {
        (Order memory order, uint256 loan) = lend(1_100 * DOLLAR);
        skip(3 days);
        pay(order, 4 days);
        uint256 shares = enter(thief, 100_000 * DOLLAR);
        vault.collect(loan);
        vm.assertTrue(vault.convertToAssets(shares) <= 100_000 * DOLLAR, "not a unit more");
    }
}
