// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Offer, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {BudgetWord, Budgets} from "../../contracts/libraries/Budgets.sol";
import {LeaseWord, Leases} from "../../contracts/libraries/Leases.sol";
import {Metering} from "../../contracts/libraries/Metering.sol";
import {Listing, Offers} from "../../contracts/libraries/Offers.sol";
import {VolumeWord} from "../../contracts/libraries/Volumes.sol";
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

    /// @notice Exit table, expire: the compensation is the bond, but at most T.
    function testCompensationIsTheSmaller(uint256 total, uint256 bond) external pure {
        uint256 compensation = Metering.compensation(total, bond);

        vm.assertTrue(compensation <= total && compensation <= bond, "neither is exceeded");
        vm.assertTrue(compensation == total || compensation == bond, "one is reached");
    }

    /// @notice Exit table, rule: the arbiter's half is rounded down, and the winner's is the rest.
    function testFeeIsRoundedDown(uint256 stake) external pure {
        uint256 fee = Metering.feeRoundedDown(stake);

        vm.assertTrue(fee <= stake - fee && stake - fee - fee <= 1, "floor");
    }

    /// @notice Exit table, lapse: h = p + floor((m - p) / 2), where m is at least p.
    function testSplitIsRoundedDown(uint32 paid, uint32 disputed) external pure {
        uint256 split = Metering.splitRoundedDown(paid, disputed);
        uint256 most = disputed > paid ? disputed : paid;

        vm.assertTrue(split >= paid && split <= most, "between p and m");
        vm.assertTrue(
            split - paid <= most - split && (most - split) - (split - paid) <= 1, "in the middle, rounded down"
        );
    }
}

/// @notice The packed word says what was put into it, and nothing else changes.
contract LeasesTest is Test {
    /// @notice A new serving stores its three facts, and whether a budget was charged.
    function testOpenedWord(uint40 offer, uint80 price, uint32 time, bool charged) external pure {
        Lease memory expected;
        expected.status = Status.Open;
        expected.tipPaid = true;
        expected.offer = offer;
        expected.price = price;
        expected.openedAt = time;
        expected.charged = charged;

        assertWord(Leases.opened(offer, price, time, charged), expected);
    }

    /// @notice Every step changes its own fields only, from any word.
    function testEveryStepChangesItsOwnFields(uint40 offer, uint80 price, uint32 time, uint32 paid, uint32 claimed)
        external
        pure
    {
        LeaseWord word = Leases.opened(offer, price, time, price % 2 == 1).withPaidSeconds(type(uint32).max);
        word = word.withPaidSeconds(paid);
        Lease memory expected = word.unpacked();
        vm.assertEq(expected.paidSeconds, paid, "overwritten, not or-ed");
        vm.assertEq(expected.price, price, "the price stays");
        vm.assertEq(expected.openedAt, time, "the opening stays");

        word = word.withNoReopen();
        expected.noReopen = true;
        assertWord(word, expected);

        word = word.withAssigned();
        expected.assigned = true;
        assertWord(word, expected);

        word = word.claimed(claimed, time);
        expected.status = Status.Claimed;
        expected.claimedSeconds = claimed;
        expected.changedAt = time;
        assertWord(word, expected);

        word = word.disputed(paid, claimed, claimed % 2 == 1);
        expected.status = Status.Disputed;
        expected.claimedSeconds = paid;
        expected.changedAt = claimed;
        expected.byAcceptor = claimed % 2 == 1;
        assertWord(word, expected);

        word = word.closed(claimed);
        expected.status = Status.Closed;
        expected.paidSeconds = claimed;
        assertWord(word, expected);
    }

    /// @notice P-24, I-7: a decline keeps tipPaid, charged and openedAt, and nothing else of any word.
    function testDeclinedKeepsTipChargeAndOpening(uint256 bits) external pure {
        // Any word with a status that exists.
        LeaseWord word = LeaseWord.wrap(bits >> 3 << 3 | bound(bits & 7, 0, 4));
        Lease memory expected;
        expected.tipPaid = word.tipPaid();
        expected.charged = word.charged();
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

/// @notice An offer in two words: what was put into it, and nothing else changes.
contract OfferWordsTest is Test {
    /// @notice P-20: every field comes back as it was listed.
    function testWhatIsPackedIsUnpacked(Offer memory offer) external pure {
        assertListing(Offers.packed(offer), offer);
    }

    /// @notice I-3: GPUs that are taken are free again when they are freed, and no other field is touched on the way.
    function testTakenAndFreed(Offer memory offer, uint16 count) external pure {
        count = uint16(bound(count, 0, offer.free));
        Listing memory listing = Offers.packed(offer);

        listing.offer = listing.offer.taken(count);
        offer.free -= count;
        assertListing(listing, offer);
        listing.offer = listing.offer.freed(count);
        offer.free += count;
        assertListing(listing, offer);
    }

    /// @notice P-20: a new price and a new expiry replace the old ones, whatever those were, and no other field.
    function testPriceAndExpiryAreReplaced(Offer memory offer, uint80 price, uint40 expiresAt) external pure {
        Listing memory listing = Offers.packed(offer);

        listing.offer = listing.offer.withExpiresAt(expiresAt);
        listing.terms = listing.terms.withPrice(price);

        offer.expiresAt = expiresAt;
        offer.price = price;
        assertListing(listing, offer);
    }

    function assertListing(Listing memory listing, Offer memory expected) private pure {
        vm.assertEq(keccak256(abi.encode(Offers.unpacked(listing))), keccak256(abi.encode(expected)), "the offer");
    }
}

/// @notice A class's volume in one word.
contract VolumesTest is Test {
    /// @notice I-11: payments and GPU-seconds add up, each in its half, and wrap around, each for itself.
    function testHalvesAddUpAndWrapAlone(uint256 bits, uint128 amount, uint64 usage) external pure {
        VolumeWord word = VolumeWord.wrap(bits);
        VolumeWord next = word.plus(amount, usage);

        unchecked {
            vm.assertTrue(next.paid() == uint128(bits) + amount, "paid");
            vm.assertTrue(next.gpuSeconds() == uint128(bits >> 128) + usage, "GPU-seconds");
        }
    }
}

/// @notice A delegate's budget in one word.
contract BudgetsTest is Test {
    /// @notice I-7: what is packed is unpacked, and spending takes from what is left, and nothing from the time.
    function testSpendingTakesFromWhatIsLeft(uint128 left, uint40 until, uint128 cost) external pure {
        cost = uint128(bound(cost, 0, left));
        BudgetWord word = Budgets.packed(left, until);
        vm.assertEq(word.left(), left, "left");
        vm.assertEq(word.until(), until, "until");

        word = word.spent(cost);

        vm.assertEq(word.left(), left - cost, "what remains");
        vm.assertEq(word.until(), until, "the time stays");
    }
}
