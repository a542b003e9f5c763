// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, IComputeMarket, Offer, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";
import {SpvTest} from "./SpvTest.sol";

/// @notice What owner and operator of a company do, and what a pledge takes from them.
contract SpvVerbsTest is SpvTest {
    // ------------------------------------------------------------------------------------------------------------------------------------- start

    /// @notice Only the factory names the first operator, so a company that is made is never started again.
    function testStartByAnybodyButTheFactoryReverts() external {
        address[3] memory others = [owner, operator, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotFactory.selector, others[i], address(factory)));
            vm.prank(others[i]);
            spv.start(others[i], others[i]);
        }
    }

    /// @notice The code that companies share is nobody's company: it starts for nobody, and nobody can act for it.
    function testTheSharedCodeIsNobodys() external {
        IProviderSpv shared = IProviderSpv(factory.implementation());

        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotFactory.selector, stranger, address(factory)));
        vm.prank(stranger);
        shared.start(stranger, stranger);
        vm.assertEq(shared.operator(), address(0), "no operator");
        vm.assertFalse(factory.isSpv(address(shared)), "no company");
    }

    // ------------------------------------------------------------------------------------------------------------------------------ list, reprice

    /// @notice The company is the offer's provider.
    function testListIsTheCompanys() external view {
        Offer memory listed = market.offerOf(offer);

        vm.assertEq(listed.provider, address(spv), "provider");
        vm.assertEq(listed.price, PRICE, "price");
    }

    /// @notice Only the operator lists.
    function testListByAnybodyElseReverts() external {
        expectNotOperator(owner);
        vm.prank(owner);
        spv.list(CLASS, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 1), arbiter, "");
    }

    /// @notice S-1: eight offers in a company's life, so that all of them expire in one pledge.
    function testListANinthOfferReverts() external {
        for (uint256 i = 1; i < 8; ++i) {
            listAs(spv);
        }

        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.TooManyOffers.selector, 8));
        vm.prank(operator);
        spv.list(CLASS, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 1), arbiter, "");
    }

    /// @notice S-1: while pledged nothing is listed, and no offer comes back to life.
    function testListAndRepriceWhilePledgedRevert() external {
        pledgedMonth(DOLLAR);

        expectPledged();
        vm.prank(operator);
        spv.list(CLASS, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 1 days), arbiter, "");
        expectPledged();
        vm.prank(operator);
        spv.reprice(offer, PRICE, uint40(NOW + 1 days));
    }

    /// @notice The operator changes price and expiry; nobody else does.
    function testReprice() external {
        vm.prank(operator);
        spv.reprice(offer, 7, uint40(NOW + 1));
        vm.assertEq(market.offerOf(offer).price, 7, "price");

        expectNotOperator(stranger);
        vm.prank(stranger);
        spv.reprice(offer, 8, uint40(NOW + 1));
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- open

    /// @notice P-21: the company itself is the caller, so owner and operator open term leases on it.
    function testOpenOfATermLease() external {
        address[2] memory both = [owner, operator];
        for (uint256 i = 0; i < 2; ++i) {
            Order memory order = aMonth();
            (order.startsAt, order.gpus, order.salt) = (uint40(NOW + 2 days), 1, i);
            openThrough(both[i], order);
            assertStatus(order, Status.Open, "it opens");
        }
    }

    /// @notice Nobody else opens through it.
    function testOpenByAnybodyElseReverts() external {
        Fill[] memory fills = aBatch(aMonth());

        expectNotOwner(stranger);
        vm.prank(stranger);
        spv.open(fills, ROUND);
    }

    /// @notice S-1: while pledged it opens nothing, which would lock what is pledged as a bond.
    function testOpenWhilePledgedReverts() external {
        Order memory order = pledgedMonth(DOLLAR);
        order.salt = 2;
        Fill[] memory fills = aBatch(order);

        expectPledged();
        vm.prank(operator);
        spv.open(fills, ROUND);
    }

    /// @notice It is never a client: the market would take its call for its consent, and the operator could spend the owner's money on anything.
    function testOpenAsAClientReverts() external {
        offer = list(provider);
        Order memory order = anOrder();
        (order.client, order.tip, order.opener) = (address(spv), 0, address(0));
        Fill[] memory fills = aBatch(order);

        vm.expectRevert(IProviderSpv.IsNoClient.selector);
        vm.prank(operator);
        spv.open(fills, ROUND);
    }

    // ----------------------------------------------------------------------------------------------------------------------------- claim, decline

    /// @notice Of a lease that is not pledged the operator claims what the market lets it, and nobody else does.
    function testClaimOfALeaseThatIsNotPledged() external {
        Order memory order = serveMonth();
        skip(GUARANTEED);
        expectNotOperator(stranger);
        claimAs(stranger, order, 0);

        claimAs(operator, order, 0);
        assertStatus(order, Status.Claimed, "claimed");
    }

    /// @notice S-3: of the pledged lease nothing below the floor is claimed; the second that reaches it is.
    function testClaimBelowTheFloorReverts() external {
        Order memory order = pledgedMonth(100_000 * DOLLAR);
        skip(25 days);
        uint32 least = uint32(25 days - SLACK);

        expectBelow(least - 1, least);
        claimAs(operator, order, least - 1);
        claimAs(operator, order, least);
        assertStatus(order, Status.Claimed, "claimed");
    }

    /// @notice S-6: what else the company serves is claimed as it always is.
    function testClaimOfAnotherLeaseWhilePledged() external {
        Order memory other = aMonth();
        (other.salt, other.gpus) = (2, 1);
        open(other);
        pledgedMonth(100_000 * DOLLAR);
        skip(GUARANTEED);

        claimAs(operator, other, 0);
        assertStatus(other, Status.Claimed, "claimed");
    }

    /// @notice The operator declines what is not pledged.
    function testDecline() external {
        Order memory order = serveMonth();
        expectNotOperator(owner);
        vm.prank(owner);
        spv.decline(order);

        vm.prank(operator);
        spv.decline(order);
        assertStatus(order, Status.None, "declined");
    }

    /// @notice The pledged lease is not declined, even where the market would let it.
    function testDeclineOfThePledgedLeaseReverts() external {
        Order memory order = pledgedMonth(DOLLAR);

        expectPledged();
        vm.prank(operator);
        spv.decline(order);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- claimDue

    /// @notice S-4: once metering is over anybody claims all of it, and the company remembers who did, for the tip.
    function testClaimDueByAnybody() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH);
        vm.expectEmit(address(spv));
        emit IProviderSpv.ClaimedDue(market.orderId(order), stranger);
        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseClaimed(market.orderId(order), MONTH, bytes32(0));
        vm.prank(stranger);
        spv.claimDue(order);

        vm.assertEq(spv.claimedDueBy(), stranger, "who did it");
    }

    /// @notice S-4: until the last second is metered it is the operator's to claim.
    function testClaimDueBeforeMeteringIsOverReverts() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH - 1);

        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.MeteringNotOver.selector, NOW + MONTH - 1, NOW + MONTH));
        spv.claimDue(order);
    }

    /// @notice S-4: of a term lease the time counts from its start.
    function testClaimDueOfATermLease() external {
        Order memory order = aMonth();
        order.startsAt = uint40(NOW + 3 days);
        openThrough(operator, order);
        pledge(order);
        vm.warp(order.startsAt + MONTH - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IProviderSpv.MeteringNotOver.selector, timestamp(), order.startsAt + MONTH)
        );
        spv.claimDue(order);

        skip(1);
        spv.claimDue(order);
        assertStatus(order, Status.Claimed, "claimed");
    }

    /// @notice Only the pledged lease: of any other the operator may mean not to claim.
    function testClaimDueOfAnotherLeaseReverts() external {
        Order memory order = serveMonth();
        skip(MONTH);
        bytes32 id = market.orderId(order);

        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotPledged.selector, id, bytes32(0)));
        spv.claimDue(order);
    }

    // ------------------------------------------------------------------------------------------------------------------- withdraw, setOperator, allow

    /// @notice What is free goes to the owner, and only the owner takes it.
    function testWithdraw() external {
        expectNotOwner(operator);
        vm.prank(operator);
        spv.withdraw(1);

        vm.prank(owner);
        spv.withdraw(FUNDS);
        vm.assertEq(dollar.balanceOf(owner), FUNDS, "the owner has it");
    }

    /// @notice While pledged all free money stands behind the debt.
    function testWithdrawWhilePledgedReverts() external {
        pledgedMonth(DOLLAR);

        expectPledged();
        vm.prank(owner);
        spv.withdraw(1);
    }

    /// @notice The hot key is replaceable, also while pledged; by the owner only.
    function testSetOperator() external {
        pledgedMonth(DOLLAR);
        expectNotOwner(operator);
        vm.prank(operator);
        spv.setOperator(next);

        vm.expectEmit(address(spv));
        emit IProviderSpv.OperatorSet(next, owner);
        vm.prank(owner);
        spv.setOperator(next);
        vm.assertEq(spv.operator(), next, "the new one");
    }

    /// @notice The owner allows one vault at a time, and nobody else allows any.
    function testAllow() external {
        expectNotOwner(operator);
        vm.prank(operator);
        spv.allow(stranger);

        vm.expectEmit(address(spv));
        emit IProviderSpv.VaultAllowed(stranger);
        vm.prank(owner);
        spv.allow(stranger);
        vm.assertEq(spv.allowed(), stranger, "this one");
        vm.prank(owner);
        spv.allow(address(0));
        vm.assertEq(spv.allowed(), address(0), "none");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ reading

    /// @notice What a company says of itself.
    function testViewsOfACompany() external {
        Order memory order = pledgedMonth(DOLLAR);
        (bytes32 lease, uint40 openedAt) = spv.pledged();

        vm.assertEq(spv.owner(), owner, "owner");
        vm.assertEq(spv.operator(), operator, "operator");
        vm.assertEq(spv.market(), address(market), "market");
        vm.assertEq(spv.SLACK(), SLACK, "slack");
        vm.assertEq(spv.creditor(), address(vault), "creditor");
        vm.assertEq(lease, market.orderId(order), "lease");
        vm.assertEq(openedAt, NOW, "serving");
    }

    function openThrough(address sender, Order memory order) private {
        Fill[] memory fills = aBatch(order);
        vm.prank(sender);
        spv.open(fills, ROUND);
    }
}
