// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Lease, Order, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A22: verbs that race in one block, in every order that they can be mined in: the books are exact after each, a lease ends once, and an order
/// that ended never comes back.
contract RacesAttack is AttackTest {
    Order private order;

    function setUp() public override {
        super.setUp();
        order = aFreeOrder(1);
        order.acceptor = acceptor;
        deposit(acceptor, 100 * DOLLAR);
        served.push(order);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- the races

    /// @notice A22: cancel, open, settle and terminate, in all 24 orders.
    function testA22CancelOpenSettleTerminate() external {
        raceAll(4, 0, [cancelIt, openIt, settleLast, terminateIt, none, none]);
    }

    /// @notice A22: cancel, open, decline and open again, in all 24 orders.
    function testA22CancelOpenDeclineOpen() external {
        raceAll(4, 0, [cancelIt, openIt, declineIt, openIt, none, none]);
    }

    /// @notice A22: open, prepay, decline and terminate, in all 24 orders.
    function testA22OpenPayDeclineTerminate() external {
        raceAll(4, 0, [openIt, payIt, declineIt, terminateIt, none, none]);
    }

    /// @notice A22: settle, claim, terminate and dispute of a running lease, in all 24 orders.
    function testA22SettleClaimTerminateDispute() external {
        open(order);
        raceAll(4, START_GRACE, [settleLast, claimIt, terminateIt, disputeIt, none, none]);
    }

    /// @notice A22: decline, dispute, terminate and claim in the last second in which a provider declines, in all 24 orders.
    function testA22LastSecondOfTheStartGrace() external {
        open(order);
        raceAll(4, START_GRACE - 1, [declineIt, disputeIt, terminateIt, claimIt, none, none]);
    }

    /// @notice A22: the same in the first second in which it cannot any more, and the client disputes.
    function testA22FirstSecondAfterTheStartGrace() external {
        open(order);
        raceAll(4, START_GRACE, [declineIt, disputeIt, terminateIt, claimIt, none, none]);
    }

    /// @notice A22: claim, terminate, dispute and expire in the last second before the deadline, in all 24 orders.
    function testA22LastSecondBeforeTheDeadline() external {
        open(order);
        raceAll(4, MAX_SECONDS + CLAIM_GRACE - 1, [claimIt, terminateIt, disputeIt, expireIt, none, none]);
    }

    /// @notice A22: claim, terminate, dispute and expire at the deadline, in all 24 orders: only expire holds.
    function testA22TheDeadline() external {
        open(order);
        raceAll(4, MAX_SECONDS + CLAIM_GRACE, [claimIt, terminateIt, disputeIt, expireIt, none, none]);
        skip(MAX_SECONDS + CLAIM_GRACE);
        vm.assertFalse(claimIt() || terminateIt() || disputeIt(), "too late");
        vm.assertTrue(expireIt(), "expire holds");
    }

    /// @notice A22: finalize, dispute, settle and assign in the last second of the challenge window, in all 24 orders.
    function testA22LastSecondOfTheChallengeWindow() external {
        open(order);
        skip(600);
        claim(order, 600);
        raceAll(4, CHALLENGE_WINDOW - 1, [finalizeIt, disputeIt, settleLast, assignIt, none, none]);
    }

    /// @notice A22: finalize, dispute, settle and assign in the first second after the challenge window, in all 24 orders.
    function testA22FirstSecondAfterTheChallengeWindow() external {
        open(order);
        skip(600);
        claim(order, 600);
        raceAll(4, CHALLENGE_WINDOW, [finalizeIt, disputeIt, settleLast, assignIt, none, none]);
    }

    /// @notice A22: rule, lapse, settle and pay in the last second of the ruling window, in all 24 orders.
    function testA22LastSecondOfTheRulingWindow() external {
        open(order);
        skip(1_000);
        dispute(order);
        raceAll(4, RULING_WINDOW - 1, [ruleIt, lapseIt, settleLast, payIt, none, none]);
    }

    /// @notice A22: rule, lapse, settle and pay in the first second after the ruling window, in all 24 orders.
    function testA22FirstSecondAfterTheRulingWindow() external {
        open(order);
        skip(1_000);
        dispute(order);
        raceAll(4, RULING_WINDOW, [ruleIt, lapseIt, settleLast, payIt, none, none]);
    }

    /// @notice A22: a dispute by the client and one by the acceptor, a claim and a progress receipt, in all 24 orders: one of them stakes.
    function testA22TwoDisputes() external {
        open(order);
        raceAll(4, START_GRACE, [disputeIt, disputeByAcceptor, claimIt, payIt, none, none]);
    }

    /// @notice A22: a progress receipt, an assignment, a closing receipt and a withdrawal of the provider, in all 24 orders.
    function testA22IncomeAndItsAssignment() external {
        open(order);
        raceAll(4, 600, [payIt, assignIt, settleLast, withdrawProvider, none, none]);
    }

    /// @notice A22: a withdrawal of the client, one of the provider, and an opening, a reprice: in all 24 orders: nothing is spent twice.
    function testA22WithdrawalsAndAnOpening() external {
        raceAll(4, 0, [withdrawClient, withdrawProvider, openIt, repriceIt, none, none]);
    }

    /// @notice A22: five verbs of a disputed claim, in all 120 orders.
    function testA22FiveVerbsOfADispute() external {
        open(order);
        skip(1_000);
        claim(order, 900);
        raceAll(5, 10, [disputeIt, ruleIt, payIt, settleLast, assignIt, none]);
    }

    /// @notice A22: six verbs of a new order, in all 720 orders.
    function testA22SixVerbsOfANewOrder() external {
        raceAll(6, 0, [openIt, cancelIt, declineIt, payIt, settleLast, terminateIt]);
    }

    /// @notice A22: four progress receipts and a closing one, in all 120 orders, leave everybody with the same.
    function testA22ReceiptsOfOneBlock() external {
        open(order);
        skip(600);
        Settlement[] memory settlements = new Settlement[](5);
        for (uint32 i = 0; i < 5; ++i) {
            settlements[i] = aSettlement(order, 100 * (i + 1), i == 4);
        }
        bytes32 expected;
        for (uint256 index = 0; index < 120; ++index) {
            uint256 state = vm.snapshotState();
            uint256[] memory turn = permutation(index, 5);
            for (uint256 i = 0; i < 5; ++i) {
                settle(settlements[turn[i]]);
            }
            assertExact();
            bytes32 result = keccak256(abi.encode(book()));
            if (index == 0) expected = result;
            vm.assertEq(result, expected, "the same for everybody");
            vm.revertToState(state);
        }
    }

    // --------------------------------------------------------------------------------------------------------------------------------- the verbs

    function none() private pure returns (bool) {
        return false;
    }

    function openIt() private returns (bool) {
        Fill memory fill = aFill(order);
        openAs(opener, fill);
        return leaseOf(order).openedAt == timestamp() && leaseOf(order).status == Status.Open;
    }

    function cancelIt() private returns (bool) {
        return attempt(client, abi.encodeCall(market.cancel, (order)));
    }

    function declineIt() private returns (bool) {
        return attempt(provider, abi.encodeCall(market.decline, (order)));
    }

    function terminateIt() private returns (bool) {
        return attempt(client, abi.encodeCall(market.terminate, (order)));
    }

    function claimIt() private returns (bool) {
        return attempt(provider, abi.encodeCall(market.claim, (order, MIN_SECONDS, RESULT)));
    }

    function disputeIt() private returns (bool) {
        return attempt(client, abi.encodeCall(market.dispute, (order)));
    }

    function disputeByAcceptor() private returns (bool) {
        return attempt(acceptor, abi.encodeCall(market.dispute, (order)));
    }

    function expireIt() private returns (bool) {
        return attempt(stranger, abi.encodeCall(market.expire, (order)));
    }

    function lapseIt() private returns (bool) {
        return attempt(stranger, abi.encodeCall(market.lapse, (order)));
    }

    function ruleIt() private returns (bool) {
        return attempt(arbiter, abi.encodeCall(market.rule, (order, 30, true)));
    }

    function assignIt() private returns (bool) {
        return attempt(provider, abi.encodeCall(market.assign, (order, payee)));
    }

    function withdrawClient() private returns (bool) {
        return attempt(client, abi.encodeCall(market.withdraw, (client, 999 * DOLLAR)));
    }

    function withdrawProvider() private returns (bool) {
        return attempt(provider, abi.encodeCall(market.withdraw, (provider, 1_000 * DOLLAR)));
    }

    function repriceIt() private returns (bool) {
        return attempt(provider, abi.encodeCall(market.reprice, (offer, PRICE, uint40(timestamp() + 1))));
    }

    function finalizeIt() private returns (bool) {
        finalize(order);
        return leaseOf(order).status == Status.Closed;
    }

    function payIt() private returns (bool) {
        settle(aSettlement(order, MIN_SECONDS, false));
        return leaseOf(order).paidSeconds == MIN_SECONDS;
    }

    function settleLast() private returns (bool) {
        settle(aSettlement(order, MIN_SECONDS, true));
        return leaseOf(order).status == Status.Closed;
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- the rules

    /// Lets `size` verbs race after `wait`, in every order that there is.
    function raceAll(uint256 size, uint256 wait, function() returns (bool)[6] memory verbs) private {
        skip(wait);
        uint256 moves;
        for (uint256 index = 0; index < factorial(size); ++index) {
            uint256 state = vm.snapshotState();
            uint256 free = freeMemory();
            moves += race(permutation(index, size), verbs);
            reuseMemory(free);
            vm.revertToState(state);
        }
        vm.assertTrue(moves >= factorial(size), "at least one verb of each order has an effect");
    }

    function freeMemory() private pure returns (uint256 free) {
        assembly {
            free := mload(0x40)
        }
    }

    /// Nothing that a race leaves in memory is looked at again, and 720 of them would not fit.
    function reuseMemory(uint256 free) private pure {
        assembly {
            mstore(0x40, free)
        }
    }

    function race(uint256[] memory turn, function() returns (bool)[6] memory verbs) private returns (uint256 moves) {
        for (uint256 i = 0; i < turn.length; ++i) {
            Lease memory before = leaseOf(order);
            if (verbs[turn[i]]()) ++moves;
            Lease memory later = leaseOf(order);
            assertMoveIsDrawn(before, later);
            assertExact();
            assertCapacity();
        }
    }

    /// The state diagram's edges, and that Closed and paid are for good (I-5).
    function assertMoveIsDrawn(Lease memory before, Lease memory later) private pure {
        (Status from, Status to) = (before.status, later.status);
        if (from == to) {
            bool same = from != Status.Closed || keccak256(abi.encode(before)) == keccak256(abi.encode(later));
            vm.assertTrue(same, "closed is for good");
        } else if (from == Status.None) {
            vm.assertTrue(to == Status.Open || to == Status.Closed, "None to Open or Closed");
        } else if (from == Status.Claimed) {
            vm.assertTrue(to == Status.Disputed || to == Status.Closed, "Claimed to Disputed or Closed");
        } else if (from == Status.Disputed) {
            vm.assertTrue(to == Status.Closed, "Disputed to Closed");
        } else {
            vm.assertTrue(from == Status.Open, "nothing leaves Closed");
        }
        if (from != Status.None && to != Status.None) {
            vm.assertLe(before.paidSeconds, later.paidSeconds, "paid is paid");
        }
    }
}
