// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @notice How a dispute ends: the arbiter rules, or its window passes (exit table, rule and lapse).
contract RulingTest is LedgerTest {
    uint32 internal constant ELAPSED = 2_000;

    Order internal order;
    bytes32 internal id;
    address internal disputer;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        disputer = client;
    }

    // --------------------------------------------------------------------------------------------------------------------------------- exit table

    /// @notice Exit table, rule with the provider at fault: r+ is paid, the provider's bond goes to disputer and arbiter, the stake goes back.
    function testRuleAgainstTheProvider(uint32 p, uint32 q, uint32 r, bool byAcceptor) external {
        (p, q) = reach(p, q, byAcceptor);
        r = uint32(bound(r, 0, q));
        uint32 s = r > p ? r : p;
        uint256 half = bond(order) / 2;
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseRuled(
            id,
            true,
            s,
            earned(order, s) - earned(order, p),
            total(order) - earned(order, s),
            0,
            2 * bond(order) - half,
            half
        );
        rule(order, r, true);

        credit(provider, earned(order, s) - earned(order, p));
        credit(client, total(order) - earned(order, s));
        credit(disputer, 2 * bond(order) - half);
        credit(arbiter, half);
        assertClosed(order, p, s);
    }

    /// @notice Exit table, rule with the provider not at fault: r+ is paid, the stake goes to provider and arbiter, the bond goes back.
    function testRuleForTheProvider(uint32 p, uint32 q, uint32 r, bool byAcceptor) external {
        (p, q) = reach(p, q, byAcceptor);
        r = uint32(bound(r, 0, q > p ? q : p));
        uint32 s = r > p ? r : p;
        uint256 half = bond(order) / 2;
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseRuled(
            id,
            false,
            s,
            earned(order, s) - earned(order, p),
            total(order) - earned(order, s),
            2 * bond(order) - half,
            0,
            half
        );
        rule(order, r, false);

        credit(provider, earned(order, s) - earned(order, p) + 2 * bond(order) - half);
        credit(client, total(order) - earned(order, s));
        credit(arbiter, half);
        assertClosed(order, p, s);
    }

    /// @notice Exit table, lapse: stakes go back, and of the disputed seconds half, rounded down, is paid.
    function testLapseSplitsTheDisputedSeconds(uint32 p, uint32 q, bool byAcceptor) external {
        (p, q) = reach(p, q, byAcceptor);
        uint32 h = p + (q > p ? (q - p) / 2 : 0);
        skip(RULING_WINDOW);
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseLapsed(
            id, h, earned(order, h) - earned(order, p), total(order) - earned(order, h), bond(order), bond(order)
        );
        lapse(order);

        credit(provider, earned(order, h) - earned(order, p) + bond(order));
        credit(client, total(order) - earned(order, h));
        credit(disputer, bond(order));
        assertClosed(order, p, h);
    }

    /// @notice Exit table, rule: what was paid beyond the claim stays paid, whoever is at fault, and the client gets no less than the rest.
    function testRuleNeverTakesBackWhatWasPaid(bool atFault) external {
        openAndClaim(500);
        disputeAs(client, order);
        pay(order, 800);
        uint256 half = bond(order) / 2;
        remember();

        rule(order, 100, atFault);

        credit(atFault ? client : provider, 2 * bond(order) - half);
        credit(client, total(order) - earned(order, 800));
        credit(arbiter, half);
        assertClosed(order, 800, 800);
    }

    /// @notice Exit table, lapse with p > q: nothing is in dispute any more, and nothing more is paid.
    function testLapseWithMorePaidThanClaimed() external {
        openAndClaim(500);
        disputeAs(client, order);
        pay(order, 800);
        skip(RULING_WINDOW);
        remember();

        lapse(order);

        credit(provider, bond(order));
        credit(client, total(order) - earned(order, 800) + bond(order));
        assertClosed(order, 800, 800);
    }

    /// @notice Exit table, rule: of an odd bond the arbiter gets the smaller half, and nothing is lost.
    function testTheSmallerHalfIsTheArbiters(bool atFault) external {
        order.maxSeconds = 3_004;
        vm.assertEq(bond(order) % 2, 1, "an odd bond");
        openAndClaim(500);
        disputeAs(client, order);
        remember();

        rule(order, 500, atFault);

        credit(atFault ? client : provider, bond(order) + bond(order) / 2 + 1);
        credit(arbiter, bond(order) / 2);
        credit(provider, earned(order, 500));
        credit(client, total(order) - earned(order, 500));
        assertClosed(order, 0, 500);
    }

    // ------------------------------------------------------------------------------------------------------------------------- what was guaranteed

    /// @notice Exit table, lapse: of a lease that was disputed before its guaranteed seconds had passed, they are split, not what has elapsed; what was paid
    /// of them stays paid.
    function testLapseSplitsTheGuaranteedSeconds(uint32 p, uint32 early, bool late) external {
        order.minSeconds = 2_500;
        early = uint32(bound(early, START_GRACE, order.minSeconds - 1));
        p = uint32(bound(p, 0, order.minSeconds));
        id = open(order);
        if (!late && p != 0) pay(order, p);
        skip(early);
        disputeAs(client, order);
        if (late && p != 0) pay(order, p);
        uint32 h = p + (order.minSeconds - p) / 2;
        skip(RULING_WINDOW);
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseLapsed(
            id, h, earned(order, h) - earned(order, p), total(order) - earned(order, h), bond(order), bond(order)
        );
        lapse(order);

        credit(provider, earned(order, h) - earned(order, p) + bond(order));
        credit(client, total(order) - earned(order, h) + bond(order));
        assertClosed(order, p, h);
    }

    /// @notice Exit table, m: the guarantee counts up to the second before it has passed; from then on as much has elapsed.
    function testTheGuaranteeCountsUntilItHasPassed(uint32 when) external {
        order.minSeconds = 2_000;
        when = uint32(bound(when, order.minSeconds - 1, order.minSeconds + 1));
        open(order);
        skip(when);
        disputeAs(client, order);
        uint32 m = when < order.minSeconds ? order.minSeconds : when;

        assertRuleReverts(m + 1, false, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, m + 1, 0, m));
        skip(RULING_WINDOW);
        lapse(order);
        vm.assertEq(leaseOf(order).paidSeconds, m / 2, "half of m");
    }

    /// @notice Exit table, m: a claim of fewer seconds than were guaranteed waives the rest, in a lapse too.
    function testAClaimWaivesTheGuarantee() external {
        order.minSeconds = 1_000;
        openAndClaim(30);
        disputeAs(client, order);
        skip(RULING_WINDOW);

        lapse(order);

        vm.assertEq(leaseOf(order).paidSeconds, 15, "half of the claim");
    }

    /// @notice Exit table, m: a provider at fault is awarded nothing of a guarantee.
    function testAFaultForfeitsTheGuarantee() external {
        order.minSeconds = 2_500;
        open(order);
        skip(START_GRACE);
        disputeAs(client, order);

        assertRuleReverts(
            901, true, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 901, 0, START_GRACE)
        );
        assertRuleReverts(
            2_501, false, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 2_501, 0, 2_500)
        );
        rule(order, 2_500, false);
        vm.assertEq(leaseOf(order).paidSeconds, 2_500, "take or pay");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- bounds

    /// @notice An arbiter that finds the provider at fault awards at most what is in dispute.
    function testRuleAgainstTheProviderIsBoundByTheClaim() external {
        openAndClaim(30);
        disputeAs(client, order);

        assertRuleReverts(31, true, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 31, 0, 30));
        rule(order, 30, true);
    }

    /// @notice A provider that claimed fewer seconds than were guaranteed is awarded no more by an arbiter either.
    function testRuleForTheProviderAwardsNoGuaranteeThatWasWaived() external {
        openAndClaim(30);
        disputeAs(client, order);

        assertRuleReverts(31, false, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 31, 0, 30));
        rule(order, 30, false);
    }

    /// @notice An arbiter that does not awards at most what is in dispute, if that is more than the guaranteed seconds.
    function testRuleForTheProviderIsBoundByTheClaim() external {
        openAndClaim(700);
        disputeAs(client, order);

        assertRuleReverts(701, false, abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, 701, 0, 700));
        rule(order, 700, false);
    }

    /// @notice An arbiter rules until the second before the ruling window ends; from that second on the dispute lapses, and not a second earlier.
    function testRuleEndsWhereLapseBegins() external {
        openAndClaim(500);
        disputeAs(client, order);
        uint256 end = timestamp() + RULING_WINDOW;

        vm.warp(end - 1);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooEarly.selector, end - 1, end));
        market.lapse(order);
        vm.warp(end);
        assertRuleReverts(1, true, abi.encodeWithSelector(IComputeMarket.TooLate.selector, end, end));
        vm.warp(end + 1);
        assertRuleReverts(1, true, abi.encodeWithSelector(IComputeMarket.TooLate.selector, end + 1, end));

        vm.warp(end);
        lapse(order);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "lapsed");
    }

    /// @notice The arbiter may rule until the last second of its window.
    function testRuleInTheLastSecond() external {
        openAndClaim(500);
        disputeAs(client, order);
        skip(RULING_WINDOW - 1);

        rule(order, 1, true);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "ruled");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ errors

    /// @notice Only the order's arbiter rules.
    function testRuleByAnybodyElseReverts() external {
        openAndClaim(500);
        disputeAs(client, order);
        address[5] memory others = [client, provider, acceptor, opener, stranger];
        for (uint256 i = 0; i < 5; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotArbiter.selector, others[i], arbiter));
            market.rule(order, 1, true);
        }
    }

    /// @notice Only a disputed lease is ruled on or lapses, and once.
    function testOnlyADisputeEndsSo() external {
        id = market.orderId(order);
        assertNotDisputed(Status.None);
        open(order);
        assertNotDisputed(Status.Open);
        skip(1_000);
        claim(order, 500);
        assertNotDisputed(Status.Claimed);

        disputeAs(client, order);
        rule(order, 1, true);
        assertNotDisputed(Status.Closed);
    }

    /// @notice I-5: a lease that was ruled on or lapsed is closed for good.
    function testAnEndedDisputeIsNeverOpenedAgain(bool ruled) external {
        order.expiresAt = uint40(NOW + 20 days);
        openAndClaim(500);
        disputeAs(client, order);
        if (ruled) {
            rule(order, 1, true);
        } else {
            skip(RULING_WINDOW);
            lapse(order);
        }

        assertRefused(aFill(order), Refusal.OrderClosed);
        assertSettlementRefused(aSettlement(order, 500, true), Refusal.NotLive);
        assertFinalizeRefused(order, Refusal.NotClaimed);
    }

    // --------------------------------------------------------------------------------------------------------------------------- roles in one hand

    /// @notice P-07: an arbiter that is the client's acceptor and disputes wins or loses its own stake like anybody.
    function testAnArbiterThatIsTheAcceptor(bool atFault) external {
        acceptor = arbiter;
        order.acceptor = arbiter;
        deposit(arbiter, 10 * DOLLAR);
        openAndClaim(500);
        remember();
        disputeAs(arbiter, order);

        rule(order, 400, atFault);

        debit(arbiter, bond(order));
        credit(atFault ? arbiter : provider, 2 * bond(order) - bond(order) / 2);
        credit(arbiter, bond(order) / 2);
        credit(provider, earned(order, 400));
        credit(client, total(order) - earned(order, 400));
        assertClosed(order, 0, 400);
    }

    /// @notice P-07: a client that is the arbiter gets both parts.
    function testAnArbiterThatIsTheClient(bool atFault) external {
        arbiter = client;
        offer = list(provider);
        order.arbiter = client;
        openAndClaim(500);
        remember();
        disputeAs(client, order);

        rule(order, 400, atFault);

        debit(client, bond(order));
        credit(atFault ? client : provider, 2 * bond(order) - bond(order) / 2);
        credit(client, bond(order) / 2);
        credit(provider, earned(order, 400));
        credit(client, total(order) - earned(order, 400));
        assertClosed(order, 0, 400);
    }

    /// @notice P-07: a provider that is the acceptor, and disputes itself, loses to itself all but the arbiter's half.
    function testAProviderThatIsTheAcceptor(bool atFault) external {
        acceptor = provider;
        order.acceptor = provider;
        openAndClaim(500);
        remember();
        disputeAs(provider, order);

        rule(order, 400, atFault);

        debit(provider, bond(order) / 2);
        credit(provider, bond(order));
        credit(arbiter, bond(order) / 2);
        credit(provider, earned(order, 400));
        credit(client, total(order) - earned(order, 400));
        assertClosed(order, 0, 400);
    }

    /// @notice P-07: a client that is its own provider loses to itself all but the arbiter's half.
    function testAClientThatIsTheProvider(bool atFault) external {
        address other = provider;
        uint256 itsBalance = market.balanceOf(other);
        provider = client;
        offer = list(client);
        uint256 before = market.balanceOf(client);
        openAndClaim(500);
        disputeAs(client, order);

        rule(order, 400, atFault);

        vm.assertEq(before - market.balanceOf(client), TIP + bond(order) / 2, "the tip and the arbiter's half");
        vm.assertEq(market.balanceOf(arbiter), bond(order) / 2, "the arbiter's half");
        vm.assertEq(market.balanceOf(other), itsBalance, "nobody else's");
        vm.assertEq(market.offerOf(offer).free, GPUS, "all GPUs are free");
    }

    /// @notice P-07: of a dispute that lapses between a client and its own provider everything comes back.
    function testLapseOfAClientThatIsTheProvider() external {
        provider = client;
        offer = list(client);
        uint256 before = market.balanceOf(client);
        openAndClaim(500);
        disputeAs(client, order);
        skip(RULING_WINDOW);

        lapse(order);

        vm.assertEq(before - market.balanceOf(client), TIP, "all but the tip is back");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function openAndClaim(uint32 usedSeconds) private {
        id = open(order);
        skip(1_000);
        claim(order, usedSeconds);
    }

    /// @notice A lease in dispute, reached on one of four ways: with p seconds paid before or after it was disputed, and q in dispute, claimed or not.
    function reach(uint32 p, uint32 q, bool byAcceptor) private returns (uint32, uint32) {
        bool late = p % 2 == 1;
        bool isClaimed = q % 2 == 1;
        disputer = byAcceptor ? acceptor : client;
        id = open(order);
        skip(ELAPSED);
        p = uint32(bound(p, 0, ELAPSED));
        q = isClaimed ? uint32(bound(q, late ? 0 : p, ELAPSED)) : ELAPSED;

        if (!late && p != 0) pay(order, p);
        if (isClaimed) claim(order, q);
        disputeAs(disputer, order);
        if (late && p != 0) pay(order, p);
        vm.assertEq(leaseOf(order).claimedSeconds, q, "in dispute");
        return (p, q);
    }

    function assertRuleReverts(uint32 usedSeconds, bool atFault, bytes memory reason) private {
        vm.prank(arbiter);
        vm.expectRevert(reason);
        market.rule(order, usedSeconds, atFault);
    }

    function assertNotDisputed(Status status) private {
        bytes memory reason = abi.encodeWithSelector(IComputeMarket.NotDisputed.selector, id, status);
        assertRuleReverts(1, true, reason);
        vm.expectRevert(reason);
        market.lapse(order);
    }
}
