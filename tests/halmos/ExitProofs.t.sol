// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketProof} from "./MarketProof.sol";

/// @notice I-1, I-2: whatever price, gang, seconds and time are, a lease that closed left as much in the free balances as there was before it opened,
/// and all GPUs free.
contract ExitProofs is MarketProof {
    /// @notice The numbers of a lease, all unknown.
    struct Terms {
        uint80 price;
        uint16 gpus;
        uint32 maxSeconds;
        uint32 minSeconds;
        uint32 usedSeconds;
        uint32 time;
    }

    /// @notice I-1: terminate.
    function check_terminateConserves(Terms calldata terms) external {
        Order memory order = opened(atFixedPrice(terms));
        vm.warp(terms.time);
        vm.assume(callAs(CLIENT, abi.encodeCall(IComputeMarket.terminate, (order))));

        assertConserved(order);
    }

    /// @notice I-1: expire.
    function check_expireConserves(Terms calldata terms) external {
        Order memory order = opened(atFixedPrice(terms));
        vm.warp(terms.time);
        vm.assume(callAs(CLIENT, abi.encodeCall(IComputeMarket.expire, (order))));

        assertConserved(order);
    }

    /// @notice I-1, P-24: decline, of an order of which nothing was paid.
    function check_declineConserves(Terms calldata terms) external {
        Order memory order = opened(atFixedPrice(terms));
        vm.warp(terms.time);
        vm.assume(callAs(PROVIDER, abi.encodeCall(IComputeMarket.decline, (order))));

        assert(isIn(order, Status.None));
        assert(market.balanceOf(CLIENT) == FUNDS && market.balanceOf(PROVIDER) == FUNDS);
        assert(market.offerOf(offer).free == GPUS);
    }

    /// @notice I-1: a receipt that closes.
    function check_settleConserves(Terms calldata terms) external {
        Order memory order = opened(atFixedPrice(terms));
        vm.warp(terms.time);
        settle(order, terms.usedSeconds, true);
        vm.assume(isIn(order, Status.Closed));

        assertConserved(order);
    }

    /// @notice I-1: claim and finalize.
    function check_finalizeConserves(Terms calldata terms) external {
        Order memory order = opened(terms);
        claimed(order, terms);
        vm.warp(uint256(terms.time) + CHALLENGE_WINDOW);
        finalize(order);

        assertConserved(order);
    }

    /// @notice I-1: dispute and rule, either way: the stakes are shared between winner and arbiter.
    function check_ruleConserves(Terms calldata terms, uint32 ruled, bool providerAtFault) external {
        Order memory order = opened(terms);
        claimed(order, terms);
        vm.assume(callAs(CLIENT, abi.encodeCall(IComputeMarket.dispute, (order))));
        vm.assume(callAs(ARBITER, abi.encodeCall(IComputeMarket.rule, (order, ruled, providerAtFault))));

        assertConserved(order);
    }

    /// @notice I-1: dispute and lapse: the stakes go back.
    function check_lapseConserves(Terms calldata terms) external {
        Order memory order = opened(terms);
        claimed(order, terms);
        vm.assume(callAs(CLIENT, abi.encodeCall(IComputeMarket.dispute, (order))));
        vm.warp(uint256(terms.time) + RULING_WINDOW);
        vm.assume(callAs(CLIENT, abi.encodeCall(IComputeMarket.lapse, (order))));

        assertConserved(order);
    }

    /// The solver cannot multiply this many unknowns for the exits whose seconds follow from the time.
    function atFixedPrice(Terms calldata terms) private pure returns (Terms memory fixed_) {
        fixed_ = terms;
        fixed_.price = PRICE + 1;
        fixed_.gpus = 7;
    }

    function opened(Terms memory terms) private returns (Order memory order) {
        order = anOrder();
        order.gpus = terms.gpus;
        order.maxSeconds = terms.maxSeconds;
        order.minSeconds = terms.minSeconds;
        open(order, terms.price);
        vm.assume(isIn(order, Status.Open));
        vm.assume(terms.time >= NOW);
    }

    function claimed(Order memory order, Terms memory terms) private {
        vm.warp(terms.time);
        vm.assume(callAs(PROVIDER, abi.encodeCall(IComputeMarket.claim, (order, terms.usedSeconds, bytes32(0)))));
    }

    function assertConserved(Order memory order) private view {
        assert(isIn(order, Status.Closed));
        assert(market.balanceOf(CLIENT) + market.balanceOf(PROVIDER) + market.balanceOf(ARBITER) == 2 * FUNDS);
        assert(market.offerOf(offer).free == GPUS);
    }
}
