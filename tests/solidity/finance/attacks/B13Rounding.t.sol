// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B13: what is lost in one rounding is lost again in every one.
contract B13RoundingAttack is VaultAttack {
    /// @notice The naive vault rounds interest down at every touch: touched every second it earns none.
    function testTheNaiveVaultEarnsNothing() external {
        Order memory order = naiveMonth(client, CLIENT_KEY);
        vm.prank(provider);
        uint256 number = naive.request(order, address(0));
        (,,, uint256 owed,,,,) = naive.advances(number);
        uint256 later = owed;
        for (uint256 i = 0; i < 50; ++i) {
            skip(1);
            naive.refresh(number);
        }
        (,,, later,,,,) = naive.advances(number);
        uint256 fair = owed * 500 * 50 / (10_000 * uint256(365 days));
        vm.assertTrue(later - owed < fair, "less than one touch would have given");
    }

    /// @notice V-7b: here touching a loan often costs its owner at most a unit a touch, and never the lenders.
    function testHereTouchingNeverLowersTheInterest(uint256 touches) external {
        touches = bound(touches, 1, 20);
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        skip(20 * 60);
        uint256 untouched = vault.owedOf(loan);
        vm.warp(timestamp() - 20 * 60);
        uint256 repaid;
        for (uint256 i = 0; i < touches; ++i) {
            skip(60);
            pay(order, uint32(1 days + i + 1));
            (uint256 toVault,) = vault.collect(loan);
            repaid += toVault;
        }
        skip((20 - touches) * 60);
        vm.assertTrue(vault.owedOf(loan) + repaid + repaid / 100 >= untouched, "nothing is rounded away");
    }

    /// @notice Of next to nothing that waits, and over many windows, no price is made and nobody's part vanishes.
    function testNextToNothingThatWaits() external {
        lend(1_000 * DOLLAR);
        leave(alice, 1);
        (uint256 shares, uint256 assets) = fillQueue();
        vm.assertTrue(shares == 0 && assets == 0, "a millionth of a unit leaves for nothing: so it waits");
        leave(bob, vault.balanceOf(bob));
        fillQueue();
        vm.assertTrue(vault.maxWithdraw(bob) > 9_900 * DOLLAR, "who comes later is not held up");
        vm.assertTrue(vault.maxWithdraw(alice) == 0, "nor pays for it");
        vm.assertTrue(vault.pendingRedeemRequest(0, alice) <= 1, "what it is worth");
    }

    /// @notice Running costs are rounded down for the owner, at every collect: the lenders never have less than the mark.
    function testOpexIsRoundedForTheLenders(uint256 cuts) external {
        cuts = bound(cuts, 1, 12);
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        uint256 price = priceOfMillion();
        for (uint256 i = 1; i <= cuts; ++i) {
            pay(order, uint32(1 days + i));
            vault.collect(loan);
            vm.assertTrue(priceOfMillion() >= price, "the price never falls by a collect");
        }
        uint256 income = earned(order, 1 days + cuts) - earned(order, 1 days);
        vm.assertTrue(vault.creditOf(owner) <= income * 3_000 / 10_000, "not a unit more than one collect would give");
    }
}
