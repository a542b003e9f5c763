// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {Loan, LoanState} from "../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {Coverage} from "../../../contracts/finance/libraries/Coverage.sol";
import {Loans} from "../../../contracts/finance/libraries/Loans.sol";
import {Filling, Queue} from "../../../contracts/finance/libraries/Queue.sol";
import {Test} from "../Test.sol";

/// @notice What a loan comes to, state by state; what no sequence of verbs comes to, too.
contract LoansTest is Test {
    uint256 private constant GRACE = 1 hours;

    function aLoan() private pure returns (Loan memory loan) {
        loan.openedAt = 1_000;
        loan.startsAt = 2_000;
        loan.gpus = 2;
        loan.price = 3_600;
        loan.state = LoanState.Drawn;
        loan.minSeconds = 100;
        loan.maxSeconds = 500;
        loan.accruedAt = 1_000;
    }

    function aLease(Status status) private pure returns (Lease memory lease) {
        lease.status = status;
        lease.openedAt = 1_000;
        lease.paidSeconds = 40;
    }

    /// @notice V-10: while open, the guarantee is due, then what has elapsed, less what is paid; from the deadline on nothing is.
    function testDueWhileOpen() external pure {
        Lease memory lease = aLease(Status.Open);

        vm.assertEq(Loans.dueOf(aLoan(), lease, GRACE, 1_500), 120, "before it begins");
        vm.assertEq(Loans.dueOf(aLoan(), lease, GRACE, 2_200), 320, "what has elapsed");
        vm.assertEq(Loans.dueOf(aLoan(), lease, GRACE, 2_500 + GRACE - 1), 920, "all of it");
        vm.assertEq(Loans.dueOf(aLoan(), lease, GRACE, 2_500 + GRACE), 0, "nobody can claim any more");
    }

    /// @notice V-10: what was claimed is due; of what is disputed or over nothing is; nor anything of another serving than the pledged one.
    function testDueOtherwise() external pure {
        Lease memory claimed = aLease(Status.Claimed);
        claimed.claimedSeconds = 300;
        Lease memory again = aLease(Status.Open);
        again.openedAt = 1_001;

        vm.assertEq(Loans.dueOf(aLoan(), claimed, GRACE, 2_600), 520, "claimed");
        vm.assertEq(Loans.dueOf(aLoan(), claimed, GRACE, 9_999_999), 520, "whenever");
        vm.assertEq(Loans.dueOf(aLoan(), aLease(Status.Disputed), GRACE, 2_200), 0, "disputed");
        vm.assertEq(Loans.dueOf(aLoan(), aLease(Status.Closed), GRACE, 2_200), 0, "over");
        vm.assertEq(Loans.dueOf(aLoan(), aLease(Status.None), GRACE, 2_200), 0, "never, or no more");
        vm.assertEq(Loans.dueOf(aLoan(), again, GRACE, 2_200), 0, "served anew");
        claimed.claimedSeconds = 10;
        vm.assertEq(Loans.dueOf(aLoan(), claimed, GRACE, 2_200), 0, "paid beyond what is claimed");
    }

    /// @notice What is paid is served as the clock goes, or as a claim or a dispute says; what was shared before is not counted again.
    function testUnshared() external pure {
        Loan memory loan = aLoan();
        Lease memory lease = aLease(Status.Open);
        (uint256 unshared, uint256 served) = Loans.unsharedOf(loan, lease, 2_010);
        vm.assertEq(unshared, 80, "all that is paid");
        vm.assertEq(served, 20, "ten seconds of it");

        loan.shared = 30;
        (unshared, served) = Loans.unsharedOf(loan, lease, 2_010);
        vm.assertEq(unshared, 50, "less what was shared");
        vm.assertEq(served, 0, "more was shared than is served");
        (lease.status, lease.changedAt, lease.claimedSeconds) = (Status.Claimed, 2_500, 25);
        (, served) = Loans.unsharedOf(loan, lease, 9_999);
        vm.assertEq(served, 20, "25 seconds, whatever the clock says");
    }

    /// @notice V-7b: simple interest on what is drawn, rounded up, and none on what is repaid or written off. It stops where its field ends.
    function testInterest() external pure {
        Loan memory loan = aLoan();
        (loan.principal, loan.rateBps, loan.interest) = (1_000_000, 1_000, 7);

        vm.assertEq(Loans.interestOf(loan, 1_000), 7, "no time");
        vm.assertEq(Loans.interestOf(loan, 1_001), 8, "a second, rounded up");
        vm.assertEq(Loans.owedOf(loan, 1_000 + 365 days), 1_100_007, "a tenth a year");
        loan.principal = type(uint112).max;
        vm.assertEq(Loans.interestOf(loan, type(uint40).max), type(uint96).max, "no more than fits");
        loan.state = LoanState.WrittenOff;
        vm.assertEq(Loans.owedOf(loan, 2_000), 0, "written off");
        loan.state = LoanState.Repaid;
        vm.assertEq(Loans.interestOf(loan, 2_000), 0, "repaid");
    }
}

