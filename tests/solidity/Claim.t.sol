// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Lease, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Claiming and finalizing: how a provider is paid whose client is silent (P-23).
contract ClaimTest is MarketTest {
    uint256 internal constant DEADLINE = NOW + MAX_SECONDS + CLAIM_GRACE;

    Order internal order;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        id = open(order);
    }

    /// @notice P-23: a claim frees the GPUs, moves no money, and starts the challenge window.
    function testClaimFreesTheGpus() external {
        skip(1_000);
        Book memory before = book();

        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseClaimed(id, 900, RESULT);
        market.claim(order, 900, RESULT);

        Book memory later = book();
        vm.assertEq(later.free, GPUS, "the GPUs are free");
        vm.assertEq(later.client, before.client, "nothing to the client");
        vm.assertEq(later.provider, before.provider, "nothing to the provider");
        Lease memory lease = leaseOf(order);
        vm.assertEq(uint8(lease.status), uint8(Status.Claimed), "claimed");
        vm.assertEq(lease.claimedSeconds, 900, "the claim");
        vm.assertEq(lease.changedAt, NOW + 1_000, "since when");
        vm.assertEq(lease.openedAt, NOW, "opened when it was");
        vm.assertEq(market.payeeOf(id), provider, "still the provider's income");
    }

    /// @notice A claim is possible from start + minSeconds on, not a second earlier.
    function testClaimBeginsWithTheGuaranteedSeconds() external {
        vm.warp(NOW + MIN_SECONDS - 1);
        assertClaimReverts(
            0, abi.encodeWithSelector(IComputeMarket.TooEarly.selector, NOW + MIN_SECONDS - 1, NOW + MIN_SECONDS)
        );

        vm.warp(NOW + MIN_SECONDS);
        claim(order, 0);
    }

    /// @notice A claim is possible until the second before the deadline.
    function testClaimEndsAtTheDeadline() external {
        bytes memory tooLate = abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE, DEADLINE);
        vm.warp(DEADLINE);
        assertClaimReverts(1, tooLate);
        vm.warp(DEADLINE + 1);
        assertClaimReverts(1, abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE + 1, DEADLINE));

        vm.warp(DEADLINE - 1);
        claim(order, MAX_SECONDS);
    }

    /// @notice A claim is at least what was paid and at most what has elapsed.
    function testClaimStaysWithinWhatElapsed() external {
        skip(1_000);
        pay(order, 100);
        assertClaimReverts(99, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 99, 100, 1_000));
        assertClaimReverts(1_001, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 1_001, 100, 1_000));
        vm.warp(DEADLINE - 1);
        assertClaimReverts(
            MAX_SECONDS + 1,
            abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, MAX_SECONDS + 1, 100, MAX_SECONDS)
        );

        claim(order, 100);
    }

    /// @notice Only the offer's provider claims.
    function testClaimByAnybodyElseReverts() external {
        skip(1_000);
        address[3] memory others = [client, acceptor, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotProvider.selector, others[i], provider));
            market.claim(order, 1, RESULT);
        }
    }

    /// @notice A lease is claimed once; an unopened and a closed one never.
    function testClaimOfALeaseThatIsNotOpenReverts() external {
        skip(1_000);
        claim(order, 1);
        assertClaimReverts(2, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.Claimed));

        settle(aSettlement(order, 1, true));
        assertClaimReverts(2, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.Closed));

        order.salt = 2;
        id = market.orderId(order);
        assertClaimReverts(2, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.None));
    }

    /// @notice Exit table, finalize: E(q) to the payee, B to the provider, T - E(q) to the client; anybody may send it.
    function testFinalizePaysTheClaim() external {
        skip(1_000);
        claim(order, 900);
        skip(CHALLENGE_WINDOW);
        Book memory before = book();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseFinalized(id, 900, earned(order, 900), total(order) - earned(order, 900), bond(order));
        finalize(order);

        assertExit(
            before, order, total(order) - earned(order, 900), earned(order, 900) + bond(order), earned(order, 900), 900
        );
    }

    /// @notice Exit table, finalize with p > q: what was paid stays paid, and nothing more.
    function testFinalizeNeverTakesBackWhatWasPaid() external {
        skip(1_000);
        claim(order, 500);
        pay(order, 800);
        skip(CHALLENGE_WINDOW);
        Book memory before = book();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseFinalized(id, 800, 0, total(order) - earned(order, 800), bond(order));
        finalize(order);

        assertExit(before, order, total(order) - earned(order, 800), bond(order), 0, 0);
    }

    /// @notice Exit table, finalize with p < q: the difference is paid.
    function testFinalizePaysTheRestOfTheClaim() external {
        skip(1_000);
        pay(order, 100);
        claim(order, 500);
        skip(CHALLENGE_WINDOW);
        Book memory before = book();

        finalize(order);

        uint256 rest = earned(order, 500) - earned(order, 100);
        assertExit(before, order, total(order) - earned(order, 500), rest + bond(order), rest, 400);
    }

    /// @notice (37) A claim is finalized from the first second after the challenge window.
    function testFinalizeBeginsAfterTheWindow() external {
        skip(1_000);
        claim(order, 500);
        vm.warp(NOW + 1_000 + CHALLENGE_WINDOW - 1);
        assertFinalizeRefused(order, Refusal.WindowOpen);

        vm.warp(NOW + 1_000 + CHALLENGE_WINDOW);
        finalize(order);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "finalized");
    }

    /// @notice (36) Only a claimed lease is finalized, and once.
    function testRefusesToFinalizeWhatIsNotClaimed() external {
        skip(1_000 + CHALLENGE_WINDOW);
        assertFinalizeRefused(order, Refusal.NotClaimed);
        order.salt = 2;
        assertFinalizeRefused(order, Refusal.NotClaimed);

        order.salt = 1;
        settle(aSettlement(order, 1, true));
        assertFinalizeRefused(order, Refusal.NotClaimed);
    }

    /// @notice I-9: in a batch, each order is finalized or not for itself; the same one twice only once.
    function testOneBadOrderStopsNoOther() external {
        Order[] memory orders = new Order[](3);
        orders[0] = anOrder();
        orders[0].salt = 2;
        orders[1] = order;
        orders[2] = order;
        skip(1_000);
        claim(order, 500);
        skip(CHALLENGE_WINDOW);
        uint256 before = market.balanceOf(provider);

        vm.expectEmit(address(market));
        emit IComputeMarket.SettlementRefused(market.orderId(orders[0]), stranger, Refusal.NotClaimed);
        vm.expectEmit(true, true, true, false, address(market));
        emit IComputeMarket.LeaseFinalized(id, 0, 0, 0, 0);
        vm.expectEmit(address(market));
        emit IComputeMarket.SettlementRefused(id, stranger, Refusal.NotClaimed);
        vm.prank(stranger);
        market.finalize(orders);

        vm.assertEq(market.balanceOf(provider) - before, earned(order, 500) + bond(order), "paid once");
    }

    function assertClaimReverts(uint32 usedSeconds, bytes memory reason) private {
        vm.prank(provider);
        vm.expectRevert(reason);
        market.claim(order, usedSeconds, RESULT);
    }
}
