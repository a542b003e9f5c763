// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @notice Term leases: GPUs blocked now, metered from `startsAt` on (P-21).
contract TermLeaseTest is LedgerTest {
    uint256 internal constant START = NOW + 10 days;
    uint256 internal constant DEADLINE = START + MAX_SECONDS + CLAIM_GRACE;

    Order internal order;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        order.opener = provider;
        order.startsAt = uint40(START);
        id = market.orderId(order);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- opening

    /// @notice P-21: the offer's provider opens it; money and GPUs are locked from then on, and nothing is metered yet.
    function testTheProviderOpensATermLease() external {
        remember();

        openTerm();

        debit(client, total(order) + TIP);
        debit(provider, bond(order));
        credit(provider, TIP);
        assertLedger();
        vm.assertEq(market.offerOf(offer).free, GPUS - order.gpus, "the GPUs are blocked");
        vm.assertEq(leaseOf(order).openedAt, NOW, "opened now");
    }

    /// @notice P-21: a provider opens a term lease that leaves the opener free.
    function testTheProviderOpensATermLeaseWithoutOpener() external {
        order.opener = address(0);
        order.tip = 0;

        openTerm();

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "open");
    }

    /// @notice P-21 (17): nobody else opens it: not the opener that it names, not the client itself, not another provider.
    function testRefusesATermLeaseFromAnybodyElse() external {
        address[4] memory others = [opener, acceptor, stranger, arbiter];
        for (uint256 i = 0; i < 4; ++i) {
            order.opener = others[i];
            assertRefusedFrom(others[i], aFill(order), Refusal.TermLeaseNotByProvider);
            assertRefusedFrom(client, aFill(order), Refusal.TermLeaseNotByProvider);
        }
        list(stranger);
        order.opener = stranger;
        assertRefusedFrom(stranger, aFill(order), Refusal.TermLeaseNotByProvider);
    }

    /// @notice P-21 (6): the provider is no exception from `opener`.
    function testRefusesATermLeaseWhoseOpenerIsAnother() external {
        order.opener = opener;

        assertRefusedFrom(provider, aFill(order), Refusal.OpenerNotAllowed);
    }

    /// @notice P-21: an order that starts now, or started already, is no term lease: anybody whom it allows opens it, and its provider declines it.
    function testWhatStartsNowIsNoTermLease() external {
        order.opener = opener;
        order.startsAt = uint40(NOW + 1);
        assertRefused(aFill(order), Refusal.TermLeaseNotByProvider);

        for (uint256 early = 0; early < 2; ++early) {
            order.startsAt = uint40(NOW - early);
            open(order);
            vm.prank(provider);
            market.decline(order);
            vm.assertEq(uint8(market.statusOf(order)), uint8(Status.None), "declined like any other");
        }
    }

    /// @notice P-07: a client that is the provider opens its own term lease without a signature.
    function testAClientThatIsTheProviderOpensATermLease() external {
        offer = list(client);
        order.opener = opener;

        openAs(client, aFill(order));

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "open");
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- metering

    /// @notice P-21: metering starts at `startsAt`: a second later one second has elapsed.
    function testMeteringStartsWithTheTerm() external {
        order.minSeconds = 0;
        vm.prank(provider);
        offer = market.list(CLASS, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 30 days), arbiter, 0);
        openTerm();

        vm.warp(START - 1);
        assertSettlementRefused(aSettlement(order, 1, false), Refusal.SecondsOutOfBounds);
        vm.warp(START);
        assertSettlementRefused(aSettlement(order, 1, false), Refusal.SecondsOutOfBounds);
        vm.warp(START + 1);
        assertSettlementRefused(aSettlement(order, 2, false), Refusal.SecondsOutOfBounds);
        pay(order, 1);
    }

    /// @notice P-21: a progress receipt prepays at most the guaranteed seconds, long before the term begins.
    function testPrepaymentOfATermLease() external {
        openTerm();
        assertSettlementRefused(aSettlement(order, MIN_SECONDS + 1, false), Refusal.SecondsOutOfBounds);

        pay(order, MIN_SECONDS);

        vm.warp(START + MIN_SECONDS);
        assertSettlementRefused(aSettlement(order, MIN_SECONDS + 1, false), Refusal.SecondsOutOfBounds);
        vm.warp(START + MIN_SECONDS + 1);
        pay(order, MIN_SECONDS + 1);
    }

    /// @notice P-21: both sides may close it before it begins, for anything up to the guaranteed seconds.
    function testSettleBeforeTheTerm(uint32 agreed) external {
        agreed = uint32(bound(agreed, 0, MIN_SECONDS));
        openTerm();
        remember();

        settle(aSettlement(order, agreed, true));

        credit(provider, earned(order, agreed) + bond(order));
        credit(client, total(order) - earned(order, agreed));
        assertClosed(order, 0, agreed);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- exits

    /// @notice P-21, take-or-pay: terminating before the term begins costs the guaranteed seconds, prepaid or not.
    function testTerminateBeforeTheTerm(bool prepaid) external {
        openTerm();
        if (prepaid) pay(order, MIN_SECONDS);
        vm.warp(START - 1);
        remember();

        vm.prank(client);
        market.terminate(order);

        uint32 p = prepaid ? MIN_SECONDS : 0;
        credit(provider, earned(order, MIN_SECONDS) - earned(order, p) + bond(order));
        credit(client, total(order) - earned(order, MIN_SECONDS));
        assertClosed(order, p, MIN_SECONDS);
    }

    /// @notice P-21: within the term, terminating pays what has elapsed of it, until the second before the deadline.
    function testTerminateWithinTheTerm() external {
        openTerm();
        vm.warp(DEADLINE);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE, DEADLINE));
        market.terminate(order);

        vm.warp(START + 1_000);
        remember();
        vm.prank(client);
        market.terminate(order);
        credit(provider, earned(order, 1_000) + bond(order));
        credit(client, total(order) - earned(order, 1_000));
        assertClosed(order, 0, 1_000);
    }

    /// @notice P-21: a term lease cannot be declined, not in the second in which it was opened, and not within the start grace.
    function testATermLeaseIsNotDeclined() external {
        order.startsAt = uint40(NOW + 1);
        openTerm();
        id = market.orderId(order);
        bytes memory reason = abi.encodeWithSelector(IComputeMarket.TermLease.selector, id, NOW + 1);

        vm.prank(provider);
        vm.expectRevert(reason);
        market.decline(order);
        skip(2);
        vm.prank(provider);
        vm.expectRevert(reason);
        market.decline(order);
    }

    /// @notice P-21: a claim waits for the guaranteed seconds of the term, and is bound by what has elapsed of it.
    function testClaimOfATermLease() external {
        openTerm();
        uint256 from = START + MIN_SECONDS;
        vm.warp(from - 1);
        assertClaimReverts(0, abi.encodeWithSelector(IComputeMarket.TooEarly.selector, from - 1, from));
        vm.warp(from);
        assertClaimReverts(
            MIN_SECONDS + 1,
            abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, MIN_SECONDS + 1, 0, MIN_SECONDS)
        );
        vm.warp(DEADLINE);
        assertClaimReverts(1, abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE, DEADLINE));

        vm.warp(DEADLINE - 1);
        claim(order, MAX_SECONDS);
    }

    /// @notice P-21: a dispute waits for the start grace of the term.
    function testDisputeOfATermLease() external {
        openTerm();
        uint256 from = START + START_GRACE;
        vm.warp(from - 1);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooEarly.selector, from - 1, from));
        market.dispute(order);

        vm.warp(from);
        disputeAs(client, order);
        vm.assertEq(leaseOf(order).claimedSeconds, START_GRACE, "what has elapsed of the term");
    }

    /// @notice P-21: a term lease expires at its own deadline, not at that of an order that began when it was opened.
    function testExpireOfATermLease() external {
        openTerm();
        vm.warp(DEADLINE - 1);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooEarly.selector, DEADLINE - 1, DEADLINE));
        market.expire(order);

        vm.warp(DEADLINE);
        remember();
        market.expire(order);
        credit(client, total(order) + bond(order));
        assertClosed(order, 0, 0);
    }

    /// @notice P-21: cancelling a term lease lets it go on.
    function testCancelOfATermLease() external {
        openTerm();
        vm.prank(client);
        market.cancel(order);

        vm.assertTrue(leaseOf(order).noReopen, "not to be opened again");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "open");
    }

    // ---------------------------------------------------------------------------------------------------------------------------- the end of time

    /// @notice P-10: a lease whose deadline its word cannot hold is opened; from the last second of 32 bits on it can be neither claimed nor
    /// disputed, but terminated and expired.
    function testADeadlineBeyond32Bits() external {
        order.startsAt = type(uint32).max;
        openTerm();
        uint256 last = type(uint32).max;
        uint256 later = last + START_GRACE;
        vm.warp(later);
        assertClaimReverts(1, abi.encodeWithSelector(IComputeMarket.TimeTooLate.selector, later, last));
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TimeTooLate.selector, later, last));
        market.dispute(order);

        remember();
        vm.prank(client);
        market.terminate(order);
        credit(provider, earned(order, START_GRACE) + bond(order));
        credit(client, total(order) - earned(order, START_GRACE));
        assertClosed(order, 0, START_GRACE);
    }

    /// @notice P-10: a term that begins at the end of all times is terminated now, and expires then.
    function testATermThatBeginsNever(bool expired) external {
        order.startsAt = type(uint40).max;
        openTerm();
        remember();
        if (expired) {
            vm.warp(uint256(type(uint40).max) + MAX_SECONDS + CLAIM_GRACE);
            market.expire(order);
            credit(client, total(order) + bond(order));
            assertClosed(order, 0, 0);
        } else {
            vm.prank(acceptor);
            market.terminate(order);
            credit(provider, earned(order, MIN_SECONDS) + bond(order));
            credit(client, total(order) - earned(order, MIN_SECONDS));
            assertClosed(order, 0, MIN_SECONDS);
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function openTerm() private {
        openAs(provider, aFill(order));
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "the order opens");
    }

    function assertClaimReverts(uint32 usedSeconds, bytes memory reason) private {
        vm.prank(provider);
        vm.expectRevert(reason);
        market.claim(order, usedSeconds, RESULT);
    }
}
