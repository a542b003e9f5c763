// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {BlacklistToken} from "../tokens/MovingTokens.sol";
import {TokenTest} from "./TokenTest.sol";

/// @notice A4, P-06: one account that the token blocks never stops another's money, and can have its own paid elsewhere.
contract BlacklistsAttack is TokenTest {
    BlacklistToken private token;
    uint256 private amount;

    function setUp() public override {
        super.setUp();
        token = new BlacklistToken();
        use(address(token), PRICE);
        amount = 20 * uint256(price);
        fund(client, amount);
        fund(provider, amount);
    }

    /// @notice A4: every exit works with a blocked client, and the provider is paid.
    function testA04BlacklistedClientDoesNotBlockTheProvider() external {
        token.setBlocked(client, true);
        liveThrough();
        assertLedger(amount, amount);

        uint256 balance = withdrawAll(provider);
        vm.assertEq(token.balanceOf(provider), balance, "the provider is paid");
    }

    /// @notice A4: every exit works with a blocked provider, and the client gets its money back.
    function testA04BlacklistedProviderDoesNotBlockTheClient() external {
        token.setBlocked(provider, true);
        liveThrough();
        assertLedger(amount, amount);

        uint256 balance = withdrawAll(client);
        vm.assertEq(token.balanceOf(client), balance, "the client is paid");
    }

    /// @notice A4: a blocked arbiter rules, and both sides get what it decided.
    function testA04BlacklistedArbiterDoesNotBlockARuling() external {
        token.setBlocked(arbiter, true);
        liveThrough();
        assertLedger(amount, amount);

        withdrawAll(client);
        withdrawAll(provider);
        vm.assertEq(token.balanceOf(address(market)), market.balanceOf(arbiter), "only its own fee waits for it");
    }

    /// @notice A4: a blocked acceptor, which staked a dispute, does not block the lapse.
    function testA04BlacklistedDisputerDoesNotBlockALapse() external {
        listAtPrice();
        fund(acceptor, amount);
        Order memory order = serveAtPrice(1);
        skip(START_GRACE);
        vm.prank(acceptor);
        market.dispute(order);
        token.setBlocked(acceptor, true);

        skip(RULING_WINDOW);
        market.lapse(order);

        assertStatus(order, Status.Closed, "closed");
        vm.assertEq(market.balanceOf(acceptor), amount, "its stake is back");
    }

    /// @notice A4: a payee that is blocked does not block the exit, nor what the others get.
    function testA04BlacklistedPayeeDoesNotBlockAnExit() external {
        listAtPrice();
        Order memory order = serveAtPrice(1);
        assign(order, provider, payee);
        token.setBlocked(payee, true);
        skip(600);
        settle(aSettlement(order, 600, true));

        vm.assertEq(market.balanceOf(payee), pays(600), "the payee's is credited");
        vm.assertEq(withdrawAll(provider), amount, "the provider's bond is out");
        vm.assertEq(withdrawAll(client), amount - pays(600), "the client's rest is out");
    }

    /// @notice A4: an opener that is blocked opens, and its tip waits for it.
    function testA04BlacklistedOpenerDoesNotBlockAnOpening() external {
        listAtPrice();
        token.setBlocked(opener, true);
        Order memory order = anOrder(1);
        open(aFillAt(order, price));

        assertStatus(order, Status.Open, "open");
        vm.assertEq(market.balanceOf(opener), TIP, "its tip is credited");
    }

    /// @notice A4, P-06: a blocked account names another address to be paid at.
    function testA04BlacklistedAccountWithdrawsElsewhere() external {
        token.setBlocked(client, true);
        vm.assertFalse(attempt(client, abi.encodeCall(market.withdraw, (client, amount))), "not to itself");

        withdraw(client, payee, amount);

        vm.assertEq(token.balanceOf(payee), amount, "paid elsewhere");
        vm.assertEq(market.balanceOf(client), 0, "and debited once");
    }

    /// @notice A4: one failed withdrawal takes nothing from the account, nor from the next one's.
    function testA04AFailedWithdrawalTakesNothing() external {
        token.setBlocked(client, true);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertFalse(attempt(client, abi.encodeCall(market.withdraw, (client, amount))), "blocked");
        }

        vm.assertEq(market.balanceOf(client), amount, "its balance is whole");
        vm.assertEq(withdrawAll(provider), amount, "and so is the provider's");
    }

    /// @notice A4, A15: with the market itself blocked every exit still works, and once it is not any more, everybody is paid.
    function testA04BlacklistedMarketFreezesWithdrawalsOnly() external {
        token.setBlocked(address(market), true);
        liveThrough();
        assertLedger(amount, amount);
        vm.assertFalse(attempt(client, abi.encodeCall(market.withdraw, (client, 1))), "frozen");

        token.setBlocked(address(market), false);
        withdrawAll(client);
        withdrawAll(provider);
        withdrawAll(arbiter);
        vm.assertEq(token.balanceOf(address(market)), 0, "everybody is paid");
    }

    /// @notice A4: what a blocked account is sent as a deposit by others it can still use to open leases with.
    function testA04BlacklistedClientCanStillSpend() external {
        listAtPrice();
        token.setBlocked(client, true);
        Order memory order = serveAtPrice(1);

        assertStatus(order, Status.Open, "its balance is the market's ledger");
    }
}
