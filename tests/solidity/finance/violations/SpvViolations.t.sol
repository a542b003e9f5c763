// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Receipt, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {BackstopTest} from "../BackstopTest.sol";

/// @notice One violation at a time of the rules of companies and their arbiter, at a time drawn at random: what is valid but for that is first shown to
/// be accepted, on a copy of the chain's state.
contract SpvViolationsTest is BackstopTest {
    uint32 private constant LATE = 25 days;
    Order private order;
    Receipt private receipt;
    bytes32 private digest;

    function setUp() public override {
        super.setUp();
        order = pledgedMonth(100_000 * DOLLAR);
    }

    // ------------------------------------------------------------------------------------------------------------------------------ S-2: signing

    /// @notice S-2: the receipt in the blob names another lease.
    function testViolationAnotherLease(uint256 wait, bytes32 lease) external {
        aValidReceipt(wait);
        receipt.lease = lease;
        assertNotSigned();
    }

    /// @notice S-2: the receipt in the blob names another offer.
    function testViolationAnotherOffer(uint256 wait, uint40 other) external {
        aValidReceipt(wait);
        vm.assume(other != receipt.offer);
        receipt.offer = other;
        assertNotSigned();
    }

    /// @notice S-2: the receipt in the blob names another serving.
    function testViolationAnotherServing(uint256 wait, uint40 openedAt) external {
        aValidReceipt(wait);
        vm.assume(openedAt != receipt.openedAt);
        receipt.openedAt = openedAt;
        assertNotSigned();
    }

    /// @notice S-2: the receipt in the blob names other seconds, more or fewer.
    function testViolationOtherSeconds(uint256 wait, uint32 usedSeconds) external {
        aValidReceipt(wait);
        vm.assume(usedSeconds != receipt.usedSeconds);
        receipt.usedSeconds = usedSeconds;
        assertNotSigned();
    }

    /// @notice S-2: the receipt in the blob names another result.
    function testViolationAnotherResult(uint256 wait, bytes32 result) external {
        aValidReceipt(wait);
        vm.assume(result != receipt.result);
        receipt.result = result;
        assertNotSigned();
    }

    /// @notice S-2: the receipt in the blob is not last.
    function testViolationNotLast(uint256 wait) external {
        aValidReceipt(wait);
        receipt.last = false;
        assertNotSigned();
    }

    /// @notice S-2: another key signed it.
    function testViolationAnotherKey(uint256 wait, uint256 key) external {
        aValidReceipt(wait);
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != OPERATOR_KEY);

        assertAnswer(abi.encode(receipt, sign(key, digest)), INVALID);
    }

    /// @notice S-2: the signature is the twin with a high s.
    function testViolationAMalleatedSignature(uint256 wait) external {
        aValidReceipt(wait);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(OPERATOR_KEY, digest);
        uint256 curve = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory twin = abi.encodePacked(r, bytes32(curve - uint256(s)), v == 27 ? uint8(28) : uint8(27));

        assertAnswer(abi.encode(receipt, twin), INVALID);
    }

    // -------------------------------------------------------------------------------------------------------------------------------- S-3: floor

    /// @notice S-3: a receipt of one second below the floor, while the lease is open.
    function testViolationAReceiptBelowTheFloor(uint256 wait) external {
        skip(bound(wait, 0, MONTH + CLAIM_GRACE - 1));
        assertFloorHolds();
    }

    /// @notice S-3: the same while it is claimed.
    function testViolationAReceiptBelowTheFloorOfAClaim(uint256 wait) external {
        skip(bound(wait, GUARANTEED, MONTH + CLAIM_GRACE - 1));
        claimAs(operator, order, spv.floorOf(order));
        skip(1 hours);
        assertFloorHolds();
    }

    /// @notice S-3: the same while it is disputed.
    function testViolationAReceiptBelowTheFloorOfADispute(uint256 wait) external {
        skip(bound(wait, START_GRACE, MONTH + CLAIM_GRACE - 1));
        dispute(order);
        skip(2 days);
        assertFloorHolds();
    }

    /// @notice S-3: a claim of one second below the floor.
    function testViolationAClaimBelowTheFloor(uint256 wait) external {
        skip(bound(wait, GUARANTEED, MONTH + CLAIM_GRACE - 1));
        uint32 floor = spv.floorOf(order);
        uint256 state = vm.snapshotState();
        claimAs(operator, order, floor);
        vm.revertToState(state);

        expectBelow(floor - 1, floor);
        claimAs(operator, order, floor - 1);
    }

    // ---------------------------------------------------------------------------------------------------------------------------- S-4, A-1: times

    /// @notice S-4: claimed for a silent operator before metering is over.
    function testViolationClaimedDueTooEarly(uint256 wait) external {
        skip(bound(wait, 0, MONTH - 1));
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.MeteringNotOver.selector, timestamp(), NOW + MONTH));
        spv.claimDue(order);

        vm.warp(NOW + MONTH);
        spv.claimDue(order);
        assertStatus(order, Status.Claimed, "a second later it holds");
    }

    /// @notice A-1: backstopped before the panel's time is over.
    function testViolationBackstoppedTooEarly(uint256 wait) external {
        skip(START_GRACE);
        dispute(order);
        uint256 from = timestamp() + RULING_WINDOW - STEP;
        skip(bound(wait, 0, RULING_WINDOW - STEP - 1));
        vm.expectRevert();
        backstop.backstop(order);

        vm.warp(from);
        backstop.backstop(order);
        assertStatus(order, Status.Closed, "then it holds");
    }

    /// @notice A-1: ruled by the panel when its time is over.
    function testViolationRuledTooLate(uint256 wait) external {
        skip(START_GRACE);
        dispute(order);
        uint256 end = timestamp() + RULING_WINDOW - STEP;
        skip(bound(wait, RULING_WINDOW - STEP, 2 * RULING_WINDOW));
        vm.expectRevert();
        ruleAs(panel, order, 0, true);

        vm.warp(end - 1);
        ruleAs(panel, order, 0, true);
        assertStatus(order, Status.Closed, "a second before it holds");
    }

    /// @notice A valid last receipt at some time, and its digest: shown to be signed.
    function aValidReceipt(uint256 wait) private {
        skip(bound(wait, 0, LATE));
        receipt = receiptOf(order, LATE, true);
        digest = market.receiptId(receipt);
        assertAnswer(blobOf(receipt, OPERATOR_KEY), VALID);
    }

    /// @notice Neither the operator's signature of what the blob says, nor that of what the market asks about, makes it valid.
    function assertNotSigned() private view {
        assertAnswer(blobOf(receipt, OPERATOR_KEY), INVALID);
        assertAnswer(abi.encode(receipt, sign(OPERATOR_KEY, digest)), INVALID);
    }

    function assertAnswer(bytes memory blob, bytes4 expected) private view {
        vm.assertEq(bytes32(spv.isValidSignature(digest, blob)), bytes32(expected), "the answer");
    }

    function assertFloorHolds() private view {
        uint32 floor = spv.floorOf(order);
        vm.assertEq(bytes32(answerTo(order, floor)), bytes32(VALID), "the floor is signed");
        vm.assertEq(bytes32(answerTo(order, floor - 1)), bytes32(INVALID), "a second below is not");
    }
}
