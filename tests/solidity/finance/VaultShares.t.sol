// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, Terms} from "../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {VaultTest} from "./VaultTest.sol";

/// @notice What depositors meet: the properties of ERC-4626 on the way in and of ERC-7540 on the way out, and V-10 to V-13.
contract VaultSharesTest is VaultTest {
    // ---------------------------------------------------------------------------------------------------------------------------------- entering

    /// @notice ERC-4626: what deposit gives is what previewDeposit said and convertToShares says, mint and previewMint alike, rounded for the vault.
    function testEnteringGivesWhatWasPreviewed(uint256 amount, uint256 lent) external {
        amount = bound(amount, 1, 1e15);
        aLoanOf(bound(lent, 0, 1_000 * DOLLAR));
        uint256 previewed = vault.previewDeposit(amount);
        vm.assertTrue(previewed <= vault.convertToShares(amount), "previewDeposit rounds down");
        uint256 supply = vault.totalSupply();
        uint256 assets = vault.totalAssets();
        vm.assertEq(enter(stranger, amount), previewed, "deposit gives what was previewed");
        vm.assertEq(vault.totalSupply(), supply + previewed, "they are minted");
        vm.assertEq(vault.totalAssets(), assets + amount, "totalAssets grows by what came");
        vm.assertTrue(vault.convertToAssets(previewed) <= amount, "they are worth no more than was paid");

        uint256 cost = vault.previewMint(previewed);
        dollar.mint(stranger, cost);
        vm.startPrank(stranger);
        dollar.approve(address(vault), cost);
        vm.assertEq(vault.mint(previewed, stranger), cost, "mint costs what was previewed");
        vm.stopPrank();
        vm.assertTrue(vault.convertToAssets(previewed) <= cost, "and no less than they are worth");
        assertSolvent();
    }

    /// @notice ERC-4626: somebody may be given shares by another, and they are the receiver's.
    function testSharesGoToTheReceiver() external {
        dollar.mint(stranger, DOLLAR);
        vm.startPrank(stranger);
        dollar.approve(address(vault), DOLLAR);
        vault.deposit(DOLLAR, backer);
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(backer), DOLLAR * SHARES, "the receiver's");
        vm.assertEq(vault.balanceOf(stranger), 0, "not the payer's");
        vm.assertEq(vault.asset(), address(dollar), "of the market's token");
        vm.assertEq(vault.share(), address(vault), "the vault is its share");
        vm.assertEq(vault.decimals(), 12, "six virtual decimals");
    }

    /// @notice Shares are an ERC-20, also while others of theirs wait.
    function testSharesAreAToken() external {
        vm.startPrank(alice);
        vault.transfer(stranger, 10);
        vault.approve(stranger, 5);
        vm.stopPrank();
        vm.prank(stranger);
        vault.transferFrom(alice, backer, 5);
        vm.assertTrue(vault.balanceOf(stranger) == 10 && vault.balanceOf(backer) == 5, "they moved");
    }

    /// @notice V-10: while less stands behind a loan than is owed nobody enters, and what could be is 0; a dispute does that in its own block.
    function testNobodyEntersWhileALoanIsImpaired() external {
        (Order memory order,) = lend(1_000 * DOLLAR);
        vm.assertTrue(vault.maxDeposit(stranger) != 0 && vault.maxMint(stranger) != 0, "open");
        disputeNow(order);
        vm.assertTrue(vault.isImpaired(), "a dispute impairs it");
        vm.assertEq(vault.maxDeposit(stranger), 0, "nothing can be deposited");
        vm.assertEq(vault.maxMint(stranger), 0, "nor minted");
        vm.expectRevert(IAdvanceVault.Impaired.selector);
        vault.deposit(DOLLAR, stranger);
        vm.expectRevert(IAdvanceVault.Impaired.selector);
        vault.mint(DOLLAR, stranger);
    }

    /// @notice V-12: what is sent without a verb is nobody's, and changes no price.
    function testADonationIsNobodys() external {
        uint256 price = priceOfMillion();
        dollar.mint(address(vault), 5_000 * DOLLAR);
        vm.assertEq(priceOfMillion(), price, "the price stays");
        vm.assertEq(vault.cash(), 20_000 * DOLLAR, "the vault counts what came by its verbs");
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- leaving

    /// @notice V-13: an exit is requested, filled, taken; what it pays is known when it is filled.
    function testAnExitIsRequestedFilledAndTaken() external {
        uint256 shares = vault.balanceOf(alice);
        leave(alice, shares);
        vm.assertEq(vault.pendingRedeemRequest(0, alice), shares, "they wait");
        vm.assertEq(vault.pendingRedeemRequest(1, alice), 0, "all requests are number 0");
        vm.assertEq(vault.balanceOf(alice), 0, "they are not hers any more");
        vm.assertEq(vault.maxRedeem(alice) + vault.maxWithdraw(alice), 0, "nothing is to be taken");

        (uint256 left, uint256 paid) = fillQueue();
        vm.assertEq(left, shares, "all leave");
        vm.assertEq(paid, 9_990 * DOLLAR, "for the price less a thousandth");
        vm.assertEq(vault.pendingRedeemRequest(0, alice), 0, "nothing waits");
        vm.assertEq(vault.claimableRedeemRequest(0, alice), shares, "they can be taken");
        vm.assertEq(vault.claimableRedeemRequest(1, alice), 0, "under number 0");
        vm.assertEq(vault.maxWithdraw(alice), paid, "for that");

        vm.startPrank(alice);
        vm.assertEq(vault.redeem(shares / 4, backer, alice), paid / 4, "a part of them");
        vm.assertEq(vault.withdraw(paid / 4, alice, alice), shares / 4, "or of what they left for");
        vault.redeem(vault.maxRedeem(alice), alice, alice);
        vm.stopPrank();
        vm.assertEq(dollar.balanceOf(backer), paid / 4, "to whom she says");
        vm.assertEq(dollar.balanceOf(alice) + paid / 4, paid, "and all of it");
        assertSolvent();
    }

    /// @notice V-13: no exit can be previewed, and none takes more than is to be taken.
    function testExitsHaveNoPreviewAndABound() external {
        vm.expectRevert(IAdvanceVault.NoPreview.selector);
        vault.previewRedeem(1);
        vm.expectRevert(IAdvanceVault.NoPreview.selector);
        vault.previewWithdraw(1);
        leave(alice, 100);
        vm.startPrank(alice);
        vm.expectRevert();
        vault.redeem(1, alice, alice);
        vm.expectRevert();
        vault.withdraw(1, alice, alice);
        vm.stopPrank();
    }

    /// @notice ERC-7540: the owner, its operator or who has an allowance asks; the controller or its operator takes.
    function testWhoMayAskAndWhoMayTake() external {
        uint256 shares = vault.balanceOf(alice) / 2;
        vm.expectRevert();
        vm.prank(stranger);
        vault.requestRedeem(shares, stranger, alice);

        vm.prank(alice);
        vault.approve(stranger, shares);
        vm.prank(stranger);
        vault.requestRedeem(shares, bob, alice);
        vm.assertEq(vault.allowance(alice, stranger), 0, "the allowance is spent");
        vm.assertEq(vault.pendingRedeemRequest(0, bob), shares, "the controller's");

        vm.prank(alice);
        vm.assertTrue(vault.setOperator(stranger, true), "an operator");
        vm.assertTrue(vault.isOperator(alice, stranger), "who may act");
        vm.prank(stranger);
        vault.requestRedeem(shares, alice, alice);
        fillQueue();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotController.selector, stranger, bob));
        vm.prank(stranger);
        vault.redeem(shares, stranger, bob);
        vm.prank(stranger);
        vault.redeem(shares, stranger, alice);
        vm.assertEq(dollar.balanceOf(stranger), 4_995 * DOLLAR, "an operator takes for its account");
        vm.prank(alice);
        vault.setOperator(stranger, false);
        vm.assertFalse(vault.isOperator(alice, stranger), "no longer");
    }

    /// @notice ERC-165: the interfaces of ERC-7540 and ERC-7575, and no others.
    function testItSaysWhichInterfacesItHas() external view {
        vm.assertTrue(vault.supportsInterface(0x01ffc9a7), "ERC-165");
        vm.assertTrue(vault.supportsInterface(0xe3bc4e65), "operators of ERC-7540");
        vm.assertTrue(vault.supportsInterface(0x620ee8e4), "exits of ERC-7540");
        vm.assertTrue(vault.supportsInterface(0x2f0a18c5), "ERC-7575");
        vm.assertFalse(vault.supportsInterface(0xffffffff), "nothing else");
        vm.assertFalse(vault.supportsInterface(0xce3bbe50), "no deposits of ERC-7540");
    }

    /// @notice What waits can be taken back, and no more.
    function testWhatWaitsCanBeTakenBack() external {
        uint256 shares = vault.balanceOf(alice);
        leave(alice, shares);
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotController.selector, stranger, alice));
        vm.prank(stranger);
        vault.cancelRedeem(1, alice);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotPending.selector, shares + 1, shares));
        vault.cancelRedeem(shares + 1, alice);
        vault.cancelRedeem(shares, alice);
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(alice), shares, "they are hers again");
        (uint256 pending,,) = vault.queue();
        vm.assertEq(pending, 0, "and do not wait");
    }

    /// @notice V-11: the queue is filled once a window; a dispute holds that up until it is ruled, at most a ruling window.
    function testTheQueueIsFilledOnceAWindowAndNotWhileDisputed() external {
        (,, uint256 from) = vault.queue();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.WindowOpen.selector, timestamp(), from));
        vault.process();
        (Order memory order,) = lend(1_000 * DOLLAR);
        leave(alice, 100 * DOLLAR * SHARES);
        disputeNow(order);
        from = (timestamp() > from ? timestamp() : from) + RULING_WINDOW;
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.WindowOpen.selector, timestamp(), from));
        vault.process();
        vm.warp(from);
        vault.process();
        vm.assertEq(vault.pendingRedeemRequest(0, alice), 0, "the window's end plus the ruling window, no later");
    }

    /// @notice V-11: where nobody filled the queue for long, a dispute still holds it up for a ruling window from its beginning on.
    function testAQueueThatNobodyFilledIsNoWayOutPastADispute() external {
        (Order memory order,) = lend(1_000 * DOLLAR);
        leave(alice, 100 * DOLLAR * SHARES);
        skip(RULING_WINDOW + 2 days);
        (,, uint256 windowEnd) = vault.queue();
        vm.assertTrue(windowEnd + RULING_WINDOW < timestamp(), "the window ended more than a ruling window ago");
        disputeNow(order);
        uint256 from = timestamp() + RULING_WINDOW;
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.WindowOpen.selector, timestamp(), from));
        vault.process();
        vm.warp(from);
        vault.process();
        vm.assertEq(vault.pendingRedeemRequest(0, alice), 0, "and no longer");
    }

    /// @notice V-11, F-9: free money goes pro rata, at one price; what is left waits for the next window.
    function testThoseWhoWaitShareWhatIsFree() external {
        (, uint256 loan) = lend(1_000 * DOLLAR);
        drain(500 * DOLLAR);
        leave(alice, vault.balanceOf(alice));
        leave(bob, vault.balanceOf(bob) / 2);
        uint256 cash = vault.cash();
        (, uint256 paid) = fillQueue();

        vm.assertTrue(paid <= cash && paid + 2 >= cash, "all that is free leaves");
        uint256 alices = vault.maxWithdraw(alice);
        uint256 bobs = vault.maxWithdraw(bob);
        vm.assertTrue(
            alices / 2 >= bobs - 1 && alices / 2 <= bobs + 1, "who has twice as much waiting gets twice as much"
        );
        vm.assertTrue(vault.pendingRedeemRequest(0, alice) != 0, "the rest waits");
        vm.assertTrue(vault.totalAssets() >= vault.owedOf(loan), "the loan stays with those who wait");
        assertSolvent();
    }

    /// Leaves the vault with so much free money: the others' leave first.
    function drain(uint256 free) private {
        uint256 excess = vault.cash() - free;
        uint256 shares = vault.convertToShares(excess) / 2;
        leave(alice, shares);
        leave(bob, shares);
        fillQueue();
        vm.startPrank(alice);
        vault.redeem(vault.maxRedeem(alice), alice, alice);
        vm.stopPrank();
        vm.startPrank(bob);
        vault.redeem(vault.maxRedeem(bob), bob, bob);
        vm.stopPrank();
    }

    /// @notice V-11: who asks before a dispute and who asks after the write-off leave at one price, in the same window.
    function testRunningGainsNothing() external {
        (Order memory order, uint256 loan) = lend(1_100 * DOLLAR);
        leave(alice, vault.balanceOf(alice));
        disputeNow(order);
        skip(2 days);
        rule(order, 0, true);
        vault.resolve(loan);
        leave(bob, vault.balanceOf(bob));
        fillQueue();

        uint256 alices = vault.maxWithdraw(alice);
        vm.assertTrue(alices < 9_600 * DOLLAR, "both bear the loss");
        vm.assertEq(alices, vault.maxWithdraw(bob), "alike, to the unit");
        (uint256 waiting,,) = vault.queue();
        vm.assertEq(waiting, 0, "at the price of the filling there is enough for both");
    }

    /// @notice V-11: an exit is filled at the price of the filling, whatever it was when it was asked for.
    function testThePriceIsThatOfTheFilling() external {
        (Order memory order, uint256 loan) = lend(1_100 * DOLLAR);
        uint256 shares = vault.balanceOf(alice);
        leave(alice, shares);
        uint256 asked = vault.convertToAssets(shares);
        disputeNow(order);
        rule(order, 0, true);
        vault.resolve(loan);
        uint256 worth = vault.convertToAssets(shares);
        fillQueue();

        vm.assertTrue(worth < asked, "a loss came between");
        vm.assertEq(vault.maxWithdraw(alice), worth - (worth + 999) / 1_000, "the price of now, less what stays");
    }

    /// @notice V-13: a unit costs the shares that left for it, rounded up: taking by units gains none.
    function testAUnitCostsWholeShares() external {
        leave(alice, vault.balanceOf(alice) / 3);
        fillQueue();
        (uint256 shares, uint256 assets) = (vault.maxRedeem(alice), vault.maxWithdraw(alice));
        vm.prank(alice);
        uint256 cost = vault.withdraw(1, alice, alice);

        vm.assertTrue(cost * assets >= shares && (cost - 1) * assets < shares, "rounded up");
        vm.assertEq(vault.maxRedeem(alice), shares - cost, "and taken off");
    }

    /// @notice F-10: cutting a request in pieces gains nothing.
    function testPiecesLeaveForNoMoreThanTheWhole(uint256 pieces) external {
        (Order memory order,) = lend(1_000 * DOLLAR);
        order;
        pieces = bound(pieces, 2, 9);
        uint256 shares = vault.balanceOf(alice) / 3;
        leave(bob, shares);
        uint256 rest = shares;
        for (uint256 i = 1; i < pieces; ++i) {
            vm.startPrank(alice);
            vault.requestRedeem(shares / pieces, alice, alice);
            vm.stopPrank();
            rest -= shares / pieces;
        }
        leave(alice, rest);
        fillQueue();

        vm.assertEq(vault.maxWithdraw(alice), vault.maxWithdraw(bob), "the same for the same");
    }

    /// @notice F-11: depositing and leaving never gains, whatever is lent.
    function testInAndOutNeverGains(uint256 amount, uint256 lent) external {
        aLoanOf(bound(lent, 0, 1_000 * DOLLAR));
        amount = bound(amount, 1, 1e13);
        uint256 shares = enter(stranger, amount);
        leave(stranger, shares);
        fillQueue();
        vm.assertTrue(
            vault.maxWithdraw(stranger) <= amount + amount / 1_000, "a day's interest at most, less the exit's part"
        );
        vm.warp(timestamp());
        vm.assertTrue(vault.convertToAssets(vault.convertToShares(amount)) <= amount, "at one price, never");
    }

    function aLoanOf(uint256 amount) private {
        if (amount != 0) lend(amount);
    }

    /// @notice B13: a ticket that is in more fillings than one look goes through goes on where it stopped, and loses nothing.
    function testATicketGoesThroughManyFillings() external {
        Terms memory terms = someTerms();
        terms.window = 1 hours;
        vault = deployVault(terms);
        enter(alice, 5_000 * DOLLAR);
        enter(bob, 5_000 * DOLLAR);
        lend(1_000 * DOLLAR);
        leave(alice, vault.balanceOf(alice));
        leave(bob, vault.balanceOf(bob));
        fillQueue();
        (, uint256 fillings,) = vault.queue();
        vm.assertEq(fillings, 1, "one filling, for all that is free");
        for (uint256 i = 0; i < 66; ++i) {
            address donor = vm.addr(0xD000 + i);
            enter(donor, 2 * DOLLAR);
            fillQueue();
        }
        (, fillings,) = vault.queue();
        vm.assertEq(fillings, 67, "one more with every little that comes in");
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.Behind.selector, alice));
        vm.prank(alice);
        vault.requestRedeem(0, alice, alice);
        uint256 seen = vault.maxWithdraw(alice);
        vm.startPrank(alice);
        vault.withdraw(seen, alice, alice);
        vm.assertTrue(vault.maxWithdraw(alice) != 0, "there is more than one look finds");
        vault.requestRedeem(0, alice, alice);
        vault.redeem(vault.maxRedeem(alice), alice, alice);
        vm.stopPrank();
        vm.startPrank(bob);
        vault.redeem(vault.maxRedeem(bob), bob, bob);
        vault.redeem(vault.maxRedeem(bob), bob, bob);
        vm.stopPrank();
        vm.assertTrue(
            dollar.balanceOf(alice) <= dollar.balanceOf(bob) + 67
                && dollar.balanceOf(bob) <= dollar.balanceOf(alice) + 67,
            "a unit a filling at most between them"
        );
    }
}
