// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    Lease,
    Offer,
    Order,
    Receipt,
    Refusal,
    Settlement,
    Status
} from "../../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "../MarketTest.sol";
import {KeyWallet} from "../wallets/KeyWallet.sol";

/// @notice Valid fills and settlements, drawn at random: each is first shown to be accepted, on a copy of the chain's state. A test then breaks exactly
/// one thing and expects exactly that refusal, and that nothing at all was written.
/// @dev One test function is one kind of violation, one fuzz run is one case.
abstract contract ViolationsTest is MarketTest {
    uint256 internal constant RICH = 2 ** 160;
    uint256 internal constant DELEGATE_KEY = 0xDE1E;
    address internal delegate = vm.addr(DELEGATE_KEY);
    // Their owners are the client, the provider and the acceptor: the same keys sign for either.
    address internal clientWallet;
    address internal providerWallet;
    address internal acceptorWallet;

    // Who posts.
    address internal sender;
    // Whose key signs the order: the client's or its delegate's.
    uint256 internal orderKey;
    // Whose key signs the client's side of a receipt: the client's or the acceptor's.
    uint256 internal receiptKey;
    uint256 private _seed;
    uint256 private _draws;

    function setUp() public virtual override {
        super.setUp();
        clientWallet = address(new KeyWallet(client));
        providerWallet = address(new KeyWallet(provider));
        acceptorWallet = address(new KeyWallet(acceptor));
        address[6] memory accounts = [client, clientWallet, provider, providerWallet, acceptor, acceptorWallet];
        for (uint256 i = 0; i < accounts.length; ++i) {
            deposit(accounts[i], RICH);
        }
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(accounts[i]);
            market.authorize(delegate, type(uint128).max, type(uint40).max);
        }
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- drawing

    /// @notice A number of [least, most]; one in four times it is one of the two, because that is where mistakes are.
    function draw(uint256 least, uint256 most) internal returns (uint256) {
        uint256 roll = uint256(keccak256(abi.encode(_seed, ++_draws)));
        if (roll % 8 == 0) return least;
        if (roll % 8 == 1) return most;
        return bound(roll >> 3, least, most);
    }

    function chance() internal returns (bool) {
        return draw(0, 1) == 1;
    }

    /// @notice One of at least `least`, of that many bits, and more often than not a small one.
    function drawWide(uint256 least, uint256 bits) internal returns (uint256) {
        return draw(least, (1 << draw(bits / 2, bits)) - 1);
    }

    /// @notice An offer of one of the providers; it is the one that fills are then made on.
    function drawOffer(uint256 leastMinSeconds) internal returns (Offer memory) {
        vm.prank(chance() ? provider : providerWallet);
        offer = market.list({
            class: uint8(draw(0, 255)),
            gpus: uint16(drawWide(2, 16)),
            bondBps: uint16(draw(1, 9_999)),
            price: uint80(drawWide(1, 80) - 1),
            minSeconds: uint16(draw(leastMinSeconds, leastMinSeconds * 1_000)),
            expiresAt: uint40(draw(NOW + 100 days, type(uint40).max)),
            arbiter: arbiter,
            spec: keccak256("machine")
        });
        return market.offerOf(offer);
    }

    /// @notice An order that `value` can serve. It may say nothing of opener, acceptor and offer.
    function drawOrder(Offer memory value) internal returns (Order memory order) {
        order.client = chance() ? client : clientWallet;
        order.classes = draw(0, type(uint256).max) | 1 << value.class;
        order.offer = chance() ? offer : 0;
        order.gpus = uint16(draw(1, value.free));
        order.minSeconds = uint32(draw(value.minSeconds, uint256(value.minSeconds) + 100));
        order.maxSeconds = uint32(draw(uint256(order.minSeconds) + 2, uint256(order.minSeconds) + 1e6));
        order.maxPrice = uint80(draw(value.price, type(uint80).max - 1));
        order.minBondBps = uint16(draw(0, value.bondBps));
        order.startsAt = uint40(chance() ? draw(0, NOW) : 0);
        order.expiresAt = uint40(draw(NOW + 2, NOW + 90 days));
        order.opener = chance() ? opener : address(0);
        order.tip = uint96(order.opener == address(0) ? 0 : drawWide(0, 90));
        order.acceptor = chance() ? acceptor : chance() ? acceptorWallet : address(0);
        order.arbiter = arbiter;
        order.spec = keccak256("spec");
        order.salt = draw(0, type(uint256).max);
        sender = order.opener == address(0) ? stranger : opener;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- fills

    /// @notice A fill that holds, by one of all the ways to sign.
    function aValidFill(uint256 seed) internal returns (Fill memory) {
        return aValidFillOn(seed, 1);
    }

    /// @notice The same, on an offer that asks for nothing guaranteed if `leastMinSeconds` is 0.
    function aValidFillOn(uint256 seed, uint256 leastMinSeconds) internal returns (Fill memory fill) {
        _seed = seed;
        Offer memory value = drawOffer(leastMinSeconds);
        fill.order = drawOrder(value);
        orderKey = chance() ? CLIENT_KEY : DELEGATE_KEY;
        fill.offer = offer;
        fill.price = uint80(draw(value.price, fill.order.maxPrice));
        fill = signed(fill);
        assertHolds(fill);
    }

    /// @notice A fill that holds because of the client's own signature, and of nothing else.
    function aFillOfTheClient(uint256 seed) internal returns (Fill memory fill) {
        fill = aValidFill(seed);
        orderKey = CLIENT_KEY;
        fill = signed(fill);
        assertHolds(fill);
    }

    function signed(Fill memory fill) internal view returns (Fill memory) {
        fill.signature = sign(orderKey, market.orderId(fill.order));
        return fill;
    }

    /// @notice The twin of every case: unbroken, it is accepted. What that does is undone.
    function assertHolds(Fill memory fill) internal {
        uint256 state = vm.snapshotState();
        openAs(sender, fill);
        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "the unbroken fill is accepted");
        vm.revertToState(state);
    }

    function assertFillRefused(Fill memory fill, Refusal reason) internal {
        assertRefusedFrom(sender, fill, reason);
    }

    /// @notice Opens the valid fill, so that it can be broken by what happens next.
    function opened(Fill memory fill) internal returns (Order memory) {
        openAs(sender, fill);
        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "the valid fill is accepted");
        return fill.order;
    }

    // --------------------------------------------------------------------------------------------------------------------------------- receipts

    /// @notice A receipt that holds, in Open, Claimed or Disputed, by one of all the ways to sign.
    function aValidSettlement(uint256 seed) internal returns (Settlement memory) {
        _seed = seed;
        return aSettlementThatHolds(seed, chance());
    }

    /// @notice The same, to close the lease or not.
    function aSettlementThatHolds(uint256 seed, bool last) internal returns (Settlement memory settlement) {
        Order memory order = opened(aValidFill(seed));
        settlement = drawSettlement(order, last);
        assertHolds(settlement);
    }

    function drawSettlement(Order memory order, bool last) internal returns (Settlement memory settlement) {
        receiptKey = order.acceptor == address(0) || chance() ? CLIENT_KEY : ACCEPTOR_KEY;
        sender = stranger;
        settlement.order = order;
        settlement.last = last;
        settlement.result = keccak256(abi.encode(order.salt));
        // Some time, some of which may have been paid, and perhaps a claim or a dispute.
        skip(draw(uint256(order.minSeconds) + 2, uint256(order.maxSeconds) + CLAIM_GRACE - 1));
        uint256 half = mostOf(order) / 2;
        if (chance() && half > 0) {
            settlement.usedSeconds = uint32(draw(1, half));
            settle(signed(settlement, false));
            vm.assertEq(leaseOf(order).paidSeconds, settlement.usedSeconds, "the progress receipt is paid");
        }
        moveOn(order, draw(0, 2));
        uint256 paid = leaseOf(order).paidSeconds;
        settlement.usedSeconds = uint32(draw(last ? paid : paid + 1, mostOf(order)));
        settlement = signed(settlement);
    }

    /// @notice Leaves the lease open, claims it or disputes it.
    function moveOn(Order memory order, uint256 how) internal {
        Lease memory lease = leaseOf(order);
        address who = market.offerOf(lease.offer).provider;
        bool early = timestamp() < lease.openedAt + START_GRACE;
        if (how == 1) {
            uint32 elapsed = uint32(mostOf(order));
            vm.prank(who);
            market.claim(order, elapsed, RESULT);
        } else if (how == 2 && !early) {
            vm.prank(order.client);
            market.dispute(order);
        }
    }

    /// @notice The most that both sides may agree on now.
    function mostOf(Order memory order) internal view returns (uint256) {
        uint256 elapsed = timestamp() - leaseOf(order).openedAt;
        if (elapsed > order.maxSeconds) elapsed = order.maxSeconds;
        return elapsed < order.minSeconds ? order.minSeconds : elapsed;
    }

    function signed(Settlement memory settlement) internal view returns (Settlement memory) {
        return signed(settlement, settlement.last);
    }

    function signed(Settlement memory settlement, bool last) internal view returns (Settlement memory copy) {
        bytes32 digest = digestOf(settlement, last);
        copy.order = settlement.order;
        copy.usedSeconds = settlement.usedSeconds;
        copy.result = settlement.result;
        copy.last = last;
        copy.clientSignature = sign(receiptKey, digest);
        if (last) copy.providerSignature = sign(PROVIDER_KEY, digest);
    }

    function digestOf(Settlement memory settlement, bool last) internal view returns (bytes32) {
        Receipt memory receipt = receiptOf(settlement.order, settlement.usedSeconds, last);
        receipt.result = settlement.result;
        return market.receiptId(receipt);
    }

    function assertHolds(Settlement memory settlement) internal {
        uint256 state = vm.snapshotState();
        settle(settlement);
        Lease memory lease = leaseOf(settlement.order);
        vm.assertEq(lease.paidSeconds, settlement.usedSeconds, "the unbroken receipt is accepted");
        vm.assertTrue((lease.status == Status.Closed) == settlement.last, "and closes the lease if it is the last");
        vm.revertToState(state);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- endings

    /// @notice Ends an open lease by one of the exits that close it.
    function close(Order memory order, uint256 how) internal {
        uint40 number = leaseOf(order).offer;
        address who = market.offerOf(number).provider;
        uint256 openedAt = leaseOf(order).openedAt;
        if (how == 0) {
            vm.prank(order.client);
            market.terminate(order);
        } else if (how == 1) {
            vm.warp(openedAt + order.maxSeconds + CLAIM_GRACE);
            market.expire(order);
        } else if (how == 2) {
            if (timestamp() < openedAt + order.minSeconds) vm.warp(openedAt + order.minSeconds);
            vm.prank(who);
            market.claim(order, order.minSeconds, RESULT);
            skip(CHALLENGE_WINDOW);
            finalize(order);
        } else {
            vm.warp(openedAt + order.maxSeconds + START_GRACE);
            vm.prank(order.client);
            market.dispute(order);
            if (how == 3) {
                vm.prank(arbiter);
                market.rule(order, 0, true);
            } else {
                skip(RULING_WINDOW);
                market.lapse(order);
            }
        }
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }
}
