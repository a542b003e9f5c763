// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Fill, IComputeMarket, Lease, Offer, Order, Receipt, Status} from "../interfaces/IComputeMarket.sol";
import {Metering} from "../libraries/Metering.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {ICreditor, IProviderSpv} from "./interfaces/IProviderSpv.sol";

/// @title Provider SPV
/// @dev What every verb promises stands in the interface. No guard against reentrancy: the only contracts that are called are the market, which has one, and
/// the creditor, statically; and whatever a verb writes, it writes before it calls.
/// Deliberately absent: `assign` and `authorize`, by which income and free money could leave; `deposit`, since anyone may deposit for it; and `cancel`,
/// `terminate` and `dispute`, as it is never a client. Tokens that are sent here, and not deposited in the market for it, belong to nobody.
contract ProviderSpv is IProviderSpv {
    struct Pledge {
        // One word: whose it is, which serving, and what of the order the floor is made of.
        address creditor;
        uint40 openedAt;
        uint40 startsAt;
        uint16 gpus;
        bytes32 lease;
    }

    uint256 private constant MOST_OFFERS = 8;
    // Of a blob: the receipt's six words; where the signature begins; how long it is; and 65 bytes in three words.
    uint256 private constant RECEIPT_BYTES = 6 * 32;
    uint256 private constant SIGNATURE_AT = 8 * 32;
    uint256 private constant SIGNATURE_BYTES = 65;
    uint256 private constant BLOB_BYTES = 11 * 32;

    // -------------------------------------------------------------------------------------------------------------------------------- immutables

    address private immutable _factory;
    IComputeMarket private immutable _market;
    uint256 public immutable SLACK;

    // ----------------------------------------------------------------------------------------------------------------------------------- storage

    address public operator;
    // In the operator's word, which every verb and signature reads: whether anything is pledged, of that order, and how many offers were ever listed.
    bool private _hasPledge;
    uint32 private _maxSeconds;
    uint32 private _minSeconds;
    uint8 private _offersListed;
    Pledge private _pledge;
    address public allowed;
    address public claimedDueBy;
    uint40[MOST_OFFERS] private _offers;

    // ------------------------------------------------------------------------------------------------------------------------------- constructor

    /// @notice The code of all companies of a factory, which is its caller; itself it is nobody's.
    /// @param computeMarket where they list, sign and claim
    /// @param slack how far behind the clock their floor is, in seconds
    constructor(address computeMarket, uint256 slack) {
        _factory = msg.sender;
        _market = IComputeMarket(computeMarket);
        SLACK = slack;
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- company

    function start(address firstOperator, address by) external {
        if (msg.sender != _factory) revert NotFactory(msg.sender, _factory);
        _setOperator(firstOperator, by);
    }

    function list(
        uint8 class,
        uint16 gpus,
        uint16 bondBps,
        uint80 price,
        uint16 minSeconds,
        uint40 expiresAt,
        address arbiter,
        bytes32 spec
    ) external returns (uint40 offer) {
        _requireOperator();
        _requireFree();
        uint8 listed = _offersListed;
        if (listed == MOST_OFFERS) revert TooManyOffers(MOST_OFFERS);

        _offersListed = listed + 1;
        // Written after the call, since the market says the id; it calls nobody.
        offer = _market.list(class, gpus, bondBps, price, minSeconds, expiresAt, arbiter, spec);
        _offers[listed] = offer;
    }

    function reprice(uint40 offer, uint80 price, uint40 expiresAt) external {
        _requireOperator();
        _requireFree();
        _market.reprice(offer, price, expiresAt);
    }

    function open(Fill[] calldata fills, bytes32 round) external {
        if (msg.sender != operator) _requireOwner();
        _requireFree();
        for (uint256 i = 0; i < fills.length; ++i) {
            if (fills[i].order.client == address(this)) revert IsNoClient();
        }
        _market.open(fills, round);
    }

    function claim(Order calldata order, uint32 usedSeconds, bytes32 result) external {
        _requireOperator();
        if (_isPledged(_market.orderId(order))) {
            uint32 least = _floorOrLess(usedSeconds);
            if (usedSeconds < least) revert BelowFloor(usedSeconds, least);
        }
        _market.claim(order, usedSeconds, result);
    }

    function claimDue(Order calldata order) external {
        bytes32 id = _market.orderId(order);
        if (!_isPledged(id)) revert NotPledged(id, _pledge.lease);
        uint256 from = _startOfMetering() + _maxSeconds;
        if (block.timestamp < from) revert MeteringNotOver(block.timestamp, from);

        claimedDueBy = msg.sender;

        emit ClaimedDue(id, msg.sender);
        _market.claim({order: order, usedSeconds: order.maxSeconds, result: bytes32(0)});
    }

    function decline(Order calldata order) external {
        _requireOperator();
        if (_isPledged(_market.orderId(order))) revert IsPledged(_pledge.creditor);
        _market.decline(order);
    }

    function withdraw(uint256 amount) external {
        _requireOwner();
        _requireFree();
        _market.withdraw(owner(), amount);
    }

    function setOperator(address key) external {
        _requireOwner();
        _setOperator(key, msg.sender);
    }

    function allow(address vault) external {
        _requireOwner();

        allowed = vault;

        emit VaultAllowed(vault);
    }

    function isValidSignature(bytes32 digest, bytes calldata blob) external view returns (bytes4) {
        return _isValid(digest, blob) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- pledge

    function pledge(bytes32 lease, uint40 openedAt, Order calldata order) external {
        _requireFree();
        if (msg.sender != allowed) revert NotAllowed(msg.sender, allowed);
        Lease memory served = _market.leaseOf(lease);
        if (
            _market.orderId(order) != lease || served.status != Status.Open || served.openedAt != openedAt
                || _market.offerOf(served.offer).provider != address(this)
        ) revert NotServed(lease, openedAt);

        _pledge = Pledge(msg.sender, openedAt, order.startsAt, order.gpus, lease);
        (_hasPledge, _maxSeconds, _minSeconds) = (true, order.maxSeconds, order.minSeconds);

        emit Pledged(msg.sender, lease, openedAt);
        _expireOffers();
    }

    function pay(uint256 amount) external {
        _requireCreditor();
        emit Paid(msg.sender, amount);
        _market.withdraw(msg.sender, amount);
    }

    function release() external {
        _requireCreditor();
        bytes32 lease = _pledge.lease;

        delete _pledge;
        _hasPledge = false;
        claimedDueBy = address(0);

        emit Released(msg.sender, lease);
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- views

    function owner() public view returns (address) {
        return address(bytes20(Clones.fetchCloneArgs(address(this))));
    }

    function creditor() external view returns (address) {
        return _pledge.creditor;
    }

    function pledged() external view returns (bytes32 lease, uint40 openedAt) {
        return (_pledge.lease, _pledge.openedAt);
    }

    function floorOf(Order calldata order) external view returns (uint32) {
        return _isPledged(_market.orderId(order)) ? _floorOrLess(0) : 0;
    }

    function market() external view returns (address) {
        return address(_market);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- guards

    function _requireOwner() private view {
        if (msg.sender != owner()) revert NotOwner(msg.sender, owner());
    }

    function _requireOperator() private view {
        if (msg.sender != operator) revert NotOperator(msg.sender, operator);
    }

    // No need to look for 0: nobody calls from there.
    function _requireCreditor() private view {
        if (msg.sender != _pledge.creditor) revert NotCreditor(msg.sender, _pledge.creditor);
    }

    function _requireFree() private view {
        if (_hasPledge) revert IsPledged(_pledge.creditor);
    }

    function _isPledged(bytes32 lease) private view returns (bool) {
        return _hasPledge && lease == _pledge.lease;
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- signing

    /// S-2. An order's digest, or a stranger's message, is the digest of no receipt: nothing else can be signed.
    function _isValid(bytes32 digest, bytes calldata blob) private view returns (bool) {
        if (blob.length != BLOB_BYTES) return false;
        // One form only: what a relayer could change without a difference would be two blobs for one receipt.
        if (uint256(bytes32(blob[RECEIPT_BYTES:])) != RECEIPT_BYTES + 32) return false;
        if (uint256(bytes32(blob[RECEIPT_BYTES + 32:])) != SIGNATURE_BYTES) return false;
        if (bytes31(blob[SIGNATURE_AT + SIGNATURE_BYTES:]) != 0) return false;
        address signer = Signatures.signerOf(digest, blob[SIGNATURE_AT:SIGNATURE_AT + SIGNATURE_BYTES]);
        if (signer == address(0) || signer != operator) return false;
        Receipt memory receipt = abi.decode(blob[:RECEIPT_BYTES], (Receipt));
        if (_market.receiptId(receipt) != digest) return false;
        // A progress receipt can only pay. No need to look at openedAt: a pledged lease is never served anew, since it is not declined.
        if (!receipt.last || !_isPledged(receipt.lease)) return true;
        return receipt.usedSeconds >= _floorOrLess(receipt.usedSeconds);
    }

    /// S-3: the fewest seconds of the pledged lease that may be signed or claimed; or the clock's floor, where `enough` reaches that, and the creditor need
    /// not be asked. Not the vault's mark, which a dispute takes to 0: then both could sign 0.
    function _floorOrLess(uint32 enough) private view returns (uint32) {
        Lease memory lease = _market.leaseOf(_pledge.lease);
        bool isMetered = lease.status == Status.Claimed || lease.status == Status.Disputed;
        uint256 elapsed = isMetered ? lease.claimedSeconds : _elapsed();
        // Fits: neither elapsed nor minSeconds exceeds maxSeconds.
        uint32 clock = uint32(Math.max(Math.saturatingSub(elapsed, SLACK), _minSeconds));
        return enough >= clock ? clock : uint32(Math.min(clock, _wholeFrom(lease)));
    }

    /// The fewest seconds for which (1 - opex) * (E(s) - E(p) + balance) + reserve >= owed. Divisions are rounded up: one second less is too few.
    function _wholeFrom(Lease memory lease) private view returns (uint256) {
        (uint256 owed, uint256 reserve, uint16 opexBps) =
            ICreditor(_pledge.creditor).debtOn(_pledge.lease, _pledge.openedAt);
        if (owed <= reserve) return 0;
        uint256 rate = uint256(lease.price) * _pledge.gpus;
        if (rate == 0 || opexBps >= Metering.ALL_BPS) return type(uint256).max;

        uint256 needed = Math.ceilDiv((owed - reserve) * Metering.ALL_BPS, Metering.ALL_BPS - opexBps);
        uint256 balance = _market.balanceOf(address(this));
        if (needed <= balance) return 0;
        uint256 earned = Metering.earnedRoundedDown(lease.price, _pledge.gpus, lease.paidSeconds);
        return Math.ceilDiv((earned + needed - balance) * Metering.SECONDS_PER_HOUR, rate);
    }

    function _elapsed() private view returns (uint256) {
        return Math.min(Math.saturatingSub(block.timestamp, _startOfMetering()), _maxSeconds);
    }

    function _startOfMetering() private view returns (uint256) {
        return Math.max(_pledge.openedAt, _pledge.startsAt);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- effects

    function _setOperator(address key, address by) private {
        operator = key;

        emit OperatorSet(key, by);
    }

    // S-1: whoever opened an order on a live offer would lock what is pledged, as a bond.
    function _expireOffers() private {
        uint256 listed = _offersListed;
        for (uint256 i = 0; i < listed; ++i) {
            Offer memory offer = _market.offerOf(_offers[i]);
            if (offer.expiresAt > block.timestamp) _market.reprice(_offers[i], offer.price, uint40(block.timestamp));
        }
    }
}
