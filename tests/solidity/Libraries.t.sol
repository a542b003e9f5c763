// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LeaseWord, Leases} from "../../contracts/libraries/Leases.sol";
import {Metering} from "../../contracts/libraries/Metering.sol";
import {Test} from "./Test.sol";

/// @notice The arithmetic on money, against the formulas of P-03 and P-04.
contract MeteringTest is Test {
    /// @notice P-03: E is rounded down.
    function testEarnedIsRoundedDown(uint80 price, uint16 gpus, uint32 usedSeconds) external pure {
        uint256 exact = uint256(price) * gpus * usedSeconds;
        uint256 earned = Metering.earnedRoundedDown(price, gpus, usedSeconds);

        vm.assertTrue(earned * 3600 <= exact && exact < (earned + 1) * 3600, "floor");
    }

    /// @notice P-03: T is rounded up.
    function testTotalIsRoundedUp(uint80 price, uint16 gpus, uint32 maxSeconds) external pure {
        uint256 exact = uint256(price) * gpus * maxSeconds;
        uint256 total = Metering.totalRoundedUp(price, gpus, maxSeconds);

        vm.assertTrue(total * 3600 >= exact && total * 3600 < exact + 3600, "ceil");
    }

    /// @notice P-03: what is locked covers what can be earned, with less than one unit of dust.
    function testTheLockCoversWhatCanBeEarned(uint80 price, uint16 gpus, uint32 most, uint32 used) external pure {
        used = uint32(bound(used, 0, most));
        uint256 total = Metering.totalRoundedUp(price, gpus, most);

        vm.assertTrue(Metering.earnedRoundedDown(price, gpus, used) <= total, "covered");
        vm.assertTrue(total - Metering.earnedRoundedDown(price, gpus, most) <= 1, "no more than dust");
    }

    /// @notice P-03: the largest price, gang and time do not overflow.
    function testTheLargestNumbersFit() external pure {
        uint256 exact = uint256(type(uint80).max) * type(uint16).max * type(uint32).max;

        vm.assertEq(Metering.earnedRoundedDown(type(uint80).max, type(uint16).max, type(uint32).max), exact / 3600, "E");
        vm.assertEq(
            Metering.totalRoundedUp(type(uint80).max, type(uint16).max, type(uint32).max), (exact + 3599) / 3600, "T"
        );
    }

    /// @notice P-03: units, by hand: 2 GPUs at 3 dollars for 90 minutes are 9 dollars.
    function testUnitsByHand() external pure {
        vm.assertEq(Metering.earnedRoundedDown(3e6, 2, 5400), 9e6, "E");
        vm.assertEq(Metering.totalRoundedUp(3e6, 2, 5400), 9e6, "T");
        vm.assertEq(Metering.earnedRoundedDown(1, 1, 3599), 0, "E of less than a unit");
        vm.assertEq(Metering.totalRoundedUp(1, 1, 1), 1, "T of less than a unit");
    }

    /// @notice P-04: the bond is the share, rounded down, and never below the floor.
    function testBondIsTheShareOrTheFloor(uint128 total, uint16 bondBps, uint128 floor) external pure {
        bondBps = uint16(bound(bondBps, 0, 10_000));
        uint256 share = uint256(total) * bondBps / 10_000;

        vm.assertEq(Metering.bondRoundedDown(total, bondBps, floor), share < floor ? floor : share, "bond");
    }
}

/// @notice The packed word says what was put into it, and nothing else changes.
contract LeasesTest is Test {
    /// @notice A new serving stores its three facts.
    function testOpenedWord(uint40 offer, uint80 price, uint32 time) external pure {
        Lease memory expected;
        expected.status = Status.Open;
        expected.tipPaid = true;
        expected.offer = offer;
        expected.price = price;
        expected.openedAt = time;

        assertWord(Leases.opened(offer, price, time), expected);
    }

    /// @notice Every step changes its own fields only, from any word.
    function testEveryStepChangesItsOwnFields(uint40 offer, uint80 price, uint32 time, uint32 paid, uint32 claimed)
        external
        pure
    {
        LeaseWord word = Leases.opened(offer, price, time).withPaidSeconds(type(uint32).max).withPaidSeconds(paid);
        Lease memory expected = word.unpacked();
        vm.assertEq(expected.paidSeconds, paid, "overwritten, not or-ed");
        vm.assertEq(expected.price, price, "the price stays");
        vm.assertEq(expected.openedAt, time, "the opening stays");

        word = word.withNoReopen();
        expected.noReopen = true;
        assertWord(word, expected);

        word = word.claimed(claimed, time);
        expected.status = Status.Claimed;
        expected.claimedSeconds = claimed;
        expected.changedAt = time;
        assertWord(word, expected);

        word = word.closed(claimed);
        expected.status = Status.Closed;
        expected.paidSeconds = claimed;
        assertWord(word, expected);
    }

    /// @notice P-24: a decline keeps tipPaid and openedAt, and nothing else of any word.
    function testDeclinedKeepsTipAndOpening(uint256 bits) external pure {
        // Any word with a status that exists, and no bit beyond the highest field.
        LeaseWord word = LeaseWord.wrap(bits >> 4 << 3 | bound(bits & 7, 0, 4));
        Lease memory expected;
        expected.tipPaid = word.tipPaid();
        expected.openedAt = word.openedAt();

        assertWord(word.declined(), expected);
    }

    /// @notice Open, Claimed and Disputed are live.
    function testLiveStates() external pure {
        for (uint256 i = 0; i <= uint256(Status.Closed); ++i) {
            vm.assertTrue(LeaseWord.wrap(i).isLive() == (i == 1 || i == 2 || i == 3), "live");
        }
    }

    function assertWord(LeaseWord word, Lease memory expected) private pure {
        vm.assertEq(keccak256(abi.encode(word.unpacked())), keccak256(abi.encode(expected)), "the word");
    }
}
