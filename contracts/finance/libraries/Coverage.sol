// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice The shares by which a vault lends: basis points, and the two rates basis points a year. Fixed when it is deployed.
struct Limits {
    uint16 opexBps;
    uint16 dscrBps;
    uint16 reserveBps;
    uint16 betaBps;
    uint16 earlyBps;
    uint16 loanCapBps;
    uint16 obligorCapBps;
    uint16 utilisationCapBps;
    uint16 baseRate;
    uint16 slopeRate;
}

/// @notice All that decides how much may be drawn, as of one second; token base units unless it says otherwise.
struct Standing {
    // The client is one of the vault's obligors, and nobody else may act for it (V-2).
    bool isPinned;
    // Less than a day has elapsed, or was paid for (V-7).
    bool isEarly;
    // What is surely still to come of the lease; 0 unless it is pinned.
    uint256 due;
    // The most that is still to come of it.
    uint256 income;
    // What was paid and is not served yet.
    uint256 unearned;
    // What the provider has at stake.
    uint256 bond;
    // The company's free balance in the market.
    uint256 balance;
    // Income of the lease of which the owner had no share yet.
    uint256 unshared;
    uint256 principal;
    uint256 interest;
    uint256 reserve;
    uint256 cover;
    uint256 rateBps;
    // Until the last second at which the lease can be undecided.
    uint256 secondsLeft;
    // Of the vault.
    uint256 cash;
    uint256 assets;
    // Owed on all loans, and on those that rest on this client.
    uint256 lent;
    uint256 lentToObligor;
}

