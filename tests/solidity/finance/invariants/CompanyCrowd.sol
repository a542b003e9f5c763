// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Lease,
    Offer,
    Order,
    Receipt,
    Settlement,
    Status
} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IBackstopArbiter} from "../../../../contracts/finance/interfaces/IBackstopArbiter.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {VaultBooks} from "./VaultBooks.sol";

/// @notice Companies, and the long leases that they serve: for obligors, for people who own the company too, and for anybody. Any of the ten is an owner,
/// and any with a key an operator.
abstract contract CompanyCrowd is VaultBooks {
    uint256 private constant MOST_LEASES = 10;

    // Leases of companies that are not closed.
    bytes32[] internal _long;

    // ----------------------------------------------------------------------------------------------------------------------------------- companies

    function companyIsCreated(uint256 seed) external step(seed) {
        createCompany(somebody());
    }

    function createCompany(address owner) internal returns (IProviderSpv company) {
        address operator = somebodyWithKey();
        bytes32 salt = bytes32(_companies.length);
        vm.prank(owner);
        company = IProviderSpv(factory.create(owner, operator, salt));
        (_ownerOf[company], _operatorOf[company]) = (owner, operator);
        _companies.push(company);
    }

    function aCompany() internal returns (IProviderSpv) {
        return _companies.length == 0 ? createCompany(somebody()) : _companies[draw() % _companies.length];
    }

    function freeCompany() internal returns (IProviderSpv company) {
        company = aCompany();
        if (isPledged(company)) company = createCompany(somebody());
    }

    function companyLists(uint256 seed) external step(seed) {
        IProviderSpv company = freeCompany();
        need(_offersOf[company].length < 8);
        listAs(company);
    }

    function listAs(IProviderSpv company) internal returns (uint40 offer) {
        uint16 bondBps = uint16(between(500, 5_000));
        uint16 minSeconds = isOneOf(2) ? 0 : uint16(between(1, 600));
        bytes memory input = abi.encodeCall(
            IProviderSpv.list,
            (
                uint8(draw() % CLASSES),
                8,
                bondBps,
                uint80(between(1, 4e6)),
                minSeconds,
                uint40(_now + 30 days),
                address(backstop),
                ""
            )
        );
        // Before the market tells: nobody of the crowd opens on it.
        _isCompanys[_lastOffer + 1] = true;
        (bool isDone,) = act(_operatorOf[company], address(company), address(company), input);
        require(isDone, "list: an operator lists");
        offer = _lastOffer;
        _offersOf[company].push(offer);
    }

    function companyReprices(uint256 seed) external step(seed) {
        IProviderSpv company = aCompany();
        uint256 count = _offersOf[company].length;
        need(count != 0);
        uint40 offer = _offersOf[company][draw() % count];
        bytes memory input =
            abi.encodeCall(IProviderSpv.reprice, (offer, uint80(between(1, 4e6)), uint40(_now + 30 days)));
        (bool isDone,) = act(_operatorOf[company], address(company), address(company), input);
        require(isDone != isPledged(company), "S-1: not while it is pledged");
        need(isDone);
    }

    function companyChangesOperator(uint256 seed) external step(seed) {
        IProviderSpv company = aCompany();
        address operator = somebodyWithKey();
        (bool isDone,) = act(
            _ownerOf[company], address(company), address(company), abi.encodeCall(IProviderSpv.setOperator, (operator))
        );
        require(isDone, "setOperator: always");
        _operatorOf[company] = operator;
    }

    function companyIsEmptied(uint256 seed) external step(seed) {
        IProviderSpv company = aCompany();
        need(_free[address(company)] != 0);
        need(empty(company));
    }

    function empty(IProviderSpv company) internal returns (bool isDone) {
        address owner = _ownerOf[company];
        uint256 all = _free[address(company)];
        bytes memory input = abi.encodeCall(IProviderSpv.withdraw, (all));
        if (token.isBlocked(owner)) {
            mustRefuse(owner, address(company), input, "P-06: not to whom the token blocks");
            token.block_(owner, false);
        }
        (isDone,) = act(owner, address(company), address(company), input);
        require(isDone != isPledged(company), "S-1: not while it is pledged");
    }

    /// Anyone deposits for it, also while it is pledged or written off.
    function companyIsFunded(uint256 seed) external step(seed) {
        fundWith(aCompany(), between(1, 100e6));
    }

    function fundWith(IProviderSpv company, uint256 amount) internal {
        from(address(this));
        market.deposit(address(company), amount);
        told();
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- leases

    function leaseOpens(uint256 seed) external step(seed) {
        openLong();
    }

    /// A lease of hours to days, opened by anyone, or by the company if it begins later.
    function openLong() internal returns (bytes32 id) {
        while (_long.length >= MOST_LEASES) endLong(_long[draw() % _long.length]);
        IProviderSpv company = freeCompany();
        uint40 offer = offerOfCompany(company);
        company = IProviderSpv(_offers[offer].provider);
        Order memory order = longOrder(offer);
        id = digestOf(order);
        _orders[id] = order;
        _ghosts[id].isKnown = true;
        (_companyOf[id], _ghosts[id].delegate) = (company, address(0));
        _long.push(id);
        fund(order.client);
        fundBond(company, order, _offers[offer].bondBps);
        bool isByCompany = order.startsAt != 0 || isOneOf(3);
        address sender = isByCompany ? address(company) : somebody();
        Fill[] memory fills = new Fill[](1);
        fills[0] =
            Fill(order, offer, order.maxPrice, sender == order.client ? bytes("") : signatureOf(order.client, id));
        if (!isByCompany) {
            post(sender, fills);
        } else {
            address by = isOneOf(2) ? _ownerOf[company] : _operatorOf[company];
            act(by, sender, sender, abi.encodeCall(IProviderSpv.open, (fills, bytes32(0))));
        }
        same(uint256(_ghosts[id].lease.status), uint256(Status.Open), "P-21: a company opens, and is opened on");
    }

    function offerOfCompany(IProviderSpv company) private returns (uint40 offer) {
        uint40[] storage offers = _offersOf[company];
        for (uint256 i = offers.length; i != 0; --i) {
            offer = offers[i - 1];
            if (_offers[offer].free >= 4 && _offers[offer].expiresAt > _now) return offer;
        }
        return offers.length < 8 ? listAs(company) : listAs(createCompany(_ownerOf[company]));
    }

    function longOrder(uint40 offerId) private returns (Order memory order) {
        Offer storage offer = _offers[offerId];
        order.client = isOneOf(4) ? somebody() : _obligors[draw() % 2];
        (order.classes, order.offer, order.gpus) = (type(uint256).max, offerId, uint16(between(1, 4)));
        order.maxSeconds = uint32(between(6 hours, 5 days));
        order.minSeconds = uint32(between(isOneOf(3) ? offer.minSeconds : order.maxSeconds / 3, order.maxSeconds));
        order.maxPrice = uint80(offer.price + (isOneOf(2) ? 0 : between(0, 1e6)));
        if (isOneOf(4)) order.startsAt = uint40(_now + between(1, 3 hours));
        order.expiresAt = uint40(_now + 1 hours);
        if (isOneOf(4)) order.acceptor = isOneOf(2) ? order.client : somebody();
        order.arbiter = address(backstop);
        order.salt = draw();
    }

    /// Only what the bond takes: what a company has besides stands behind its loan.
    function fundBond(IProviderSpv company, Order memory order, uint16 bondBps) private {
        uint256 bond = bondOf(totalOf(order, order.maxPrice), bondBps);
        if (_free[address(company)] >= bond) return;
        fundWith(company, bond - _free[address(company)]);
    }

    /// One of these that is in this state, from a random place on; 0 if none is. What is closed is forgotten.
    function findLong(Status status) internal returns (bytes32) {
        for (uint256 i = _long.length; i != 0; --i) {
            if (_ghosts[_long[i - 1]].lease.status != Status.Closed) continue;
            _long[i - 1] = _long[_long.length - 1];
            _long.pop();
        }
        (uint256 first, uint256 count) = (draw(), _long.length);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 id = _long[(first % count + i) % count];
            if (_ghosts[id].lease.status == status) return id;
        }
        return 0;
    }

    function openLongLease() internal returns (bytes32 id) {
        id = findLong(Status.Open);
        if (id == 0 || _now >= deadlineOf(_orders[id], _ghosts[id].lease)) id = openLong();
    }

    /// A verb of the market on a lease of a company, by whom it belongs to. F-8: a price moves by exactly what that company's loan does.
    function mustMove(Attempt memory attempt) internal {
        uint256 others = vault.totalAssets() - valueBehind(attempt.id);
        mustPerform(attempt);
        same(vault.totalAssets() - valueBehind(attempt.id), others, "F-8: the price moves by that loan's part alone");
    }

    /// What the loan of a lease's company counts for, whatever lease it rests on; one that gave up its place counts for nothing.
    function valueBehind(bytes32 id) private view returns (uint256) {
        (bytes32 lease, uint40 openedAt) = _companyOf[id].pledged();
        uint256 number = _loanOf[keyOf(lease, openedAt)];
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            if (live[i] == number) return valueOf(_debts[number]);
        }
        return 0;
    }

    function leaseIsPaid(uint256 seed) external step(seed) {
        bytes32 id = openLongLease();
        (Order memory order, Lease memory lease) = (_orders[id], _ghosts[id].lease);
        if (lease.paidSeconds >= mostOf(order, lease)) wait(between(1, 6 hours));
        uint256 most = mostOf(order, lease);
        need(_now < deadlineOf(order, lease) && lease.paidSeconds < most);
        uint32 used = uint32(isOneOf(2) ? most : between(uint256(lease.paidSeconds) + 1, most));
        require(settleOne(Receipting(id, somebody(), used, false, false, false)), "P-22: a receipt pays");
    }

    /// F-6: no last receipt of a pledged lease pays less than its floor, and any other is settled.
    function leaseIsSettled(uint256 seed) external step(seed) {
        bytes32 id = findLong(isOneOf(4) ? Status.Disputed : isOneOf(4) ? Status.Claimed : Status.Open);
        if (id == 0) id = openLongLease();
        (Order memory order, Lease memory lease) = (_orders[id], _ghosts[id].lease);
        need(mostOf(order, lease) >= lease.paidSeconds);
        if (isOneOf(2)) wait(between(1, 1 days));
        uint32 floor = _companyOf[id].floorOf(order);
        uint256 least = max(lease.paidSeconds, floor);
        uint32 used = uint32(between(lease.paidSeconds, mostOf(order, lease)));
        if (isOneOf(2) && least <= mostOf(order, lease)) used = uint32(least);
        bool isFair = isAtFloor(id, used);
        if (floor > lease.paidSeconds) require(!isAtFloor(id, floor - 1), "S-3: floorOf says the number");
        agree(id, used);
        bool isDone = _ghosts[id].lease.status == Status.Closed;
        require(isDone == isFair, isDone ? "F-6: below the floor" : "F-6: settled, not below the floor");
        need(isDone);
    }

    function agree(bytes32 id, uint32 used) private {
        Lease memory lease = _ghosts[id].lease;
        Receipt memory receipt = Receipt(id, lease.offer, lease.openedAt, used, "", true);
        bytes32 digest = digestOf(receipt);
        Settlement[] memory settlements = new Settlement[](1);
        bytes memory byCompany = abi.encode(receipt, signatureOf(_operatorOf[_companyOf[id]], digest));
        settlements[0] = Settlement(_orders[id], used, "", true, signatureOf(_orders[id].client, digest), byCompany);
        // Not a party: what a party sends needs no signature of its own.
        from(address(0xF1F1));
        market.settle(settlements);
        told();
    }

    /// By the operator: never below the floor (F-6).
    function leaseIsClaimed(uint256 seed) external step(seed) {
        bytes32 id = openLongLease();
        (Order memory order, Lease memory lease) = (_orders[id], _ghosts[id].lease);
        uint256 first = startOf(order, lease) + max(order.minSeconds, lease.paidSeconds);
        if (isOneOf(2)) warpTo(min(first + draw() % 2 hours, deadlineOf(order, lease) - 1));
        uint32 used = uint32(between(0, elapsedOf(order, lease)));
        if (isOneOf(2)) used = uint32(elapsedOf(order, lease));
        IProviderSpv company = _companyOf[id];
        bool isExpected =
            isAllowed(Attempt(Verb.Claim, id, address(company), used, false, address(0)), order) && isAtFloor(id, used);
        (bool isDone,) = act(
            _operatorOf[company],
            address(company),
            address(company),
            abi.encodeCall(IProviderSpv.claim, (order, used, ""))
        );
        require(isDone == isExpected, isDone ? "F-6: below the floor" : "S-3: claimed, not below the floor");
        need(isDone);
    }

    /// S-4: by anyone, as soon as metering is over, all of it, and of what is pledged only.
    function leaseIsClaimedDue(uint256 seed) external step(seed) {
        bytes32 id = pledgedLease();
        need(id != 0);
        (Order memory order, Lease memory lease) = (_orders[id], _ghosts[id].lease);
        uint256 end = startOf(order, lease) + order.maxSeconds;
        address company = address(_companyOf[id]);
        bytes memory input = abi.encodeCall(IProviderSpv.claimDue, (order));
        if (end > _now && isOneOf(2)) {
            warpTo(end - 1);
            mustRefuse(somebody(), company, input, "S-4: not a second earlier");
        }
        warpTo(end);
        bool isInTime = _now < deadlineOf(order, lease);
        (bool isDone,) = act(isOneOf(2) ? somebody() : OUTSIDER, company, company, input);
        require(isDone == isInTime, "S-4: in time, and then not");
        need(isDone);
        same(_ghosts[id].lease.claimedSeconds, order.maxSeconds, "S-4: all of it");
    }

    /// An open lease that a loan rests on, if there is one.
    function pledgedLease() internal returns (bytes32 id) {
        (uint256 first, uint256 count) = (draw(), _long.length);
        for (uint256 i = 0; i < count; ++i) {
            id = _long[(first % count + i) % count];
            if (_ghosts[id].lease.status == Status.Open && isPledged(id)) return id;
        }
        return 0;
    }

    function leaseIsDeclined(uint256 seed) external step(seed) {
        bytes32 id = openLongLease();
        IProviderSpv company = _companyOf[id];
        bool isExpected =
            isAllowed(Attempt(Verb.Decline, id, address(company), 0, false, address(0)), _orders[id]) && !isPledged(id);
        (bool isDone,) = act(
            _operatorOf[company],
            address(company),
            address(company),
            abi.encodeCall(IProviderSpv.decline, (_orders[id]))
        );
        require(isDone == isExpected, "S-1: declined while it may be, and not once it is pledged");
        need(isDone);
        // Nobody opens it again.
        if (_ghosts[id].lease.status == Status.None) mustPerform(cancelOf(id));
    }

    function cancelOf(bytes32 id) private view returns (Attempt memory) {
        return Attempt(Verb.Cancel, id, _orders[id].client, 0, false, address(0));
    }

    function leaseIsTerminated(uint256 seed) external step(seed) {
        bytes32 id = openLongLease();
        mustMove(Attempt(Verb.Terminate, id, clientSideOf(_orders[id]), 0, false, address(0)));
    }

    function leaseExpires(uint256 seed) external step(seed) {
        bytes32 id = findLong(Status.Open);
        if (id == 0 || !isOneOf(2)) id = openLong();
        warpTo(deadlineOf(_orders[id], _ghosts[id].lease));
        mustMove(Attempt(Verb.Expire, id, somebody(), 0, false, address(0)));
    }

    function leaseIsDisputed(uint256 seed) external step(seed) {
        disputeLong();
    }

    function disputeLong() internal returns (bytes32 id) {
        id = isOneOf(2) ? findLong(Status.Claimed) : bytes32(0);
        if (id == 0 || _now >= _ghosts[id].lease.changedAt + CHALLENGE_WINDOW) {
            id = isOneOf(2) ? pledgedLease() : openLongLease();
            if (id == 0 || _now >= deadlineOf(_orders[id], _ghosts[id].lease)) id = openLong();
            warpTo(startOf(_orders[id], _ghosts[id].lease) + START_GRACE);
        }
        address who = clientSideOf(_orders[id]);
        fund(who);
        mustMove(Attempt(Verb.Dispute, id, who, 0, false, address(0)));
    }

    function disputedLong() internal returns (bytes32 id) {
        id = findLong(Status.Disputed);
        if (id == 0) id = disputeLong();
    }

    function leaseIsFinalized(uint256 seed) external step(seed) {
        bytes32 id = findLong(Status.Claimed);
        need(id != 0);
        warpTo(_ghosts[id].lease.changedAt + CHALLENGE_WINDOW);
        mustMove(Attempt(Verb.Finalize, id, somebody(), 0, false, address(0)));
    }

    /// A-1: the panel, until a step before the window's end.
    function panelRules(uint256 seed) external step(seed) {
        bytes32 id = disputedLong();
        if (_now >= endOfPanel(id)) id = disputeLong();
        Order memory order = _orders[id];
        bool atFault = isOneOf(3);
        uint256 most = atFault ? _ghosts[id].lease.claimedSeconds : mostOwed(order, _ghosts[id].lease);
        bytes memory input = abi.encodeCall(IBackstopArbiter.rule, (order, uint32(between(0, most)), atFault));
        mustRefuse(address(0xF1F1), address(backstop), input, "A-1: the panel only");
        rules(id, _panel, input);
    }

    function endOfPanel(bytes32 id) private view returns (uint256) {
        return _ghosts[id].lease.changedAt + RULING_WINDOW - STEP;
    }

    function rules(bytes32 id, address by, bytes memory input) private {
        uint256 others = vault.totalAssets() - valueBehind(id);
        (bool isDone,) = act(by, address(backstop), address(backstop), input);
        require(isDone, "A-1: it rules");
        same(vault.totalAssets() - valueBehind(id), others, "F-8: the price moves by that loan's part alone");
    }

    /// A-1: anybody, in the last step of the window, what was guaranteed or claimed.
    function backstopRules(uint256 seed) external step(seed) {
        bytes32 id = disputedLong();
        if (_now >= endOfPanel(id) + STEP) id = disputeLong();
        Order memory order = _orders[id];
        bytes memory input = abi.encodeCall(IBackstopArbiter.backstop, (order));
        if (_now < endOfPanel(id)) {
            warpTo(endOfPanel(id) - 1);
            mustRefuse(somebody(), address(backstop), input, "A-1: not a second earlier");
            warpTo(endOfPanel(id));
        }
        uint256 most = mostOwed(order, _ghosts[id].lease);
        rules(id, somebody(), input);
        same(_ghosts[id].lease.paidSeconds, most, "A-1: what was guaranteed or claimed");
    }

    function leaseLapses(uint256 seed) external step(seed) {
        bytes32 id = disputedLong();
        warpTo(endOfPanel(id) + STEP);
        mustMove(Attempt(Verb.Lapse, id, somebody(), 0, false, address(0)));
    }

    /// A-2.
    function panelCollects(uint256 seed) external step(seed) {
        need(_free[address(backstop)] != 0);
        collectFees();
    }

    function collectFees() internal {
        bytes memory input = abi.encodeCall(IBackstopArbiter.collect, ());
        letThrough(_panel, address(backstop), input);
        uint256 fees = _free[address(backstop)];
        uint256 before = token.balanceOf(_panel);
        (bool isDone,) = act(somebody(), address(backstop), address(backstop), input);
        require(isDone && token.balanceOf(_panel) == before + fees, "A-2: the fees are the panel's");
    }

    /// By time and public verbs, with nobody's help.
    function endLong(bytes32 id) internal {
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        if (lease.status == Status.Open) {
            uint256 end = startOf(order, lease) + order.maxSeconds;
            address company = address(_companyOf[id]);
            bytes memory input = abi.encodeCall(IProviderSpv.claimDue, (order));
            warpTo(end);
            if (isOneOf(2) && isPledged(id) && _now < deadlineOf(order, lease)) act(OUTSIDER, company, company, input);
            if (_ghosts[id].lease.status == Status.Open) {
                warpTo(deadlineOf(order, lease));
                return mustPerform(Attempt(Verb.Expire, id, OUTSIDER, 0, false, address(0)));
            }
            lease = _ghosts[id].lease;
        }
        if (lease.status == Status.Claimed) {
            warpTo(lease.changedAt + CHALLENGE_WINDOW);
            mustPerform(Attempt(Verb.Finalize, id, OUTSIDER, 0, false, address(0)));
        } else if (lease.status == Status.Disputed) {
            warpTo(lease.changedAt + RULING_WINDOW);
            mustPerform(Attempt(Verb.Lapse, id, OUTSIDER, 0, false, address(0)));
        }
        findLong(Status.None);
    }
}
