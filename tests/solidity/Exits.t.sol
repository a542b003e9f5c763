// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Lease, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice The exits that one side takes alone: terminate, decline and expire (P-10).
contract ExitsTest is MarketTest {
    uint256 internal constant DEADLINE = NOW + MAX_SECONDS + CLAIM_GRACE;

    Order internal order;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        id = open(order);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- terminate

    /// @notice Exit table, terminate: pays what has elapsed; B to the provider, the rest to the client.
    function testTerminatePaysWhatHasElapsed() external {
        skip(1_000);
        assertTerminates(client, 1_000, 0);
    }

    /// @notice Take-or-pay: terminating at once costs minSeconds.
    function testTerminateCostsAtLeastTheGuaranteedSeconds() external {
        assertTerminates(client, MIN_SECONDS, 0);
    }

    /// @notice The second in which elapsed overtakes minSeconds.
    function testTerminateAroundTheGuaranteedSeconds(uint8 late) external {
        uint32 elapsed = uint32(bound(late, MIN_SECONDS - 1, MIN_SECONDS + 1));
        vm.warp(NOW + elapsed);
        assertTerminates(acceptor, elapsed < MIN_SECONDS ? MIN_SECONDS : elapsed, 0);
    }

    /// @notice What was already paid is not paid again.
    function testTerminateAfterProgress() external {
        skip(500);
        pay(order, 400);
        skip(100);
        assertTerminates(client, 600, 400);
    }

    /// @notice A prepayment beyond what has elapsed stays with the provider.
    function testTerminateKeepsAPrepayment() external {
        pay(order, MIN_SECONDS);
        skip(1);
        assertTerminates(client, MIN_SECONDS, MIN_SECONDS);
    }

    /// @notice Metering stops at maxSeconds; terminating is possible until the second before the deadline.
    function testTerminateEndsAtTheDeadline() external {
        vm.warp(DEADLINE);
        assertTerminateReverts(client, abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE, DEADLINE));
        vm.warp(DEADLINE + 1);
        assertTerminateReverts(client, abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE + 1, DEADLINE));

        vm.warp(DEADLINE - 1);
        assertTerminates(client, MAX_SECONDS, 0);
    }

    /// @notice Only the client's side terminates.
    function testTerminateByAnybodyElseReverts() external {
        address[3] memory others = [provider, opener, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            assertTerminateReverts(
                others[i], abi.encodeWithSelector(IComputeMarket.NotClientSide.selector, others[i], client, acceptor)
            );
        }
    }

    /// @notice Only an open lease is terminated: a claim must not be outrun.
    function testTerminateOfALeaseThatIsNotOpenReverts() external {
        skip(1_000);
        claim(order, 900);
        assertTerminateReverts(client, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.Claimed));
        order.salt = 2;
        assertTerminateReverts(
            client, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, market.orderId(order), Status.None)
        );
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- decline

    /// @notice Exit table, decline with p = 0: everything goes back, the order may be opened again, and its tip stays paid.
    function testDeclineGivesEverythingBack() external {
        skip(10);
        Book memory before = book();

        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseDeclined(id, Status.None, total(order), bond(order));
        market.decline(order);

        Book memory later = book();
        vm.assertEq(later.client - before.client, total(order), "T to the client");
        vm.assertEq(later.provider - before.provider, bond(order), "B to the provider");
        vm.assertEq(later.opener, before.opener, "the opener keeps its tip");
        vm.assertEq(later.free, GPUS, "the GPUs are free");
        vm.assertEq(later.volumePaid, before.volumePaid, "nothing was paid");
        Lease memory expected;
        expected.tipPaid = true;
        expected.openedAt = uint32(NOW);
        vm.assertEq(keccak256(abi.encode(leaseOf(order))), keccak256(abi.encode(expected)), "only these are kept");
        vm.assertEq(market.payeeOf(id), address(0), "no payee");
    }

    /// @notice P-24: a declined order is opened again elsewhere, and served.
    function testADeclinedOrderIsServedElsewhere() external {
        vm.prank(provider);
        market.decline(order);
        deposit(stranger, 100 * DOLLAR);
        uint256 before = market.balanceOf(stranger);
        offer = list(stranger);
        skip(1);
        open(order);
        skip(100);
        vm.prank(stranger);
        market.claim(order, 100, RESULT);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        vm.assertEq(market.balanceOf(stranger), before + earned(order, 100), "the other provider is paid");
    }

    /// @notice Exit table, decline with p > 0: what was paid comes back out of the bond, and the order is closed.
    function testDeclineAfterPaymentPaysBackOutOfTheBond() external {
        pay(order, MIN_SECONDS);
        Book memory before = book();
        uint256 paid = earned(order, MIN_SECONDS);

        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseDeclined(id, Status.Closed, total(order), bond(order) - paid);
        market.decline(order);

        assertExit(before, order, total(order), bond(order) - paid, 0, 0);
        skip(1);
        assertRefused(aFill(order), Refusal.OrderClosed);
    }

    /// @notice P-24: a payment closes the order even if it was so small that it rounds to nothing.
    function testDeclineAfterAPaymentOfNothingCloses() external {
        vm.prank(provider);
        market.reprice(offer, 1, uint40(NOW + 1 days));
        order.salt = 2;
        order.maxPrice = 1;
        order.gpus = 1;
        id = market.orderId(order);
        open(aFillAt(order, 1));
        pay(order, MIN_SECONDS);

        vm.prank(provider);
        market.decline(order);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    /// @notice A decline that the bond cannot pay for reverts; one that takes all of it does not.
    function testDeclineBeyondTheBondReverts() external {
        // 30 GPU-hours at 1 dollar with a bond of 20 %: six dollars, or 6 hours of 1 GPU.
        vm.prank(provider);
        market.reprice(offer, uint80(DOLLAR), uint40(NOW + 1 days));
        order = anOrder();
        order.salt = 2;
        order.gpus = 1;
        order.maxSeconds = 30 hours;
        order.minSeconds = 6 hours + 1;
        id = market.orderId(order);
        open(aFillAt(order, uint80(DOLLAR)));
        pay(order, 6 hours + 1);
        uint256 paid = DOLLAR * (6 hours + 1) / 3600;
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.PaidBeyondBond.selector, paid, 6 * DOLLAR));
        market.decline(order);

        order.salt = 3;
        id = market.orderId(order);
        open(aFillAt(order, uint80(DOLLAR)));
        pay(order, 6 hours);
        uint256 before = market.balanceOf(provider);
        vm.prank(provider);
        market.decline(order);
        vm.assertEq(market.balanceOf(provider), before, "all of the bond");
    }

    /// @notice A decline is possible until the second before openedAt + START_GRACE.
    function testDeclineEndsWithTheStartGrace() external {
        uint256 end = NOW + START_GRACE;
        vm.warp(end);
        assertDeclineReverts(provider, abi.encodeWithSelector(IComputeMarket.TooLate.selector, end, end));
        vm.warp(end + 1);
        assertDeclineReverts(provider, abi.encodeWithSelector(IComputeMarket.TooLate.selector, end + 1, end));

        vm.warp(end - 1);
        vm.prank(provider);
        market.decline(order);
    }

    /// @notice Only the provider declines.
    function testDeclineByAnybodyElseReverts() external {
        address[3] memory others = [client, opener, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            assertDeclineReverts(
                others[i], abi.encodeWithSelector(IComputeMarket.NotProvider.selector, others[i], provider)
            );
        }
    }

    /// @notice Only an open lease is declined, and once.
    function testDeclineOfALeaseThatIsNotOpenReverts() external {
        vm.prank(provider);
        market.decline(order);
        assertDeclineReverts(provider, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.None));

        skip(1);
        open(order);
        skip(MIN_SECONDS);
        claim(order, 1);
        assertDeclineReverts(provider, abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.Claimed));
    }

    /// @notice P-24: the second serving of a declined order starts with clean counters.
    function testASecondServingStartsClean() external {
        vm.prank(provider);
        market.decline(order);
        skip(5);
        open(order);

        Lease memory lease = leaseOf(order);
        vm.assertEq(lease.openedAt, NOW + 5, "its own opening");
        vm.assertEq(lease.paidSeconds, 0, "nothing paid");
        vm.assertEq(uint8(lease.status), uint8(Status.Open), "open");
        vm.warp(NOW + 5 + MAX_SECONDS + CLAIM_GRACE - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarket.TooEarly.selector, timestamp(), NOW + 5 + MAX_SECONDS + CLAIM_GRACE)
        );
        market.expire(order);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ expire

    /// @notice Exit table, expire with B <= T: the client gets T and all of the bond.
    function testExpireCompensatesOutOfTheBond() external {
        vm.warp(DEADLINE);
        Book memory before = book();

        vm.prank(stranger);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseExpired(id, total(order), bond(order), 0);
        market.expire(order);

        assertExit(before, order, total(order) + bond(order), 0, 0, 0);
    }

    /// @notice Exit table, expire with p > 0: what was paid stays paid.
    function testExpireAfterProgress() external {
        skip(1_000);
        pay(order, 900);
        vm.warp(DEADLINE);
        Book memory before = book();
        uint256 refund = total(order) - earned(order, 900);

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseExpired(id, refund, bond(order), 0);
        market.expire(order);

        assertExit(before, order, refund + bond(order), 0, 0, 0);
    }

    /// @notice Exit table, expire with B > T: the compensation is at most T, the rest of the bond goes back.
    function testExpireCompensatesAtMostTheTotal() external {
        order.salt = 2;
        order.maxSeconds = 100;
        id = open(order);
        vm.warp(NOW + 100 + CLAIM_GRACE);
        Book memory before = book();
        vm.assertTrue(total(order) < BOND_FLOOR, "the floor is the larger");

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseExpired(id, total(order), total(order), BOND_FLOOR - total(order));
        market.expire(order);

        Book memory later = book();
        vm.assertEq(later.client - before.client, 2 * total(order), "twice T");
        vm.assertEq(later.provider - before.provider, BOND_FLOOR - total(order), "the rest of the bond");
    }

    /// @notice A lease expires at its deadline, not a second earlier.
    function testExpireBeginsAtTheDeadline() external {
        vm.warp(DEADLINE - 1);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooEarly.selector, DEADLINE - 1, DEADLINE));
        market.expire(order);

        vm.warp(DEADLINE + 1);
        market.expire(order);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    /// @notice Only an open lease expires, and once: a claim in time is safe from it.
    function testExpireOfALeaseThatIsNotOpenReverts() external {
        vm.warp(DEADLINE - 1);
        claim(order, MAX_SECONDS);
        vm.warp(DEADLINE);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.Claimed));
        market.expire(order);
        order.salt = 2;
        bytes memory reason =
            abi.encodeWithSelector(IComputeMarket.NotOpen.selector, market.orderId(order), Status.None);
        vm.expectRevert(reason);
        market.expire(order);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- helpers

    function assertTerminates(address who, uint32 usedSeconds, uint32 paidBefore) private {
        Book memory before = book();
        uint256 paid = earned(order, usedSeconds) - earned(order, paidBefore);
        uint256 refund = total(order) - earned(order, usedSeconds);

        vm.prank(who);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseTerminated(id, who, usedSeconds, paid, refund, bond(order));
        market.terminate(order);

        assertExit(before, order, refund, paid + bond(order), paid, usedSeconds - paidBefore);
    }

    function assertTerminateReverts(address who, bytes memory reason) private {
        vm.prank(who);
        vm.expectRevert(reason);
        market.terminate(order);
    }

    function assertDeclineReverts(address who, bytes memory reason) private {
        vm.prank(who);
        vm.expectRevert(reason);
        market.decline(order);
    }
}
