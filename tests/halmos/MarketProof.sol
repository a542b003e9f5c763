// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ComputeMarket} from "../../contracts/ComputeMarket.sol";
import {TestDollar} from "../../contracts/TestDollar.sol";
import {Fill, Lease, Order, Settlement, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {Test} from "../solidity/Test.sol";

/// @notice A market with one client, one provider and one offer, and an order that its client opens by itself: nobody needs to sign.
/// @dev The provider is the order's acceptor too, so that one caller is both sides of a receipt.
abstract contract MarketProof is Test {
    uint256 internal constant START_GRACE = 15 minutes;
    uint256 internal constant CLAIM_GRACE = 1 hours;
    uint256 internal constant CHALLENGE_WINDOW = 24 hours;
    uint256 internal constant RULING_WINDOW = 7 days;
    uint256 internal constant BOND_FLOOR = 500_000;
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant FUNDS = type(uint192).max;
    uint16 internal constant GPUS = 8;
    uint16 internal constant BOND_BPS = 2_000;
    uint32 internal constant MAX_SECONDS = 7_200;
    uint32 internal constant MIN_SECONDS = 60;
    uint80 internal constant PRICE = 3_600_000;

    address internal constant CLIENT = address(0xC11E27);
    address internal constant PROVIDER = address(0x980F1DE2);
    address internal constant ARBITER = address(0xA2B17E2);

    ComputeMarket internal market;
    TestDollar internal dollar;
    uint40 internal offer;

    function setUp() public virtual {
        vm.warp(NOW);
        dollar = new TestDollar();
        market =
            new ComputeMarket(address(dollar), START_GRACE, CLAIM_GRACE, CHALLENGE_WINDOW, RULING_WINDOW, BOND_FLOOR);
        fund(CLIENT, FUNDS);
        fund(PROVIDER, FUNDS);
        vm.prank(PROVIDER);
        offer = market.list(7, GPUS, BOND_BPS, 0, 0, uint40(NOW + 30 days), ARBITER, 0);
    }

    function fund(address account, uint256 amount) internal {
        dollar.mint(account, amount);
        vm.prank(account);
        dollar.approve(address(market), amount);
        vm.prank(account);
        market.deposit(account, amount);
    }

    function anOrder() internal pure returns (Order memory order) {
        order.client = CLIENT;
        order.classes = 1 << 7;
        order.gpus = 2;
        order.maxSeconds = MAX_SECONDS;
        order.minSeconds = MIN_SECONDS;
        order.maxPrice = type(uint80).max;
        order.expiresAt = uint40(NOW + 1 days);
        order.acceptor = PROVIDER;
        order.arbiter = ARBITER;
        order.salt = 1;
    }

    function open(Order memory order, uint80 price) internal {
        openAs(order.client, order, price, "");
    }

    function openAs(address caller, Order memory order, uint80 price, bytes memory signature) internal {
        Fill[] memory fills = new Fill[](1);
        fills[0] = Fill({order: order, offer: offer, price: price, signature: signature});
        vm.prank(caller);
        market.open(fills, 0);
    }

    function settle(Order memory order, uint32 usedSeconds, bool last) internal {
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = Settlement(order, usedSeconds, bytes32(0), last, "", "");
        vm.prank(PROVIDER);
        market.settle(settlements);
    }

    function finalize(Order memory order) internal {
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        market.finalize(orders);
    }

    function callAs(address caller, bytes memory message) internal returns (bool isDone) {
        vm.prank(caller);
        (isDone,) = address(market).call(message);
    }

    function leaseOf(Order memory order) internal view returns (Lease memory) {
        return market.leaseOf(market.orderId(order));
    }

    function isIn(Order memory order, Status status) internal view returns (bool) {
        return market.statusOf(order) == status;
    }
}
