// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Lease, Order, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, Loan, LoanState} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {ICrowdToken} from "../../invariants/CrowdTokens.sol";
import {CompanyCrowd} from "./CompanyCrowd.sol";
import {VaultBooks} from "./VaultBooks.sol";

/// @notice The steps of those who lend, leave, borrow, cover and repay, beside all steps of the market's own crowd, whose ten people they are too.
/// @dev Each step does the verb that it is named after with success, or is discarded.
contract VaultCrowd is CompanyCrowd {
    address private constant NEWCOMER = address(0xF00D);

    // Of one filling: what somebody had before it.
    struct Place {
        uint256 pending;
        uint256 shares;
        uint256 assets;
    }

    // Who ever covered what.
    struct Backing {
        bytes32 id;
        address who;
    }

    Backing[] private _backings;

    constructor(IComputeMarket market_, ICrowdToken token_, uint16 betaBps) VaultBooks(market_, token_, betaBps) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            vm.prank(_people[i]);
            token_.approve(address(vault), type(uint256).max);
        }
        vm.prank(NEWCOMER);
        token_.approve(address(vault), type(uint256).max);
        enter(_people[0], 2_000e6);
        enter(_people[PEOPLE - 1], 2_000e6);
    }

    function enter(address who, uint256 assets) private {
        token.mint(who, assets);
        mustCall(who, who, abi.encodeCall(vault.deposit, (assets, who)), "a first deposit");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- lenders

    function vaultDeposit(uint256 seed) external step(seed) {
        address who = somebody();
        uint256 assets = between(0, 2_000e6);
        enters(who, assets, abi.encodeCall(vault.deposit, (assets, somebody())));
    }

    function vaultMint(uint256 seed) external step(seed) {
        address who = somebody();
        uint256 shares = between(0, 1_000e12);
        uint256 cost = vault.previewMint(shares);
        need(cost < 1e18);
        enters(who, cost, abi.encodeCall(vault.mint, (shares, somebody())));
    }

    /// F-8: nobody enters while a loan is impaired, and everybody may else.
    function enters(address who, uint256 assets, bytes memory input) private {
        token.mint(who, assets);
        letThrough(who, address(vault), input);
        bool isImpaired = vault.isImpaired();
        uint256 cash = vault.cash();
        (bool isDone,) = call(who, who, input);
        require(isDone == !isImpaired, "F-8: nobody enters while a loan is impaired, and everybody may else");
        need(isDone);
        same(vault.cash(), cash + assets, "V-12: what came by a verb");
    }

    function vaultRequestRedeem(uint256 seed) external step(seed) {
        address who = somebody();
        uint256 shares = isOneOf(4) ? vault.balanceOf(who) : between(0, vault.balanceOf(who));
        need(shares != 0);
        address controller = isOneOf(4) ? somebody() : who;
        mustCall(who, who, abi.encodeCall(vault.requestRedeem, (shares, controller, who)), "V-11: everybody may ask");
    }

    function vaultCancelRedeem(uint256 seed) external step(seed) {
        address who = somebody();
        uint256 pending = vault.pendingRedeemRequest(0, who);
        if (pending == 0) {
            pending = vault.balanceOf(who);
            need(pending != 0);
            mustCall(who, who, abi.encodeCall(vault.requestRedeem, (pending, who, who)), "V-11: everybody may ask");
        }
        bytes memory input = abi.encodeCall(vault.cancelRedeem, (pending + 1, who));
        mustRefuse(who, address(vault), input, "V-11: no more than waits");
        uint256 shares = vault.balanceOf(who);
        pending = between(1, pending);
        mustCall(who, who, abi.encodeCall(vault.cancelRedeem, (pending, who)), "V-11: what waits can stay");
        same(vault.balanceOf(who), shares + pending, "V-11: it has them back");
    }

    function vaultSetOperator(uint256 seed) external step(seed) {
        (address who, address operator) = (somebody(), somebody());
        bool isApproved = isOneOf(2);
        mustCall(who, who, abi.encodeCall(vault.setOperator, (operator, isApproved)), "7540: everybody may");
        require(vault.isOperator(who, operator) == isApproved, "7540: as it said");
    }

    /// V-11: not before the window's end, nor within a ruling window of a dispute.
    function vaultProcess(uint256 seed) external step(seed) {
        uint256 from = firstFilling();
        if (from > _now && isOneOf(2)) {
            warpTo(from - 1);
            mustRefuse(somebody(), address(vault), abi.encodeCall(vault.process, ()), "V-11: not a second earlier");
        }
        warpTo(from);
        if (isOneOf(8)) gainNothing();
        (uint256 pending,,) = vault.queue();
        if (isOneOf(8) && pending != 0) cutInPieces();
        fillQueue();
    }

    function firstFilling() private view returns (uint256) {
        (,, uint256 from) = vault.queue();
        uint256 oldest = 0;
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            Lease storage lease = _ghosts[_debts[live[i]].lease].lease;
            if (_debts[live[i]].state != LoanState.Drawn || lease.status != Status.Disputed) continue;
            if (oldest == 0 || lease.changedAt < oldest) oldest = lease.changedAt;
        }
        return oldest == 0 ? from : max(from, oldest) + RULING_WINDOW;
    }

    /// F-9: at one price, pro rata, to the unit. Whoever waits loses no share that does not leave.
    function fillQueue() private returns (uint256 shares, uint256 assets) {
        Place[] memory places = new Place[](PEOPLE + 1);
        for (uint256 i = 0; i <= PEOPLE; ++i) {
            places[i] = placeOf(i == PEOPLE ? NEWCOMER : _people[i]);
        }
        (uint256 pending,,) = vault.queue();
        bytes memory answer =
            mustCall(somebody(), address(0), abi.encodeCall(vault.process, ()), "V-11: anybody, in time");
        (shares, assets) = abi.decode(answer, (uint256, uint256));
        ++_fillings;
        if (shares == 0) return (0, 0);
        (uint256 sumOfShares, uint256 sumOfAssets) = (0, 0);
        for (uint256 i = 0; i <= PEOPLE; ++i) {
            Place memory place = placeOf(i == PEOPLE ? NEWCOMER : _people[i]);
            Place memory before = places[i];
            uint256 gained = place.assets - before.assets;
            require(gained == before.pending * assets / pending, "F-9: same window, same price");
            same(place.shares - before.shares, before.pending - place.pending, "F-9: what leaves has left");
            sumOfShares += place.shares - before.shares;
            sumOfAssets += gained;
        }
        require(sumOfAssets <= assets && sumOfShares >= shares, "F-9: the parts are no more than the filling");
        require(sumOfShares <= shares + PEOPLE, "F-9: nor less by more than roundings");
    }

    function placeOf(address who) private view returns (Place memory) {
        return Place(vault.pendingRedeemRequest(0, who), vault.maxRedeem(who), vault.maxWithdraw(who));
    }

    /// F-11: in and out again at once gains nothing. Then everything is as if it had not been.
    function gainNothing() private {
        if (vault.isImpaired()) return;
        uint256 snapshot = snapshots.snapshotState();
        uint256 assets = between(1, 2_000e6);
        enter(NEWCOMER, assets);
        uint256 shares = vault.balanceOf(NEWCOMER);
        mustCall(NEWCOMER, NEWCOMER, abi.encodeCall(vault.requestRedeem, (shares, NEWCOMER, NEWCOMER)), "F-11");
        fillQueue();
        require(vault.maxWithdraw(NEWCOMER) <= assets, "F-11: in and out gains nothing");
        snapshots.revertToStateAndDelete(snapshot);
    }

    /// F-10: a request in two pieces gains at most a unit, and costs nobody else anything.
    function cutInPieces() private {
        address who = _people[draw() % PEOPLE];
        address other = _people[draw() % PEOPLE];
        uint256 pending = vault.pendingRedeemRequest(0, who);
        if (pending < 2 || who == other) return;
        uint256 snapshot = snapshots.snapshotState();
        (uint256 mine, uint256 theirs) = (vault.maxWithdraw(who), vault.maxWithdraw(other));
        fillQueue();
        (mine, theirs) = (vault.maxWithdraw(who) - mine, vault.maxWithdraw(other) - theirs);
        snapshots.revertToStateAndDelete(snapshot);

        snapshot = snapshots.snapshotState();
        uint256 before = vault.maxWithdraw(who);
        uint256 others = vault.maxWithdraw(other);
        mustCall(who, who, abi.encodeCall(vault.cancelRedeem, (pending / 2, who)), "F-10");
        mustCall(who, who, abi.encodeCall(vault.requestRedeem, (pending / 2, NEWCOMER, who)), "F-10");
        fillQueue();
        require(vault.maxWithdraw(who) - before + vault.maxWithdraw(NEWCOMER) <= mine + 1, "F-10: pieces gain nothing");
        same(vault.maxWithdraw(other) - others, theirs, "F-10: nor do they cost anybody anything");
        snapshots.revertToStateAndDelete(snapshot);
    }

    function vaultRedeem(uint256 seed) external step(seed) {
        address who = leaver();
        uint256 most = vault.maxRedeem(who);
        uint256 shares = isOneOf(2) ? most : between(0, most);
        takeOut(who, abi.encodeCall(vault.redeem, (shares, who, who)));
        same(vault.maxRedeem(who), most - shares, "V-13: the rest stays");
    }

    function vaultWithdraw(uint256 seed) external step(seed) {
        address who = leaver();
        uint256 most = vault.maxWithdraw(who);
        uint256 assets = isOneOf(2) ? most : between(0, most);
        uint256 held = token.balanceOf(who);
        bytes memory input = abi.encodeCall(vault.withdraw, (most + 1, who, who));
        mustRefuse(who, address(vault), input, "V-13: no more than left the queue");
        takeOut(who, abi.encodeCall(vault.withdraw, (assets, who, who)));
        same(token.balanceOf(who), held + assets, "V-13: it arrives");
    }

    /// Somebody for whom something left the queue.
    function leaver() private returns (address who) {
        uint256 first = draw();
        for (uint256 i = 0; i < PEOPLE; ++i) {
            who = _people[(first % PEOPLE + i) % PEOPLE];
            if (vault.maxWithdraw(who) != 0) return who;
        }
        need(false);
    }

    function takeOut(address who, bytes memory input) private {
        letThrough(who, address(vault), input);
        mustCall(who, who, input, "F-16: what left the queue is there");
    }

    function vaultTakeCredit(uint256 seed) external step(seed) {
        uint256 first = draw();
        address who;
        for (uint256 i = 0; i < PEOPLE && vault.creditOf(who) == 0; ++i) {
            who = _people[(first % PEOPLE + i) % PEOPLE];
        }
        need(vault.creditOf(who) != 0);
        takeCreditOf(who);
    }

    /// Whom the token blocks can have it sent elsewhere.
    function takeCreditOf(address who) private {
        uint256 credit = vault.creditOf(who);
        address to = token.isBlocked(who) ? OUTSIDER : who;
        uint256 held = token.balanceOf(to);
        mustCall(who, who, abi.encodeCall(vault.takeCredit, (to)), "F-16: it is there");
        same(token.balanceOf(to), held + credit, "F-16: it arrives");
    }

    /// V-12: what is sent without a verb is nobody's.
    function vaultIsGiven(uint256 seed) external step(seed) {
        uint256 amount = between(1, 100e6);
        uint256 assets = vault.totalAssets();
        token.mint(address(vault), amount);
        _gifts += amount;
        same(vault.totalAssets(), assets, "V-12: a gift changes no price");
    }

    // --------------------------------------------------------------------------------------------------------------------------------------- loans

    function vaultBack(uint256 seed) external step(seed) {
        bytes32 id = openLongLease();
        (address who, uint256 openedAt) = (somebody(), _ghosts[id].lease.openedAt);
        Cover storage cover = _covers[id][who];
        uint256 amount = between(1, 300e6);
        token.mint(who, amount);
        bytes memory input = abi.encodeCall(vault.back, (_orders[id], uint96(amount)));
        letThrough(who, address(vault), input);
        bool isExpected = _loanOf[keyOf(id, openedAt)] == 0 && (cover.amount == 0 || cover.openedAt == openedAt);
        (bool isDone,) = call(who, who, input);
        require(isDone == isExpected, "back: before the first draw only");
        need(isDone);
        (cover.amount, cover.openedAt) = (cover.amount + amount, openedAt);
        _idle += amount;
        _backings.push(Backing(id, who));
        if (isOneOf(2)) chooseFor(id, who);
    }

    function vaultUnback(uint256 seed) external step(seed) {
        (uint256 first, uint256 count) = (draw(), _backings.length);
        for (uint256 i = 0; i < count; ++i) {
            Backing storage backing = _backings[(first % count + i) % count];
            if (_covers[backing.id][backing.who].amount != 0) return takeBack(backing.id, backing.who);
        }
        need(false);
    }

    function takeBack(bytes32 id, address who) private {
        bytes memory input = abi.encodeCall(vault.unback, (id));
        letThrough(who, address(vault), input);
        uint256 held = token.balanceOf(who);
        mustCall(who, who, input, "unback: what no loan took");
        same(token.balanceOf(who), held + _covers[id][who].amount, "unback: all of it");
        _idle -= _covers[id][who].amount;
        delete _covers[id][who];
    }

    function vaultChoose(uint256 seed) external step(seed) {
        chooseFor(openLongLease(), somebody());
    }

    function chooseFor(bytes32 id, address backer) private {
        address owner = _ownerOf[_companyOf[id]];
        mustCall(owner, owner, abi.encodeCall(vault.choose, (id, backer)), "choose: always");
        _chosen[owner][id] = backer;
    }

    /// F-7, F-13: what a draw leaves behind it holds every rule, worked out here again; one unit more is refused.
    function vaultDraw(uint256 seed) external step(seed) {
        (bytes32 id, uint256 most) = borrower();
        IProviderSpv company = _companyOf[id];
        address owner = _ownerOf[company];
        act(owner, owner, address(company), abi.encodeCall(company.allow, (address(vault))));
        if (most == 0 || isOneOf(4)) {
            mustRefuse(owner, address(vault), drawOf(id, most + 1), "V-4 to V-8: not a unit more than the limit");
        }
        need(most != 0);
        uint256 amount = isOneOf(2) ? most : between(1, most);
        letThrough(owner, address(vault), drawOf(id, amount));
        uint256 held = token.balanceOf(owner);
        bytes memory answer =
            mustCall(owner, address(company), drawOf(id, amount), "V-4 to V-8: what the limit says is drawn");
        lent(id, abi.decode(answer, (uint256)), amount);
        same(token.balanceOf(owner), held + amount - ceil(amount, RESERVE_BPS), "V-12: less the reserve");
    }

    function drawOf(bytes32 id, uint256 amount) private view returns (bytes memory) {
        uint16 anyRate = type(uint16).max;
        return abi.encodeCall(vault.draw, (_orders[id], address(_companyOf[id]), uint112(amount), anyRate));
    }

    /// A lease on which something can be drawn, if one of two that were tried is such a one.
    function borrower() private returns (bytes32 id, uint256 most) {
        for (uint256 tries = 0; tries < 2 && most == 0; ++tries) {
            id = tries == 0 ? openLongLease() : openLong();
            warpTo(_ghosts[id].lease.openedAt + START_GRACE);
            IProviderSpv company = _companyOf[id];
            if (!isPledged(company) && !isOneOf(4) && _free[address(company)] != 0) empty(company);
            (most,) = vault.limitOf(_orders[id], address(company));
            if (_hasLost[_ownerOf[company]]) same(most, 0, "V-8: whose company was written off draws no more");
        }
    }

    function lent(bytes32 id, uint256 number, uint256 amount) private {
        Debt storage debt = _debts[number];
        Lease memory lease = _ghosts[id].lease;
        Loan memory loan = vault.loanOf(number);
        if (debt.state == LoanState.None) begin(id, number, lease);
        else accrue(debt);
        debt.principal += amount;
        debt.drawn += amount;
        debt.reserve += ceil(amount, RESERVE_BPS);
        debt.rateBps = loan.rateBps;
        _lastFree[debt.spv] = _free[address(debt.spv)];
        require(loan.rateBps >= BASE_RATE && loan.rateBps <= 2 * BASE_RATE, "V-9: between nothing lent and all");
        checkDebt(number);
        checkDrawn(debt);
    }

    function begin(bytes32 id, uint256 number, Lease memory lease) private {
        Debt storage debt = _debts[number];
        Order memory order = _orders[id];
        bytes32 serving = keyOf(id, lease.openedAt);
        same(_loanOf[serving], 0, "F-13: never two loans on one serving");
        same(number, ++_loanCount, "F-13: a number of its own");
        _loanOf[serving] = number;
        (debt.spv, debt.lease, debt.openedAt, debt.state) = (_companyOf[id], id, lease.openedAt, LoanState.Drawn);
        debt.accruedAt = _now;
        debt.shared = earned(order, lease, lease.paidSeconds);
        bool isAlone = order.acceptor == address(0) || order.acceptor == order.client;
        bool isObligor = order.client == _obligors[0] || order.client == _obligors[1];
        if (isAlone && isObligor) debt.obligor = order.client;
        address owner = _ownerOf[_companyOf[id]];
        address backer = _chosen[owner][id] == address(0) ? owner : _chosen[owner][id];
        Cover storage cover = _covers[id][backer];
        if (cover.amount == 0 || cover.openedAt != lease.openedAt) return;
        (debt.backer, debt.cover) = (backer, cover.amount);
        _idle -= cover.amount;
        delete _covers[id][backer];
    }

    function accrue(Debt storage debt) private {
        uint256 interest = interestOf(debt);
        debt.accrued += interest - debt.interest;
        (debt.interest, debt.accruedAt) = (interest, _now);
    }

    function checkDrawn(Debt storage debt) private view {
        (uint256 owed, uint256 assets) = (owedOf(debt), vault.totalAssets());
        require(owed <= assets * LOAN_CAP_BPS / ALL, "F-13: within the cap of a loan");
        (uint256 all, uint256 onObligor) = (0, 0);
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            all += owedOf(_debts[live[i]]);
            if (_debts[live[i]].obligor == debt.obligor) onObligor += owedOf(_debts[live[i]]);
        }
        // What all loans are worth may fall by the backer's part of interest.
        require(all <= assets * UTILISATION_CAP_BPS / ALL + MOST_LOANS, "F-13: within the cap of all loans");
        if (debt.obligor != address(0)) {
            require(onObligor <= assets * OBLIGOR_CAP_BPS / ALL, "F-13: within the cap of an obligor");
        }
        Lease memory lease = _ghosts[debt.lease].lease;
        Order memory order = _orders[debt.lease];
        uint256 maturity = startOf(order, lease) + order.maxSeconds + CLAIM_GRACE + CHALLENGE_WINDOW + RULING_WINDOW;
        require(maturity <= _now + 8 days, "V-3: decided in time");
        uint256 atMaturity = debt.principal + debt.interest + interestFor(debt.principal, debt.rateBps, maturity - _now);
        if (atMaturity <= debt.reserve + debt.cover) return;
        require(debt.obligor != address(0), "V-2: on nobody else's word");
        require(coveredOf(debt) * ALL >= 12_000 * atMaturity, "V-5: covered");
        uint256 paid = earned(order, lease, lease.paidSeconds);
        uint256 unearned = paid - min(paid, earned(order, lease, elapsedOf(order, lease)));
        uint256 hope = (earned(order, lease, order.maxSeconds) - paid) * (ALL - OPEX_BPS) / ALL;
        uint256 trusted = (hope - min(hope, atMaturity)) * _betaBps / ALL;
        require(owed + unearned <= bondOfLease(order, lease) + debt.reserve + trusted, "F-7: leaving now gains nothing");
    }

    /// One that is drawn; of several, sometimes the one whose lease is over.
    function drawnLoan(bool isOver) private returns (uint256 number) {
        uint256[] memory live = vault.loans();
        uint256 first = draw();
        for (uint256 i = 0; i < live.length; ++i) {
            number = live[(first % live.length + i) % live.length];
            Debt storage debt = _debts[number];
            if (debt.state != LoanState.Drawn) continue;
            if (!isOver || _ghosts[debt.lease].lease.status == Status.Closed) return number;
        }
        need(false);
    }

    /// F-2: what a company paid out went to the vault, to the owner, and for a tip, by the waterfall. F-5: what came in is no longer owed.
    function vaultCollect(uint256 seed) external step(seed) {
        uint256 number = drawnLoan(false);
        Debt storage debt = _debts[number];
        (uint256 toVault, uint256 toOwner) = waterfall(debt);
        need(toVault + toOwner != 0);
        address company = address(debt.spv);
        uint256 free = _free[company];
        bytes memory answer = mustCall(somebody(), company, abi.encodeCall(vault.collect, (number)), "collect: anybody");
        (uint256 saidToVault, uint256 saidToOwner) = abi.decode(answer, (uint256, uint256));
        same(saidToVault, toVault, "F-2: to the vault");
        same(free - _free[company], toVault + toOwner, "F-2: to vault, owner and keeper, and the rest is there");
        uint256 tip = toOwner - saidToOwner;
        require(tip <= (toVault + toOwner) / 1_000, "F-2: a tip, out of the owner's part");
        collected(debt, toVault);
        checkDebt(number);
    }

    function collected(Debt storage debt, uint256 toVault) private {
        (, uint256 served) = unsharedOf(debt);
        debt.shared += served;
        _lastFree[debt.spv] = _free[address(debt.spv)];
        repaid(debt, toVault);
    }

    function repaid(Debt storage debt, uint256 amount) private {
        uint256 owed = owedOf(debt);
        accrue(debt);
        uint256 paidInterest = min(amount, debt.interest);
        debt.interest -= paidInterest;
        debt.principal -= amount - paidInterest;
        debt.returned += amount;
        if (amount == owed) end(debt);
    }

    function end(Debt storage debt) private {
        (debt.state, debt.reserve, debt.cover) = (LoanState.Repaid, 0, 0);
        (debt.principal, debt.interest) = (0, 0);
        (bytes32 lease,) = debt.spv.pledged();
        same(lease, bytes32(0), "F-14: what is repaid is released");
    }

    function vaultRepay(uint256 seed) external step(seed) {
        uint256 number = drawnLoan(false);
        Debt storage debt = _debts[number];
        (address who, uint256 owed) = (somebody(), owedOf(debt));
        uint256 amount = isOneOf(4) ? owed + draw() % 2 : between(1, owed);
        token.mint(who, amount);
        bytes memory input = abi.encodeCall(vault.repay, (number, uint112(amount)));
        letThrough(who, address(vault), input);
        mustCall(who, address(debt.spv), input, "repay: anyone");
        repaid(debt, min(amount, owed));
        checkDebt(number);
    }

    function vaultResolve(uint256 seed) external step(seed) {
        uint256 number = drawnLoan(!isOneOf(4));
        Debt storage debt = _debts[number];
        if (_ghosts[debt.lease].lease.status != Status.Closed) {
            mustRefuse(
                somebody(), address(vault), abi.encodeCall(vault.resolve, (number)), "resolve: not while it lives"
            );
            endLong(debt.lease);
        }
        resolveOne(number);
    }

    /// F-12: reserve, then cover, and only then all shares; never more than is owed. F-14: it is decided.
    function resolveOne(uint256 number) private {
        Debt storage debt = _debts[number];
        (uint256 toVault, uint256 toOwner) = waterfall(debt);
        bytes memory answer =
            mustCall(OUTSIDER, address(debt.spv), abi.encodeCall(vault.resolve, (number)), "F-14: anybody resolves");
        uint256 written = abi.decode(answer, (uint256));
        if (toVault + toOwner != 0) collected(debt, toVault);
        uint256 owed = owedOf(debt);
        if (owed == 0) {
            same(written, 0, "F-12: nothing is lost of what is repaid");
        } else {
            lose(debt, owed, written);
        }
        checkDebt(number);
    }

    function lose(Debt storage debt, uint256 owed, uint256 written) private {
        uint256 fromReserve = min(debt.reserve, owed);
        uint256 fromCover = min(debt.cover, owed - fromReserve);
        same(written, owed - fromReserve - fromCover, "F-12: shares lose last");
        debt.accrued += owed - debt.principal - debt.interest;
        debt.fromReserve += fromReserve;
        debt.fromCover += fromCover;
        debt.written += written;
        if (written == 0) return end(debt);
        (debt.state, debt.principal, debt.interest) = (LoanState.WrittenOff, written, 0);
        (debt.reserve, debt.cover) = (debt.reserve - fromReserve, debt.cover - fromCover);
        same(debt.reserve + debt.cover, 0, "F-12: shares lose last");
        _hasLost[_ownerOf[debt.spv]] = true;
    }

    /// What a written-off company still earns is the shares'.
    function vaultRecover(uint256 seed) external step(seed) {
        need(_loanCount != 0);
        uint256 first = draw();
        for (uint256 i = 0; i < _loanCount; ++i) {
            uint256 number = 1 + (first % _loanCount + i) % _loanCount;
            if (_debts[number].state != LoanState.WrittenOff) continue;
            if (_free[address(_debts[number].spv)] == 0) {
                fundWith(_debts[number].spv, between(1, 100e6));
            }
            return recoverOne(number);
        }
        need(false);
    }

    function recoverOne(uint256 number) private {
        Debt storage debt = _debts[number];
        uint256 amount = min(debt.principal, _free[address(debt.spv)]);
        uint256 cash = vault.cash();
        mustCall(OUTSIDER, address(debt.spv), abi.encodeCall(vault.recover, (number)), "F-14: anybody recovers");
        same(vault.cash(), cash + amount, "F-12: what a written-off company earns is the shares'");
        debt.principal -= amount;
        _lastFree[debt.spv] = _free[address(debt.spv)];
        if (debt.principal == 0) end(debt);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- the end

    /// @notice F-14, F-16: with owners, operators, clients and panel silent, time and public verbs end every position; then everybody leaves with all that is
    /// theirs, and the vault is left with what is nobody's. What is in the market leaves with `everybodyLeaves`.
    function vaultEnds() external {
        vm.recordLogs();
        for (uint256 i = _long.length; i != 0; --i) {
            if (i <= _long.length) endLong(_long[i - 1]);
        }
        for (uint256 i = 1; i <= _loanCount; ++i) {
            if (_debts[i].state == LoanState.Drawn) resolveOne(i);
            require(_debts[i].state != LoanState.Drawn, "F-14: nothing is in suspense");
            if (_debts[i].state == LoanState.WrittenOff && _free[address(_debts[i].spv)] != 0) recoverOne(i);
        }
        require(!vault.isImpaired(), "F-14: nor impaired");
        everybodyAsksOut();
        warpTo(firstFilling());
        (uint256 pending,,) = vault.queue();
        fillQueue();
        for (uint256 i = 0; i < PEOPLE; ++i) {
            leaveVault(_people[i]);
        }
        if (vault.creditOf(OUTSIDER) != 0) takeCreditOf(OUTSIDER);
        (uint256 left,,) = vault.queue();
        require(left == 0 || vault.totalAssets() * 1e6 < pending || pending < 1e6, "F-14: everybody is out");
        companiesEnd();
    }

    function everybodyAsksOut() private {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            address who = _people[i];
            if (token.isBlocked(who)) token.block_(who, false);
            uint256 shares = vault.balanceOf(who);
            if (shares != 0) mustCall(who, who, abi.encodeCall(vault.requestRedeem, (shares, who, who)), "V-11");
        }
    }

    function leaveVault(address who) private {
        mustCall(who, who, abi.encodeCall(vault.redeem, (vault.maxRedeem(who), who, who)), "F-16: it is there");
        if (vault.creditOf(who) != 0) takeCreditOf(who);
    }

    function companiesEnd() private {
        if (_free[address(backstop)] != 0) collectFees();
        for (uint256 i = 0; i < _companies.length; ++i) {
            if (isPledged(_companies[i])) same(_free[address(_companies[i])], 0, "F-16: all of it was recovered");
            else require(empty(_companies[i]), "F-16: the owner has all that is free");
        }
    }
}
