// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A10: what somebody who sees a transaction before it is mined can do to it.
contract FrontRunningAttack is AttackTest {
    /// @notice A10: a stranger that copies a scheduler's fill cannot post it, and so cannot take its tip.
    function testA10CopiedFillIsTheOpenersAlone() external {
        Fill memory fill = aFill(anOrder(1));
        assertRefusedFrom(stranger, fill, Refusal.OpenerNotAllowed);
        open(fill);

        vm.assertEq(market.balanceOf(opener), TIP, "the tip is the opener's");
    }

    /// @notice A10: of an order without opener, which pays no tip, a stranger may post the copy: it is the same lease.
    function testA10CopiedFillWithoutOpenerIsTheSameLease() external {
        Fill memory fill = aFill(aFreeOrder(1));
        openAs(stranger, fill);
        assertRefusedFrom(provider, fill, Refusal.OrderLive);

        assertStatus(fill.order, Status.Open, "open");
        vm.assertEq(market.balanceOf(stranger), 0, "the stranger earns nothing");
    }

    /// @notice A10: a client that cancels just before the batch has its own fill refused, and nobody else's.
    function testA10CancelJustBefore() external {
        assertOnlyTheFirstIsRefused(abi.encodeCall(market.cancel, (anOrder(0))), client, Refusal.OrderClosed);
    }

    /// @notice A10: a client that withdraws just before the batch has its own fills refused.
    function testA10WithdrawJustBefore() external {
        Fill memory fill = aFill(anOrder(1));
        withdraw(client, client, 1_000 * DOLLAR - total(fill.order));

        assertRefused(fill, Refusal.ClientBalanceTooLow);
    }

    /// @notice A10: a provider that reprices just before the batch is not sold below its new price; the client pays no more than it signed.
    function testA10RepriceJustBefore() external {
        Fill memory fill = aFill(anOrder(1));
        vm.prank(provider);
        market.reprice(offer, PRICE + 1, uint40(NOW + 1 days));

        assertRefused(fill, Refusal.PriceOutOfBounds);
    }

    /// @notice A10: a provider that withdraws its bond just before the batch has fills on its offers refused; a client loses nothing.
    function testA10ProviderWithdrawsJustBefore() external {
        Fill memory fill = aFill(anOrder(1));
        withdrawAll(provider);
        assertRefused(fill, Refusal.ProviderBalanceTooLow);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR, "the client has everything");
    }

    /// @notice A10: somebody that fills the offer just before takes its GPUs at its price: the next fill is refused.
    function testA10FilledJustBefore() external {
        Order memory whole = aFreeOrder(9);
        whole.gpus = GPUS;
        serve(whole);

        assertRefused(aFill(anOrder(1)), Refusal.NotEnoughGpus);
    }

    /// @notice A10: who copies a receipt and settles it first pays the same people the same.
    function testA10CopiedReceiptPaysTheSame() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        Settlement memory settlement = aSettlement(order, 600, true);
        Book memory before = book();
        settleAs(stranger, settlement);

        vm.assertEq(book().provider - before.provider, earned(order, 600) + bond(order), "the provider");
        vm.assertEq(market.balanceOf(stranger), 0, "the stranger earns nothing");
        assertSettlementRefusedFrom(provider, settlement, Refusal.NotLive);
    }

    /// @notice A10: a client cannot keep its signed receipt from paying by terminating first: it pays at least as much for the time that has elapsed.
    function testA10TerminateBeforeAReceipt() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        Settlement memory settlement = aSettlement(order, 600, true);
        Book memory before = book();
        terminate(order);
        assertSettlementRefused(settlement, Refusal.NotLive);

        vm.assertEq(book().provider - before.provider, earned(order, 600) + bond(order), "the same");
    }

    /// @notice A10: a provider that sees a termination coming cannot claim more than the time that has elapsed.
    function testA10ClaimBeforeATermination() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        bytes memory greedy = abi.encodeCall(market.claim, (order, 601, RESULT));
        vm.assertFalse(attempt(provider, greedy), "no more than has elapsed");
        claim(order, 600);

        vm.assertFalse(attempt(client, abi.encodeCall(market.terminate, (order))), "it is claimed");
        dispute(order);
        assertStatus(order, Status.Disputed, "but the client can object");
    }

    /// @notice A10: a provider that sees a dispute coming cannot decline any more: the times do not overlap.
    function testA10DeclineBeforeADispute() external {
        Order memory order = serve(anOrder(1));
        skip(START_GRACE - 1);
        vm.assertFalse(attempt(client, abi.encodeCall(market.dispute, (order))), "too early to dispute");
        skip(1);
        vm.assertFalse(attempt(provider, abi.encodeCall(market.decline, (order))), "too late to decline");
        dispute(order);

        assertStatus(order, Status.Disputed, "disputed");
    }

    /// @notice A10: a stranger's failed or refused call on somebody's order changes nothing that a later call needs.
    function testA10StrangersCallsChangeNothing() external {
        Order memory order = anOrder(1);
        Fill memory fill = aFill(order);
        fill.signature = "";
        for (uint256 i = 0; i < 5; ++i) {
            openAs(stranger, fill);
            attempt(stranger, abi.encodeCall(market.cancel, (order)));
        }
        finalize(order);
        open(order);

        assertStatus(order, Status.Open, "open");
    }

    /// @notice A10: somebody that settles a progress receipt just before the last one changes nothing about the sum.
    function testA10ProgressJustBeforeTheLast() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        Settlement memory progress = aSettlement(order, 300, false);
        Settlement memory last = aSettlement(order, 600, true);
        Book memory before = book();
        settle(progress);
        settle(last);

        vm.assertEq(book().provider - before.provider, earned(order, 600) + bond(order), "E(600) and the bond");
    }

    function assertOnlyTheFirstIsRefused(bytes memory call, address who, Refusal reason) private {
        Fill[] memory fills = new Fill[](2);
        fills[0] = aFill(anOrder(0));
        fills[1] = aFill(anOrder(1));
        vm.assertTrue(attempt(who, call), "just before");
        assertRefused(fills[0], reason);
        vm.prank(opener);
        market.open(fills, ROUND);

        assertStatus(fills[1].order, Status.Open, "the other opens");
    }
}
