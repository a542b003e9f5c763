// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {FeeToken, RebasingToken} from "../tokens/MovingTokens.sol";
import {TokenTest} from "./TokenTest.sol";

/// @notice A2: tokens that take a fee or rebase. What arrived is credited (P-01); nobody's balance depends on what the market holds (I-1).
contract MovingMoneyAttack is TokenTest {
    /// @notice A2, P-01: of a token with a fee, what arrived is credited; the whole lifecycle then works, and who withdraws bears the fee.
    function testA02FeeOnTransferThroughTheWholeLifecycle() external {
        FeeToken token = new FeeToken();
        use(address(token), PRICE);
        uint256 amount = 20 * uint256(price);
        uint256 credited = amount - amount / 100;
        vm.assertEq(fund(client, amount), credited, "less the fee");
        vm.assertEq(fund(provider, amount), credited, "less the fee");

        liveThrough();
        assertLedger(credited, credited);

        uint256 balance = withdrawAll(client);
        vm.assertEq(token.balanceOf(client), balance - balance / 100, "the client bears its fee");
        withdrawAll(provider);
        withdrawAll(arbiter);
        vm.assertEq(token.balanceOf(address(market)), 0, "and the market is empty to the unit");
    }

    /// @notice A2: a fee of everything credits nothing, and takes nothing from others.
    function testA02FeeOfEverything() external {
        FeeToken token = new FeeToken();
        use(address(token), PRICE);
        uint256 credited = fund(provider, 1_000);
        token.setFeeBps(10_000);

        vm.assertEq(fund(client, 1_000), 0, "nothing arrived");
        vm.assertEq(market.balanceOf(provider), credited, "the provider's is untouched");
        vm.assertEq(token.balanceOf(address(market)), credited, "and there");
    }

    /// @notice A2: nobody is credited another's money by depositing an amount that does not arrive.
    function testA02FeeIsNotPaidByOthers() external {
        FeeToken token = new FeeToken();
        use(address(token), PRICE);
        fund(provider, 1_000_000);
        for (uint256 i = 0; i < 10; ++i) {
            fund(client, 1_000);
            withdrawAll(client);
        }

        withdrawAll(provider);
        vm.assertEq(token.balanceOf(address(market)), 0, "the provider got all that was its own");
    }

    /// @notice A2: what a token rebases upwards belongs to nobody: the lifecycle pays what was credited, and the surplus stays.
    function testA02RebasingUpThroughTheWholeLifecycle() external {
        RebasingToken token = new RebasingToken();
        use(address(token), PRICE);
        uint256 amount = 20 * uint256(price);
        fund(client, amount);
        fund(provider, amount);
        token.rebase(11_000);
        donated = 2 * amount * 11 / 10 - 2 * amount;

        liveThrough();
        assertLedger(amount, amount);
        vm.assertEq(withdrawAll(client) + withdrawAll(provider) + withdrawAll(arbiter), 2 * amount, "what was credited");
        vm.assertTrue(token.balanceOf(address(market)) >= donated, "the surplus stays");
    }

    /// @notice A2: after a rebase downwards every exit still works; who withdraws last waits until the difference is made good. It is what the market
    /// warns of: such a token is not safe in it.
    function testA02RebasingDownThroughTheWholeLifecycle() external {
        RebasingToken token = new RebasingToken();
        use(address(token), PRICE);
        uint256 amount = 20 * uint256(price);
        fund(client, amount);
        fund(provider, amount);
        listAtPrice();
        Order memory order = serveAtPrice(1);
        token.rebase(9_000);

        skip(600);
        terminate(order);
        vm.assertEq(market.balanceOf(client), amount - pays(600), "the ledger is as ever");
        vm.assertEq(market.balanceOf(provider), amount + pays(600), "for both");

        withdrawAll(client);
        vm.assertFalse(attempt(provider, abi.encodeCall(market.withdraw, (provider, amount))), "too little is left");
        vm.assertEq(market.balanceOf(provider), amount + pays(600), "a failed withdrawal takes nothing");
        token.mint(address(market), amount);
        withdrawAll(provider);
        assertStatus(order, Status.Closed, "closed");
    }

    /// @notice A2: a rebase between two deposits is credited to neither.
    function testA02RebaseBetweenDeposits() external {
        RebasingToken token = new RebasingToken();
        use(address(token), PRICE);
        fund(client, 1_000_000);
        token.rebase(20_000);

        vm.assertEq(fund(provider, 1_000_000), 1_000_000, "what arrived, as the token counts now");
        vm.assertEq(market.balanceOf(client), 1_000_000, "the client's is as it was");
    }
}
