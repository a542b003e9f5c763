// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, IComputeMarket, Order, Refusal, Settlement, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Delegates: keys that sign orders for an account, up to a hard budget, until a time (I-7).
contract AuthorizeTest is MarketTest {
    uint256 internal constant DELEGATE_KEY = 0xDE1E;
    uint40 internal constant UNTIL = uint40(NOW + 1 hours);
    address internal delegate = vm.addr(DELEGATE_KEY);

    // ----------------------------------------------------------------------------------------------------------------------------- the budget

    /// @notice I-7: an account gives a delegate a budget and a time, and can be asked for both.
    function testAuthorizeSetsBudgetAndTime(uint128 budget, uint40 until) external {
        budget = uint128(bound(budget, 1, type(uint128).max));
        until = uint40(bound(until, 1, type(uint40).max));

        vm.prank(client);
        vm.expectEmit(address(market));
        emit IComputeMarket.Authorized(client, delegate, budget, until);
        market.authorize(delegate, budget, until);

        assertBudget(client, delegate, budget, until);
    }

    /// @notice I-7: a new budget replaces what is left of the old one, and does not add to it.
    function testAuthorizeReplacesTheBudget() external {
        authorize(7, UNTIL);
        authorize(5, UNTIL + 1);

        assertBudget(client, delegate, 5, UNTIL + 1);
    }

    /// @notice I-7: a budget of 0 clears both, and so does until 0.
    function testAuthorizeNothingClearsBoth() external {
        authorize(7, UNTIL);
        vm.prank(client);
        vm.expectEmit(address(market));
        emit IComputeMarket.Authorized(client, delegate, 0, 0);
        market.authorize(delegate, 0, UNTIL);
        assertBudget(client, delegate, 0, 0);

        authorize(7, UNTIL);
        vm.prank(client);
        vm.expectEmit(address(market));
        emit IComputeMarket.Authorized(client, delegate, 0, 0);
        market.authorize(delegate, 7, 0);
        assertBudget(client, delegate, 0, 0);
    }

    /// @notice I-7: every pair of account and delegate has a budget of its own.
    function testBudgetsAreKeptApart() external {
        authorize(7, UNTIL);
        vm.prank(client);
        market.authorize(stranger, 5, UNTIL);
        vm.prank(provider);
        market.authorize(delegate, 3, UNTIL);

        assertBudget(client, delegate, 7, UNTIL);
        assertBudget(client, stranger, 5, UNTIL);
        assertBudget(provider, delegate, 3, UNTIL);
        assertBudget(delegate, client, 0, 0);
    }

    /// @notice I-7: address 0, which every bad signature recovers to, is nobody's delegate.
    function testAuthorizeNobodyReverts() external {
        vm.prank(client);
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.authorize(address(0), 1, UNTIL);
    }

    // ---------------------------------------------------------------------------------------------------------------------- opening on a budget

    /// @notice I-7: an opening that a delegate signed is charged with T and the tip, and says what is left before it says that it opened.
    function testADelegatesOrderIsCharged() external {
        Order memory order = anOrder();
        uint128 charge = uint128(total(order) + TIP);
        authorize(charge + 7, UNTIL);
        Fill memory fill = signedByDelegate(order);
        bytes32 id = market.orderId(order);

        vm.expectEmit(address(market));
        emit IComputeMarket.BudgetSpent(client, delegate, id, 7);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseOpened(id, offer, client, opener, PRICE, order);
        open(fill);

        assertBudget(client, delegate, 7, UNTIL);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - charge, "the client's balance pays");
    }

    /// @notice I-7: what is charged is T at maxPrice, however cheap the fill was: only that is known beforehand.
    function testTheChargeIsTheWorstPrice(uint80 price) external {
        Order memory order = anOrder();
        order.maxPrice = 2 * PRICE;
        uint80 paid = uint80(bound(price, PRICE, 2 * PRICE));
        authorize(type(uint128).max, UNTIL);
        Fill memory fill = signedByDelegate(order);
        fill.price = paid;

        open(fill);

        uint256 exact = uint256(2 * PRICE) * order.gpus * order.maxSeconds;
        assertBudget(client, delegate, uint128(type(uint128).max - (exact + 3599) / 3600 - TIP), UNTIL);
        vm.assertEq(leaseOf(order).price, paid, "the client pays the fill's price");
    }

    /// @notice I-7 (2): a budget that lacks one unit is refused, and one that has it is spent to the last.
    function testRefusesADelegateOverItsBudget() external {
        Order memory order = anOrder();
        uint128 charge = uint128(total(order) + TIP);
        authorize(charge - 1, UNTIL);
        assertRefused(signedByDelegate(order), Refusal.OverBudget);

        authorize(charge, UNTIL);
        open(signedByDelegate(order));
        assertBudget(client, delegate, 0, UNTIL);
    }

    /// @notice I-7: a delegate signs until the second before its time is over, and is nobody from then on.
    function testADelegateSignsUntilItsTimeIsOver() external {
        authorize(type(uint128).max, UNTIL);
        Fill memory fill = signedByDelegate(anOrder());

        vm.warp(UNTIL);
        assertRefused(fill, Refusal.BadSignature);
        vm.warp(UNTIL + 1);
        assertRefused(fill, Refusal.BadSignature);
        vm.warp(UNTIL - 1);
        open(fill);
    }

    /// @notice I-7 (1): whose time is over is nobody, however small its budget: its signature is bad, not its budget.
    function testADelegateWhoseTimeIsOverIsNobody() external {
        authorize(1, UNTIL);
        vm.warp(UNTIL);

        assertRefused(signedByDelegate(anOrder()), Refusal.BadSignature);
    }

    /// @notice I-7: a delegate that was cleared signs nothing any more.
    function testAClearedDelegateSignsNothing() external {
        authorize(type(uint128).max, UNTIL);
        authorize(0, UNTIL);

        assertRefused(signedByDelegate(anOrder()), Refusal.BadSignature);
    }

    /// @notice I-7: what one account allows a delegate is of no use for another account.
    function testADelegateOfAnotherSignsNothing() external {
        vm.prank(provider);
        market.authorize(delegate, type(uint128).max, UNTIL);

        assertRefused(signedByDelegate(anOrder()), Refusal.BadSignature);
    }

    /// @notice I-7: an order is charged once, however often it is declined and opened, and a decline restores nothing.
    function testAnOrderIsChargedOnce() external {
        Order memory order = anOrder();
        uint128 charge = uint128(total(order) + TIP);
        authorize(charge + 1, UNTIL);
        Fill memory fill = signedByDelegate(order);
        for (uint256 i = 0; i < 5; ++i) {
            open(fill);
            vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "open");
            vm.assertTrue(leaseOf(order).charged, "charged");
            decline(order);
            vm.assertTrue(leaseOf(order).charged, "it stays charged");
            assertBudget(client, delegate, 1, UNTIL);
            skip(1);
        }

        order.salt = 2;
        assertRefused(signedByDelegate(order), Refusal.OverBudget);
    }

    /// @notice I-7: the charge comes with the first opening that a delegate's signature authorises, be it not the order's first.
    function testTheClientsOwnOpeningIsNotCharged() external {
        Order memory order = anOrder();
        uint128 charge = uint128(total(order) + TIP);
        authorize(charge, UNTIL);
        open(order);
        vm.assertFalse(leaseOf(order).charged, "the client signed it");
        decline(order);
        skip(1);

        open(signedByDelegate(order));

        vm.assertTrue(leaseOf(order).charged, "the delegate did");
        assertBudget(client, delegate, 0, UNTIL);
        decline(order);
        skip(1);
        open(order);
        vm.assertTrue(leaseOf(order).charged, "whoever signs the next");
    }

    /// @notice P-20, I-7: a charged order needs no budget again: lowering what is left does not stop it.
    function testALoweredBudgetDoesNotStopAChargedOrder() external {
        Fill memory fill = openedAndDeclined();
        authorize(1, UNTIL);

        open(fill);

        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "open");
        assertBudget(client, delegate, 1, UNTIL);
    }

    /// @notice P-20, I-7 (1): clearing its delegate stops a charged order until the delegate is authorised again; cancelling it ends it (4).
    function testAClearedDelegateStopsAChargedOrder() external {
        Fill memory fill = openedAndDeclined();
        authorize(0, UNTIL);
        assertRefused(fill, Refusal.BadSignature);

        authorize(1, UNTIL);
        open(fill);
        decline(fill.order);
        skip(1);
        vm.prank(client);
        market.cancel(fill.order);
        assertRefused(fill, Refusal.OrderClosed);
    }

    /// @notice I-7 (1): a charged order opens by its delegate's signature until the second before its time is over.
    function testAChargedOrderEndsWithItsDelegatesTime() external {
        Fill memory fill = openedAndDeclined();

        vm.warp(UNTIL);
        assertRefused(fill, Refusal.BadSignature);
        vm.warp(UNTIL - 1);
        open(fill);
        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "open");
    }

    /// @notice P-20: any live delegate of the account may sign a charged order, without a budget for it; nobody else may.
    function testAnotherDelegateSignsAChargedOrder() external {
        Fill memory fill = openedAndDeclined();
        fill.signature = sign(STRANGER_KEY, market.orderId(fill.order));
        assertRefused(fill, Refusal.BadSignature);

        vm.prank(client);
        market.authorize(stranger, 1, UNTIL);
        open(fill);

        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "open");
        assertBudget(client, stranger, 1, UNTIL);
    }

    /// @notice I-7: neither a cheap end nor a refund restores any of it.
    function testAnEarlyEndRestoresNothing() external {
        Order memory order = anOrder();
        authorize(uint128(total(order) + TIP), UNTIL);
        open(signedByDelegate(order));

        settle(aSettlement(order, 0, true));

        assertBudget(client, delegate, 0, UNTIL);
    }

    /// @notice I-9: fills of one batch share a budget, in their order.
    function testFillsOfABatchShareABudget() external {
        Order memory order = anOrder();
        authorize(uint128(2 * (total(order) + TIP) - 1), UNTIL);
        Fill[] memory fills = new Fill[](2);
        fills[0] = signedByDelegate(order);
        Order memory next = anOrder();
        next.salt = 2;
        fills[1] = signedByDelegate(next);

        vm.expectEmit(address(market));
        emit IComputeMarket.FillRefused(market.orderId(fills[1].order), offer, opener, Refusal.OverBudget);
        vm.prank(opener);
        market.open(fills, ROUND);

        assertBudget(client, delegate, uint128(total(order) + TIP - 1), UNTIL);
    }

    /// @notice I-9: a fill that is refused for anything else is not charged.
    function testARefusedFillIsNotCharged() external {
        authorize(type(uint128).max, UNTIL);
        Fill memory fill = signedByDelegate(anOrder());
        fill.price = PRICE + 1;

        assertRefused(fill, Refusal.PriceOutOfBounds);

        assertBudget(client, delegate, type(uint128).max, UNTIL);
    }

    /// @notice I-7: what the client signs itself, or sends, is no delegate's, even if it is its own delegate.
    function testTheClientItselfIsNotCharged() external {
        authorize(1, UNTIL);
        vm.prank(client);
        market.authorize(client, 1, UNTIL);
        Order memory order = anOrder();
        open(order);
        order.salt = 2;
        openAs(client, signedByDelegate(order));

        vm.assertEq(leaseOf(order).openedAt, NOW, "open");
        assertBudget(client, delegate, 1, UNTIL);
        assertBudget(client, client, 1, UNTIL);
    }

    /// @notice P-25 (1): a delegate that sends the fill must sign it all the same.
    function testADelegatesOwnCallIsNoSignature() external {
        authorize(type(uint128).max, UNTIL);
        Order memory order = anOrder();
        order.opener = delegate;
        Fill memory fill = aFill(order);
        fill.signature = "";

        assertRefusedFrom(delegate, fill, Refusal.BadSignature);

        openAs(delegate, signedByDelegate(order));
        vm.assertEq(leaseOf(order).openedAt, NOW, "open");
    }

    /// @notice P-25 (34): a delegate signs orders, and nothing else.
    function testADelegateSignsNoReceipts() external {
        authorize(type(uint128).max, UNTIL);
        Order memory order = anOrder();
        open(signedByDelegate(order));
        Settlement memory settlement = aSettlement(order, MIN_SECONDS, false);
        settlement.clientSignature = sign(DELEGATE_KEY, market.receiptId(receiptOf(order, MIN_SECONDS, false)));

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        assertSettlementRefusedFrom(delegate, settlement, Refusal.BadClientSignature);
        vm.prank(delegate);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotClientSide.selector, delegate, client, acceptor));
        market.cancel(order);
    }

    /// @notice I-7: a budget is a cap, and no money: the client's balance must cover the opening all the same (18).
    function testABudgetIsNoMoney() external {
        authorize(type(uint128).max, UNTIL);
        uint256 all = market.balanceOf(client);
        vm.prank(client);
        market.withdraw(client, all);

        assertRefused(signedByDelegate(anOrder()), Refusal.ClientBalanceTooLow);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function authorize(uint128 budget, uint40 until) private {
        vm.prank(client);
        market.authorize(delegate, budget, until);
    }

    function signedByDelegate(Order memory order) private view returns (Fill memory fill) {
        fill = aFill(order);
        fill.signature = sign(DELEGATE_KEY, market.orderId(order));
    }

    /// @notice A delegate's order that was charged with the whole budget, and can be opened again.
    function openedAndDeclined() private returns (Fill memory fill) {
        Order memory order = anOrder();
        authorize(uint128(total(order) + TIP), UNTIL);
        fill = signedByDelegate(order);
        open(fill);
        decline(order);
        skip(1);
        assertBudget(client, delegate, 0, UNTIL);
    }

    function decline(Order memory order) private {
        vm.prank(provider);
        market.decline(order);
    }

    function assertBudget(address account, address who, uint128 left, uint40 until) private view {
        (uint128 actualLeft, uint40 actualUntil) = market.budgetOf(account, who);
        vm.assertEq(actualLeft, left, "what is left");
        vm.assertEq(actualUntil, until, "until when");
    }
}
