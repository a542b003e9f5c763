// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lease, IComputeMarket, Order, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {
    IAdvanceVault,
    Loan,
    LoanState,
    Survey,
    Terms
} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {IBackstopArbiter} from "../../../../contracts/finance/interfaces/IBackstopArbiter.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {ISpvFactory} from "../../../../contracts/finance/interfaces/ISpvFactory.sol";
import {Crowd} from "../../invariants/Crowd.sol";
import {CrowdPeople} from "../../invariants/CrowdPeople.sol";
import {ICrowdToken} from "../../invariants/CrowdTokens.sol";

/// @notice The market's crowd with a vault, companies and an arbiter with a backstop among it, and a second set of books of what is owed to the vault: every
/// formula is written again, plainly, and read from the market's events alone.
abstract contract VaultBooks is Crowd {
    /// @notice A loan, as these books have it.
    struct Debt {
        IProviderSpv spv;
        bytes32 lease;
        uint256 openedAt;
        LoanState state;
        uint256 principal;
        uint256 interest;
        uint256 accruedAt;
        uint256 rateBps;
        uint256 reserve;
        uint256 cover;
        address backer;
        address obligor;
        uint256 shared;
        // F-5: all that was lent, grew, came back, and was lost; and interest that stopped to be owed.
        uint256 drawn;
        uint256 accrued;
        uint256 returned;
        uint256 fromReserve;
        uint256 fromCover;
        uint256 written;
    }

    struct Cover {
        uint256 amount;
        uint256 openedAt;
    }

    uint256 internal constant SLACK = 2 minutes;
    uint256 internal constant STEP = 15 minutes;
    uint256 internal constant WINDOW = 30 minutes;
    uint256 internal constant OPEX_BPS = 3_000;
    uint256 internal constant RESERVE_BPS = 1_000;
    uint256 internal constant COVER_SHARE_BPS = 2_000;
    uint256 internal constant LOAN_CAP_BPS = 5_000;
    uint256 internal constant OBLIGOR_CAP_BPS = 8_000;
    uint256 internal constant UTILISATION_CAP_BPS = 9_000;
    uint256 internal constant BASE_RATE = 20_000;
    uint256 internal constant MOST_LOANS = 4;
    uint256 internal constant ALL = 10_000;
    // So many shares have a price that shows every unit.
    uint256 internal constant MANY = 1e18;

    IAdvanceVault public immutable vault;
    ISpvFactory public immutable factory;
    IBackstopArbiter public immutable backstop;
    address internal immutable _panel;
    uint256 internal immutable _betaBps;
    address[2] internal _obligors;

    IProviderSpv[] internal _companies;
    mapping(IProviderSpv company => address) internal _ownerOf;
    mapping(IProviderSpv company => address) internal _operatorOf;
    mapping(IProviderSpv company => uint40[]) internal _offersOf;
    // F-3: what a pledged company had when its creditor last took of it.
    mapping(IProviderSpv company => uint256) internal _lastFree;
    mapping(uint40 offer => bool) internal _isCompanys;
    mapping(bytes32 lease => IProviderSpv) internal _companyOf;
    mapping(bytes32 serving => uint256) internal _loanOf;
    mapping(uint256 loan => Debt) internal _debts;
    uint256 internal _loanCount;
    mapping(bytes32 lease => mapping(address backer => Cover)) internal _covers;
    mapping(address owner => mapping(bytes32 lease => address backer)) internal _chosen;
    mapping(address owner => bool) internal _hasLost;
    // Covers that no loan took yet.
    uint256 internal _idle;
    uint256 internal _gifts;
    uint256 internal _fillings;
    // The last step that called the vault.
    uint256 private _lastCall;

    constructor(IComputeMarket market_, ICrowdToken token_, uint16 betaBps) Crowd(market_, token_) {
        (_obligors, _panel, _betaBps) = ([_people[3], _people[PEOPLE - 2]], _people[4], betaBps);
        factory = ISpvFactory(vm.deployCode("SpvFactory.sol:SpvFactory", abi.encode(address(market_), SLACK)));
        bytes memory arguments = abi.encode(address(market_), _panel, STEP);
        backstop = IBackstopArbiter(vm.deployCode("BackstopArbiter.sol:BackstopArbiter", arguments));
        vault = IAdvanceVault(vm.deployCode("AdvanceVault.sol:AdvanceVault", abi.encode(someTerms(betaBps))));
    }

    function someTerms(uint16 betaBps) private view returns (Terms memory terms) {
        terms.obligors = new address[](2);
        (terms.obligors[0], terms.obligors[1]) = (_obligors[0], _obligors[1]);
        (terms.market, terms.factory, terms.arbiter) = (address(market), address(factory), address(backstop));
        (terms.maxTenor, terms.window, terms.maxLoans) = (8 days, uint32(WINDOW), uint8(MOST_LOANS));
        (terms.opexBps, terms.dscrBps, terms.reserveBps) = (uint16(OPEX_BPS), 12_000, uint16(RESERVE_BPS));
        (terms.betaBps, terms.earlyBps, terms.exitBps) = (betaBps, 5_000, 10);
        (terms.coverShareBps, terms.loanCapBps) = (uint16(COVER_SHARE_BPS), uint16(LOAN_CAP_BPS));
        (terms.obligorCapBps, terms.utilisationCapBps) = (uint16(OBLIGOR_CAP_BPS), uint16(UTILISATION_CAP_BPS));
        (terms.baseRate, terms.slopeRate) = (uint16(BASE_RATE), uint16(BASE_RATE));
    }

    /// Companies' offers are opened by steps of their own.
    function isOpenToAll(uint40 offer) internal view override returns (bool) {
        return !_isCompanys[offer];
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- calling

    /// A step that finds nothing to do its verb with is discarded: so the table that forge prints tells how often each verb truly worked.
    function need(bool isThere) internal pure {
        vm.assume(isThere);
    }

    /// Calls as `who`; the market, if it is reached, sees `seen`.
    function act(address who, address seen, address target, bytes memory input)
        internal
        returns (bool isDone, bytes memory answer)
    {
        (_actor, _payer) = (seen, who);
        vm.prank(who);
        (isDone, answer) = target.call(input);
        if (isDone) told();
        else vm.getRecordedLogs();
    }

    /// A verb of the vault: none of them ever lowers its price (F-8).
    function call(address who, address seen, bytes memory input) internal returns (bool isDone, bytes memory answer) {
        uint256 price = vault.convertToAssets(MANY);
        _lastCall = _rolls;
        (isDone, answer) = act(who, seen, address(vault), input);
        require(vault.convertToAssets(MANY) >= price, "F-8: no verb of the vault lowers its price");
    }

    function mustCall(address who, address seen, bytes memory input, string memory rule)
        internal
        returns (bytes memory answer)
    {
        bool isDone;
        (isDone, answer) = call(who, seen, input);
        require(isDone, rule);
    }

    function mustRefuse(address who, address target, bytes memory input, string memory rule) internal {
        (bool isDone,) = act(who, who, target, input);
        require(!isDone, rule);
    }

    /// The token moves to or from this one: first it is shown that it would not, while its issuer blocks it.
    function letThrough(address who, address target, bytes memory input) internal {
        if (!token.isBlocked(who)) return;
        mustRefuse(who, target, input, "P-06: nothing goes to or from whom the token blocks");
        token.block_(who, false);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- formulas

    function ceil(uint256 amount, uint256 bps) internal pure returns (uint256) {
        return (amount * bps + ALL - 1) / ALL;
    }

    function keyOf(bytes32 lease, uint256 openedAt) internal pure returns (bytes32) {
        return keccak256(abi.encode(lease, openedAt));
    }

    function interestFor(uint256 principal, uint256 rateBps, uint256 time) internal pure returns (uint256) {
        return (principal * rateBps * time + ALL * 365 days - 1) / (ALL * 365 days);
    }

    function interestOf(Debt storage debt) internal view returns (uint256) {
        if (debt.state != LoanState.Drawn) return 0;
        return debt.interest + interestFor(debt.principal, debt.rateBps, _now - debt.accruedAt);
    }

    function owedOf(Debt storage debt) internal view returns (uint256) {
        return debt.state == LoanState.Drawn ? debt.principal + interestOf(debt) : 0;
    }

    /// What the lease surely still pays, by the worst exit that needs nobody's word.
    function dueOf(Debt storage debt) internal view returns (uint256) {
        Lease memory lease = _ghosts[debt.lease].lease;
        Order memory order = _orders[debt.lease];
        uint256 until = lease.claimedSeconds;
        if (lease.openedAt != debt.openedAt) return 0;
        if (lease.status == Status.Open) {
            if (_now >= deadlineOf(order, lease)) return 0;
            until = max(elapsedOf(order, lease), order.minSeconds);
        } else if (lease.status != Status.Claimed) {
            return 0;
        }
        return earned(order, lease, max(until, lease.paidSeconds)) - earned(order, lease, lease.paidSeconds);
    }

    /// Income of which the owner had no share yet, and how much of it is served.
    function unsharedOf(Debt storage debt) internal view returns (uint256 unshared, uint256 served) {
        Lease memory lease = _ghosts[debt.lease].lease;
        Order memory order = _orders[debt.lease];
        uint256 metered = lease.changedAt == 0 ? elapsedOf(order, lease) : lease.claimedSeconds;
        uint256 all = earned(order, lease, lease.paidSeconds);
        unshared = all - min(all, debt.shared);
        all = earned(order, lease, min(lease.paidSeconds, metered));
        served = all - min(all, debt.shared);
    }

    function coveredOf(Debt storage debt) internal view returns (uint256) {
        (uint256 unshared,) = unsharedOf(debt);
        (uint256 due, uint256 free) = (dueOf(debt), _free[address(debt.spv)]);
        if (unshared <= free) return (due + free) * (ALL - OPEX_BPS) / ALL + debt.reserve + debt.cover;
        uint256 owners = min(free, ceil(unshared, OPEX_BPS));
        return due * (ALL - OPEX_BPS) / ALL + free - owners + debt.reserve + debt.cover;
    }

    /// V-10: what is owed or covered, whichever is less, without the backer's part of the interest.
    function valueOf(Debt storage debt) internal view returns (uint256 value) {
        if (debt.state == LoanState.WrittenOff) return min(debt.principal, _free[address(debt.spv)]);
        if (debt.state != LoanState.Drawn) return 0;
        value = min(owedOf(debt), coveredOf(debt));
        if (debt.backer != address(0)) value -= ceil(min(interestOf(debt), value), COVER_SHARE_BPS);
    }

    /// What of a company's free money is the vault's, and what its owner's: running costs of what is served first, none of what is not.
    function waterfall(Debt storage debt) internal view returns (uint256 toVault, uint256 toOwner) {
        (uint256 unshared, uint256 served) = unsharedOf(debt);
        uint256 ahead = _ghosts[debt.lease].lease.status == Status.Closed ? 0 : unshared - served;
        (uint256 free, uint256 owed) = (_free[address(debt.spv)], owedOf(debt));
        toOwner = min(free, served * OPEX_BPS / ALL);
        uint256 held = min(free - toOwner, ahead * OPEX_BPS / ALL);
        toVault = min(owed, free - toOwner - held);
        if (toVault == owed) toOwner = free - toVault;
    }

    /// S-3: what may be signed or claimed of a pledged lease.
    function isAtFloor(bytes32 id, uint256 usedSeconds) internal view returns (bool) {
        if (!isPledged(id)) return true;
        Lease memory lease = _ghosts[id].lease;
        Order memory order = _orders[id];
        uint256 elapsed = lease.status == Status.Open ? elapsedOf(order, lease) : lease.claimedSeconds;
        if (usedSeconds >= max(elapsed - min(elapsed, SLACK), order.minSeconds)) return true;
        Debt storage debt = _debts[_loanOf[keyOf(id, lease.openedAt)]];
        (uint256 unshared,) = unsharedOf(debt);
        uint256 free = _free[address(debt.spv)];
        // Of money that is free, the owner's part of what was paid ahead is not the lender's.
        uint256 owners = unshared <= free ? 0 : min(free, ceil(unshared, OPEX_BPS));
        if (unshared > free) owners -= min(owners, free - free * (ALL - OPEX_BPS) / ALL);
        uint256 coming =
            earned(order, lease, max(usedSeconds, lease.paidSeconds)) - earned(order, lease, lease.paidSeconds) + free;
        return coming * (ALL - OPEX_BPS) + debt.reserve * ALL >= (owedOf(debt) + owners) * ALL;
    }

    function isPledged(bytes32 id) internal view returns (bool) {
        Debt storage debt = _debts[_loanOf[keyOf(id, _ghosts[id].lease.openedAt)]];
        return debt.state == LoanState.Drawn || debt.state == LoanState.WrittenOff;
    }

    function isPledged(IProviderSpv company) internal view returns (bool) {
        return company.creditor() != address(0);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- comparing

    /// @notice Between any two steps. V-10: one price, and nobody enters while a loan is impaired. F-4: the vault has what it owes. F-3: a company that owes is
    /// pledged here, its income its own, its offers dead, and nobody takes of it but its creditor. F-5: what was lent is there, came back or was lost.
    function checkVault() external view {
        uint256[] memory live = vault.loans();
        Survey memory survey = vault.surveyOf(address(0));
        uint256 cash = vault.cash();
        (uint256 assets, uint256 held) = (cash, 0);
        bool isImpaired = false;
        for (uint256 i = 0; i < live.length; ++i) {
            Debt storage debt = _debts[live[i]];
            assets += valueOf(debt);
            held += debt.reserve + debt.cover;
            if (debt.state == LoanState.Drawn && coveredOf(debt) < owedOf(debt)) isImpaired = true;
        }
        require(live.length <= MOST_LOANS, "V-8: no more loans than places");
        same(survey.assets, assets, "V-10: what everything is worth");
        require(survey.isImpaired == isImpaired, "V-10: impaired as soon as less is covered than owed");
        if (_lastCall == _rolls) checkMoney(cash + held + _gifts + _idle);
        // One of them closely, in turn.
        if (live.length != 0) checkDebt(live[_rolls % live.length]);
    }

    /// @notice At the end: all of them.
    function checkLoans() external view {
        for (uint256 i = 1; i <= _loanCount; ++i) {
            checkDebt(i);
        }
    }

    /// F-4 changes with verbs of the vault only.
    function checkMoney(uint256 owed) private view {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            owed += vault.creditOf(_people[i]) + vault.maxWithdraw(_people[i]);
        }
        owed += vault.creditOf(OUTSIDER);
        uint256 held = token.balanceOf(address(vault));
        require(held >= owed, "F-4: the vault has what it owes");
        require(held - owed <= PEOPLE * (_fillings + 1), "F-4: and nothing else but units of fillings");
    }

    function checkDebt(uint256 number) internal view {
        Debt storage debt = _debts[number];
        same(vault.owedOf(number), owedOf(debt), "F-5: what is owed");
        Loan memory loan = vault.loanOf(number);
        same(uint256(loan.state), uint256(debt.state), "F-5: the loan's state");
        same(loan.reserve, debt.reserve, "F-5: the reserve");
        same(loan.cover, debt.cover, "F-5: the cover");
        if (debt.state == LoanState.Drawn) same(vault.coveredOf(number), coveredOf(debt), "V-10: what is covered");
        uint256 open = debt.state == LoanState.Drawn ? debt.principal + debt.interest : 0;
        uint256 gone = debt.returned + debt.fromReserve + debt.fromCover + debt.written;
        same(debt.drawn + debt.accrued, gone + open, "F-5: all that was lent is somewhere");
        if (debt.state != LoanState.Repaid) checkPledge(debt);
    }

    function checkPledge(Debt storage debt) private view {
        same(debt.spv.creditor(), address(vault), "F-3: pledged here");
        address payee = _ghosts[debt.lease].payee;
        require(payee == address(0) || payee == address(debt.spv), "F-3: its own payee");
        require(_free[address(debt.spv)] >= _lastFree[debt.spv], "F-3: nobody takes of it but its creditor");
        same(market.balanceOf(address(debt.spv)), _free[address(debt.spv)], "F-1: its free balance");
        uint40[] storage offers = _offersOf[debt.spv];
        for (uint256 i = 0; i < offers.length; ++i) {
            require(_offers[offers[i]].expiresAt <= _now, "F-3: no offer of it is alive");
        }
    }
}
