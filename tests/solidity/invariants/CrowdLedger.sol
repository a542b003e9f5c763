// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Lease, Offer, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {Vm} from "../Test.sol";
import {CrowdPeople} from "./CrowdPeople.sol";

/// @notice A second set of books, kept from the market's events alone (I-12). Each event's amounts must be what the exit table says (I-2), and after each
/// the market must say of everything touched what these books say.
/// @dev The books know only what events tell, which orders the crowd truly signed, and who is calling.
abstract contract CrowdLedger is CrowdPeople {
    struct Ghost {
        Lease lease;
        address payee;
        // I-2: what the lease still holds of T, B and a stake.
        uint128 locked;
        // I-6: what the client put in, less what came back.
        int128 cost;
        // The delegate that signed for the next opening; 0 if the client did, or opens it itself.
        address delegate;
        // I-7: what a budget was charged for it.
        uint128 charge;
        // Where it was served last.
        uint40 lastOffer;
        bool isKnown;
        // I-5: what the market said of it when it closed.
        bytes32 end;
    }

    struct Volume {
        uint128 paid;
        uint128 gpuSeconds;
    }

    struct Budget {
        uint128 left;
        uint40 until;
    }

    /// What BudgetSpent told, until the LeaseOpened that must follow it.
    struct Charge {
        bytes32 id;
        address delegate;
        uint128 amount;
    }

    error Wrong(string rule, uint256 actual, uint256 expected);

    mapping(bytes32 id => Order) internal _orders;
    mapping(bytes32 id => Ghost) internal _ghosts;
    mapping(uint40 offer => Offer) internal _offers;
    mapping(address account => uint256) internal _free;
    mapping(address account => mapping(address delegate => Budget)) internal _budgets;
    mapping(uint8 class => Volume) internal _volumes;
    // Orders that are not closed, and those that are.
    bytes32[] internal _alive;
    bytes32[] internal _closed;
    uint40 internal _lastOffer;
    uint256 internal _sumOfFree;
    uint256 internal _sumOfLocked;
    uint256 internal _donated;
    Charge private _charge;
    // Of the last call.
    uint256 internal _openedCount;
    uint256 internal _settledCount;
    uint256 internal _refusedCount;

    // ------------------------------------------------------------------------------------------------------------------------------------ reading

    /// @notice I-1: everything that belongs to somebody, and what nobody owns.
    function owed() external view returns (uint256) {
        return _sumOfFree + _sumOfLocked + _donated;
    }

    function donated() external view returns (uint256) {
        return _donated;
    }

    /// @notice I-10: nobody's free balance is anything but what deposits, withdrawals, locks and exits made it.
    function checkBalances() public view {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            same(market.balanceOf(_people[i]), _free[_people[i]], "I-10: a free balance");
        }
        same(market.balanceOf(OUTSIDER), _free[OUTSIDER], "I-10: the outsider's free balance");
    }

    /// @notice I-5: what is closed stays as it was. I-3, I-11, I-12: the rest of the books, as a whole.
    function checkEverything() public view {
        checkBalances();
        for (uint256 i = 0; i < _closed.length; ++i) {
            same(keccak256(abi.encode(market.leaseOf(_closed[i]))), _ghosts[_closed[i]].end, "I-5: closed for good");
        }
        for (uint256 i = 0; i < _alive.length; ++i) {
            checkLease(_alive[i]);
        }
        for (uint40 i = 1; i <= _lastOffer; ++i) {
            checkOffer(i);
        }
        for (uint8 class = 0; class < 4; ++class) {
            checkVolume(class);
        }
    }

    /// Reads what the last call logged, into these books, and compares what it touched.
    function told() internal {
        (_openedCount, _settledCount, _refusedCount) = (0, 0, 0);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(market)) continue;
            foldAccount(logs[i]);
        }
        same(_charge.id, bytes32(0), "I-7: no charge without an opening");
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(market) || logs[i].topics.length < 2) continue;
            bytes32 id = logs[i].topics[1];
            if (!_ghosts[id].isKnown) continue;
            checkLease(id);
            retireIfClosed(id);
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ folding

    function foldAccount(Vm.Log memory log) private {
        bytes32 kind = log.topics[0];
        if (kind == IComputeMarket.Deposited.selector) {
            credit(addressOf(log.topics[1]), abi.decode(log.data, (uint256)));
            same(addressOf(log.topics[2]), _payer, "Deposited: from whose tokens came");
        } else if (kind == IComputeMarket.Withdrawn.selector) {
            same(addressOf(log.topics[1]), _actor, "I-10: withdrawn by itself");
            debit(_actor, abi.decode(log.data, (uint256)));
        } else if (kind == IComputeMarket.BudgetSpent.selector) {
            foldCharge(log);
        } else if (kind == IComputeMarket.Authorized.selector) {
            (uint128 budget, uint40 until) = abi.decode(log.data, (uint128, uint40));
            same(addressOf(log.topics[1]), _actor, "I-10: authorized by itself");
            _budgets[_actor][addressOf(log.topics[2])] = Budget(budget, until);
            checkBudget(_actor, addressOf(log.topics[2]));
        } else if (kind == IComputeMarket.OfferListed.selector) {
            Offer memory listed = abi.decode(log.data, (Offer));
            same(listed.provider, _actor, "OfferListed: by the provider");
            same(listed.free, listed.gpus, "I-3: all free when listed");
            _lastOffer = uint40(uint256(log.topics[1]));
            _offers[_lastOffer] = listed;
            checkOffer(_lastOffer);
        } else if (kind == IComputeMarket.OfferRepriced.selector) {
            uint40 offer = uint40(uint256(log.topics[1]));
            same(_offers[offer].provider, _actor, "OfferRepriced: by the provider");
            (_offers[offer].price, _offers[offer].expiresAt) = abi.decode(log.data, (uint80, uint40));
            checkOffer(offer);
        } else if (kind == IComputeMarket.BatchOpened.selector) {
            same(abi.decode(log.data, (uint256)), _openedCount, "BatchOpened: counts what was opened");
        } else if (kind == IComputeMarket.FillRefused.selector || kind == IComputeMarket.SettlementRefused.selector) {
            ++_refusedCount;
        } else if (kind == IComputeMarket.LeaseOpened.selector) {
            foldOpening(log);
        } else {
            foldLease(kind, log);
        }
    }

    function foldCharge(Vm.Log memory log) private {
        address account = addressOf(log.topics[1]);
        Budget storage budget = _budgets[account][addressOf(log.topics[2])];
        uint128 left = abi.decode(log.data, (uint128));
        require(_now < budget.until, "I-7: before its time is over");
        _charge = Charge(log.topics[3], addressOf(log.topics[2]), budget.left - left);
        budget.left = left;
    }

    function foldOpening(Vm.Log memory log) private {
        bytes32 id = log.topics[1];
        Ghost storage ghost = _ghosts[id];
        require(ghost.isKnown, "P-20: only what the client wants is opened");
        (address opener, uint80 price) = abi.decode(log.data, (address, uint80));
        same(opener, _actor, "LeaseOpened: by the caller");
        same(digestOfOrderIn(log.data), id, "LeaseOpened: carries the order");
        Order memory order = _orders[id];
        Lease memory before = ghost.lease;
        same(uint256(before.status), uint256(Status.None), "I-5: one live lease per order");
        require(before.openedAt < _now, "P-20: receipts tell servings apart");
        uint40 offerId = uint40(uint256(log.topics[2]));
        Offer storage offer = _offers[offerId];
        require(price <= order.maxPrice && price >= offer.price, "I-4: within both limits");
        offer.free -= order.gpus;
        lock(ghost, order, offer, price, before.tipPaid ? 0 : order.tip);
        if (ghost.delegate != address(0)) foldBudget(id, ghost, order, before.charged);
        ghost.lease = Lease({
            status: Status.Open,
            tipPaid: true,
            noReopen: false,
            assigned: false,
            byAcceptor: false,
            charged: before.charged || ghost.delegate != address(0),
            offer: offerId,
            price: price,
            openedAt: uint32(_now),
            paidSeconds: 0,
            claimedSeconds: 0,
            changedAt: 0
        });
        (ghost.payee, ghost.lastOffer) = (offer.provider, offerId);
        ++_openedCount;
    }

    /// Hashes the order where it lies: after opener and price, in whose place its type is put.
    function digestOfOrderIn(bytes memory payload) private view returns (bytes32) {
        bytes32 typeHash = ORDER_TYPEHASH;
        bytes32 structHash;
        same(payload.length, 18 * 32, "LeaseOpened: opener, price and order");
        assembly ("memory-safe") {
            mstore(add(payload, 0x40), typeHash)
            structHash := keccak256(add(payload, 0x40), 0x220)
        }
        return orderDigest(structHash);
    }

    function lock(Ghost storage ghost, Order memory order, Offer storage offer, uint80 price, uint256 tip) private {
        uint256 total = totalOf(order, price);
        uint256 bond = bondOf(total, offer.bondBps);
        debit(order.client, total + tip);
        debit(offer.provider, bond);
        credit(_actor, tip);
        ghost.locked = uint128(total + bond);
        _sumOfLocked += total + bond;
        ghost.cost += int128(int256(total + tip));
        require(
            ghost.cost <= int256(totalOf(order, order.maxPrice) + order.tip), "I-6: at most T at maxPrice and one tip"
        );
    }

    function foldBudget(bytes32 id, Ghost storage ghost, Order memory order, bool wasCharged) private {
        require(_now < _budgets[order.client][ghost.delegate].until, "I-7: before its delegate's time is over");
        if (!wasCharged) {
            same(_charge.id, id, "I-7: a delegate's first opening is charged");
            same(_charge.delegate, ghost.delegate, "I-7: to the delegate that signed");
            same(_charge.amount, totalOf(order, order.maxPrice) + order.tip, "I-7: with T at maxPrice and the tip");
            ghost.charge = _charge.amount;
            delete _charge;
        }
        require(ghost.cost <= int256(uint256(ghost.charge)), "I-7: order by order, at most what was charged");
    }

    function foldLease(bytes32 kind, Vm.Log memory log) private {
        bytes32 id = log.topics[1];
        Ghost storage ghost = _ghosts[id];
        require(ghost.isKnown, "an event of an order that nobody signed");
        Order memory order = _orders[id];
        if (kind == IComputeMarket.LeaseSettled.selector) foldSettled(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseClaimed.selector) foldClaimed(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseFinalized.selector) foldFinalized(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseTerminated.selector) foldTerminated(ghost, order, log);
        else if (kind == IComputeMarket.LeaseDeclined.selector) foldDeclined(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseExpired.selector) foldExpired(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseDisputed.selector) foldDisputed(ghost, order, log);
        else if (kind == IComputeMarket.LeaseRuled.selector) foldRuled(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseLapsed.selector) foldLapsed(ghost, order, log.data);
        else if (kind == IComputeMarket.LeaseAssigned.selector) foldAssigned(ghost, log);
        else if (kind == IComputeMarket.OrderCancelled.selector) foldCancelled(ghost, log);
        else revert Wrong("an event that nobody knows", uint256(kind), 0);
        if (ghost.lease.status == Status.Closed) same(ghost.locked, 0, "I-2: all is handed out");
    }

    // -------------------------------------------------------------------------------------------------------------------------------- exit table

    function foldSettled(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (uint32 used,, bool last, uint256 paid, uint256 refund, uint256 bond, uint256 stake) =
            abi.decode(payload, (uint32, bytes32, bool, uint256, uint256, uint256, uint256));
        Lease memory lease = ghost.lease;
        require(last || used > lease.paidSeconds, "P-03: progress pays for more");
        require(used <= max(elapsedOf(order, lease), order.minSeconds), "settle: no more than has elapsed");
        ++_settledCount;
        pay(ghost, order, lease, used, paid);
        if (!last) {
            same(refund + bond + stake, 0, "settle: progress only pays");
            return;
        }
        same(refund, totalOf(order, lease.price) - earned(order, lease, used), "settle: T - E(u)");
        same(bond, bondOfLease(order, lease), "settle: B");
        same(stake, lease.status == Status.Disputed ? bond : 0, "settle: its stake, if disputed");
        giveBack(ghost, order, refund);
        hand(ghost, _offers[lease.offer].provider, bond);
        hand(ghost, disputerOf(order, lease), stake);
        close(ghost, order);
    }

    function foldClaimed(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (uint32 used,) = abi.decode(payload, (uint32, bytes32));
        freeGpus(ghost, order);
        ghost.lease.status = Status.Claimed;
        ghost.lease.claimedSeconds = used;
        ghost.lease.changedAt = uint32(_now);
    }

    function foldFinalized(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (uint32 until, uint256 paid, uint256 refund, uint256 bond) =
            abi.decode(payload, (uint32, uint256, uint256, uint256));
        Lease memory lease = ghost.lease;
        ++_settledCount;
        require(lease.status == Status.Claimed, "finalize: only what is claimed");
        require(_now >= lease.changedAt + CHALLENGE_WINDOW, "finalize: not before the window's end");
        same(until, max(lease.claimedSeconds, lease.paidSeconds), "finalize: what was claimed");
        exit(ghost, order, lease, Shares(until, paid, refund, bond, 0, 0));
        same(refund, totalOf(order, lease.price) - earned(order, lease, until), "finalize: T - E(q)");
        same(bond, bondOfLease(order, lease), "finalize: B");
    }

    function foldTerminated(Ghost storage ghost, Order memory order, Vm.Log memory log) private {
        (uint32 until, uint256 paid, uint256 refund, uint256 bond) =
            abi.decode(log.data, (uint32, uint256, uint256, uint256));
        Lease memory lease = ghost.lease;
        same(addressOf(log.topics[2]), _actor, "terminate: by the caller");
        same(
            until, max(max(elapsedOf(order, lease), order.minSeconds), lease.paidSeconds), "terminate: what has elapsed"
        );
        exit(ghost, order, lease, Shares(until, paid, refund, bond, 0, 0));
        same(refund, totalOf(order, lease.price) - earned(order, lease, until), "terminate: T - E(s)");
        same(bond, bondOfLease(order, lease), "terminate: B");
    }

    function foldDeclined(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (Status status, uint256 refund, uint256 bond) = abi.decode(payload, (Status, uint256, uint256));
        Lease memory lease = ghost.lease;
        uint256 paid = earned(order, lease, lease.paidSeconds);
        same(refund, totalOf(order, lease.price), "decline: T");
        same(bond, bondOfLease(order, lease) - paid, "decline: B - E(p)");
        bool isReopenable = lease.paidSeconds == 0 && !lease.noReopen;
        same(
            uint256(status), uint256(isReopenable ? Status.None : Status.Closed), "decline: reopens only what is unpaid"
        );
        exit(ghost, order, lease, Shares(lease.paidSeconds, 0, refund, bond, 0, 0));
        same(ghost.locked, 0, "I-2: all is handed out");
        if (!isReopenable) return;
        delete ghost.lease;
        (ghost.lease.tipPaid, ghost.lease.charged, ghost.lease.openedAt) = (true, lease.charged, lease.openedAt);
    }

    function foldExpired(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (uint256 refund, uint256 compensation, uint256 bond) = abi.decode(payload, (uint256, uint256, uint256));
        Lease memory lease = ghost.lease;
        uint256 total = totalOf(order, lease.price);
        uint256 locked = bondOfLease(order, lease);
        same(refund, total - earned(order, lease, lease.paidSeconds), "expire: T - E(p)");
        same(compensation, min(locked, total), "expire: min(B, T)");
        same(bond, locked - min(locked, total), "expire: B - min(B, T)");
        exit(ghost, order, lease, Shares(lease.paidSeconds, 0, refund + compensation, bond, 0, 0));
    }

    function foldDisputed(Ghost storage ghost, Order memory order, Vm.Log memory log) private {
        (uint32 seconds_, uint256 stake) = abi.decode(log.data, (uint32, uint256));
        address by = addressOf(log.topics[2]);
        Lease memory lease = ghost.lease;
        bool isOpen = lease.status == Status.Open;
        same(by, _actor, "I-10: staked by itself");
        same(stake, bondOfLease(order, lease), "dispute: B");
        same(seconds_, isOpen ? elapsedOf(order, lease) : lease.claimedSeconds, "dispute: what is in dispute");
        if (isOpen) freeGpus(ghost, order);
        debit(by, stake);
        ghost.locked += uint128(stake);
        _sumOfLocked += stake;
        ghost.lease.status = Status.Disputed;
        ghost.lease.byAcceptor = by != order.client;
        ghost.lease.claimedSeconds = seconds_;
        ghost.lease.changedAt = uint32(_now);
    }

    function foldRuled(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (
            bool atFault,
            uint32 until,
            uint256 paid,
            uint256 refund,
            uint256 toProvider,
            uint256 toDisputer,
            uint256 half
        ) = abi.decode(payload, (bool, uint32, uint256, uint256, uint256, uint256, uint256));
        Lease memory lease = ghost.lease;
        uint256 bond = bondOfLease(order, lease);
        uint256 most = atFault ? max(lease.claimedSeconds, lease.paidSeconds) : mostOwed(order, lease);
        require(until <= most, "rule: no more than is in dispute, or guaranteed");
        same(refund, totalOf(order, lease.price) - earned(order, lease, until), "rule: T - E(r)");
        same(half, bond / 2, "rule: half of the loser's stake");
        same(toProvider, atFault ? 0 : 2 * bond - bond / 2, "rule: to the provider");
        same(toDisputer, atFault ? 2 * bond - bond / 2 : 0, "rule: to the disputer");
        exit(ghost, order, lease, Shares(until, paid, refund, toProvider, toDisputer, half));
    }

    function foldLapsed(Ghost storage ghost, Order memory order, bytes memory payload) private {
        (uint32 until, uint256 paid, uint256 refund, uint256 bond, uint256 stake) =
            abi.decode(payload, (uint32, uint256, uint256, uint256, uint256));
        Lease memory lease = ghost.lease;
        uint256 most = mostOwed(order, lease);
        same(until, lease.paidSeconds + (most - lease.paidSeconds) / 2, "lapse: what is in dispute is split");
        same(refund, totalOf(order, lease.price) - earned(order, lease, until), "lapse: T - E(h)");
        same(bond, bondOfLease(order, lease), "lapse: B");
        same(stake, bond, "lapse: the stake goes back");
        exit(ghost, order, lease, Shares(until, paid, refund, bond, stake, 0));
    }

    function foldAssigned(Ghost storage ghost, Vm.Log memory log) private {
        same(addressOf(log.topics[2]), ghost.payee, "assign: from the payee");
        same(_actor, ghost.payee, "assign: by the payee");
        ghost.payee = addressOf(log.topics[3]);
        ghost.lease.assigned = true;
    }

    function foldCancelled(Ghost storage ghost, Vm.Log memory log) private {
        same(addressOf(log.topics[2]), _actor, "cancel: by the caller");
        if (ghost.lease.status == Status.None) ghost.lease.status = Status.Closed;
        else ghost.lease.noReopen = true;
    }

    struct Shares {
        uint256 until;
        uint256 paid;
        uint256 toClient;
        uint256 toProvider;
        uint256 toDisputer;
        uint256 toArbiter;
    }

    /// An exit: everybody's share, and the lease is closed.
    function exit(Ghost storage ghost, Order memory order, Lease memory lease, Shares memory shares) private {
        pay(ghost, order, lease, shares.until, shares.paid);
        giveBack(ghost, order, shares.toClient);
        hand(ghost, _offers[lease.offer].provider, shares.toProvider);
        hand(ghost, disputerOf(order, lease), shares.toDisputer);
        hand(ghost, order.arbiter, shares.toArbiter);
        close(ghost, order);
    }

    function pay(Ghost storage ghost, Order memory order, Lease memory lease, uint256 until, uint256 paid) private {
        require(until >= lease.paidSeconds, "I-5: what is paid stays paid");
        require(until <= order.maxSeconds, "I-4: never longer than the most");
        same(paid, earned(order, lease, until) - earned(order, lease, lease.paidSeconds), "P-03: what the seconds earn");
        if (until == lease.paidSeconds) return;
        Volume storage volume = _volumes[_offers[lease.offer].class];
        volume.paid += uint128(paid);
        volume.gpuSeconds += uint128((until - lease.paidSeconds) * order.gpus);
        ghost.lease.paidSeconds = uint32(until);
        hand(ghost, ghost.payee, paid);
    }

    function giveBack(Ghost storage ghost, Order memory order, uint256 amount) private {
        ghost.cost -= int128(int256(amount));
        hand(ghost, order.client, amount);
    }

    function hand(Ghost storage ghost, address to, uint256 amount) private {
        if (amount == 0) return;
        ghost.locked -= uint128(amount);
        _sumOfLocked -= amount;
        credit(to, amount);
    }

    function close(Ghost storage ghost, Order memory order) private {
        if (ghost.lease.status == Status.Open) freeGpus(ghost, order);
        ghost.lease.status = Status.Closed;
        ghost.payee = address(0);
    }

    function freeGpus(Ghost storage ghost, Order memory order) private {
        _offers[ghost.lease.offer].free += order.gpus;
    }

    function credit(address account, uint256 amount) private {
        if (amount == 0) return;
        _free[account] += amount;
        _sumOfFree += amount;
    }

    function debit(address account, uint256 amount) private {
        _free[account] -= amount;
        _sumOfFree -= amount;
    }

    // --------------------------------------------------------------------------------------------------------------------------------- comparing

    function checkLease(bytes32 id) private view {
        Ghost storage ghost = _ghosts[id];
        bytes memory said = ask(abi.encodeCall(IComputeMarket.leaseOf, (id)));
        if (ghost.lease.status == Status.Closed) {
            Lease memory end = abi.decode(said, (Lease));
            same(uint256(end.status), uint256(Status.Closed), "I-12: the status");
            same(end.paidSeconds, ghost.lease.paidSeconds, "I-5: the seconds paid");
        } else {
            same(keccak256(said), keccak256(abi.encode(ghost.lease)), "I-12: the lease");
        }
        same(market.payeeOf(id), ghost.payee, "I-12: the payee");
        if (ghost.lastOffer != 0) {
            checkOffer(ghost.lastOffer);
            checkVolume(_offers[ghost.lastOffer].class);
        }
        if (ghost.delegate != address(0)) checkBudget(_orders[id].client, ghost.delegate);
    }

    function checkOffer(uint40 offer) private view {
        bytes memory said = ask(abi.encodeCall(IComputeMarket.offerOf, (offer)));
        same(keccak256(said), keccak256(abi.encode(_offers[offer])), "I-3: the offer, and its free GPUs");
        require(_offers[offer].free <= _offers[offer].gpus, "I-3: no more free than listed");
    }

    function ask(bytes memory question) private view returns (bytes memory answer) {
        (, answer) = address(market).staticcall(question);
    }

    function checkVolume(uint8 class) private view {
        (uint128 paid, uint128 gpuSeconds) = market.volumeOf(class);
        same(paid, _volumes[class].paid, "I-11: volume paid");
        same(gpuSeconds, _volumes[class].gpuSeconds, "I-11: volume of GPU-seconds");
    }

    function checkBudget(address account, address delegate) private view {
        (uint128 left, uint40 until) = market.budgetOf(account, delegate);
        same(left, _budgets[account][delegate].left, "I-7: what is left of a budget");
        same(until, _budgets[account][delegate].until, "I-7: a budget's time");
    }

    function retireIfClosed(bytes32 id) private {
        if (_ghosts[id].lease.status != Status.Closed || _ghosts[id].end != 0) return;
        _ghosts[id].end = keccak256(abi.encode(market.leaseOf(id)));
        _closed.push(id);
        for (uint256 i = 0; i < _alive.length; ++i) {
            if (_alive[i] != id) continue;
            _alive[i] = _alive[_alive.length - 1];
            _alive.pop();
            return;
        }
    }

    function same(uint256 actual, uint256 expected, string memory rule) internal pure {
        if (actual != expected) revert Wrong(rule, actual, expected);
    }

    function same(bytes32 actual, bytes32 expected, string memory rule) internal pure {
        if (actual != expected) revert Wrong(rule, uint256(actual), uint256(expected));
    }

    function same(address actual, address expected, string memory rule) internal pure {
        if (actual != expected) revert Wrong(rule, uint160(actual), uint160(expected));
    }

    // ------------------------------------------------------------------------------------------------------ the formulas, a second time and plainly

    function startOf(Order memory order, Lease memory lease) internal pure returns (uint256) {
        return max(lease.openedAt, order.startsAt);
    }

    function deadlineOf(Order memory order, Lease memory lease) internal pure returns (uint256) {
        return startOf(order, lease) + order.maxSeconds + CLAIM_GRACE;
    }

    function elapsedOf(Order memory order, Lease memory lease) internal view returns (uint256) {
        (uint256 start, uint256 now_) = (startOf(order, lease), _now);
        return now_ < start ? 0 : min(now_ - start, order.maxSeconds);
    }

    /// m of the exit table: a guarantee counts where the dispute came before it had passed.
    function mostOwed(Order memory order, Lease memory lease) internal pure returns (uint256) {
        bool isEarly = lease.changedAt < startOf(order, lease) + order.minSeconds;
        return max(max(lease.claimedSeconds, lease.paidSeconds), isEarly ? order.minSeconds : 0);
    }

    function earned(Order memory order, Lease memory lease, uint256 time) internal pure returns (uint256) {
        return uint256(lease.price) * order.gpus * time / 3600;
    }

    function totalOf(Order memory order, uint80 price) internal pure returns (uint256) {
        return (uint256(price) * order.gpus * order.maxSeconds + 3599) / 3600;
    }

    function bondOf(uint256 total, uint16 bondBps) internal pure returns (uint256) {
        return max(total * bondBps / 10_000, BOND_FLOOR);
    }

    function bondOfLease(Order memory order, Lease memory lease) internal view returns (uint256) {
        return bondOf(totalOf(order, lease.price), _offers[lease.offer].bondBps);
    }

    function disputerOf(Order memory order, Lease memory lease) internal pure returns (address) {
        return lease.byAcceptor ? order.acceptor : order.client;
    }

    function addressOf(bytes32 topic) internal pure returns (address) {
        return address(uint160(uint256(topic)));
    }

    function max(uint256 left, uint256 right) internal pure returns (uint256) {
        return left > right ? left : right;
    }

    function min(uint256 left, uint256 right) internal pure returns (uint256) {
        return left < right ? left : right;
    }
}
