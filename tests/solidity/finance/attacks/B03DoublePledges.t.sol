// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../../contracts/finance/interfaces/IProviderSpv.sol";
import {StubVault} from "../StubVault.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B03: one income, sold or pledged twice.
contract DoublePledgesAttack is NaiveTest {
    /// @notice B03: a naive company's second pledge takes the first lender's income, and an assignment takes both's.
    function testB03ANaiveCompanyPledgesTwice() external {
        Order memory order = naiveMonth();
        StubVault second = new StubVault();
        naive.pledge(address(second));
        pay(order, 5 days);
        vm.prank(address(second));
        naive.pay(FUNDS - bond(order) + earned(order, 5 days));
        vm.assertEq(dollar.balanceOf(address(vault)), 0, "nothing is left for the first");

        naiveCall(abi.encodeCall(IComputeMarket.assign, (order, stranger)));
        pay(order, 10 days);
        vm.assertEq(market.balanceOf(stranger), earned(order, 10 days) - earned(order, 5 days), "nor for the second");
    }

    /// @notice B03, S-6: here neither the same vault nor another takes a second pledge, of this serving or of another of the company's.
    function testB03HereItIsRefused() external {
        Order memory other = aMonth();
        (other.salt, other.gpus) = (2, 1);
        open(other);
        Order memory order = pledgedMonth(DOLLAR);
        StubVault second = new StubVault();
        vm.prank(owner);
        spv.allow(address(second));
        bytes32[2] memory ids = [market.orderId(order), market.orderId(other)];

        expectPledged();
        second.pledge(spv, ids[0], uint40(NOW), order);
        expectPledged();
        second.pledge(spv, ids[1], uint40(NOW), other);
        expectPledged();
        vault.pledge(spv, ids[1], uint40(NOW), other);
    }

    /// @notice B03: there is no verb by which its income could be assigned, before or after: the payee is the company.
    function testB03NothingIsAssigned() external {
        Order memory order = pledgedMonth(DOLLAR);
        bytes32 id = market.orderId(order);
        address[4] memory all = [owner, operator, address(vault), stranger];
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(all[i]);
            (bool succeeded,) = address(spv).call(abi.encodeCall(IComputeMarket.assign, (order, all[i])));
            vm.assertFalse(succeeded, "no such verb");
            vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPayee.selector, all[i], address(spv)));
            vm.prank(all[i]);
            market.assign(order, all[i]);
        }
        vm.assertEq(market.payeeOf(id), address(spv), "its own payee");
    }

    /// @notice B03: the vault that was allowed before does not stay allowed.
    function testB03OneVaultIsAllowed() external {
        Order memory order = serveMonth();
        vm.startPrank(owner);
        spv.allow(address(vault));
        spv.allow(stranger);
        vm.stopPrank();
        bytes32 id = market.orderId(order);

        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotAllowed.selector, address(vault), stranger));
        vault.pledge(spv, id, uint40(NOW), order);
    }
}
