// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A21, I-3: no GPU is sold twice at once, none is lost, and each sold one has a bond behind it.
contract DoubleSellingAttack is AttackTest {
    /// @notice A21: two gangs that fit alone but not together: one is served.
    function testA21TwoGangsForOneOffer() external {
        Order memory first = gang(1, 5);
        Order memory second = gang(2, 5);
        open(first);
        served.push(first);

        assertRefused(aFill(second), Refusal.NotEnoughGpus);
        assertCapacity();
    }

    /// @notice A21: the last GPU is sold once.
    function testA21LastGpu() external {
        serve(gang(1, 7));
        serve(gang(2, 1));
        assertRefused(aFill(gang(3, 1)), Refusal.NotEnoughGpus);

        vm.assertEq(market.offerOf(offer).free, 0, "none is free");
    }

    /// @notice A21: every exit frees the GPUs of its lease, once, and a second exit frees none.
    function testA21EveryExitFreesOnce() external {
        serve(gang(99, 2));
        for (uint256 how = 0; how < 8; ++how) {
            uint256 state = vm.snapshotState();
            Order memory order = serve(gang(1, 3));
            vm.assertEq(market.offerOf(offer).free, GPUS - 5, "taken");
            exit(order, how);
            vm.assertEq(market.offerOf(offer).free, GPUS - 2, "freed");
            leaveAgain(order);
            vm.assertEq(market.offerOf(offer).free, GPUS - 2, "once");
            vm.revertToState(state);
        }
    }

    /// @notice A21: GPUs that a claim freed are sold again, and the end of the claimed lease does not free them a second time.
    function testA21ClaimedGpusAreSoldAgain() external {
        Order memory order = serve(gang(1, GPUS));
        skip(600);
        claim(order, 600);
        serve(gang(2, GPUS));
        skip(CHALLENGE_WINDOW - 1);
        dispute(order);
        assertCapacity();
        rule(order, 0, true);

        vm.assertEq(market.offerOf(offer).free, 0, "the second lease has them");
    }

    /// @notice A21: GPUs that a dispute freed are sold again, and neither its lapse nor a receipt frees them a second time.
    function testA21DisputedGpusAreSoldAgain() external {
        Order memory order = serve(gang(1, GPUS));
        skip(START_GRACE);
        dispute(order);
        Order memory second = serve(gang(2, GPUS));
        settle(aSettlement(order, 60, true));
        assertStatus(order, Status.Closed, "settled");
        vm.assertEq(market.offerOf(offer).free, 0, "the second lease has them");
        terminate(second);

        vm.assertEq(market.offerOf(offer).free, GPUS, "now they are free");
    }

    /// @notice A21: offers are apart: what is sold of one is not missing from another, nor freed there.
    function testA21OffersAreApart() external {
        uint40 other = list(provider);
        Order memory order = serve(gang(1, GPUS));
        vm.assertEq(market.offerOf(other).free, GPUS, "the other is whole");
        terminate(order);

        vm.assertEq(market.offerOf(other).free, GPUS, "and stays so");
        vm.assertEq(market.offerOf(offer).free, GPUS, "this one is again");
    }

    /// @notice A21: GPUs that do not exist cannot be sold for free: each lease takes a bond, until the provider has none left.
    function testA21FakeGpusNeedRealBonds() external {
        uint256 stake = bond(gang(0, 1));
        withdraw(provider, provider, market.balanceOf(provider) - 3 * stake);
        vm.prank(provider);
        offer = market.list(CLASS, type(uint16).max, BOND_BPS, PRICE, 60, uint40(NOW + 30 days), arbiter, "");
        for (uint256 i = 0; i < 3; ++i) {
            serve(gang(i, 1));
        }

        assertRefused(aFill(gang(3, 1)), Refusal.ProviderBalanceTooLow);
        vm.assertEq(market.balanceOf(provider), 0, "three bonds");
    }

    /// @notice A21: GPUs that do not exist earn nothing: each lease is disputed or expires, and costs its bond.
    function testA21FakeGpusCostTheirBonds() external {
        for (uint256 i = 0; i < 8; ++i) {
            serve(gang(i, 1));
        }
        skip(MAX_SECONDS + CLAIM_GRACE);
        for (uint256 i = 0; i < 8; ++i) {
            market.expire(served[i]);
        }

        uint256 all = total(served[0]);
        uint256 stake = bond(served[0]);
        uint256 lost = 8 * (stake < all ? stake : all);
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR - lost, "eight compensations");
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR + lost, "for the client");
        assertCapacity();
    }

    /// @notice A21: random openings and exits never sell more than there is, and end with everything free.
    /// forge-config: default.fuzz.runs = 24
    function testA21RandomOpeningsAndExits(uint256 seed) external {
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            Order memory order = gang(i, uint16(1 + seed % 5));
            Fill memory fill = aFill(order);
            openAs(client, fill);
            if (market.statusOf(order) == Status.Open) served.push(order);
            if (seed >> 8 & 1 == 0) leaveAgain(served[(seed >> 16) % served.length]);
            skip(seed >> 32 & 63);
            assertCapacity();
        }
        for (uint256 i = 0; i < served.length; ++i) {
            leaveAgain(served[i]);
        }

        vm.assertEq(market.offerOf(offer).free, GPUS, "everything is free");
        assertExact();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function gang(uint256 salt, uint16 gpus) private view returns (Order memory order) {
        order = aFreeOrder(salt);
        order.gpus = gpus;
    }

    function exit(Order memory order, uint256 how) private {
        skip(how == 0 ? 10 : START_GRACE);
        if (how == 0) decline(order);
        if (how == 1) terminate(order);
        if (how == 2) settle(aSettlement(order, 60, true));
        if (how == 3) claim(order, 60);
        if (how == 4) dispute(order);
        if (how >= 5) skip(MAX_SECONDS + CLAIM_GRACE - START_GRACE - 1);
        if (how == 5) terminate(order);
        if (how == 6) claim(order, MAX_SECONDS);
        if (how == 7) skip(1);
        if (how == 7) market.expire(order);
    }

    /// Everything that anybody could try to end the lease with, whatever became of it.
    function leaveAgain(Order memory order) private {
        attempt(client, abi.encodeCall(market.terminate, (order)));
        attempt(provider, abi.encodeCall(market.decline, (order)));
        attempt(client, abi.encodeCall(market.dispute, (order)));
        attempt(arbiter, abi.encodeCall(market.rule, (order, 0, true)));
        attempt(stranger, abi.encodeCall(market.expire, (order)));
        attempt(stranger, abi.encodeCall(market.lapse, (order)));
        settle(aSettlement(order, 60, true));
        finalize(order);
    }
}
