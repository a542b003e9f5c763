// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    IComputeMarket,
    Order,
    Receipt,
    Refusal,
    Settlement,
    Status
} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Settling receipts: progress and last, in every state, at every bound.
contract SettleTest is MarketTest {
    Order internal order;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        id = open(order);
    }

    // ------------------------------------------------------------------------------------------------------------------------------ what it pays

    /// @notice Exit table, settle last: E(u) - E(p) to the payee, B to the provider, T - E(u) to the client.
    function testLastReceiptPaysAndReturnsTheRest() external {
        skip(1_000);
        Book memory before = book();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseSettled(
            id, 777, RESULT, true, earned(order, 777), total(order) - earned(order, 777), bond(order), 0
        );
        settle(aSettlement(order, 777, true));

        assertExit(
            before, order, total(order) - earned(order, 777), earned(order, 777) + bond(order), earned(order, 777), 777
        );
        vm.assertEq(leaseOf(order).paidSeconds, 777, "what was paid for");
    }

    /// @notice Exit table, settle progress: E(u) - E(p) to the payee, nothing else moves.
    function testProgressReceiptPaysTheProviderOnly() external {
        skip(1_000);
        Book memory before = book();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseSettled(id, 500, RESULT, false, earned(order, 500), 0, 0, 0);
        settle(aSettlement(order, 500, false));

        Book memory later = book();
        vm.assertEq(later.provider - before.provider, earned(order, 500), "the provider's pay");
        vm.assertEq(later.client, before.client, "nothing to the client");
        vm.assertEq(later.free, GPUS - order.gpus, "the GPUs stay taken");
        vm.assertEq(later.volumePaid - before.volumePaid, earned(order, 500), "volume paid");
        vm.assertEq(later.volumeGpuSeconds - before.volumeGpuSeconds, 500 * order.gpus, "volume of GPU-seconds");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "still open");
    }

    /// @notice P-03: the sum never depends on how the time was cut.
    function testTheSumOfProgressIsTheWhole(uint32[5] calldata cuts) external {
        skip(MAX_SECONDS);
        uint256 before = market.balanceOf(provider);
        uint32 paid;
        for (uint256 i = 0; i < 5; ++i) {
            uint32 next = uint32(bound(cuts[i], paid + 1, paid + 500));
            pay(order, next);
            paid = next;
            vm.assertEq(market.balanceOf(provider) - before, earned(order, paid), "E(p), however often it was paid");
        }
        uint256 client_ = market.balanceOf(client);

        settle(aSettlement(order, paid, true));

        vm.assertEq(market.balanceOf(provider) - before, earned(order, paid) + bond(order), "E(p) and the bond");
        vm.assertEq(market.balanceOf(client) - client_, total(order) - earned(order, paid), "the rest, with the dust");
    }

    /// @notice A progress receipt that reaches minSeconds right after opening is a consented prepayment.
    function testPrepaymentUpToTheGuaranteedSeconds() external {
        assertSettlementRefused(aSettlement(order, MIN_SECONDS + 1, false), Refusal.SecondsOutOfBounds);

        pay(order, MIN_SECONDS);
    }

    /// @notice A last receipt may repeat what was paid, and then pays nothing more; it may use 0 seconds.
    function testLastReceiptMayAddNothing() external {
        Book memory before = book();
        settle(aSettlement(order, 0, true));
        assertExit(before, order, total(order), bond(order), 0, 0);

        order.salt = 2;
        id = open(order);
        skip(100);
        pay(order, 100);
        before = book();
        settle(aSettlement(order, 100, true));
        assertExit(before, order, total(order) - earned(order, 100), bond(order), 0, 0);
    }

    /// @notice P-10: both sides may settle after the deadline too, as long as nobody expired the lease.
    function testSettleAfterTheDeadline() external {
        skip(MAX_SECONDS + CLAIM_GRACE + 1);
        Book memory before = book();

        settle(aSettlement(order, MAX_SECONDS, true));

        assertExit(
            before,
            order,
            total(order) - earned(order, MAX_SECONDS),
            earned(order, MAX_SECONDS) + bond(order),
            earned(order, MAX_SECONDS),
            MAX_SECONDS
        );
    }

    /// @notice In Claimed both sides may agree on any seconds within bounds, more or fewer than claimed; the GPUs are not freed twice.
    function testLastReceiptSettlesAClaim(uint32 agreed) external {
        skip(1_000);
        claim(order, 700);
        agreed = uint32(bound(agreed, 0, 1_000));
        Book memory before = book();

        settle(aSettlement(order, agreed, true));

        assertExit(
            before,
            order,
            total(order) - earned(order, agreed),
            earned(order, agreed) + bond(order),
            earned(order, agreed),
            agreed
        );
    }

    /// @notice A progress receipt in Claimed pays, and the claim stands.
    function testProgressInClaimed() external {
        skip(1_000);
        claim(order, 700);

        pay(order, 800);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Claimed), "still claimed");
        vm.assertEq(leaseOf(order).claimedSeconds, 700, "the claim stands");
    }

    /// @notice Metering stops at maxSeconds, however late it is.
    function testElapsedStopsAtTheMost() external {
        skip(MAX_SECONDS + 50);
        assertSettlementRefused(aSettlement(order, MAX_SECONDS + 1, true), Refusal.SecondsOutOfBounds);
        pay(order, MAX_SECONDS);
    }

    /// @notice Seconds are counted from the start, also when as much time has passed as lies between the epoch and the start.
    function testElapsedIsCountedFromTheStartForDecades() external {
        vm.warp(2 * NOW + 50);
        pay(order, MAX_SECONDS);
    }

    /// @notice A start that was past at the opening starts nothing earlier than the opening.
    function testMeteringStartsAtTheOpening() external {
        order.salt = 2;
        order.startsAt = uint40(NOW - 1_000);
        open(order);
        skip(100);

        assertSettlementRefused(aSettlement(order, 101, true), Refusal.SecondsOutOfBounds);
        pay(order, 100);
    }

    /// @notice I-9: in a batch, each settlement holds or not for itself.
    function testOneBadSettlementStopsNoOther(uint8 position) external {
        uint256 bad = bound(position, 0, 2);
        Order[] memory orders = new Order[](3);
        Settlement[] memory settlements = new Settlement[](3);
        orders[0] = order;
        for (uint256 i = 1; i < 3; ++i) {
            orders[i] = anOrder();
            orders[i].gpus = 1;
            orders[i].salt = i + 1;
            open(orders[i]);
        }
        skip(100);
        for (uint256 i = 0; i < 3; ++i) {
            settlements[i] = aSettlement(orders[i], 100, true);
        }
        settlements[bad].usedSeconds = 99;

        vm.prank(stranger);
        market.settle(settlements);

        for (uint256 i = 0; i < 3; ++i) {
            Status expected = i == bad ? Status.Open : Status.Closed;
            vm.assertEq(uint8(market.statusOf(orders[i])), uint8(expected), "each for itself");
        }
    }

    /// @notice I-5: the same last receipt twice, in one batch or later, is paid once.
    function testTheSameReceiptIsPaidOnce() external {
        skip(100);
        Settlement[] memory settlements = new Settlement[](2);
        settlements[0] = aSettlement(order, 100, true);
        settlements[1] = settlements[0];
        uint256 before = market.balanceOf(provider);

        market.settle(settlements);

        vm.assertEq(market.balanceOf(provider) - before, earned(order, 100) + bond(order), "once");
        assertSettlementRefused(settlements[0], Refusal.NotLive);
    }

    // ------------------------------------------------------------------------------------------------------------------------- who needs to sign

    /// @notice Who sends the settlement need not sign it: client, acceptor or provider.
    function testASendersOwnSignatureMayBeEmpty() external {
        skip(1_000);
        Settlement memory settlement = aSettlement(order, 10, false);
        settlement.clientSignature = "";
        settleAs(client, settlement);
        vm.assertEq(leaseOf(order).paidSeconds, 10, "sent by the client");

        settlement.usedSeconds = 20;
        settleAs(acceptor, settlement);
        vm.assertEq(leaseOf(order).paidSeconds, 20, "sent by the acceptor");

        settlement = aSettlement(order, 30, true);
        settlement.providerSignature = "";
        settleAs(provider, settlement);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "sent by the provider");
    }

    /// @notice The acceptor's signature is as good as the client's.
    function testTheAcceptorSignsForTheClient() external {
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        settlement.clientSignature = sign(ACCEPTOR_KEY, market.receiptId(receiptOf(order, 100, true)));

        settle(settlement);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "settled");
    }

    // ----------------------------------------------------------------------------------------------------------------------------- refusals, 32 on

    /// @notice (32) An order that was never opened, was declined, or is closed has nothing to settle.
    function testRefusesALeaseThatIsNotLive() external {
        Settlement memory settlement = aSettlement(order, 0, true);
        vm.prank(provider);
        market.decline(order);
        assertSettlementRefused(settlement, Refusal.NotLive);

        order.salt = 2;
        assertSettlementRefused(aSettlement(order, 0, true), Refusal.NotLive);

        open(order);
        settle(aSettlement(order, 0, true));
        assertSettlementRefused(aSettlement(order, 0, true), Refusal.NotLive);
    }

    /// @notice (33) Seconds below what was paid, or above what has elapsed and is guaranteed, are refused.
    function testRefusesSecondsOutOfBounds() external {
        skip(1_000);
        pay(order, 100);

        assertSettlementRefused(aSettlement(order, 99, true), Refusal.SecondsOutOfBounds);
        assertSettlementRefused(aSettlement(order, 1_001, true), Refusal.SecondsOutOfBounds);
        assertSettlementRefused(aSettlement(order, 99, false), Refusal.SecondsOutOfBounds);
        assertSettlementRefused(aSettlement(order, 1_001, false), Refusal.SecondsOutOfBounds);
    }

    /// @notice (33) A progress receipt pays for strictly more than before.
    function testRefusesProgressThatIsNone() external {
        assertSettlementRefused(aSettlement(order, 0, false), Refusal.SecondsOutOfBounds);
        skip(1_000);
        pay(order, 100);
        assertSettlementRefused(aSettlement(order, 100, false), Refusal.SecondsOutOfBounds);
    }

    /// @notice (34) Neither provider nor stranger signs or sends for the client's side.
    function testRefusesWithoutTheClientsSide() external {
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        bytes32 digest = market.receiptId(receiptOf(order, 100, true));

        settlement.clientSignature = "";
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        assertSettlementRefusedFrom(provider, settlement, Refusal.BadClientSignature);
        settlement.clientSignature = sign(PROVIDER_KEY, digest);
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        settlement.clientSignature = sign(STRANGER_KEY, digest);
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice (34) With no acceptor named, a signature that recovers to nobody is nobody's.
    function testRefusesNobodysSignatureWithoutAcceptor() external {
        order.acceptor = address(0);
        order.salt = 2;
        open(order);
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        settlement.clientSignature = "";
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        settlement.clientSignature = new bytes(65);
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice (35) Closing needs the provider too; the client cannot settle alone.
    function testRefusesToCloseWithoutTheProvider() external {
        skip(100);
        Settlement memory settlement = aSettlement(order, 0, true);
        settlement.providerSignature = "";
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);
        assertSettlementRefusedFrom(client, settlement, Refusal.BadProviderSignature);
        settlement.providerSignature = settlement.clientSignature;
        assertSettlementRefusedFrom(client, settlement, Refusal.BadProviderSignature);
    }

    /// @notice (34) Every field of a receipt is signed.
    function testRefusesAReceiptThatWasChanged() external {
        skip(1_000);
        Settlement memory settlement = aSettlement(order, 100, false);

        settlement.usedSeconds = 101;
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        settlement.usedSeconds = 100;
        settlement.result = keccak256("another");
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        settlement.result = RESULT;
        settlement.last = true;
        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        assertSettlementRefusedFrom(provider, settlement, Refusal.BadClientSignature);
    }

    /// @notice I-9: calldata in which a field does not fit its type is no settlement at all, of progress or last.
    function testASettlementWithDirtyBitsReverts(bool last) external {
        skip(1_000);
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = aSettlement(order, 100, last);
        uint256[2] memory words = [uint256(16), 18];
        uint256[2] memory widths = [uint256(32), 1];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory payload = abi.encodeCall(market.settle, (settlements));
            makeDirty(payload, words[i], widths[i]);

            (bool succeeded,) = address(market).call(payload);

            vm.assertFalse(succeeded, "refused like any malformed calldata");
        }
        settle(settlements[0]);
        vm.assertEq(leaseOf(order).paidSeconds, 100, "clean it is paid");
    }

    /// @notice (34) A receipt of an earlier serving of the same order, on the same offer, pays nothing in the next.
    function testRefusesAReceiptOfAnEarlierServing() external {
        Settlement memory settlement = aSettlement(order, MIN_SECONDS, false);
        vm.prank(provider);
        market.decline(order);
        skip(1);
        open(order);

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice (34) A receipt that names another offer pays nothing, in whatever second it was opened.
    function testRefusesAReceiptOfAnotherOffer() external {
        Settlement memory settlement = aSettlement(order, MIN_SECONDS, false);
        Receipt memory receipt = receiptOf(order, MIN_SECONDS, false);
        receipt.offer += 1;
        settlement.clientSignature = sign(CLIENT_KEY, market.receiptId(receipt));

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice (34) A receipt of one order pays nothing on another.
    function testRefusesAReceiptOfAnotherOrder() external {
        Settlement memory settlement = aSettlement(order, MIN_SECONDS, false);
        order.salt = 2;
        open(order);
        settlement.order = order;

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }
}
