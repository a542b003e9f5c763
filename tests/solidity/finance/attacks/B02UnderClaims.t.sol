// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B02: a provider that has its money already gives its income back to its client.
contract UnderClaimsAttack is NaiveTest {
    uint256 private constant OWED = 6_000 * DOLLAR;

    /// @notice B02: by a claim of 0, a receipt over 0, and a decline, a naive company's lender is left with nothing.
    function testB02ANaiveCompanyGivesItAway() external {
        Order memory order = naiveMonth();
        uint256 state = vm.snapshotState();
        skip(GUARANTEED);
        naiveCall(abi.encodeCall(IComputeMarket.claim, (order, 0, RESULT)));
        skip(CHALLENGE_WINDOW);
        finalize(order);
        assertLenderHasNothing();

        vm.revertToState(state);
        skip(25 days);
        settle(naivelyAgreed(order, 0));
        assertStatus(order, Status.Closed, "a receipt over nothing");
        assertLenderHasNothing();

        vm.revertToState(state);
        naiveCall(abi.encodeCall(IComputeMarket.decline, (order)));
        assertLenderHasNothing();
    }

    /// @notice B02, S-3: here each is refused, at any second of the lease.
    function testB02HereItIsRefused(uint32 wait) external {
        Order memory order = emptied();
        skip(bound(wait, 0, MONTH + CLAIM_GRACE - 1));
        vm.expectRevert();
        claimAs(operator, order, 0);
        settle(agreed(order, 0));
        assertStatus(order, Status.Open, "no receipt");
        expectPledged();
        vm.prank(operator);
        spv.decline(order);
    }

    /// @notice B02: after the client cancelled, a decline would close the lease for nothing: refused too.
    function testB02CancelThenDecline() external {
        Order memory order = emptied();
        vm.prank(client);
        market.cancel(order);

        expectPledged();
        vm.prank(operator);
        spv.decline(order);
    }

    /// @notice B02: dispute first, so that the vault's mark is 0, and then both sign 0, or claim: refused.
    function testB02DisputeThenAgreeOnNothing() external {
        Order memory order = emptied();
        skip(25 days);
        dispute(order);
        settle(agreed(order, 0));

        assertStatus(order, Status.Disputed, "still in dispute");
        vm.assertEq(spv.floorOf(order), 25 days - SLACK, "the floor stays");
    }

    /// @notice B02: a serving that was declined is not pledged once the order is served anew: its receipts would have another floor.
    function testB02AStalePledge() external {
        Order memory order = serveMonth();
        bytes32 id = market.orderId(order);
        vm.prank(operator);
        spv.decline(order);
        vm.prank(owner);
        spv.allow(address(vault));
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotServed.selector, id, uint40(NOW)));
        vault.pledge(spv, id, uint40(NOW), order);

        skip(1);
        open(order);
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotServed.selector, id, uint40(NOW)));
        vault.pledge(spv, id, uint40(NOW), order);
    }

    /// @notice A pledged month behind which the company has no free money.
    function emptied() private returns (Order memory order) {
        order = pledgedMonth(OWED);
        vault.pay(spv, market.balanceOf(address(spv)));
    }

    function assertLenderHasNothing() private view {
        vm.assertEq(market.balanceOf(address(naive)), FUNDS, "no income");
    }
}
