// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, IComputeMarket, Order} from "../../../contracts/interfaces/IComputeMarket.sol";
import {ITestDollar} from "../MarketTest.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A market of any token, and the whole life of eight leases in it: each leaves by another exit.
abstract contract TokenTest is AttackTest {
    uint80 internal price;
    uint256 internal floor;

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    /// @notice Moves the test to a market of `token`, at `pricePerGpuHour`.
    function use(address token, uint80 pricePerGpuHour) internal {
        price = pricePerGpuHour;
        floor = pricePerGpuHour / 5;
        dollar = ITestDollar(token);
        bytes memory arguments = abi.encode(token, START_GRACE, CLAIM_GRACE, CHALLENGE_WINDOW, RULING_WINDOW, floor);
        market = IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", arguments));
    }

    /// @notice Mints and deposits, and says what was credited.
    function fund(address account, uint256 amount) internal returns (uint256 credited) {
        credited = market.balanceOf(account);
        dollar.mint(account, amount);
        approve(account, amount);
        vm.prank(account);
        market.deposit(account, amount);
        credited = market.balanceOf(account) - credited;
    }

    /// @notice Without looking at what the token answers.
    function approve(address account, uint256 amount) internal {
        vm.prank(account);
        (bool done,) = address(dollar).call(abi.encodeCall(dollar.approve, (address(market), amount)));
        vm.assertTrue(done, "approved");
    }

    function listAtPrice() internal {
        vm.prank(provider);
        offer = market.list(CLASS, GPUS, BOND_BPS, price, 60, uint40(NOW + 30 days), arbiter, "");
    }

    function serveAtPrice(uint256 salt) internal returns (Order memory order) {
        order = aFreeOrder(salt);
        order.maxPrice = price;
        Fill memory fill = aFill(order);
        fill.price = price;
        openAs(opener, fill);
        served.push(order);
    }

    function pays(uint256 usedSeconds) internal view returns (uint256) {
        return uint256(price) * usedSeconds / 3600;
    }

    function totalLock() internal view returns (uint256) {
        return (uint256(price) * MAX_SECONDS + 3599) / 3600;
    }

    function bondLock() internal view returns (uint256) {
        uint256 share = totalLock() * BOND_BPS / 10_000;
        return share < floor ? floor : share;
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- the life

    /// @notice Funds both, lives through every exit, and withdraws everything: every unit ends where the exit table says.
    function liveAndWithdraw() internal {
        uint256 amount = 20 * uint256(price);
        vm.assertEq(fund(client, amount), amount, "the client's deposit is credited");
        vm.assertEq(fund(provider, amount), amount, "the provider's deposit is credited");

        liveThrough();
        assertLedger(amount, amount);

        address[3] memory accounts = [client, provider, arbiter];
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 expected = dollar.balanceOf(accounts[i]) + market.balanceOf(accounts[i]);
            withdrawAll(accounts[i]);
            vm.assertEq(dollar.balanceOf(accounts[i]), expected, "what was withdrawn arrived");
        }
        vm.assertEq(dollar.balanceOf(address(market)), 0, "nothing is left in the market");
    }

    /// @notice Eight leases of one GPU, each to another exit.
    function liveThrough() internal {
        listAtPrice();
        Order[] memory orders = new Order[](8);
        for (uint256 i = 0; i < orders.length; ++i) {
            orders[i] = serveAtPrice(i);
        }
        assertExact();

        decline(orders[7]);
        vm.warp(NOW + 1_000);
        settle(aSettlement(orders[0], 1_000, true));
        terminate(orders[1]);
        for (uint256 i = 2; i < 5; ++i) {
            dispute(orders[i]);
        }
        claim(orders[5], 900);
        assertExact();
        rule(orders[2], 500, true);
        rule(orders[3], 700, false);
        assertExact();
        vm.warp(NOW + 10 days);
        finalize(orders[5]);
        market.expire(orders[6]);
        market.lapse(orders[4]);
        assertExact();
        assertCapacity();
    }

    /// @notice The exit table, summed up over the eight.
    function assertLedger(uint256 clientStart, uint256 providerStart) internal view {
        uint256 income = 2 * pays(1_000) + pays(500) + pays(700) + pays(500) + pays(900);
        uint256 bond = bondLock();
        uint256 compensation = bond < totalLock() ? bond : totalLock();

        vm.assertEq(
            market.balanceOf(client), clientStart - income - bond / 2 + compensation, "the client's (won one, lost one)"
        );
        vm.assertEq(
            market.balanceOf(provider),
            providerStart + income - bond / 2 - compensation,
            "the provider's (won one, lost one)"
        );
        vm.assertEq(market.balanceOf(arbiter), 2 * (bond / 2), "the arbiter's two fees");
    }
}
