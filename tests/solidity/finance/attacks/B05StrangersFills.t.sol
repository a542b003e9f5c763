// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Refusal, Status} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B05, S-1: a stranger's order on a live offer locks the provider's free money as a bond.
contract StrangersFillsAttack is NaiveTest {
    /// @notice B05: one stranger's fill takes a thousand dollars of a naive company out of its lender's reach.
    function testB05ANaiveCompanysCashIsLocked() external {
        naiveMonth();
        uint256 before = market.balanceOf(address(naive));
        Order memory order = aMonth();
        (order.salt, order.maxSeconds) = (100, 25 days);
        offer = naiveOffer;
        open(order);

        vm.assertEq(before - market.balanceOf(address(naive)), bond(order), "locked");
    }

    /// @notice B05: here nothing opens on any offer of a pledged company, by anybody, from the pledge's own second on.
    function testB05HereNothingOpens() external {
        uint40 second = listAs(spv);
        uint40 first = offer;
        pledgedMonth(DOLLAR);
        Order memory order = aMonth();
        (order.salt, order.gpus) = (100, 1);
        uint256 before = market.balanceOf(address(spv));
        for (uint256 i = 0; i < 2; ++i) {
            offer = i == 0 ? first : second;
            assertRefusedFrom(stranger, aFill(order), Refusal.OfferNotAlive);
            assertRefusedFrom(client, aFill(order), Refusal.OfferNotAlive);
            skip(1 days - 1);
        }

        vm.assertEq(market.balanceOf(address(spv)), before, "nothing is locked");
    }
}
