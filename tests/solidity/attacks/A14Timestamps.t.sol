// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A14: every boundary in time, a second before, on, and a second after it. All intervals are half-open.
contract TimestampsAttack is AttackTest {
    Order private order;

    function setUp() public override {
        super.setUp();
        order = aFreeOrder(1);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- openings

    /// @notice A14: an order can be opened before its expiresAt.
    function testA14OrderExpiry() external {
        order.expiresAt = uint40(NOW + 1_000);
        assertUntil(NOW + 1_000, opener, callToOpen());
    }

    /// @notice A14: an offer can be filled before its expiresAt.
    function testA14OfferExpiry() external {
        vm.prank(provider);
        market.reprice(offer, PRICE, uint40(NOW + 1_000));
        assertUntil(NOW + 1_000, opener, callToOpen());
    }

    /// @notice A14: a delegate signs before its time is over.
    function testA14DelegatesTime() external {
        authorize(client, delegate, type(uint128).max, uint40(NOW + 1_000));
        Fill[] memory fills = new Fill[](1);
        fills[0] = aFill(order);
        fills[0].signature = sign(DELEGATE_KEY, market.orderId(order));
        assertUntil(NOW + 1_000, opener, abi.encodeCall(market.open, (fills, ROUND)));
    }

    /// @notice A14, P-21: before startsAt, an order is a term lease that only the provider opens; from then on anybody does.
    function testA14TermLeaseStart() external {
        order.startsAt = uint40(NOW + 1_000);
        assertFrom(NOW + 1_000, opener, callToOpen());
    }

    /// @notice A14: a declined order is opened again from the next second on.
    function testA14ReopeningAfterADecline() external {
        vm.warp(NOW + 1);
        serve(order);
        decline(order);
        vm.assertFalse(holdsAt(NOW + 1, opener, callToOpen()), "in the second of its opening");
        vm.assertTrue(holdsAt(NOW + 2, opener, callToOpen()), "a second later");
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- open

    /// @notice A14: a provider declines before openedAt + START_GRACE.
    function testA14DeclineEnds() external {
        serve(order);
        assertUntil(NOW + START_GRACE, provider, abi.encodeCall(market.decline, (order)));
    }

    /// @notice A14: a provider claims from start + minSeconds on.
    function testA14ClaimBegins() external {
        serve(order);
        assertFrom(NOW + MIN_SECONDS, provider, abi.encodeCall(market.claim, (order, 0, RESULT)));
    }

    /// @notice A14: a provider claims before the deadline.
    function testA14ClaimEnds() external {
        serve(order);
        assertUntil(deadline(), provider, abi.encodeCall(market.claim, (order, 0, RESULT)));
    }

    /// @notice A14: a client's side terminates before the deadline.
    function testA14TerminateEnds() external {
        serve(order);
        assertUntil(deadline(), client, abi.encodeCall(market.terminate, (order)));
    }

    /// @notice A14: anybody expires a lease from the deadline on: at no second can neither or both.
    function testA14ExpireBegins() external {
        serve(order);
        assertFrom(deadline(), stranger, abi.encodeCall(market.expire, (order)));
    }

    /// @notice A14: a client's side disputes an open lease from start + START_GRACE on, when it cannot be declined any more.
    function testA14DisputeBegins() external {
        serve(order);
        assertFrom(NOW + START_GRACE, client, abi.encodeCall(market.dispute, (order)));
    }

    /// @notice A14: a client's side disputes an open lease before the deadline.
    function testA14DisputeEnds() external {
        serve(order);
        assertUntil(deadline(), client, abi.encodeCall(market.dispute, (order)));
    }

    /// @notice A14: a receipt pays for a second once it has elapsed.
    function testA14ReceiptOfTheRunningSecond() external {
        serve(order);
        vm.warp(NOW + 100);
        bytes memory call = callToSettle(101);
        vm.assertFalse(holdsAt(NOW + 100, stranger, call), "not yet");
        vm.assertTrue(holdsAt(NOW + 101, stranger, call), "now");
    }

    /// @notice A14: nothing is metered beyond maxSeconds, however late a receipt comes.
    function testA14ReceiptBeyondMaxSeconds() external {
        serve(order);
        vm.assertFalse(holdsAt(deadline() + 1, stranger, callToSettle(MAX_SECONDS + 1)), "not paid for");
        vm.assertTrue(holdsAt(deadline() + 1, stranger, callToSettle(MAX_SECONDS)), "all that is");
    }

    /// @notice A14: a term lease is metered from its startsAt on, not from its opening.
    function testA14TermLeaseMetering() external {
        order.startsAt = uint40(NOW + 1_000);
        openAs(provider, aFill(order));
        vm.assertFalse(holdsAt(NOW + 1_060, stranger, callToSettle(61)), "60 have elapsed");
        vm.assertTrue(holdsAt(NOW + 1_061, stranger, callToSettle(61)), "61 have");
        assertFrom(NOW + 1_000 + MIN_SECONDS, provider, abi.encodeCall(market.claim, (order, 0, RESULT)));
    }

    // -------------------------------------------------------------------------------------------------------------------------- claimed, disputed

    /// @notice A14: a client's side disputes a claim before the challenge window ends.
    function testA14DisputeOfAClaimEnds() external {
        claimed();
        assertUntil(NOW + 600 + CHALLENGE_WINDOW, client, abi.encodeCall(market.dispute, (order)));
    }

    /// @notice A14: anybody finalizes a claim from the end of the challenge window on.
    function testA14FinalizeBegins() external {
        claimed();
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        assertFrom(NOW + 600 + CHALLENGE_WINDOW, stranger, abi.encodeCall(market.finalize, (orders)));
    }

    /// @notice A14: the arbiter rules before the ruling window ends.
    function testA14RuleEnds() external {
        disputed();
        assertUntil(NOW + 1_000 + RULING_WINDOW, arbiter, abi.encodeCall(market.rule, (order, 1, true)));
    }

    /// @notice A14: anybody lets a dispute lapse from the end of the ruling window on.
    function testA14LapseBegins() external {
        disputed();
        assertFrom(NOW + 1_000 + RULING_WINDOW, stranger, abi.encodeCall(market.lapse, (order)));
    }

    /// @notice A14: a claim that is disputed starts a window of its own.
    function testA14RulingWindowAfterAClaim() external {
        claimed();
        vm.warp(NOW + 600 + CHALLENGE_WINDOW - 1);
        dispute(order);
        assertUntil(timestamp() + RULING_WINDOW, arbiter, abi.encodeCall(market.rule, (order, 1, true)));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- jumps

    /// @notice A14: a chain that stood still over all deadlines, and goes on ten years later, pays as if every exit came at once.
    function testA14JumpOfTenYears() external {
        serve(order);
        claimed(2);
        vm.warp(NOW + 3_650 days);
        vm.assertFalse(attempt(provider, abi.encodeCall(market.claim, (order, 0, RESULT))), "too late");
        vm.assertFalse(attempt(client, abi.encodeCall(market.terminate, (order))), "too late");
        market.expire(order);
        finalize(served[1]);

        assertStatus(served[1], Status.Closed, "finalized");
        assertExact();
        assertCapacity();
    }

    /// @notice A14: many verbs in one second: opened, paid and closed without time passing, for what was guaranteed.
    function testA14EverythingInOneSecond() external {
        serve(order);
        pay(order, MIN_SECONDS);
        settle(aSettlement(order, MIN_SECONDS, true));

        assertStatus(order, Status.Closed, "closed");
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, MIN_SECONDS), "for what was guaranteed");
        assertExact();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function deadline() private view returns (uint256) {
        return NOW + order.maxSeconds + CLAIM_GRACE;
    }

    function callToOpen() private view returns (bytes memory) {
        Fill[] memory fills = new Fill[](1);
        fills[0] = aFill(order);
        return abi.encodeCall(market.open, (fills, ROUND));
    }

    function callToSettle(uint32 usedSeconds) private view returns (bytes memory) {
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = aSettlement(order, usedSeconds, false);
        return abi.encodeCall(market.settle, (settlements));
    }

    function claimed() private {
        serve(order);
        vm.warp(NOW + 600);
        claim(order, 600);
    }

    function claimed(uint256 salt) private {
        serve(aFreeOrder(salt));
        vm.warp(NOW + 600);
        claim(served[1], 600);
    }

    function disputed() private {
        serve(order);
        vm.warp(NOW + 1_000);
        dispute(order);
    }

    /// The call has an effect in the second before `end`, and none in that second or the next.
    function assertUntil(uint256 end, address who, bytes memory call) private {
        vm.assertTrue(holdsAt(end - 1, who, call), "a second before");
        vm.assertFalse(holdsAt(end, who, call), "on it");
        vm.assertFalse(holdsAt(end + 1, who, call), "a second after");
    }

    /// The call has an effect in the second `from` and the next, and none in the one before.
    function assertFrom(uint256 from, address who, bytes memory call) private {
        vm.assertFalse(holdsAt(from - 1, who, call), "a second before");
        vm.assertTrue(holdsAt(from, who, call), "on it");
        vm.assertTrue(holdsAt(from + 1, who, call), "a second after");
    }

    /// Whether the call changes the lease at that time; what it does is undone.
    function holdsAt(uint256 time, address who, bytes memory call) private returns (bool holds) {
        uint256 state = vm.snapshotState();
        bytes32 before = keccak256(abi.encode(leaseOf(order)));
        vm.warp(time);
        attempt(who, call);
        holds = keccak256(abi.encode(leaseOf(order))) != before;
        vm.revertToState(state);
    }
}
