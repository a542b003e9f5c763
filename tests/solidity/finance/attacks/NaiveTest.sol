// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Settlement} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {BackstopTest} from "../BackstopTest.sol";
import {NaiveSpv} from "../NaiveSpv.sol";

/// @notice What the attacks on companies share: a naive company beside ours, with an offer like ours.
/// @dev The classes: B02 claiming less than is owed, B03 pledging twice, B04 signatures that carry something else, B05 strangers that lock what is pledged,
/// B10 the cliff at the deadline, B11 silent and bribed panels, B12 operators that change while receipts are under way.
abstract contract NaiveTest is BackstopTest {
    NaiveSpv internal naive;
    uint40 internal naiveOffer;

    function setUp() public virtual override {
        super.setUp();
        naive = new NaiveSpv(market, operator);
        deposit(address(naive), FUNDS);
        bytes memory input = abi.encodeCall(
            IComputeMarket.list,
            (CLASS, GPUS, BOND_BPS, PRICE, uint16(MIN_SECONDS), uint40(NOW + 30 days), arbiter, keccak256("machine"))
        );
        naiveOffer = abi.decode(naiveCall(input), (uint40));
    }

    function naiveCall(bytes memory input) internal returns (bytes memory) {
        vm.prank(operator);
        return naive.call(input);
    }

    /// @notice The month on the naive company's offer, whose income somebody lent against.
    function naiveMonth() internal returns (Order memory order) {
        uint40 ours = offer;
        offer = naiveOffer;
        order = aMonth();
        order.salt = 99;
        open(order);
        offer = ours;
        naive.pledge(address(vault));
    }

    function naivelyAgreed(Order memory order, uint32 usedSeconds)
        internal
        view
        returns (Settlement memory settlement)
    {
        settlement = aSettlement(order, usedSeconds, true);
        settlement.providerSignature = sign(OPERATOR_KEY, market.receiptId(receiptOf(order, usedSeconds, true)));
    }
}
