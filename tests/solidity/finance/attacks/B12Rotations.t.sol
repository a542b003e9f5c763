// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Refusal, Settlement, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B12: the operator's key changes while receipts that it signed are under way.
contract RotationsAttack is NaiveTest {
    /// @notice B12: whoever stole a naive company's first key still signs for it after the owner named another.
    function testB12ANaiveCompanyKeepsAStolenKey() external {
        Order memory order = naiveMonth();
        naive.addOperator(next);
        settle(naivelyAgreed(order, 0));

        assertStatus(order, Status.Closed, "signed by the stolen key");
    }

    /// @notice B12: here a receipt that the earlier operator signed is void from the rotation on, and the next one signs it anew.
    function testB12HereTheEarlierKeyIsVoid() external {
        Order memory order = serveMonth();
        skip(3 days);
        Settlement memory settlement = agreed(order, 2 days);
        rotate();
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);

        settlement.providerSignature = blobOf(receiptOf(order, 2 days, true), NEXT_KEY);
        settle(settlement);
        assertStatus(order, Status.Closed, "signed by the next key");
    }

    /// @notice B12: the earlier key lists, reprices, claims and declines nothing any more.
    function testB12TheEarlierKeyActsNoMore() external {
        Order memory order = serveMonth();
        rotate();
        operator = next;
        address earlier = vm.addr(OPERATOR_KEY);

        expectNotOperator(earlier);
        claimAs(earlier, order, 0);
        expectNotOperator(earlier);
        vm.prank(earlier);
        spv.reprice(offer, 1, 0);
        expectNotOperator(earlier);
        vm.prank(earlier);
        spv.decline(order);
    }

    /// @notice B12: a rotation loosens no floor: while pledged the next key is bound by it like the one before.
    function testB12ARotationLoosensNoFloor() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        skip(25 days);
        rotate();
        Settlement memory settlement = agreed(order, 0);
        settlement.providerSignature = blobOf(receiptOf(order, 0, true), NEXT_KEY);
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);

        uint32 least = uint32(25 days - SLACK);
        expectBelow(least - 1, least);
        claimAs(next, order, least - 1);
        claimAs(next, order, least);
    }

    /// @notice B12: progress receipts need the client's word only, so none of them is lost to a rotation.
    function testB12ProgressNeedsNoOperator() external {
        Order memory order = serveMonth();
        skip(3 days);
        rotate();
        pay(order, 2 days);

        vm.assertEq(market.balanceOf(address(spv)), FUNDS - bond(order) + earned(order, 2 days), "paid");
    }

    function rotate() private {
        vm.prank(owner);
        spv.setOperator(next);
    }
}
