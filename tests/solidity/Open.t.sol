// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, IComputeMarket, Lease, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Opening leases: what a fill that holds does, and every reason for which one does not (P-20).
contract OpenTest is MarketTest {
    // ---------------------------------------------------------------------------------------------------------------------------- what it does

    /// @notice P-20: opening locks the client's T and the provider's B, tips the opener, and takes the GPUs.
    function testOpenLocksMoneyAndGpus() external {
        Order memory order = anOrder();
        Book memory before = book();

        open(order);

        Book memory later = book();
        vm.assertEq(before.client - later.client, total(order) + TIP, "the client's lock and tip");
        vm.assertEq(before.provider - later.provider, bond(order), "the provider's bond");
        vm.assertEq(later.opener - before.opener, TIP, "the tip");
        vm.assertEq(before.free - later.free, order.gpus, "the GPUs");
        vm.assertEq(later.volumePaid, before.volumePaid, "nothing is paid yet");
    }

    /// @notice I-12: the lease says all that the order does not, and the event carries the order.
    function testOpenStoresAndLogsTheLease() external {
        Order memory order = anOrder();
        bytes32 id = market.orderId(order);

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseOpened(id, offer, client, opener, PRICE, order);
        vm.expectEmit(address(market));
        emit IComputeMarket.BatchOpened(ROUND, opener, 1);
        open(aFill(order));

        assertLease(
            order,
            Lease({
                status: Status.Open,
                tipPaid: true,
                noReopen: false,
                assigned: false,
                byAcceptor: false,
                charged: false,
                offer: offer,
                price: PRICE,
                openedAt: uint32(NOW),
                paidSeconds: 0,
                claimedSeconds: 0,
                changedAt: 0
            })
        );
        vm.assertEq(market.payeeOf(id), provider, "the provider is the payee");
    }

    /// @notice I-4: the lease is opened at the fill's price, anywhere between the offer's and the client's.
    function testOpenAtAnyPriceBetweenAskAndLimit(uint80 price) external {
        price = uint80(bound(price, PRICE, 2 * PRICE));
        Order memory order = anOrder();
        order.maxPrice = 2 * PRICE;
        Fill memory fill = aFill(order);
        fill.price = price;

        open(fill);

        vm.assertEq(leaseOf(order).price, price, "the fill's price");
    }

    /// @notice P-20: with opener 0 anybody may open; with a pinned offer that one serves.
    function testAnybodyOpensAnOrderWithoutOpener() external {
        Order memory order = anOrder();
        order.opener = address(0);
        order.tip = 0;
        order.offer = offer;

        openAs(stranger, aFill(order));

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "open");
    }

    /// @notice P-20: the client opens its own order, whoever its opener is, and its signature is not looked at.
    function testClientOpensItsOwnOrderWithoutSignature() external {
        Order memory order = anOrder();
        Fill memory fill = aFill(order);
        fill.signature = "";
        uint256 before = market.balanceOf(client);

        openAs(client, fill);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "open");
        vm.assertEq(before - market.balanceOf(client), total(order), "the tip went to itself");
    }

    /// @notice P-20: an order is accepted by any offer of a class whose bit it sets, the lowest and the highest too.
    function testEveryClassHasItsBit(uint8 class) external {
        vm.prank(provider);
        offer = market.list(class, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 1 days), arbiter, 0);
        Order memory order = anOrder();
        order.classes = 1 << class;
        open(order);
        order.salt = 2;
        order.classes = ~(uint256(1) << class);

        assertRefused(aFill(order), Refusal.ClassNotAccepted);
    }

    /// @notice I-9: in a batch, each fill holds or not for itself, wherever it stands.
    function testOneBadFillStopsNoOther(uint8 position) external {
        uint256 bad = bound(position, 0, 4);
        Fill[] memory fills = new Fill[](5);
        for (uint256 i = 0; i < 5; ++i) {
            Order memory order = anOrder();
            order.gpus = 1;
            order.salt = i;
            fills[i] = aFill(order);
        }
        fills[bad].price = PRICE + 1;

        vm.expectEmit(address(market));
        emit IComputeMarket.BatchOpened(ROUND, opener, 4);
        vm.prank(opener);
        market.open(fills, ROUND);

        for (uint256 i = 0; i < 5; ++i) {
            Status expected = i == bad ? Status.None : Status.Open;
            vm.assertEq(uint8(market.statusOf(fills[i].order)), uint8(expected), "each for itself");
        }
        vm.assertEq(market.offerOf(offer).free, GPUS - 4, "four GPUs are taken");
    }

    /// @notice I-9: fills of one batch share balances and GPUs in their order.
    function testFillsOfABatchShareWhatThereIs() external {
        Fill[] memory fills = new Fill[](3);
        for (uint256 i = 0; i < 3; ++i) {
            Order memory order = anOrder();
            order.salt = i;
            fills[i] = aFill(order);
        }

        vm.expectEmit(address(market));
        emit IComputeMarket.FillRefused(market.orderId(fills[2].order), offer, opener, Refusal.NotEnoughGpus);
        vm.prank(opener);
        market.open(fills, ROUND);

        vm.assertEq(market.offerOf(offer).free, GPUS - 6, "two fit");
    }

    /// @notice I-5: the same order twice in one batch is opened once.
    function testTheSameOrderTwiceInABatchOpensOnce() external {
        Fill[] memory fills = new Fill[](2);
        fills[0] = aFill(anOrder());
        fills[1] = fills[0];

        vm.expectEmit(address(market));
        emit IComputeMarket.FillRefused(market.orderId(anOrder()), offer, opener, Refusal.OrderLive);
        vm.prank(opener);
        market.open(fills, ROUND);

        vm.assertEq(market.offerOf(offer).free, GPUS - 3, "taken once");
    }

    /// @notice An empty batch opens nothing, and says so.
    function testAnEmptyBatchIsABatch() external {
        vm.expectEmit(address(market));
        emit IComputeMarket.BatchOpened(ROUND, stranger, 0);
        vm.prank(stranger);
        market.open(new Fill[](0), ROUND);
    }

    // -------------------------------------------------------------------------------------------------------------------------- refusals, 1 to 20

    /// @notice P-20 (1): a fill that the client did not sign is refused.
    function testRefusesAStrangersSignature() external {
        Fill memory fill = aFill(anOrder());
        fill.signature = sign(STRANGER_KEY, market.orderId(fill.order));

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice P-20 (1): the acceptor acts for the client's side, but does not sign its orders.
    function testRefusesTheAcceptorsSignature() external {
        Fill memory fill = aFill(anOrder());
        fill.signature = sign(ACCEPTOR_KEY, market.orderId(fill.order));

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice P-20 (1): nobody but the client opens without its signature: no opener, acceptor or provider, of whichever it is.
    function testRefusesAnybodyElseWithoutSignature() external {
        address[4] memory senders = [opener, acceptor, provider, stranger];
        for (uint256 i = 0; i < 4; ++i) {
            Order memory order = anOrder();
            order.opener = senders[i];
            Fill memory fill = aFill(order);
            fill.signature = "";

            assertRefusedFrom(senders[i], fill, Refusal.BadSignature);
        }
    }

    /// @notice P-20 (3): a live order cannot be opened again.
    function testRefusesALiveOrder() external {
        Order memory order = anOrder();
        open(order);
        skip(MIN_SECONDS);
        assertRefused(aFill(order), Refusal.OrderLive);

        claim(order, 0);
        assertRefused(aFill(order), Refusal.OrderLive);
    }

    /// @notice P-20 (4): a closed order can never be opened again.
    function testRefusesAClosedOrder() external {
        Order memory order = anOrder();
        open(order);
        skip(1);
        vm.prank(client);
        market.terminate(order);

        assertRefused(aFill(order), Refusal.OrderClosed);
    }

    /// @notice P-20 (4): a cancelled order can never be opened.
    function testRefusesACancelledOrder() external {
        Order memory order = anOrder();
        vm.prank(client);
        market.cancel(order);

        assertRefused(aFill(order), Refusal.OrderClosed);
    }

    /// @notice P-20 (5): an order may be opened until the second before it expires.
    function testRefusesAnOrderFromItsExpiryOn() external {
        Order memory order = anOrder();
        order.expiresAt = uint40(NOW + 10);
        vm.warp(NOW + 10);
        assertRefused(aFill(order), Refusal.OrderExpired);
        vm.warp(NOW + 11);
        assertRefused(aFill(order), Refusal.OrderExpired);

        vm.warp(NOW + 9);
        open(order);
    }

    /// @notice P-20 (5): an order that expires at 0 is simply expired.
    function testRefusesAnOrderThatExpiresAtZero() external {
        Order memory order = anOrder();
        order.expiresAt = 0;

        assertRefused(aFill(order), Refusal.OrderExpired);
    }

    /// @notice P-20 (6): nobody but the opener and the client opens an order that names an opener.
    function testRefusesAnotherOpener() external {
        assertRefusedFrom(stranger, aFill(anOrder()), Refusal.OpenerNotAllowed);
        assertRefusedFrom(provider, aFill(anOrder()), Refusal.OpenerNotAllowed);
        assertRefusedFrom(acceptor, aFill(anOrder()), Refusal.OpenerNotAllowed);

        Order memory pinned = anOrder();
        pinned.offer = offer;
        assertRefusedFrom(provider, aFill(pinned), Refusal.OpenerNotAllowed);
    }

    /// @notice P-20 (7): a tip needs an opener, even when the client opens itself.
    function testRefusesATipWithoutOpener() external {
        Order memory order = anOrder();
        order.opener = address(0);
        order.tip = 1;

        assertRefused(aFill(order), Refusal.TipWithoutOpener);
        assertRefusedFrom(client, aFill(order), Refusal.TipWithoutOpener);
    }

    /// @notice P-20 (8): an order is for at least one GPU and one second.
    function testRefusesEmptyAmounts() external {
        Order memory order = anOrder();
        order.gpus = 0;
        assertRefused(aFill(order), Refusal.BadAmounts);

        order = anOrder();
        order.maxSeconds = 0;
        order.minSeconds = 0;
        assertRefused(aFill(order), Refusal.BadAmounts);
    }

    /// @notice P-20 (8): nobody guarantees more seconds than it pays for at most.
    function testRefusesToGuaranteeMoreThanTheMost() external {
        Order memory order = anOrder();
        order.minSeconds = order.maxSeconds + 1;
        assertRefused(aFill(order), Refusal.BadAmounts);

        order.minSeconds = order.maxSeconds;
        open(order);
    }

    /// @notice P-10: the longest lease of all opens, and expires at a deadline that its word could not hold.
    function testTheLongestLeaseOpensAndExpires() external {
        Order memory order = anOrder();
        order.maxSeconds = type(uint32).max;
        order.gpus = 1;
        deposit(client, 10_000_000 * DOLLAR);
        deposit(provider, 10_000_000 * DOLLAR);
        open(order);

        vm.warp(NOW + type(uint32).max + CLAIM_GRACE);
        market.expire(order);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    /// @notice P-20 (8): no lease opens at a time that its word cannot hold.
    function testRefusesToOpenAfter32BitsOfTime() external {
        Order memory order = anOrder();
        order.expiresAt = type(uint40).max;
        vm.prank(provider);
        market.reprice(offer, PRICE, type(uint40).max);
        vm.warp(uint256(type(uint32).max) + 1);
        assertRefused(aFill(order), Refusal.BadAmounts);

        vm.warp(type(uint32).max);
        open(order);
    }

    /// @notice P-20 (8): the longest order is refused, not reverted, at any price and size.
    function testRefusesTheLargestOrder() external {
        Order memory order = anOrder();
        order.gpus = type(uint16).max;
        order.maxSeconds = type(uint32).max;
        order.minSeconds = type(uint32).max;
        order.maxPrice = type(uint80).max;
        order.minBondBps = type(uint16).max;
        order.tip = type(uint96).max;
        order.expiresAt = type(uint40).max;
        Fill memory fill = aFill(order);
        fill.price = type(uint80).max;

        assertRefused(fill, Refusal.NotEnoughGpus);
    }

    /// @notice P-20 (9): an offer of a class that the order does not name is refused.
    function testRefusesAnotherClass() external {
        Order memory order = anOrder();
        order.classes = ~(uint256(1) << CLASS);
        assertRefused(aFill(order), Refusal.ClassNotAccepted);

        order.classes = 0;
        assertRefused(aFill(order), Refusal.ClassNotAccepted);
    }

    /// @notice P-20 (10): an order pinned to an offer is served by no other.
    function testRefusesAnotherOfferThanThePinned() external {
        Order memory order = anOrder();
        order.offer = offer + 1;
        list(provider);

        assertRefused(aFill(order), Refusal.WrongOffer);
    }

    /// @notice P-20 (11): an offer that was never listed serves nobody.
    function testRefusesAnUnknownOffer() external {
        Fill memory fill = aFill(anOrder());
        fill.offer = offer + 1;
        assertRefused(fill, Refusal.OfferNotAlive);

        fill.offer = 0;
        assertRefused(fill, Refusal.OfferNotAlive);
    }

    /// @notice P-20 (11): an offer serves until the second before it expires.
    function testRefusesAnOfferFromItsExpiryOn() external {
        vm.prank(provider);
        market.reprice(offer, PRICE, uint40(NOW + 10));
        vm.warp(NOW + 10);
        assertRefused(aFill(anOrder()), Refusal.OfferNotAlive);
        vm.warp(NOW + 11);
        assertRefused(aFill(anOrder()), Refusal.OfferNotAlive);

        vm.warp(NOW + 9);
        open(anOrder());
    }

    /// @notice P-20 (12): order and offer name the same arbiter; 0 is none.
    function testRefusesAnotherArbiter() external {
        Order memory order = anOrder();
        order.arbiter = stranger;
        assertRefused(aFill(order), Refusal.WrongArbiter);

        order.arbiter = address(0);
        assertRefused(aFill(order), Refusal.WrongArbiter);

        order.arbiter = provider;
        assertRefused(aFill(order), Refusal.WrongArbiter);
    }

    /// @notice P-20 (13): a gang gets all its GPUs on one offer, or none.
    function testRefusesMoreGpusThanAreFree() external {
        Order memory order = anOrder();
        order.gpus = GPUS + 1;
        assertRefused(aFill(order), Refusal.NotEnoughGpus);

        order.gpus = GPUS;
        open(order);
        order.salt = 2;
        order.gpus = 1;
        assertRefused(aFill(order), Refusal.NotEnoughGpus);
    }

    /// @notice P-20 (14): a price above the client's limit or below the provider's ask is refused.
    function testRefusesAPriceOutOfBounds() external {
        Order memory order = anOrder();
        order.maxPrice = PRICE + 5;
        Fill memory fill = aFill(order);
        fill.price = PRICE - 1;
        assertRefused(fill, Refusal.PriceOutOfBounds);
        fill.price = PRICE + 6;
        assertRefused(fill, Refusal.PriceOutOfBounds);

        fill.price = PRICE + 5;
        open(fill);
        vm.assertEq(leaseOf(order).price, PRICE + 5, "the limit itself is fine");
    }

    /// @notice P-20 (15): an offer with a smaller bond share than the client wants is refused.
    function testRefusesASmallerBondShare() external {
        Order memory order = anOrder();
        order.minBondBps = BOND_BPS + 1;

        assertRefused(aFill(order), Refusal.BondTooSmall);
    }

    /// @notice P-20 (16): an order that guarantees less than the offer wants is refused.
    function testRefusesFewerGuaranteedSeconds() external {
        Order memory order = anOrder();
        order.minSeconds = MIN_SECONDS - 1;

        assertRefused(aFill(order), Refusal.MinSecondsTooSmall);
    }

    /// @notice P-21 (17): a lease that starts later than now is refused, whoever opens it; one that starts now or earlier is not.
    function testRefusesALeaseThatStartsLater() external {
        Order memory order = anOrder();
        order.startsAt = uint40(NOW + 1);
        assertRefused(aFill(order), Refusal.TermLeaseNotByProvider);
        assertRefusedFrom(client, aFill(order), Refusal.TermLeaseNotByProvider);

        order.startsAt = uint40(NOW);
        open(order);
        order.startsAt = uint40(NOW - 1);
        open(order);
    }

    /// @notice P-20 (18): the client's balance covers T and the tip, to the unit.
    function testRefusesAClientThatCannotPay() external {
        Order memory order = anOrder();
        leaveOnly(client, total(order) + TIP - 1);
        assertRefused(aFill(order), Refusal.ClientBalanceTooLow);

        deposit(client, 1);
        open(order);
        vm.assertEq(market.balanceOf(client), 0, "everything is locked");
    }

    /// @notice P-20 (19): the provider's balance covers B, to the unit.
    function testRefusesAProviderThatCannotPayItsBond() external {
        Order memory order = anOrder();
        leaveOnly(provider, bond(order) - 1);
        assertRefused(aFill(order), Refusal.ProviderBalanceTooLow);

        deposit(provider, 1);
        open(order);
        vm.assertEq(market.balanceOf(provider), 0, "everything is locked");
    }

    /// @notice P-24 (20): a declined order may be opened again, in a later second than it was opened in.
    function testRefusesADeclinedOrderInTheSameSecond() external {
        Order memory order = anOrder();
        open(order);
        decline(order);
        assertRefused(aFill(order), Refusal.TooSoon);

        skip(1);
        open(order);
    }

    /// @notice P-24: the second opening of a declined order pays no tip, and needs none.
    function testTheTipIsPaidOnce() external {
        Order memory order = anOrder();
        open(order);
        decline(order);
        leaveOnly(client, total(order));
        uint256 before = market.balanceOf(opener);

        skip(1);
        open(order);

        vm.assertEq(market.balanceOf(client), 0, "T and no tip");
        vm.assertEq(market.balanceOf(opener), before, "no second tip");
    }

    /// @notice P-04: of a cheap lease the bond is the floor.
    function testTheBondIsNeverBelowTheFloor() external {
        Order memory order = anOrder();
        order.maxSeconds = 100;
        uint256 before = market.balanceOf(provider);

        open(order);

        vm.assertEq(before - market.balanceOf(provider), BOND_FLOOR, "the floor");
    }

    /// @notice I-9: calldata in which a field does not fit its type is no order at all.
    function testAnOrderWithDirtyBitsReverts() external {
        uint256[13] memory fields = [uint256(0), 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
        uint256[13] memory widths = [uint256(160), 40, 16, 32, 32, 80, 16, 40, 40, 96, 160, 160, 160];
        for (uint256 i = 0; i < 13; ++i) {
            bytes memory payload = abi.encodeCall(market.orderId, (anOrder()));
            uint256 position = 4 + 32 + fields[i] * 32;
            uint256 dirt = 1 << widths[i];
            assembly {
                mstore(add(payload, position), or(mload(add(payload, position)), dirt))
            }

            (bool succeeded,) = address(market).call(payload);

            vm.assertFalse(succeeded, "refused like any malformed calldata");
        }
    }

    /// @notice I-9: nor is calldata a fill in which its offer or its price does not fit.
    function testAFillWithDirtyBitsReverts() external {
        Fill[] memory fills = new Fill[](1);
        fills[0] = aFill(anOrder());
        uint256[2] memory words = [uint256(16), 17];
        uint256[2] memory widths = [uint256(40), 80];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory payload = abi.encodeCall(market.open, (fills, ROUND));
            // One word more: the round stands before the batch.
            makeDirty(payload, words[i] + 1, widths[i]);

            vm.prank(opener);
            (bool succeeded,) = address(market).call(payload);

            vm.assertFalse(succeeded, "refused like any malformed calldata");
        }
        open(fills[0]);
        vm.assertEq(leaseOf(fills[0].order).price, PRICE, "clean it opens");
    }

    function decline(Order memory order) private {
        vm.prank(provider);
        market.decline(order);
    }

    function leaveOnly(address account, uint256 amount) private {
        uint256 rest = market.balanceOf(account) - amount;
        vm.prank(account);
        market.withdraw(account, rest);
    }

    function assertLease(Order memory order, Lease memory expected) private view {
        vm.assertEq(keccak256(abi.encode(leaseOf(order))), keccak256(abi.encode(expected)), "the lease");
    }
}
