// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Lease, Order, Refusal, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A9: what a dishonest scheduler can do to those that it serves: choose within the limits they signed, and nothing else (P-22).
contract SchedulersAttack is AttackTest {
    /// @notice A9: a scheduler that fills at the client's highest price stays within what was signed, and earns nothing by it.
    function testA09WorstPriceIsTheSignedOne() external {
        Order memory order = anOrder(1);
        order.maxPrice = 2 * PRICE;
        Fill memory fill = aFillAt(order, 2 * PRICE);
        open(fill);
        served.push(order);

        vm.assertEq(market.balanceOf(opener), TIP, "the scheduler gets its tip");
        vm.assertEq(leaseOf(order).price, 2 * PRICE, "the client its highest price");
        assertExact();
        fill = aFillAt(anOrder(2), PRICE + 1);
        assertRefused(fill, Refusal.PriceOutOfBounds);
    }

    /// @notice A9: a scheduler cannot pay itself: no field of a fill names who is paid.
    function testA09NoOtherRecipient() external {
        Order memory order = anOrder(1);
        order.opener = stranger;
        Fill memory fill = aFill(order);
        assertRefused(fill, Refusal.OpenerNotAllowed);
        order.opener = opener;
        fill.order = order;
        assertRefused(fill, Refusal.BadSignature);

        vm.assertEq(market.balanceOf(opener), 0, "nothing for the scheduler");
    }

    /// @notice A9: a scheduler cannot stretch a lease: seconds are signed, and it starts when it is opened.
    function testA09NoLongerTime() external {
        Fill memory fill = aFill(anOrder(1));
        fill.order.maxSeconds += 1;
        assertRefused(fill, Refusal.BadSignature);
        open(aFill(anOrder(1)));

        vm.assertEq(leaseOf(anOrder(1)).openedAt, NOW, "it starts now");
    }

    /// @notice A9, A21: a scheduler cannot sell more GPUs than there are, whatever it puts into a batch.
    function testA09NoMoreGpusThanThereAre() external {
        Fill[] memory fills = new Fill[](10);
        for (uint256 i = 0; i < 10; ++i) {
            fills[i] = aFill(anOrder(i));
            served.push(fills[i].order);
        }
        vm.prank(opener);
        market.open(fills, ROUND);

        vm.assertEq(market.offerOf(offer).free, GPUS % 3, "two gangs of three");
        assertCapacity();
        assertExact();
    }

    /// @notice A9, P-22: a scheduler that lists an offer of its own and fills orders with it can be disputed like any provider: its bond is at stake.
    function testA09SelfDealingSchedulerHasABondAtStake() external {
        deposit(opener, 100 * DOLLAR);
        offer = list(opener);
        Order memory order = anOrder(1);
        open(aFill(order));
        served.push(order);
        skip(START_GRACE);
        dispute(order);
        uint256 before = market.balanceOf(client);
        rule(order, 0, true);

        uint256 stake = bond(order);
        vm.assertEq(market.balanceOf(client) - before, total(order) + 2 * stake - stake / 2, "the client wins");
        vm.assertEq(market.balanceOf(opener), 100 * DOLLAR + TIP - stake, "the scheduler loses its bond");
        assertExact();
    }

    /// @notice A9, I-6: a scheduler that is the provider too cannot farm tips: opening and declining in a loop earns one tip per order.
    function testA09OpenAndDeclineLoopEarnsOneTip() external {
        deposit(opener, 100 * DOLLAR);
        offer = list(opener);
        Order memory order = anOrder(1);
        for (uint256 i = 0; i < 20; ++i) {
            openAs(opener, aFill(order));
            vm.prank(opener);
            market.decline(order);
            skip(1);
        }

        vm.assertEq(market.balanceOf(opener), 100 * DOLLAR + TIP, "one tip");
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - TIP, "one tip");
    }

    /// @notice A9, I-7: the loop charges a delegate's budget once, and the client's money is not touched.
    function testA09OpenAndDeclineLoopChargesOnce() external {
        deposit(opener, 100 * DOLLAR);
        offer = list(opener);
        Order memory order = anOrder(1);
        uint128 charge = uint128(total(order) + TIP);
        authorize(client, delegate, charge + 1, type(uint40).max);
        Fill memory fill = aFill(order);
        fill.signature = sign(DELEGATE_KEY, market.orderId(order));
        for (uint256 i = 0; i < 3; ++i) {
            openAs(opener, fill);
            vm.prank(opener);
            market.decline(order);
            skip(1);
        }

        (uint128 left,) = market.budgetOf(client, delegate);
        vm.assertEq(left, 1, "charged once");
        order.salt = 2;
        fill.order = order;
        fill.signature = sign(DELEGATE_KEY, market.orderId(order));
        assertRefused(fill, Refusal.OverBudget);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - TIP, "one tip in all");
    }

    /// @notice A9, I-11: garbage of every kind from a scheduler changes nobody's balance, no offer and no lease.
    /// forge-config: default.fuzz.runs = 64
    function testA09GarbageMovesNothing(uint256 seed) external {
        Order memory live = serve(anOrder(1));
        bytes32 before = fingerprint(live);
        for (uint256 i = 0; i < 30; ++i) {
            seed = uint256(keccak256(abi.encode(seed, i)));
            attempt(opener, garbage(seed, live));
        }

        vm.assertEq(fingerprint(live), before, "nothing moved");
        assertExact();
    }

    /// @notice A9: raw bytes as calldata change nothing.
    function testA09RawBytesMoveNothing(bytes calldata noise) external {
        Order memory live = serve(anOrder(1));
        bytes32 before = fingerprint(live);
        bytes4[6] memory verbs = [
            market.open.selector,
            market.settle.selector,
            market.finalize.selector,
            market.cancel.selector,
            market.rule.selector,
            market.lapse.selector
        ];
        for (uint256 i = 0; i < verbs.length; ++i) {
            attempt(opener, bytes.concat(verbs[i], noise));
        }
        attempt(opener, noise);

        vm.assertEq(fingerprint(live), before, "nothing moved");
    }

    /// @notice A9: a scheduler that serves nobody stops nobody: the client opens its own order on the chosen offer.
    function testA09SilentSchedulerIsWalkedAround() external {
        Order memory order = anOrder(1);
        Fill memory fill = aFill(order);
        fill.signature = "";
        openAs(client, fill);

        assertStatus(order, Status.Open, "open");
        vm.assertEq(market.balanceOf(opener), 0, "and the scheduler earns nothing");
    }

    /// @notice A9: a scheduler cannot settle: receipts that it signs itself are nobody's.
    function testA09CannotSettle() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        Settlement memory settlement = aSettlement(order, 600, true);
        settlement.clientSignature = settlement.providerSignature = sign(0x09E2, "receipt");

        assertSettlementRefusedFrom(opener, settlement, Refusal.BadClientSignature);
    }

    /// @notice A9: none of the verbs of the parties to a lease takes a scheduler's call.
    function testA09CannotActForTheParties() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        bytes[] memory calls = new bytes[](9);
        calls[0] = abi.encodeCall(market.cancel, (order));
        calls[1] = abi.encodeCall(market.terminate, (order));
        calls[2] = abi.encodeCall(market.dispute, (order));
        calls[3] = abi.encodeCall(market.claim, (order, 600, RESULT));
        calls[4] = abi.encodeCall(market.decline, (order));
        calls[5] = abi.encodeCall(market.assign, (order, opener));
        calls[6] = abi.encodeCall(market.rule, (order, 0, false));
        calls[7] = abi.encodeCall(market.reprice, (offer, 0, 0));
        calls[8] = abi.encodeCall(market.withdraw, (opener, TIP + 1));
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.assertFalse(attempt(opener, calls[i]), "not the scheduler's to do");
        }
    }

    /// @notice A9: a tip larger than the client's balance is not taken out of what the lease locks, or of anybody else's.
    function testA09TipBeyondTheBalance() external {
        Order memory order = anOrder(1);
        order.tip = type(uint96).max;

        assertRefused(aFill(order), Refusal.ClientBalanceTooLow);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- making

    /// Some call of a scheduler that has neither signatures nor roles: the right shapes, with wrong contents.
    function garbage(uint256 seed, Order memory live) private view returns (bytes memory) {
        Order memory order = anOrder(seed);
        order.opener = opener;
        order.client = seed % 2 == 0 ? client : provider;
        order.gpus = uint16(seed >> 8);
        order.maxPrice = uint80(seed >> 24);
        Order memory target = seed % 3 == 0 ? live : order;
        bytes memory noise = abi.encodePacked(keccak256(abi.encode(seed, 1)), keccak256(abi.encode(seed, 2)), uint8(27));
        if (seed % 13 < 3) {
            Fill[] memory fills = new Fill[](2);
            fills[0] = Fill(target, offer, uint80(seed), noise);
            fills[1] = Fill(order, uint40(seed), PRICE, "");
            return abi.encodeCall(market.open, (fills, bytes32(seed)));
        }
        if (seed % 13 < 6) {
            Settlement[] memory settlements = new Settlement[](2);
            settlements[0] = Settlement(target, uint32(seed), RESULT, seed % 2 == 0, noise, noise);
            settlements[1] = Settlement(live, MIN_SECONDS, RESULT, seed % 5 == 0, "", noise);
            return abi.encodeCall(market.settle, (settlements));
        }
        Order[] memory orders = new Order[](1);
        orders[0] = target;
        if (seed % 13 == 6) return abi.encodeCall(market.finalize, (orders));
        if (seed % 13 == 7) return abi.encodeCall(market.cancel, (target));
        if (seed % 13 == 8) return abi.encodeCall(market.expire, (target));
        if (seed % 13 == 9) return abi.encodeCall(market.lapse, (target));
        if (seed % 13 == 10) return abi.encodeCall(market.rule, (target, uint32(seed), true));
        if (seed % 13 == 11) return abi.encodeCall(market.assign, (target, opener));
        return abi.encodeCall(market.withdraw, (opener, seed % 1e12 + TIP + 1));
    }

    function fingerprint(Order memory order) private view returns (bytes32) {
        Lease memory lease = leaseOf(order);
        return keccak256(abi.encode(book(), lease, market.offerOf(offer), market.balanceOf(stranger)));
    }
}
