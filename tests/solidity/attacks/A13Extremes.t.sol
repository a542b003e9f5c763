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

/// @notice A13: the largest and smallest numbers that every field holds.
contract ExtremesAttack is AttackTest {
    uint256 private constant RICH = 2 ** 200;

    function setUp() public override {
        super.setUp();
        deposit(client, RICH);
        deposit(provider, RICH);
    }

    // ----------------------------------------------------------------------------------------------------------------------- the largest lease

    /// @notice A13: the largest lease that can be signed is opened, and settled to the unit.
    function testA13LargestLeaseSettles() external {
        Order memory order = largest();
        settle(aSettlement(order, type(uint32).max, true));

        assertPaid(order, type(uint32).max);
    }

    /// @notice A13: the largest lease is paid in parts.
    function testA13LargestLeasePaidInParts() external {
        Order memory order = largest();
        pay(order, 1);
        pay(order, type(uint32).max - 1);
        settle(aSettlement(order, type(uint32).max, true));

        assertPaid(order, type(uint32).max);
    }

    /// @notice A13: the largest lease is terminated at once, at the price of all that it guaranteed.
    function testA13LargestLeaseTerminates() external {
        Order memory order = largest();
        terminate(order);

        assertPaid(order, type(uint32).max);
    }

    /// @notice A13: the largest lease is declined, and nothing of it is left.
    function testA13LargestLeaseDeclines() external {
        Order memory order = largest();
        decline(order);

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR + RICH, "the client has everything back");
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + RICH, "and the provider");
        assertExact();
    }

    /// @notice A13: the largest lease expires, 136 years later, when no new one can be opened any more; what it compensates is T.
    function testA13LargestLeaseExpires() external {
        Order memory order = largest();
        skip(uint256(type(uint32).max) + CLAIM_GRACE);
        market.expire(order);

        uint256 all = totalOf(order);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR + RICH + all, "made whole, and compensated");
        assertExact();
    }

    /// @notice A13: the largest lease is disputed and ruled on.
    function testA13LargestLeaseIsRuledOn() external {
        Order memory order = largest();
        skip(START_GRACE);
        dispute(order);
        rule(order, type(uint32).max, false);

        uint256 all = totalOf(order);
        vm.assertEq(market.balanceOf(arbiter), all / 2, "half of a bond of T");
        uint256 paid = uint256(order.maxPrice) * order.gpus * order.maxSeconds / 3600;
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + RICH + paid + all - all / 2, "paid, and it won");
        assertExact();
    }

    /// @notice A13, I-7: the largest budget covers the largest order and the largest tip, and is charged exactly.
    function testA13LargestBudget() external {
        largestOffer();
        authorize(client, delegate, type(uint128).max, type(uint40).max);
        Order memory order = largestOrder();
        order.tip = type(uint96).max;
        Fill memory fill = aFillAt(order, type(uint80).max);
        fill.signature = sign(DELEGATE_KEY, market.orderId(order));
        open(fill);
        served.push(order);

        (uint128 left,) = market.budgetOf(client, delegate);
        vm.assertEq(left, type(uint128).max - totalOf(order) - type(uint96).max, "T and the tip");
        vm.assertEq(market.balanceOf(opener), type(uint96).max, "the tip");
        assertExact();
    }

    // ----------------------------------------------------------------------------------------------------------------------------- single fields

    /// @notice A13: class 255 is the highest bit of the classes, and no other.
    function testA13HighestClass() external {
        vm.prank(provider);
        offer = market.list(255, GPUS, BOND_BPS, PRICE, 60, uint40(NOW + 1 days), arbiter, "");
        Order memory order = anOrder(1);
        order.classes = ~uint256(0) >> 1;
        assertRefused(aFill(order), Refusal.ClassNotAccepted);
        order.classes = 1 << 255;
        open(order);
    }

    /// @notice A13: a salt of any width tells orders apart.
    function testA13LargestSalt() external {
        vm.assertTrue(
            market.orderId(anOrder(type(uint256).max)) != market.orderId(anOrder(type(uint256).max - 1)), "apart"
        );
        open(anOrder(type(uint256).max));
    }

    /// @notice A13, P-21: a term lease at the end of time is opened by its provider only; the client leaves it at the price of what it guaranteed.
    function testA13TermLeaseAtTheEndOfTime() external {
        Order memory order = aFreeOrder(1);
        order.startsAt = type(uint40).max;
        openAs(provider, aFill(order));
        served.push(order);
        skip(365 days);
        vm.assertFalse(attempt(provider, abi.encodeCall(market.decline, (order))), "cannot be declined");
        uint256 before = market.balanceOf(provider);
        terminate(order);

        vm.assertEq(
            market.balanceOf(provider) - before, earned(order, MIN_SECONDS) + bond(order), "what was guaranteed"
        );
        assertExact();
    }

    /// @notice A13: in the last second that a word holds a lease is opened; in the next one none is.
    function testA13LastSecondOfTheWords() external {
        Order memory order = anOrder(1);
        order.expiresAt = type(uint40).max;
        vm.prank(provider);
        market.reprice(offer, PRICE, type(uint40).max);
        vm.warp(uint256(type(uint32).max) + 1);
        assertRefused(aFill(order), Refusal.BadAmounts);
        vm.warp(type(uint32).max);
        open(order);

        vm.assertEq(leaseOf(order).openedAt, type(uint32).max, "the last second");
    }

    /// @notice A13: after the words ended, claim and dispute say so; terminate, settle and expire still let everybody out.
    function testA13ExitsAfterTheWords() external {
        vm.prank(provider);
        market.reprice(offer, PRICE, type(uint40).max);
        vm.warp(type(uint32).max);
        for (uint256 i = 0; i < 3; ++i) {
            Order memory order = aFreeOrder(i);
            order.expiresAt = type(uint40).max;
            serve(order);
        }
        skip(START_GRACE);
        uint256 now_ = timestamp();
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TimeTooLate.selector, now_, type(uint32).max));
        market.claim(served[0], 60, RESULT);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TimeTooLate.selector, now_, type(uint32).max));
        market.dispute(served[0]);

        terminate(served[0]);
        settle(aSettlement(served[1], 60, true));
        skip(MAX_SECONDS + CLAIM_GRACE);
        market.expire(served[2]);
        assertExact();
        assertCapacity();
    }

    /// @notice A13: an opening by a delegate in the last second of its time holds, and with the largest time there is.
    function testA13DelegateUntilTheEndOfTime() external {
        authorize(client, delegate, type(uint128).max, type(uint40).max);
        (uint128 left, uint40 until) = market.budgetOf(client, delegate);

        vm.assertEq(left, type(uint128).max, "all of it");
        vm.assertEq(until, type(uint40).max, "for ever");
    }

    // ------------------------------------------------------------------------------------------------------------------------- every number, everywhere

    /// @notice A13: 0, 1 and the numbers around every width, in every amount that a verb takes, never move more than is there.
    function testA13NumbersAroundEveryWidth() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        for (uint256 i = 0; i < 26; ++i) {
            uint256 state = vm.snapshotState();
            uint256 value = numberAround(i);
            attempt(client, abi.encodeCall(market.withdraw, (client, value)));
            attempt(client, abi.encodeCall(market.deposit, (client, value)));
            attempt(provider, abi.encodeCall(market.reprice, (offer, uint80(value), uint40(value))));
            attempt(client, abi.encodeCall(market.authorize, (delegate, uint128(value), uint40(value))));
            attempt(provider, abi.encodeCall(market.claim, (order, uint32(value), RESULT)));
            assertExact();
            attempt(client, abi.encodeCall(market.dispute, (order)));
            attempt(arbiter, abi.encodeCall(market.rule, (order, uint32(value), value % 2 == 0)));
            assertExact();
            vm.revertToState(state);
        }
    }

    /// @notice A13: the same numbers as a receipt's seconds: what is accepted is at most what has elapsed.
    function testA13NumbersAsSeconds() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        for (uint256 i = 0; i < 26; ++i) {
            uint256 state = vm.snapshotState();
            settle(aSettlement(order, uint32(numberAround(i)), i % 2 == 0));
            vm.assertLe(leaseOf(order).paidSeconds, START_GRACE, "no more than has elapsed");
            assertExact();
            vm.revertToState(state);
        }
    }

    /// @notice A13: calldata whose fields are wider than their types is no order: every verb reverts.
    function testA13WiderFieldsAreNoOrder() external {
        Order memory order = serve(anOrder(1));
        bytes memory call = abi.encodeCall(market.terminate, (order));
        uint256[13] memory narrow = [uint256(0), 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
        for (uint256 i = 0; i < narrow.length; ++i) {
            bytes memory wide = bytes.concat(call);
            // The highest byte of the field's word.
            wide[4 + 32 * narrow[i]] = 0x01;
            vm.assertFalse(attempt(client, wide), "too wide");
        }
        vm.assertTrue(attempt(client, call), "as it was, it is taken");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function numberAround(uint256 index) private pure returns (uint256) {
        uint256[8] memory widths = [uint256(16), 32, 40, 80, 96, 128, 200, 255];
        if (index == 0) return 0;
        if (index == 1) return type(uint256).max;
        index -= 2;
        return (1 << widths[index / 3]) + index % 3 - 1;
    }

    function largestOffer() private {
        vm.prank(provider);
        offer = market.list({
            class: CLASS,
            gpus: type(uint16).max,
            bondBps: 10_000,
            price: type(uint80).max,
            minSeconds: type(uint16).max,
            expiresAt: type(uint40).max,
            arbiter: arbiter,
            spec: bytes32(type(uint256).max)
        });
    }

    function largestOrder() private view returns (Order memory order) {
        order = anOrder(type(uint256).max);
        order.classes = type(uint256).max;
        (order.gpus, order.maxPrice, order.minBondBps) = (type(uint16).max, type(uint80).max, 10_000);
        (order.maxSeconds, order.minSeconds) = (type(uint32).max, type(uint32).max);
        (order.expiresAt, order.tip) = (type(uint40).max, 0);
    }

    function largest() private returns (Order memory order) {
        largestOffer();
        order = largestOrder();
        open(aFillAt(order, type(uint80).max));
        assertStatus(order, Status.Open, "the largest lease opens");
        served.push(order);
        assertExact();
    }

    function totalOf(Order memory order) private pure returns (uint256) {
        return (uint256(order.maxPrice) * order.gpus * order.maxSeconds + 3599) / 3600;
    }

    function assertPaid(Order memory order, uint256 seconds_) private view {
        uint256 paid = uint256(order.maxPrice) * order.gpus * seconds_ / 3600;
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + RICH + paid, "the provider is paid");
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR + RICH - paid, "by the client");
        vm.assertEq(market.offerOf(offer).free, type(uint16).max, "all GPUs are free");
        assertExact();
    }
}
