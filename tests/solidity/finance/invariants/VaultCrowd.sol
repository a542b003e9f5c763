// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Lease, Order, Receipt, Settlement, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, Loan, LoanState} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {VaultTest} from "../VaultTest.sol";

/// @notice Depositors, companies, an obligor, a thief with two keys, a backer and a panel around one vault, doing what they like in any order.
/// @dev A step that finds nothing to do, or is refused, does nothing: `done` counts those that worked. What a step changes is checked at once, what must
/// hold between steps in `checkEverything`.
contract VaultCrowd is VaultTest {
    uint256 private constant PEOPLE = 5;
    uint256 private constant MOST_LEASES = 12;
    uint256 private constant THIEF_KEY = 0x7A1EF;

    address private immutable _thief = vm.addr(THIEF_KEY);
    address[PEOPLE] private _people;
    IProviderSpv[] private _companies;
    mapping(IProviderSpv company => address) private _ownerOf;
    Order[] private _orders;
    mapping(bytes32 lease => uint256) private _placeOf;
    bytes32[] private _backedIds;
    uint256 private _dice;
    uint256 private _fillings;
    uint256 public donated;
    mapping(string verb => uint256) public done;

    constructor() {
        setUp();
        // Owner and client are depositors too: roles overlap.
        _people = [alice, bob, owner, client, _thief];
        deposit(_thief, 50_000 * DOLLAR);
        deposit(client, 1_000_000 * DOLLAR);
        _companies.push(spv);
        _ownerOf[spv] = owner;
        spendAnything();
    }

    /// @notice Every step begins so; and no verb of the vault ever lowers its price (F-8): only time and the market do.
    modifier step(uint256 seed) {
        _dice = uint256(keccak256(abi.encode(seed, _dice)));
        _;
    }

    modifier priced() {
        uint256 price = priceOfMillion();
        _;
        vm.assertTrue(priceOfMillion() >= price, "F-8: no verb of the vault lowers its price");
    }

    function spendAnything() private {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            vm.prank(_people[i]);
            dollar.approve(address(vault), type(uint256).max);
        }
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- dice

    function draw_() private returns (uint256) {
        return _dice = uint256(keccak256(abi.encode(_dice)));
    }

    function between(uint256 least, uint256 most) private returns (uint256) {
        return least + draw_() % (most - least + 1);
    }

    function somebody() private returns (address) {
        return _people[draw_() % PEOPLE];
    }

    function tryAs(address who, address target, bytes memory input, string memory verb) private returns (bool isDone) {
        vm.prank(who);
        (isDone,) = target.call(input);
        if (isDone) ++done[verb];
    }

    function aLoan() private returns (uint256) {
        uint256[] memory live = vault.loans();
        return live.length == 0 ? 0 : live[draw_() % live.length];
    }

    /// Every other time one that a loan rests on.
    function anOrder_() private returns (Order memory order) {
        if (_orders.length == 0) return aMonth();
        uint256[] memory live = vault.loans();
        if (live.length != 0 && draw_() % 2 == 0) {
            return _orders[_placeOf[vault.loanOf(live[draw_() % live.length]).lease]];
        }
        order = _orders[_orders.length - 1 - draw_() % min(_orders.length, MOST_LEASES)];
    }

    function min(uint256 one, uint256 other) private pure returns (uint256) {
        return one < other ? one : other;
    }

    // -------------------------------------------------------------------------------------------------------------------------------- depositors

    function enters(uint256 seed) external step(seed) priced {
        address who = somebody();
        uint256 assets = between(0, 3_000 * DOLLAR);
        dollar.mint(who, assets);
        bool isImpaired = vault.isImpaired();
        bool isDone = tryAs(who, address(vault), abi.encodeCall(vault.deposit, (assets, who)), "deposit");
        vm.assertTrue(isDone == !isImpaired, "F-8: nobody enters while a loan is impaired, and everybody may else");
    }

    function asksOut(uint256 seed) external step(seed) priced {
        address who = somebody();
        uint256 shares = between(0, vault.balanceOf(who));
        tryAs(who, address(vault), abi.encodeCall(vault.requestRedeem, (shares, who, who)), "requestRedeem");
    }

    function stays(uint256 seed) external step(seed) priced {
        address who = somebody();
        uint256 shares = between(0, vault.pendingRedeemRequest(0, who));
        tryAs(who, address(vault), abi.encodeCall(vault.cancelRedeem, (shares, who)), "cancelRedeem");
    }

    function fills(uint256 seed) external step(seed) priced {
        if (tryAs(somebody(), address(vault), abi.encodeCall(vault.process, ()), "process")) ++_fillings;
    }

    function takes(uint256 seed) external step(seed) priced {
        address who = somebody();
        if (draw_() % 2 == 0) {
            uint256 shares = between(0, vault.maxRedeem(who));
            vm.assertTrue(
                tryAs(who, address(vault), abi.encodeCall(vault.redeem, (shares, who, who)), "redeem"),
                "F-16: it is there"
            );
        } else {
            uint256 assets = between(0, vault.maxWithdraw(who));
            vm.assertTrue(
                tryAs(who, address(vault), abi.encodeCall(vault.withdraw, (assets, who, who)), "withdraw"),
                "F-16: it is there"
            );
        }
    }

    function takesCredit(uint256 seed) external step(seed) priced {
        address who = somebody();
        vm.assertTrue(
            tryAs(who, address(vault), abi.encodeCall(vault.takeCredit, (who)), "takeCredit"), "F-16: it is there"
        );
    }

    function donates(uint256 seed) external step(seed) priced {
        uint256 amount = between(1, 100 * DOLLAR);
        dollar.mint(address(vault), amount);
        donated += amount;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- leases

    /// A month of the obligor or of the thief, on a company of an honest owner or of the thief's; sometimes a fresh company.
    function opens(uint256 seed) external step(seed) {
        if (draw_() % 4 == 0 && _companies.length < 8) {
            address whose = draw_() % 2 == 0 ? owner : _thief;
            _companies.push(aCompany(whose, bytes32(_companies.length)));
            _ownerOf[_companies[_companies.length - 1]] = whose;
        }
        IProviderSpv company = _companies[draw_() % _companies.length];
        if (company.creditor() != address(0) || _listed[company] == 7) return;
        ++_listed[company];
        deposit(address(company), 5_000 * DOLLAR);
        offer = listAs(company);
        Order memory order = aMonth();
        order.salt = draw_();
        bool isThief = draw_() % 3 == 0;
        if (isThief) {
            order.client = _thief;
            deposit(_thief, 6_000 * DOLLAR);
        }
        order.minSeconds = uint32(between(MIN_SECONDS, MONTH));
        Fill memory fill = aFill(order);
        fill.signature = sign(isThief ? THIEF_KEY : CLIENT_KEY, market.orderId(order));
        openAs(opener, fill);
        if (market.statusOf(order) != Status.Open) return;
        ++done["open"];
        _placeOf[market.orderId(order)] = _orders.length;
        _orders.push(order);
        _companyOf[market.orderId(order)] = company;
    }

    mapping(IProviderSpv company => uint256) private _listed;
    mapping(bytes32 lease => IProviderSpv) private _companyOf;

    function keyOf(Order memory order) private view returns (uint256) {
        return order.client == _thief ? THIEF_KEY : CLIENT_KEY;
    }

    function pays(uint256 seed) external step(seed) {
        Order memory order = anOrder_();
        Lease memory lease = leaseOf(order);
        uint256 elapsed = timestamp() - min(timestamp(), lease.openedAt);
        uint256 most = min(elapsed > order.minSeconds ? elapsed : order.minSeconds, order.maxSeconds);
        if (lease.status != Status.Open || lease.paidSeconds >= most) return;
        uint32 used = uint32(between(uint256(lease.paidSeconds) + 1, most));
        Settlement memory settlement = aSettlement(order, used, false);
        settlement.clientSignature = sign(keyOf(order), market.receiptId(receiptOf(order, used, false)));
        settle(settlement);
        ++done["pay"];
    }

    /// F-6: no last receipt of a pledged lease pays less than its floor.
    function agrees(uint256 seed) external step(seed) {
        Order memory order = anOrder_();
        Lease memory lease = leaseOf(order);
        if (lease.status == Status.None || lease.status == Status.Closed) return;
        IProviderSpv company = _companyOf[market.orderId(order)];
        uint32 used = uint32(between(lease.paidSeconds, order.maxSeconds));
        uint32 least = company.floorOf(order);
        Settlement memory settlement = aSettlement(order, used, true);
        Receipt memory receipt = receiptOf(order, used, true);
        settlement.clientSignature = sign(keyOf(order), market.receiptId(receipt));
        settlement.providerSignature = abi.encode(receipt, sign(OPERATOR_KEY, market.receiptId(receipt)));
        settle(settlement);
        if (market.statusOf(order) != Status.Closed) return;
        ++done["settle last"];
        vm.assertTrue(used >= least, "F-6: not below the floor");
    }

    function claims(uint256 seed) external step(seed) {
        uint256 loan = aLoan();
        Order memory order = loan != 0 ? _orders[_placeOf[vault.loanOf(loan).lease]] : anOrder_();
        IProviderSpv company = _companyOf[market.orderId(order)];
        if (address(company) == address(0)) return;
        uint256 openedAt = leaseOf(order).openedAt;
        // A keeper waits for the end of metering.
        if (draw_() % 4 == 0 && timestamp() < openedAt + MONTH) vm.warp(openedAt + MONTH);
        uint256 elapsed = timestamp() - min(timestamp(), openedAt);
        uint32 used = uint32(between(0, min(elapsed, order.maxSeconds)));
        if (draw_() % 2 == 0) {
            tryAs(operator, address(company), abi.encodeCall(company.claim, (order, used, RESULT)), "claim");
        }
        tryAs(stranger, address(company), abi.encodeCall(company.claimDue, (order)), "claimDue");
        tryAs(operator, address(company), abi.encodeCall(company.decline, (order)), "decline");
    }

    function objects(uint256 seed) external step(seed) {
        Order memory order = anOrder_();
        tryAs(order.client, address(market), abi.encodeCall(market.dispute, (order)), "dispute");
        if (draw_() % 2 == 0) ruleOn(order);
    }

    function rules(uint256 seed) external step(seed) {
        ruleOn(anOrder_());
    }

    function ruleOn(Order memory order) private {
        uint32 used = draw_() % 2 == 0 ? 0 : uint32(between(0, leaseOf(order).claimedSeconds));
        bytes memory input = abi.encodeCall(market.rule, (order, used, draw_() % 2 == 0));
        tryAs(arbiter, address(market), input, "rule");
    }

    function ends(uint256 seed) external step(seed) {
        Order memory order = anOrder_();
        if (draw_() % 3 == 0) {
            tryAs(order.client, address(market), abi.encodeCall(market.terminate, (order)), "terminate");
        }
        endByTime(order);
    }

    function endByTime(Order memory order) private {
        tryAs(stranger, address(market), abi.encodeCall(market.expire, (order)), "expire");
        tryAs(stranger, address(market), abi.encodeCall(market.lapse, (order)), "lapse");
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        tryAs(stranger, address(market), abi.encodeCall(market.finalize, (orders)), "finalize");
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- loans

    function backs(uint256 seed) external step(seed) priced {
        Order memory order = anOrder_();
        address who = somebody();
        uint96 amount = uint96(between(1, 1_500 * DOLLAR));
        dollar.mint(who, amount);
        bytes32 id = market.orderId(order);
        if (tryAs(who, address(vault), abi.encodeCall(vault.back, (order, amount)), "back")) _backedIds.push(id);
        if (draw_() % 4 == 0) tryAs(who, address(vault), abi.encodeCall(vault.unback, (id)), "unback");
        IProviderSpv company = _companyOf[id];
        if (draw_() % 2 == 0) {
            tryAs(_ownerOf[company], address(vault), abi.encodeCall(vault.choose, (id, who)), "choose");
        }
    }

    /// F-7, F-13: what a draw leaves behind it holds every rule, worked out here again.
    function draws(uint256 seed) external step(seed) priced {
        Order memory order = anOrder_();
        bytes32 id = market.orderId(order);
        IProviderSpv company = _companyOf[id];
        if (address(company) == address(0)) return;
        address whose = _ownerOf[company];
        (uint256 most,) = vault.limitOf(order, address(company));
        if (most == 0) return;
        uint112 amount = uint112(draw_() % 2 == 0 ? most : between(1, most));
        tryAs(whose, address(company), abi.encodeCall(company.allow, (address(vault))), "allow");
        bytes memory input = abi.encodeCall(vault.draw, (order, address(company), amount, ANY_RATE));
        vm.assertTrue(tryAs(whose, address(vault), input, "draw"), "what the limit says is drawn");
        checkDrawn(order, vault.loanOn(id, leaseOf(order).openedAt));
    }

    function checkDrawn(Order memory order, uint256 number) private view {
        Loan memory loan = vault.loanOf(number);
        uint256 owed = vault.owedOf(number);
        vm.assertTrue(owed <= vault.totalAssets() * vault.terms().loanCapBps / 10_000, "F-13: within the cap");
        vm.assertFalse(vault.coveredOf(number) < owed, "V-5: no loan is born impaired");
        if (owed <= uint256(loan.reserve) + loan.cover) return;
        uint256 paid = earned(order, leaseOf(order).paidSeconds);
        uint256 served = earned(order, min(timestamp() - loan.startsAt, MONTH));
        uint256 unearned = paid > served ? paid - served : 0;
        vm.assertTrue(owed + unearned <= bond(order) + loan.reserve, "F-7: leaving now gains nothing");
        vm.assertEq(loan.obligor, client, "V-2: nobody else's word");
    }

    function collects(uint256 seed) external step(seed) priced {
        uint256 number = aLoan();
        uint256 owed = vault.owedOf(number);
        uint256 free = market.balanceOf(vault.loanOf(number).spv);
        vm.prank(stranger);
        (bool isDone, bytes memory answer) = address(vault).call(abi.encodeCall(vault.collect, (number)));
        if (!isDone) return;
        ++done["collect"];
        (uint256 toVault, uint256 toOwner) = abi.decode(answer, (uint256, uint256));
        vm.assertEq(vault.owedOf(number) + toVault, owed, "F-5: what came in is no longer owed");
        uint256 left = market.balanceOf(vault.loanOf(number).spv);
        uint256 tip = free - left - toVault - toOwner;
        vm.assertTrue(tip <= DOLLAR, "F-2: vault, owner, a tip, and what is still there");
    }

    function repays(uint256 seed) external step(seed) priced {
        uint256 number = aLoan();
        address who = somebody();
        uint256 owed = vault.owedOf(number);
        if (owed == 0 || draw_() % 2 == 0) return;
        uint256 amount = draw_() % 4 == 0 ? owed : between(1, owed);
        dollar.mint(who, amount);
        vm.assertTrue(
            tryAs(who, address(vault), abi.encodeCall(vault.repay, (number, uint112(amount))), "repay"), "anyone repays"
        );
        vm.assertEq(vault.owedOf(number) + amount, owed, "F-5: and it is no longer owed");
    }

    /// One whose lease is over, if there is one.
    function overLoan() private returns (uint256 number) {
        uint256[] memory live = vault.loans();
        number = aLoan();
        for (uint256 i = 0; i < live.length; ++i) {
            Loan memory loan = vault.loanOf(live[i]);
            if (loan.state == LoanState.Drawn && market.leaseOf(loan.lease).status == Status.Closed) return live[i];
        }
    }

    function resolves(uint256 seed) external step(seed) priced {
        uint256 number = overLoan();
        uint256 owed = vault.owedOf(number);
        vm.prank(stranger);
        (bool isDone, bytes memory answer) = address(vault).call(abi.encodeCall(vault.resolve, (number)));
        if (!isDone) return;
        ++done["resolve"];
        uint256 written = abi.decode(answer, (uint256));
        Loan memory loan = vault.loanOf(number);
        vm.assertTrue(written <= owed, "F-12: no more than was owed");
        vm.assertTrue(loan.reserve == 0 && loan.cover == 0, "F-12: shares lose last, and the rest went back");
        vm.assertEq(
            uint8(loan.state), uint8(written == 0 ? LoanState.Repaid : LoanState.WrittenOff), "F-14: it is decided"
        );
        if (written == 0 || draw_() % 2 == 0) return;
        deposit(loan.spv, between(1, 400 * DOLLAR));
        recoverFrom(number);
    }

    /// A written-off company that somebody pays into, if there is one. That is an event of the market, so that the price may move before.
    function recovers(uint256 seed) external step(seed) {
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            Loan memory loan = vault.loanOf(live[i]);
            if (loan.state != LoanState.WrittenOff) continue;
            if (draw_() % 2 == 0) deposit(loan.spv, between(1, 400 * DOLLAR));
            recoverFrom(live[i]);
            return;
        }
    }

    function recoverFrom(uint256 number) private priced {
        vm.assertTrue(
            tryAs(stranger, address(vault), abi.encodeCall(vault.recover, (number)), "recover"), "F-14: it is recovered"
        );
    }

    function passes(uint256 seed) external step(seed) {
        uint256 kind = draw_() % 8;
        skip(kind < 3 ? between(1, 1 hours) : kind < 7 ? between(1 hours, 2 days) : between(2 days, 12 days));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- checks

    /// @notice F-3 and F-4, between any two steps.
    function checkEverything() external view {
        uint256 owed = vault.cash() + donated;
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            Loan memory loan = vault.loanOf(live[i]);
            owed += uint256(loan.reserve) + loan.cover;
            IProviderSpv company = IProviderSpv(loan.spv);
            vm.assertEq(company.creditor(), address(vault), "F-3: pledged here");
            address payee = market.payeeOf(loan.lease);
            vm.assertTrue(payee == address(0) || payee == loan.spv, "F-3: its own payee");
        }
        for (uint256 i = 0; i < PEOPLE; ++i) {
            owed += vault.creditOf(_people[i]) + vault.maxWithdraw(_people[i]);
            for (uint256 j = 0; j < _backedIds.length; ++j) {
                if (isRepeated(j)) continue;
                (uint96 amount,) = vault.coverOf(_backedIds[j], _people[i]);
                owed += amount;
            }
        }
        owed += vault.creditOf(stranger);
        uint256 held = dollar.balanceOf(address(vault));
        vm.assertTrue(held >= owed, "F-4: the vault has what it owes");
        vm.assertTrue(held - owed <= PEOPLE * (_fillings + 1), "F-4: and nothing else but the units of fillings");
    }

    function isRepeated(uint256 j) private view returns (bool isFound) {
        for (uint256 i = 0; i < j && !isFound; ++i) {
            isFound = _backedIds[i] == _backedIds[j];
        }
    }

    /// @notice F-14: with owner, operator, client and panel silent, time and public verbs end every position; then everybody leaves.
    function everybodyIsSilent() external {
        skip(MONTH + CLAIM_GRACE + RULING_WINDOW + CHALLENGE_WINDOW);
        for (uint256 i = 0; i < _orders.length; ++i) {
            endByTime(_orders[i]);
        }
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            tryAs(stranger, address(vault), abi.encodeCall(vault.resolve, (live[i])), "resolve");
            vm.assertFalse(vault.loanOf(live[i]).state == LoanState.Drawn, "F-14: nothing is in suspense");
        }
        vm.assertFalse(vault.isImpaired(), "F-14: nor impaired");
        for (uint256 i = 0; i < PEOPLE; ++i) {
            leave(_people[i], vault.balanceOf(_people[i]));
            vm.prank(_people[i]);
            vault.takeCredit(_people[i]);
        }
        (uint256 pending,,) = vault.queue();
        skip(2 days);
        vault.process();
        for (uint256 i = 0; i < PEOPLE; ++i) {
            uint256 shares = vault.maxRedeem(_people[i]);
            vm.prank(_people[i]);
            vault.redeem(shares, _people[i], _people[i]);
        }
        (uint256 left,,) = vault.queue();
        vm.assertTrue(left == 0 || vault.totalAssets() * 1e6 < pending || pending < 1e6, "F-14: everybody is out");
    }
}
