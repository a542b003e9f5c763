// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Order,
    Refusal,
    Settlement,
    Status
} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A5: a signature is good for one market, one chain, one order or one serving, once.
contract ReplayAttack is AttackTest {
    IComputeMarket private other;

    function setUp() public override {
        super.setUp();
        other = deployMarket(address(dollar));
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- orders

    /// @notice A5: an order is worthless on a second market of the same chain and token, where both sides have money and the same offer id.
    function testA05OrderOnAnotherMarket() external {
        Fill memory fill = aFill(anOrder());
        moveTo(other);

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice A5: an order is worthless on 20 other chain ids, and good again on its own.
    function testA05OrderOnOtherChains() external {
        Fill memory fill = aFill(anOrder());
        uint256 here = block.chainid;
        for (uint256 i = 1; i <= 20; ++i) {
            vm.chainId(i == 1 ? 1 : i * 1_337);
            assertRefused(fill, Refusal.BadSignature);
        }
        vm.chainId(here);

        open(fill);
        assertStatus(fill.order, Status.Open, "good on its own chain");
    }

    /// @notice A5: a lease that was opened before a fork is no lease on the side with the new chain id: its order has another id there.
    function testA05LeaseAfterAForkOfTheChain() external {
        Order memory order = serve(anOrder(1));
        vm.chainId(99);

        assertStatus(order, Status.None, "no such lease");
        vm.assertFalse(attempt(client, abi.encodeCall(market.terminate, (order))), "nothing to terminate");
        assertRefused(aFillSignedElsewhere(order), Refusal.BadSignature);
    }

    /// @notice A5: a signature is not spent by a refused fill: the same order opens later.
    function testA05ARefusedFillSpendsNothing() external {
        Fill memory fill = aFill(anOrder());
        vm.prank(provider);
        market.reprice(offer, PRICE + 1, uint40(NOW + 1 days));
        assertRefused(fill, Refusal.PriceOutOfBounds);
        vm.prank(provider);
        market.reprice(offer, PRICE, uint40(NOW + 1 days));

        open(fill);
        assertStatus(fill.order, Status.Open, "open");
    }

    /// @notice A5: one order twice in a batch opens once.
    function testA05OrderTwiceInABatch() external {
        Fill[] memory fills = new Fill[](3);
        for (uint256 i = 0; i < 3; ++i) {
            fills[i] = aFill(anOrder());
        }
        Book memory before = book();
        vm.prank(opener);
        market.open(fills, ROUND);

        vm.assertEq(before.client - book().client, total(anOrder()) + TIP, "locked once");
        vm.assertEq(book().opener - before.opener, TIP, "tipped once");
    }

    /// @notice A5: one order on two offers opens on one of them.
    function testA05OrderOnTwoOffers() external {
        uint40 second = list(provider);
        Fill memory fill = aFill(anOrder());
        open(fill);
        fill.offer = second;

        assertRefused(fill, Refusal.OrderLive);
        vm.assertEq(market.offerOf(second).free, GPUS, "the second offer is free");
    }

    /// @notice A5, P-24: a declined order opens again, but pays no second tip, and its opener cannot earn one by opening and declining.
    function testA05ReopeningPaysNoSecondTip() external {
        Fill memory fill = aFill(anOrder());
        open(fill);
        for (uint256 i = 0; i < 10; ++i) {
            decline(fill.order);
            skip(1);
            open(fill);
        }

        vm.assertEq(market.balanceOf(opener), TIP, "one tip");
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - total(fill.order) - TIP, "one lock and one tip");
    }

    /// @notice A5, P-24: an order that was declined after a second had been paid is closed: failing cannot be farmed.
    function testA05PaidDeclineIsForGood() external {
        Order memory order = serve(aFreeOrder(1));
        skip(1);
        pay(order, 1);
        decline(order);
        skip(1);

        assertStatus(order, Status.Closed, "closed");
        assertRefusedFrom(client, aFill(order), Refusal.OrderClosed);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- receipts

    /// @notice A5: a closing receipt settles once.
    function testA05ClosingReceiptTwice() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        Settlement memory settlement = aSettlement(order, 600, true);
        settle(settlement);

        assertSettlementRefused(settlement, Refusal.NotLive);
    }

    /// @notice A5: progress receipts are cumulative: in any order, and any number of times, they pay what the largest says.
    function testA05ProgressReceiptsInAnyOrder() external {
        Order memory order = serve(anOrder(1));
        skip(600);
        uint32[6] memory seconds_ = [uint32(100), 300, 200, 300, 100, 600];
        Book memory before = book();
        Settlement[] memory settlements = new Settlement[](6);
        for (uint256 i = 0; i < 6; ++i) {
            settlements[i] = aSettlement(order, seconds_[i], false);
        }
        market.settle(settlements);
        market.settle(settlements);

        vm.assertEq(book().provider - before.provider, earned(order, 600), "paid once");
    }

    /// @notice A5: a receipt of an earlier serving does not settle the next one, which the same provider serves.
    function testA05ReceiptOfAnEarlierServing() external {
        Order memory order = serve(aFreeOrder(1));
        skip(60);
        Settlement memory settlement = aSettlement(order, 60, true);
        decline(order);
        skip(1);
        serve(order);
        served.pop();

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
        assertExact();
    }

    /// @notice A5: a receipt for one lease does not settle its twin, which differs in the salt only.
    function testA05ReceiptOfATwinLease() external {
        Order memory order = serve(anOrder(1));
        Order memory twin = serve(anOrder(2));
        skip(60);
        Settlement memory settlement = aSettlement(order, 60, true);
        settlement.order = twin;

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice A5: a receipt for one market does not settle on another with the same lease, offer id and second of opening.
    function testA05ReceiptOfAnotherMarket() external {
        Order memory order = serve(anOrder(1));
        Settlement memory settlement = aSettlement(order, 60, true);
        moveTo(other);
        openAs(client, aFill(order));
        assertStatus(order, Status.Open, "open there too");

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice A5: an order's signature is no receipt, and a receipt's no order.
    function testA05OrdersAndReceiptsAreNotConfused() external {
        Order memory order = serve(anOrder(1));
        Settlement memory settlement = aSettlement(order, 60, false);
        bytes memory receiptSignature = settlement.clientSignature;
        settlement.clientSignature = sign(CLIENT_KEY, market.orderId(order));
        assertSettlementRefused(settlement, Refusal.BadClientSignature);

        Fill memory fill = aFill(anOrder(2));
        fill.signature = receiptSignature;
        assertRefused(fill, Refusal.BadSignature);
    }

    // ------------------------------------------------------------------------------------------------------------------------ budgets and deposits

    /// @notice A5: a delegate of one market is nobody on another.
    function testA05DelegateOfAnotherMarket() external {
        authorize(client, delegate, type(uint128).max, type(uint40).max);
        moveTo(other);
        Fill memory fill = aFill(anOrder());
        fill.signature = sign(DELEGATE_KEY, market.orderId(fill.order));

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice A5: a permit deposits once; its second use by a stranger is refused, and by the owner needs an allowance.
    function testA05PermitTwice() external {
        dollar.mint(client, 200);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), 100);
        market.depositWithPermit(client, 100, type(uint256).max, v, r, s);
        vm.assertEq(dollar.balanceOf(client), 100, "once");

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, address(this), client));
        market.depositWithPermit(client, 100, type(uint256).max, v, r, s);
        vm.prank(client);
        vm.expectRevert();
        market.depositWithPermit(client, 100, type(uint256).max, v, r, s);
    }

    /// @notice A5: a permit for one market is worthless for another.
    function testA05PermitForAnotherMarket() external {
        dollar.mint(client, 100);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), 100);

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, address(this), client));
        other.depositWithPermit(client, 100, type(uint256).max, v, r, s);
    }

    /// @notice A5: an authorization deposits once.
    function testA05AuthorizationTwice() external {
        dollar.mint(client, 200);
        (uint8 v, bytes32 r, bytes32 s) = authorizationOf(address(market), 100, "nonce");
        uint256 before = market.balanceOf(client);
        market.depositWithAuthorization(client, 100, 0, type(uint256).max, "nonce", v, r, s);
        vm.expectRevert();
        market.depositWithAuthorization(client, 100, 0, type(uint256).max, "nonce", v, r, s);

        vm.assertEq(market.balanceOf(client), before + 100, "once");
    }

    /// @notice A5: an authorization to pay one market cannot be used by another.
    function testA05AuthorizationForAnotherMarket() external {
        dollar.mint(client, 100);
        (uint8 v, bytes32 r, bytes32 s) = authorizationOf(address(market), 100, "nonce");

        vm.expectRevert();
        other.depositWithAuthorization(client, 100, 0, type(uint256).max, "nonce", v, r, s);
        vm.assertEq(dollar.balanceOf(client), 100, "nothing was moved");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    /// Moves the test to another market, where both sides have money too, and the offer has the same id.
    function moveTo(IComputeMarket destination) private {
        market = destination;
        deposit(client, 1_000 * DOLLAR);
        deposit(provider, 1_000 * DOLLAR);
        uint40 before = offer;
        offer = list(provider);
        vm.assertEq(offer, before, "the same offer id");
    }

    /// The order as it was signed on this chain, wherever the test is now.
    function aFillSignedElsewhere(Order memory order) private returns (Fill memory fill) {
        uint256 there = block.chainid;
        vm.chainId(31337);
        fill = aFill(order);
        vm.chainId(there);
    }
}
