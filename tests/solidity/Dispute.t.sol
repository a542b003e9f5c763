// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Lease, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @notice Objecting to a lease, or to what the provider claims of it.
contract DisputeTest is LedgerTest {
    uint256 internal constant DEADLINE = NOW + MAX_SECONDS + CLAIM_GRACE;

    Order internal order;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        id = open(order);
    }

    // ------------------------------------------------------------------------------------------------------------------------------ what it does

    /// @notice I-2: disputing an open lease stakes B of the caller's balance, freezes what has elapsed, and frees the GPUs.
    function testDisputeOfAnOpenLease(uint32 elapsed) external {
        elapsed = uint32(bound(elapsed, START_GRACE, MAX_SECONDS + CLAIM_GRACE - 1));
        skip(elapsed);
        uint32 frozen = elapsed < MAX_SECONDS ? elapsed : MAX_SECONDS;
        Lease memory expected = leaseOf(order);
        expected.status = Status.Disputed;
        expected.claimedSeconds = frozen;
        expected.changedAt = uint32(NOW + elapsed);
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseDisputed(id, client, frozen, bond(order));
        disputeAs(client, order);

        debit(client, bond(order));
        assertLedger();
        assertLease(expected);
        vm.assertEq(market.offerOf(offer).free, GPUS, "the GPUs are free");
        vm.assertEq(market.payeeOf(id), provider, "still the provider's income");
    }

    /// @notice I-2: disputing a claim stakes B too, keeps what was claimed, and frees no GPUs a second time (I-3).
    function testDisputeOfAClaim() external {
        skip(1_000);
        claim(order, 700);
        skip(50);
        Lease memory expected = leaseOf(order);
        expected.status = Status.Disputed;
        expected.changedAt = uint32(NOW + 1_050);
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseDisputed(id, client, 700, bond(order));
        disputeAs(client, order);

        debit(client, bond(order));
        assertLedger();
        assertLease(expected);
        vm.assertEq(market.offerOf(offer).free, GPUS, "freed once");
    }

    /// @notice I-10: an acceptor stakes its own balance, never the client's, and the lease remembers who did.
    function testAnAcceptorStakesItsOwnBalance() external {
        skip(START_GRACE);
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseDisputed(id, acceptor, uint32(START_GRACE), bond(order));
        disputeAs(acceptor, order);

        debit(acceptor, bond(order));
        assertLedger();
        vm.assertTrue(leaseOf(order).byAcceptor, "the acceptor did");
    }

    /// @notice P-07: a client that is its own acceptor stakes once.
    function testAClientThatIsItsAcceptorStakesOnce() external {
        order.acceptor = client;
        order.salt = 2;
        open(order);
        skip(START_GRACE);
        remember();

        disputeAs(client, order);

        debit(client, bond(order));
        assertLedger();
        vm.assertFalse(leaseOf(order).byAcceptor, "the client did");
    }

    /// @notice P-23: GPUs that a dispute frees may serve somebody else, while the dispute goes on.
    function testDisputedGpusServeOthers() external {
        skip(START_GRACE);
        disputeAs(client, order);
        Order memory next = anOrder();
        next.salt = 2;
        next.gpus = GPUS;
        open(next);
        skip(RULING_WINDOW);

        lapse(order);

        vm.assertEq(market.offerOf(offer).free, 0, "not freed again");
    }

    /// @notice P-03: what was paid before stays paid; a dispute moves no pay.
    function testDisputeAfterProgress() external {
        skip(1_000);
        pay(order, 900);
        remember();

        disputeAs(client, order);

        debit(client, bond(order));
        assertLedger();
        vm.assertEq(leaseOf(order).paidSeconds, 900, "paid");
        vm.assertEq(leaseOf(order).claimedSeconds, 1_000, "in dispute");
    }

    /// @notice P-10: in Disputed a progress receipt still pays, and the lease stays disputed.
    function testProgressInDisputed() external {
        skip(1_000);
        disputeAs(client, order);

        pay(order, 800);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Disputed), "still disputed");
        vm.assertEq(leaseOf(order).claimedSeconds, 1_000, "what is in dispute");
    }

    /// @notice Exit table, settle last in Disputed: both sides agree on any seconds, and the stake goes back to who staked it.
    function testLastReceiptSettlesADispute(uint32 agreed, bool byAcceptor) external {
        address disputer = byAcceptor ? acceptor : client;
        skip(1_000);
        pay(order, 100);
        disputeAs(disputer, order);
        agreed = uint32(bound(agreed, 100, 1_000));
        remember();

        uint256 paid = earned(order, agreed) - earned(order, 100);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseSettled(
            id, agreed, RESULT, true, paid, total(order) - earned(order, agreed), bond(order), bond(order)
        );
        settle(aSettlement(order, agreed, true));

        credit(provider, paid + bond(order));
        credit(client, total(order) - earned(order, agreed));
        credit(disputer, bond(order));
        assertClosed(order, 100, agreed);
    }

    /// @notice P-10: the seconds that both sides may agree on go on with the time, whatever is in dispute.
    function testAgreementInDisputedMayPayBeyondWhatIsInDispute() external {
        skip(1_000);
        disputeAs(client, order);
        skip(500);
        assertSettlementRefused(aSettlement(order, 1_501, true), Refusal.SecondsOutOfBounds);
        remember();

        settle(aSettlement(order, 1_500, true));

        credit(provider, earned(order, 1_500) + bond(order));
        credit(client, total(order) - earned(order, 1_500) + bond(order));
        assertClosed(order, 0, 1_500);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- intervals

    /// @notice An open lease can be disputed from start + START_GRACE on, not a second earlier.
    function testDisputeBeginsAfterTheStartGrace() external {
        uint256 from = NOW + START_GRACE;
        vm.warp(from - 1);
        assertDisputeReverts(client, abi.encodeWithSelector(IComputeMarket.TooEarly.selector, from - 1, from));

        vm.warp(from);
        disputeAs(client, order);
    }

    /// @notice An open lease can be disputed until the second before the deadline.
    function testDisputeOfAnOpenLeaseEndsAtTheDeadline() external {
        vm.warp(DEADLINE);
        assertDisputeReverts(client, abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE, DEADLINE));
        vm.warp(DEADLINE + 1);
        assertDisputeReverts(client, abi.encodeWithSelector(IComputeMarket.TooLate.selector, DEADLINE + 1, DEADLINE));

        vm.warp(DEADLINE - 1);
        disputeAs(client, order);
    }

    /// @notice A claim can be disputed at once, even within the start grace.
    function testAClaimIsDisputedAtOnce() external {
        skip(MIN_SECONDS);
        claim(order, MIN_SECONDS);

        disputeAs(client, order);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Disputed), "disputed");
    }

    /// @notice A claim can be disputed until the second before its challenge window ends, past the deadline too.
    function testDisputeOfAClaimEndsWithTheChallengeWindow() external {
        vm.warp(DEADLINE - 1);
        claim(order, MAX_SECONDS);
        uint256 end = DEADLINE - 1 + CHALLENGE_WINDOW;
        vm.warp(end);
        assertDisputeReverts(client, abi.encodeWithSelector(IComputeMarket.TooLate.selector, end, end));
        vm.warp(end + 1);
        assertDisputeReverts(client, abi.encodeWithSelector(IComputeMarket.TooLate.selector, end + 1, end));

        vm.warp(end - 1);
        disputeAs(client, order);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ errors

    /// @notice Only the client's side disputes.
    function testDisputeByAnybodyElseReverts() external {
        skip(START_GRACE);
        address[4] memory others = [provider, opener, arbiter, stranger];
        for (uint256 i = 0; i < 4; ++i) {
            assertDisputeReverts(
                others[i], abi.encodeWithSelector(IComputeMarket.NotClientSide.selector, others[i], client, acceptor)
            );
        }
    }

    /// @notice Only an open or a claimed lease is disputed, and once.
    function testDisputeOfAnythingElseReverts() external {
        skip(START_GRACE);
        disputeAs(client, order);
        assertDisputeReverts(client, notDisputable(Status.Disputed));
        assertDisputeReverts(acceptor, notDisputable(Status.Disputed));

        settle(aSettlement(order, 1, true));
        assertDisputeReverts(client, notDisputable(Status.Closed));

        order.salt = 2;
        id = market.orderId(order);
        assertDisputeReverts(client, notDisputable(Status.None));
    }

    /// @notice I-10: a caller whose balance lacks one unit of the stake cannot dispute, whatever the other has.
    function testDisputeWithoutTheStakeReverts() external {
        skip(START_GRACE);
        uint256 short = bond(order) - 1;
        leaveOnly(acceptor, short);
        assertDisputeReverts(
            acceptor, abi.encodeWithSelector(IComputeMarket.BalanceTooLow.selector, acceptor, bond(order), short)
        );
        leaveOnly(client, short);
        assertDisputeReverts(
            client, abi.encodeWithSelector(IComputeMarket.BalanceTooLow.selector, client, bond(order), short)
        );

        deposit(client, 1);
        disputeAs(client, order);
        vm.assertEq(market.balanceOf(client), 0, "everything is staked");
    }

    /// @notice In Disputed nobody claims, finalizes, terminates, declines, expires or cancels: only ruling, lapsing and agreeing end it.
    function testADisputeShutsTheOtherExits() external {
        skip(START_GRACE);
        disputeAs(client, order);
        bytes memory notOpen = abi.encodeWithSelector(IComputeMarket.NotOpen.selector, id, Status.Disputed);

        vm.prank(provider);
        vm.expectRevert(notOpen);
        market.claim(order, 1, RESULT);
        vm.prank(client);
        vm.expectRevert(notOpen);
        market.terminate(order);
        vm.prank(provider);
        vm.expectRevert(notOpen);
        market.decline(order);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotCancellable.selector, id, Status.Disputed));
        market.cancel(order);
        vm.warp(DEADLINE + CHALLENGE_WINDOW);
        vm.expectRevert(notOpen);
        market.expire(order);
        assertFinalizeRefused(order, Refusal.NotClaimed);
        assertRefused(aFill(order), Refusal.OrderExpired);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function notDisputable(Status status) private view returns (bytes memory) {
        return abi.encodeWithSelector(IComputeMarket.NotDisputable.selector, id, status);
    }

    function leaveOnly(address account, uint256 amount) private {
        uint256 rest = market.balanceOf(account) - amount;
        vm.prank(account);
        market.withdraw(account, rest);
    }

    function assertDisputeReverts(address who, bytes memory reason) private {
        vm.prank(who);
        vm.expectRevert(reason);
        market.dispute(order);
    }

    function assertLease(Lease memory expected) private view {
        vm.assertEq(keccak256(abi.encode(leaseOf(order))), keccak256(abi.encode(expected)), "the lease");
    }
}
