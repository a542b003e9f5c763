// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IComputeMarket, Lease, Offer, Order, Status} from "../interfaces/IComputeMarket.sol";
import {Metering} from "../libraries/Metering.sol";
import {IAdvanceRules} from "./interfaces/IAdvanceRules.sol";
import {IAdvanceVault, Loan, LoanState, Survey, Terms} from "./interfaces/IAdvanceVault.sol";
import {IERC7540Operator, IERC7540Redeem} from "./interfaces/IERC7540.sol";
import {IProviderSpv} from "./interfaces/IProviderSpv.sol";
import {ISpvFactory} from "./interfaces/ISpvFactory.sol";
import {Coverage, Limits, Standing} from "./libraries/Coverage.sol";
import {Loans} from "./libraries/Loans.sol";

/// @title Advance rules
/// @dev The half of a vault that decides whether and how much is lent, and moves nothing: its vault makes it, and it reads that vault, the market and the
/// companies only. Two contracts because one would be too large (EIP-170).
contract AdvanceRules is IAdvanceRules {
    using Loans for Loan;
    using SafeCast for uint256;

    /// A draw before it is made.
    struct Appraisal {
        bytes32 id;
        // 0: the first of its loan.
        uint256 number;
        address owner;
        uint256 maturity;
        Loan loan;
        Standing standing;
    }

    uint256 private constant EARLY = 1 days;
    // asset, share, and what else ERC-7575 makes of a vault.
    bytes4 private constant VAULT_OF_ERC7575 = 0x2f0a18c5;

    // -------------------------------------------------------------------------------------------------------------------------------- immutables

    IAdvanceVault private immutable _vault;
    IComputeMarket private immutable _market;
    ISpvFactory private immutable _factory;
    address private immutable _arbiter;
    uint256 private immutable _maxTenor;
    uint256 private immutable _claimGrace;
    uint16 private immutable _coverShareBps;
    // Until everything about a lease is decided, from when its metering ends.
    uint256 private immutable _decision;

    // ----------------------------------------------------------------------------------------------------------------------------------- storage

    // Written by the constructor only.
    Terms private _terms;
    Limits private _limits;
    mapping(address client => bool) private _isObligor;

    // ------------------------------------------------------------------------------------------------------------------------------- constructor

    /// @param fixedTerms all that the vault, which is the caller, will ever be
    constructor(Terms memory fixedTerms) {
        _requireBounds(fixedTerms);
        _vault = IAdvanceVault(msg.sender);
        _market = IComputeMarket(fixedTerms.market);
        _factory = ISpvFactory(fixedTerms.factory);
        _arbiter = fixedTerms.arbiter;
        _maxTenor = fixedTerms.maxTenor;
        _coverShareBps = fixedTerms.coverShareBps;
        _claimGrace = _market.CLAIM_GRACE();
        _decision = _claimGrace + _market.CHALLENGE_WINDOW() + _market.RULING_WINDOW();
        _terms = fixedTerms;
        _limits = Limits({
            opexBps: fixedTerms.opexBps,
            dscrBps: fixedTerms.dscrBps,
            reserveBps: fixedTerms.reserveBps,
            betaBps: fixedTerms.betaBps,
            earlyBps: fixedTerms.earlyBps,
            loanCapBps: fixedTerms.loanCapBps,
            obligorCapBps: fixedTerms.obligorCapBps,
            utilisationCapBps: fixedTerms.utilisationCapBps,
            baseRate: fixedTerms.baseRate,
            slopeRate: fixedTerms.slopeRate
        });
        for (uint256 i = 0; i < fixedTerms.obligors.length; ++i) {
            _isObligor[fixedTerms.obligors[i]] = true;
        }
    }

    /// Only what would break the vault's promises: a bad bargain is the depositors' to see.
    function _requireBounds(Terms memory fixedTerms) private view {
        uint16[9] memory shares = [
            fixedTerms.opexBps,
            fixedTerms.reserveBps,
            fixedTerms.betaBps,
            fixedTerms.earlyBps,
            fixedTerms.coverShareBps,
            fixedTerms.exitBps,
            fixedTerms.loanCapBps,
            fixedTerms.obligorCapBps,
            fixedTerms.utilisationCapBps
        ];
        uint8[9] memory numbers = [6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (uint256 i = 0; i < 9; ++i) {
            if (shares[i] > Coverage.ALL_BPS) revert IAdvanceVault.BadTerms(numbers[i]);
        }
        if (ISpvFactory(fixedTerms.factory).market() != fixedTerms.market) revert IAdvanceVault.BadTerms(2);
        if (fixedTerms.arbiter == address(0)) revert IAdvanceVault.BadTerms(3);
        if (fixedTerms.obligors.length > 16) revert IAdvanceVault.BadTerms(4);
        for (uint256 i = 0; i < fixedTerms.obligors.length; ++i) {
            if (fixedTerms.obligors[i] == address(0)) revert IAdvanceVault.BadTerms(4);
        }
        if (fixedTerms.dscrBps < Coverage.ALL_BPS) revert IAdvanceVault.BadTerms(7);
        if (uint256(fixedTerms.baseRate) + fixedTerms.slopeRate > type(uint16).max) revert IAdvanceVault.BadTerms(17);
        if (fixedTerms.window == 0) revert IAdvanceVault.BadTerms(18);
        if (fixedTerms.maxLoans == 0 || fixedTerms.maxLoans > 32) revert IAdvanceVault.BadTerms(19);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- draws

    function appraise(Order calldata order, address spv, address borrower, uint256 amount, uint256 maxRateBps)
        external
        view
        returns (uint256 number, Loan memory loan, uint256 reserve)
    {
        (uint8 rule, Appraisal memory appraisal) = _appraise(order, spv);
        if (rule != 0) _refuse(rule, appraisal, order, spv);
        if (borrower != appraisal.owner) revert IAdvanceVault.NotOwner(borrower, appraisal.owner);
        if (amount == 0) revert IAdvanceVault.NothingOwed(appraisal.number);
        Limits memory limits = _limits;
        _requireRules(appraisal, limits, order, amount);
        uint256 rate = Coverage.rateRoundedUp(appraisal.standing, limits, amount);
        if (rate > maxRateBps) revert IAdvanceVault.RateTooHigh(rate, maxRateBps);

        (number, loan) = (appraisal.number, appraisal.loan);
        reserve = Coverage.shareRoundedUp(amount, limits.reserveBps);
        loan.interest = uint96(appraisal.standing.interest);
        loan.accruedAt = uint32(block.timestamp);
        loan.principal += amount.toUint96();
        loan.reserve += reserve.toUint96();
        // Safe: no rate exceeds the sum of the two, which fits.
        loan.rateBps = uint16(rate);
    }

    function limitOf(Order calldata order, address spv) external view returns (uint112 most, uint8 rule) {
        Appraisal memory appraisal;
        (rule, appraisal) = _appraise(order, spv);
        if (rule != 0) return (0, rule);
        Limits memory limits = _limits;
        uint256 high = Math.min(appraisal.standing.cash, type(uint96).max) + 1;
        uint256 low = 0;
        while (high - low > 1) {
            uint256 middle = (low + high) / 2;
            (uint8 broken,,) = Coverage.ruleOf(appraisal.standing, limits, middle);
            if (broken == 0) low = middle;
            else high = middle;
        }
        (rule,,) = Coverage.ruleOf(appraisal.standing, limits, high);
        return (uint112(low), rule);
    }

    /// All that decides how much may be drawn; or the rule, 1, 3 or 8, by which nothing may.
    function _appraise(Order calldata order, address spv)
        private
        view
        returns (uint8 rule, Appraisal memory appraisal)
    {
        appraisal.id = _market.orderId(order);
        Lease memory lease = _market.leaseOf(appraisal.id);
        Offer memory offer = _market.offerOf(lease.offer);
        if (!_factory.isSpv(spv) || !_isServed(order, lease, offer, appraisal.id, spv)) return (1, appraisal);
        appraisal.owner = IProviderSpv(spv).owner();
        appraisal.maturity = Math.max(order.startsAt, lease.openedAt) + order.maxSeconds + _decision;
        if (order.arbiter != _arbiter) return (3, appraisal);
        if (appraisal.maturity > Math.min(block.timestamp + _maxTenor, type(uint32).max)) return (3, appraisal);
        if (_vault.hasWriteOff(appraisal.owner)) return (8, appraisal);

        appraisal.number = _vault.loanOn(appraisal.id, lease.openedAt);
        if (appraisal.number == 0) {
            if (IProviderSpv(spv).creditor() != address(0)) return (1, appraisal);
            if (!_hasPlace()) return (8, appraisal);
            appraisal.loan = _newLoan(order, lease, appraisal, spv);
        } else {
            appraisal.loan = _vault.loanOf(appraisal.number);
            if (appraisal.loan.state != LoanState.Drawn) return (1, appraisal);
        }
        _measure(appraisal, order, lease, offer);
    }

    /// Whether one more loan can be counted: a written-off company that has nothing gives up its place.
    function _hasPlace() private view returns (bool) {
        uint256[] memory live = _vault.loans();
        if (live.length < _terms.maxLoans) return true;
        for (uint256 i = 0; i < live.length; ++i) {
            Loan memory loan = _vault.loanOf(live[i]);
            if (loan.state == LoanState.WrittenOff && _market.balanceOf(loan.spv) == 0) return true;
        }
        return false;
    }

    /// V-1, and that the deadline is not past: then nobody could claim any more. An income that no loan could count is nobody's either.
    function _isServed(Order calldata order, Lease memory lease, Offer memory offer, bytes32 id, address spv)
        private
        view
        returns (bool)
    {
        if (lease.status != Status.Open || offer.provider != spv || _market.payeeOf(id) != spv) return false;
        bool isTerm = order.startsAt > lease.openedAt;
        if (!isTerm && block.timestamp < lease.openedAt + _market.START_GRACE()) return false;
        uint256 end = Math.max(order.startsAt, lease.openedAt) + order.maxSeconds;
        if (block.timestamp >= end + _claimGrace) return false;
        return Metering.totalRoundedUp(lease.price, order.gpus, order.maxSeconds) <= type(uint96).max;
    }

    function _newLoan(Order calldata order, Lease memory lease, Appraisal memory appraisal, address spv)
        private
        view
        returns (Loan memory loan)
    {
        loan.spv = spv;
        loan.openedAt = lease.openedAt;
        // Safe: it is before maturity, which fits.
        loan.startsAt = uint32(Math.max(order.startsAt, lease.openedAt));
        loan.gpus = order.gpus;
        loan.state = LoanState.Drawn;
        loan.lease = appraisal.id;
        loan.price = lease.price;
        loan.minSeconds = order.minSeconds;
        loan.maxSeconds = order.maxSeconds;
        loan.accruedAt = uint32(block.timestamp);
        bool isAlone = order.acceptor == address(0) || order.acceptor == order.client;
        if (isAlone && _isObligor[order.client]) loan.obligor = order.client;
        loan.shared = uint96(loan.earnedOf(lease.paidSeconds));

        address backer = _vault.chosenBy(appraisal.owner, appraisal.id);
        (uint96 amount, uint40 openedAt) = _vault.coverOf(appraisal.id, backer);
        if (amount != 0 && openedAt == lease.openedAt) (loan.backer, loan.cover) = (backer, amount);
    }

    function _measure(Appraisal memory appraisal, Order calldata order, Lease memory lease, Offer memory offer)
        private
        view
    {
        Standing memory standing = appraisal.standing;
        Loan memory loan = appraisal.loan;
        Survey memory survey = surveyOf(loan.obligor);
        uint256 elapsed = loan.elapsedOf(block.timestamp);
        uint256 paid = loan.earnedOf(lease.paidSeconds);
        uint256 total = Metering.totalRoundedUp(lease.price, order.gpus, order.maxSeconds);

        standing.isPinned = loan.obligor != address(0);
        standing.isEarly = elapsed < EARLY || lease.paidSeconds < EARLY;
        if (standing.isPinned) standing.due = loan.dueOf(lease, _claimGrace, block.timestamp);
        standing.income = loan.earnedOf(order.maxSeconds) - paid;
        standing.unearned = Math.saturatingSub(paid, loan.earnedOf(elapsed));
        standing.bond = Metering.bondRoundedDown(total, offer.bondBps, _market.BOND_FLOOR());
        standing.balance = _market.balanceOf(loan.spv);
        (standing.unshared,) = loan.unsharedOf(lease, block.timestamp);
        standing.principal = loan.principal;
        standing.interest = loan.interestOf(block.timestamp);
        standing.reserve = loan.reserve;
        standing.cover = loan.cover;
        standing.rateBps = loan.rateBps;
        standing.secondsLeft = appraisal.maturity - block.timestamp;
        standing.cash = _vault.cash();
        standing.assets = survey.assets;
        standing.lent = survey.lent;
        standing.lentToObligor = survey.lentToObligor;
    }

    function _refuse(uint8 rule, Appraisal memory appraisal, Order calldata order, address spv) private view {
        if (rule == 8) revert IAdvanceVault.CapExceeded(1, 0);
        if (rule == 1) revert IAdvanceVault.NotServed(appraisal.id, spv);
        if (order.arbiter != _arbiter) revert IAdvanceVault.WrongArbiter(order.arbiter, _arbiter);
        revert IAdvanceVault.TooLong(appraisal.maturity, block.timestamp + _maxTenor);
    }

    function _requireRules(Appraisal memory appraisal, Limits memory limits, Order calldata order, uint256 amount)
        private
        pure
    {
        (uint8 rule, uint256 attempted, uint256 allowed) = Coverage.ruleOf(appraisal.standing, limits, amount);
        if (rule == 2) revert IAdvanceVault.NotObligor(order.client);
        if (rule == 5) revert IAdvanceVault.NotCovered(attempted, allowed);
        if (rule == 6) revert IAdvanceVault.WalkAway(attempted, allowed);
        if (rule == 7) revert IAdvanceVault.TooEarlyToDraw(amount);
        if (rule == 8) revert IAdvanceVault.CapExceeded(attempted, allowed);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- views

    // By the worst exit of every lease that needs nobody's word.
    function surveyOf(address obligor) public view returns (Survey memory survey) {
        survey.assets = _vault.cash();
        uint256[] memory live = _vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            Loan memory loan = _vault.loanOf(live[i]);
            if (loan.state == LoanState.WrittenOff) {
                survey.assets += Math.min(loan.principal, _market.balanceOf(loan.spv));
                continue;
            }
            Lease memory lease = _market.leaseOf(loan.lease);
            uint256 owed = loan.owedOf(block.timestamp);
            uint256 covered =
                loan.coveredOf(lease, _claimGrace, _market.balanceOf(loan.spv), _limits.opexBps, block.timestamp);
            if (covered < owed) survey.isImpaired = true;
            if (lease.status == Status.Disputed) {
                uint256 oldest = survey.disputedSince;
                survey.disputedSince = oldest == 0 ? lease.changedAt : Math.min(oldest, lease.changedAt);
            }
            survey.lent += owed;
            if (loan.obligor == obligor) survey.lentToObligor += owed;
            uint256 backers = loan.backer == address(0) ? 0 : _coverShareBps;
            survey.assets += Coverage.claimRoundedDown(
                Math.min(owed, covered), loan.interestOf(block.timestamp), backers
            );
        }
    }

    // More income can be unshared than is free: then part of what is free is the owner's as soon as it is served, and the company, which knows only shares,
    // would count it. It is added to what is owed, so that no floor is too low.
    function debtOn(bytes32 lease, uint40 openedAt)
        external
        view
        returns (uint256 owed, uint256 reserve, uint16 opexBps)
    {
        Loan memory loan = _vault.loanOf(_vault.loanOn(lease, openedAt));
        owed = loan.owedOf(block.timestamp);
        (reserve, opexBps) = (loan.reserve, _limits.opexBps);
        (uint256 unshared,) = loan.unsharedOf(_market.leaseOf(lease), block.timestamp);
        if (owed == 0 || unshared == 0) return (owed, reserve, opexBps);
        uint256 free = _market.balanceOf(loan.spv);
        owed += Coverage.shareRoundedDown(free, Coverage.ALL_BPS - opexBps)
        - Coverage.coveredRoundedDown(0, free, unshared, opexBps, 0, 0);
    }

    function isObligor(address client) external view returns (bool) {
        return _isObligor[client];
    }

    function terms() external view returns (Terms memory) {
        return _terms;
    }

    function dueOf(uint256 number) external view returns (uint256) {
        Loan memory loan = _vault.loanOf(number);
        return loan.dueOf(_market.leaseOf(loan.lease), _claimGrace, block.timestamp);
    }

    function coveredOf(uint256 number) external view returns (uint256) {
        Loan memory loan = _vault.loanOf(number);
        Lease memory lease = _market.leaseOf(loan.lease);
        return loan.coveredOf(lease, _claimGrace, _market.balanceOf(loan.spv), _limits.opexBps, block.timestamp);
    }

    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IERC7540Operator).interfaceId
            || interfaceId == type(IERC7540Redeem).interfaceId || interfaceId == VAULT_OF_ERC7575;
    }
}
