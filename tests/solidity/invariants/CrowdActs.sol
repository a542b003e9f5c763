// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Lease, Offer, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {CrowdRules} from "./CrowdRules.sol";

/// @notice How the crowd gets what its steps need: money, offers with room, orders signed in every way, and leases in every state.
abstract contract CrowdActs is CrowdRules {
    uint256 internal constant MAX_ALIVE = 16;
    uint256 internal constant FIRST_OFFERS = 6;
    uint256 internal constant CLASSES = 3;
    // More than any lock that an order of this crowd makes, so that a batch finds enough.
    uint256 internal constant ENOUGH = 40_000e6;
    uint256 private _salt;

    // ------------------------------------------------------------------------------------------------------------------------------------- money

    /// Anyone may deposit for anyone: the crowd's own till.
    function fund(address account) internal {
        if (_free[account] >= ENOUGH) return;
        from(address(this));
        market.deposit(account, 2 * ENOUGH);
        told();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ offers

    function listOne(address provider) internal {
        address arbiter = _arbiters[draw() % ARBITERS];
        if (arbiter == provider) arbiter = OUTSIDER;
        uint256 terms = draw();
        from(provider);
        market.list({
            class: uint8(terms % CLASSES),
            gpus: uint16(8 + (terms >> 16) % 25),
            bondBps: uint16((terms >> 32) % 10_001),
            price: (terms >> 48) % 16 == 0 ? 0 : uint80((terms >> 64) % 5e6),
            minSeconds: (terms >> 128) % 4 == 0 ? uint16((terms >> 144) % 601) : 0,
            expiresAt: type(uint40).max,
            arbiter: arbiter,
            spec: bytes32(terms)
        });
        told();
    }

    function repriceTo(uint40 offer, uint80 price) internal {
        from(_offers[offer].provider);
        market.reprice(offer, price, type(uint40).max);
        told();
    }

    /// Some offers can be kept to steps of their own.
    function isOpenToAll(uint40) internal view virtual returns (bool) {
        return true;
    }

    /// An offer with this many GPUs free; open leases end until there is one.
    function offerWithRoom(uint16 gpus) internal returns (uint40 offer) {
        for (uint256 tries = 0; tries <= MAX_ALIVE; ++tries) {
            uint256 first = draw();
            for (uint256 i = 0; i < _lastOffer; ++i) {
                offer = uint40(1 + (first % _lastOffer + i) % _lastOffer);
                if (isOpenToAll(offer) && _offers[offer].free >= gpus) return offer;
            }
            endOne(find(Status.Open));
        }
        revert Wrong("no offer has room", gpus, 0);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ orders

    function anOrder(address client, uint40 offerId, uint16 gpus) internal returns (Order memory) {
        Offer storage offer = _offers[offerId];
        uint256 terms = draw();
        uint32 maxSeconds = lengthOf(terms, offer.minSeconds);
        return Order({
            client: client,
            classes: terms % 3 == 0 ? 1 << offer.class : type(uint256).max,
            offer: terms >> 8 & 7 == 0 ? offerId : 0,
            gpus: gpus,
            maxSeconds: maxSeconds,
            minSeconds: uint32(between(offer.minSeconds, terms >> 16 & 1 == 0 ? max(offer.minSeconds, 1) : maxSeconds)),
            maxPrice: offer.price + uint80((terms >> 24) % 1e6),
            minBondBps: terms >> 48 & 3 == 0 ? offer.bondBps : 0,
            startsAt: terms >> 56 & 3 == 0 ? uint40(_now - (terms >> 64) % 100) : 0,
            expiresAt: uint40(_now + 1 hours + (terms >> 72) % 30 days),
            tip: 0,
            opener: address(0),
            acceptor: terms >> 104 & 7 == 0 ? address(0) : somebody(),
            arbiter: offer.arbiter,
            spec: bytes32(terms),
            salt: ++_salt
        });
    }

    /// Seconds, minutes, or hours.
    function lengthOf(uint256 terms, uint16 least) private pure returns (uint32) {
        uint256 scale = terms >> 112 & 15;
        uint256 most = scale == 0 ? 10 : scale < 12 ? 7_000 : 20 hours;
        return uint32(max(least, 1) + (terms >> 120) % most);
    }

    /// Makes the order one that `opener` may open, and its client's own wish.
    function register(Order memory order) internal returns (bytes32 id) {
        id = digestOf(order);
        _orders[id] = order;
        _ghosts[id].isKnown = true;
        _alive.push(id);
    }

    /// A fill that holds: signed by the client, by a delegate within its budget, or sent by the client itself.
    function aFill(bytes32 id, uint40 offer, address sender) internal returns (Fill memory fill) {
        Order memory order = _orders[id];
        uint80 ask = _offers[offer].price;
        fill = Fill(order, offer, uint80(between(ask, order.maxPrice)), "");
        fund(order.client);
        fund(_offers[offer].provider);
        _ghosts[id].delegate = address(0);
        if (sender == order.client) return fill;
        if (isOneOf(3)) {
            address delegate = _delegates[draw() % DELEGATES];
            if (delegate == order.client) delegate = _delegates[DELEGATES - 1];
            if (_ghosts[id].lease.charged) entrustAgain(order.client, delegate);
            else entrust(order.client, delegate, totalOf(order, order.maxPrice) + order.tip);
            _ghosts[id].delegate = delegate;
            fill.signature = signatureOf(delegate, id);
        } else {
            fill.signature = signatureOf(order.client, id);
        }
    }

    /// Sees to it that the delegate may spend this several times.
    function entrust(address account, address delegate, uint256 amount) internal {
        Budget storage budget = _budgets[account][delegate];
        if (budget.until > _now && budget.left >= 8 * amount) return;
        authorizeOne(account, delegate, uint128(16 * amount + between(1, 1e9)), uint40(_now + between(1, 1 days)));
    }

    /// A charged order needs no budget again: a delegate whose time runs will do, whatever is left to it.
    function entrustAgain(address account, address delegate) internal {
        if (isOneOf(2)) authorizeOne(account, delegate, 1, uint40(_now + between(1, 1 days)));
        else entrust(account, delegate, 1);
    }

    function authorizeOne(address account, address delegate, uint128 budget, uint40 until) internal {
        from(account);
        market.authorize(delegate, budget, until);
        told();
    }

    function post(address sender, Fill[] memory fills) internal {
        bytes32 round = bytes32(draw());
        from(sender);
        market.open(fills, round);
        told();
    }

    function post(address sender, Fill memory fill) internal {
        Fill[] memory fills = new Fill[](1);
        fills[0] = fill;
        post(sender, fills);
        same(_openedCount, 1, "P-20: a good fill opens");
    }

    /// An order that `sender` may open, on an offer with room for it. Four of at most a quarter of the free GPUs always fit.
    function freshFill(address sender, bool isAlone) internal returns (bytes32 id, Fill memory fill) {
        uint40 offer = offerWithRoom(4);
        uint16 free = _offers[offer].free;
        Order memory order = anOrder(somebody(), offer, uint16(between(1, isAlone && isOneOf(4) ? free : free / 4)));
        if (order.client != sender && isOneOf(2)) order.opener = sender;
        if (order.client == sender && isOneOf(2)) order.opener = somebody();
        if (order.opener != address(0) && isOneOf(2)) order.tip = uint96(between(0, 1e6));
        id = register(order);
        fill = aFill(id, offer, sender);
    }

    function openOne() internal returns (bytes32 id) {
        makeRoom(1);
        address sender = somebody();
        Fill memory fill;
        (id, fill) = freshFill(sender, true);
        post(sender, fill);
    }

    /// Ends what is oldest until so many more orders may live: the crowd reads all that are alive.
    function makeRoom(uint256 orders) internal {
        while (_alive.length + orders > MAX_ALIVE) endOne(_alive[draw() % _alive.length]);
    }

    /// Both sides agree that it is over; or the client will not have it again.
    function endOne(bytes32 id) internal {
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        if (lease.status == Status.None) {
            mustPerform(Attempt(Verb.Cancel, id, order.client, 0, false, address(0)));
        } else {
            uint32 used = uint32(between(lease.paidSeconds, mostOf(order, lease)));
            if (isOneOf(4)) settleOne(Receipting(id, somebody(), used, true, used % 2 == 0, used % 2 == 1));
            if (_ghosts[id].lease.status == Status.Closed) return;
            require(settleOne(Receipting(id, somebody(), used, true, false, false)), "both agree");
        }
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- finding

    /// The first order at or after a random place that has this status; 0 if there is none.
    function find(Status status) internal returns (bytes32) {
        (uint256 first, uint256 count) = (draw(), _alive.length);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 id = _alive[(first % count + i) % count];
            if (_ghosts[id].lease.status == status) return id;
        }
        return 0;
    }

    function anyLive() internal returns (bytes32 id) {
        (uint256 first, uint256 count) = (draw(), _alive.length);
        for (uint256 i = 0; i < count; ++i) {
            id = _alive[(first % count + i) % count];
            if (_ghosts[id].lease.status != Status.None) return id;
        }
        return openOne();
    }

    /// An open lease before its deadline; if none is near, a new one.
    function openLease() internal returns (bytes32 id) {
        id = find(Status.Open);
        if (id == 0 || _now >= deadlineOf(_orders[id], _ghosts[id].lease)) id = openOne();
    }

    /// An open lease that may be declined.
    function youngLease() internal returns (bytes32 id) {
        id = find(Status.Open);
        Attempt memory attempt = Attempt(Verb.Decline, id, providerOf(id), 0, false, address(0));
        if (id == 0 || !isAllowed(attempt, _orders[id])) id = openOne();
    }

    function claimedLease() internal returns (bytes32 id) {
        id = find(Status.Claimed);
        if (id == 0) id = claimOne();
    }

    function disputedLease() internal returns (bytes32 id) {
        id = find(Status.Disputed);
        if (id == 0) id = disputeOne();
    }

    function claimOne() internal returns (bytes32 id) {
        id = openLease();
        claimAs(id);
    }

    /// What has elapsed covers what was prepaid, once it reaches minSeconds.
    function claimAs(bytes32 id) internal {
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        Attempt memory attempt = Attempt(Verb.Claim, id, providerOf(id), lease.paidSeconds, false, address(0));
        uint256 first = startOf(order, lease) + max(order.minSeconds, lease.paidSeconds);
        if (first > _now) return mustPerformFrom(first, attempt);
        attempt.used = uint32(between(lease.paidSeconds, elapsedOf(order, lease)));
        mustPerform(attempt);
    }

    function disputeOne() internal returns (bytes32 id) {
        id = isOneOf(2) ? find(Status.Claimed) : bytes32(0);
        if (id != 0 && _now < _ghosts[id].lease.changedAt + CHALLENGE_WINDOW) {
            mustPerform(disputeBy(clientSideOf(_orders[id]), id));
            return id;
        }
        id = openLease();
        Order memory order = _orders[id];
        uint256 first = startOf(order, _ghosts[id].lease) + START_GRACE;
        Attempt memory attempt = disputeBy(clientSideOf(order), id);
        if (first > _now && isOneOf(2)) {
            warpTo(first);
            mustNotPerform(Attempt(Verb.Decline, id, providerOf(id), 0, false, address(0)));
        }
        mustPerformFrom(first, attempt);
    }

    function disputeBy(address who, bytes32 id) private returns (Attempt memory) {
        fund(who);
        return Attempt(Verb.Dispute, id, who, 0, false, address(0));
    }

    function providerOf(bytes32 id) internal view returns (address) {
        return _offers[_ghosts[id].lease.offer].provider;
    }

    function clientSideOf(Order memory order) internal returns (address) {
        return order.acceptor != address(0) && isOneOf(2) ? order.acceptor : order.client;
    }
}
