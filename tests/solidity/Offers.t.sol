// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Offer, Order} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Listing and repricing.
contract OffersTest is MarketTest {
    /// @notice I-3: a new offer has all its GPUs free; ids count from 1.
    function testListMakesAnOfferWithAllGpusFree() external {
        Offer memory value = Offer({
            provider: stranger,
            class: 255,
            gpus: 65_535,
            free: 65_535,
            bondBps: 10_000,
            expiresAt: type(uint40).max,
            arbiter: arbiter,
            price: type(uint80).max,
            minSeconds: 65_535,
            spec: bytes32(type(uint256).max)
        });

        vm.prank(stranger);
        vm.expectEmit(address(market));
        emit IComputeMarket.OfferListed(offer + 1, stranger, value);
        uint40 second = market.list(
            value.class,
            value.gpus,
            value.bondBps,
            value.price,
            value.minSeconds,
            value.expiresAt,
            value.arbiter,
            value.spec
        );

        vm.assertEq(offer, 1, "the first id");
        vm.assertEq(second, 2, "the next id");
        vm.assertEq(keccak256(abi.encode(market.offerOf(second))), keccak256(abi.encode(value)), "what was listed");
    }

    /// @notice P-20: an offer has at least one GPU.
    function testListWithoutGpusReverts() external {
        vm.expectRevert(IComputeMarket.NoGpus.selector);
        market.list(CLASS, 0, BOND_BPS, PRICE, 0, 0, arbiter, 0);
    }

    /// @notice P-04: a bond share is at most the whole.
    function testListWithABondAboveTheWholeReverts() external {
        market.list(CLASS, 1, 10_000, PRICE, 0, 0, arbiter, 0);

        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.BondBpsTooHigh.selector, 10_001, 10_000));
        market.list(CLASS, 1, 10_001, PRICE, 0, 0, arbiter, 0);
    }

    /// @notice P-20: an offer names an arbiter.
    function testListWithoutArbiterReverts() external {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.WrongArbiter.selector, address(0)));
        market.list(CLASS, 1, BOND_BPS, PRICE, 0, 0, address(0), 0);
    }

    /// @notice P-20: a provider is not its own arbiter.
    function testListWithTheProviderAsArbiterReverts() external {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.WrongArbiter.selector, address(this)));
        market.list(CLASS, 1, BOND_BPS, PRICE, 0, 0, address(this), 0);
    }

    /// @notice Repricing changes price and expiry and nothing else.
    function testRepriceChangesPriceAndExpiryOnly() external {
        Offer memory expected = market.offerOf(offer);
        expected.price = 1;
        expected.expiresAt = 2;

        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IComputeMarket.OfferRepriced(offer, 1, 2);
        market.reprice(offer, 1, 2);

        vm.assertEq(keccak256(abi.encode(market.offerOf(offer))), keccak256(abi.encode(expected)), "the rest stays");
    }

    /// @notice I-4: a running lease keeps the price it was opened at.
    function testRepriceDoesNotTouchARunningLease() external {
        Order memory order = anOrder();
        open(order);
        uint256 before = market.balanceOf(provider);

        vm.prank(provider);
        market.reprice(offer, 3 * PRICE, 0);
        skip(1_000);
        settle(aSettlement(order, 1_000, true));

        vm.assertEq(market.balanceOf(provider), before + earned(order, 1_000) + bond(order), "paid at the old price");
    }

    /// @notice Only its provider reprices an offer.
    function testRepriceByAStrangerReverts() external {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotProvider.selector, stranger, provider));
        market.reprice(offer, 1, 2);
    }

    /// @notice An offer that was never listed has no provider.
    function testRepriceOfNoOfferReverts() external {
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotProvider.selector, provider, address(0)));
        market.reprice(offer + 1, 1, 2);
    }
}
