// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B14: the cover that a loan counts on is gone when it is drawn, or is put behind another company than its backer meant.
contract B14CoversAttack is VaultAttack {
    /// @notice The naive vault remembers the cover that was there when it was asked, and has none when it needs it.
    function testTheNaiveVaultCountsACoverThatIsGone() external {
        Order memory order = naiveMonth(client, CLIENT_KEY);
        dollar.mint(backer, 1_000 * DOLLAR);
        vm.startPrank(backer);
        dollar.approve(address(naive), 1_000 * DOLLAR);
        naive.back(1_000 * DOLLAR);
        vm.stopPrank();
        vm.startPrank(provider);
        uint256 number = naive.request(order, backer);
        naive.refresh(number);
        vm.stopPrank();
        vm.prank(backer);
        naive.unback();
        vm.prank(provider);
        naive.draw(number);
        disputeNow(order);
        rule(order, 0, true);
        naive.writeOff(number);
        vm.assertEq(dollar.balanceOf(backer), 1_000 * DOLLAR, "the backer lost nothing");
        vm.assertTrue(naive.totalAssets() < 18_000 * DOLLAR, "the lenders did");
    }

    /// @notice Here a cover is counted in the draw that takes it: a backer that leaves before has the draw refused.
    function testHereACoverThatLeavesTakesTheDrawWithIt() external {
        Order memory order = aMonth();
        order.acceptor = stranger;
        serve(order);
        cover(backer, order, 1_000 * DOLLAR);
        bytes32 id = market.orderId(order);
        vm.prank(backer);
        vault.unback(id);
        allow();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotObligor.selector, client));
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(900 * DOLLAR), ANY_RATE);
    }

    /// @notice Once it is taken it cannot be taken back, until nothing is owed.
    function testHereATakenCoverStays() external {
        Order memory order = serveMonth();
        cover(backer, order, 1_000 * DOLLAR);
        draw(order, 100 * DOLLAR);
        bytes32 id = market.orderId(order);
        vm.prank(backer);
        vault.unback(id);
        vm.assertEq(dollar.balanceOf(backer), 0, "there is nothing to take back");
    }

    /// @notice A cover is for one serving: a company that has the order declined and opened again elsewhere does not get it.
    function testHereACoverIsForOneServing() external {
        Order memory order = aMonth();
        open(order);
        back(backer, order, 1_000 * DOLLAR);
        vm.prank(operator);
        spv.decline(order);
        skip(1);
        owner = thief;
        spv = aCompany(thief, "thief");
        offer = listAs(spv);
        Fill memory fill = aFill(order);
        open(fill);
        skip(START_GRACE);
        bytes32 id = market.orderId(order);
        vm.prank(thief);
        vault.choose(id, backer);
        uint256 loan = draw(order, 10 * DOLLAR);

        vm.assertEq(vault.loanOf(loan).cover, 0, "the thief's company has none");
        vm.prank(backer);
        vault.unback(id);
        vm.assertEq(dollar.balanceOf(backer), 1_000 * DOLLAR, "it is still the backer's");
    }

    /// @notice Nobody blocks a loan by backing it first.
    function testHereNobodyBlocksAnother() external {
        Order memory order = serveMonth();
        back(thief, order, 1);
        cover(backer, order, 100 * DOLLAR);
        uint256 loan = draw(order, 10 * DOLLAR);
        vm.assertEq(vault.loanOf(loan).backer, backer, "the owner says whose it takes");
    }
}
