// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IComputeMarket, Lease, Order, Status} from "../interfaces/IComputeMarket.sol";
import {AdvanceRules} from "./AdvanceRules.sol";
import {VaultShares} from "./VaultShares.sol";
import {Loan, LoanState, Survey, Terms} from "./interfaces/IAdvanceVault.sol";
import {IProviderSpv} from "./interfaces/IProviderSpv.sol";
import {Coverage} from "./libraries/Coverage.sol";
import {Loans} from "./libraries/Loans.sol";

/// @title Advance vault
/// @dev What every verb promises stands in the interface; each reads as the market's do: identify, check, effect, log, interaction. What depositors meet is
/// in VaultShares, what decides about loans in AdvanceRules; here is what moves with a loan. Market, factory and the factory's companies are code that is
/// known; the token is the only stranger, and is called after all is written. Reserves, covers and credits lie beside `_cash`.
contract AdvanceVault is VaultShares {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Loans for Loan;

    struct Cover {
        uint96 amount;
        uint40 openedAt;
    }

    uint256 private constant TIP_PART = 1_000;

    // ------------------------------------------------------------------------------------------------------------------------------------- immutables

    IComputeMarket private immutable _market;
    AdvanceRules private immutable _rules;
    uint256 private immutable _maxLoans;
    uint16 private immutable _opexBps;
    uint16 private immutable _coverShareBps;
    // One whole token.
    uint256 private immutable _mostTip;

    // ---------------------------------------------------------------------------------------------------------------------------------------- storage

    uint256 private _loanCount;
    uint256[] private _live;
    mapping(uint256 loan => Loan) private _loans;
    mapping(bytes32 key => uint256 loan) private _loanOn;
    mapping(bytes32 lease => mapping(address backer => Cover)) private _covers;
    mapping(address owner => mapping(bytes32 lease => address backer)) private _chosen;
    mapping(address owner => bool) private _hasWriteOff;
    mapping(address account => uint256) private _creditOf;

    // ------------------------------------------------------------------------------------------------------------------------------------ constructor

    /// @param fixedTerms all that the vault will ever be
    constructor(Terms memory fixedTerms)
        ERC20("Compute advance vault", "ADVANCE")
        ERC4626(IERC20(IComputeMarket(fixedTerms.market).token()))
        VaultShares(fixedTerms.window, IComputeMarket(fixedTerms.market).RULING_WINDOW(), fixedTerms.exitBps)
    {
        _rules = new AdvanceRules(fixedTerms);
        _market = IComputeMarket(fixedTerms.market);
        _maxLoans = fixedTerms.maxLoans;
        _opexBps = fixedTerms.opexBps;
        _coverShareBps = fixedTerms.coverShareBps;
        _mostTip = 10 ** (decimals() - _decimalsOffset());
    }

    // ---------------------------------------------------------------------------------------------------------------------------------------- backing

    function back(Order calldata order, uint96 amount) external nonReentrant {
        bytes32 id = _market.orderId(order);
        Lease memory lease = _market.leaseOf(id);
        Cover memory cover = _covers[id][msg.sender];
        if (
            lease.status != Status.Open || _loanOn[Loans.keyOf(id, lease.openedAt)] != 0
                || (cover.amount != 0 && cover.openedAt != lease.openedAt)
        ) revert NotBackable(id);
        _take(amount);

        _covers[id][msg.sender] = Cover(cover.amount + amount, lease.openedAt);

        emit Backed(id, msg.sender, cover.amount + amount);
    }

    function unback(bytes32 lease) external nonReentrant {
        uint256 amount = _covers[lease][msg.sender].amount;

        delete _covers[lease][msg.sender];

        emit Unbacked(lease, msg.sender, amount);
        IERC20(asset()).safeTransfer(msg.sender, amount);
    }

    function choose(bytes32 lease, address backer) external {
        _chosen[msg.sender][lease] = backer;

        emit BackerChosen(msg.sender, lease, backer);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------------- lending

    function draw(Order calldata order, address spv, uint112 amount, uint16 maxRateBps)
        external
        nonReentrant
        returns (uint256 number)
    {
        Loan memory loan;
        uint256 reserve;
        (number, loan, reserve) = _rules.appraise(order, spv, msg.sender, amount, maxRateBps);
        bool isFirst = number == 0;

        if (isFirst) number = _begin(loan);
        _loans[number] = loan;
        _cash -= amount;

        emit Drawn(number, loan.lease, spv, amount, reserve, loan.rateBps);
        if (isFirst) IProviderSpv(spv).pledge(loan.lease, loan.openedAt, order);
        IERC20(asset()).safeTransfer(msg.sender, amount - reserve);
    }

    function collect(uint256 number) external nonReentrant returns (uint256 toVault, uint256 toOwner) {
        return _collect(number, _owing(number));
    }

    function repay(uint256 number, uint112 amount) external nonReentrant {
        Loan memory loan = _owing(number);
        uint256 owed = loan.owedOf(block.timestamp);
        uint256 paid = Math.min(amount, owed);
        _take(paid);

        uint256 toBacker = _credit(loan, paid);
        if (paid == owed) _close(number, loan);
        _loans[number] = loan;

        emit Repaid(number, msg.sender, paid, toBacker, owed - paid);
        if (paid == owed) IProviderSpv(loan.spv).release();
    }

    function resolve(uint256 number) external nonReentrant returns (uint256 written) {
        Loan memory loan = _owing(number);
        Lease memory lease = _market.leaseOf(loan.lease);
        if (lease.status != Status.Closed) revert StillLive(loan.lease);
        _collect(number, loan);
        if (loan.state == LoanState.Repaid) return 0;

        uint256 owed = loan.owedOf(block.timestamp);
        uint256 fromReserve = Math.min(loan.reserve, owed);
        uint256 fromCover = Math.min(loan.cover, owed - fromReserve);
        written = owed - fromReserve - fromCover;
        loan.reserve -= uint96(fromReserve);
        loan.cover -= uint96(fromCover);
        _cash += fromReserve + fromCover;
        if (written == 0) {
            _close(number, loan);
        } else {
            // It keeps its place among the loans that count: what it still earns is the shares'.
            (loan.state, loan.principal, loan.interest) = (LoanState.WrittenOff, written.toUint112(), 0);
            _hasWriteOff[IProviderSpv(loan.spv).owner()] = true;
        }
        _loans[number] = loan;

        emit Resolved(number, fromReserve, fromCover, written);
        if (written == 0) IProviderSpv(loan.spv).release();
    }

    function recover(uint256 number) external nonReentrant {
        Loan memory loan = _loans[number];
        if (loan.state != LoanState.WrittenOff) revert NothingOwed(number);
        uint256 free = _market.balanceOf(loan.spv);
        uint256 amount = Math.min(free, loan.principal);
        bool isWhole = amount == loan.principal;
        if (!isWhole) free = amount;

        loan.principal -= uint112(amount);
        _cash += amount;
        _creditOf[IProviderSpv(loan.spv).owner()] += free - amount;
        if (isWhole) _close(number, loan);
        _loans[number] = loan;

        emit Recovered(number, amount);
        _pull(loan.spv, free);
        if (isWhole) IProviderSpv(loan.spv).release();
    }

    function takeCredit(address to) external nonReentrant returns (uint256 amount) {
        amount = _creditOf[msg.sender];

        _creditOf[msg.sender] = 0;

        emit CreditTaken(msg.sender, to, amount);
        IERC20(asset()).safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------------- effects

    function _owing(uint256 number) private view returns (Loan memory loan) {
        loan = _loans[number];
        if (loan.state != LoanState.Drawn) revert NothingOwed(number);
    }

    /// The first draw of a loan: its number, its place, and the cover that it takes.
    function _begin(Loan memory loan) private returns (uint256 number) {
        if (_live.length == _maxLoans) _makeRoom();
        number = ++_loanCount;
        _loanOn[Loans.keyOf(loan.lease, loan.openedAt)] = number;
        _live.push(number);
        delete _covers[loan.lease][loan.backer];
    }

    /// Lets go of a written-off company that has nothing, which the rules saw that there is: it can still be recovered from, and counts for nothing meanwhile.
    function _makeRoom() private {
        for (uint256 i = 0; i < _live.length; ++i) {
            Loan storage loan = _loans[_live[i]];
            if (loan.state == LoanState.WrittenOff && _market.balanceOf(loan.spv) == 0) return _remove(_live[i]);
        }
    }

    function _remove(uint256 number) private {
        uint256 count = _live.length;
        for (uint256 i = 0; i < count; ++i) {
            if (_live[i] != number) continue;
            _live[i] = _live[count - 1];
            _live.pop();
            return;
        }
    }

    /// Changes `loan` as it is stored.
    function _collect(uint256 number, Loan memory loan) private returns (uint256 toVault, uint256 toOwner) {
        Lease memory lease = _market.leaseOf(loan.lease);
        uint256 owed = loan.owedOf(block.timestamp);
        (uint256 unshared, uint256 served) = loan.unsharedOf(lease, block.timestamp);
        bool isClosed = lease.status == Status.Closed;
        (toVault, toOwner) =
            Coverage.split(_market.balanceOf(loan.spv), served, isClosed ? 0 : unshared - served, owed, _opexBps);
        uint256 total = toVault + toOwner;
        if (total == 0) return (0, 0);

        // Safe: income of the lease fits 96 bits.
        loan.shared += uint96(served);
        address owner = IProviderSpv(loan.spv).owner();
        if (isClosed && !loan.isTipped) toOwner -= _tip(number, loan, total, toOwner);
        _creditOf[owner] += toOwner;
        uint256 toBacker = _credit(loan, toVault);
        if (toVault == owed) _close(number, loan);
        _loans[number] = loan;

        emit Collected(number, toVault, toOwner, toBacker, owed - toVault);
        _pull(loan.spv, total);
        if (toVault == owed) IProviderSpv(loan.spv).release();
    }

    /// What whoever claimed in the operator's stead is paid for it. Out of the owner's part, who was silent: so that no lender's price falls by it.
    function _tip(uint256 number, Loan memory loan, uint256 total, uint256 toOwner) private returns (uint256 tip) {
        address keeper = IProviderSpv(loan.spv).claimedDueBy();
        if (keeper == address(0)) return 0;
        tip = Math.min(toOwner, Math.min(total / TIP_PART, _mostTip));

        loan.isTipped = true;
        _creditOf[keeper] += tip;

        emit Tipped(number, keeper, tip);
    }

    /// Money came in that repays `loan`: interest first, of which the backer has a share.
    function _credit(Loan memory loan, uint256 paid) private returns (uint256 toBacker) {
        uint256 interest = loan.interestOf(block.timestamp);
        uint256 paidInterest = Math.min(paid, interest);
        if (loan.backer != address(0)) {
            toBacker = Coverage.shareRoundedDown(paidInterest, _coverShareBps);
            _creditOf[loan.backer] += toBacker;
        }
        loan.interest = uint96(interest - paidInterest);
        loan.principal -= uint112(paid - paidInterest);
        loan.accruedAt = uint32(block.timestamp);
        _cash += paid - toBacker;
    }

    /// Nothing is owed any more: what is left of reserve and cover goes back to whose it is. The caller releases the company.
    function _close(uint256 number, Loan memory loan) private {
        loan.state = LoanState.Repaid;
        (loan.principal, loan.interest) = (0, 0);
        if (loan.reserve != 0) _creditOf[IProviderSpv(loan.spv).owner()] += loan.reserve;
        if (loan.cover != 0) _creditOf[loan.backer] += loan.cover;
        (loan.reserve, loan.cover) = (0, 0);
        _remove(number);
    }

    /// The company pays what was just shared out. Should the token take something on the way, all shares bear it.
    function _pull(address spv, uint256 amount) private {
        if (amount == 0) return;
        IERC20 token = IERC20(asset());
        uint256 held = token.balanceOf(address(this));
        IProviderSpv(spv).pay(amount);
        uint256 arrived = token.balanceOf(address(this)) - held;
        if (arrived < amount) _cash -= amount - arrived;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------------ price

    function _survey() internal view override returns (Survey memory) {
        return _rules.surveyOf(address(0));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------------ views

    function owedOf(uint256 loan) external view returns (uint256) {
        return _loans[loan].owedOf(block.timestamp);
    }

    function dueOf(uint256 number) external view returns (uint256) {
        number;
        _ask();
    }

    function coveredOf(uint256 number) external view returns (uint256) {
        number;
        _ask();
    }

    function loanOf(uint256 loan) external view returns (Loan memory) {
        return _loans[loan];
    }

    function loanOn(bytes32 lease, uint40 openedAt) external view returns (uint256) {
        return _loanOn[Loans.keyOf(lease, openedAt)];
    }

    function loans() external view returns (uint256[] memory) {
        return _live;
    }

    function coverOf(bytes32 lease, address backer) external view returns (uint96, uint40) {
        Cover memory cover = _covers[lease][backer];
        return (cover.amount, cover.openedAt);
    }

    function hasWriteOff(address owner) external view returns (bool) {
        return _hasWriteOff[owner];
    }

    function creditOf(address account) external view returns (uint256) {
        return _creditOf[account];
    }

    function chosenBy(address owner, bytes32 lease) external view returns (address) {
        address backer = _chosen[owner][lease];
        return backer == address(0) ? owner : backer;
    }

    function rules() external view returns (address) {
        return address(_rules);
    }

    function surveyOf(address obligor) external view returns (Survey memory) {
        obligor;
        _ask();
    }

    function debtOn(bytes32 lease, uint40 openedAt)
        external
        view
        returns (uint256 owed, uint256 reserve, uint16 opexBps)
    {
        lease;
        openedAt;
        _ask();
    }

    function limitOf(Order calldata order, address spv) external view returns (uint112 most, uint8 rule) {
        order;
        spv;
        _ask();
    }

    function isObligor(address client) external view returns (bool) {
        client;
        _ask();
    }

    function terms() external view returns (Terms memory) {
        _ask();
    }

    /// @notice Whether it has the functions of an interface (ERC-165).
    /// @param interfaceId its id
    /// @return true if so
    function supportsInterface(bytes4 interfaceId) external view returns (bool) {
        interfaceId;
        _ask();
    }

    // Has the rules answer the very call, for which they have a function of the same name: what was asked is only named above it, and read there.
    function _ask() private view {
        address answering = address(_rules);
        // Safe: writes to free memory only.
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, 0, calldatasize())
            let isAnswer := staticcall(gas(), answering, free, calldatasize(), 0, 0)
            returndatacopy(free, 0, returndatasize())
            if isAnswer { return(free, returndatasize()) }
            revert(free, returndatasize())
        }
    }
}
