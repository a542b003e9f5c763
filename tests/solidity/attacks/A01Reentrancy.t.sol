// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Fill, Order, Settlement} from "../../../contracts/interfaces/IComputeMarket.sol";
import {CallingBackToken} from "../tokens/CallingBackToken.sol";
import {TokenTest} from "./TokenTest.sol";

/// @notice A1: from every external call that the market makes, a call back into every verb. The token is the account that calls back: it is client,
/// provider, arbiter and payee of leases, so that each call would be taken at any other moment, which each test shows first.
contract ReentrancyAttack is TokenTest {
    // transferFrom, before and after it moved; permit; transferFrom after a permit; receiveWithAuthorization; transfer, before and after it moved.
    uint256 private constant PLACES = 7;

    CallingBackToken private token;
    address private actor;
    uint40 private ownOffer;

    function setUp() public override {
        super.setUp();
        token = new CallingBackToken();
        actor = address(token);
        crowd.push(actor);
        use(actor, PRICE);
        uint256 amount = 100 * uint256(price);
        address[4] memory accounts = [client, provider, payee, actor];
        for (uint256 i = 0; i < accounts.length; ++i) {
            fund(accounts[i], amount);
            token.mint(accounts[i], 1_000);
            approve(accounts[i], 1_000);
        }
        offer = listed(provider, actor);
        ownOffer = listed(actor, arbiter);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- each verb

    /// @notice A1: no external call can be used to deposit again: one arrival would count twice.
    function testA01NoCallBackIntoDeposit() external {
        assertNoWayBack(abi.encodeCall(market.deposit, (actor, 100)));
    }

    /// @notice A1: no external call can be used to deposit with a permit.
    function testA01NoCallBackIntoDepositWithPermit() external {
        assertNoWayBack(abi.encodeCall(market.depositWithPermit, (actor, 100, 0, 27, "", "")));
    }

    /// @notice A1: no external call can be used to deposit with an authorization.
    function testA01NoCallBackIntoDepositWithAuthorization() external {
        assertNoWayBack(abi.encodeCall(market.depositWithAuthorization, (actor, 100, 0, 0, "", 27, "", "")));
    }

    /// @notice A1: no external call can be used to withdraw again.
    function testA01NoCallBackIntoWithdraw() external {
        assertNoWayBack(abi.encodeCall(market.withdraw, (actor, 100)));
    }

    /// @notice A1: no external call can be used to authorize a delegate.
    function testA01NoCallBackIntoAuthorize() external {
        assertNoWayBack(abi.encodeCall(market.authorize, (delegate, 1, type(uint40).max)));
    }

    /// @notice A1: no external call can be used to list an offer.
    function testA01NoCallBackIntoList() external {
        assertNoWayBack(abi.encodeCall(market.list, (CLASS, GPUS, BOND_BPS, price, 0, uint40(NOW + 1), arbiter, "")));
    }

    /// @notice A1: no external call can be used to reprice an offer.
    function testA01NoCallBackIntoReprice() external {
        assertNoWayBack(abi.encodeCall(market.reprice, (ownOffer, 1, 1)));
    }

    /// @notice A1: no external call can be used to open a lease.
    function testA01NoCallBackIntoOpen() external {
        Fill[] memory fills = new Fill[](1);
        fills[0] = Fill(ordered(1, actor, actor), offer, price, "");
        served.push(fills[0].order);
        assertNoWayBack(abi.encodeCall(market.open, (fills, ROUND)));
        vm.assertEq(uint8(statusOf(fills[0].order)), 0, "it was not opened");
    }

    /// @notice A1: no external call can be used to cancel an order.
    function testA01NoCallBackIntoCancel() external {
        assertNoWayBack(abi.encodeCall(market.cancel, (ordered(1, actor, actor))));
    }

    /// @notice A1: no external call can be used to settle a receipt.
    function testA01NoCallBackIntoSettle() external {
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = Settlement(opened(1, actor, offer), 60, RESULT, false, "", "");
        assertNoWayBack(abi.encodeCall(market.settle, (settlements)));
    }

    /// @notice A1: no external call can be used to claim.
    function testA01NoCallBackIntoClaim() external {
        Order memory order = opened(1, client, ownOffer);
        skip(600);
        assertNoWayBack(abi.encodeCall(market.claim, (order, 600, RESULT)));
    }

    /// @notice A1: no external call can be used to finalize a claim.
    function testA01NoCallBackIntoFinalize() external {
        Order[] memory orders = new Order[](1);
        orders[0] = opened(1, client, ownOffer);
        skip(600);
        vm.prank(actor);
        market.claim(orders[0], 600, RESULT);
        skip(CHALLENGE_WINDOW);
        assertNoWayBack(abi.encodeCall(market.finalize, (orders)));
    }

    /// @notice A1: no external call can be used to terminate a lease.
    function testA01NoCallBackIntoTerminate() external {
        assertNoWayBack(abi.encodeCall(market.terminate, (opened(1, actor, offer))));
    }

    /// @notice A1: no external call can be used to decline a lease.
    function testA01NoCallBackIntoDecline() external {
        assertNoWayBack(abi.encodeCall(market.decline, (opened(1, client, ownOffer))));
    }

    /// @notice A1: no external call can be used to expire a lease.
    function testA01NoCallBackIntoExpire() external {
        Order memory order = opened(1, client, ownOffer);
        skip(MAX_SECONDS + CLAIM_GRACE);
        assertNoWayBack(abi.encodeCall(market.expire, (order)));
    }

    /// @notice A1: no external call can be used to dispute a lease.
    function testA01NoCallBackIntoDispute() external {
        Order memory order = opened(1, actor, offer);
        skip(START_GRACE);
        assertNoWayBack(abi.encodeCall(market.dispute, (order)));
    }

    /// @notice A1: no external call can be used to rule.
    function testA01NoCallBackIntoRule() external {
        Order memory order = opened(1, client, offer);
        skip(START_GRACE);
        dispute(order);
        assertNoWayBack(abi.encodeCall(market.rule, (order, 1, true)));
    }

    /// @notice A1: no external call can be used to let a dispute lapse.
    function testA01NoCallBackIntoLapse() external {
        Order memory order = opened(1, client, offer);
        skip(START_GRACE);
        dispute(order);
        skip(RULING_WINDOW);
        assertNoWayBack(abi.encodeCall(market.lapse, (order)));
    }

    /// @notice A1: no external call can be used to assign a lease's income.
    function testA01NoCallBackIntoAssign() external {
        assertNoWayBack(abi.encodeCall(market.assign, (opened(1, client, ownOffer), payee)));
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- views

    /// @notice A1: who is called in the middle of a withdrawal already sees the balance debited: what the market says it owes, it holds.
    function testA01ViewsDuringAWithdrawal() external {
        uint256 before = market.balanceOf(payee);
        for (uint256 skips = 0; skips < 2; ++skips) {
            token.callBack(address(market), abi.encodeCall(market.balanceOf, (payee)), skips);
            withdraw(payee, payee, 100);
            before -= 100;
            vm.assertEq(abi.decode(token.answer(), (uint256)), before, "debited");
        }
    }

    /// @notice A1: who is called in the middle of a deposit does not see it credited yet: the market never says that it owes more than it holds.
    function testA01ViewsDuringADeposit() external {
        uint256 before = market.balanceOf(payee);
        for (uint256 skips = 0; skips < 2; ++skips) {
            token.callBack(address(market), abi.encodeCall(market.balanceOf, (payee)), skips);
            vm.prank(payee);
            market.deposit(payee, 100);
            vm.assertEq(abi.decode(token.answer(), (uint256)), before, "not credited");
            before += 100;
        }
        vm.assertEq(market.balanceOf(payee), before, "credited afterwards");
    }

    /// @notice A1: a token cannot have one arrival counted twice by sending more to the market while a deposit counts what it holds.
    function testA01ADonationDuringADepositIsCreditedOnce() external {
        uint256 all = token.balanceOf(address(market));
        uint256 owed =
            market.balanceOf(client) + market.balanceOf(provider) + market.balanceOf(payee) + market.balanceOf(actor);
        token.callBack(actor, abi.encodeCall(token.transfer, (address(market), 50)), 0);
        token.mint(address(this), 50);
        vm.prank(payee);
        market.deposit(payee, 100);

        uint256 owes =
            market.balanceOf(client) + market.balanceOf(provider) + market.balanceOf(payee) + market.balanceOf(actor);
        vm.assertTrue(owes - owed <= token.balanceOf(address(market)) - all, "no more is owed than arrived");
    }

    /// @notice A1: the guard lets go: after a call back failed, every verb works as before, in the same transaction.
    function testA01TheGuardLetsGo() external {
        token.callBack(address(market), abi.encodeCall(market.withdraw, (actor, 100)), 0);
        withdraw(payee, payee, 100);
        vm.assertFalse(token.succeeded(), "the call back failed");

        vm.assertTrue(attempt(actor, abi.encodeCall(market.withdraw, (actor, 100))), "later it works");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ the matrix

    /// Shows that `call` works when the actor makes it, and fails from every place where the market calls the token, which goes on undisturbed.
    function assertNoWayBack(bytes memory call) private {
        assertWorks(call);
        for (uint256 place = 0; place < PLACES; ++place) {
            uint256 state = vm.snapshotState();
            comeThrough(place, call);
            vm.assertTrue(token.called(), "it was called back");
            vm.assertFalse(token.succeeded(), "and the market did not take it");
            vm.assertEq(
                bytes32(token.answer()),
                bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
                "because of the guard"
            );
            vm.revertToState(state);
        }
        assertNoWayBackFromSignatures(call);
    }

    function assertWorks(bytes memory call) private {
        uint256 state = vm.snapshotState();
        vm.record();
        vm.assertTrue(attempt(actor, call), "the call works by itself");
        (, bytes32[] memory writes) = vm.accesses(address(market));
        vm.assertTrue(writes.length != 0, "and has an effect");
        assertExact();
        vm.revertToState(state);
    }

    function comeThrough(uint256 place, bytes memory call) private {
        uint256[7] memory skips = [uint256(0), 1, 0, 1, 0, 0, 1];
        token.callBack(address(market), call, skips[place]);
        vm.startPrank(payee);
        if (place < 2) market.deposit(payee, 100);
        else if (place < 4) market.depositWithPermit(payee, 100, 0, 27, "", "");
        else if (place < 5) market.depositWithAuthorization(payee, 100, 0, 0, "", 27, "", "");
        else market.withdraw(payee, 100);
        vm.stopPrank();
    }

    /// Where a signature is asked for, the call is static: the token agrees only if its call back failed, so that agreeing shows it.
    function assertNoWayBackFromSignatures(bytes memory call) private {
        uint256 state = vm.snapshotState();
        Order memory order = ordered(77, actor, actor);
        token.callBack(address(market), call, 0);
        openAs(stranger, Fill(order, offer, price, ""));
        vm.assertEq(uint8(statusOf(order)), 1, "asked at an opening, it could not call back");

        settleAs(provider, Settlement(order, 60, RESULT, false, "", ""));
        vm.assertEq(leaseOf(order).paidSeconds, 60, "asked about the client's receipt, it could not call back");

        token.callBack(address(0), "", 0);
        order = opened(78, client, ownOffer);
        token.callBack(address(market), call, 0);
        settleAs(client, Settlement(order, 60, RESULT, true, "", ""));
        vm.assertEq(uint8(statusOf(order)), 4, "asked about the provider's receipt, it could not call back");
        vm.revertToState(state);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function listed(address who, address judge) private returns (uint40) {
        vm.prank(who);
        return market.list(CLASS, GPUS, BOND_BPS, price, 60, uint40(NOW + 90 days), judge, "");
    }

    function ordered(uint256 salt, address who, address judge) private view returns (Order memory order) {
        order = aFreeOrder(salt);
        (order.client, order.arbiter, order.acceptor) = (who, judge, address(0));
        order.expiresAt = uint40(NOW + 60 days);
    }

    /// A lease of `who` on `number`, opened by the client itself.
    function opened(uint256 salt, address who, uint40 number) private returns (Order memory order) {
        order = ordered(salt, who, market.offerOf(number).arbiter);
        openAs(who, Fill(order, number, price, ""));
        vm.assertEq(uint8(statusOf(order)), 1, "the order opens");
        served.push(order);
    }
}
