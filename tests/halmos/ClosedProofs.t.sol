// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketProof} from "./MarketProof.sol";

/// @notice I-5: Closed is absorbing. Whoever calls whichever verb at whatever time, a lease that is closed stays as it is, and moves nobody's money.
contract ClosedProofs is MarketProof {
    bytes32 private _before;

    /// @notice I-5: of a lease that was served.
    function check_servedStaysClosed(address caller, uint8 verb, uint32 seconds_, uint64 time) external {
        open(anOrder(), PRICE);
        vm.warp(NOW + 1 hours);
        assert(callAs(CLIENT, abi.encodeCall(IComputeMarket.terminate, (anOrder()))));

        assertStaysClosed(caller, verb, seconds_, time);
    }

    /// @notice I-5: of an order that was cancelled before anybody opened it.
    function check_cancelledStaysClosed(address caller, uint8 verb, uint32 seconds_, uint64 time) external {
        assert(callAs(CLIENT, abi.encodeCall(IComputeMarket.cancel, (anOrder()))));

        assertStaysClosed(caller, verb, seconds_, time);
    }

    function assertStaysClosed(address caller, uint8 verb, uint32 seconds_, uint64 time) private {
        vm.warp(time);
        _before = everything();
        act(caller, verb, seconds_);

        assert(isIn(anOrder(), Status.Closed));
        assert(everything() == _before);
    }

    function act(address caller, uint8 verb, uint32 seconds_) private {
        Order memory order = anOrder();
        if (verb == 0) open(order, PRICE);
        else if (verb == 1) callAs(caller, abi.encodeCall(IComputeMarket.cancel, (order)));
        else if (verb == 2) settle(order, seconds_, false);
        else if (verb == 3) settle(order, seconds_, true);
        else if (verb == 4) callAs(caller, abi.encodeCall(IComputeMarket.claim, (order, seconds_, bytes32(0))));
        else if (verb == 5) finalize(order);
        else if (verb == 6) callAs(caller, abi.encodeCall(IComputeMarket.terminate, (order)));
        else if (verb == 7) callAs(caller, abi.encodeCall(IComputeMarket.decline, (order)));
        else if (verb == 8) callAs(caller, abi.encodeCall(IComputeMarket.expire, (order)));
        else if (verb == 9) callAs(caller, abi.encodeCall(IComputeMarket.dispute, (order)));
        else if (verb == 10) callAs(caller, abi.encodeCall(IComputeMarket.rule, (order, seconds_, true)));
        else if (verb == 11) callAs(caller, abi.encodeCall(IComputeMarket.rule, (order, seconds_, false)));
        else if (verb == 12) callAs(caller, abi.encodeCall(IComputeMarket.lapse, (order)));
        else callAs(caller, abi.encodeCall(IComputeMarket.assign, (order, caller)));
    }

    function everything() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                leaseOf(anOrder()),
                market.balanceOf(CLIENT),
                market.balanceOf(PROVIDER),
                market.balanceOf(ARBITER),
                market.offerOf(offer).free,
                market.payeeOf(market.orderId(anOrder()))
            )
        );
    }
}
