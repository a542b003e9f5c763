// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, LoanState, Terms} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {NaiveVault} from "../NaiveVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B20: the largest numbers that the market takes.
contract B20ExtremesAttack is VaultAttack {
    /// @notice In the naive vault a price near the top overflows what it asks for, and the lease is worth nothing to it.
    function testTheNaiveVaultLosesPrecision() external {
        naive = new NaiveVault(market, dollar);
        enterNaive(alice, 3);
        vm.prank(alice);
        vm.assertEq(naive.withdraw(1), 1, "small numbers only");
    }

    /// @notice A lease whose income no loan could count is not lent on.
    function testHereAnIncomeBeyondAllNumbersIsRefused() external {
        uint256 funds = 1 << 120;
        deposit(client, funds);
        deposit(address(spv), funds);
        vm.startPrank(operator);
        offer = spv.list(CLASS, type(uint16).max, 10_000, 1, 0, type(uint40).max, arbiter, 0);
        vm.stopPrank();
        Order memory order = aMonth();
        (order.maxSeconds, order.minSeconds) = (MONTH, MONTH);
        (order.gpus, order.maxPrice) = (type(uint16).max, type(uint80).max);
        open(aFillAt(order, type(uint80).max));
        skip(START_GRACE);
        allow();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotServed.selector, market.orderId(order), address(spv)));
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(DOLLAR), ANY_RATE);
    }

    /// @notice A lease of 136 years matures beyond the last second that a loan can count.
    function testHereALeaseBeyond2106IsRefused() external {
        Terms memory terms = someTerms();
        terms.maxTenor = type(uint32).max;
        vault = deployVault(terms);
        enter(alice, 1_000 * DOLLAR);
        Order memory order = aMonth();
        (order.maxSeconds, order.minSeconds, order.maxPrice) = (type(uint32).max, 0, 1);
        order.minSeconds = MIN_SECONDS;
        vm.prank(operator);
        offer = spv.list(CLASS, GPUS, 0, 1, 0, uint40(timestamp() + 1 days), arbiter, 0);
        order.minBondBps = 0;
        open(aFillAt(order, 1));
        skip(START_GRACE);
        allow();
        vm.expectRevert();
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(1), ANY_RATE);
    }

    /// @notice A debt that nobody touches for eighty years can still be repaid: interest stops growing where its field ends, and no sum overflows.
    function testHereAnOldDebtCanStillBePaid() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        vm.warp(uint256(type(uint32).max) - 1);
        market.expire(order);
        uint256 owed = vault.owedOf(loan);
        vm.assertTrue(owed > 5_000 * DOLLAR, "eighty years of interest");
        uint256 written = vault.resolve(loan);
        vm.assertTrue(written != 0, "and is written off like any other");
        assertState(loan, LoanState.WrittenOff, "written off");
        vm.warp(uint256(type(uint32).max) + 365 days);
        vault.totalAssets();
        vault.process();
    }

    /// @notice Shares fit what counts them: nobody enters with more.
    function testHereSharesFitTheirField() external {
        uint256 most = vault.maxMint(alice);
        vm.assertEq(most, type(uint128).max - vault.totalSupply(), "128 bits");
        uint256 assets = vault.maxDeposit(thief);
        dollar.mint(thief, type(uint128).max);
        vm.startPrank(thief);
        dollar.approve(address(vault), type(uint256).max);
        vm.expectRevert();
        vault.mint(most + 1, thief);
        vault.deposit(assets, thief);
        vm.stopPrank();
        vm.assertTrue(vault.totalSupply() <= type(uint128).max, "they fit");
        leave(thief, vault.balanceOf(thief));
        fillQueue();
        vm.assertTrue(vault.maxWithdraw(thief) <= assets, "and leave again");
    }
}