/// @title Coverage
/// @notice How much may be lent, what a loan is worth, and who gets what of its income. Nothing but arithmetic; `marketplace/domain/finance.py` is its twin.
/// @dev Nothing overflows where amounts are below 2^128: a share adds 16 bits, a rate over 2^32 seconds 48.
library Coverage {
    uint256 internal constant ALL_BPS = 10_000;
    uint256 internal constant YEAR = 365 days;

    /// @notice What a share of an amount is.
    function shareRoundedDown(uint256 amount, uint256 bps) internal pure returns (uint256) {
        return amount * bps / ALL_BPS;
    }

    /// @notice What a share of an amount is.
    function shareRoundedUp(uint256 amount, uint256 bps) internal pure returns (uint256) {
        return Math.ceilDiv(amount * bps, ALL_BPS);
    }

    /// @notice Simple interest, on principal alone (V-7b).
    function interestRoundedUp(uint256 principal, uint256 rateBps, uint256 time) internal pure returns (uint256) {
        return Math.ceilDiv(principal * rateBps * time, ALL_BPS * YEAR);
    }

    /// @notice What stands behind a loan. The owner's part of what comes in does not.
    /// @dev Its part of prepaid income waits in the market until it is served, so that more income can be unshared than there is free balance: then
    /// that part is not the lender's either, and is taken off as it is.
    function coveredRoundedDown(
        uint256 due,
        uint256 balance,
        uint256 unshared,
        uint256 opexBps,
        uint256 reserve,
        uint256 cover
    ) internal pure returns (uint256 covered) {
        if (unshared <= balance) {
            return shareRoundedDown(due + balance, ALL_BPS - opexBps) + reserve + cover;
        }
        uint256 owners = Math.min(balance, shareRoundedUp(unshared, opexBps));
        return shareRoundedDown(due, ALL_BPS - opexBps) + balance - owners + reserve + cover;
    }

    /// @notice The part of what is owed that is the vault's own: the rest of its interest is the backer's.
    function claimRoundedDown(uint256 owed, uint256 interest, uint256 coverShareBps) internal pure returns (uint256) {
        return owed - shareRoundedUp(Math.min(interest, owed), coverShareBps);
    }

    /// @notice The waterfall: running costs out of income that is served, then what is owed, then the owner.
    /// @param free the company's free balance in the market
    /// @param served income that was paid and served, and not shared yet
    /// @param ahead income that was paid and is not served yet; 0 once the lease is closed: then nothing is held back any more
    /// @return toVault at most what is owed
    /// @return toOwner running costs, and everything as soon as nothing is owed any more
    function split(uint256 free, uint256 served, uint256 ahead, uint256 owed, uint256 opexBps)
        internal
        pure
        returns (uint256 toVault, uint256 toOwner)
    {
        toOwner = Math.min(free, shareRoundedDown(served, opexBps));
        uint256 held = Math.min(free - toOwner, shareRoundedDown(ahead, opexBps));
        toVault = Math.min(free - toOwner - held, owed);
        if (toVault == owed) toOwner = free - toVault;
    }

    /// @notice The rate of a draw: it rises with how much is lent then (V-9), and is mixed with that of earlier draws (V-7b).
    function rateRoundedUp(Standing memory standing, Limits memory limits, uint256 amount)
        internal
        pure
        returns (uint256)
    {
        uint256 lent = Math.min(standing.lent + amount, standing.assets);
        uint256 slope = standing.assets == 0 ? 0 : Math.ceilDiv(lent * limits.slopeRate, standing.assets);
        uint256 rate = limits.baseRate + slope;
        uint256 principal = standing.principal + amount;
        if (principal == 0) return rate;
        return Math.ceilDiv(standing.principal * standing.rateBps + amount * rate, principal);
    }

    /// @notice The first rule that forbids to draw so much, by its number: 2 or 5 to 8; 0 if none does. With what it attempts and what is allowed, where
    /// that is one number.
    function ruleOf(Standing memory standing, Limits memory limits, uint256 amount)
        internal
        pure
        returns (uint8 rule, uint256 attempted, uint256 allowed)
    {
        (attempted, allowed) = _capOf(standing, limits, amount);
        if (attempted > allowed) return (8, attempted, allowed);
        (rule, attempted, allowed) = _creditOf(standing, limits, amount);
        if (rule != 0 || !standing.isEarly || _isCovered(standing, limits, amount)) return (rule, attempted, allowed);

        // At most a share of what the rules would allow: then they allow what it is that share of.
        if (limits.earlyBps == 0) return (7, amount, 0);
        uint256 whole = Math.ceilDiv((standing.principal + amount) * ALL_BPS, limits.earlyBps) - standing.principal;
        (rule, attempted, allowed) = _creditOf(standing, limits, whole);
        if (rule != 0) rule = 7;
    }

    /// V-8: whichever of cash and the three caps is exceeded, else nothing.
    function _capOf(Standing memory standing, Limits memory limits, uint256 amount)
        private
        pure
        returns (uint256 attempted, uint256 allowed)
    {
        if (amount > standing.cash) return (amount, standing.cash);
        attempted = standing.principal + standing.interest + amount;
        allowed = shareRoundedDown(standing.assets, limits.loanCapBps);
        if (attempted > allowed) return (attempted, allowed);
        attempted = standing.lent + amount;
        allowed = shareRoundedDown(standing.assets, limits.utilisationCapBps);
        if (attempted > allowed || !standing.isPinned) return (attempted, allowed);
        attempted = standing.lentToObligor + amount;
        allowed = shareRoundedDown(standing.assets, limits.obligorCapBps);
    }

    /// V-4: what is owed at maturity is there already, and needs nobody's word.
    function _isCovered(Standing memory standing, Limits memory limits, uint256 amount) private pure returns (bool) {
        uint256 reserve = standing.reserve + shareRoundedUp(amount, limits.reserveBps);
        return _owedAtMaturity(standing, limits, amount) <= reserve + standing.cover;
    }

    /// V-4, V-2, V-5, V-6.
    function _creditOf(Standing memory standing, Limits memory limits, uint256 amount)
        private
        pure
        returns (uint8 rule, uint256 attempted, uint256 allowed)
    {
        if (_isCovered(standing, limits, amount)) return (0, 0, 0);
        if (!standing.isPinned) return (2, 0, 0);

        uint256 owedAtMaturity = _owedAtMaturity(standing, limits, amount);
        uint256 reserve = standing.reserve + shareRoundedUp(amount, limits.reserveBps);
        uint256 covered = coveredRoundedDown(
            standing.due, standing.balance, standing.unshared, limits.opexBps, reserve, standing.cover
        );
        if (covered * ALL_BPS < limits.dscrBps * owedAtMaturity) {
            return (5, covered, shareRoundedUp(owedAtMaturity, limits.dscrBps));
        }

        attempted = Math.saturatingSub(standing.principal + standing.interest + amount, reserve) + standing.unearned;
        uint256 hope = shareRoundedDown(standing.income, ALL_BPS - limits.opexBps);
        allowed = standing.bond + shareRoundedDown(Math.saturatingSub(hope, owedAtMaturity), limits.betaBps);
        if (attempted > allowed) rule = 6;
    }

    function _owedAtMaturity(Standing memory standing, Limits memory limits, uint256 amount)
        private
        pure
        returns (uint256)
    {
        uint256 principal = standing.principal + amount;
        uint256 rate = rateRoundedUp(standing, limits, amount);
        return principal + standing.interest + interestRoundedUp(principal, rate, standing.secondsLeft);
    }
}
