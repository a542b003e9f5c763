// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {
    Fill,
    IComputeMarket,
    Lease,
    Offer,
    Order,
    Receipt,
    Refusal,
    Settlement,
    Status
} from "./interfaces/IComputeMarket.sol";
import {LeaseWord, Leases} from "./libraries/Leases.sol";
import {Metering} from "./libraries/Metering.sol";
import {Orders} from "./libraries/Orders.sol";
import {UpcomingVerbs} from "./UpcomingVerbs.sol";

/// @title Compute market
/// @dev What every verb promises stands in the interface. Each has the same silhouette: identify, check (cheapest first), effect, log, interaction.
/// Balances change by += and -= only, in order, never through a cached copy: any two roles may be one address (P-07).
contract ComputeMarket is UpcomingVerbs, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Orders for Order;
    using Orders for Receipt;

    struct Volume {
        uint128 paid;
        uint128 gpuSeconds;
    }

    // -------------------------------------------------------------------------------------------------------------------------------- immutables

    /// @inheritdoc IComputeMarket
    address public immutable token;
    /// @inheritdoc IComputeMarket
    uint256 public immutable START_GRACE;
    /// @inheritdoc IComputeMarket
    uint256 public immutable CLAIM_GRACE;
    /// @inheritdoc IComputeMarket
    uint256 public immutable CHALLENGE_WINDOW;
    /// @inheritdoc IComputeMarket
    uint256 public immutable RULING_WINDOW;
    /// @inheritdoc IComputeMarket
    uint256 public immutable BOND_FLOOR;

    // ----------------------------------------------------------------------------------------------------------------------------------- storage

    uint40 private _lastOffer;
    mapping(address account => uint256) private _balances;
    mapping(uint40 offer => Offer) private _offers;
    mapping(bytes32 id => LeaseWord) private _leases;
    mapping(uint8 class => Volume) private _volumes;

    // ------------------------------------------------------------------------------------------------------------------------------- constructor

    constructor(
        address settlementToken,
        uint256 startGrace,
        uint256 claimGrace,
        uint256 challengeWindow,
        uint256 rulingWindow,
        uint256 bondFloor
    ) EIP712("ComputeMarket", "1") {
        token = settlementToken;
        START_GRACE = startGrace;
        CLAIM_GRACE = claimGrace;
        CHALLENGE_WINDOW = challengeWindow;
        RULING_WINDOW = rulingWindow;
        BOND_FLOOR = bondFloor;
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- accounts

    /// @inheritdoc IComputeMarket
    function deposit(address account, uint256 amount) external nonReentrant {
        if (account == address(0)) revert ZeroAccount();

        // The token comes before the effect, because only the balance difference tells what arrived (P-01). The guard keeps a token that calls
        // back from having one arrival counted twice.
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = IERC20(token).balanceOf(address(this)) - before;

        _balances[account] += arrived;

        emit Deposited(account, msg.sender, arrived);
    }

    /// @inheritdoc IComputeMarket
    function withdraw(address to, uint256 amount) external nonReentrant {
        uint256 available = _balances[msg.sender];
        if (amount > available) revert BalanceTooLow(msg.sender, amount, available);

        _balances[msg.sender] -= amount;

        emit Withdrawn(msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ offers

    /// @inheritdoc IComputeMarket
    function list(
        uint8 class,
        uint16 gpus,
        uint16 bondBps,
        uint80 price,
        uint16 minSeconds,
        uint40 expiresAt,
        address arbiter,
        bytes32 spec
    ) external nonReentrant returns (uint40 offer) {
        if (gpus == 0) revert NoGpus();
        if (bondBps > Metering.ALL_BPS) revert BondBpsTooHigh({attempted: bondBps, allowed: Metering.ALL_BPS});
        if (arbiter == address(0) || arbiter == msg.sender) revert WrongArbiter(arbiter);

        offer = ++_lastOffer;
        Offer memory value = Offer({
            provider: msg.sender,
            class: class,
            gpus: gpus,
            free: gpus,
            bondBps: bondBps,
            expiresAt: expiresAt,
            arbiter: arbiter,
            price: price,
            minSeconds: minSeconds,
            spec: spec
        });
        _offers[offer] = value;

        emit OfferListed(offer, msg.sender, value);
    }

    /// @inheritdoc IComputeMarket
    function reprice(uint40 offer, uint80 price, uint40 expiresAt) external nonReentrant {
        Offer storage listed = _offers[offer];
        _requireProvider(listed);

        listed.price = price;
        listed.expiresAt = expiresAt;

        emit OfferRepriced(offer, price, expiresAt);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ orders

    /// @inheritdoc IComputeMarket
    function open(Fill[] calldata fills, bytes32 round) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        uint256 opened;
        for (uint256 i = 0; i < fills.length; ++i) {
            Fill calldata fill = fills[i];
            bytes32 id = fill.order.digestOf(domain);

            uint8 reason = _open(id, fill);
            if (reason == Refusal.None) ++opened;
            else emit FillRefused(id, fill.offer, msg.sender, reason);
        }
        emit BatchOpened(round, msg.sender, opened);
    }

    /// @inheritdoc IComputeMarket
    function cancel(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        Status status = lease.status();
        _requireClientSide(order);
        if (status != Status.None && status != Status.Open) revert NotCancellable(id, status);

        _leases[id] = status == Status.None ? lease.closed({totalPaid: 0}) : lease.withNoReopen();

        emit OrderCancelled(id, msg.sender);
    }

    function _open(bytes32 id, Fill calldata fill) private returns (uint8 reason) {
        Order calldata order = fill.order;
        Offer storage offer = _offers[fill.offer];
        LeaseWord lease = _leases[id];
        uint256 total = Metering.totalRoundedUp(fill.price, order.gpus, order.maxSeconds);
        uint256 bond = Metering.bondRoundedDown(total, offer.bondBps, BOND_FLOOR);
        uint256 tip = lease.tipPaid() ? 0 : order.tip;

        reason = _refusalOfOrder(order, lease);
        if (reason == Refusal.None) reason = _refusalOfMatch(fill, offer);
        if (reason == Refusal.None) reason = _refusalOfLocks(order.client, offer.provider, total + tip, bond);
        if (reason == Refusal.None) reason = _refusalOfSignature(id, fill);
        if (reason != Refusal.None) return reason;

        _balances[order.client] -= total + tip;
        _balances[offer.provider] -= bond;
        if (tip != 0) _balances[msg.sender] += tip;
        offer.free -= order.gpus;
        // The time fits: the deadline, which is later, does (_refusalOfOrder).
        _leases[id] = Leases.opened(fill.offer, fill.price, uint32(block.timestamp));

        order.logOpened(id, fill.offer, msg.sender, fill.price);
    }

    /// What the order alone, and what became of it so far, have against opening it.
    function _refusalOfOrder(Order calldata order, LeaseWord lease) private view returns (uint8) {
        if (order.gpus == 0 || order.maxSeconds == 0) return Refusal.BadAmounts;
        if (order.minSeconds > order.maxSeconds) return Refusal.BadAmounts;
        if (block.timestamp >= order.expiresAt) return Refusal.OrderExpired;
        if (order.tip != 0 && order.opener == address(0)) return Refusal.TipWithoutOpener;
        if (order.opener != address(0) && msg.sender != order.opener && msg.sender != order.client) {
            return Refusal.OpenerNotAllowed;
        }
        if (order.startsAt > block.timestamp) return Refusal.TermLeaseNotByProvider;
        // No time that the word will ever hold is later than the deadline.
        if (block.timestamp + order.maxSeconds + CLAIM_GRACE > type(uint32).max) return Refusal.BadAmounts;

        Status status = lease.status();
        if (status == Status.Closed) return Refusal.OrderClosed;
        if (status != Status.None) return Refusal.OrderLive;
        // Receipts name the second of the opening: two servings must not share it.
        if (lease.openedAt() == block.timestamp) return Refusal.TooSoon;
        return Refusal.None;
    }

    /// What order and offer have against each other. No need to look whether the arbiter is 0 or the provider: `list` refuses both.
    function _refusalOfMatch(Fill calldata fill, Offer storage offer) private view returns (uint8) {
        Order calldata order = fill.order;
        if (order.offer != 0 && order.offer != fill.offer) return Refusal.WrongOffer;
        // An offer that was never listed expired at 0.
        if (block.timestamp >= offer.expiresAt) return Refusal.OfferNotAlive;
        if (order.classes >> offer.class & 1 == 0) return Refusal.ClassNotAccepted;
        if (offer.free < order.gpus) return Refusal.NotEnoughGpus;
        if (offer.bondBps < order.minBondBps) return Refusal.BondTooSmall;
        if (fill.price > order.maxPrice || fill.price < offer.price) return Refusal.PriceOutOfBounds;
        if (order.minSeconds < offer.minSeconds) return Refusal.MinSecondsTooSmall;
        if (order.arbiter != offer.arbiter) return Refusal.WrongArbiter;
        return Refusal.None;
    }

    /// Whether both can pay. A tip that the opener is about to earn pays for nothing here: debits come first (P-20).
    function _refusalOfLocks(address client, address provider, uint256 fromClient, uint256 fromProvider)
        private
        view
        returns (uint8)
    {
        if (_balances[client] < fromClient) return Refusal.ClientBalanceTooLow;
        if (client == provider) fromProvider += fromClient;
        if (_balances[provider] < fromProvider) return Refusal.ProviderBalanceTooLow;
        return Refusal.None;
    }

    /// Whether the client wants it. Its own call says so; what a stranger brings must be signed by it.
    function _refusalOfSignature(bytes32 id, Fill calldata fill) private view returns (uint8) {
        address client = fill.order.client;
        if (msg.sender == client) return Refusal.None;
        address signer = Orders.signerOf(id, fill.signature);
        return signer != address(0) && signer == client ? Refusal.None : Refusal.BadSignature;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ leases

    /// @inheritdoc IComputeMarket
    function settle(Settlement[] calldata settlements) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i = 0; i < settlements.length; ++i) {
            Settlement calldata settlement = settlements[i];
            bytes32 id = settlement.order.digestOf(domain);

            uint8 reason = _settle(id, settlement, domain);
            if (reason != Refusal.None) emit SettlementRefused(id, msg.sender, reason);
        }
    }

    /// @inheritdoc IComputeMarket
    function claim(Order calldata order, uint32 usedSeconds, bytes32 result) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        Offer storage offer = _offers[lease.offer()];
        _requireOpen(id, lease);
        _requireProvider(offer);
        _requireFrom(lease.startOf(order) + order.minSeconds);
        _requireBefore(lease.endOf(order) + CLAIM_GRACE);
        uint256 elapsed = lease.elapsedOf(order);
        if (usedSeconds < lease.paidSeconds() || usedSeconds > elapsed) {
            revert SecondsOutOfBounds({attempted: usedSeconds, least: lease.paidSeconds(), most: elapsed});
        }

        offer.free += order.gpus;
        // The time fits: it is before the deadline, which does (_refusalOfOrder).
        _leases[id] = lease.claimed(usedSeconds, uint32(block.timestamp));

        emit LeaseClaimed(id, usedSeconds, result);
    }

    /// @inheritdoc IComputeMarket
    function finalize(Order[] calldata orders) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i = 0; i < orders.length; ++i) {
            bytes32 id = orders[i].digestOf(domain);

            uint8 reason = _finalize(id, orders[i]);
            if (reason != Refusal.None) emit SettlementRefused(id, msg.sender, reason);
        }
    }

    /// @inheritdoc IComputeMarket
    function terminate(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        _requireOpen(id, lease);
        _requireClientSide(order);
        _requireBefore(lease.endOf(order) + CLAIM_GRACE);

        // No need to look at paidSeconds: whatever was paid stayed within this bound, which never falls. 32 bits, because it is at most maxSeconds.
        uint32 usedSeconds = uint32(lease.mostSecondsOf(order));
        (uint256 paid, uint256 refund, uint256 bond) = _close(id, order, lease, usedSeconds, 0);

        emit LeaseTerminated(id, msg.sender, usedSeconds, paid, refund, bond);
    }

    /// @inheritdoc IComputeMarket
    function decline(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        Offer storage offer = _offers[lease.offer()];
        _requireOpen(id, lease);
        _requireProvider(offer);
        _requireBefore(lease.openedAt() + START_GRACE);
        if (order.startsAt > lease.openedAt()) revert TermLease(id, order.startsAt);
        uint32 paidSeconds = lease.paidSeconds();
        uint256 alreadyPaid = Metering.earnedRoundedDown(lease.price(), order.gpus, paidSeconds);
        (, uint256 locked) = _locksOf(order, lease, offer);
        if (alreadyPaid > locked) revert PaidBeyondBond({paid: alreadyPaid, bond: locked});

        (, uint256 refund, uint256 bond) = _close(id, order, lease, paidSeconds, alreadyPaid);
        // Only an order that cost its client nothing may be opened again (P-24).
        Status status = Status.Closed;
        if (paidSeconds == 0 && !lease.noReopen()) {
            status = Status.None;
            _leases[id] = lease.declined();
        }

        emit LeaseDeclined(id, status, refund + alreadyPaid, bond);
    }

    /// @inheritdoc IComputeMarket
    function expire(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        _requireOpen(id, lease);
        _requireFrom(lease.endOf(order) + CLAIM_GRACE);

        (uint256 total, uint256 locked) = _locksOf(order, lease, _offers[lease.offer()]);
        uint256 compensation = Math.min(locked, total);
        (, uint256 refund, uint256 bond) = _close(id, order, lease, lease.paidSeconds(), compensation);

        emit LeaseExpired(id, refund, compensation, bond);
    }

    function _settle(bytes32 id, Settlement calldata settlement, bytes32 domain) private returns (uint8 reason) {
        Order calldata order = settlement.order;
        LeaseWord lease = _leases[id];
        Offer storage offer = _offers[lease.offer()];

        reason = _refusalOfSettlement(settlement, lease);
        if (reason == Refusal.None) reason = _refusalOfReceipt(id, settlement, lease, offer.provider, domain);
        if (reason != Refusal.None) return reason;

        uint256 paid;
        uint256 refund;
        uint256 bond;
        if (settlement.last) {
            (paid, refund, bond) = _close(id, order, lease, settlement.usedSeconds, 0);
        } else {
            paid = _pay(order, lease, offer.provider, offer.class, settlement.usedSeconds);
            _leases[id] = lease.withPaidSeconds(settlement.usedSeconds);
        }

        emit LeaseSettled({
            lease: id,
            usedSeconds: settlement.usedSeconds,
            result: settlement.result,
            last: settlement.last,
            paid: paid,
            refund: refund,
            bond: bond,
            stake: 0
        });
    }

    function _refusalOfSettlement(Settlement calldata settlement, LeaseWord lease) private view returns (uint8) {
        if (!lease.isLive()) return Refusal.NotLive;
        uint256 least = lease.paidSeconds();
        if (!settlement.last) ++least;
        if (settlement.usedSeconds < least) return Refusal.SecondsOutOfBounds;
        if (settlement.usedSeconds > lease.mostSecondsOf(settlement.order)) return Refusal.SecondsOutOfBounds;
        return Refusal.None;
    }

    /// Whether those whose money it moves agree: the client's side always, the provider to close. The digest is made of what the market
    /// knows: a receipt of another serving, lease, market or chain is simply a bad signature.
    function _refusalOfReceipt(
        bytes32 id,
        Settlement calldata settlement,
        LeaseWord lease,
        address provider,
        bytes32 domain
    ) private view returns (uint8) {
        bytes32 digest = Receipt({
            lease: id,
            offer: lease.offer(),
            openedAt: lease.openedAt(),
            usedSeconds: settlement.usedSeconds,
            result: settlement.result,
            last: settlement.last
        }).digestOf(domain);

        Order calldata order = settlement.order;
        if (!_isClientSide(order, msg.sender)) {
            if (!_isClientSide(order, Orders.signerOf(digest, settlement.clientSignature))) {
                return Refusal.BadClientSignature;
            }
        }
        if (settlement.last && msg.sender != provider) {
            if (Orders.signerOf(digest, settlement.providerSignature) != provider) return Refusal.BadProviderSignature;
        }
        return Refusal.None;
    }

    function _finalize(bytes32 id, Order calldata order) private returns (uint8) {
        LeaseWord lease = _leases[id];
        if (lease.status() != Status.Claimed) return Refusal.NotClaimed;
        if (block.timestamp < lease.changedAt() + CHALLENGE_WINDOW) return Refusal.WindowOpen;

        // A progress receipt may have paid for more than was claimed; what is paid stays paid.
        uint32 usedSeconds = uint32(Math.max(lease.claimedSeconds(), lease.paidSeconds()));
        (uint256 paid, uint256 refund, uint256 bond) = _close(id, order, lease, usedSeconds, 0);

        emit LeaseFinalized(id, usedSeconds, paid, refund, bond);
        return Refusal.None;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IComputeMarket
    function orderId(Order calldata order) external view returns (bytes32) {
        return order.digestOf(_domainSeparatorV4());
    }

    /// @inheritdoc IComputeMarket
    function receiptId(Receipt calldata receipt) external view returns (bytes32) {
        return Orders.digestOf(receipt, _domainSeparatorV4());
    }

    /// @inheritdoc IComputeMarket
    function statusOf(Order calldata order) external view returns (Status) {
        (, LeaseWord lease) = _leaseOf(order);
        return lease.status();
    }

    /// @inheritdoc IComputeMarket
    function leaseOf(bytes32 id) external view returns (Lease memory) {
        return _leases[id].unpacked();
    }

    /// @inheritdoc IComputeMarket
    function offerOf(uint40 offer) external view returns (Offer memory) {
        return _offers[offer];
    }

    /// @inheritdoc IComputeMarket
    function balanceOf(address account) external view returns (uint256) {
        return _balances[account];
    }

    /// @inheritdoc IComputeMarket
    function budgetOf(address, address) external pure returns (uint128 left, uint40 until) {
        // Nobody can authorize a delegate.
        return (0, 0);
    }

    /// @inheritdoc IComputeMarket
    function payeeOf(bytes32 id) external view returns (address) {
        LeaseWord lease = _leases[id];
        return lease.isLive() ? _offers[lease.offer()].provider : address(0);
    }

    /// @inheritdoc IComputeMarket
    function volumeOf(uint8 class) external view returns (uint128 paid, uint128 gpuSeconds) {
        Volume storage volume = _volumes[class];
        return (volume.paid, volume.gpuSeconds);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- money

    /// Closes the lease: pays up to `usedSeconds`, returns the rest to the client, and the bond, less what of it is forfeit to the client, to the
    /// provider. Every closing exit comes here, so payment, volume, bond and dust live in one place.
    function _close(bytes32 id, Order calldata order, LeaseWord lease, uint32 usedSeconds, uint256 forfeit)
        private
        returns (uint256 paid, uint256 refund, uint256 bond)
    {
        Offer storage offer = _offers[lease.offer()];
        address provider = offer.provider;
        (uint256 total, uint256 locked) = _locksOf(order, lease, offer);
        refund = total - Metering.earnedRoundedDown(lease.price(), order.gpus, usedSeconds);
        bond = locked - forfeit;

        paid = _pay(order, lease, provider, offer.class, usedSeconds);
        _leases[id] = lease.closed(usedSeconds);
        // In any other state the GPUs were freed when it was entered.
        if (lease.status() == Status.Open) offer.free += order.gpus;
        _balances[order.client] += refund + forfeit;
        _balances[provider] += bond;
    }

    /// Pays the seconds from paidSeconds to `usedSeconds`. Storing the latter is the caller's.
    function _pay(Order calldata order, LeaseWord lease, address payee, uint8 class, uint32 usedSeconds)
        private
        returns (uint256 paid)
    {
        uint32 paidSeconds = lease.paidSeconds();
        if (usedSeconds == paidSeconds) return 0;
        paid = Metering.earnedRoundedDown(lease.price(), order.gpus, usedSeconds)
            - Metering.earnedRoundedDown(lease.price(), order.gpus, paidSeconds);

        _balances[payee] += paid;
        Volume storage volume = _volumes[class];
        // Wraps on purpose: no sum of what was paid may ever stop a payment.
        unchecked {
            volume.paid += uint128(paid);
            volume.gpuSeconds += uint128(order.gpus) * (usedSeconds - paidSeconds);
        }
    }

    /// What is locked in a live lease: T of the client's, before anything was paid, and B of the provider's.
    function _locksOf(Order calldata order, LeaseWord lease, Offer storage offer)
        private
        view
        returns (uint256 total, uint256 bond)
    {
        total = Metering.totalRoundedUp(lease.price(), order.gpus, order.maxSeconds);
        bond = Metering.bondRoundedDown(total, offer.bondBps, BOND_FLOOR);
    }

    // --------------------------------------------------------------------------------------------------------------------------- identity, guards

    function _leaseOf(Order calldata order) private view returns (bytes32 id, LeaseWord lease) {
        id = order.digestOf(_domainSeparatorV4());
        lease = _leases[id];
    }

    /// Whether `who` is the client or its acceptor. Nobody is 0: that is what a bad signature recovers to, and an absent acceptor.
    function _isClientSide(Order calldata order, address who) private pure returns (bool) {
        return who != address(0) && (who == order.client || who == order.acceptor);
    }

    function _requireClientSide(Order calldata order) private view {
        if (!_isClientSide(order, msg.sender)) revert NotClientSide(msg.sender, order.client, order.acceptor);
    }

    function _requireProvider(Offer storage offer) private view {
        if (msg.sender != offer.provider) revert NotProvider(msg.sender, offer.provider);
    }

    function _requireOpen(bytes32 id, LeaseWord lease) private pure {
        if (lease.status() != Status.Open) revert NotOpen(id, lease.status());
    }

    function _requireFrom(uint256 from) private view {
        if (block.timestamp < from) revert TooEarly({attempted: block.timestamp, from: from});
    }

    function _requireBefore(uint256 end) private view {
        if (block.timestamp >= end) revert TooLate({attempted: block.timestamp, end: end});
    }
}
