// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {NaiveVault} from "../NaiveVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B06: the first depositor makes a share so dear that the next one gets none.
contract B06InflationAttack is VaultAttack {
    /// @notice In the naive vault a donation takes the next deposit.
    function testTheNaiveVaultsNextDepositorLosesEverything() external {
        naive = new NaiveVault(market, dollar);
        enterNaive(thief, 1);
        dollar.mint(address(naive), 10_000 * DOLLAR);
        vm.assertEq(enterNaive(alice, 10_000 * DOLLAR), 0, "no share for ten thousand dollars");
        vm.prank(thief);
        vm.assertEq(naive.withdraw(1), 20_000 * DOLLAR + 1, "they are the thief's");
    }

    /// @notice V-12: here a donation, to the vault or to a company, changes no price, and the next depositor loses at most a unit.
    function testHereADonationBuysNothing(uint256 first, uint256 donated) external {
        vault = deployVault(someTerms());
        enter(thief, bound(first, 1, DOLLAR));
        dollar.mint(address(vault), bound(donated, 0, 1e15));
        dollar.mint(address(spv), bound(donated, 0, 1e15));
        uint256 shares = enter(alice, 10_000 * DOLLAR);

        vm.assertTrue(vault.convertToAssets(shares) + 1 >= 10_000 * DOLLAR, "worth what was paid");
    }

    /// @notice Loops of one unit, in and out, round against whoever makes them: nobody else's share falls.
    function testLoopsOfAUnitGainNothing() external {
        vault = deployVault(someTerms());
        enter(alice, 100 * DOLLAR);
        uint256 price = priceOfMillion();
        for (uint256 i = 0; i < 20; ++i) {
            uint256 shares = enter(thief, 1);
            leave(thief, shares / 2 + 1);
            fillQueue();
        }
        vm.assertTrue(priceOfMillion() >= price, "the price never falls");
        vm.assertTrue(vault.maxWithdraw(thief) <= 20, "he has no more than he brought");
    }

    /// @notice What is deposited in the market for a company is money behind its loan, not a price: it repays, and the rest is its owner's.
    function testADonationToACompanyRepaysItsLoan() external {
        (Order memory order, uint256 loan) = lend(500 * DOLLAR);
        order;
        uint256 price = priceOfMillion();
        deposit(address(spv), 1_000 * DOLLAR);
        vm.assertEq(priceOfMillion(), price, "no more than is owed counts");
        vault.collect(loan);
        vm.assertEq(priceOfMillion(), price, "nor when it is collected");
        assertSolvent();
    }
}
