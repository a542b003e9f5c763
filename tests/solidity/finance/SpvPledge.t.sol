// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Offer, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";
import {SpvTest} from "./SpvTest.sol";

/// @notice A pledge: what it takes, what it stops, what the creditor may do, and how it ends.
contract SpvPledgeTest is SpvTest {
    /// @notice S-1: every offer expires in the pledge's second, at the price that it had; one that had expired is left alone.
    function testPledgeExpiresAllOffers() external {
        vm.prank(operator);
        uint40 short = spv.list(CLASS, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 1), arbiter, "");
        uint40 second = listAs(spv);
        Order memory order = serveMonth();
        skip(START_GRACE);
        pledge(order);

        vm.assertEq(market.offerOf(offer).expiresAt, NOW + START_GRACE, "the first");
        vm.assertEq(market.offerOf(second).expiresAt, NOW + START_GRACE, "the second");
        vm.assertEq(market.offerOf(second).price, PRICE, "its price");
        vm.assertEq(market.offerOf(short).expiresAt, NOW + 1, "the one that had expired");
    }

    /// @notice The vault that the owner allowed becomes the creditor.
    function testPledgeToTheAllowedVault() external {
        Order memory order = serveMonth();
        bytes32 id = market.orderId(order);
        vm.prank(owner);
        spv.allow(address(vault));
        vm.expectEmit(address(spv));
        emit IProviderSpv.Pledged(address(vault), id, uint40(NOW));
        vault.pledge(spv, id, uint40(NOW), order);

        vm.assertEq(spv.creditor(), address(vault), "creditor");
    }

    /// @notice Nobody takes it in pledge whom the owner did not allow; not the owner either.
    function testPledgeToAnybodyElseReverts() external {
        Order memory order = serveMonth();
        bytes32 id = market.orderId(order);

        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotAllowed.selector, owner, address(0)));
        vm.prank(owner);
        spv.pledge(id, uint40(NOW), order);
    }

    /// @notice S-6: one lease is pledged at a time.
    function testPledgeTwiceReverts() external {
        Order memory order = pledgedMonth(DOLLAR);
        bytes32 id = market.orderId(order);

        expectPledged();
        vault.pledge(spv, id, uint40(NOW), order);
    }

    /// @notice The order is the one that the lease serves, in this serving, open, and on an offer of this company.
    function testPledgeOfWhatItDoesNotServeReverts() external {
        Order memory order = serveMonth();
        bytes32 id = market.orderId(order);
        Order memory other = aMonth();
        other.salt = 2;
        IProviderSpv second = aCompany("second");
        vm.startPrank(owner);
        spv.allow(address(vault));
        second.allow(address(vault));
        vm.stopPrank();

        expectNotServed(id, uint40(NOW));
        vault.pledge(spv, id, uint40(NOW), other);
        expectNotServed(id, uint40(NOW - 1));
        vault.pledge(spv, id, uint40(NOW - 1), order);
        expectNotServed(id, uint40(NOW));
        vault.pledge(second, id, uint40(NOW), order);
        skip(GUARANTEED);
        claimAs(operator, order, GUARANTEED);
        expectNotServed(id, uint40(NOW));
        vault.pledge(spv, id, uint40(NOW), order);
    }

    /// @notice The creditor takes what is free, to itself, and nobody else takes anything.
    function testPay() external {
        Order memory order = pledgedMonth(DOLLAR);
        uint256 free = FUNDS - bond(order);
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotCreditor.selector, owner, address(vault)));
        vm.prank(owner);
        spv.pay(1);

        vm.expectEmit(address(spv));
        emit IProviderSpv.Paid(address(vault), free);
        vault.pay(spv, free);
        vm.assertEq(dollar.balanceOf(address(vault)), free, "the vault has it");
        vm.assertEq(market.balanceOf(address(spv)), 0, "nothing is free");
    }

    /// @notice A company that is not pledged has no creditor, whoever calls.
    function testPayOfNothingPledgedReverts() external {
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotCreditor.selector, address(vault), address(0)));
        vault.pay(spv, 1);
    }

    /// @notice The creditor ends the pledge, which forgets all of it; and the company may be pledged again.
    function testRelease() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH);
        spv.claimDue(order);
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotCreditor.selector, owner, address(vault)));
        vm.prank(owner);
        spv.release();

        vm.expectEmit(address(spv));
        emit IProviderSpv.Released(address(vault), market.orderId(order));
        vault.release(spv);
        (bytes32 lease, uint40 openedAt) = spv.pledged();
        vm.assertEq(lease, bytes32(0), "no lease");
        vm.assertEq(openedAt, 0, "no serving");
        vm.assertEq(spv.creditor(), address(0), "no creditor");
        vm.assertEq(spv.claimedDueBy(), address(0), "nobody is due a tip");
        vm.prank(operator);
        spv.reprice(offer, PRICE, uint40(timestamp() + 1 days));
        (order.salt, order.gpus, order.expiresAt) = (2, 1, uint40(timestamp() + 1));
        open(order);
        pledge(order);
        vm.assertEq(spv.creditor(), address(vault), "pledged again");
    }

    function expectNotServed(bytes32 id, uint40 openedAt) private {
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotServed.selector, id, openedAt));
    }
}
