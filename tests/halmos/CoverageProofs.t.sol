// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Coverage, Limits, Standing} from "../../contracts/finance/libraries/Coverage.sol";
import {Test} from "../solidity/Test.sol";

/// @notice What a vault lends and who gets what of an income, for every amount of 16 bits: what can be proven without multiplying two unknowns. The rest is
/// fuzzed at full width against its twin in Python.
contract CoverageProofs is Test {
    uint256 private constant ALL = 10_000;

    /// @notice F-2: the waterfall hands out what is free, no more than is owed goes to the vault, and nothing is held back once that is paid.
    function check_theWaterfallHandsOutWhatIsFree(uint16 free, uint16 served, uint16 ahead, uint16 owed, uint16 opexBps)
        external
        pure
    {
        vm.assume(opexBps <= ALL);
        (uint256 toVault, uint256 toOwner) = Coverage.split(free, served, ahead, owed, opexBps);

        assert(toVault <= owed && toVault + toOwner <= free);
        assert(toVault != owed || toVault + toOwner == free);
        assert(toVault == owed || free - toVault - toOwner <= Coverage.shareRoundedDown(ahead, opexBps));
    }

    /// @notice F-2: while something stays owed, the owner has running costs of what is served, and of nothing else.
    function check_theOwnerIsPaidForWhatIsServed(uint16 free, uint16 served, uint16 ahead, uint16 owed, uint16 opexBps)
        external
        pure
    {
        vm.assume(opexBps <= ALL);
        (uint256 toVault, uint256 toOwner) = Coverage.split(free, served, ahead, owed, opexBps);
        vm.assume(toVault < owed);

        assert(toOwner <= Coverage.shareRoundedDown(served, opexBps));
    }

    /// @notice F-12: a unit more of cover is a unit more that is covered.
    function check_aCoverCountsToTheUnit(
        uint16 due,
        uint16 balance,
        uint16 unshared,
        uint16 opexBps,
        uint16 reserve,
        uint16 cover
    ) external pure {
        vm.assume(opexBps <= ALL);
        uint256 less = Coverage.coveredRoundedDown(due, balance, unshared, opexBps, reserve, cover);
        uint256 more = Coverage.coveredRoundedDown(due, balance, unshared, opexBps, reserve, uint256(cover) + 1);

        assert(more == less + 1);
    }

    /// @notice V-8: nothing is drawn that is not there, nor beyond the cap of a loan.
    function check_aDrawIsThereAndWithinItsCap(uint16 cash, uint16 assets, uint16 principal, uint16 amount, uint16 cap)
        external
        pure
    {
        Standing memory standing;
        Limits memory limits;
        (standing.cash, standing.assets, standing.principal) = (cash, assets, principal);
        (limits.loanCapBps, limits.utilisationCapBps) = (cap, uint16(ALL));
        (uint8 rule,,) = Coverage.ruleOf(standing, limits, amount);
        vm.assume(rule == 0);

        assert(amount <= cash);
        assert((uint256(principal) + amount) * ALL <= uint256(assets) * cap);
    }

    /// @notice V-4, V-2: on nobody's word no more is lent than reserve and cover hold at maturity.
    function check_nobodysWordIsNotNeeded(
        uint16 principal,
        uint16 interest,
        uint16 reserve,
        uint16 cover,
        uint16 amount
    ) external pure {
        Standing memory standing;
        Limits memory limits;
        (standing.cash, standing.assets) = (type(uint32).max, type(uint32).max);
        (standing.principal, standing.interest) = (principal, interest);
        (standing.reserve, standing.cover) = (reserve, cover);
        (limits.loanCapBps, limits.utilisationCapBps, limits.reserveBps) = (uint16(ALL), uint16(ALL), 1_000);
        (uint8 rule,,) = Coverage.ruleOf(standing, limits, amount);
        vm.assume(rule == 0);

        uint256 held = uint256(reserve) + cover + Coverage.shareRoundedUp(amount, 1_000);
        assert(uint256(principal) + interest + amount <= held);
    }

    /// @notice V-6: at beta 0, what is owed less the reserve, and what was paid ahead, is no more than the bond; unless all of it is covered.
    function check_walkingAwayGainsNothing(
        uint16 bond,
        uint16 unearned,
        uint16 principal,
        uint16 reserve,
        uint16 due,
        uint16 amount
    ) external pure {
        Standing memory standing;
        Limits memory limits;
        standing.isPinned = true;
        (standing.cash, standing.assets) = (type(uint32).max, type(uint32).max);
        (standing.bond, standing.unearned, standing.due) = (bond, unearned, due);
        (standing.principal, standing.reserve) = (principal, reserve);
        (limits.loanCapBps, limits.utilisationCapBps, limits.obligorCapBps) = (uint16(ALL), uint16(ALL), uint16(ALL));
        (uint8 rule,,) = Coverage.ruleOf(standing, limits, amount);
        uint256 owed = uint256(principal) + amount;
        vm.assume(rule == 0 && owed > reserve);

        assert(owed - reserve + unearned <= bond);
    }

    /// @notice V-12: what nobody has, nobody draws, whatever else is there.
    function check_moreThanThereIsIsRefused(Standing memory standing, uint16 cash, uint16 more) external pure {
        Limits memory limits;
        standing.cash = cash;
        vm.assume(more != 0);
        (uint8 rule, uint256 attempted, uint256 allowed) = Coverage.ruleOf(standing, limits, uint256(cash) + more);

        assert(rule == 8 && attempted > allowed);
    }

    /// @notice V-7: with nothing to be drawn early, nothing is, unless all of it is covered.
    function check_nothingIsDrawnTooEarly(uint16 bond, uint16 reserve, uint16 cover, uint16 amount) external pure {
        Standing memory standing;
        Limits memory limits;
        (standing.isPinned, standing.isEarly, standing.bond) = (true, true, bond);
        (standing.cash, standing.assets) = (type(uint32).max, type(uint32).max);
        (standing.reserve, standing.cover) = (reserve, cover);
        (limits.loanCapBps, limits.utilisationCapBps, limits.obligorCapBps) = (uint16(ALL), uint16(ALL), uint16(ALL));
        (uint8 rule,,) = Coverage.ruleOf(standing, limits, amount);

        assert(rule != 0 || amount <= uint256(reserve) + cover);
    }

    /// @notice S-3: of income that was paid ahead, no more than is there counts as the lender's, and cover and reserve always do.
    function check_whatWasPaidAheadIsNotTheLenders(
        uint16 balance,
        uint16 unshared,
        uint16 opexBps,
        uint16 reserve,
        uint16 cover
    ) external pure {
        vm.assume(unshared > balance);
        uint256 covered = Coverage.coveredRoundedDown(0, balance, unshared, opexBps, reserve, cover);
        uint256 others = uint256(reserve) + cover;

        assert(covered >= others && covered <= others + balance);
    }

    /// @notice V-7b: what was not lent bears no interest, nor does no time.
    function check_nothingLentBearsNothing(uint16 rate, uint16 time) external pure {
        assert(Coverage.interestRoundedUp(0, rate, time) == 0);
        assert(Coverage.interestRoundedUp(time, rate, 0) == 0);
    }
}
