// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

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
} from "../../contracts/interfaces/IComputeMarket.sol";
import {Test} from "./Test.sol";

/// @notice The token of local chains.
interface ITestDollar is IERC20 {
    function mint(address account, uint256 amount) external;
}

/// @notice A market with a client, a provider, an opener, an acceptor and an arbiter, an offer of 8 GPUs, and the steps of a lease's life.
abstract contract MarketTest is Test {
    uint256 internal constant DOLLAR = 1e6;
    uint256 internal constant START_GRACE = 15 minutes;
    uint256 internal constant CLAIM_GRACE = 1 hours;
    uint256 internal constant CHALLENGE_WINDOW = 24 hours;
    uint256 internal constant RULING_WINDOW = 7 days;
    uint256 internal constant BOND_FLOOR = DOLLAR / 2;
    uint256 internal constant NOW = 1_800_000_000;

    uint8 internal constant CLASS = 7;
    uint16 internal constant GPUS = 8;
    uint16 internal constant BOND_BPS = 2_000;
    // Not a multiple of 3600, so that rounding shows.
    uint80 internal constant PRICE = 2_345_679;
    uint32 internal constant MAX_SECONDS = 3_001;
    uint32 internal constant MIN_SECONDS = 60;
    uint96 internal constant TIP = 12_345;
    bytes32 internal constant ROUND = keccak256("round");
    bytes32 internal constant RESULT = keccak256("result");

    uint256 internal constant CLIENT_KEY = 0xC11E27;
    uint256 internal constant PROVIDER_KEY = 0x9807;
    uint256 internal constant ACCEPTOR_KEY = 0xACCE;
    uint256 internal constant STRANGER_KEY = 0x57A6;
    address internal client = vm.addr(CLIENT_KEY);
    address internal provider = vm.addr(PROVIDER_KEY);
    address internal acceptor = vm.addr(ACCEPTOR_KEY);
    address internal stranger = vm.addr(STRANGER_KEY);
    address internal opener = vm.addr(0x09E2);
    address internal arbiter = vm.addr(0xA2B1);

    ITestDollar internal dollar;
    IComputeMarket internal market;
    uint40 internal offer;

    function setUp() public virtual {
        vm.warp(NOW);
        dollar = ITestDollar(vm.deployCode("TestDollar.sol:TestDollar"));
        market = deployMarket(address(dollar));
        deposit(client, 1_000 * DOLLAR);
        deposit(provider, 1_000 * DOLLAR);
        offer = list(provider);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function deployMarket(address token) internal returns (IComputeMarket) {
        bytes memory arguments =
            abi.encode(token, START_GRACE, CLAIM_GRACE, CHALLENGE_WINDOW, RULING_WINDOW, BOND_FLOOR);
        return IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", arguments));
    }

    function list(address who) internal returns (uint40) {
        vm.prank(who);
        return market.list({
            class: CLASS,
            gpus: GPUS,
            bondBps: BOND_BPS,
            price: PRICE,
            minSeconds: uint16(MIN_SECONDS),
            expiresAt: uint40(NOW + 30 days),
            arbiter: arbiter,
            spec: keccak256("machine")
        });
    }

    function anOrder() internal view returns (Order memory) {
        return Order({
            client: client,
            classes: 1 << CLASS,
            offer: 0,
            gpus: 3,
            maxSeconds: MAX_SECONDS,
            minSeconds: MIN_SECONDS,
            maxPrice: PRICE,
            minBondBps: BOND_BPS,
            startsAt: 0,
            expiresAt: uint40(NOW + 1 days),
            tip: TIP,
            opener: opener,
            acceptor: acceptor,
            arbiter: arbiter,
            spec: keccak256("spec"),
            salt: 1
        });
    }

    function aFill(Order memory order) internal view returns (Fill memory) {
        return Fill({order: order, offer: offer, price: PRICE, signature: sign(CLIENT_KEY, market.orderId(order))});
    }

    function aFillAt(Order memory order, uint80 price) internal view returns (Fill memory fill) {
        fill = aFill(order);
        fill.price = price;
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function receiptOf(Order memory order, uint32 usedSeconds, bool last) internal view returns (Receipt memory) {
        bytes32 id = market.orderId(order);
        Lease memory lease = market.leaseOf(id);
        return Receipt({
            lease: id,
            offer: lease.offer,
            openedAt: lease.openedAt,
            usedSeconds: usedSeconds,
            result: RESULT,
            last: last
        });
    }

    function aSettlement(Order memory order, uint32 usedSeconds, bool last) internal view returns (Settlement memory) {
        bytes32 digest = market.receiptId(receiptOf(order, usedSeconds, last));
        return Settlement({
            order: order,
            usedSeconds: usedSeconds,
            result: RESULT,
            last: last,
            clientSignature: sign(CLIENT_KEY, digest),
            providerSignature: last ? sign(PROVIDER_KEY, digest) : bytes("")
        });
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function deposit(address account, uint256 amount) internal {
        dollar.mint(account, amount);
        vm.startPrank(account);
        dollar.approve(address(market), amount);
        market.deposit(account, amount);
        vm.stopPrank();
    }

    function open(Fill memory fill) internal {
        openAs(opener, fill);
    }

    function openAs(address sender, Fill memory fill) internal {
        Fill[] memory fills = new Fill[](1);
        fills[0] = fill;
        vm.prank(sender);
        market.open(fills, ROUND);
    }

    function open(Order memory order) internal returns (bytes32 id) {
        open(aFill(order));
        id = market.orderId(order);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "the order opens");
    }

    function settle(Settlement memory settlement) internal {
        settleAs(stranger, settlement);
    }

    function settleAs(address sender, Settlement memory settlement) internal {
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = settlement;
        vm.prank(sender);
        market.settle(settlements);
    }

    /// @notice Pays up to `usedSeconds` with a progress receipt.
    function pay(Order memory order, uint32 usedSeconds) internal {
        settle(aSettlement(order, usedSeconds, false));
        vm.assertEq(leaseOf(order).paidSeconds, usedSeconds, "the progress receipt is paid");
    }

    function claim(Order memory order, uint32 usedSeconds) internal {
        vm.prank(provider);
        market.claim(order, usedSeconds, RESULT);
    }

    function finalize(Order memory order) internal {
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        vm.prank(stranger);
        market.finalize(orders);
    }

    function skip(uint256 time) internal {
        vm.warp(timestamp() + time);
    }

    /// @notice Sets a bit of the first item of an encoded batch, in the given word of it; the order's 16 words are the first.
    function makeDirty(bytes memory payload, uint256 word, uint256 bit) internal pure {
        // Selector, offset of the batch, its length, offset of the item.
        uint256 position = 4 + 3 * 32 + (word + 1) * 32;
        assembly {
            mstore(add(payload, position), or(mload(add(payload, position)), shl(bit, 1)))
        }
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- reading

    function leaseOf(Order memory order) internal view returns (Lease memory) {
        return market.leaseOf(market.orderId(order));
    }

    function earned(Order memory order, uint256 usedSeconds) internal pure returns (uint256) {
        return uint256(PRICE) * order.gpus * usedSeconds / 3600;
    }

    function total(Order memory order) internal pure returns (uint256) {
        uint256 exact = uint256(PRICE) * order.gpus * order.maxSeconds;
        return exact % 3600 == 0 ? exact / 3600 : exact / 3600 + 1;
    }

    function bond(Order memory order) internal pure returns (uint256) {
        uint256 share = total(order) * BOND_BPS / 10_000;
        return share < BOND_FLOOR ? BOND_FLOOR : share;
    }

    // --------------------------------------------------------------------------------------------------------------------------------- asserting

    /// @notice The balances and free GPUs that tests compare before and after.
    struct Book {
        uint256 client;
        uint256 provider;
        uint256 opener;
        uint16 free;
        uint128 volumePaid;
        uint128 volumeGpuSeconds;
    }

    function book() internal view returns (Book memory now_) {
        now_.client = market.balanceOf(client);
        now_.provider = market.balanceOf(provider);
        now_.opener = market.balanceOf(opener);
        now_.free = market.offerOf(offer).free;
        (now_.volumePaid, now_.volumeGpuSeconds) = market.volumeOf(CLASS);
    }

    /// @notice What an exit gave to each, and that it closed the lease, freed the GPUs once, and counted what it paid for.
    function assertExit(
        Book memory before,
        Order memory order,
        uint256 toClient,
        uint256 toProvider,
        uint256 paid,
        uint256 paidSeconds
    ) internal view {
        Book memory later = book();
        vm.assertEq(later.client - before.client, toClient, "what the client gets");
        vm.assertEq(later.provider - before.provider, toProvider, "what the provider gets");
        vm.assertEq(later.opener, before.opener, "the opener gets nothing");
        vm.assertEq(later.free, GPUS, "all GPUs are free");
        vm.assertEq(later.volumePaid - before.volumePaid, paid, "volume paid");
        vm.assertEq(later.volumeGpuSeconds - before.volumeGpuSeconds, paidSeconds * order.gpus, "volume of GPU-seconds");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    function assertRefused(Fill memory fill, Refusal reason) internal {
        assertRefusedFrom(opener, fill, reason);
    }

    /// @notice The fill is refused for this reason, and nothing in the market is written (I-9).
    function assertRefusedFrom(address sender, Fill memory fill, Refusal reason) internal {
        bytes32 id = market.orderId(fill.order);
        vm.expectEmit(address(market));
        emit IComputeMarket.FillRefused(id, fill.offer, sender, reason);
        vm.expectEmit(address(market));
        emit IComputeMarket.BatchOpened(ROUND, sender, 0);
        vm.record();
        openAs(sender, fill);
        assertNothingWritten();
    }

    function assertSettlementRefused(Settlement memory settlement, Refusal reason) internal {
        assertSettlementRefusedFrom(stranger, settlement, reason);
    }

    function assertSettlementRefusedFrom(address sender, Settlement memory settlement, Refusal reason) internal {
        bytes32 id = market.orderId(settlement.order);
        vm.expectEmit(address(market));
        emit IComputeMarket.SettlementRefused(id, sender, reason);
        vm.record();
        settleAs(sender, settlement);
        assertNothingWritten();
    }

    function assertFinalizeRefused(Order memory order, Refusal reason) internal {
        bytes32 id = market.orderId(order);
        vm.expectEmit(address(market));
        emit IComputeMarket.SettlementRefused(id, stranger, reason);
        vm.record();
        finalize(order);
        assertNothingWritten();
    }

    function assertNothingWritten() internal {
        (, bytes32[] memory writes) = vm.accesses(address(market));
        vm.assertEq(writes.length, 0, "a refused item changes nothing");
    }
}
