// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Lease,
    Offer,
    Order,
    Settlement,
    Status
} from "../../../contracts/interfaces/IComputeMarket.sol";
import {CrowdActs} from "./CrowdActs.sol";

/// @notice What the crowd does that must change nothing, batches that mix good with bad, and parties left alone with their locks.
abstract contract CrowdMischief is CrowdActs {
    uint256 internal constant POISONS = 20;

    // --------------------------------------------------------------------------------------------------------------------------- what is refused

    /// Any verb, by anyone, at any time, often just before or at an instant that matters: the market must do what the rules allow, and nothing else.
    function attempt(uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        bytes32 id = isOneOf(8) && _closed.length != 0 ? _closed[draw() % _closed.length] : anyLive();
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        if (isOneOf(3)) warpTo(instantOf(order, lease) - draw() % 2);
        uint256 about = isOneOf(2) ? lease.claimedSeconds : elapsedOf(order, lease);
        if (isOneOf(2)) about = max(about, order.minSeconds);
        uint32 used = uint32(isOneOf(4) ? lease.paidSeconds : about + draw() % 2);
        if (isOneOf(8) && used != 0) --used;
        if (isOneOf(8)) {
            settleOne(Receipting(id, partyOf(id), used, isOneOf(2), isOneOf(2), isOneOf(2)));
        } else {
            address payee = isOneOf(8) ? (isOneOf(2) ? address(0) : address(market)) : somebody();
            perform(Attempt(Verb(draw() % 10), id, partyOf(id), used, isOneOf(2), payee));
        }
    }

    /// An instant at which a verb of this lease begins or ends to be allowed.
    function instantOf(Order memory order, Lease memory lease) private returns (uint256) {
        uint256 which = draw() % 3;
        if (lease.status == Status.Claimed) return lease.changedAt + CHALLENGE_WINDOW;
        if (lease.status == Status.Disputed) return lease.changedAt + RULING_WINDOW;
        if (which == 0) return deadlineOf(order, lease);
        if (which == 1) return startOf(order, lease) + order.minSeconds;
        return max(lease.openedAt, isOneOf(2) ? order.startsAt : 0) + START_GRACE;
    }

    function partyOf(bytes32 id) internal returns (address) {
        Order storage order = _orders[id];
        uint256 which = draw() % 8;
        if (which < 2) return providerOf(id) == address(0) ? somebody() : providerOf(id);
        if (which < 4) return order.client;
        if (which == 4) return order.arbiter;
        if (which == 5 && order.acceptor != address(0)) return order.acceptor;
        if (which == 6 && _ghosts[id].payee != address(0)) return _ghosts[id].payee;
        return somebody();
    }

    /// Fills of forge's own making (I-9): nothing that anyone signed is among them, and nothing is written.
    function openNoise(Fill calldata noise, bytes32 round, uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        Fill[] memory fills = new Fill[](2);
        fills[0] = noise;
        fills[1] = noise;
        fills[1].offer = uint40(draw() % (_lastOffer + 2));
        if (_closed.length != 0) fills[1].order = _orders[_closed[draw() % _closed.length]];
        address sender = address(0xBAD);
        vm.record();
        from(sender);
        market.open(fills, round);
        nothingWritten();
        told();
        same(_refusedCount, 2, "I-9: noise is refused");
    }

    function settleNoise(uint32 used, bytes32 result, bool last, bytes calldata noise, uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = Settlement(_orders[anyLive()], used, result, last, noise, noise);
        vm.record();
        from(address(0xBAD));
        market.settle(settlements);
        nothingWritten();
        told();
        same(_refusedCount, 1, "I-9: noise is refused");
    }

    function nothingWritten() private {
        (, bytes32[] memory writes) = vm.accesses(address(market));
        snapshots.stopRecord();
        same(writes.length, 0, "I-9: what is refused writes nothing");
    }

    function mustBeRefused(address sender, Fill memory fill) internal {
        Fill[] memory fills = new Fill[](1);
        fills[0] = fill;
        post(sender, fills);
        same(_refusedCount, 1, "P-20: a bad fill is refused");
    }

    /// A fill that breaks one rule of P-20.
    function poisonedFill(address sender, uint256 kind) internal returns (Fill memory fill) {
        uint40 offer = offerWithRoom(4);
        Offer memory listed = _offers[offer];
        address client = somebody();
        if (client == sender) client = client == _people[0] ? _people[1] : _people[0];
        Order memory order = anOrder(client, offer, 1);
        fund(client);
        fund(listed.provider);
        fill.offer = offer;
        fill.price = order.maxPrice;
        address signer = client;
        if (kind == 0) signer = address(0);
        else if (kind == 1) order.expiresAt = uint40(_now);
        else if (kind == 2) order.classes &= ~(uint256(1) << listed.class);
        else if (kind == 3) order.offer = offer + 1;
        else if (kind == 4) ++fill.price;
        else if (kind == 5) (order.gpus, order.minSeconds) = (0, order.minSeconds);
        else if (kind == 6) order.gpus = listed.free + 1;
        else if (kind == 7) order.minSeconds = order.maxSeconds + 1;
        else if (kind == 8) order.arbiter = address(0xA2B1);
        else if (kind == 9) order.opener = sender == address(0xBAD) ? client : address(0xBAD);
        else if (kind == 10) order.tip = 1;
        else if (kind == 11) order.minBondBps = listed.bondBps + 1;
        else if (kind == 12) fill.offer = _lastOffer + 1;
        else if (kind == 13) order.maxSeconds = 0;
        else if (kind == 14) poisonTerm(order, sender, listed.provider);
        else if (kind == 15) signer = impoverishedClient(order, fill.price);
        else if (kind == 16) signer = skimpedDelegate(order);
        else if (kind == 17) signer = lateDelegate(order);
        else order = takenOrder(order);
        fill.order = order;
        bytes32 id = digestOf(order);
        // One that lives or is closed needs no signature to be refused; the others have one that holds.
        fill.signature = signer == address(0) || kind > 17 ? forgedSignature(id) : signatureOf(signer, id);
    }

    function poisonTerm(Order memory order, address sender, address provider) private view {
        if (sender == provider) order.expiresAt = 0;
        else order.startsAt = uint40(_now + 1);
    }

    /// A client that has one unit less than T and the tip, which would come back to it if it opened its own order.
    function impoverishedClient(Order memory order, uint80 price) private returns (address) {
        if (_free[_pauper] != 0) {
            uint256 all = _free[_pauper];
            from(_pauper);
            market.withdraw(OUTSIDER, all);
            told();
        }
        order.client = _pauper;
        uint256 need = totalOf(order, price) + order.tip;
        if (need == 0) order.expiresAt = 0;
        if (need < 2) return _pauper;
        from(address(this));
        market.deposit(_pauper, need - 1);
        told();
        return _pauper;
    }

    /// A delegate that would spend one unit more than it may (I-7).
    function skimpedDelegate(Order memory order) private returns (address delegate) {
        delegate = _delegates[DELEGATES];
        uint256 need = totalOf(order, order.maxPrice) + order.tip;
        if (need == 0) (need, order.tip, order.opener) = (1, 1, _actor);
        if (need != 0) authorizeOne(order.client, delegate, uint128(need - 1), need == 1 ? 0 : type(uint40).max);
    }

    /// A delegate whose time was over a second ago, or is over now.
    function lateDelegate(Order memory order) private returns (address delegate) {
        delegate = _delegates[DELEGATES + 1];
        authorizeOne(order.client, delegate, type(uint128).max, uint40(_now - draw() % 2));
    }

    function takenOrder(Order memory order) private returns (Order memory) {
        if (_closed.length != 0 && isOneOf(2)) return _orders[_closed[draw() % _closed.length]];
        bytes32 id = find(Status.Open);
        if (id != 0) return _orders[id];
        order.expiresAt = 0;
        return order;
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- batches

    /// I-9: a batch of good and bad fills equals its items one by one.
    function openMixedBatch(uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        makeRoom(2);
        address sender = somebody();
        uint256 bad = between(1, 2);
        Fill[] memory fills = new Fill[](2 + bad);
        uint256 firstGood = draw() % (1 + bad);
        uint256 kind = draw();
        for (uint256 i = 0; i < bad; ++i) {
            fills[i < firstGood ? i : i + 1] = poisonedFill(sender, (kind % POISONS + i) % POISONS);
        }
        (, fills[firstGood]) = freshFill(sender, false);
        (, fills[1 + bad]) = freshFill(sender, false);

        uint256 snapshot = snapshots.snapshotState();
        post(sender, fills);
        same(_openedCount, 2, "I-9: the good ones open");
        same(_refusedCount, bad, "I-9: the bad ones are refused");
        bytes32 together = digestOf(fills);
        snapshots.revertToStateAndDelete(snapshot);

        Fill[] memory one = new Fill[](1);
        for (uint256 i = 0; i < fills.length; ++i) {
            one[0] = fills[i];
            post(sender, one);
        }
        same(digestOf(fills), together, "I-9: a batch equals its items one by one");
    }

    /// I-9: so does a batch of receipts, in any state, of which some do not hold.
    function settleMixedBatch(uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        uint256 count = between(2, 4);
        address sender = somebody();
        Settlement[] memory settlements = new Settlement[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 id = anyLive();
            Lease memory lease = _ghosts[id].lease;
            uint256 most = mostOf(_orders[id], lease) + (isOneOf(4) ? 1 : 0);
            uint32 used = uint32(between(min(lease.paidSeconds, most), most));
            settlements[i] = settlementOf(Receipting(id, sender, used, isOneOf(3), isOneOf(6), isOneOf(6)));
        }

        uint256 snapshot = snapshots.snapshotState();
        from(sender);
        market.settle(settlements);
        told();
        same(_settledCount + _refusedCount, count, "I-9: each is settled or refused");
        bytes32 together = digestOf(settlements);
        snapshots.revertToStateAndDelete(snapshot);

        Settlement[] memory one = new Settlement[](1);
        for (uint256 i = 0; i < count; ++i) {
            one[0] = settlements[i];
            from(sender);
            market.settle(one);
            told();
        }
        same(digestOf(settlements), together, "I-9: a batch equals its items one by one");
    }

    function digestOf(Fill[] memory fills) private view returns (bytes32 digest) {
        for (uint256 i = 0; i < fills.length; ++i) {
            digest =
                keccak256(abi.encode(digest, market.leaseOf(digestOf(fills[i].order)), market.offerOf(fills[i].offer)));
        }
        return keccak256(abi.encode(digest, balances()));
    }

    function digestOf(Settlement[] memory settlements) private view returns (bytes32 digest) {
        for (uint256 i = 0; i < settlements.length; ++i) {
            digest = keccak256(abi.encode(digest, market.leaseOf(digestOf(settlements[i].order))));
        }
        return keccak256(abi.encode(digest, balances()));
    }

    function balances() private view returns (bytes32 digest) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            digest = keccak256(abi.encode(digest, market.balanceOf(_people[i])));
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- alone

    /// I-8 for one lease: one of its parties, left alone, gets out of it. The crowd then goes on as if nothing had been.
    function alone(uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        bytes32 id = anyLive();
        address who = partyOf(id);
        uint256 snapshot = snapshots.snapshotState();
        leaveAlone(id, who);
        same(market.payeeOf(id), address(0), "I-8: nothing is locked in it");
        snapshots.revertToStateAndDelete(snapshot);
    }

    /// @notice I-8: everybody but this one is silent, and still every lock ends empty and it withdraws all it has.
    function everybodyElseIsSilent(uint256 index, uint256 seed) external {
        roll(seed);
        vm.recordLogs();
        emptyEveryLock(_people[index]);
        withdrawAll(_people[index]);
    }

    /// @notice I-8: time and public verbs alone empty every lock, and everybody withdraws everything.
    function everybodyLeaves() external {
        vm.recordLogs();
        emptyEveryLock(OUTSIDER);
        for (uint256 i = 0; i < PEOPLE; ++i) {
            withdrawAll(_people[i]);
        }
        withdrawAll(OUTSIDER);
        withdrawAll(_pauper);
        same(_sumOfFree, 0, "I-8: nobody has anything left");
    }

    function people() external pure returns (uint256) {
        return PEOPLE;
    }

    function emptyEveryLock(address who) private {
        for (uint256 i = _alive.length; i != 0; --i) {
            if (_ghosts[_alive[i - 1]].lease.status != Status.None) leaveAlone(_alive[i - 1], who);
        }
        same(_sumOfLocked, 0, "I-8: every lock is empty");
        for (uint40 i = 1; i <= _lastOffer; ++i) {
            same(_offers[i].free, _offers[i].gpus, "I-8: every GPU is free");
        }
    }

    function withdrawAll(address who) private {
        address to = address(uint160(who) ^ 1);
        uint256 all = _free[who];
        from(who);
        market.withdraw(to, all);
        told();
        same(token.balanceOf(to), all, "I-8: it has what was its own");
    }

    /// One party ends the lease by its own verbs where it has any, and by public ones.
    function leaveAlone(bytes32 id, address who) private {
        Order memory order = _orders[id];
        Lease memory lease = _ghosts[id].lease;
        if (lease.status == Status.Open) leaveOpen(id, who, order, lease);
        if (_ghosts[id].lease.status == Status.Claimed) {
            if (isOneOf(2) && isDisputable(order, _ghosts[id].lease, who, _now)) disputeAs(id, who);
        }
        lease = _ghosts[id].lease;
        if (lease.status == Status.Claimed) {
            warpTo(lease.changedAt + CHALLENGE_WINDOW);
            mustPerform(Attempt(Verb.Finalize, id, who, 0, false, address(0)));
        } else if (lease.status == Status.Disputed) {
            Attempt memory ruling = Attempt(Verb.Rule, id, who, lease.claimedSeconds, isOneOf(2), address(0));
            if (isAllowed(ruling, order)) {
                mustPerform(ruling);
            } else {
                warpTo(lease.changedAt + RULING_WINDOW);
                mustPerform(Attempt(Verb.Lapse, id, who, 0, false, address(0)));
            }
        }
        same(uint256(_ghosts[id].lease.status), uint256(Status.Closed), "I-8: the lease is closed");
        same(_ghosts[id].locked, 0, "I-8: the lock is empty");
    }

    function leaveOpen(bytes32 id, address who, Order memory order, Lease memory lease) private {
        bool isInTime = _now < deadlineOf(order, lease);
        if (isInTime && who == providerOf(id) && !isOneOf(4)) return claimAs(id);
        if (isInTime && isClientSide(order, who) && !isOneOf(4)) {
            if (isOneOf(2) && isDisputable(order, lease, who, _now)) return disputeAs(id, who);
            return mustPerform(Attempt(Verb.Terminate, id, who, 0, false, address(0)));
        }
        warpTo(deadlineOf(order, lease));
        mustPerform(Attempt(Verb.Expire, id, who, 0, false, address(0)));
    }

    function disputeAs(bytes32 id, address who) private {
        mustPerform(Attempt(Verb.Dispute, id, who, 0, false, address(0)));
    }
}
