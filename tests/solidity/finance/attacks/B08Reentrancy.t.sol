// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {CallingDollar, IPaid} from "../BlacklistingDollar.sol";
import {ITestDollar} from "../../MarketTest.sol";
import {NaiveVault} from "../NaiveVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B08: the token calls back in the middle of a payment, into the vault, or to read its price.
contract B08ReentrancyAttack is VaultAttack, IPaid {
    bytes private _again;
    address private _target;
    uint256 private _calls;
    bool private _wasDone;
    uint256 private _seen;

    function setUp() public override {
        vm.warp(NOW);
        dollar = ITestDollar(address(new CallingDollar()));
        market = deployMarket(address(dollar));
        setUpVault();
        naive = new NaiveVault(market, dollar);
        enterNaive(alice, 10_000 * DOLLAR);
        enterNaive(address(this), 1_000 * DOLLAR);
    }

    function paid(address, address) external {
        if (_calls == 0) return;
        --_calls;
        _seen = vault.totalAssets();
        if (_target != address(0)) (_wasDone,) = _target.call(_again);
    }

    function listen(address target, bytes memory again) private {
        (_target, _again, _calls, _wasDone) = (target, again, 1, false);
        CallingDollar(address(dollar)).tell(address(this));
    }

    /// @notice The naive vault pays twice for the same shares.
    function testTheNaiveVaultPaysTwice() external {
        uint256 shares = naive.sharesOf(address(this));
        listen(address(naive), abi.encodeCall(NaiveVault.withdraw, (shares)));
        naive.withdraw(shares);
        vm.assertTrue(_wasDone, "it pays again");
        vm.assertTrue(dollar.balanceOf(address(this)) > 1_900 * DOLLAR, "nearly twice what was deposited");
    }

    /// @notice Here every verb that moves money refuses to be called from within one.
    function testHereNothingIsCalledFromWithin() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        skip(1 days);
        pay(order, 2 days);
        bytes[7] memory inner = [
            abi.encodeCall(vault.collect, (loan)),
            abi.encodeCall(vault.process, ()),
            abi.encodeCall(vault.takeCredit, (address(this))),
            abi.encodeCall(vault.deposit, (1, address(this))),
            abi.encodeCall(vault.requestRedeem, (0, address(this), address(this))),
            abi.encodeCall(vault.resolve, (loan)),
            abi.encodeCall(vault.unback, (bytes32(0)))
        ];
        for (uint256 i = 0; i < inner.length; ++i) {
            pay(order, uint32(2 days + 1 + i));
            listen(address(vault), inner[i]);
            vault.collect(loan);
            vm.assertFalse(_wasDone, "refused");
        }
    }

    /// @notice Read-only: the price that somebody sees from within is the one before, or the one after; for `collect` both are one.
    function testThePriceFromWithinIsNoOther() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        skip(1 days);
        pay(order, 2 days);
        uint256 before = vault.totalAssets();
        listen(address(0), "");
        vault.collect(loan);
        vm.assertEq(_seen, before, "in the middle of collect");
        vm.assertEq(vault.totalAssets(), before, "and after it");

        leave(alice, vault.balanceOf(alice));
        fillQueue();
        before = vault.totalAssets();
        listen(address(0), "");
        vm.startPrank(alice);
        vault.withdraw(DOLLAR, alice, alice);
        vm.stopPrank();
        vm.assertEq(_seen, before, "in the middle of an exit");
    }
}
