// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Receipt, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {SpvTest} from "./SpvTest.sol";

/// @notice S-2 and S-3: what a company signs, and how few seconds of a pledged lease.
contract SpvFloorTest is SpvTest {
    // ----------------------------------------------------------------------------------------------------------------------------------- signing

    /// @notice S-2: a receipt that its operator signed closes the lease in the market, in a batch that anybody posts.
    function testAnAgreedReceiptSettles() external {
        Order memory order = serveMonth();
        skip(3 days);
        settle(agreed(order, 2 days));

        assertStatus(order, Status.Closed, "closed");
        vm.assertEq(market.balanceOf(address(spv)), FUNDS + earned(order, 2 days), "paid, and the bond is back");
    }

    /// @notice S-2: a receipt that is not pledged is signed whatever it says, progress too.
    function testSignsWhatIsNotPledged() external {
        Order memory order = serveMonth();
        Receipt memory progress = receiptOf(order, 5, false);

        vm.assertEq(bytes32(answerTo(order, 0)), bytes32(VALID), "last");
        vm.assertEq(
            bytes32(spv.isValidSignature(market.receiptId(progress), blobOf(progress, OPERATOR_KEY))),
            bytes32(VALID),
            "progress"
        );
    }

    /// @notice S-2: another key's signature, and one under no receipt's digest, are none.
    function testSignsNothingElse() external {
        Order memory order = serveMonth();
        Receipt memory receipt = receiptOf(order, 5, true);
        bytes32 digest = market.receiptId(receipt);
        bytes32 message = keccak256("a message");

        assertInvalid(digest, blobOf(receipt, NEXT_KEY));
        assertInvalid(message, abi.encode(receipt, sign(OPERATOR_KEY, message)));
        assertInvalid(market.orderId(order), abi.encode(receipt, sign(OPERATOR_KEY, market.orderId(order))));
        assertInvalid(digest, sign(OPERATOR_KEY, digest));
        assertInvalid(digest, "");
    }

    /// @notice S-2: a company whose owner took the operator away signs nothing, and what recovers to nobody is nobody's.
    function testWithoutAnOperatorNothingIsSigned() external {
        Order memory order = serveMonth();
        vm.prank(owner);
        spv.setOperator(address(0));
        Receipt memory receipt = receiptOf(order, 5, true);

        vm.assertEq(bytes32(answerTo(order, 5)), bytes32(INVALID), "the earlier operator's");
        assertInvalid(market.receiptId(receipt), abi.encode(receipt, new bytes(65)));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- floor

    /// @notice S-3: the floor is 0 where nothing is pledged, or nothing is owed.
    function testFloorWithoutADebt() external {
        Order memory order = serveMonth();
        skip(25 days);
        vm.assertEq(spv.floorOf(order), 0, "not pledged");

        pledge(order);
        vm.assertEq(spv.floorOf(order), 0, "nothing owed");
        vm.assertEq(bytes32(answerTo(order, 0)), bytes32(VALID), "signed");
    }

    /// @notice S-3: of another lease of the same company it is 0.
    function testFloorOfAnotherLease() external {
        Order memory other = aMonth();
        (other.salt, other.gpus) = (2, 1);
        open(other);
        pledgedMonth(100_000 * DOLLAR);

        vm.assertEq(spv.floorOf(other), 0, "none");
        vm.assertEq(bytes32(answerTo(other, 0)), bytes32(VALID), "signed");
    }

    /// @notice S-3: before the guaranteed seconds have passed they are the floor, and then the clock is, SLACK behind.
    function testFloorMovesWithTheClock() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        assertFloor(order, GUARANTEED);
        vm.warp(NOW + GUARANTEED + SLACK);
        assertFloor(order, GUARANTEED);

        skip(1);
        assertFloor(order, GUARANTEED + 1);
        skip(5 days);
        assertFloor(order, GUARANTEED + 1 + 5 days);
        skip(10 days);
        vm.assertEq(spv.floorOf(order), MONTH - SLACK, "metering is over");
    }

    /// @notice S-3: a receipt for all that had elapsed can still be settled SLACK later, and not a second after that.
    function testAFairReceiptLastsForTheSlack() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        skip(25 days);
        Settlement memory settlement = agreed(order, 25 days);
        skip(SLACK + 1);
        vm.assertEq(bytes32(answerTo(order, 25 days)), bytes32(INVALID), "too late");
        vm.warp(timestamp() - 1);

        settle(settlement);
        assertStatus(order, Status.Closed, "in time");
    }

    /// @notice S-3: in a dispute the floor stays: it is not the mark of the vault, which falls to 0.
    function testFloorWhileDisputed() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        skip(25 days);
        vm.prank(client);
        market.dispute(order);
        skip(3 days);

        assertFloor(order, uint32(25 days - SLACK));
        vm.assertEq(bytes32(answerTo(order, 0)), bytes32(INVALID), "dispute, then both sign 0");
        settle(agreed(order, 25 days));
        assertStatus(order, Status.Closed, "agreed");
    }

    /// @notice S-3: of a claimed lease the claimed seconds stand for the clock.
    function testFloorWhileClaimed() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        skip(25 days);
        claimAs(operator, order, 25 days);
        skip(12 hours);

        assertFloor(order, uint32(25 days - SLACK));
    }

    /// @notice S-3: below the clock it may go as far as the creditor stays whole, and not a second further, whatever is owed and by whatever rate.
    function testFloorIsWhereTheCreditorIsWhole(uint256 owed, uint256 reserve, uint16 opex, uint32 paid) external {
        owed = bound(owed, 1, 6_000 * DOLLAR);
        reserve = bound(reserve, 0, 600 * DOLLAR);
        opex = uint16(bound(opex, 0, 10_000));
        paid = uint32(bound(paid, 0, 2 days));
        Order memory order = serveMonth();
        if (paid > 0) pay(order, paid);
        pledge(order);
        vault.say(owed, reserve, opex);
        vault.pay(spv, market.balanceOf(address(spv)) - 100 * DOLLAR);
        skip(25 days);
        uint32 floor = spv.floorOf(order);

        vm.assertLe(floor, uint32(25 days - SLACK), "never above the clock");
        vm.assertTrue(floor == 25 days - SLACK || isWhole(order, floor), "whole there");
        if (floor > paid) vm.assertFalse(isWhole(order, floor - 1), "not a second below");
    }

    /// @notice S-3: five days are refused that do not cover the debt, fifteen are signed that do: a rebate out of the owner's part.
    function testARebateOutOfTheOwnersPart() external {
        Order memory order = pledgedMonth(0);
        vault.pay(spv, market.balanceOf(address(spv)));
        vault.say(1_500 * DOLLAR, 100 * DOLLAR, 3_000);
        skip(25 days);

        vm.assertEq(bytes32(answerTo(order, 5 days)), bytes32(INVALID), "591 dollars for the creditor");
        vm.assertEq(bytes32(answerTo(order, 15 days)), bytes32(VALID), "1,773 dollars for the creditor");
    }

    /// @notice S-3: where all of the income is running costs, nothing below the clock is enough; nor where the GPUs earn nothing.
    function testNothingIsEnoughWhereNothingComes() external {
        Order memory order = pledgedMonth(DOLLAR);
        vault.pay(spv, market.balanceOf(address(spv)));
        vault.say(DOLLAR, 0, 10_000);
        assertFloor(order, GUARANTEED);

        vault.say(DOLLAR, DOLLAR, 10_000);
        vm.assertEq(spv.floorOf(order), 0, "the reserve covers it");

        spv = aCompany("free of charge");
        vm.prank(operator);
        offer = spv.list(CLASS, GPUS, BOND_BPS, 0, 0, uint40(NOW + 30 days), arbiter, "");
        order = aMonth();
        order.salt = 2;
        open(aFillAt(order, 0));
        pledge(order);
        vault.pay(spv, market.balanceOf(address(spv)));
        vault.say(DOLLAR, 0, 0);
        assertFloor(order, GUARANTEED);
    }

    /// @notice S-3: a creditor that does not answer is owed everything: the clock's floor is still signed, and nothing below it.
    function testASilentCreditorIsOwedEverything() external {
        Order memory order = pledgedMonth(DOLLAR);
        vault.fail();

        vm.assertEq(bytes32(answerTo(order, GUARANTEED)), bytes32(VALID), "the clock's floor");
        settle(agreed(order, GUARANTEED - 1));
        assertStatus(order, Status.Open, "below it the market refuses");
        settle(agreed(order, GUARANTEED));
        assertStatus(order, Status.Closed, "the floor settles");
    }

    /// @notice S-3: a progress receipt only pays, and is never below anything.
    function testProgressOfAPledgedLease() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        Receipt memory receipt = receiptOf(order, 1, false);

        vm.assertEq(
            bytes32(spv.isValidSignature(market.receiptId(receipt), blobOf(receipt, OPERATOR_KEY))),
            bytes32(VALID),
            "signed"
        );
    }

    /// @notice The rule of S-3 as the specification has it, without the floor's algebra.
    function isWhole(Order memory order, uint32 usedSeconds) private view returns (bool) {
        uint32 paid = leaseOf(order).paidSeconds;
        uint256 income = usedSeconds > paid ? earned(order, usedSeconds) - earned(order, paid) : 0;
        uint256 own = 10_000 - vault.opexBps();
        return own * (income + market.balanceOf(address(spv))) / 10_000 + vault.reserve() >= vault.owed();
    }

    function assertFloor(Order memory order, uint32 least) private view {
        vm.assertEq(spv.floorOf(order), least, "the floor");
        vm.assertEq(bytes32(answerTo(order, least)), bytes32(VALID), "signed there");
        vm.assertEq(bytes32(answerTo(order, least - 1)), bytes32(INVALID), "not a second below");
    }

    function assertInvalid(bytes32 digest, bytes memory blob) private view {
        vm.assertEq(bytes32(spv.isValidSignature(digest, blob)), bytes32(INVALID), "not signed");
    }
}
