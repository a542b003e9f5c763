// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

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
import {BudgetWord, Budgets} from "./libraries/Budgets.sol";
import {Guards} from "./libraries/Guards.sol";
import {LeaseWord, Leases} from "./libraries/Leases.sol";
import {Metering} from "./libraries/Metering.sol";
import {Listing, OfferWord, Offers} from "./libraries/Offers.sol";
import {Orders} from "./libraries/Orders.sol";
import {Refusals} from "./libraries/Refusals.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {VolumeWord} from "./libraries/Volumes.sol";

/// @title Compute market
/// @dev What every verb promises stands in the interface. Each has the same silhouette: identify, check (cheapest first), effect, log, interaction.
/// Balances change by += and -= only, in order, never through a cached copy: any two roles may be one address (P-07).
contract ComputeMarket is IComputeMarket, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Orders for Order;
    using Orders for Receipt;
    using Orders for Settlement;

    struct Account {
        uint256 balance;
        mapping(address delegate => BudgetWord) budgets;
    }

    struct Volume {
        VolumeWord word;
    }

    struct Serving {
        LeaseWord lease;
        // Read only while the lease's word says that it is assigned: what an earlier serving left here is nobody's.
        address payee;
    }

    // -------------------------------------------------------------------------------------------------------------------------------- immutables

    address public immutable token;
    uint256 public immutable START_GRACE;
    uint256 public immutable CLAIM_GRACE;
    uint256 public immutable CHALLENGE_WINDOW;
    uint256 public immutable RULING_WINDOW;
    uint256 public immutable BOND_FLOOR;

    // ----------------------------------------------------------------------------------------------------------------------------------- storage

    uint40 private _lastOffer;
    mapping(address account => Account) private _accounts;
    mapping(uint40 offer => Listing) private _listings;
    mapping(bytes32 id => Serving) private _servings;
    mapping(uint8 class => Volume) private _volumes;

    // ------------------------------------------------------------------------------------------------------------------------------- constructor

    /// @param settlementToken the one token that is paid in and out
    /// @param startGrace seconds after an opening in which a provider may decline
    /// @param claimGrace seconds after the last metered one in which a provider may still claim
    /// @param challengeWindow seconds after a claim in which the client's side may object
    /// @param rulingWindow seconds after a dispute in which the arbiter may rule
    /// @param bondFloor the smallest bond of any lease, in token base units
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

    function deposit(address account, uint256 amount) external nonReentrant {
        Guards.requireAccount(account);
        _deposit(msg.sender, account, amount);
    }

    function depositWithPermit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        Guards.requireAccount(owner);
        // Whoever saw the permit may have used it up: then its allowance is there, and must not be out of the owner's reach.
        try IERC20Permit(token).permit(owner, address(this), amount, deadline, v, r, s) {}
        catch {
            if (msg.sender != owner) revert NotPermitted(msg.sender, owner);
        }
        _deposit(owner, owner, amount);
    }

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
        Guards.requireAccount(owner);
        uint256 held = IERC20(token).balanceOf(address(this));
        IReceiveWithAuthorization(token)
            .receiveWithAuthorization(owner, address(this), amount, validAfter, validBefore, nonce, v, r, s);
        _credit(owner, owner, held);
    }

    function withdraw(address to, uint256 amount) external nonReentrant {
        if (to == address(this)) revert PaidToMarket();

        _debit(msg.sender, amount);

        emit Withdrawn(msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    function authorize(address delegate, uint128 budget, uint40 until) external nonReentrant {
        Guards.requireSomebody(delegate);
        if (budget == 0 || until == 0) (budget, until) = (0, 0);

        _accounts[msg.sender].budgets[delegate] = Budgets.packed(budget, until);

        emit Authorized(msg.sender, delegate, budget, until);
    }

    // The token first: only the balance difference tells what arrived (P-01). The guard keeps a token that calls back from being counted twice.
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
        Offer memory value = Offer(msg.sender, class, gpus, gpus, bondBps, expiresAt, arbiter, price, minSeconds, spec);
        _listings[offer] = Offers.packed(value);

        emit OfferListed(offer, msg.sender, value);
    }

    function reprice(uint40 offer, uint80 price, uint40 expiresAt) external nonReentrant {
        Listing storage listing = _listings[offer];
        Guards.requireProvider(listing.offer);

        listing.offer = listing.offer.withExpiresAt(expiresAt);
        listing.terms = listing.terms.withPrice(price);

        emit OfferRepriced(offer, price, expiresAt);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ orders

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

    function cancel(Order calldata order) external nonReentrant {
        (bytes32 id, Serving storage serving,, LeaseWord lease) = _identify(order);
        bool isNone = lease.isIn(Status.None);
        if (!isNone && !lease.isIn(Status.Open)) revert NotCancellable(id, lease.status());
        Guards.requireClientSide(order);

        serving.lease = isNone ? lease.closed({totalPaid: 0}) : lease.withNoReopen();

        emit OrderCancelled(id, msg.sender);
    }

    function _open(bytes32 id, Fill calldata fill) private returns (Refusal reason) {
        Order calldata order = fill.order;
        Serving storage serving = _servings[id];
        Listing storage listing = _listings[fill.offer];
        LeaseWord lease = serving.lease;
        OfferWord offer = listing.offer;
        reason = Refusals.ofOrder(order, lease, offer.provider());
        if (reason == Refusal.None) reason = Refusals.ofMatch(fill, offer, listing.terms);
        if (reason != Refusal.None) return reason;

        // Whether both can pay. A tip that the opener is about to earn pays for nothing here: debits come first (P-20).
        (uint256 debit, uint256 bond) =
            Metering.locks(fill.price, order.gpusOf(), order.maxSecondsOf(), offer.bondBps(), BOND_FLOOR);
        uint256 tip = lease.tipPaid() ? 0 : order.tipOf();
        debit += tip;
        Account storage client = _accounts[order.clientOf()];
        Account storage provider = _accounts[offer.provider()];
        if (client.balance < debit) return Refusal.ClientBalanceTooLow;
        if (provider.balance < (order.clientOf() == offer.provider() ? debit + bond : bond)) {
            return Refusal.ProviderBalanceTooLow;
        }
        bool charged;
        (reason, charged) = _authority(id, fill, lease.charged());
        if (reason != Refusal.None) return reason;

        client.balance -= debit;
        provider.balance -= bond;
        if (tip != 0) _accounts[msg.sender].balance += tip;
        listing.offer = offer.taken(order.gpusOf());
        // The time fits: Refusals.ofOrder saw to that.
        serving.lease = Leases.opened(fill.offer, fill.price, uint32(block.timestamp), charged);

        order.logOpened(id, fill.offer, fill.price);
    }

    /// Whether the client wants it: its own call says so; what anybody else brings must be signed by it, by a delegate, or by its contract.
    /// The last check, because it charges a delegate's budget for good, once per order, with the most that it can cost (I-7). Says, too, if it is charged.
    function _authority(bytes32 id, Fill calldata fill, bool charged) private returns (Refusal, bool) {
        Order calldata order = fill.order;
        address client = order.clientOf();
        if (msg.sender == client) return (Refusal.None, charged);
        address signer = Signatures.signerOf(id, fill.signature);
        if (signer == client && signer != address(0)) return (Refusal.None, charged);

        BudgetWord budget = _accounts[client].budgets[signer];
        if (signer == address(0) || block.timestamp >= budget.until()) {
            return (Signatures.isApprovedBy(client, id, fill.signature) ? Refusal.None : Refusal.BadSignature, charged);
        }
        if (charged) return (Refusal.None, true);
        uint256 cost = order.tipOf() + Metering.totalRoundedUp(order.maxPriceOf(), order.gpusOf(), order.maxSecondsOf());
        if (budget.left() < cost) return (Refusal.OverBudget, false);

        budget = budget.spent(cost);
        _accounts[client].budgets[signer] = budget;

        emit BudgetSpent(client, signer, id, budget.left());
        return (Refusal.None, true);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ leases

    function settle(Settlement[] calldata settlements) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i = 0; i < settlements.length; ++i) {
            Settlement calldata settlement = settlements[i];
            bytes32 id = settlement.order.digestOf(domain);

            Refusal reason = _settle(id, settlement, domain);
            if (reason != Refusal.None) emit SettlementRefused(id, msg.sender, reason);
        }
    }

    function claim(Order calldata order, uint32 usedSeconds, bytes32 result) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        Guards.requireOpen(id, lease);
        Guards.requireProvider(listing.offer);
        Guards.requireFrom(lease.startOf(order) + order.minSecondsOf());
        Guards.requireBefore(lease.endOf(order) + CLAIM_GRACE);
        Guards.requireSeconds(usedSeconds, lease.paidSeconds(), lease.elapsedOf(order));

        listing.offer = listing.offer.freed(order.gpusOf());
        serving.lease = lease.claimed(usedSeconds, Leases.timeNow());

        emit LeaseClaimed(id, usedSeconds, result);
    }

    function finalize(Order[] calldata orders) external nonReentrant {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i = 0; i < orders.length; ++i) {
            bytes32 id = orders[i].digestOf(domain);

            Refusal reason = _finalize(id, orders[i]);
            if (reason != Refusal.None) emit SettlementRefused(id, msg.sender, reason);
        }
    }

    function terminate(Order calldata order) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        Guards.requireOpen(id, lease);
        Guards.requireClientSide(order);
        Guards.requireBefore(lease.endOf(order) + CLAIM_GRACE);

        // No need to look at paidSeconds: whatever was paid stayed within this bound, which never falls. 32 bits, because it is at most maxSeconds.
        uint32 usedSeconds = uint32(lease.mostSecondsOf(order));
        (uint256 paid, uint256 refund, uint256 bond,) = _close(serving, listing, lease, order, usedSeconds, 0);

        emit LeaseTerminated(id, msg.sender, usedSeconds, paid, refund, bond);
    }

    function decline(Order calldata order) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        Guards.requireOpen(id, lease);
        Guards.requireProvider(listing.offer);
        Guards.requireBefore(lease.openedAt() + START_GRACE);
        if (order.startsAtOf() > lease.openedAt()) revert TermLease(id, order.startsAtOf());
        uint32 paidSeconds = lease.paidSeconds();
        uint256 alreadyPaid = Metering.earnedRoundedDown(lease.price(), order.gpusOf(), paidSeconds);
        (, uint256 locked) = _locksOf(lease, listing.offer, order);
        if (alreadyPaid > locked) revert PaidBeyondBond({paid: alreadyPaid, bond: locked});

        (, uint256 refund, uint256 bond,) = _close(serving, listing, lease, order, paidSeconds, alreadyPaid);
        // Only an order that cost its client nothing may be opened again (P-24).
        Status status = Status.Closed;
        if (paidSeconds == 0 && !lease.noReopen()) {
            status = Status.None;
            serving.lease = lease.declined();
        }

        emit LeaseDeclined(id, status, refund + alreadyPaid, bond);
    }

    function expire(Order calldata order) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        Guards.requireOpen(id, lease);
        Guards.requireFrom(lease.endOf(order) + CLAIM_GRACE);

        (uint256 total, uint256 locked) = _locksOf(lease, listing.offer, order);
        uint256 compensation = Metering.compensation(total, locked);
        (, uint256 refund, uint256 bond,) = _close(serving, listing, lease, order, lease.paidSeconds(), compensation);

        emit LeaseExpired(id, refund, compensation, bond);
    }

    function assign(Order calldata order, address payee) external nonReentrant {
        (bytes32 id, Serving storage serving,, LeaseWord lease) = _identify(order);
        address current = payeeOf(id);
        if (!lease.isLive()) revert NotLive(id, lease.status());
        if (msg.sender != current) revert NotPayee(msg.sender, current);
        Guards.requireAccount(payee);

        serving.payee = payee;
        serving.lease = lease.withAssigned();

        emit LeaseAssigned(id, current, payee);
    }

    function _settle(bytes32 id, Settlement calldata settlement, bytes32 domain) private returns (Refusal reason) {
        Order calldata order = settlement.order;
        Serving storage serving = _servings[id];
        LeaseWord lease = serving.lease;
        Listing storage listing = _listings[lease.offer()];
        uint32 usedSeconds = settlement.usedSeconds;
        bool last = settlement.last;
        reason = Refusals.ofSeconds(lease, order, usedSeconds, last);
        if (reason != Refusal.None) return reason;
        // Made of what the market knows: a receipt of another serving, lease, market or chain is simply a bad signature.
        reason = Refusals.ofSignatures(
            settlement,
            settlement.receiptDigestOf(domain, id, lease.offer(), lease.openedAt()),
            last,
            listing.offer.provider()
        );
        if (reason != Refusal.None) return reason;

        (uint256 paid, uint256 refund, uint256 bond, uint256 stake) = (0, 0, 0, 0);
        if (last) {
            (paid, refund, bond, stake) = _close(serving, listing, lease, order, usedSeconds, 0);
        } else {
            (paid,) = _meter(lease, listing.offer, order, usedSeconds);
            _accounts[lease.assigned() ? serving.payee : listing.offer.provider()].balance += paid;
            serving.lease = lease.withPaidSeconds(usedSeconds);
        }

        emit LeaseSettled(id, usedSeconds, settlement.result, last, paid, refund, bond, stake);
    }

    function _finalize(bytes32 id, Order calldata order) private returns (Refusal) {
        Serving storage serving = _servings[id];
        LeaseWord lease = serving.lease;
        Listing storage listing = _listings[lease.offer()];
        if (!lease.isIn(Status.Claimed)) return Refusal.NotClaimed;
        if (block.timestamp < lease.changedAt() + CHALLENGE_WINDOW) return Refusal.WindowOpen;

        // A progress receipt may have paid for more than was claimed.
        uint32 usedSeconds = lease.atLeastPaid(lease.claimedSeconds());
        (uint256 paid, uint256 refund, uint256 bond,) = _close(serving, listing, lease, order, usedSeconds, 0);

        emit LeaseFinalized(id, usedSeconds, paid, refund, bond);
        return Refusal.None;
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- disputes

    function dispute(Order calldata order) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        bool isOpen = lease.isIn(Status.Open);
        if (!isOpen && !lease.isIn(Status.Claimed)) revert NotDisputable(id, lease.status());
        Guards.requireClientSide(order);
        if (isOpen) Guards.requireFrom(lease.startOf(order) + START_GRACE);
        Guards.requireBefore(isOpen ? lease.endOf(order) + CLAIM_GRACE : lease.changedAt() + CHALLENGE_WINDOW);

        uint32 claimedSeconds = isOpen ? uint32(lease.elapsedOf(order)) : lease.claimedSeconds();
        (, uint256 stake) = _locksOf(lease, listing.offer, order);
        _debit(msg.sender, stake);
        if (isOpen) listing.offer = listing.offer.freed(order.gpusOf());
        serving.lease = lease.disputed(claimedSeconds, Leases.timeNow(), msg.sender != order.clientOf());

        emit LeaseDisputed(id, msg.sender, claimedSeconds, stake);
    }

    function rule(Order calldata order, uint32 usedSeconds, bool providerAtFault) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        Guards.requireDisputed(id, lease);
        Guards.requireArbiter(order);
        Guards.requireBefore(lease.changedAt() + RULING_WINDOW);
        Guards.requireSeconds(usedSeconds, 0, providerAtFault ? lease.claimedSeconds() : lease.mostOwedOf(order));

        usedSeconds = lease.atLeastPaid(usedSeconds);
        (uint256 paid, uint256 refund,, uint256 stake) = _close(serving, listing, lease, order, usedSeconds, 0);
        (uint256 won, uint256 fee) = _award(order, listing, lease, stake, providerAtFault);

        (uint256 toProvider, uint256 toDisputer) = providerAtFault ? (uint256(0), won) : (won, 0);
        emit LeaseRuled(id, providerAtFault, usedSeconds, paid, refund, toProvider, toDisputer, fee);
    }

    function lapse(Order calldata order) external nonReentrant {
        (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease) = _identify(order);
        Guards.requireDisputed(id, lease);
        Guards.requireFrom(lease.changedAt() + RULING_WINDOW);

        uint32 usedSeconds = Metering.splitRoundedDown(lease.paidSeconds(), lease.mostOwedOf(order));
        (uint256 paid, uint256 refund, uint256 bond, uint256 stake) =
            _close(serving, listing, lease, order, usedSeconds, 0);

        emit LeaseLapsed(id, usedSeconds, paid, refund, bond, stake);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- views

    function orderId(Order calldata order) external view returns (bytes32) {
        return order.digestOf(_domainSeparatorV4());
    }

    function receiptId(Receipt calldata receipt) external view returns (bytes32) {
        return receipt.digestOf(_domainSeparatorV4());
    }

    function statusOf(Order calldata order) external view returns (Status) {
        return _servings[order.digestOf(_domainSeparatorV4())].lease.status();
    }

    function leaseOf(bytes32 id) external view returns (Lease memory) {
        return _servings[id].lease.unpacked();
    }

    function offerOf(uint40 offer) external view returns (Offer memory) {
        return Offers.unpacked(_listings[offer]);
    }

    function balanceOf(address account) external view returns (uint256) {
        return _accounts[account].balance;
    }

    function budgetOf(address account, address delegate) external view returns (uint128 left, uint40 until) {
        BudgetWord budget = _accounts[account].budgets[delegate];
        return (budget.left(), budget.until());
    }

    function payeeOf(bytes32 id) public view returns (address) {
        LeaseWord lease = _servings[id].lease;
        if (!lease.isLive()) return address(0);
        return lease.assigned() ? _servings[id].payee : _listings[lease.offer()].offer.provider();
    }

    function volumeOf(uint8 class) external view returns (uint128 paid, uint128 gpuSeconds) {
        return (_volumes[class].word.paid(), _volumes[class].word.gpuSeconds());
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- money

    /// Closes the lease: pays up to `usedSeconds`; the rest returns to the client, the bond, less what is forfeit, to the provider, a stake to its disputer.
    function _close(
        Serving storage serving,
        Listing storage listing,
        LeaseWord lease,
        Order calldata order,
        uint32 usedSeconds,
        uint256 forfeit
    ) private returns (uint256 paid, uint256 refund, uint256 bond, uint256 stake) {
        OfferWord offer = listing.offer;
        (refund, bond) = _locksOf(lease, offer, order);
        stake = lease.isIn(Status.Disputed) ? bond : 0;
        uint256 earned;
        (paid, earned) = _meter(lease, offer, order, usedSeconds);
        refund -= earned;
        bond -= forfeit;

        serving.lease = lease.closed(usedSeconds);
        // In any other state the GPUs were freed when it was entered.
        if (lease.isIn(Status.Open)) listing.offer = offer.freed(order.gpusOf());
        _accounts[order.clientOf()].balance += refund + forfeit;
        // Mostly payee and provider are one, which is then written once.
        if (lease.assigned()) {
            _accounts[serving.payee].balance += paid;
            _accounts[offer.provider()].balance += bond;
        } else {
            _accounts[offer.provider()].balance += paid + bond;
        }
        if (stake != 0) _accounts[lease.disputerOf(order)].balance += stake;
    }

    /// After both stakes went back: moves the loser's to the winner, less the arbiter's half. `won` is what the winner has of them in the end.
    function _award(Order calldata order, Listing storage listing, LeaseWord lease, uint256 stake, bool providerAtFault)
        private
        returns (uint256 won, uint256 fee)
    {
        (address winner, address loser) = (listing.offer.provider(), lease.disputerOf(order));
        if (providerAtFault) (winner, loser) = (loser, winner);
        fee = Metering.feeRoundedDown(stake);
        won = 2 * stake - fee;

        _accounts[loser].balance -= stake;
        _accounts[winner].balance += stake - fee;
        _accounts[order.arbiterOf()].balance += fee;
    }

    /// What all seconds up to `usedSeconds` have earned, and what of it is to be paid, by the caller; that is counted into the class's volume.
    function _meter(LeaseWord lease, OfferWord offer, Order calldata order, uint32 usedSeconds)
        private
        returns (uint256 paid, uint256 earned)
    {
        (uint16 gpus, uint32 paidSeconds) = (order.gpusOf(), lease.paidSeconds());
        earned = Metering.earnedRoundedDown(lease.price(), gpus, usedSeconds);
        if (usedSeconds == paidSeconds) return (0, earned);
        paid = earned - Metering.earnedRoundedDown(lease.price(), gpus, paidSeconds);

        Volume storage volume = _volumes[offer.class()];
        volume.word = volume.word.plus(paid, Metering.gpuSeconds(gpus, paidSeconds, usedSeconds));
    }

    /// What is locked in a live lease: T of the client's, before anything was paid, and B of the provider's.
    function _locksOf(LeaseWord lease, OfferWord offer, Order calldata order) private view returns (uint256, uint256) {
        return Metering.locks(lease.price(), order.gpusOf(), order.maxSecondsOf(), offer.bondBps(), BOND_FLOOR);
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- identity

    function _identify(Order calldata order)
        private
        view
        returns (bytes32 id, Serving storage serving, Listing storage listing, LeaseWord lease)
    {
        id = order.digestOf(_domainSeparatorV4());
        serving = _servings[id];
        lease = serving.lease;
        listing = _listings[lease.offer()];
    }
}
