// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {Loan, LoanState} from "../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {Coverage, Limits, Standing} from "../../../contracts/finance/libraries/Coverage.sol";
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

    /// A lease of an obligor of which 1,000 are to come, 700 of them the lender's; no interest, no caps, nothing held back.
    function aStanding() private pure returns (Standing memory standing, Limits memory limits) {
        (standing.isPinned, standing.due, standing.income, standing.bond) = (true, 1_000, 1_000, 100);
        (standing.cash, standing.assets, standing.secondsLeft) = (10_000, 10_000, 365 days);
        (limits.opexBps, limits.dscrBps, limits.earlyBps) = (3_000, 10_000, 5_000);
        (limits.loanCapBps, limits.obligorCapBps, limits.utilisationCapBps) = (10_000, 10_000, 10_000);
    }

    /// So much may be drawn, and a unit more is refused by this rule.
    function assertLimit(Standing memory standing, Limits memory limits, uint256 most, uint8 rule, string memory reason)
        private
        pure
    {
        (uint8 broken,,) = Coverage.ruleOf(standing, limits, most);
        vm.assertEq(broken, 0, reason);
        (broken,,) = Coverage.ruleOf(standing, limits, most + 1);
        vm.assertEq(broken, rule, reason);
    }

    /// @notice V-6: at beta 0 the bond is the limit; what is held back is added, what was paid ahead and what is owed already taken off.
    function testWalkingAway() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        assertLimit(standing, limits, 100, 6, "the bond");
        (standing.unearned, standing.reserve) = (30, 20);
        assertLimit(standing, limits, 90, 6, "less what was paid ahead, and what is held back");
        (standing.principal, standing.interest) = (40, 10);
        assertLimit(standing, limits, 40, 6, "less what is owed");
        limits.reserveBps = 1_000;
        assertLimit(standing, limits, 45, 6, "and a tenth of it is held back, rounded up");
    }

    /// @notice V-6: beta counts of what is hoped for beyond what will be owed, neither of all income nor of the bond.
    function testBeta() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        limits.betaBps = 5_000;
        assertLimit(standing, limits, 300, 6, "100 + (700 - 300) / 2");
        (, uint256 attempted, uint256 allowed) = Coverage.ruleOf(standing, limits, 301);
        vm.assertEq(attempted, 301, "what it attempts");
        vm.assertEq(allowed, 299, "what is allowed then");
        limits.betaBps = 10_000;
        assertLimit(standing, limits, 400, 6, "100 + 700 - 400");
        (standing.bond, standing.income) = (350, 300);
        assertLimit(standing, limits, 350, 6, "beyond all hope the bond alone counts");
    }

    /// @notice V-5: what stands behind a loan, over what is owed at maturity, interest included.
    function testCoverageOverWhatIsOwedAtMaturity() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        (standing.bond, limits.dscrBps) = (10_000, 12_000);
        assertLimit(standing, limits, 583, 5, "700 / 1.2");
        (, uint256 attempted, uint256 allowed) = Coverage.ruleOf(standing, limits, 584);
        vm.assertEq(attempted, 700, "what is covered");
        vm.assertEq(allowed, 701, "what is needed, rounded up");
        limits.baseRate = 1_000;
        assertLimit(standing, limits, 530, 5, "less a tenth a year");
        (standing.balance, standing.cover) = (100, 50);
        assertLimit(standing, limits, 620, 5, "and seven tenths of what is free, and all of a cover");
    }

    /// @notice V-4, V-2: what reserve and cover hold at maturity needs nobody's word, and without an obligor there is nothing else.
    function testCoveredLending() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        (standing.cover, standing.reserve, standing.bond, standing.unearned) = (200, 30, 0, 500);
        assertLimit(standing, limits, 230, 6, "with an obligor");
        standing.isPinned = false;
        assertLimit(standing, limits, 230, 2, "without");
        standing.isEarly = true;
        assertLimit(standing, limits, 230, 2, "early, too");
        limits.baseRate = 1_000;
        assertLimit(standing, limits, 209, 2, "at maturity: a tenth more is owed then");
    }

    /// @notice V-7: early at most a share of what V-5 and V-6 allow, earlier draws counted; nothing, if that share is 0.
    function testEarly() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        standing.isEarly = true;
        assertLimit(standing, limits, 50, 7, "half of the bond");
        standing.principal = 20;
        assertLimit(standing, limits, 30, 7, "less what was drawn");
        limits.earlyBps = 0;
        (uint8 rule,,) = Coverage.ruleOf(standing, limits, 1);
        vm.assertEq(rule, 7, "nothing");
        standing.isEarly = false;
        assertLimit(standing, limits, 80, 6, "a day later");
    }

    /// @notice V-8: money that is there, a loan, all loans, all loans on one obligor; of a client that is none, the last does not count.
    function testCaps() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        (standing.bond, standing.due, standing.income) = (10_000, 100_000, 100_000);
        standing.cash = 400;
        assertLimit(standing, limits, 400, 8, "what is there");
        limits.loanCapBps = 300;
        (uint8 rule,,) = Coverage.ruleOf(standing, limits, 400);
        vm.assertEq(rule, 8, "all that is there, too, is held against the other caps");
        (standing.cash, standing.principal, standing.interest, limits.loanCapBps) = (10_000, 70, 30, 1_000);
        assertLimit(standing, limits, 900, 8, "a tenth, less what is owed");
        (limits.loanCapBps, limits.utilisationCapBps, standing.lent) = (10_000, 5_000, 4_200);
        assertLimit(standing, limits, 800, 8, "half of all, less what is lent");
        (limits.obligorCapBps, standing.lentToObligor) = (2_000, 1_300);
        assertLimit(standing, limits, 700, 8, "a fifth, less what is lent to it");
        (standing.isPinned, standing.cover) = (false, 10_000);
        assertLimit(standing, limits, 800, 8, "nobody's word, nobody's cap");
    }

    /// @notice V-9, V-7b: base and slope at what is lent then, no more than all; mixed with what was drawn before, rounded up.
    function testRates() external pure {
        (Standing memory standing, Limits memory limits) = aStanding();
        (limits.baseRate, limits.slopeRate) = (200, 1_000);
        vm.assertEq(Coverage.rateRoundedUp(standing, limits, 0), 200, "nothing lent");
        vm.assertEq(Coverage.rateRoundedUp(standing, limits, 2_501), 451, "a quarter, rounded up");
        standing.lent = 9_000;
        vm.assertEq(Coverage.rateRoundedUp(standing, limits, 5_000), 1_200, "no more than all");
        (standing.principal, standing.rateBps) = (3_000, 400);
        vm.assertEq(Coverage.rateRoundedUp(standing, limits, 1_000), 600, "(3,000 * 400 + 1,000 * 1,200) / 4,000");
        vm.assertEq(Coverage.rateRoundedUp(standing, limits, 1_001), 601, "rounded up");
        standing.assets = 0;
        vm.assertEq(Coverage.rateRoundedUp(standing, limits, 3_000), 300, "without any assets there is no slope");
    }

    /// @notice F-2: running costs of what is served first, those of what was paid ahead held back, then the vault, then the owner.
    function testSplit() external pure {
        (uint256 toVault, uint256 toOwner) = Coverage.split(1_000, 600, 200, 5_000, 3_000);
        vm.assertEq(toOwner, 180, "three tenths of what is served");
        vm.assertEq(toVault, 760, "and 60 are held back");
        (toVault, toOwner) = Coverage.split(1_000, 600, 200, 500, 3_000);
        vm.assertEq(toVault, 500, "all that is owed");
        vm.assertEq(toOwner, 500, "and everything else is the owner's");
        (toVault, toOwner) = Coverage.split(100, 600, 200, 500, 3_000);
        vm.assertEq(toOwner, 100, "no more than is there");
        vm.assertEq(toVault, 0, "which is nothing for others");
        (toVault, toOwner) = Coverage.split(200, 600, 200, 500, 3_000);
        vm.assertEq(toVault, 0, "what is held back is not the vault's");
        vm.assertEq(toOwner, 180, "nor the owner's yet");
    }

    /// @notice V-5, V-10: of what is due and free, the owner's part is not covered; of what was paid ahead it is taken off as it is.
    function testCovered() external pure {
        vm.assertEq(Coverage.coveredRoundedDown(1_000, 101, 101, 3_000, 10, 20), 800, "(1,000 + 101) * 0.7 + 30");
        vm.assertEq(Coverage.coveredRoundedDown(1_000, 100, 101, 3_000, 10, 20), 799, "700 + 100 - 31 + 30");
        vm.assertEq(Coverage.coveredRoundedDown(0, 10, 101, 3_000, 0, 0), 0, "no more than is there");
        vm.assertEq(
            Coverage.claimRoundedDown(1_000, 101, 2_000), 979, "a fifth of the interest, rounded up, is the backer's"
        );
        vm.assertEq(Coverage.claimRoundedDown(50, 101, 2_000), 40, "of no more than is owed");
    }
}
