// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Fill, Lease, Offer, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {CrowdMischief} from "./CrowdMischief.sol";
import {CrowdPeople} from "./CrowdPeople.sol";
import {ICrowdToken} from "./CrowdTokens.sol";

/// @notice The crowd's steps, one for each verb. Forge takes them in any order.
/// @dev No step is ever discarded: one that finds nothing to act on makes it first. Each does its own verb with success at least once, or the run
/// fails. So the table that forge prints (calls, reverts, discards) tells how often each verb truly worked.
contract Crowd is CrowdMischief {
    /// @notice What is rolled, and what is logged meanwhile is read.
    modifier step(uint256 seed) {
        roll(seed);
        vm.recordLogs();
        _;
    }

    constructor(IComputeMarket market_, ICrowdToken token_) CrowdPeople(market_, token_) {
        roll(0);
        vm.recordLogs();
        for (uint256 i = 0; i < PEOPLE; ++i) {
            fund(_people[i]);
        }
        for (uint256 i = 0; i < FIRST_OFFERS; ++i) {
            listOne(_people[i]);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------------- money and delegates

    function deposit(uint256 seed) external step(seed) {
        (address payer, address account) = (somebody(), somebody());
        uint256 amount = between(0, 1_000e6);
        if (token.isBlocked(payer)) payer = OUTSIDER;
        token.mint(payer, amount);
        vm.prank(payer);
        token.approve(address(market), amount);
        uint256 before = _free[account];
        if (isOneOf(8)) {
            address nobody = isOneOf(2) ? address(0) : address(market);
            mustFail(payer, abi.encodeCall(IComputeMarket.deposit, (nobody, amount)), "neither 0 nor the market");
        }
        from(payer);
        market.deposit(account, amount);
        told();
        same(_free[account], before + amount, "P-01: what arrived is credited");
    }

    /// The owner or anyone else brings the permit; sometimes it was used up before, which stops anyone but the owner.
    function depositWithPermit(uint256 seed) external step(seed) {
        address owner = unblocked();
        (uint256 amount, uint256 deadline) = (between(0, 1_000e6), _now + between(0, 1 days));
        token.mint(owner, amount);
        (uint8 v, bytes32 r, bytes32 s) = signPermit(owner, amount, deadline);
        uint256 before = _free[owner];
        address relay = isOneOf(2) ? owner : somebody();
        if (isOneOf(4)) {
            token.permit(owner, address(market), amount, deadline, v, r, s);
            if (relay != owner) {
                bytes memory input =
                    abi.encodeCall(IComputeMarket.depositWithPermit, (owner, amount, deadline, v, r, s));
                mustFail(relay, input, "only the owner goes on without its permit");
                relay = owner;
            }
        }
        from(relay);
        _payer = owner;
        market.depositWithPermit(owner, amount, deadline, v, r, s);
        toldDeposit(owner, before + amount);
    }

    function depositWithAuthorization(uint256 seed) external step(seed) {
        address owner = unblocked();
        (uint256 amount, uint256 validBefore) = (between(0, 1_000e6), _now + between(1, 1 days));
        bytes32 nonce = bytes32(draw());
        token.mint(owner, amount);
        (uint8 v, bytes32 r, bytes32 s) = signAuthorization(owner, amount, validBefore, nonce);
        uint256 before = _free[owner];
        from(somebody());
        _payer = owner;
        market.depositWithAuthorization(owner, amount, 0, validBefore, nonce, v, r, s);
        toldDeposit(owner, before + amount);
    }

    function toldDeposit(address owner, uint256 balance) private {
        told();
        same(_free[owner], balance, "P-01: what arrived is credited to the owner");
    }

    /// What the token will not take to its receiver stays where it is, and goes elsewhere (P-06).
    function withdraw(uint256 seed) external step(seed) {
        (address account, address to) = (somebody(), somebody());
        uint256 amount = isOneOf(4) ? _free[account] : between(0, _free[account]);
        if (token.isBlocked(to)) {
            bytes memory input = abi.encodeCall(IComputeMarket.withdraw, (to, amount));
            mustFail(account, input, "nothing goes to whom the token blocks");
            to = OUTSIDER;
        }
        uint256 before = token.balanceOf(to);
        from(account);
        market.withdraw(to, amount);
        told();
        same(token.balanceOf(to), before + amount, "withdraw: it arrives");
    }

    /// Nobody owns what was sent without a deposit.
    function donate(uint256 seed) external step(seed) {
        uint256 amount = between(1, 1e6);
        token.mint(address(market), amount);
        _donated += amount;
    }

    function authorize(uint256 seed) external step(seed) {
        address delegate = _delegates[draw() % DELEGATES];
        uint128 budget = isOneOf(8) ? 0 : uint128(between(0, 100e6));
        uint40 until = isOneOf(8) ? 0 : uint40(_now + between(0, 1 days));
        if (budget == 0 || until == 0) (budget, until) = (0, 0);
        authorizeOne(somebody(), delegate, budget, until);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ offers

    function list(uint256 seed) external step(seed) {
        listOne(somebody());
    }

    function reprice(uint256 seed) external step(seed) {
        uint40 offer = uint40(between(1, _lastOffer));
        while (!isOpenToAll(offer)) offer = uint40(between(1, FIRST_OFFERS));
        repriceTo(offer, uint80(between(0, 5e6)));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ orders

    /// A few orders in one batch.
    function open(uint256 seed) external step(seed) {
        uint256 count = between(1, 2);
        makeRoom(count);
        address sender = somebody();
        Fill[] memory fills = new Fill[](count);
        for (uint256 i = 0; i < count; ++i) {
            (, fills[i]) = freshFill(sender, count == 1);
        }
        post(sender, fills);
        same(_openedCount, count, "P-20: good fills open");
    }

    /// One that has all it needs but one unit cannot open; with that unit it can. Client and provider may be one, and the tip that the opener would earn
    /// counts for nothing (P-20).
    function openWithTheLastUnit(uint256 seed) external step(seed) {
        makeRoom(1);
        uint40 offer = offerWithRoom(4);
        address provider = _offers[offer].provider;
        Order memory order = anOrder(isOneOf(2) ? provider : somebody(), offer, 1);
        address sender = isOneOf(3) ? order.client : somebody();
        if (isOneOf(2)) (order.opener, order.tip) = (sender, uint96(between(1, 1e6)));
        bytes32 id = register(order);
        Fill memory fill = aFill(id, offer, sender);
        uint256 total = totalOf(order, fill.price);
        uint256 bond = bondOf(total, _offers[offer].bondBps);
        address poor = isOneOf(2) ? provider : order.client;
        uint256 need = (poor == order.client ? total + order.tip : 0) + (poor == provider ? bond : 0);
        if (need != 0) {
            uint256 spare = _free[poor] - need + 1;
            from(poor);
            market.withdraw(OUTSIDER, spare);
            told();
            mustBeRefused(sender, fill);
            from(address(this));
            market.deposit(poor, 1);
            told();
        }
        post(sender, fill);
    }

    /// A term lease, which only the provider opens (P-21). Sometimes both agree at once to pay a share of it in advance.
    function openTerm(uint256 seed) external step(seed) {
        makeRoom(1);
        uint40 offer = offerWithRoom(4);
        address provider = _offers[offer].provider;
        Order memory order = anOrder(somebody(), offer, uint16(between(1, _offers[offer].free / 4)));
        order.startsAt = uint40(_now + between(1, 2 hours));
        if (isOneOf(2)) (order.opener, order.tip) = (provider, uint96(between(0, 1e6)));
        bytes32 id = register(order);
        Fill memory fill = aFill(id, offer, provider);
        if (provider != order.client) mustBeRefused(order.client, fill);
        post(provider, fill);
        if (order.minSeconds != 0 && isOneOf(2)) {
            uint32 used = uint32(between(1, order.minSeconds));
            require(settleOne(Receipting(id, somebody(), used, false, false, false)), "a consented prepayment");
        }
        if (isOneOf(4)) mustNotPerform(Attempt(Verb.Decline, id, provider, 0, false, address(0)));
    }

    /// Opens a declined order again, elsewhere if that fits; if there is none, has one declined.
    function reopen(uint256 seed) external step(seed) {
        bytes32 id = find(Status.None);
        if (id == 0 || _now + 1 >= _orders[id].expiresAt) id = declineOne(true);
        Order memory order = _orders[id];
        address sender = order.opener != address(0) ? order.opener : isOneOf(4) ? order.client : somebody();
        Fill memory fill = aFill(id, offerFor(order, _ghosts[id].lastOffer), sender);
        if (_ghosts[id].lease.openedAt == _now) {
            mustBeRefused(sender, fill);
            wait(1);
        }
        post(sender, fill);
    }

    /// The first offer from a random place on that the order fits; else the last that served it, made to fit.
    function offerFor(Order memory order, uint40 last) private returns (uint40 offer) {
        uint256 first = draw();
        for (uint256 i = 0; i < _lastOffer; ++i) {
            offer = uint40(1 + (first % _lastOffer + i) % _lastOffer);
            Offer storage listed = _offers[offer];
            if (!isOpenToAll(offer)) continue;
            if (order.offer != 0 && order.offer != offer) continue;
            if (order.classes >> listed.class & 1 == 0 || order.arbiter != listed.arbiter) continue;
            if (listed.free < order.gpus || listed.price > order.maxPrice) continue;
            if (listed.bondBps >= order.minBondBps && listed.minSeconds <= order.minSeconds) return offer;
        }
        offer = last;
        if (_offers[offer].price > order.maxPrice) repriceTo(offer, order.maxPrice);
        for (uint256 i = _alive.length; i != 0 && _offers[offer].free < order.gpus; --i) {
            Lease storage lease = _ghosts[_alive[i - 1]].lease;
            if (lease.status == Status.Open && lease.offer == offer) endOne(_alive[i - 1]);
        }
    }

    function cancel(uint256 seed) external step(seed) {
        bytes32 id = find(isOneOf(4) ? Status.Open : Status.None);
        if (id == 0) id = isOneOf(2) ? openOne() : declineOne(false);
        if (_ghosts[id].lease.status == Status.Closed) id = openOne();
        mustPerform(Attempt(Verb.Cancel, id, clientSideOf(_orders[id]), 0, false, address(0)));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ leases

    /// Income while it runs: in any live state, whenever more has elapsed or is guaranteed than was paid.
    function settleProgress(uint256 seed) external step(seed) {
        bytes32 id = anyLive();
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        if (lease.paidSeconds == order.maxSeconds) {
            id = openOne();
            (order, lease) = (_orders[id], _ghosts[id].lease);
        }
        if (lease.paidSeconds >= mostOf(order, lease)) {
            warpTo(startOf(order, lease) + lease.paidSeconds + between(1, 60));
        }
        uint256 most = mostOf(order, lease);
        if (isOneOf(4)) {
            uint32 wrong = isOneOf(2) ? lease.paidSeconds : uint32(most + 1);
            require(!settleOne(Receipting(id, somebody(), wrong, false, false, false)), "not one second more or less");
        }
        uint32 used = uint32(between(uint256(lease.paidSeconds) + 1, most));
        require(settleOne(Receipting(id, somebody(), used, false, false, false)), "a good receipt settles");
    }

    function settleLast(uint256 seed) external step(seed) {
        endOne(anyLive());
    }

    function settleDisputed(uint256 seed) external step(seed) {
        endOne(disputedLease());
    }

    function claim(uint256 seed) external step(seed) {
        claimOne();
    }

    /// All that may be finalized, in one batch; if there is nothing, what has to wait.
    function finalize(uint256 seed) external step(seed) {
        bytes32 id = claimedLease();
        Attempt memory attempt = Attempt(Verb.Finalize, id, somebody(), 0, false, address(0));
        uint256 first = _ghosts[id].lease.changedAt + CHALLENGE_WINDOW;
        if (first > _now && isOneOf(4)) {
            warpTo(first);
            mustNotPerform(Attempt(Verb.Dispute, id, clientSideOf(_orders[id]), 0, false, address(0)));
        }
        mustPerformFrom(first, attempt);
    }

    function terminate(uint256 seed) external step(seed) {
        bytes32 id = openLease();
        mustPerform(Attempt(Verb.Terminate, id, clientSideOf(_orders[id]), 0, false, address(0)));
    }

    function decline(uint256 seed) external step(seed) {
        declineOne(isOneOf(2));
    }

    /// A provider that assigns the income first, and then declines, must not leave its payee to the next one.
    function declineOne(bool isUnpaid) private returns (bytes32 id) {
        id = youngLease();
        if (isUnpaid && (_ghosts[id].lease.paidSeconds != 0 || _ghosts[id].lease.noReopen)) id = openOne();
        address provider = providerOf(id);
        if (!isUnpaid && isOneOf(2)) prepay(id);
        if (isOneOf(3) && _ghosts[id].payee == provider) {
            mustPerform(Attempt(Verb.Assign, id, provider, 0, false, somebody()));
        }
        mustPerform(Attempt(Verb.Decline, id, provider, 0, false, address(0)));
    }

    /// As much of what is guaranteed as a provider that declines can give back.
    function prepay(bytes32 id) private {
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        uint256 used = between(0, mostOf(order, lease));
        if (used <= lease.paidSeconds || earned(order, lease, used) > bondOfLease(order, lease)) return;
        require(settleOne(Receipting(id, somebody(), uint32(used), false, false, false)), "a prepayment");
    }

    function expire(uint256 seed) external step(seed) {
        bytes32 id = find(Status.Open);
        if (id == 0) id = openOne();
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        uint256 deadline = deadlineOf(order, lease);
        if (deadline > _now && isOneOf(2)) {
            warpTo(deadline);
            mustNotPerform(Attempt(Verb.Terminate, id, clientSideOf(order), 0, false, address(0)));
            mustNotPerform(Attempt(Verb.Dispute, id, clientSideOf(order), 0, false, address(0)));
            mustNotPerform(Attempt(Verb.Claim, id, providerOf(id), lease.paidSeconds, false, address(0)));
        }
        mustPerformFrom(deadline, Attempt(Verb.Expire, id, somebody(), 0, false, address(0)));
    }

    function dispute(uint256 seed) external step(seed) {
        disputeOne();
    }

    function rule(uint256 seed) external step(seed) {
        bytes32 id = disputedLease();
        if (_now >= _ghosts[id].lease.changedAt + RULING_WINDOW) id = disputeOne();
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        bool atFault = isOneOf(2);
        uint32 used = uint32(between(0, atFault ? lease.claimedSeconds : mostOwed(order, lease)));
        mustPerform(Attempt(Verb.Rule, id, order.arbiter, used, atFault, address(0)));
    }

    function lapse(uint256 seed) external step(seed) {
        bytes32 id = disputedLease();
        uint256 end = _ghosts[id].lease.changedAt + RULING_WINDOW;
        if (end > _now && isOneOf(2)) {
            warpTo(end);
            mustNotPerform(Attempt(Verb.Rule, id, _orders[id].arbiter, 0, false, address(0)));
        }
        mustPerformFrom(end, Attempt(Verb.Lapse, id, somebody(), 0, false, address(0)));
    }

    /// Chains: each payee may pass it on.
    function assign(uint256 seed) external step(seed) {
        bytes32 id = anyLive();
        for (uint256 links = between(1, 3); links != 0; --links) {
            mustPerform(Attempt(Verb.Assign, id, _ghosts[id].payee, 0, false, isOneOf(8) ? OUTSIDER : somebody()));
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------ time and token

    function pass(uint256 seed) external step(seed) {
        uint256 scale = draw() % 16;
        wait(between(1, scale < 4 ? 1 : scale < 10 ? 60 : scale < 15 ? 20 minutes : 10 hours));
    }

    /// @notice Only with a token whose issuer can do that.
    function blacklist(uint256 seed) external step(seed) {
        address who = somebody();
        token.block_(who, !token.isBlocked(who));
    }

    function unblocked() private returns (address who) {
        who = somebodyWithKey();
        if (token.isBlocked(who)) token.block_(who, false);
    }
}
