// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A9, I-7: what a stolen or dishonest delegate's key can do: sign orders, within its budget and its time, and nothing else.
contract DelegatesAttack is AttackTest {
    uint128 private charge;

    function setUp() public override {
        super.setUp();
        charge = uint128(total(anOrder()) + TIP);
    }

    /// @notice A9, I-7: a delegate that is opener and provider too takes no more from its client than its budget, whatever it does.
    function testA09DelegateThatIsEverybodyElse() external {
        deposit(delegate, 100 * DOLLAR);
        authorize(client, delegate, 2 * charge + charge / 2, type(uint40).max);
        vm.prank(delegate);
        offer = market.list(CLASS, 100, 0, 0, 0, uint40(NOW + 1 days), arbiter, "");
        for (uint256 i = 0; i < 10; ++i) {
            Order memory order = anOrder(i);
            (order.opener, order.minBondBps, order.minSeconds) = (delegate, 0, MAX_SECONDS);
            openAs(delegate, signedByDelegate(order));
            if (statusOf(order) == Status.None) continue;
            Settlement memory settlement = aSettlement(order, MAX_SECONDS, false);
            settlement.clientSignature = sign(DELEGATE_KEY, market.receiptId(receiptOf(order, MAX_SECONDS, false)));
            settleAs(delegate, settlement);
            skip(MAX_SECONDS);
            vm.prank(delegate);
            market.claim(order, MAX_SECONDS, RESULT);
            skip(CHALLENGE_WINDOW);
            finalize(order);
            vm.warp(NOW);
        }

        vm.assertLe(1_000 * DOLLAR - market.balanceOf(client), 2 * charge + charge / 2, "no more than the budget");
        vm.assertTrue(market.balanceOf(client) < 1_000 * DOLLAR, "it did take something");
        assertExact();
    }

    /// @notice A9, I-7: many small orders, or few large ones: the sum that a delegate can open is the same.
    function testA09ManySmallOrders(uint256 seed) external {
        authorize(client, delegate, 3 * charge, type(uint40).max);
        uint256 charged;
        for (uint256 i = 0; i < 12; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            Order memory order = anOrder(i);
            (order.gpus, order.tip) = (uint16(1 + seed % 2), uint96(seed >> 8 & 0xffff));
            order.maxSeconds = uint32(MIN_SECONDS + (seed >> 32) % 5_000);
            open(signedByDelegate(order));
            if (statusOf(order) == Status.Open) charged += total(order) + order.tip;
        }
        (uint128 left,) = market.budgetOf(client, delegate);

        vm.assertEq(left, 3 * charge - charged, "charged exactly");
    }

    /// @notice A9, I-7: what an opening costs less than the highest price is charged all the same: a budget bounds what could happen.
    function testA09ChargedAtTheHighestPrice() external {
        authorize(client, delegate, 2 * charge, type(uint40).max);
        Order memory order = anOrder(1);
        order.maxPrice = 2 * PRICE;
        open(signedByDelegate(order));
        assertStatus(order, Status.Open, "open");
        (uint128 left,) = market.budgetOf(client, delegate);

        uint256 cost = (2 * uint256(PRICE) * order.gpus * order.maxSeconds + 3599) / 3600 + TIP;
        vm.assertEq(left, 2 * charge - cost, "T at twice the price, and the tip");
        order.salt = 2;
        assertRefused(signedByDelegate(order), Refusal.OverBudget);
    }

    /// @notice A9, I-7: a refused fill charges nothing, whatever refused it.
    function testA09RefusalsChargeNothing() external {
        authorize(client, delegate, charge, type(uint40).max);
        Fill memory fill = signedByDelegate(anOrder(1));
        fill.price = PRICE + 1;
        assertRefused(fill, Refusal.PriceOutOfBounds);
        fill.price = PRICE;
        uint256 balance = market.balanceOf(provider);
        withdrawAll(provider);
        assertRefused(fill, Refusal.ProviderBalanceTooLow);
        deposit(provider, balance);
        open(fill);

        assertStatus(fill.order, Status.Open, "the whole budget was there");
    }

    /// @notice A9, I-7: what ends a lease early gives nothing back to the budget that opened it.
    function testA09NothingIsRestored() external {
        for (uint256 how = 0; how < 3; ++how) {
            authorize(client, delegate, charge, type(uint40).max);
            Order memory order = anOrder(how);
            open(signedByDelegate(order));
            if (how == 0) decline(order);
            if (how == 1) terminate(order);
            if (how == 2) settle(aSettlement(order, 0, true));
            (uint128 left,) = market.budgetOf(client, delegate);
            vm.assertEq(left, 0, "spent");
        }
    }

    /// @notice A9, I-7: an opener and a provider that open and decline a delegate's order again and again burn none of its budget beyond the first charge.
    function testA09DecliningBurnsNoBudget() external {
        authorize(client, delegate, 2 * charge, type(uint40).max);
        Fill memory fill = signedByDelegate(anOrder(1));
        for (uint256 i = 0; i < 20; ++i) {
            open(fill);
            decline(fill.order);
            skip(1);
        }
        open(signedByDelegate(anOrder(2)));
        served.push(anOrder(2));
        assertStatus(anOrder(2), Status.Open, "the rest of the budget is there");
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - total(anOrder(2)) - 2 * TIP, "and a tip is paid once");
        assertExact();
    }

    /// @notice A9, I-7: what a delegate's orders cost is at most what they were charged, each, however often they are opened, and whatever budgets are set
    /// and cleared in between.
    function testA09OrderByOrderAtMostItsCharge(uint256 seed) external {
        deposit(delegate, 100 * DOLLAR);
        vm.prank(delegate);
        offer = market.list(CLASS, 100, 0, PRICE, 0, uint40(NOW + 1 days), arbiter, "");
        Order memory order = anOrder(1);
        (order.opener, order.minBondBps, order.tip, order.minSeconds) = (delegate, 0, TIP, MAX_SECONDS);
        Fill memory fill = signedByDelegate(order);
        uint256 opened;
        for (uint256 i = 0; i < 8; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            authorize(client, delegate, uint128(seed % (2 * charge)), seed >> 128 & 3 == 0 ? 0 : type(uint40).max);
            openAs(delegate, fill);
            if (statusOf(order) != Status.Open) continue;
            ++opened;
            vm.prank(delegate);
            if (i != 7) market.decline(order);
            skip(1);
        }
        bool isCharged = leaseOf(order).charged;

        vm.assertTrue(isCharged == (opened != 0), "charged with the first");
        vm.assertLe(1_000 * DOLLAR - market.balanceOf(client), isCharged ? total(order) + TIP : 0, "no more than that");
    }

    /// @notice A9: a delegate does nothing else in its client's name.
    function testA09DelegateOnlySignsOrders() external {
        authorize(client, delegate, type(uint128).max, type(uint40).max);
        Order memory order = serve(anOrder(1));
        skip(START_GRACE);
        vm.assertFalse(attempt(delegate, abi.encodeCall(market.cancel, (order))), "no cancel");
        vm.assertFalse(attempt(delegate, abi.encodeCall(market.terminate, (order))), "no terminate");
        vm.assertFalse(attempt(delegate, abi.encodeCall(market.dispute, (order))), "no dispute");
        vm.assertFalse(attempt(delegate, abi.encodeCall(market.withdraw, (delegate, 1))), "no withdrawal");
        Settlement memory settlement = aSettlement(order, 60, true);
        settlement.clientSignature = sign(DELEGATE_KEY, market.receiptId(receiptOf(order, 60, true)));

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice A9, I-7: a client that takes the authorization back, just before the batch, is not charged; nor does a second one add to the first.
    function testA09AuthorizationsReplaceEachOther() external {
        authorize(client, delegate, 10 * charge, type(uint40).max);
        authorize(client, delegate, charge, type(uint40).max);
        open(signedByDelegate(anOrder(1)));
        assertRefused(signedByDelegate(anOrder(2)), Refusal.OverBudget);
        authorize(client, delegate, 0, 0);

        assertRefused(signedByDelegate(anOrder(2)), Refusal.BadSignature);
    }

    /// @notice A9, I-7: the budgets of two delegates, and of two clients of one delegate, are apart.
    function testA09BudgetsAreApart() external {
        deposit(stranger, 100 * DOLLAR);
        authorize(client, delegate, charge, type(uint40).max);
        authorize(stranger, delegate, charge + 7, type(uint40).max);
        authorize(client, payee, charge + 9, type(uint40).max);
        open(signedByDelegate(anOrder(1)));

        (uint128 left,) = market.budgetOf(stranger, delegate);
        vm.assertEq(left, charge + 7, "the other client's");
        (left,) = market.budgetOf(client, payee);
        vm.assertEq(left, charge + 9, "the other delegate's");
        (left,) = market.budgetOf(client, delegate);
        vm.assertEq(left, 0, "only this one is charged");
    }

    /// @notice A9: an account that authorized itself is charged nothing: its own key is tried first.
    function testA09DelegateThatIsTheClient() external {
        authorize(client, client, 1, type(uint40).max);
        open(aFill(anOrder(1)));
        (uint128 left,) = market.budgetOf(client, client);

        vm.assertEq(left, 1, "not charged");
    }

    /// @notice A9, I-7: all but the last unit of what an order can cost is not enough, and the last one makes it enough.
    function testA09BudgetToTheUnit() external {
        authorize(client, delegate, charge - 1, type(uint40).max);
        assertRefused(signedByDelegate(anOrder(1)), Refusal.OverBudget);
        authorize(client, delegate, charge, type(uint40).max);
        open(signedByDelegate(anOrder(1)));

        assertStatus(anOrder(1), Status.Open, "open");
    }

    function signedByDelegate(Order memory order) private view returns (Fill memory fill) {
        fill = aFill(order);
        fill.signature = sign(DELEGATE_KEY, market.orderId(order));
    }
}
