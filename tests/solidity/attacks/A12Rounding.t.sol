// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Settlement} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A12, P-03: nobody gains a unit by cutting, combining or timing payments, and none is made out of nothing.
contract RoundingAttack is AttackTest {
    /// @notice A12: a lease that is paid in 1 to 1,000 parts pays what it pays in one.
    /// forge-config: default.fuzz.runs = 8
    function testA12AnySplitPaysTheSame(uint256 seed, uint256 parts) external {
        parts = bound(parts, 1, 1_000);
        Order memory order = serve(aFreeOrder(1));
        skip(MAX_SECONDS);
        Book memory before = book();
        Settlement[] memory settlements = new Settlement[](parts);
        uint256 paid;
        for (uint256 i = 0; i < parts; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            paid += bound(seed, 1, (MAX_SECONDS - paid) / (parts - i));
            settlements[i] = aSettlement(order, uint32(paid), false);
        }
        market.settle(settlements);

        vm.assertEq(leaseOf(order).paidSeconds, paid, "all parts are paid");
        vm.assertEq(book().provider - before.provider, earned(order, paid), "E of the sum");
        vm.assertEq(book().volumePaid - before.volumePaid, earned(order, paid), "and so says the volume");
        assertExact();
    }

    /// @notice A12: second by second, no part is off by more than the unit that the others make up for.
    function testA12SecondBySecond() external {
        Order memory order = serve(aFreeOrder(1));
        skip(200);
        Book memory before = book();
        for (uint32 paid = 1; paid <= 200; ++paid) {
            pay(order, paid);
            vm.assertEq(book().provider - before.provider, earned(order, paid), "E at every second");
        }
    }

    /// @notice A12: at the lowest price there is, what has not earned a whole unit stays the client's.
    function testA12LowestPrice() external {
        Order memory order = servedAt(1, 1, 3_601);
        skip(3_599);
        Book memory before = book();
        pay(order, 3_599);
        vm.assertEq(book().provider, before.provider, "less than a unit");
        skip(1);
        pay(order, 3_600);
        vm.assertEq(book().provider, before.provider + 1, "a unit");
        skip(1);
        settle(aSettlement(order, 3_601, true));

        vm.assertEq(book().client, before.client + 1, "of the two that were locked, one comes back");
        assertExact();
    }

    /// @notice A12: a lease that can never earn a unit locks one, and gives it back.
    function testA12LeaseThatEarnsNothing() external {
        uint256 before = market.balanceOf(client);
        Order memory order = servedAt(1, 1, 60);
        vm.assertEq(market.balanceOf(client), before - 1, "T is rounded up");
        skip(60);
        settle(aSettlement(order, 60, true));

        vm.assertEq(market.balanceOf(client), before, "E is rounded down");
        assertExact();
    }

    /// @notice A12: a free lease locks nothing of the client's, and its bond is the floor.
    function testA12FreeLease() external {
        Book memory before = book();
        Order memory order = servedAt(0, 1, 600);
        vm.assertEq(book().client, before.client, "T is 0");
        vm.assertEq(book().provider, before.provider - BOND_FLOOR, "B is the floor");
        skip(600 + CLAIM_GRACE);
        market.expire(order);

        vm.assertEq(book().client, before.client, "no more compensation than T");
        vm.assertEq(book().provider, before.provider, "the bond is back");
        assertExact();
    }

    /// @notice A12: a bond above T compensates with T, and the provider keeps the rest.
    function testA12CompensationIsAtMostT() external {
        Book memory before = book();
        Order memory order = servedAt(3_600, 1, 100);
        skip(100 + CLAIM_GRACE);
        market.expire(order);

        vm.assertEq(book().client, before.client + 100, "T once more");
        vm.assertEq(book().provider, before.provider - 100, "out of the bond");
        assertExact();
    }

    /// @notice A12: a ruling over an odd bond gives the odd unit to the winner.
    function testA12OddBond() external {
        Order memory order = oddBond();
        uint256 stake = bond(order);
        vm.assertEq(stake % 2, 1, "odd");
        skip(START_GRACE);
        dispute(order);
        Book memory before = book();
        rule(order, 0, true);

        vm.assertEq(market.balanceOf(arbiter), stake / 2, "the arbiter's half is rounded down");
        vm.assertEq(book().client - before.client, total(order) + 2 * stake - stake / 2, "the winner has the rest");
        assertExact();
    }

    /// @notice A12: a lapse over an odd number of seconds rounds to the client.
    function testA12OddLapse() external {
        Order memory order = serve(aFreeOrder(1));
        skip(1_001);
        dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);

        vm.assertEq(leaseOf(order).paidSeconds, 500, "half, rounded down");
        assertExact();
    }

    /// @notice A12: what a client gains by cutting one lease into many is less than a unit for each, and none of it comes from others.
    function testA12ManySmallLeasesInsteadOfOne(uint256 seconds_) external {
        seconds_ = bound(seconds_, 60, 300);
        uint256 before = market.balanceOf(provider);
        for (uint256 i = 0; i < 8; ++i) {
            serve(aFreeOrder(i));
        }
        skip(seconds_);
        for (uint256 i = 0; i < 8; ++i) {
            terminate(served[i]);
        }
        uint256 income = market.balanceOf(provider) - before;

        uint256 whole = uint256(PRICE) * 8 * seconds_ / 3600;
        vm.assertLe(whole - income, 7, "less than a unit a lease");
        assertExact();
    }

    /// @notice A12: settle, terminate and claim pay the same for the same seconds.
    function testA12EveryExitPaysTheSame(uint256 seconds_) external {
        seconds_ = bound(seconds_, 60, MAX_SECONDS);
        uint256[3] memory incomes;
        for (uint256 how = 0; how < 3; ++how) {
            uint256 state = vm.snapshotState();
            Order memory order = serve(aFreeOrder(1));
            Book memory before = book();
            skip(seconds_);
            if (how == 0) settle(aSettlement(order, uint32(seconds_), true));
            if (how == 1) terminate(order);
            if (how == 2) claim(order, uint32(seconds_));
            if (how == 2) skip(CHALLENGE_WINDOW);
            if (how == 2) finalize(order);
            incomes[how] = book().provider - before.provider - bond(order);
            vm.revertToState(state);
        }

        vm.assertEq(incomes[0], incomes[1], "settle and terminate");
        vm.assertEq(incomes[1], incomes[2], "terminate and claim");
    }

    /// @notice A12, P-04: a bond share of all is T, and of nothing the floor, to the unit.
    function testA12BondShares() external {
        uint16[4] memory shares = [uint16(0), 1, 9_999, 10_000];
        for (uint256 i = 0; i < shares.length; ++i) {
            vm.prank(provider);
            offer = market.list(CLASS, GPUS, shares[i], PRICE, 60, uint40(NOW + 1 days), arbiter, "");
            Order memory order = anOrder(i);
            order.minBondBps = shares[i];
            order.gpus = 8;
            uint256 before = market.balanceOf(provider);
            open(aFill(order));
            served.push(order);
            uint256 share = total(order) * shares[i] / 10_000;
            vm.assertEq(before - market.balanceOf(provider), share < BOND_FLOOR ? BOND_FLOOR : share, "B");
        }
        assertExact();
    }

    function servedAt(uint80 price, uint16 gpus, uint32 seconds_) private returns (Order memory order) {
        vm.prank(provider);
        market.reprice(offer, price, uint40(NOW + 1 days));
        order = aFreeOrder(price);
        (order.maxPrice, order.gpus, order.maxSeconds) = (price, gpus, seconds_);
        if (order.minSeconds > seconds_) order.minSeconds = seconds_;
        openAs(client, aFillAt(order, price));
        served.push(order);
        vm.assertEq(leaseOf(order).openedAt, timestamp(), "served");
    }

    /// A lease whose bond is an odd number of units.
    function oddBond() private returns (Order memory order) {
        order = anOrder(1);
        order.gpus = 8;
        while (bond(order) % 2 == 0) --order.maxSeconds;
        serve(order);
    }
}
