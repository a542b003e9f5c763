// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {
    Fill,
    IComputeMarket,
    IReceiveWithAuthorization,
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
import {Listing, OfferTerms, OfferWord, Offers, TermsWord} from "./libraries/Offers.sol";
import {Orders} from "./libraries/Orders.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {VolumeWord} from "./libraries/Volumes.sol";

/// @title Compute market
/// @dev What every verb promises stands in the interface. Each has the same silhouette: identify, check (cheapest first), effect, log, interaction.
/// Balances change by += and -= only, in order, never through a cached copy: any two roles may be one address (P-07).
contract ComputeMarket is IComputeMarket, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Orders for Order;
    using Orders for Receipt;

    struct Account {
        uint256 balance;
        mapping(address delegate => Budget) budgets;
    }

    struct Budget {
        uint128 left;
        uint40 until;
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
    mapping(address account => Account) private _accounts;
    mapping(uint40 offer => Listing) private _listings;
    mapping(bytes32 id => LeaseWord) private _leases;
    // Read only while the lease's word says that it is assigned: what an earlier serving left here is nobody's.
    mapping(bytes32 id => address) private _payees;
    mapping(uint8 class => VolumeWord) private _volumes;

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
        _requireSomebody(account);
        _deposit(msg.sender, account, amount);
    }

    /// @inheritdoc IComputeMarket
    function depositWithPermit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        _requireSomebody(owner);
        // Whoever saw the permit may have used it up: then its allowance is there, and must not be out of the owner's reach.
        try IERC20Permit(token).permit(owner, address(this), amount, deadline, v, r, s) {}
        catch {
            if (msg.sender != owner) revert NotPermitted(msg.sender, owner);
        }
        _deposit(owner, owner, amount);
    }

    /// @inheritdoc IComputeMarket
    function depositWithAuthorization(
        address owner,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        _requireSomebody(owner);
        uint256 held = IERC20(token).balanceOf(address(this));
        IReceiveWithAuthorization(token)
            .receiveWithAuthorization(owner, address(this), amount, validAfter, validBefore, nonce, v, r, s);
        _credit(owner, owner, held);
    }

    /// @inheritdoc IComputeMarket
    function withdraw(address to, uint256 amount) external nonReentrant {
        if (to == address(this)) revert PaidToMarket();

        _debit(msg.sender, amount);

        emit Withdrawn(msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc IComputeMarket
    function authorize(address delegate, uint128 budget, uint40 until) external nonReentrant {
        _requireSomebody(delegate);
        if (budget == 0 || until == 0) (budget, until) = (0, 0);

        _accounts[msg.sender].budgets[delegate] = Budget({left: budget, until: until});

        emit Authorized(msg.sender, delegate, budget, until);
    }

    // The token comes before the effect, because only the balance difference tells what arrived (P-01). The guard keeps a token that calls back from
    // having one arrival counted twice.
    function _deposit(address from, address account, uint256 amount) private {
        uint256 held = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        _credit(from, account, held);
    }

    function _credit(address from, address account, uint256 heldBefore) private {
        uint256 arrived = IERC20(token).balanceOf(address(this)) - heldBefore;

        _accounts[account].balance += arrived;

        emit Deposited(account, from, arrived);
    }

    function _debit(address account, uint256 amount) private {
        uint256 available = _accounts[account].balance;
        if (amount > available) revert BalanceTooLow(account, amount, available);
        _accounts[account].balance -= amount;
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
        _listings[offer] = Offers.packed(value);

        emit OfferListed(offer, msg.sender, value);
    }

    /// @inheritdoc IComputeMarket
    function reprice(uint40 offer, uint80 price, uint40 expiresAt) external nonReentrant {
        Listing storage listing = _listings[offer];
        _requireProvider(listing.offer);

        listing.offer = listing.offer.withExpiresAt(expiresAt);
        listing.terms = listing.terms.withPrice(price);

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

            Refusal reason = _open(id, fill);
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

    function _open(bytes32 id, Fill calldata fill) private returns (Refusal reason) {
        Order calldata order = fill.order;
        Listing storage listing = _listings[fill.offer];
        OfferWord offer = listing.offer;
        LeaseWord lease = _leases[id];
        uint256 total = Metering.totalRoundedUp(fill.price, order.gpus, order.maxSeconds);
        uint256 bond = Metering.bondRoundedDown(total, offer.bondBps(), BOND_FLOOR);
        uint256 tip = lease.tipPaid() ? 0 : order.tip;

        reason = _refusalOfOrder(order, lease, offer.provider());
        if (reason == Refusal.None) reason = _refusalOfMatch(fill, offer, listing.terms);
        if (reason == Refusal.None) reason = _refusalOfLocks(order.client, offer.provider(), total + tip, bond);
        if (reason == Refusal.None) reason = _refusalOfSignature(id, fill);
        if (reason != Refusal.None) return reason;

        _accounts[order.client].balance -= total + tip;
        _accounts[offer.provider()].balance -= bond;
        if (tip != 0) _accounts[msg.sender].balance += tip;
        listing.offer = offer.taken(order.gpus);
        // The time fits: _refusalOfOrder saw to that.
        _leases[id] = Leases.opened(fill.offer, fill.price, uint32(block.timestamp));

        order.logOpened(id, fill.offer, msg.sender, fill.price);
    }

    /// What the order alone, and what became of it so far, have against opening it.
    function _refusalOfOrder(Order calldata order, LeaseWord lease, address provider) private view returns (Refusal) {
        if (order.gpus == 0 || order.maxSeconds == 0) return Refusal.BadAmounts;
        if (order.minSeconds > order.maxSeconds) return Refusal.BadAmounts;
        if (block.timestamp > type(uint32).max) return Refusal.BadAmounts;
        if (block.timestamp >= order.expiresAt) return Refusal.OrderExpired;
        if (order.opener == address(0)) {
            if (order.tip != 0) return Refusal.TipWithoutOpener;
        } else if (msg.sender != order.opener && msg.sender != order.client) {
            return Refusal.OpenerNotAllowed;
        }
        if (order.startsAt > block.timestamp && msg.sender != provider) return Refusal.TermLeaseNotByProvider;

        Status status = lease.status();
        if (status == Status.Closed) return Refusal.OrderClosed;
        if (status != Status.None) return Refusal.OrderLive;
        // Receipts name the second of the opening: two servings must not share it.
        if (lease.openedAt() == block.timestamp) return Refusal.TooSoon;
        return Refusal.None;
    }

    /// What order and offer have against each other. No need to look whether the arbiter is 0 or the provider: `list` refuses both.
    function _refusalOfMatch(Fill calldata fill, OfferWord offer, TermsWord terms) private view returns (Refusal) {
        Order calldata order = fill.order;
        if (order.offer != 0 && order.offer != fill.offer) return Refusal.WrongOffer;
        // An offer that was never listed expired at 0.
        if (block.timestamp >= offer.expiresAt()) return Refusal.OfferNotAlive;
        if (order.classes >> offer.class() & 1 == 0) return Refusal.ClassNotAccepted;
        if (offer.free() < order.gpus) return Refusal.NotEnoughGpus;
        if (offer.bondBps() < order.minBondBps) return Refusal.BondTooSmall;
        if (fill.price > order.maxPrice || fill.price < terms.price()) return Refusal.PriceOutOfBounds;
        if (order.minSeconds < terms.minSeconds()) return Refusal.MinSecondsTooSmall;
        if (order.arbiter != terms.arbiter()) return Refusal.WrongArbiter;
        return Refusal.None;
    }

    /// Whether both can pay. A tip that the opener is about to earn pays for nothing here: debits come first (P-20).
    function _refusalOfLocks(address client, address provider, uint256 fromClient, uint256 fromProvider)
        private
        view
        returns (Refusal)
    {
        if (_accounts[client].balance < fromClient) return Refusal.ClientBalanceTooLow;
        if (client == provider) fromProvider += fromClient;
        if (_accounts[provider].balance < fromProvider) return Refusal.ProviderBalanceTooLow;
        return Refusal.None;
    }

    /// Whether the client wants it: its own call says so; what anybody else brings must be signed by it, by a delegate, or by its contract. The last
    /// check, because it charges the delegate's budget.
    function _refusalOfSignature(bytes32 id, Fill calldata fill) private returns (Refusal) {
        address client = fill.order.client;
        if (msg.sender == client) return Refusal.None;

        address signer = Signatures.signerOf(id, fill.signature);
        if (signer != address(0)) {
            if (signer == client) return Refusal.None;
            Budget storage budget = _accounts[client].budgets[signer];
            if (block.timestamp < budget.until) return _refusalOfBudget(id, fill.order, signer, budget);
        }
        return Signatures.isApprovedBy(client, id, fill.signature) ? Refusal.None : Refusal.BadSignature;
    }

    /// Charges the most that the opening can cost, whatever it does cost: what is charged is never restored, so a budget bounds all that can happen (I-7).
    function _refusalOfBudget(bytes32 id, Order calldata order, address delegate, Budget storage budget)
        private
        returns (Refusal)
    {
        uint256 cost = Metering.totalRoundedUp(order.maxPrice, order.gpus, order.maxSeconds) + order.tip;
        if (budget.left < cost) return Refusal.OverBudget;

        budget.left -= uint128(cost);

        emit BudgetSpent(order.client, delegate, id, budget.left);
        return Refusal.None;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ leases

    /// @inheritdoc IComputeMarket
    function settle(Settlement[] calldata settlements) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i = 0; i < settlements.length; ++i) {
            Settlement calldata settlement = settlements[i];
            bytes32 id = settlement.order.digestOf(domain);

            Refusal reason = _settle(id, settlement, domain);
            if (reason != Refusal.None) emit SettlementRefused(id, msg.sender, reason);
        }
    }

    /// @inheritdoc IComputeMarket
    function claim(Order calldata order, uint32 usedSeconds, bytes32 result) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        OfferWord offer = _listings[lease.offer()].offer;
        _requireOpen(id, lease);
        _requireProvider(offer);
        _requireFrom(lease.startOf(order) + order.minSeconds);
        _requireBefore(_deadlineOf(order, lease));
        uint256 elapsed = lease.elapsedOf(order);
        if (usedSeconds < lease.paidSeconds() || usedSeconds > elapsed) {
            revert SecondsOutOfBounds({attempted: usedSeconds, least: lease.paidSeconds(), most: elapsed});
        }

        _listings[lease.offer()].offer = offer.freed(order.gpus);
        _leases[id] = lease.claimed(usedSeconds, _time());

        emit LeaseClaimed(id, usedSeconds, result);
    }

    /// @inheritdoc IComputeMarket
    function finalize(Order[] calldata orders) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i = 0; i < orders.length; ++i) {
            bytes32 id = orders[i].digestOf(domain);

            Refusal reason = _finalize(id, orders[i]);
            if (reason != Refusal.None) emit SettlementRefused(id, msg.sender, reason);
        }
    }

    /// @inheritdoc IComputeMarket
    function terminate(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        _requireOpen(id, lease);
        _requireClientSide(order);
        _requireBefore(_deadlineOf(order, lease));

        // No need to look at paidSeconds: whatever was paid stayed within this bound, which never falls. 32 bits, because it is at most maxSeconds.
        uint32 usedSeconds = uint32(lease.mostSecondsOf(order));
        (uint256 paid, uint256 refund, uint256 bond,) = _close(id, order, lease, usedSeconds, 0);

        emit LeaseTerminated(id, msg.sender, usedSeconds, paid, refund, bond);
    }

    /// @inheritdoc IComputeMarket
    function decline(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        OfferWord offer = _listings[lease.offer()].offer;
        _requireOpen(id, lease);
        _requireProvider(offer);
        _requireBefore(lease.openedAt() + START_GRACE);
        if (order.startsAt > lease.openedAt()) revert TermLease(id, order.startsAt);
        uint32 paidSeconds = lease.paidSeconds();
        uint256 alreadyPaid = Metering.earnedRoundedDown(lease.price(), order.gpus, paidSeconds);
        (, uint256 locked) = _locksOf(order, lease, offer);
        if (alreadyPaid > locked) revert PaidBeyondBond({paid: alreadyPaid, bond: locked});

        (, uint256 refund, uint256 bond,) = _close(id, order, lease, paidSeconds, alreadyPaid);
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
        _requireFrom(_deadlineOf(order, lease));

        (uint256 total, uint256 locked) = _locksOf(order, lease, _listings[lease.offer()].offer);
        uint256 compensation = Metering.compensation(total, locked);
        (, uint256 refund, uint256 bond,) = _close(id, order, lease, lease.paidSeconds(), compensation);

        emit LeaseExpired(id, refund, compensation, bond);
    }

    /// @inheritdoc IComputeMarket
    function assign(Order calldata order, address payee) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        address current = payeeOf(id);
        if (!lease.isLive()) revert NotLive(id, lease.status());
        if (msg.sender != current) revert NotPayee(msg.sender, current);
        _requireSomebody(payee);

        _payees[id] = payee;
        _leases[id] = lease.withAssigned();

        emit LeaseAssigned(id, current, payee);
    }

    function _settle(bytes32 id, Settlement calldata settlement, bytes32 domain) private returns (Refusal reason) {
        Order calldata order = settlement.order;
        LeaseWord lease = _leases[id];
        OfferWord offer = _listings[lease.offer()].offer;

        reason = _refusalOfSettlement(settlement, lease);
        if (reason == Refusal.None) reason = _refusalOfReceipt(id, settlement, lease, offer.provider(), domain);
        if (reason != Refusal.None) return reason;

        uint256 paid;
        uint256 refund;
        uint256 bond;
        uint256 stake;
        if (settlement.last) {
            (paid, refund, bond, stake) = _close(id, order, lease, settlement.usedSeconds, 0);
        } else {
            paid = _pay(id, order, lease, offer, settlement.usedSeconds);
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
            stake: stake
        });
    }

    function _refusalOfSettlement(Settlement calldata settlement, LeaseWord lease) private view returns (Refusal) {
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
    ) private view returns (Refusal) {
        bytes32 digest = Receipt({
            lease: id,
            offer: lease.offer(),
            openedAt: lease.openedAt(),
            usedSeconds: settlement.usedSeconds,
            result: settlement.result,
            last: settlement.last
        }).digestOf(domain);

        if (!_isClientSide(settlement.order, msg.sender)) {
            if (!_isSignedByClientSide(settlement.order, digest, settlement.clientSignature)) {
                return Refusal.BadClientSignature;
            }
        }
        if (settlement.last && msg.sender != provider) {
            if (!Signatures.isSignedBy(provider, digest, settlement.providerSignature)) {
                return Refusal.BadProviderSignature;
            }
        }
        return Refusal.None;
    }

    function _finalize(bytes32 id, Order calldata order) private returns (Refusal) {
        LeaseWord lease = _leases[id];
        if (lease.status() != Status.Claimed) return Refusal.NotClaimed;
        if (block.timestamp < lease.changedAt() + CHALLENGE_WINDOW) return Refusal.WindowOpen;

        // A progress receipt may have paid for more than was claimed; what is paid stays paid.
        uint32 usedSeconds = uint32(Math.max(lease.claimedSeconds(), lease.paidSeconds()));
        (uint256 paid, uint256 refund, uint256 bond,) = _close(id, order, lease, usedSeconds, 0);

        emit LeaseFinalized(id, usedSeconds, paid, refund, bond);
        return Refusal.None;
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- disputes

    /// @inheritdoc IComputeMarket
    function dispute(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        OfferWord offer = _listings[lease.offer()].offer;
        bool isOpen = lease.status() == Status.Open;
        if (!isOpen && lease.status() != Status.Claimed) revert NotDisputable(id, lease.status());
        _requireClientSide(order);
        if (isOpen) _requireFrom(lease.startOf(order) + START_GRACE);
        _requireBefore(isOpen ? _deadlineOf(order, lease) : lease.changedAt() + CHALLENGE_WINDOW);

        uint32 claimedSeconds = isOpen ? uint32(lease.elapsedOf(order)) : lease.claimedSeconds();
        (, uint256 stake) = _locksOf(order, lease, offer);
        _debit(msg.sender, stake);
        if (isOpen) _listings[lease.offer()].offer = offer.freed(order.gpus);
        _leases[id] = lease.disputed(claimedSeconds, _time(), msg.sender != order.client);

        emit LeaseDisputed(id, msg.sender, claimedSeconds, stake);
    }

    /// @inheritdoc IComputeMarket
    function rule(Order calldata order, uint32 usedSeconds, bool providerAtFault) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        _requireDisputed(id, lease);
        if (msg.sender != order.arbiter) revert NotArbiter(msg.sender, order.arbiter);
        _requireBefore(lease.changedAt() + RULING_WINDOW);
        uint256 most = lease.claimedSeconds();
        if (!providerAtFault) most = Math.max(most, order.minSeconds);
        if (usedSeconds > most) revert SecondsOutOfBounds({attempted: usedSeconds, least: 0, most: most});

        // Both stakes go back; then the loser's goes to the winner, half of it to the arbiter.
        usedSeconds = uint32(Math.max(usedSeconds, lease.paidSeconds()));
        (uint256 paid, uint256 refund, uint256 bond,) = _close(id, order, lease, usedSeconds, 0);
        uint256 fee = Metering.feeRoundedDown(bond);
        address provider = _listings[lease.offer()].offer.provider();
        address disputer = _disputerOf(order, lease);
        _accounts[providerAtFault ? provider : disputer].balance -= bond;
        _accounts[providerAtFault ? disputer : provider].balance += bond - fee;
        _accounts[order.arbiter].balance += fee;

        uint256 won = bond + bond - fee;
        emit LeaseRuled({
            lease: id,
            providerAtFault: providerAtFault,
            paidSeconds: usedSeconds,
            paid: paid,
            refund: refund,
            toProvider: providerAtFault ? 0 : won,
            toDisputer: providerAtFault ? won : 0,
            toArbiter: fee
        });
    }

    /// @inheritdoc IComputeMarket
    function lapse(Order calldata order) external nonReentrant {
        (bytes32 id, LeaseWord lease) = _leaseOf(order);
        _requireDisputed(id, lease);
        _requireFrom(lease.changedAt() + RULING_WINDOW);

        uint32 usedSeconds = Metering.splitRoundedDown(lease.paidSeconds(), lease.claimedSeconds());
        (uint256 paid, uint256 refund, uint256 bond, uint256 stake) = _close(id, order, lease, usedSeconds, 0);

        emit LeaseLapsed(id, usedSeconds, paid, refund, bond, stake);
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
        return Offers.unpacked(_listings[offer]);
    }

    /// @inheritdoc IComputeMarket
    function balanceOf(address account) external view returns (uint256) {
        return _accounts[account].balance;
    }

    /// @inheritdoc IComputeMarket
    function budgetOf(address account, address delegate) external view returns (uint128 left, uint40 until) {
        Budget storage budget = _accounts[account].budgets[delegate];
        return (budget.left, budget.until);
    }

    /// @inheritdoc IComputeMarket
    function payeeOf(bytes32 id) public view returns (address) {
        LeaseWord lease = _leases[id];
        if (!lease.isLive()) return address(0);
        return lease.assigned() ? _payees[id] : _listings[lease.offer()].offer.provider();
    }

    /// @inheritdoc IComputeMarket
    function volumeOf(uint8 class) external view returns (uint128 paid, uint128 gpuSeconds) {
        return (_volumes[class].paid(), _volumes[class].gpuSeconds());
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- money

    /// Closes the lease: pays up to `usedSeconds`, returns the rest to the client, the bond, less what of it is forfeit to the client, to the
    /// provider, and its stake to a disputer. Every closing exit comes here, so payment, volume, bond and dust live in one place.
    function _close(bytes32 id, Order calldata order, LeaseWord lease, uint32 usedSeconds, uint256 forfeit)
        private
        returns (uint256 paid, uint256 refund, uint256 bond, uint256 stake)
    {
        OfferWord offer = _listings[lease.offer()].offer;
        (uint256 total, uint256 locked) = _locksOf(order, lease, offer);
        refund = total - Metering.earnedRoundedDown(lease.price(), order.gpus, usedSeconds);
        bond = locked - forfeit;

        paid = _pay(id, order, lease, offer, usedSeconds);
        _leases[id] = lease.closed(usedSeconds);
        // In any other state the GPUs were freed when it was entered.
        if (lease.status() == Status.Open) _listings[lease.offer()].offer = offer.freed(order.gpus);
        _accounts[order.client].balance += refund + forfeit;
        _accounts[offer.provider()].balance += bond;
        if (lease.status() == Status.Disputed) {
            stake = locked;
            _accounts[_disputerOf(order, lease)].balance += stake;
        }
    }

    /// Pays the seconds from paidSeconds to `usedSeconds`. Storing the latter is the caller's.
    function _pay(bytes32 id, Order calldata order, LeaseWord lease, OfferWord offer, uint32 usedSeconds)
        private
        returns (uint256 paid)
    {
        uint32 paidSeconds = lease.paidSeconds();
        if (usedSeconds == paidSeconds) return 0;
        paid = Metering.earnedRoundedDown(lease.price(), order.gpus, usedSeconds)
            - Metering.earnedRoundedDown(lease.price(), order.gpus, paidSeconds);

        _accounts[lease.assigned() ? _payees[id] : offer.provider()].balance += paid;
        uint256 usage = uint256(order.gpus) * (usedSeconds - paidSeconds);
        _volumes[offer.class()] = _volumes[offer.class()].plus(paid, usage);
    }

    /// What is locked in a live lease: T of the client's, before anything was paid, and B of the provider's.
    function _locksOf(Order calldata order, LeaseWord lease, OfferWord offer)
        private
        view
        returns (uint256 total, uint256 bond)
    {
        total = Metering.totalRoundedUp(lease.price(), order.gpus, order.maxSeconds);
        bond = Metering.bondRoundedDown(total, offer.bondBps(), BOND_FLOOR);
    }

    // --------------------------------------------------------------------------------------------------------------------------- identity, guards

    function _leaseOf(Order calldata order) private view returns (bytes32 id, LeaseWord lease) {
        id = order.digestOf(_domainSeparatorV4());
        lease = _leases[id];
    }

    function _disputerOf(Order calldata order, LeaseWord lease) private pure returns (address) {
        return lease.byAcceptor() ? order.acceptor : order.client;
    }

    function _deadlineOf(Order calldata order, LeaseWord lease) private view returns (uint256) {
        return lease.endOf(order) + CLAIM_GRACE;
    }

    /// Now, as the words hold it.
    function _time() private view returns (uint32) {
        if (block.timestamp > type(uint32).max) revert TimeTooLate(block.timestamp, type(uint32).max);
        return uint32(block.timestamp);
    }

    /// Whether `who` is the client or its acceptor. Nobody is 0: that is what a bad signature recovers to, and an absent acceptor.
    function _isClientSide(Order calldata order, address who) private pure returns (bool) {
        return who != address(0) && (who == order.client || who == order.acceptor);
    }

    function _isSignedByClientSide(Order calldata order, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool)
    {
        return _isClientSide(order, Signatures.signerOf(digest, signature))
            || Signatures.isApprovedBy(order.client, digest, signature)
            || Signatures.isApprovedBy(order.acceptor, digest, signature);
    }

    function _requireSomebody(address account) private pure {
        if (account == address(0)) revert ZeroAccount();
    }

    function _requireClientSide(Order calldata order) private view {
        if (!_isClientSide(order, msg.sender)) revert NotClientSide(msg.sender, order.client, order.acceptor);
    }

    function _requireProvider(OfferWord offer) private view {
        if (msg.sender != offer.provider()) revert NotProvider(msg.sender, offer.provider());
    }

    function _requireOpen(bytes32 id, LeaseWord lease) private pure {
        if (lease.status() != Status.Open) revert NotOpen(id, lease.status());
    }

    function _requireDisputed(bytes32 id, LeaseWord lease) private pure {
        if (lease.status() != Status.Disputed) revert NotDisputed(id, lease.status());
    }

    function _requireFrom(uint256 from) private view {
        if (block.timestamp < from) revert TooEarly({attempted: block.timestamp, from: from});
    }

    function _requireBefore(uint256 end) private view {
        if (block.timestamp >= end) revert TooLate({attempted: block.timestamp, end: end});
    }
}
