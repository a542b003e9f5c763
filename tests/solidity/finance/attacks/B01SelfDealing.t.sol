// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, Terms} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B01: the thief is provider and client; in the branch where "the provider fails" both T and B return to him.
contract B01SelfDealingAttack is VaultAttack {
    /// @notice The naive vault lends him four fifths of what he guarantees to himself, and is paid nothing.
    function testTheNaiveVaultIsRobbed() external {
        deposit(thief, 5_100 * DOLLAR);
        provider = thief;
        uint256 before = wealthOf(thief) + 5_000 * DOLLAR;
        Order memory order = naiveMonth(thief, THIEF_KEY);
        vm.startPrank(thief);
        uint256 number = naive.request(order, address(0));
        naive.refresh(number);
        naive.draw(number);
        vm.stopPrank();
        vm.warp(timestamp() + MONTH + CLAIM_GRACE);
        market.expire(order);

        vm.assertEq(market.balanceOf(address(naive)), 0, "nothing comes in");
        vm.assertTrue(wealthOf(thief) > before + 2_700 * DOLLAR, "stolen");
    }

    /// @notice V-2, V-4: here he is nobody's obligor, and draws at most what his own cover pays back: he loses the interest, the vault nothing.
    function testHereHeIsLentHisOwnCoverAtMost() external {
        (Order memory order, uint256 before) = selfDeal();
        (uint256 most,) = vault.limitOf(order, address(spv));
        vm.assertEq(most, 0, "nothing without a cover");
        cover(thief, order, 1_000 * DOLLAR);
        before += 1_000 * DOLLAR;
        (most,) = vault.limitOf(order, address(spv));
        uint256 loan = draw(order, most);
        disputeAsThief(order);
        vm.prank(arbiter);
        market.rule(order, 0, true);
        skip(5 days);
        uint256 written = vault.resolve(loan);
        takeAll();

        vm.assertEq(written, 0, "the vault loses nothing");
        vm.assertTrue(vault.totalAssets() >= 20_000 * DOLLAR, "and earns the interest");
        vm.assertTrue(wealthOf(thief) <= before, "he has no more than before");
    }

    /// @notice F-7: at beta 0, a thief with an obligor's stolen delegate key gains nothing, whatever he prepays, draws and leaves, under a panel that rules.
    function testWithAStolenDelegateKeyHeGainsNothing(uint256 prepaid, uint256 waited) external {
        owner = thief;
        spv = aCompany(thief, "stolen");
        offer = listAs(spv);
        Order memory order = aMonth();
        open(order);
        uint256 before = wealthOf(thief) + market.balanceOf(address(spv)) + bond(order);
        skip(bound(waited, START_GRACE, 3 days));
        prepaid = bound(prepaid, 0, 6 days);
        if (prepaid != 0) pay(order, uint32(prepaid));
        emptyCompany();
        uint256 elapsed = timestamp() - leaseOf(order).openedAt;
        uint256 served = elapsed < prepaid ? elapsed : prepaid;
        (uint256 most,) = vault.limitOf(order, address(spv));
        // What he was paid ahead is the obligor's own trust; what matters here is that no draw adds to it.
        if (most == 0) return;
        draw(order, most);
        disputeNow(order);
        rule(order, 0, true);
        takeAll();

        vm.assertTrue(wealthOf(thief) <= before + earned(order, served), "what he served, and nothing else");
    }

    function selfDeal() private returns (Order memory order, uint256 before) {
        owner = thief;
        spv = aCompany(thief, "thief");
        offer = listAs(spv);
        deposit(thief, 10_000 * DOLLAR);
        before = wealthOf(thief) + market.balanceOf(address(spv));
        order = aMonth();
        order.client = thief;
        openAs(opener, aFillSignedBy(order, THIEF_KEY));
        skip(START_GRACE);
        emptyCompany();
    }

    function disputeAsThief(Order memory order) private {
        vm.prank(thief);
        market.dispute(order);
    }

    function takeAll() private {
        vm.startPrank(thief);
        if (spv.creditor() == address(0)) spv.withdraw(market.balanceOf(address(spv)));
        vault.takeCredit(thief);
        vm.stopPrank();
    }

    /// @notice V-2: his own name as the acceptor of an obligor's order makes him the one who disputes and signs: covered lending only.
    function testAnAcceptorOfHisOwnIsNoObligor() external {
        Order memory order = aMonth();
        order.acceptor = thief;
        serve(order);
        allow();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotObligor.selector, client));
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(DOLLAR), ANY_RATE);
    }

    /// @notice A vault without obligors lends the thief nothing of anybody else's in five loops.
    function testFiveLoopsTakeNothing() external {
        Terms memory terms = someTerms();
        terms.obligors = new address[](0);
        vault = deployVault(terms);
        enter(alice, 20_000 * DOLLAR);
        for (uint256 i = 0; i < 4; ++i) {
            owner = thief;
            spv = aCompany(thief, bytes32(i));
            offer = listAs(spv);
            deposit(thief, 10_000 * DOLLAR);
            Order memory order = aMonth();
            (order.client, order.salt) = (thief, 100 + i);
            openAs(opener, aFillSignedBy(order, THIEF_KEY));
            skip(START_GRACE);
            cover(thief, order, 100 * DOLLAR);
            (uint256 most,) = vault.limitOf(order, address(spv));
            draw(order, most);
            disputeAsThief(order);
        }
        vm.assertFalse(vault.isImpaired(), "every loan is covered");
        vm.assertTrue(vault.totalAssets() >= 20_000 * DOLLAR, "nothing is missing");
    }
}
