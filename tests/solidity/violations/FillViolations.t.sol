// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Offer, Order, Refusal, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {ViolationsTest} from "./ViolationsTest.sol";

/// @notice P-20: a valid fill of which one thing is broken: its terms, its balances, or its moment.
/// forge-config: default.fuzz.runs = 100
/// forge-config: deep.fuzz.runs = 1000
contract FillViolationsTest is ViolationsTest {
    // ------------------------------------------------------------------------------------------------------------------------------------- terms

    /// @notice P-20, I-4: a price above the client's highest is refused.
    function testPriceAboveTheOrders(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.price = uint80(draw(uint256(fill.order.maxPrice) + 1, type(uint80).max));

        assertFillRefused(signed(fill), Refusal.PriceOutOfBounds);
    }

    /// @notice P-20, I-4: a price below the offer's is refused.
    function testPriceBelowTheOffers(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.maxPrice = type(uint80).max;
        vm.prank(market.offerOf(offer).provider);
        market.reprice(offer, uint80(draw(uint256(fill.price) + 1, type(uint80).max)), type(uint40).max);

        assertFillRefused(signed(fill), Refusal.PriceOutOfBounds);
    }

    /// @notice P-20: an offer whose class is not among the order's is refused.
    function testClassNotAccepted(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.classes &= ~(1 << market.offerOf(offer).class);

        assertFillRefused(signed(fill), Refusal.ClassNotAccepted);
    }

    /// @notice P-20: an order that accepts no class at all is refused.
    function testNoClassAccepted(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.classes = 0;

        assertFillRefused(signed(fill), Refusal.ClassNotAccepted);
    }

    /// @notice P-20, I-3: a gang larger than the whole offer is refused.
    function testGangLargerThanTheOffer(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        Offer memory value = market.offerOf(offer);
        if (value.gpus == type(uint16).max) {
            (fill.order.offer, fill.order.gpus) = (0, 1);
            (fill, value) = (onASmallOffer(fill), market.offerOf(offer));
        }
        fill.order.gpus = uint16(draw(uint256(value.gpus) + 1, type(uint16).max));

        assertFillRefused(signed(fill), Refusal.NotEnoughGpus);
    }

    /// @notice P-20, I-3: a gang larger than what another lease leaves free is refused.
    function testGangLargerThanWhatIsFree(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        uint256 salt = fill.order.salt;
        (fill.order.salt, fill.order.gpus) = (uint256(keccak256(abi.encode(salt))), market.offerOf(offer).gpus);
        opened(signed(fill));
        (fill.order.salt, fill.order.gpus) = (salt, 1);

        assertFillRefused(signed(fill), Refusal.NotEnoughGpus);
    }

    /// @notice P-20: an order of no GPUs is refused.
    function testNoGpus(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.gpus = 0;

        assertFillRefused(signed(fill), Refusal.BadAmounts);
    }

    /// @notice P-20: an order of no seconds is refused, even on an offer that asks for none.
    function testNoSeconds(uint256 seed) external {
        Fill memory fill = aValidFillOn(seed, 0);
        (fill.order.maxSeconds, fill.order.minSeconds) = (0, 0);

        assertFillRefused(signed(fill), Refusal.BadAmounts);
    }

    /// @notice P-20: more seconds guaranteed than paid for at most are refused.
    function testMinSecondsAboveMaxSeconds(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.minSeconds = uint32(draw(uint256(fill.order.maxSeconds) + 1, type(uint32).max));

        assertFillRefused(signed(fill), Refusal.BadAmounts);
    }

    /// @notice P-20: fewer seconds guaranteed than the offer asks for are refused.
    function testMinSecondsBelowTheOffers(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.minSeconds = uint32(draw(0, market.offerOf(offer).minSeconds - 1));

        assertFillRefused(signed(fill), Refusal.MinSecondsTooSmall);
    }

    /// @notice P-20: an offer with a smaller bond share than the order asks for is refused.
    function testBondShareTooSmall(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.minBondBps = uint16(draw(uint256(market.offerOf(offer).bondBps) + 1, type(uint16).max));

        assertFillRefused(signed(fill), Refusal.BondTooSmall);
    }

    // ------------------------------------------------------------------------------------------------------------------------------ offer, roles

    /// @notice P-20: an offer that the order is not pinned to is refused, even one that could serve it just as well.
    function testPinnedToAnotherOffer(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.offer = fill.offer;
        fill = signed(fill);
        Fill memory other = onASmallOffer(fill);

        assertFillRefused(other, Refusal.WrongOffer);
    }

    /// @notice P-20: an order that is pinned to an offer that was never listed is refused.
    function testPinnedToNoOffer(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.offer = uint40(draw(uint256(offer) + 1, type(uint40).max));

        assertFillRefused(signed(fill), Refusal.WrongOffer);
    }

    /// @notice P-20: a fill that names an offer that was never listed is refused.
    function testOfferThatDoesNotExist(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.offer = 0;
        fill.offer = chance() ? 0 : uint40(draw(uint256(offer) + 1, type(uint40).max));

        assertFillRefused(signed(fill), Refusal.OfferNotAlive);
    }

    /// @notice P-20: an offer whose expiresAt has come is refused.
    function testOfferExpired(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        vm.prank(market.offerOf(offer).provider);
        market.reprice(offer, 0, uint40(draw(1, timestamp())));

        assertFillRefused(fill, Refusal.OfferNotAlive);
    }

    /// @notice P-20: an offer that its provider took off the market is refused.
    function testOfferTakenOff(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        vm.prank(market.offerOf(offer).provider);
        market.reprice(offer, 0, 0);

        assertFillRefused(fill, Refusal.OfferNotAlive);
    }

    /// @notice P-20: an order that names another arbiter than the offer is refused.
    function testAnotherArbiter(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.arbiter = vm.addr(draw(1, type(uint128).max));

        assertFillRefused(signed(fill), Refusal.WrongArbiter);
    }

    /// @notice P-20: an order that names no arbiter is refused.
    function testNoArbiter(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.arbiter = address(0);

        assertFillRefused(signed(fill), Refusal.WrongArbiter);
    }

    /// @notice P-20: an order that names the offer's provider as arbiter is refused.
    function testProviderAsArbiter(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.arbiter = market.offerOf(offer).provider;

        assertFillRefused(signed(fill), Refusal.WrongArbiter);
    }

    /// @notice P-20: a fill that somebody else than the order's opener posts is refused.
    function testAnotherOpener(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.opener = opener;
        address[4] memory others = [stranger, market.offerOf(offer).provider, acceptor, arbiter];
        sender = others[draw(0, 3)];

        assertFillRefused(signed(fill), Refusal.OpenerNotAllowed);
    }

    /// @notice P-20: a tip without an opener to earn it is refused.
    function testTipWithoutOpener(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.opener = address(0);
        fill.order.tip = uint96(drawWide(1, 96));

        assertFillRefused(signed(fill), Refusal.TipWithoutOpener);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- balances

    /// @notice P-20: a client whose balance is smaller than T is refused.
    function testClientBalanceLow(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.tip = 0;
        uint256 needed = totalOf(fill);
        if (needed == 0) (fill, needed) = (dearer(fill), totalOf(fill));
        drain(fill.order.client, draw(0, needed - 1));

        assertFillRefused(signed(fill), Refusal.ClientBalanceTooLow);
    }

    /// @notice P-20: a client whose balance covers T, but not the tip too, is refused.
    function testTipMakesTheBalanceLow(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        (fill.order.opener, fill.order.tip, sender) = (opener, uint96(drawWide(1, 96)), opener);
        drain(fill.order.client, totalOf(fill) + draw(0, fill.order.tip - 1));

        assertFillRefused(signed(fill), Refusal.ClientBalanceTooLow);
    }

    /// @notice P-20: a provider whose balance is smaller than B is refused.
    function testProviderBalanceLow(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        drain(market.offerOf(offer).provider, draw(0, bondOf(fill) - 1));

        assertFillRefused(fill, Refusal.ProviderBalanceTooLow);
    }

    /// @notice P-07, P-20: one account that is client and provider is refused if its balance covers the larger lock, but not both.
    function testOneAccountCannotPayBothLocks(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.client = market.offerOf(offer).provider;
        orderKey = PROVIDER_KEY;
        fill.order.tip = 0;
        if (totalOf(fill) == 0) fill = dearer(fill);
        (uint256 total, uint256 locked) = (totalOf(fill), bondOf(fill));
        assertHolds(signed(fill));
        drain(fill.order.client, draw(total > locked ? total : locked, total + locked - 1));

        assertFillRefused(signed(fill), Refusal.ProviderBalanceTooLow);
    }

    // -------------------------------------------------------------------------------------------------------------------------------- its moment

    /// @notice P-20: an order whose expiresAt has come is refused.
    function testOrderExpired(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        vm.warp(draw(fill.order.expiresAt, NOW + 99 days));

        assertFillRefused(fill, Refusal.OrderExpired);
    }

    /// @notice P-20: an order whose expiresAt is 0 never could be opened.
    function testOrderWithoutExpiry(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.expiresAt = 0;

        assertFillRefused(signed(fill), Refusal.OrderExpired);
    }

    /// @notice P-21: a term lease that a stranger opens is refused.
    function testTermLeaseByAStranger(uint256 seed) external {
        Fill memory fill = aTermFill(seed);
        sender = fill.order.opener == address(0) ? stranger : opener;

        assertFillRefused(fill, Refusal.TermLeaseNotByProvider);
    }

    /// @notice P-21: a term lease that the client itself opens is refused.
    function testTermLeaseByTheClient(uint256 seed) external {
        Fill memory fill = aTermFill(seed);
        sender = fill.order.client;

        assertFillRefused(fill, Refusal.TermLeaseNotByProvider);
    }

    /// @notice P-21: a term lease that the provider opens, but whose opener is somebody else, is refused.
    function testTermLeaseOfAnotherOpener(uint256 seed) external {
        Fill memory fill = aTermFill(seed);
        fill.order.opener = opener;

        assertFillRefused(signed(fill), Refusal.OpenerNotAllowed);
    }

    /// @notice I-5: an order that is open is refused.
    function testReplayWhileOpen(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.gpus = 1;
        opened(signed(fill));
        skip(draw(0, 1));

        assertFillRefused(cheapened(signed(fill)), Refusal.OrderLive);
    }

    /// @notice I-5: an order that is claimed is refused, although the GPUs are free again.
    function testReplayWhileClaimed(uint256 seed) external {
        Fill memory fill = aLongFill(seed);
        Order memory order = opened(fill);
        skip(order.minSeconds);
        moveOn(order, 1);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Claimed), "claimed");

        assertFillRefused(fill, Refusal.OrderLive);
    }

    /// @notice I-5: an order that is disputed is refused.
    function testReplayWhileDisputed(uint256 seed) external {
        Fill memory fill = aLongFill(seed);
        Order memory order = opened(fill);
        skip(START_GRACE);
        moveOn(order, 2);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Disputed), "disputed");

        assertFillRefused(fill, Refusal.OrderLive);
    }

    /// @notice P-20 (20): an order is refused in the second in which it was declined, and accepted a second later.
    function testReplayInTheSecondOfTheDecline(uint256 seed) external {
        Fill memory fill = aLongFill(seed);
        opened(fill);
        decline(fill);

        assertFillRefused(fill, Refusal.TooSoon);
        skip(1);
        assertHolds(fill);
    }

    /// @notice I-5: an order that its client's side cancelled is refused.
    function testReplayAfterCancel(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        bool byClient = fill.order.acceptor == address(0) || chance();
        vm.prank(byClient ? fill.order.client : fill.order.acceptor);
        market.cancel(fill.order);

        assertFillRefused(fill, Refusal.OrderClosed);
    }

    /// @notice I-5: an order that was cancelled while it was open, and then declined, is refused.
    function testReplayAfterCancelAndDecline(uint256 seed) external {
        Fill memory fill = aLongFill(seed);
        Order memory order = opened(fill);
        vm.prank(order.client);
        market.cancel(order);
        decline(fill);
        skip(1);

        assertFillRefused(fill, Refusal.OrderClosed);
    }

    /// @notice P-24, I-5: an order that was declined after something had been paid is refused.
    function testReplayAfterAPaidDecline(uint256 seed) external {
        Fill memory fill = aLongFill(seed);
        (fill.price, fill.order.maxPrice) = (0, type(uint80).max);
        Order memory order = opened(signed(fill));
        Settlement memory prepayment = Settlement(order, order.minSeconds, RESULT, false, "", "");
        settleAs(order.client, prepayment);
        vm.assertEq(leaseOf(order).paidSeconds, order.minSeconds, "prepaid");
        decline(fill);
        skip(draw(1, 100));

        assertFillRefused(signed(fill), Refusal.OrderClosed);
    }

    /// @notice I-5: an order whose lease was terminated is refused.
    function testReplayAfterTerminate(uint256 seed) external {
        assertClosedFor(aLongFill(seed), 0);
    }

    /// @notice I-5: an order whose lease expired is refused.
    function testReplayAfterExpire(uint256 seed) external {
        assertClosedFor(aLongFill(seed), 1);
    }

    /// @notice I-5: an order whose lease was finalized is refused.
    function testReplayAfterFinalize(uint256 seed) external {
        assertClosedFor(aLongFill(seed), 2);
    }

    /// @notice I-5: an order whose lease was ruled on is refused.
    function testReplayAfterRule(uint256 seed) external {
        assertClosedFor(aLongFill(seed), 3);
    }

    /// @notice I-5: an order whose dispute lapsed is refused.
    function testReplayAfterLapse(uint256 seed) external {
        assertClosedFor(aLongFill(seed), 4);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- drawing

    /// A fill of an order that stays acceptable for as long as any exit takes.
    function aLongFill(uint256 seed) private returns (Fill memory fill) {
        fill = aValidFill(seed);
        fill.order.expiresAt = type(uint40).max;
        fill = signed(fill);
        vm.prank(market.offerOf(offer).provider);
        market.reprice(offer, 0, type(uint40).max);
        assertHolds(fill);
    }

    /// A term lease, and its provider as the sender.
    function aTermFill(uint256 seed) private returns (Fill memory fill) {
        fill = aValidFill(seed);
        fill.order.startsAt = uint40(draw(NOW + 1, NOW + 365 days));
        (fill.order.opener, fill.order.tip) = (address(0), 0);
        sender = market.offerOf(offer).provider;
        fill = signed(fill);
        assertHolds(fill);
    }

    function assertClosedFor(Fill memory fill, uint256 how) private {
        close(opened(fill), how);
        skip(1);

        assertFillRefused(fill, Refusal.OrderClosed);
    }

    function decline(Fill memory fill) private {
        vm.prank(market.offerOf(offer).provider);
        market.decline(fill.order);
    }

    /// The same order, on a second offer that could serve it too, if it were not pinned.
    function onASmallOffer(Fill memory fill) private returns (Fill memory) {
        Offer memory value = market.offerOf(offer);
        uint16 gpus = fill.order.gpus > 100 ? fill.order.gpus : 100;
        vm.prank(value.provider);
        offer = market.list(
            value.class, gpus, value.bondBps, value.price, value.minSeconds, value.expiresAt, value.arbiter, value.spec
        );
        fill.offer = offer;
        return fill;
    }

    /// A fill whose T is not 0.
    function dearer(Fill memory fill) private pure returns (Fill memory) {
        fill.price = fill.price + 3600;
        fill.order.maxPrice = fill.price;
        return fill;
    }

    /// A replay does not have to look the same.
    function cheapened(Fill memory fill) private returns (Fill memory) {
        fill.price = uint80(draw(market.offerOf(offer).price, fill.order.maxPrice));
        return fill;
    }

    /// Leaves the account with `amount`.
    function drain(address account, uint256 amount) private {
        uint256 excess = market.balanceOf(account) - amount;
        vm.prank(account);
        market.withdraw(account, excess);
    }

    function totalOf(Fill memory fill) private pure returns (uint256) {
        return (uint256(fill.price) * fill.order.gpus * fill.order.maxSeconds + 3599) / 3600;
    }

    function bondOf(Fill memory fill) private view returns (uint256) {
        uint256 share = totalOf(fill) * market.offerOf(offer).bondBps / 10_000;
        return share < BOND_FLOOR ? BOND_FLOOR : share;
    }
}
