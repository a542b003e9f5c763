// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    IComputeMarket,
    Lease,
    Order,
    Receipt,
    Settlement,
    Status
} from "../../../contracts/interfaces/IComputeMarket.sol";
import {CrowdLedger} from "./CrowdLedger.sol";

/// @notice Who may do what when, written a second time from the protocol's table of verbs. Every call of a verb is first judged here: the market must do
/// what is allowed, and nothing else.
abstract contract CrowdRules is CrowdLedger {
    enum Verb {
        Cancel,
        Claim,
        Finalize,
        Terminate,
        Decline,
        Expire,
        Dispute,
        Rule,
        Lapse,
        Assign
    }

    struct Attempt {
        Verb verb;
        bytes32 id;
        address caller;
        uint32 used;
        bool atFault;
        address payee;
    }

    /// @notice Of a receipt and of the two signatures under it: what is wrong, if anything.
    struct Receipting {
        bytes32 id;
        address caller;
        uint32 used;
        bool last;
        bool isClientForged;
        bool isProviderForged;
    }

    /// Calls the verb, and fails unless the market agrees with these rules on whether it may be done.
    function perform(Attempt memory attempt) internal returns (bool isDone) {
        Order memory order = _orders[attempt.id];
        bool isExpected = isAllowed(attempt, order);
        bytes memory input = inputOf(attempt, order);
        from(attempt.caller);
        (isDone,) = address(market).call(input);
        // What was logged before a revert never happened, but forge recorded it.
        if (isDone) told();
        else vm.getRecordedLogs();
        // Finalizing is a batch: what is not allowed is refused in an event.
        if (attempt.verb == Verb.Finalize) isDone = _settledCount == 1;
        if (isDone != isExpected) {
            revert Wrong(isDone ? "done, though not allowed" : "allowed, though not done", uint256(attempt.verb), 0);
        }
    }

    function mustFail(address caller, bytes memory input, string memory rule) internal {
        from(caller);
        (bool isDone,) = address(market).call(input);
        require(!isDone, rule);
        vm.getRecordedLogs();
    }

    /// A step's own verb, which must work; often after somebody without the right to it tried in vain.
    function mustPerform(Attempt memory attempt) internal {
        if (isOneOf(4)) {
            Attempt memory intrusion =
                Attempt(attempt.verb, attempt.id, somebody(), attempt.used, attempt.atFault, attempt.payee);
            if (!isAllowed(intrusion, _orders[attempt.id])) perform(intrusion);
        }
        if (!perform(attempt)) revert Wrong("a step that found something must succeed", uint256(attempt.verb), 0);
    }

    /// A verb that begins to be allowed at `time`: not a second earlier.
    function mustPerformFrom(uint256 time, Attempt memory attempt) internal {
        if (time > _now && isOneOf(2)) {
            warpTo(time - 1);
            mustNotPerform(attempt);
        }
        warpTo(time);
        mustPerform(attempt);
    }

    function mustNotPerform(Attempt memory attempt) internal {
        if (perform(attempt)) revert Wrong("a step that must be refused", uint256(attempt.verb), 0);
    }

    function isAllowed(Attempt memory attempt, Order memory order) internal view returns (bool) {
        Lease memory lease = _ghosts[attempt.id].lease;
        Verb verb = attempt.verb;
        uint256 now_ = _now;
        if (verb == Verb.Cancel) {
            return isClientSide(order, attempt.caller) && (lease.status == Status.None || lease.status == Status.Open);
        }
        if (verb == Verb.Assign) {
            return isLive(lease) && attempt.caller == _ghosts[attempt.id].payee && attempt.payee != address(0)
                && attempt.payee != address(market);
        }
        if (verb == Verb.Dispute) return isDisputable(order, lease, attempt.caller, now_);
        if (lease.status == Status.Open) return isAllowedInOpen(attempt, order, lease, now_);
        if (lease.status == Status.Claimed) {
            return verb == Verb.Finalize && now_ >= lease.changedAt + CHALLENGE_WINDOW;
        }
        if (lease.status == Status.Disputed) return isAllowedInDispute(attempt, order, lease, now_);
        return false;
    }

    function isAllowedInOpen(Attempt memory attempt, Order memory order, Lease memory lease, uint256 now_)
        private
        view
        returns (bool)
    {
        Verb verb = attempt.verb;
        uint256 deadline = deadlineOf(order, lease);
        if (verb == Verb.Expire) return now_ >= deadline;
        if (verb == Verb.Terminate) return isClientSide(order, attempt.caller) && now_ < deadline;
        if (attempt.caller != _offers[lease.offer].provider) return false;
        if (verb == Verb.Claim) {
            return now_ >= startOf(order, lease) + order.minSeconds && now_ < deadline
                && attempt.used >= lease.paidSeconds && attempt.used <= elapsedOf(order, lease);
        }
        if (verb != Verb.Decline) return false;
        return now_ < lease.openedAt + START_GRACE && order.startsAt <= lease.openedAt
            && earned(order, lease, lease.paidSeconds) <= bondOfLease(order, lease);
    }

    function isAllowedInDispute(Attempt memory attempt, Order memory order, Lease memory lease, uint256 now_)
        private
        pure
        returns (bool)
    {
        uint256 end = lease.changedAt + RULING_WINDOW;
        if (attempt.verb == Verb.Lapse) return now_ >= end;
        if (attempt.verb != Verb.Rule || attempt.caller != order.arbiter || now_ >= end) return false;
        return attempt.used <= (attempt.atFault ? lease.claimedSeconds : mostOwed(order, lease));
    }

    function isDisputable(Order memory order, Lease memory lease, address caller, uint256 now_)
        internal
        view
        returns (bool)
    {
        if (!isClientSide(order, caller)) return false;
        if (lease.status == Status.Open) {
            if (now_ < startOf(order, lease) + START_GRACE || now_ >= deadlineOf(order, lease)) return false;
        } else if (lease.status != Status.Claimed || now_ >= lease.changedAt + CHALLENGE_WINDOW) {
            return false;
        }
        return _free[caller] >= bondOfLease(order, lease);
    }

    function isClientSide(Order memory order, address who) internal pure returns (bool) {
        return who != address(0) && (who == order.client || who == order.acceptor);
    }

    function isLive(Lease memory lease) internal pure returns (bool) {
        return lease.status != Status.None && lease.status != Status.Closed;
    }

    function inputOf(Attempt memory attempt, Order memory order) private pure returns (bytes memory) {
        Verb verb = attempt.verb;
        if (verb == Verb.Cancel) return abi.encodeCall(IComputeMarket.cancel, (order));
        if (verb == Verb.Claim) return abi.encodeCall(IComputeMarket.claim, (order, attempt.used, attempt.id));
        if (verb == Verb.Terminate) return abi.encodeCall(IComputeMarket.terminate, (order));
        if (verb == Verb.Decline) return abi.encodeCall(IComputeMarket.decline, (order));
        if (verb == Verb.Expire) return abi.encodeCall(IComputeMarket.expire, (order));
        if (verb == Verb.Dispute) return abi.encodeCall(IComputeMarket.dispute, (order));
        if (verb == Verb.Rule) return abi.encodeCall(IComputeMarket.rule, (order, attempt.used, attempt.atFault));
        if (verb == Verb.Lapse) return abi.encodeCall(IComputeMarket.lapse, (order));
        if (verb == Verb.Assign) return abi.encodeCall(IComputeMarket.assign, (order, attempt.payee));
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        return abi.encodeCall(IComputeMarket.finalize, (orders));
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- receipts

    /// Settles one receipt, and fails unless the market agrees with these rules on whether it holds.
    function settleOne(Receipting memory receipting) internal returns (bool isDone) {
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = settlementOf(receipting);
        bool isExpected = isSettleable(receipting, settlements[0].order);
        from(receipting.caller);
        market.settle(settlements);
        told();
        isDone = _settledCount == 1;
        same(_refusedCount, isExpected ? 0 : 1, "settle: refused just when it does not hold");
        same(_settledCount, isExpected ? 1 : 0, "settle: settled just when it holds");
    }

    function isSettleable(Receipting memory receipting, Order memory order) private view returns (bool) {
        Lease memory lease = _ghosts[receipting.id].lease;
        if (!isLive(lease)) return false;
        uint256 least = receipting.last ? lease.paidSeconds : uint256(lease.paidSeconds) + 1;
        if (receipting.used < least || receipting.used > mostOf(order, lease)) return false;
        if (receipting.isClientForged && !isClientSide(order, receipting.caller)) return false;
        return !receipting.last || !receipting.isProviderForged || receipting.caller == _offers[lease.offer].provider;
    }

    function settlementOf(Receipting memory receipting) internal returns (Settlement memory) {
        Order memory order = _orders[receipting.id];
        Lease memory lease = _ghosts[receipting.id].lease;
        address provider = _offers[lease.offer].provider;
        bytes32 result = bytes32(draw());
        Receipt memory receipt =
            Receipt(receipting.id, lease.offer, lease.openedAt, receipting.used, result, receipting.last);
        bytes32 digest = digestOf(receipt);
        address side = order.acceptor != address(0) && isOneOf(3) ? order.acceptor : order.client;
        bytes memory byClient;
        bytes memory byProvider;
        if (receipting.isClientForged) byClient = wrongSignature(receipt, side);
        else if (!isClientSide(order, receipting.caller)) byClient = signatureOf(side, digest);
        if (receipting.isProviderForged) {
            byProvider = forgedSignature(digest);
        } else if (receipting.last && receipting.caller != provider && provider != address(0)) {
            byProvider = signatureOf(provider, digest);
        }
        return Settlement(order, receipting.used, result, receipting.last, byClient, byProvider);
    }

    /// A stranger's under this receipt, or the party's own under another: of another lease, offer, serving, time or end.
    function wrongSignature(Receipt memory receipt, address party) private returns (bytes memory) {
        uint256 kind = draw() % 6;
        bytes32 digest = digestOf(receipt);
        if (kind == 0 || party == address(0)) return forgedSignature(digest);
        Receipt memory other = abi.decode(abi.encode(receipt), (Receipt));
        if (kind == 1) other.lease = digest;
        if (kind == 2) ++other.offer;
        if (kind == 3) --other.openedAt;
        if (kind == 4) ++other.usedSeconds;
        if (kind == 5) other.last = !receipt.last;
        return signatureOf(party, digestOf(other));
    }

    function mostOf(Order memory order, Lease memory lease) internal view returns (uint256) {
        return max(elapsedOf(order, lease), order.minSeconds);
    }
}
