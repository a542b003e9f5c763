// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketProof} from "./MarketProof.sol";

/// @notice When each exit is there, for every second: the half-open intervals of the verbs meet, without overlap and without a gap (I-8).
contract TimeProofs is MarketProof {
    uint256 private constant DEADLINE = NOW + MAX_SECONDS + CLAIM_GRACE;
    // The words hold times of 32 bits.
    uint256 private constant LAST_SECOND = type(uint32).max;

    /// @notice P-10: the client's side ends an open lease before its deadline, and at no other time.
    function check_terminateEndsAtTheDeadline(uint64 time) external {
        opened(time);

        assert(callAs(CLIENT, abi.encodeCall(IComputeMarket.terminate, (anOrder()))) == (time < DEADLINE));
    }

    /// @notice P-10: anybody ends an open lease from its deadline on, and at no earlier time.
    function check_expireStartsAtTheDeadline(address caller, uint64 time) external {
        opened(time);

        assert(callAs(caller, abi.encodeCall(IComputeMarket.expire, (anOrder()))) == (time >= DEADLINE));
    }

    /// @notice P-10: the provider claims from the guaranteed seconds on and before the deadline, and at no other time.
    function check_claimHasItsInterval(uint64 time) external {
        opened(time);
        bool isDone = callAs(PROVIDER, abi.encodeCall(IComputeMarket.claim, (anOrder(), 0, bytes32(0))));

        assert(isDone == (time >= NOW + MIN_SECONDS && time < DEADLINE));
    }

    /// @notice P-10: the provider declines before the start's grace is over, and at no other time.
    function check_declineHasItsInterval(uint64 time) external {
        opened(time);

        assert(callAs(PROVIDER, abi.encodeCall(IComputeMarket.decline, (anOrder()))) == (time < NOW + START_GRACE));
    }

    /// @notice P-10: the client's side disputes an open lease from the start's grace on and before the deadline.
    function check_disputeOfAnOpenLeaseHasItsInterval(uint64 time) external {
        opened(time);
        bool isDone = callAs(CLIENT, abi.encodeCall(IComputeMarket.dispute, (anOrder())));

        assert(isDone == (time >= NOW + START_GRACE && time < DEADLINE));
    }

    /// @notice P-10: a claim is disputed within the challenge window, and at no other time.
    function check_disputeOfAClaimHasItsInterval(uint64 time) external {
        uint256 end = claimed(time) + CHALLENGE_WINDOW;

        assert(callAs(CLIENT, abi.encodeCall(IComputeMarket.dispute, (anOrder()))) == (time < end));
    }

    /// @notice P-10: a claim is finalized from the end of that window on, and at no earlier time.
    function check_finalizeStartsWhereTheDisputeEnds(uint64 time) external {
        uint256 end = claimed(time) + CHALLENGE_WINDOW;
        finalize(anOrder());

        assert(isIn(anOrder(), Status.Closed) == (time >= end));
    }

    /// @notice P-10: the arbiter rules within its window, and at no other time.
    function check_ruleHasItsInterval(uint64 time, bool providerAtFault) external {
        uint256 end = disputed(time) + RULING_WINDOW;

        assert(callAs(ARBITER, abi.encodeCall(IComputeMarket.rule, (anOrder(), 0, providerAtFault))) == (time < end));
    }

    /// @notice P-10: anybody lapses a dispute from the end of that window on, and at no earlier time.
    function check_lapseStartsWhereTheRulingEnds(address caller, uint64 time) external {
        uint256 end = disputed(time) + RULING_WINDOW;

        assert(callAs(caller, abi.encodeCall(IComputeMarket.lapse, (anOrder()))) == (time >= end));
    }

    function opened(uint256 time) private {
        open(anOrder(), PRICE);
        vm.assume(time >= NOW && time <= LAST_SECOND);
        vm.warp(time);
    }

    function claimed(uint256 time) private returns (uint256 since) {
        open(anOrder(), PRICE);
        since = NOW + 1 hours;
        vm.warp(since);
        assert(callAs(PROVIDER, abi.encodeCall(IComputeMarket.claim, (anOrder(), 600, bytes32(0)))));
        vm.assume(time >= since && time <= LAST_SECOND);
        vm.warp(time);
    }

    function disputed(uint256 time) private returns (uint256 since) {
        since = NOW + 2 hours;
        claimed(since);
        assert(callAs(CLIENT, abi.encodeCall(IComputeMarket.dispute, (anOrder()))));
        vm.assume(time >= since && time <= LAST_SECOND);
        vm.warp(time);
    }
}