/// @notice Who leaves with what, at full width.
contract QueueTest is Test {
    /// @notice F-9, F-10: two parts never come to more than the whole was given, and to a unit less at most; no share is lost between them.
    function testPartsAreTheFilling(uint128 pending, uint128 shares, uint128 assets, uint128 one) external pure {
        pending = uint128(bound(pending, 1, type(uint128).max));
        shares = uint128(bound(shares, 0, pending));
        one = uint128(bound(one, 0, pending));
        Filling memory filling = Filling(pending, shares, assets);
        (uint256 left, uint256 gone, uint256 paid) = Queue.take(one, filling);
        (uint256 otherLeft, uint256 otherGone, uint256 otherPaid) = Queue.take(pending - one, filling);

        vm.assertTrue(paid + otherPaid <= assets && paid + otherPaid + 1 >= assets, "what was paid");
        vm.assertTrue(gone + otherGone >= shares && gone + otherGone <= uint256(shares) + 1, "what left");
        vm.assertEq(left + gone, one, "nothing is lost");
        vm.assertEq(otherLeft + otherGone, pending - one, "of nobody");
    }

    /// @notice V-11: all leave where money is enough, at the price less what stays, rounded against them; else as many as it is enough for.
    function testFill() external pure {
        (uint256 shares, uint256 paid) = Queue.fill(1_000, 5_000, 3_001, 2_000, 10);
        vm.assertEq(shares, 1_000, "all leave");
        vm.assertEq(paid, 1_498, "1,500.5, less 1.5");
        (shares, paid) = Queue.fill(1_000, 749, 3_001, 2_000, 10);
        vm.assertEq(shares, 500, "half of it is there");
        vm.assertEq(paid, 749, "and is paid");
        (shares, paid) = Queue.fill(1, 5_000, 1, 2_000, 10);
        vm.assertEq(shares + paid, 0, "nobody leaves for nothing");
    }

    /// @notice F-11: no price is better than that of all shares.
    function testRoundingIsAgainstWhoLeaves(uint96 pending, uint96 cash, uint96 assets, uint96 supply, uint16 exitBps)
        external
        pure
    {
        (supply, exitBps) = (uint96(bound(supply, 1, type(uint96).max)), uint16(bound(exitBps, 0, 10_000)));
        pending = uint96(bound(pending, 0, supply));
        (uint256 shares, uint256 paid) = Queue.fill(pending, cash, assets, supply, exitBps);

        vm.assertTrue(paid * supply <= shares * assets && shares <= pending && paid <= cash, "against who leaves");
    }
}

/// @notice Shares of amounts.
contract CoverageTest is Test {
    /// @notice V-6: the parts of an amount are the amount, and the odd unit is the part's that is rounded up.
    function testTwoPartsAreTheWhole(uint128 amount, uint16 bps) external pure {
        bps = uint16(bound(bps, 0, 10_000));

        vm.assertEq(
            Coverage.shareRoundedDown(amount, bps) + Coverage.shareRoundedUp(amount, 10_000 - bps), amount, "the whole"
        );
    }

    /// @notice V-5: what stands behind a loan is no more than what is there.
    function testNoMoreIsCoveredThanIsThere(uint96 due, uint96 balance, uint96 unshared, uint16 opexBps) external pure {
        opexBps = uint16(bound(opexBps, 0, 10_000));
        uint256 covered = Coverage.coveredRoundedDown(due, balance, unshared, opexBps, 3, 4);

        vm.assertTrue(covered >= 7 && covered <= uint256(due) + balance + 7, "no more than is there");
        vm.assertTrue(covered * 10_000 <= (uint256(due) + balance) * (10_000 - opexBps) + 70_000, "nor the owner's");
    }
}
