// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {LoanState} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {BlacklistingDollar} from "../BlacklistingDollar.sol";
import {ITestDollar} from "../../MarketTest.sol";
import {NaiveVault} from "../NaiveVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B09: the token blocks somebody who would be paid.
contract B09BlacklistsAttack is VaultAttack {
    function setUp() public override {
        vm.warp(NOW);
        dollar = ITestDollar(address(new BlacklistingDollar()));
        market = deployMarket(address(dollar));
        setUpVault();
        naive = new NaiveVault(market, dollar);
        enterNaive(alice, 10_000 * DOLLAR);
    }

    /// @notice The naive vault pushes: a blocked owner keeps the lenders from being repaid.
    function testTheNaiveVaultIsNotRepaid() external {
        Order memory order = naiveMonth(client, CLIENT_KEY);
        vm.startPrank(provider);
        uint256 number = naive.request(order, address(0));
        naive.refresh(number);
        naive.draw(number);
        vm.stopPrank();
        pay(order, 5 days);
        BlacklistingDollar(address(dollar)).block_(provider);
        vm.expectRevert();
        naive.collect(number);
    }

    /// @notice P-06: here owner, backer and keeper are credited and pull: a blocked one stops nobody but itself.
    function testHereABlockedOneStopsOnlyItself() external {
        Order memory order = serveMonth();
        cover(backer, order, 10 * DOLLAR);
        uint256 loan = draw(order, 400 * DOLLAR);
        BlacklistingDollar(address(dollar)).block_(owner);
        BlacklistingDollar(address(dollar)).block_(backer);
        skip(5 days);
        pay(order, 5 days);
        vault.collect(loan);
        assertState(loan, LoanState.Repaid, "the vault is whole");
        vm.expectRevert();
        vm.prank(owner);
        vault.takeCredit(owner);
        vm.prank(owner);
        vm.assertTrue(vault.takeCredit(stranger) != 0, "who is blocked may still be paid elsewhere");
    }

    /// @notice A blocked depositor waits with its own; those beside it leave.
    function testABlockedDepositorHoldsUpNobody() external {
        leave(alice, vault.balanceOf(alice));
        leave(bob, vault.balanceOf(bob));
        fillQueue();
        BlacklistingDollar(address(dollar)).block_(alice);
        uint256 shares = vault.maxRedeem(alice);
        vm.expectRevert();
        vm.prank(alice);
        vault.redeem(shares, alice, alice);
        shares = vault.maxRedeem(bob);
        vm.prank(bob);
        vm.assertEq(vault.redeem(shares, bob, bob), 9_990 * DOLLAR, "is paid");
    }
}
