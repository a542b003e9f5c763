// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Refusal, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Cancelling an order, before and while it is served.
contract CancelTest is MarketTest {
    /// @notice An order that was never opened is closed by its client, for good.
    function testCancelOfAnUnopenedOrderClosesIt() external {
        Order memory order = anOrder();
        bytes32 id = market.orderId(order);

        vm.prank(client);
        vm.expectEmit(address(market));
        emit IComputeMarket.OrderCancelled(id, client);
        market.cancel(order);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
        vm.assertEq(market.payeeOf(market.orderId(order)), address(0), "no payee");
        assertRefused(aFill(order), Refusal.OrderClosed);
    }

    /// @notice The acceptor acts for the client's side.
    function testCancelByTheAcceptor() external {
        Order memory order = anOrder();

        vm.prank(acceptor);
        market.cancel(order);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    /// @notice An open lease goes on, but is not opened again.
    function testCancelOfAnOpenLeaseLetsItGoOn() external {
        Order memory order = anOrder();
        open(order);
        Book memory before = book();

        vm.prank(client);
        market.cancel(order);

        vm.assertEq(keccak256(abi.encode(book())), keccak256(abi.encode(before)), "nothing moves");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "still open");
        vm.assertTrue(leaseOf(order).noReopen, "not to be opened again");
        skip(100);
        settle(aSettlement(order, 100, true));
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "and settles as ever");
    }

    /// @notice A declined order that was cancelled while open is closed.
    function testDeclineAfterCancelCloses() external {
        Order memory order = anOrder();
        Book memory before = book();
        bytes32 id = open(order);
        vm.prank(client);
        market.cancel(order);
        Book memory opened = book();

        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseDeclined(id, Status.Closed, total(order), bond(order));
        market.decline(order);

        assertExit(opened, order, total(order), bond(order), 0, 0);
        vm.assertEq(before.client - book().client, TIP, "only the tip is gone");
        skip(1);
        assertRefused(aFill(order), Refusal.OrderClosed);
    }

    /// @notice A declined order may be cancelled before anybody opens it again.
    function testCancelOfADeclinedOrderClosesIt() external {
        Order memory order = anOrder();
        open(order);
        vm.prank(provider);
        market.decline(order);

        vm.prank(client);
        market.cancel(order);

        skip(1);
        assertRefused(aFill(order), Refusal.OrderClosed);
    }

    /// @notice A claimed lease and a closed one cannot be cancelled.
    function testCancelAfterTheClaimReverts() external {
        Order memory order = anOrder();
        bytes32 id = open(order);
        skip(MIN_SECONDS);
        claim(order, 1);
        assertCancelReverts(order, abi.encodeWithSelector(IComputeMarket.NotCancellable.selector, id, Status.Claimed));

        skip(CHALLENGE_WINDOW);
        finalize(order);
        assertCancelReverts(order, abi.encodeWithSelector(IComputeMarket.NotCancellable.selector, id, Status.Closed));
    }

    /// @notice Nobody else cancels; an absent acceptor is nobody.
    function testCancelByAnybodyElseReverts() external {
        Order memory order = anOrder();
        address[3] memory others = [provider, opener, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotClientSide.selector, others[i], client, acceptor));
            market.cancel(order);
        }

        order.acceptor = address(0);
        vm.prank(address(0));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotClientSide.selector, address(0), client, address(0)));
        market.cancel(order);
    }

    function assertCancelReverts(Order memory order, bytes memory reason) private {
        vm.prank(client);
        vm.expectRevert(reason);
        market.cancel(order);
    }
}
