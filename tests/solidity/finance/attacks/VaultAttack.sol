// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {NaiveVault} from "../NaiveVault.sol";
import {VaultTest} from "../VaultTest.sol";

/// @notice What the attacks on vaults share: a naive vault beside ours, with as much in it, and a thief with two keys.
/// @dev The classes: B01 lending to oneself, B06 inflated shares, B07 running before a loss, B08 calling back, B09 blacklists, B13 rounding, B14 covers that
/// go, B19 refreshing into a good standing, B20 extremes.
abstract contract VaultAttack is VaultTest {
    uint256 internal constant THIEF_KEY = 0x7A1EF;
    address internal thief = vm.addr(THIEF_KEY);
    NaiveVault internal naive;

    function setUp() public virtual override {
        super.setUp();
        naive = new NaiveVault(market, dollar);
        enterNaive(alice, 10_000 * DOLLAR);
        enterNaive(bob, 10_000 * DOLLAR);
    }

    function enterNaive(address who, uint256 assets) internal returns (uint256 shares) {
        dollar.mint(who, assets);
        vm.startPrank(who);
        dollar.approve(address(naive), assets);
        shares = naive.deposit(assets);
        vm.stopPrank();
    }

    /// @notice A month of the provider's, which is a key, assigned to the naive vault.
    function naiveMonth(address asClient, uint256 key) internal returns (Order memory order) {
        deposit(provider, 5_000 * DOLLAR);
        offer = list(provider);
        order = aMonth();
        order.client = asClient;
        openAs(opener, aFillSignedBy(order, key));
        skip(START_GRACE);
        vm.prank(provider);
        market.assign(order, address(naive));
    }

    function aFillSignedBy(Order memory order, uint256 key) internal view returns (Fill memory fill) {
        fill = aFill(order);
        fill.signature = sign(key, market.orderId(order));
    }

    /// @notice All that somebody has in the world, shares at the price of now.
    function wealthOf(address who) internal view returns (uint256) {
        return dollar.balanceOf(who) + market.balanceOf(who) + vault.creditOf(who) + vault.maxWithdraw(who)
            + vault.convertToAssets(vault.balanceOf(who) + vault.pendingRedeemRequest(0, who));
    }
}
