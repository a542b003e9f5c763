// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, LoanState} from "../../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {VaultAttack} from "./VaultAttack.sol";

/// @notice B19: a verb that anybody may call moves somebody into a standing that only a decision should give.
contract B19RefreshersAttack is VaultAttack {
    /// @notice The naive vault's refresh approves whatever was asked for.
    function testTheNaiveVaultApprovesWhoeverIsRefreshed() external {
        Order memory order = naiveMonth(client, CLIENT_KEY);
        vm.startPrank(provider);
        uint256 number = naive.request(order, address(0));
        vm.expectRevert();
        naive.draw(number);
        naive.refresh(number);
        naive.draw(number);
        vm.stopPrank();
        vm.assertTrue(naive.lent() != 0, "nobody approved it");
    }

    /// @notice Here a standing is derived when it is asked for: no public verb makes a loan of nothing, nor a good one of a bad one.
    function testHereNoPublicVerbChangesAStanding() external {
        vm.startPrank(thief);
        for (uint256 number = 0; number < 3; ++number) {
            vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, number));
            vault.collect(number);
            vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, number));
            vault.resolve(number);
            vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, number));
            vault.recover(number);
            vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, number));
            vault.repay(number, 0);
        }
        vm.stopPrank();
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        disputeNow(order);
        vault.collect(loan);
        vm.assertTrue(vault.isImpaired(), "collecting heals nothing");
        rule(order, 0, true);
        vault.collect(loan);
        vm.assertTrue(vault.isImpaired(), "nor does it now");
        vault.resolve(loan);
        vault.recover(loan);
        assertState(loan, LoanState.WrittenOff, "and recovering nothing forgives nothing");
    }
}
