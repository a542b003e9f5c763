// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B10, S-4: at the deadline a lease that nobody claimed goes back to its client, with the bond.
contract CliffsAttack is NaiveTest {
    /// @notice B10: the operator of a naive company is silent, nobody else may claim, and a month's income is gone.
    function testB10ANaiveCompanyFallsOff() external {
        Order memory order = naiveMonth();
        skip(MONTH);
        vm.expectRevert();
        vm.prank(stranger);
        naive.call(abi.encodeCall(IComputeMarket.claim, (order, MONTH, RESULT)));
        skip(CLAIM_GRACE);
        market.expire(order);

        vm.assertEq(market.balanceOf(address(naive)), FUNDS - bond(order), "no income, no bond");
    }

    /// @notice B10: here anybody claims all of it, from the first second to the last.
    function testB10HereAnybodyClaims(uint256 when) external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(bound(when, MONTH, MONTH + CLAIM_GRACE - 1));
        vm.prank(stranger);
        spv.claimDue(order);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        vm.assertEq(market.balanceOf(address(spv)), FUNDS + earned(order, MONTH), "all of it, and the bond");
    }

    /// @notice B10: a second early it is refused, and a second late too: then the cliff is as deep as for anybody, which keepers are for.
    function testB10BothEdges() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH - 1);
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.MeteringNotOver.selector, timestamp(), NOW + MONTH));
        spv.claimDue(order);
        vm.warp(NOW + MONTH + CLAIM_GRACE);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.TooLate.selector, timestamp(), timestamp()));
        spv.claimDue(order);

        market.expire(order);
        vm.assertEq(market.balanceOf(address(spv)), FUNDS - bond(order), "no income, no bond");
    }

    /// @notice B10, S-5: a client that was not served disputes what was claimed for a dead operator, and has what the panel grants.
    function testB10TheClientMayObject() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH);
        spv.claimDue(order);
        skip(CHALLENGE_WINDOW - 1);
        dispute(order);
        ruleAs(panel, order, 11 days, true);

        vm.assertEq(leaseOf(order).paidSeconds, 11 days, "as granted");
    }

    /// @notice B10: nobody claims it again, and nobody undoes the claim.
    function testB10ClaimedOnce() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH);
        spv.claimDue(order);
        bytes memory expected =
            abi.encodeWithSelector(IComputeMarket.NotOpen.selector, market.orderId(order), Status.Claimed);

        vm.expectRevert(expected);
        vm.prank(operator);
        spv.claimDue(order);
        vm.expectRevert(expected);
        claimAs(operator, order, MONTH);
        vm.assertEq(spv.claimedDueBy(), address(this), "the tip is the first caller's");
    }
}
